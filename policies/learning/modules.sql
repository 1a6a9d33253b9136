select private.close_table('public.modules');

create policy modules_select_anon on public.modules for select to anon
using (exists (select from public.courses as c where c.id = modules.course_id));

-- Less than the course itself, of which students read the row after it has closed to them.
create policy modules_select_authenticated on public.modules for select to authenticated
using (
    exists (
        select from public.courses as c
        where
            c.id = modules.course_id
            and (
                c.status = 'published'
                or c.creator_id = (select auth.uid())
                or c.id = any((select private.my_course_ids())::uuid[])
                or (select private.has_role('moderator'))
            )
    )
);

create policy modules_insert_creator on public.modules for insert to authenticated
with check (course_id = any((select private.my_taught_course_ids())::uuid[]) and (select private.has_role('teacher')));

create policy modules_update_creator on public.modules for update to authenticated
using (course_id = any((select private.my_taught_course_ids())::uuid[]) and (select private.has_role('teacher')))
with check (course_id = any((select private.my_taught_course_ids())::uuid[]) and (select private.has_role('teacher')));

create policy modules_delete_creator on public.modules for delete to authenticated
using (course_id = any((select private.my_taught_course_ids())::uuid[]) and (select private.has_role('teacher')));

grant select on public.modules to anon, authenticated;
-- the database sets position; a module stays in its course
grant insert (course_id, title, description), update (title, description), delete on public.modules to authenticated;
grant select, insert, update, delete on public.modules to service_role;
