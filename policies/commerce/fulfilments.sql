select private.close_table('public.fulfilments');

create policy fulfilments_select_party on public.fulfilments for select to authenticated
using (seller_id = (select auth.uid()) or buyer_id = (select auth.uid()) or (select private.has_role('admin')));

grant select on public.fulfilments to authenticated, service_role;
-- no insert, update or delete: fulfil_work and deliver_order write it
