-- Learning: what of a course is copied with it.

create function private.copy_course__200_quizzes(p_course_id uuid, p_copy_id uuid) returns void
language plpgsql
set search_path = ''
as $$
begin
    if (select count(*) from public.quiz_questions as q where q.course_id = p_course_id) > 10000 then
        perform private.refuse('course_too_large', '10,000 questions');
    end if;
    insert into public.quizzes (
        id, course_id, title, description, pass_percent, attempt_limit, time_limit_seconds, question_count, is_shuffled,
        has_partial_credit, penalty_percent, feedback, is_certifying, created_at
    )
    select private.copied_id(q.id, p_copy_id), p_copy_id, q.title, q.description, q.pass_percent, q.attempt_limit,
        q.time_limit_seconds, q.question_count, q.is_shuffled, q.has_partial_credit, q.penalty_percent, q.feedback,
        -- Lists of quizzes are ordered by it.
        q.is_certifying, q.created_at
    from public.quizzes as q
    where q.course_id = p_course_id;
    insert into public.quiz_questions (id, quiz_id, course_id, kind, prompt, options, points, position)
    select private.copied_id(q.id, p_copy_id), private.copied_id(q.quiz_id, p_copy_id), p_copy_id, q.kind, q.prompt,
        q.options, q.points, q.position
    from public.quiz_questions as q
    where q.course_id = p_course_id;
    insert into private.quiz_answer_keys (question_id, answer, explanation)
    select private.copied_id(k.question_id, p_copy_id), k.answer, k.explanation
    from public.quiz_questions as q
    join private.quiz_answer_keys as k on k.question_id = q.id
    where q.course_id = p_course_id;
end
$$;
comment on function private.copy_course__200_quizzes(uuid, uuid) is
'Copies quizzes, their questions and keys. Raises course_too_large (422).';

create function private.copy_course__210_gates(p_course_id uuid, p_copy_id uuid) returns void
language sql
set search_path = ''
as $$
    insert into public.lesson_gates (lesson_id, after_days, after_lesson_id, after_quiz_id)
    select private.copied_id(g.lesson_id, p_copy_id), g.after_days, private.copied_id(g.after_lesson_id, p_copy_id),
        private.copied_id(g.after_quiz_id, p_copy_id)
    from public.lesson_gates as g
    where g.course_id = p_course_id
$$;
comment on function private.copy_course__210_gates(uuid, uuid) is 'Copies the gates of lessons.';
