select private.close_table('public.payout_items');

create policy payout_items_select_owner_or_admin on public.payout_items for select to authenticated
using (user_id = (select auth.uid()) or (select private.has_role('admin')));

grant select on public.payout_items to authenticated, service_role;
-- no insert, update or delete: a trigger of payouts writes it
