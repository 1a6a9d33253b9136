select private.close_table('public.lessons');

create policy lessons_select_all on public.lessons for select to anon, authenticated
using (exists (select from public.courses as c where c.id = lessons.course_id));

create policy lessons_insert_creator on public.lessons for insert to authenticated
with check (course_id = any((select private.my_taught_course_ids())::uuid[]) and (select private.has_role('teacher')));

create policy lessons_update_creator on public.lessons for update to authenticated
using (course_id = any((select private.my_taught_course_ids())::uuid[]) and (select private.has_role('teacher')))
with check (course_id = any((select private.my_taught_course_ids())::uuid[]) and (select private.has_role('teacher')));

create policy lessons_delete_creator on public.lessons for delete to authenticated
using (course_id = any((select private.my_taught_course_ids())::uuid[]) and (select private.has_role('teacher')));

grant select on public.lessons to anon, authenticated;
-- course_id and position are the database's
grant
insert (module_id, title, summary, duration_seconds, is_intro),
update (module_id, title, summary, duration_seconds, is_intro),
delete
on public.lessons to authenticated;
grant select, insert, update, delete on public.lessons to service_role;
