select private.close_table('public.order_terms');

create policy order_terms_select_party on public.order_terms for select to authenticated
using (exists (select from public.orders as o where o.id = order_terms.order_id));

grant select on public.order_terms to authenticated, service_role;
-- no insert, update or delete: the database writes it with the order
