-- Learning: grading, in one transaction: the attempt, the certificate, the completion.

create function private.is_right(p_kind public.question_kind, p_key jsonb, p_answer jsonb) returns boolean
language sql
immutable
set search_path = ''
as $$
    select coalesce(
        case p_kind
            -- As sets: the order and repetition of ids do not matter.
            when 'multiple' then jsonb_typeof(p_answer) = 'array' and p_key @> p_answer and p_answer @> p_key
            else p_key = p_answer
        end,
        false
    )
$$;
comment on function private.is_right(public.question_kind, jsonb, jsonb) is
'Whether an answer is the key; false for a missing answer or one of the wrong kind.';

create function private.grade_quiz_and_issue_certificate(p_quiz_id uuid, p_answers jsonb, p_submission_key uuid)
returns public.quiz_attempts
language plpgsql
security definer -- reads the keys and writes conclusions; whose they are, is taken from the token
set search_path = ''
as $$
declare
    v_caller uuid := private.require_active();
    v_quiz public.quizzes;
    v_enrolment public.enrolments;
    v_attempt public.quiz_attempts;
    v_attempts integer;
begin
    select q.* into v_quiz from public.quizzes as q where q.id = p_quiz_id;
    -- A quiz that is not there and one of a course that is closed to the caller are refused alike.
    v_enrolment := private.require_open_enrolment(v_quiz.course_id, v_caller);

    select a.* into v_attempt from public.quiz_attempts as a
    where a.enrolment_id = v_enrolment.id and a.quiz_id = p_quiz_id and a.submission_key = p_submission_key;
    if found then
        return v_attempt;
    end if;

    if jsonb_typeof(p_answers) is distinct from 'object' or exists (
        select from jsonb_object_keys(p_answers) as k (id)
        where not exists (select from public.quiz_questions as q where q.quiz_id = p_quiz_id and q.id::text = k.id)
    ) then
        raise sqlstate 'PT422' using
            message = 'answers_invalid',
            detail = 'Answers are an object whose keys are ids of questions of this quiz.',
            hint = 'Read quiz_questions again: the quiz may have changed.';
    end if;
    v_attempts := (
        select count(*)::integer from public.quiz_attempts as a
        where a.enrolment_id = v_enrolment.id and a.quiz_id = p_quiz_id
    );
    if v_attempts >= v_quiz.attempt_limit then
        raise sqlstate 'PT409' using
            message = 'attempts_exhausted',
            detail = format('This quiz may be tried %s times.', v_quiz.attempt_limit),
            hint = 'Ask the creator of the course.';
    end if;

    insert into public.quiz_attempts as a (
        quiz_id, course_id, enrolment_id, student_id, submission_key, attempt_number, answers, points, max_points,
        pass_percent
    )
    select v_quiz.id, v_quiz.course_id, v_enrolment.id, v_caller, p_submission_key, v_attempts + 1, p_answers,
        coalesce(sum(q.points) filter (where private.is_right(q.kind, k.answer, p_answers -> q.id::text)), 0),
        sum(q.points),
        v_quiz.pass_percent
    from public.quiz_questions as q
    join private.quiz_answer_keys as k on k.question_id = q.id
    where q.quiz_id = p_quiz_id
    having count(*) > 0
    returning a.* into v_attempt;
    if not found then
        raise sqlstate 'PT409' using
            message = 'quiz_empty',
            detail = 'This quiz has no questions yet.',
            hint = 'Try again when its creator has added some.';
    end if;

    if v_attempt.is_passed then
        if v_quiz.is_certifying then
            perform private.issue_certificate(v_enrolment, v_attempt.id);
        end if;
        perform private.settle_completion(v_enrolment.id);
    end if;
    return v_attempt;
end
$$;
comment on function private.grade_quiz_and_issue_certificate(uuid, jsonb, uuid) is
'Grades the caller''s answers, records the attempt, and where it passes the certifying quiz issues the certificate: one
transaction. The same submission key again answers the same attempt. Raises PT403 not_enrolled, PT409
attempts_exhausted or quiz_empty, PT422 answers_invalid.';

create function public.submit_quiz(quiz_id uuid, answers jsonb, submission_key uuid default null) returns jsonb
language plpgsql
set search_path = ''
as $$
declare
    v_attempt public.quiz_attempts;
begin
    v_attempt := private.grade_quiz_and_issue_certificate(
        submit_quiz.quiz_id, submit_quiz.answers, coalesce(submit_quiz.submission_key, gen_random_uuid())
    );
    return to_jsonb(v_attempt) - 'answers' || jsonb_build_object('certificate', (
        select jsonb_build_object('id', c.id, 'code', c.code, 'status', c.status)
        from public.certificates as c
        where c.student_id = v_attempt.student_id and c.course_id = v_attempt.course_id
    ));
end
$$;
comment on function public.submit_quiz(uuid, jsonb, uuid) is
'Hands in a quiz: answers {"<question id>": answer}. Answers the graded attempt (points, max_points, is_passed, ...) and
the course''s certificate, if there is one. Send the same submission_key when a request is repeated: it counts as one
attempt. For students of the course. Raises account_inactive or not_enrolled (403), attempts_exhausted or quiz_empty
(409), answers_invalid (422).';
