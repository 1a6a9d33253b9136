-- Learning: grading, in one transaction: the attempt, the certificate, the completion; and what a student learns of it.

create function private.given_answer(p_kind public.question_kind, p_answer jsonb) returns jsonb
language sql
immutable
set search_path = ''
as $$
    select case
        when case p_kind
            when 'single' then jsonb_typeof(p_answer) = 'string' and char_length(p_answer #>> '{}') <= 40
            when 'multiple' then jsonb_typeof(p_answer) = 'array' and p_answer <> '[]' and not exists (
                select from jsonb_array_elements(p_answer) as a (item)
                where jsonb_typeof(a.item) <> 'string' or char_length(a.item #>> '{}') > 40
            )
            when 'true_false' then jsonb_typeof(p_answer) = 'boolean'
            when 'numeric' then private.is_sane_number(p_answer)
            when 'short_text' then jsonb_typeof(p_answer) = 'string'
                and char_length(p_answer #>> '{}') between 1 and 1000
        end then p_answer
    end
$$;
comment on function private.given_answer(public.question_kind, jsonb) is
'An answer to a question of this kind; null where it is none, which counts as not given.';

create function private.right_share(
    p_kind public.question_kind, p_key jsonb, p_answer jsonb, p_has_partial_credit boolean
)
returns numeric
language sql
immutable
set search_path = ''
as $$
    select case p_kind
        -- As sets: the order and repetition of ids do not matter.
        when 'multiple' then case
            when p_key @> p_answer and p_answer @> p_key then 1
            when p_has_partial_credit then (
                select greatest(0, sum(case when p_key @> c.id then 1 else -1 end))::numeric
                from (select distinct a.item as id from jsonb_array_elements(p_answer) as a (item)) as c
            ) / (select count(distinct k.item) from jsonb_array_elements(p_key) as k (item))
            else 0
        end
        when 'numeric' then (p_answer between p_key -> 'min' and p_key -> 'max')::integer
        when 'short_text' then exists (
            select from jsonb_array_elements_text(p_key) as k (item)
            where private.normalise_text(k.item) = private.normalise_text(p_answer #>> '{}')
        )::integer
        else (p_key = p_answer)::integer
    end
$$;
comment on function private.right_share(public.question_kind, jsonb, jsonb, boolean) is
'How much of a question is right, 0 to 1: an answer of its kind beside the key; null for none.';

create function private.grade_attempt(
    p_attempt public.quiz_attempts, p_quiz public.quizzes, p_answers jsonb, p_submission_key uuid
)
returns public.quiz_attempts
language plpgsql
set search_path = ''
as $$
declare
    v_is_late boolean := private.is_overdue(p_attempt);
    v_graded record;
    v_attempt public.quiz_attempts;
begin
    select
        array_agg(m.id order by m.place) as question_ids,
        coalesce(jsonb_object_agg(m.id, m.answer) filter (where m.answer is not null), '{}') as answers,
        trim_scale(greatest(0, sum(m.brought))) as points,
        sum(m.points) as max_points,
        array_agg(m.brought order by m.place) as brought,
        array_agg(coalesce(m.share = 1, false) order by m.place) as is_right
    into v_graded
    from (
        select s.*, case
            when s.share > 0 then trunc(s.points * s.share, 2)
            when s.share = 0 then -trunc(s.points * p_quiz.penalty_percent / 100.0, 2)
            else 0
        end as brought
        from (
            select g.*, private.right_share(g.kind, g.key, g.answer, p_quiz.has_partial_credit) as share
            from (
                select i.place, q.id, q.kind, q.points, k.answer as key,
                    private.given_answer(q.kind, p_answers -> q.id::text) as answer
                from unnest(p_attempt.question_ids) with ordinality as i (id, place)
                join public.quiz_questions as q on q.id = i.id
                join private.quiz_answer_keys as k on k.question_id = q.id
                offset 0 -- else each answer would be looked up wherever it is used
            ) as g
            offset 0
        ) as s
    ) as m;
    if v_graded.question_ids is null then
        raise sqlstate 'PT409' using
            message = 'quiz_empty',
            detail = 'None of the questions is there any more.',
            hint = 'Begin another attempt when the creator has added some.';
    end if;
    update public.quiz_attempts as a
    set
        status = case when v_is_late then 'expired' else 'submitted' end::public.attempt_status,
        submitted_at = now(),
        submission_key = p_submission_key,
        question_ids = v_graded.question_ids,
        answers = v_graded.answers,
        points = case when v_is_late then 0 else v_graded.points end,
        max_points = v_graded.max_points
    where a.id = p_attempt.id
    returning a.* into v_attempt;
    if not v_is_late then
        insert into private.quiz_attempt_points (attempt_id, points, is_right)
        values (v_attempt.id, v_graded.brought, v_graded.is_right);
    end if;
    return v_attempt;
end
$$;
comment on function private.grade_attempt(public.quiz_attempts, public.quizzes, jsonb, uuid) is
'Grades the answers of an attempt under way against the keys as they are now, or where it is overdue, ends it without
points. Questions that are there no more do not count. Raises PT409 quiz_empty.';

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
begin
    select q.* into v_quiz from public.quizzes as q where q.id = p_quiz_id;
    -- A quiz that is not there and one of a course that is closed to the caller are refused alike.
    v_enrolment := private.require_open_enrolment(v_quiz.course_id, v_caller);

    select a.* into v_attempt from public.quiz_attempts as a
    where a.enrolment_id = v_enrolment.id and a.quiz_id = p_quiz_id and a.submission_key = p_submission_key;
    if found then
        return v_attempt;
    end if;

    select a.* into v_attempt from public.quiz_attempts as a
    where a.enrolment_id = v_enrolment.id and a.quiz_id = p_quiz_id and a.status = 'under_way';
    if not found then
        if v_quiz.time_limit_seconds is not null or v_quiz.question_count is not null then
            raise sqlstate 'PT409' using
                message = 'quiz_not_started',
                detail = 'No attempt at this quiz is under way.',
                hint = 'Begin one with start_quiz; attempt_questions shows what it asks.';
        end if;
        v_attempt := private.begin_attempt(v_quiz, v_enrolment);
    end if;
    if jsonb_typeof(p_answers) is distinct from 'object' or exists (
        select k.id from jsonb_object_keys(p_answers) as k (id)
        except (
            select i.id::text from unnest(v_attempt.question_ids) as i (id)
            union all
            select q.id::text from public.quiz_questions as q where q.quiz_id = p_quiz_id
        )
    ) then
        raise sqlstate 'PT422' using
            message = 'answers_invalid',
            detail = 'Answers are an object whose keys are ids of questions of this quiz.',
            hint = 'Read the questions again: the quiz may have changed.';
    end if;

    v_attempt := private.grade_attempt(v_attempt, v_quiz, p_answers, p_submission_key);
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
attempts_exhausted, quiz_empty or quiz_not_started, PT422 answers_invalid.';

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
    return to_jsonb(v_attempt) - 'answers' - 'question_ids' || jsonb_build_object('certificate', (
        select jsonb_build_object('id', c.id, 'code', c.code, 'status', c.status)
        from public.certificates as c
        where c.student_id = v_attempt.student_id and c.course_id = v_attempt.course_id
    ));
end
$$;
comment on function public.submit_quiz(uuid, jsonb, uuid) is
'Hands in a quiz: answers {"<question id>": answer}, where an answer is "a" for single, ["a", "c"] for multiple, true
for true_false, 3.14 for numeric and "Lisbon" for short_text; anything else counts as not answered. It is the attempt
that start_quiz began, or where none is under way and the quiz neither limits the time nor draws questions, a new one.
Answers the graded attempt (points, max_points, is_passed, ...) and the course''s certificate, if there is one; after
expires_at, the expired attempt, without points. Send the same submission_key when a request is repeated: it counts as
one attempt. For students of the course. Raises account_inactive or not_enrolled (403), attempts_exhausted, quiz_empty
or quiz_not_started (409), answers_invalid (422).';

create function private.attempt_feedback(p_attempt_id uuid)
returns table (
    question_id uuid, place bigint, prompt text, answer jsonb, points numeric, max_points smallint, is_right boolean,
    right_answer jsonb, explanation text
)
language plpgsql
stable
security definer -- the keys are closed; who may see them, and when, is decided below
set search_path = ''
as $$
declare
    v_attempt public.quiz_attempts := private.attempt_to_read(p_attempt_id);
    v_quiz public.quizzes;
    v_feedback public.quiz_feedback := 'answers_at_once'; -- of whoever may read the keys anyway
    v_shows_answers boolean;
begin
    if v_attempt.status = 'under_way' and not private.is_overdue(v_attempt) then
        raise sqlstate 'PT409' using
            message = 'attempt_under_way',
            detail = 'The attempt is not handed in yet.',
            hint = 'Hand it in with submit_quiz.';
    end if;
    select q.* into v_quiz from public.quizzes as q where q.id = v_attempt.quiz_id;
    if v_attempt.student_id = (select auth.uid()) then
        v_feedback := v_quiz.feedback;
    end if;
    v_shows_answers := v_feedback = 'answers_at_once' or (v_feedback = 'answers' and (
        select bool_or(a.is_passed)
            or (count(*) >= v_quiz.attempt_limit and bool_and(a.status <> 'under_way' or private.is_overdue(a)))
        from public.quiz_attempts as a
        where a.enrolment_id = v_attempt.enrolment_id and a.quiz_id = v_attempt.quiz_id
    ));
    return query
    select q.id, i.place, q.prompt, v_attempt.answers -> q.id::text,
        case when v_feedback <> 'none' then trim_scale(p.points[i.place]) end,
        q.points,
        case when v_feedback <> 'none' then p.is_right[i.place] end,
        case when v_shows_answers then k.answer end,
        case when v_shows_answers then k.explanation end
    from unnest(v_attempt.question_ids) with ordinality as i (id, place)
    join public.quiz_questions as q on q.id = i.id
    join private.quiz_answer_keys as k on k.question_id = q.id
    left join private.quiz_attempt_points as p on p.attempt_id = v_attempt.id
    order by i.place;
end
$$;
comment on function private.attempt_feedback(uuid) is
'What an attempt brought, question by question, as far as the quiz''s feedback lets its student know it; the creator
sees all. Raises PT404 attempt_not_found, PT409 attempt_under_way.';

create function public.attempt_feedback(attempt_id uuid)
returns table (
    question_id uuid, place bigint, prompt text, answer jsonb, points numeric, max_points smallint, is_right boolean,
    right_answer jsonb, explanation text
)
language sql
stable
set search_path = ''
as $$
    select f.question_id, f.place, f.prompt, f.answer, f.points, f.max_points, f.is_right, f.right_answer, f.explanation
    from private.attempt_feedback(attempt_feedback.attempt_id) as f
$$;
comment on function public.attempt_feedback(uuid) is
'What was answered in an attempt that is handed in, question by question. points and is_right are null where the quiz''s
feedback is none; right_answer and explanation are null unless it is answers_at_once, or answers and the student has
passed the quiz or has no further attempt. points are null, too, where the time ran out. For the student whose attempt
it is, and the course''s creator, who sees all. Raises attempt_not_found (404), attempt_under_way (409).';
