select private.close_table('public.quiz_attempts');

create policy quiz_attempts_select_party on public.quiz_attempts for select to authenticated
using (
    student_id = (select auth.uid())
    or course_id = any((select private.my_taught_course_ids())::uuid[])
    or (select private.has_role('moderator'))
);

grant select on public.quiz_attempts to authenticated, service_role;
-- no insert, update or delete: start_quiz and submit_quiz write it
