select private.close_table('public.refunds');

create policy refunds_select_buyer_or_admin on public.refunds for select to authenticated
using (buyer_id = (select auth.uid()) or (select private.has_role('admin')));

grant select on public.refunds to authenticated, service_role;
-- no insert, update or delete: refund_order and record_refund_result write it
