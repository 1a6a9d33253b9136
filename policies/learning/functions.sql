grant execute on function private.my_course_ids() to authenticated, service_role;

grant execute on function private.enrol(uuid) to authenticated;
grant execute on function public.enrol(uuid) to authenticated;
grant execute on function private.record_progress(uuid, integer, boolean) to authenticated;
grant execute on function public.record_progress(uuid, integer, boolean) to authenticated;

grant execute on function private.save_quiz_question(
    uuid, uuid, public.question_kind, text, jsonb, jsonb, smallint, text
) to authenticated;
grant execute on function public.save_quiz_question(
    uuid, public.question_kind, text, jsonb, jsonb, smallint, text, uuid
) to authenticated;
grant execute on function private.quiz_answer_keys(uuid) to authenticated;
grant execute on function public.quiz_answer_keys(uuid) to authenticated;

grant execute on function private.grade_quiz_and_issue_certificate(uuid, jsonb, uuid) to authenticated;
grant execute on function public.submit_quiz(uuid, jsonb, uuid) to authenticated;
grant execute on function private.verify_certificate(text) to anon, authenticated, service_role;
grant execute on function public.verify_certificate(text) to anon, authenticated, service_role;
