select private.close_table('public.seminar_hosts');

create policy seminar_hosts_select_authenticated on public.seminar_hosts for select to authenticated
using (
    user_id = (select auth.uid())
    or seminar_id = any((select private.visible_seminar_ids())::uuid[])
    or (select private.has_role('moderator'))
);

grant select on public.seminar_hosts to authenticated, service_role;
-- no insert, update or delete: functions invite, accept and leave
