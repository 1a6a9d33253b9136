select private.close_table('public.subscriptions');

create policy subscriptions_select_party on public.subscriptions for select to authenticated
using (user_id = (select auth.uid()) or seller_id = (select auth.uid()) or (select private.has_role('admin')));

grant select on public.subscriptions to authenticated, service_role;
-- no insert, update or delete: apply_subscription writes it
