select private.close_table('public.modules');

create policy modules_select_all on public.modules for select to anon, authenticated
using (exists (select from public.courses as c where c.id = modules.course_id));

create policy modules_insert_creator on public.modules for insert to authenticated
with check (course_id = any((select private.my_taught_course_ids())::uuid[]) and (select private.has_role('teacher')));

create policy modules_update_creator on public.modules for update to authenticated
using (course_id = any((select private.my_taught_course_ids())::uuid[]) and (select private.has_role('teacher')))
with check (course_id = any((select private.my_taught_course_ids())::uuid[]) and (select private.has_role('teacher')));

create policy modules_delete_creator on public.modules for delete to authenticated
using (course_id = any((select private.my_taught_course_ids())::uuid[]) and (select private.has_role('teacher')));

grant select on public.modules to anon, authenticated;
-- position is the database's; a module stays in its course
grant insert (course_id, title, description), update (title, description), delete on public.modules to authenticated;
grant select, insert, update, delete on public.modules to service_role;
