select private.close_table('public.seat_pools');

create policy seat_pools_select_anon on public.seat_pools for select to anon
using (is_public);

create policy seat_pools_select_authenticated on public.seat_pools for select to authenticated
using (
    is_public
    or host_id = (select auth.uid())
    or id = any((select private.my_pool_ids())::uuid[])
    or id = any((select private.my_hosted_pool_ids())::uuid[])
    or (select private.has_role('moderator'))
);

grant select on public.seat_pools to anon, authenticated, service_role;
-- no insert, update or delete: functions write it, from the seminar or the slot
