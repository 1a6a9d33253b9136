select private.close_table('public.entitlements');

create policy entitlements_select_party on public.entitlements for select to authenticated
using (user_id = (select auth.uid()) or seller_id = (select auth.uid()) or (select private.has_role('admin')));

grant select on public.entitlements to authenticated, service_role;
-- no insert, update or delete: sync_entitlements writes it
