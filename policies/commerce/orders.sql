select private.close_table('public.orders');

create policy orders_select_party on public.orders for select to authenticated
using (
    buyer_id = (select auth.uid())
    or (seller_id = (select auth.uid()) and status = 'paid')
    or (student_teacher_id = (select auth.uid()) and status = 'paid')
    or (select private.has_role('admin'))
);

grant select on public.orders to authenticated, service_role;
-- no insert, update or delete: place_order, cancel_order, mark_order_paid and reports of the payment provider write it
