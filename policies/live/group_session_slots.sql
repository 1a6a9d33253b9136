select private.close_table('public.group_session_slots');

create policy group_session_slots_select_anon on public.group_session_slots for select to anon
using (is_public);

create policy group_session_slots_select_authenticated on public.group_session_slots for select to authenticated
using (
    is_public
    or host_id = (select auth.uid())
    or pool_id = any((select private.my_pool_ids())::uuid[])
    or (select private.has_role('moderator'))
);

grant select on public.group_session_slots to anon, authenticated, service_role;
-- no insert, update or delete: functions write it, with the commitment and the seats
