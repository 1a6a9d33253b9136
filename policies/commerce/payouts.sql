select private.close_table('public.payouts');

create policy payouts_select_owner_or_admin on public.payouts for select to authenticated
using (user_id = (select auth.uid()) or (select private.has_role('admin')));

grant select on public.payouts to authenticated, service_role;
-- no insert, update or delete: functions write it
