-- Learning: grading an attempt, with its certificate and completion in one transaction; and the feedback on it.

insert into private.errors (token, status, meaning, hint, detail)
values
(
    'attempt_in_progress', 409,
    'The attempt has not been submitted yet.',
    'Submit it with submit_quiz.',
    null
),
(
    'quiz_not_started', 409,
    'No attempt at this quiz is in progress.',
    'Begin one with start_quiz; attempt_questions shows its questions.',
    null
);

create function private.judge_attempt(p_attempt public.quiz_attempts, p_record private.quiz_attempt_records)
returns private.quiz_attempt_records
language plpgsql
stable
set search_path = ''
as $$
begin
    select
        array_agg(m.points order by m.position),
        array_agg(m.max_points order by m.position),
        array_agg(m.is_correct order by m.position)
    into p_record.points, p_record.max_points, p_record.is_correct
    from (
        select i.position, coalesce(k.points, a.points) as max_points,
            case
                when k.id is null then a.points
                when s.score > 0 then trunc(k.points * s.score, 2)
                when s.score = 0 then -trunc(k.points * p_attempt.penalty_percent / 100.0, 2)
                else 0
            end as points,
            case when k.id is null then true else s.score = 1 end as is_correct
        from unnest(p_record.asked_version_ids, p_record.key_version_ids)
            with ordinality as i (asked_id, key_id, position)
        join private.quiz_question_versions as a on a.id = i.asked_id
        left join private.quiz_question_versions as k on k.id = i.key_id
        left join private.score_answers(
            p_record.key_version_ids, p_attempt.answers, p_attempt.has_partial_credit
        ) as s on s.version_id = i.key_id
    ) as m;
    return p_record;
end
$$;
comment on function private.judge_attempt(public.quiz_attempts, private.quiz_attempt_records) is
'The record of an attempt with its answers judged by the keys of the record.';

create function private.record_pass(p_attempt public.quiz_attempts, p_is_certifying boolean) returns void
language plpgsql
set search_path = ''
as $$
declare
    v_enrolment public.enrolments;
begin
    -- The clock and a regrade find students who were cancelled, or whose course or account was closed, since.
    select e.* into v_enrolment
    from public.enrolments as e
    join public.courses as c on c.id = e.course_id and c.status <> 'suspended'
    join public.accounts as a on a.user_id = e.student_id and a.status in ('active', 'suspended')
    where e.id = p_attempt.enrolment_id and e.status <> 'cancelled' and e.access <> 'refunded';
    if not found then
        return;
    end if;
    if p_is_certifying then
        perform private.issue_certificate(v_enrolment, p_attempt.id);
    end if;
    perform private.sync_completion(v_enrolment.id);
end
$$;
comment on function private.record_pass(public.quiz_attempts, boolean) is
'What an attempt that passes gives: the certificate of the course where the quiz certifies, and completion. Nothing to a
student whose enrolment was cancelled or refunded, whose course was suspended, or whose account was banned or deleted
meanwhile.';

create function private.hand_in(
    p_attempt public.quiz_attempts, p_quiz public.quizzes, p_answers jsonb, p_submission_key uuid
)
returns public.quiz_attempts
language plpgsql
set search_path = ''
as $$
declare
    v_is_late boolean := private.is_overdue(p_attempt);
    v_record private.quiz_attempt_records;
    v_attempt public.quiz_attempts;
begin
    if not v_is_late then
        p_attempt.answers := p_answers;
    end if;
    select r.* into v_record from private.quiz_attempt_records as r where r.attempt_id = p_attempt.id;
    v_record := private.judge_attempt(p_attempt, v_record);
    update private.quiz_attempt_records as r
    set points = v_record.points, max_points = v_record.max_points, is_correct = v_record.is_correct
    where r.attempt_id = p_attempt.id;
    update public.quiz_attempts as a
    set
        status = case when v_is_late then 'expired' else 'submitted' end::public.attempt_status,
        submitted_at = case when v_is_late then a.expires_at else now() end,
        submission_key = p_submission_key,
        answers = p_attempt.answers,
        points = (select trim_scale(greatest(0, sum(p.points))) from unnest(v_record.points) as p (points)),
        max_points = (select sum(p.points) from unnest(v_record.max_points) as p (points))
    where a.id = p_attempt.id
    returning a.* into v_attempt;
    if v_attempt.is_passed then
        perform private.record_pass(v_attempt, p_quiz.is_certifying);
    end if;
    return v_attempt;
end
$$;
comment on function private.hand_in(public.quiz_attempts, public.quizzes, jsonb, uuid) is
'Hands in an attempt in progress with these answers, or, where it is overdue, with those that were saved in time, and
grades it by what it was asked. Its caller has locked the quiz and the enrolment.';

create function private.grade_quiz(p_quiz_id uuid, p_answers jsonb, p_submission_key uuid)
returns public.quiz_attempts
language plpgsql
security definer -- clients may not read keys, nor write attempts and certificates
set search_path = ''
as $$
declare
    v_caller uuid := private.require_active();
    v_quiz public.quizzes := private.lock_quiz_for(p_quiz_id, v_caller);
    v_enrolment public.enrolments;
    v_attempt public.quiz_attempts;
begin
    -- Refuses a missing quiz like one of a course that is closed to the caller.
    v_enrolment := private.require_open_enrolment(v_quiz.course_id, v_caller);

    select a.* into v_attempt from public.quiz_attempts as a
    where a.enrolment_id = v_enrolment.id and a.quiz_id = p_quiz_id and a.submission_key = p_submission_key;
    if found then
        return v_attempt;
    end if;

    select a.* into v_attempt from public.quiz_attempts as a
    where a.enrolment_id = v_enrolment.id and a.quiz_id = p_quiz_id and a.status = 'in_progress';
    if not found then
        if v_quiz.time_limit_seconds is not null or v_quiz.question_count is not null then
            -- The clock may have handed in the last attempt before this submission of it arrived.
            update public.quiz_attempts as a
            set submission_key = p_submission_key
            where a.id = (
                select l.id from public.quiz_attempts as l
                where l.enrolment_id = v_enrolment.id and l.quiz_id = p_quiz_id
                order by l.attempt_number desc limit 1
            ) and a.status = 'expired' and a.submission_key is null
            returning a.* into v_attempt;
            if found then
                return v_attempt;
            end if;
            perform private.refuse('quiz_not_started');
        end if;
        v_attempt := private.begin_attempt(v_quiz, v_enrolment);
    end if;
    return private.hand_in(v_attempt, v_quiz, private.merged_answers(v_attempt, p_answers), p_submission_key);
end
$$;
comment on function private.grade_quiz(uuid, jsonb, uuid) is
'Submits the answers of the caller, laid over those that were saved, and grades them. The same submission key returns
the same attempt. Raises not_enrolled (403), attempts_exhausted, quiz_empty or quiz_not_started (409), answers_too_large
(413), answers_invalid (422).';

create function private.hand_in_overdue_attempt(p_attempt_id uuid) returns void
language plpgsql
set search_path = ''
as $$
declare
    v_quiz public.quizzes;
    v_attempt public.quiz_attempts;
begin
    select a.* into v_attempt from public.quiz_attempts as a where a.id = p_attempt_id;
    v_quiz := private.lock_quiz_for(v_attempt.quiz_id, v_attempt.student_id);
    perform from public.enrolments as e where e.id = v_attempt.enrolment_id for no key update;
    -- Again: the student may have submitted it meanwhile.
    select a.* into v_attempt from public.quiz_attempts as a where a.id = p_attempt_id;
    if private.is_overdue(v_attempt) then
        perform private.hand_in(v_attempt, v_quiz, v_attempt.answers, null);
    end if;
end
$$;
comment on function private.hand_in_overdue_attempt(uuid) is
'Hands in the saved answers of an attempt whose time is over; does nothing to any other.';

create function private.lapse__attempts() returns bigint
language plpgsql
set search_path = ''
as $$
declare
    v_attempt_id uuid;
begin
    select a.id into v_attempt_id from public.quiz_attempts as a
    -- The answers that a page sends in the last second arrive first.
    where a.status = 'in_progress' and a.expires_at < now() - interval '10 seconds'
    order by random() -- one that cannot be handed in does not keep the others
    limit 1;
    if not found then
        return 0;
    end if;
    perform private.hand_in_overdue_attempt(v_attempt_id);
    return 1;
end
$$;
comment on function private.lapse__attempts() is
'Hands in the saved answers of one attempt whose time is over: one at a time, in the order of catalog_locks. Returns the
number.';

-- By hand: answers the attempt without what its student must not see, and makes a key where none is sent.
create function public.submit_quiz(quiz_id uuid, answers jsonb default '{}', submission_key uuid default null)
returns jsonb
language plpgsql
set search_path = ''
as $$
declare
    v_attempt public.quiz_attempts;
begin
    v_attempt := private.grade_quiz(
        submit_quiz.quiz_id, submit_quiz.answers, coalesce(submit_quiz.submission_key, gen_random_uuid())
    );
    return to_jsonb(v_attempt) - 'answers' - 'question_ids' || jsonb_build_object('certificate', (
        select jsonb_build_object('id', c.id, 'code', c.code, 'status', c.status)
        from public.certificates as c
        where c.student_id = v_attempt.student_id and c.course_id = v_attempt.course_id
    ));
end
$$;
comment on function public.submit_quiz(uuid, jsonb, uuid) is
'Submits answers to a quiz: {"<question id>": answer}, each as the comment of quiz_questions.kind says; others count as
not answered. They are laid over those of save_answers, so that answers may be left out; null takes one back. Submits
the attempt that start_quiz began; without one, a new attempt, if the quiz has neither a time limit nor drawn questions.
Returns the graded attempt (points, max_points, is_passed, ...) with certificate: {id, code, status} or null; after
expires_at the expired attempt, graded by the answers that were saved in time. Repeat a request with the same
submission_key: it counts once. For students of the course. Raises account_inactive or not_enrolled (403),
attempts_exhausted, quiz_empty or quiz_not_started (409), answers_too_large (413), answers_invalid (422).';

create function private.attempt_feedback(p_attempt_id uuid)
returns table (
    question_id uuid, "position" bigint, -- noqa: RF06
    kind public.question_kind, prompt text, options jsonb, answer jsonb, is_answer_valid boolean,
    points numeric, max_points integer, is_correct boolean, correct_answer jsonb, explanation text
)
language plpgsql
stable
security definer -- clients may not read keys
set search_path = ''
as $$
declare
    v_attempt public.quiz_attempts := private.require_readable_attempt(p_attempt_id);
    v_record private.quiz_attempt_records;
    v_quiz public.quizzes;
    v_feedback public.quiz_feedback := 'answers_at_once'; -- for creators and admins, who may read the keys
    v_shows_answers boolean;
begin
    select r.* into v_record from private.quiz_attempt_records as r where r.attempt_id = p_attempt_id;
    if v_attempt.status = 'in_progress' then
        if not private.is_overdue(v_attempt) then
            perform private.refuse('attempt_in_progress');
        end if;
        -- As the worker hands it in within a minute.
        v_record := private.judge_attempt(v_attempt, v_record);
    end if;
    select q.* into v_quiz from public.quizzes as q where q.id = v_attempt.quiz_id;
    if v_attempt.student_id = (select auth.uid()) then
        v_feedback := v_quiz.feedback;
    end if;
    v_shows_answers := v_feedback = 'answers_at_once' or (v_feedback = 'answers' and (
        select bool_or(a.is_passed)
            or (count(*) >= v_quiz.attempt_limit and bool_and(a.status <> 'in_progress' or private.is_overdue(a)))
        from public.quiz_attempts as a
        where a.enrolment_id = v_attempt.enrolment_id and a.quiz_id = v_attempt.quiz_id
    ));
    return query
    select q.question_id, i.position, q.kind, q.prompt,
        private.shown_options(p_attempt_id, q.question_id, q.options, v_quiz.is_shuffled),
        v_attempt.answers -> q.question_id::text,
        case when v_attempt.answers ? q.question_id::text then i.is_correct is not null end,
        case when v_feedback <> 'none' then trim_scale(i.points) end,
        i.max_points,
        case when v_feedback <> 'none' then coalesce(i.is_correct, false) end,
        case when v_shows_answers then k.answer end,
        case when v_shows_answers then k.explanation end
    from unnest(
        v_record.asked_version_ids, v_record.key_version_ids, v_record.points, v_record.max_points, v_record.is_correct
    ) with ordinality as i (asked_id, key_id, points, max_points, is_correct, position)
    join private.quiz_question_versions as q on q.id = i.asked_id
    left join private.quiz_question_versions as k on k.id = i.key_id
    order by i.position;
end
$$;
comment on function private.attempt_feedback(uuid) is
'The answers of an attempt that was handed in, one row a question, beside what was asked and what was right then;
later changes of the quiz show only after a regrade. is_answer_valid is false where the answer does not fit the kind of
the question, which counts as no answer; null where there is none. points and is_correct are null where quizzes.feedback
is none; correct_answer and explanation are null unless it is answers_at_once, or answers and the student has passed the
quiz or has no attempt left, and where a regrade gave everybody the points. For the student of the attempt; the creator
of the course and admins see everything. Raises attempt_not_found (404), attempt_in_progress (409).';
