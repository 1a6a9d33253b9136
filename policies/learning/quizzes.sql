select private.close_table('public.quizzes');

create policy quizzes_select_anon on public.quizzes for select to anon
using (exists (select from public.courses as c where c.id = quizzes.course_id));

-- Less than the course itself, of which students read the row after it has closed to them.
create policy quizzes_select_authenticated on public.quizzes for select to authenticated
using (
    exists (
        select from public.courses as c
        where
            c.id = quizzes.course_id
            and (
                c.status = 'published'
                or c.creator_id = (select auth.uid())
                or c.id = any((select private.my_course_ids())::uuid[])
                or (select private.has_role('moderator'))
            )
    )
);

create policy quizzes_insert_creator on public.quizzes for insert to authenticated
with check (course_id = any((select private.my_taught_course_ids())::uuid[]) and (select private.has_role('teacher')));

create policy quizzes_update_creator on public.quizzes for update to authenticated
using (course_id = any((select private.my_taught_course_ids())::uuid[]) and (select private.has_role('teacher')))
with check (course_id = any((select private.my_taught_course_ids())::uuid[]) and (select private.has_role('teacher')));

create policy quizzes_delete_creator on public.quizzes for delete to authenticated
using (course_id = any((select private.my_taught_course_ids())::uuid[]) and (select private.has_role('teacher')));

grant select on public.quizzes to anon, authenticated;
-- a quiz stays in its course
grant
insert (
    course_id, title, description, pass_percent, attempt_limit, time_limit_seconds, question_count, is_shuffled,
    has_partial_credit, penalty_percent, feedback, is_certifying
),
update (
    title, description, pass_percent, attempt_limit, time_limit_seconds, question_count, is_shuffled,
    has_partial_credit, penalty_percent, feedback, is_certifying
),
delete
on public.quizzes to authenticated;
grant select, insert, update, delete on public.quizzes to service_role;
