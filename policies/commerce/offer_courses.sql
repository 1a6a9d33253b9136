select private.close_table('public.offer_courses');

create policy offer_courses_select_all on public.offer_courses for select to anon, authenticated
using (exists (select from public.offers as o where o.id = offer_courses.offer_id));

create policy offer_courses_insert_seller on public.offer_courses for insert to authenticated
with check (seller_id = (select auth.uid()) and (select private.has_role('teacher')));

create policy offer_courses_delete_seller on public.offer_courses for delete to authenticated
using (seller_id = (select auth.uid()) and (select private.has_role('teacher')));

grant select on public.offer_courses to anon, authenticated;
grant insert (offer_id, course_id), delete on public.offer_courses to authenticated;
grant select on public.offer_courses to service_role;
