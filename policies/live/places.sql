select private.close_table('public.places');

create policy places_select_party on public.places for select to authenticated
using (
    user_id = (select auth.uid())
    or host_id = (select auth.uid())
    or pool_id = any((select private.my_hosted_pool_ids())::uuid[])
    or (select private.has_role('moderator'))
);

grant select on public.places to authenticated, service_role;
-- no insert, update or delete: functions take places and give them back
