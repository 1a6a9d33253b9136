select private.close_table('public.quiz_attempt_regrades');

create policy quiz_attempt_regrades_select_party on public.quiz_attempt_regrades for select to authenticated
using (
    student_id = (select auth.uid())
    or course_id = any((select private.my_taught_course_ids())::uuid[])
    or (select private.has_role('moderator'))
);

grant select on public.quiz_attempt_regrades to authenticated, service_role;
-- no insert, update or delete: the worker writes it
