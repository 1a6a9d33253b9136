select private.close_table('public.lesson_gates');

create policy lesson_gates_select_anon on public.lesson_gates for select to anon
using (exists (select from public.courses as c where c.id = lesson_gates.course_id));

-- Less than the course itself, of which students read the row after it has closed to them.
create policy lesson_gates_select_authenticated on public.lesson_gates for select to authenticated
using (
    exists (
        select from public.courses as c
        where
            c.id = lesson_gates.course_id
            and (
                c.status = 'published'
                or c.creator_id = (select auth.uid())
                or c.id = any((select private.my_course_ids())::uuid[])
                or (select private.has_role('moderator'))
            )
    )
);

create policy lesson_gates_insert_creator on public.lesson_gates for insert to authenticated
with check (course_id = any((select private.my_taught_course_ids())::uuid[]) and (select private.has_role('teacher')));

create policy lesson_gates_update_creator on public.lesson_gates for update to authenticated
using (course_id = any((select private.my_taught_course_ids())::uuid[]) and (select private.has_role('teacher')))
with check (course_id = any((select private.my_taught_course_ids())::uuid[]) and (select private.has_role('teacher')));

create policy lesson_gates_delete_creator on public.lesson_gates for delete to authenticated
using (course_id = any((select private.my_taught_course_ids())::uuid[]) and (select private.has_role('teacher')));

grant select on public.lesson_gates to anon, authenticated;
-- lesson_id is updatable because an upsert sets it; the database sets course_id
grant
insert (lesson_id, after_days, after_lesson_id, after_quiz_id),
update (lesson_id, after_days, after_lesson_id, after_quiz_id),
delete
on public.lesson_gates to authenticated;
grant select, insert, update, delete on public.lesson_gates to service_role;
