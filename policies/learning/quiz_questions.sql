select private.close_table('public.quiz_questions');

create policy quiz_questions_select_party on public.quiz_questions for select to authenticated
using (
    (
        course_id = any((select private.my_course_ids())::uuid[])
        and quiz_id <> all((select private.my_sealed_quiz_ids())::uuid[])
    )
    or course_id = any((select private.my_taught_course_ids())::uuid[])
    or (select private.has_role('moderator'))
);

create policy quiz_questions_delete_creator on public.quiz_questions for delete to authenticated
using (course_id = any((select private.my_taught_course_ids())::uuid[]) and (select private.has_role('teacher')));

grant select, delete on public.quiz_questions to authenticated;
grant select on public.quiz_questions to service_role;
-- no insert or update: save_quiz_question writes a question together with its key
