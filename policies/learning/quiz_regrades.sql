select private.close_table('public.quiz_regrades');

create policy quiz_regrades_select_creator on public.quiz_regrades for select to authenticated
using (
    course_id = any((select private.my_taught_course_ids())::uuid[])
    or (select private.has_role('moderator'))
);

grant select on public.quiz_regrades to authenticated, service_role;
-- not for students: the reason may say which answer is right, to those who have attempts left
-- no insert, update or delete: regrade_question and the worker write it
