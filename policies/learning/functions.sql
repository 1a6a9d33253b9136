-- The API of learning: each function, the roles that may call it, and its tier of rate limits.

select private.expose('private.apply_as_student_teacher(uuid, text)', '{authenticated}', 'standard');
select private.expose('private.decide_student_teacher(uuid, boolean, text)', '{authenticated}', 'standard');
select private.expose('private.revoke_student_teacher(uuid, text)', '{authenticated}', 'standard');
select private.expose('private.withdraw_as_student_teacher(uuid)', '{authenticated}', 'standard');
select private.expose('private.enrol(uuid)', '{authenticated}', 'standard');
select private.expose('private.leave_course(uuid)', '{authenticated}', 'standard');
select private.expose('private.record_progress(uuid, integer, boolean)', '{authenticated}', 'generous');
select private.expose('private.intro_courses_taken()', '{authenticated}', 'standard');
select private.expose('private.course_access(uuid)', '{authenticated}', 'standard');
select private.expose('private.assign_student_teacher(uuid, uuid)', '{authenticated}', 'standard');
select private.expose('private.choose_student_teacher(uuid)', '{authenticated}', 'standard');
select private.expose('private.student_teacher_dashboard()', '{authenticated}', 'standard');
select private.expose(
    'private.save_quiz_question(uuid, public.question_kind, text, jsonb, jsonb, smallint, text, uuid)',
    '{authenticated}', 'standard'
);
select private.expose('private.save_quiz_questions(uuid, jsonb)', '{authenticated}', 'standard');
select private.expose('private.reorder_quiz_questions(uuid, uuid[])', '{authenticated}', 'standard');
select private.expose('private.quiz_answer_keys(uuid)', '{authenticated}', 'standard');
select private.expose('private.start_quiz(uuid)', '{authenticated}', 'standard');
select private.expose('private.attempt_questions(uuid)', '{authenticated}', 'standard');
select private.expose('private.save_answers(uuid, jsonb)', '{authenticated}', 'generous');
select private.expose('private.regrade_question(uuid, uuid, text, boolean)', '{authenticated}', 'standard');
select private.expose('private.verify_certificate(text)', '{anon, authenticated, service_role}', 'standard');
select private.expose('private.recommend_certificate(uuid, text)', '{authenticated}', 'standard');
select private.expose(
    'private.issue_recommended_certificate(uuid, text)',
    '{authenticated}', 'standard', 'issue_certificate'
);
select private.expose('private.reject_certificate(uuid, text)', '{authenticated}', 'standard');
select private.expose('private.award_certificate(uuid, text)', '{authenticated}', 'strict');
select private.expose('private.revoke_certificate(uuid, text)', '{authenticated}', 'strict');
select private.expose('private.reinstate_certificate(uuid, text)', '{authenticated}', 'strict');
select private.expose('private.request_certificate_reissue(uuid, text)', '{authenticated}', 'standard');
select private.expose('private.decide_certificate_reissue(uuid, boolean, text)', '{authenticated}', 'standard');
select private.expose('private.attempt_feedback(uuid)', '{authenticated}', 'standard');
select private.expose('private.send_enrolment_mail(uuid, uuid)', '{authenticated}', 'standard');
select private.expose('private.enrol_student_manually(uuid, uuid, timestamptz)', '{authenticated}', 'strict');
select private.expose('private.enrol_list(uuid, text[], timestamptz)', '{authenticated}', 'strict');
select private.expose('private.accept_course_invitation(uuid)', '{authenticated}', 'standard');
select private.expose('private.update_enrolment(uuid, timestamptz)', '{authenticated}', 'strict');
select private.expose('private.lift_enrolment_bar(uuid)', '{authenticated}', 'strict');
select private.expose('private.cancel_enrolment(uuid, text)', '{authenticated}', 'strict');
select private.expose('private.force_complete_enrolment(uuid)', '{authenticated}', 'strict');
select private.expose('private.delete_enrolment(uuid)', '{authenticated}', 'strict');
select private.expose(
    'private.export_enrolments(text,uuid,public.enrolment_status,boolean,timestamptz,timestamptz,public.access_state)',
    '{authenticated}', 'strict'
);
select private.expose('public.search_certificates(text)', '{authenticated}', 'standard');
select private.expose('public.submit_quiz(uuid, jsonb, uuid)', '{authenticated}', 'standard');
select private.expose('public.resume_point(uuid)', '{authenticated}', 'standard');
select private.expose('public.search_students(text)', '{authenticated}', 'standard');
select private.expose('public.creator_dashboard()', '{authenticated}', 'standard');
select private.expose('public.export_students(uuid, public.enrolment_status)', '{authenticated}', 'standard');
select private.expose('private.review_course(uuid, smallint, text)', '{authenticated}', 'standard');
select private.expose('private.reply_to_review(uuid, text)', '{authenticated}', 'standard');
select private.expose('private.hide_review(uuid, text)', '{authenticated}', 'strict');

-- Helpers of policies and triggers, and what the edge and the worker call.
grant execute on function private.find_certificates(text) to authenticated;

-- no grant of private.enrol_student: its callers decide who may enrol

grant execute on function private.find_students(text) to authenticated;
-- creator_dashboard runs as its caller
grant execute on function private.dashboard_parts(text) to authenticated;
-- export_students runs as its caller, and so do the functions that make its file
grant execute on function private.student_csv_line(public.course_students) to authenticated;
grant execute on function private.student_csv_file(text, text[], text) to authenticated;

grant execute on function private.my_course_ids() to authenticated, service_role;
grant execute on function private.my_enrolled_course_ids() to authenticated, service_role;

grant execute on function private.my_invitation_names() to authenticated, service_role;

grant execute on function private.my_sealed_quiz_ids() to authenticated, service_role;

grant execute on function private.grade_quiz(uuid, jsonb, uuid) to authenticated;

grant execute on function private.regrade_next_attempt(uuid) to worker;

grant execute on function private.my_student_teacher_ids() to authenticated, service_role;
grant execute on function private.my_assigned_enrolment_ids() to authenticated, service_role;
grant execute on function private.my_chosen_student_teacher_ids() to authenticated, service_role;
