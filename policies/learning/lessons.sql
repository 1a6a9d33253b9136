select private.close_table('public.lessons');

create policy lessons_select_anon on public.lessons for select to anon
using (exists (select from public.courses as c where c.id = lessons.course_id));

-- Less than the course itself, of which students read the row after it has closed to them.
create policy lessons_select_authenticated on public.lessons for select to authenticated
using (
    exists (
        select from public.courses as c
        where
            c.id = lessons.course_id
            and (
                c.status = 'published'
                or c.creator_id = (select auth.uid())
                or c.id = any((select private.my_course_ids())::uuid[])
                or (select private.has_role('moderator'))
            )
    )
);

create policy lessons_insert_creator on public.lessons for insert to authenticated
with check (course_id = any((select private.my_taught_course_ids())::uuid[]) and (select private.has_role('teacher')));

create policy lessons_update_creator on public.lessons for update to authenticated
using (course_id = any((select private.my_taught_course_ids())::uuid[]) and (select private.has_role('teacher')))
with check (course_id = any((select private.my_taught_course_ids())::uuid[]) and (select private.has_role('teacher')));

create policy lessons_delete_creator on public.lessons for delete to authenticated
using (course_id = any((select private.my_taught_course_ids())::uuid[]) and (select private.has_role('teacher')));

grant select on public.lessons to anon, authenticated;
-- the database sets course_id and position
grant
insert (module_id, title, summary, duration_seconds, is_intro),
update (module_id, title, summary, duration_seconds, is_intro),
delete
on public.lessons to authenticated;
grant select, insert, update, delete on public.lessons to service_role;
