select private.close_table('public.order_courses');

create policy order_courses_select_party on public.order_courses for select to authenticated
using (exists (select from public.orders as o where o.id = order_courses.order_id));

grant select on public.order_courses to authenticated, service_role;
-- no insert, update or delete: the database writes it with the order
