grant execute on function private.my_sealed_quiz_ids() to authenticated, service_role;

grant execute on function private.save_quiz_question(
    uuid, uuid, public.question_kind, text, jsonb, jsonb, smallint, text
) to authenticated;
grant execute on function public.save_quiz_question(
    uuid, public.question_kind, text, jsonb, jsonb, smallint, text, uuid
) to authenticated;
grant execute on function private.save_quiz_questions(uuid, jsonb) to authenticated;
grant execute on function public.save_quiz_questions(uuid, jsonb) to authenticated;
grant execute on function private.reorder_quiz_questions(uuid, uuid[]) to authenticated;
grant execute on function public.reorder_quiz_questions(uuid, uuid[]) to authenticated;
grant execute on function private.quiz_answer_keys(uuid) to authenticated;
grant execute on function public.quiz_answer_keys(uuid) to authenticated;

grant execute on function private.start_quiz(uuid) to authenticated;
grant execute on function public.start_quiz(uuid) to authenticated;
grant execute on function private.attempt_questions(uuid) to authenticated;
grant execute on function public.attempt_questions(uuid) to authenticated;
grant execute on function private.grade_quiz_and_issue_certificate(uuid, jsonb, uuid) to authenticated;
grant execute on function public.submit_quiz(uuid, jsonb, uuid) to authenticated;
grant execute on function private.attempt_feedback(uuid) to authenticated;
grant execute on function public.attempt_feedback(uuid) to authenticated;
