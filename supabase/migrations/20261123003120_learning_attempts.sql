-- Learning: attempts at quizzes. start_quiz begins one; without a time limit and drawn questions, submit_quiz begins
-- it, too. An attempt keeps what it was asked, and save_answers keeps what was answered so far: when its time ends,
-- that is handed in. So an attempt ends by its time or by submit_quiz, whatever becomes of the quiz meanwhile.

insert into private.errors (token, status, meaning, hint, detail)
values
(
    'answers_invalid', 422,
    'Answers are an object whose keys are ids of questions of this quiz.',
    'Read the questions again: the quiz may have changed.',
    null
),
(
    'answers_too_large', 413,
    'The answers of an attempt take at most 1,000,000 bytes.',
    'Send shorter answers.',
    null
),
(
    'attempt_ended', 409,
    'The attempt was submitted, or its time is over: its answers are handed in.',
    'Read attempt_feedback, or begin another attempt with start_quiz.',
    null
),
(
    'attempt_not_found', 404,
    'There is no such attempt, or it is not yours.',
    'Read quiz_attempts, or begin one with start_quiz.',
    null
),
(
    'attempts_exhausted', 409,
    'The quiz was attempted as often as it allows.',
    'Ask the creator of the course.',
    'This quiz allows %s attempts.'
),
(
    'quiz_empty', 409,
    'The quiz has no questions.',
    'Try again when its creator has added some.',
    null
);

create type public.attempt_status as enum ('in_progress', 'submitted', 'expired');
comment on type public.attempt_status is
'in_progress: begun, not submitted. submitted: handed in by the student, and graded. expired: the time ran out first,
and the answers that were saved until then were handed in and graded.';

create table public.quiz_attempts (
    id uuid not null default gen_random_uuid() constraint quiz_attempts_pkey primary key,
    quiz_id uuid not null,
    course_id uuid not null,
    enrolment_id uuid not null,
    student_id uuid not null,
    status public.attempt_status not null default 'in_progress',
    attempt_number integer not null constraint quiz_attempts_attempt_number_check check (attempt_number > 0),
    question_ids uuid[] not null,
    submission_key uuid,
    answers jsonb not null default '{}' constraint quiz_attempts_answers_check
    check (jsonb_typeof(answers) = 'object' and octet_length(answers::text) <= 1000000),
    points numeric,
    max_points integer constraint quiz_attempts_max_points_check check (max_points > 0),
    pass_percent smallint not null,
    penalty_percent smallint not null default 0,
    has_partial_credit boolean not null default false,
    is_pass_kept boolean not null default false,
    score_percent smallint generated always as (floor(points * 100 / max_points)::smallint) stored,
    is_passed boolean not null
    generated always as (coalesce(points * 100 >= max_points * pass_percent, false) or is_pass_kept) stored,
    started_at timestamptz not null default now(),
    expires_at timestamptz,
    submitted_at timestamptz,
    saved_at timestamptz,
    regraded_at timestamptz,
    constraint quiz_attempts_points_check check (points between 0 and max_points and scale(points) <= 2),
    constraint quiz_attempts_status_check check (
        (status = 'in_progress') = (submitted_at is null)
        and (status <> 'submitted' or (points is not null and submission_key is not null))
        and (status <> 'expired' or (points is not null and expires_at is not null))
    ),
    -- Attempts are records of students and count against the limit: a quiz with attempts cannot be deleted.
    constraint quiz_attempts_quiz_id_fkey foreign key (quiz_id, course_id)
    references public.quizzes (id, course_id) on delete restrict,
    constraint quiz_attempts_enrolment_id_fkey foreign key (enrolment_id, course_id, student_id)
    references public.enrolments (id, course_id, student_id) on delete cascade,
    constraint quiz_attempts_enrolment_id_quiz_id_attempt_number_key unique (enrolment_id, quiz_id, attempt_number),
    constraint quiz_attempts_enrolment_id_quiz_id_submission_key_key unique (enrolment_id, quiz_id, submission_key)
);
comment on table public.quiz_attempts is
'Attempts at quizzes. Students read their own, creators those of their courses, moderators all. start_quiz,
save_answers and submit_quiz write it, and the clock; only a regrade changes one that was handed in.';
comment on column public.quiz_attempts.status is
'An attempt that is in progress after expires_at has expired: the worker hands in what was saved within a minute, and
start_quiz or submit_quiz at once.';
comment on column public.quiz_attempts.attempt_number is
'The number of the attempt of this student at this quiz, from 1.';
comment on column public.quiz_attempts.question_ids is
'The questions in the order in which attempt_questions shows them. The attempt keeps them as they were when it began,
also those that are changed or deleted since.';
comment on column public.quiz_attempts.submission_key is
'The key that the client sent: the same key is the same submission.';
comment on column public.quiz_attempts.answers is
'The answers, {"<question id>": answer}: while it is in progress, those that were saved; then those that were handed in,
also such that do not fit the kind of their question, of which attempt_feedback says so.';
comment on column public.quiz_attempts.points is 'The points of the answers; null while in progress.';
comment on column public.quiz_attempts.max_points is 'The points of all questions; null while in progress.';
comment on column public.quiz_attempts.pass_percent is 'The pass mark of the quiz when the attempt began.';
comment on column public.quiz_attempts.penalty_percent is 'The penalty of the quiz when the attempt began.';
comment on column public.quiz_attempts.has_partial_credit is
'Whether the quiz gave points for a part of an answer when the attempt began.';
comment on column public.quiz_attempts.is_pass_kept is
'Whether it passed before a regrade whose points do not reach pass_percent: a pass that was earned stays.';
comment on column public.quiz_attempts.score_percent is 'The points in percent of max_points, rounded down.';
comment on column public.quiz_attempts.is_passed is 'Whether the points reach pass_percent, or did before a regrade.';
comment on column public.quiz_attempts.started_at is 'When it began.';
comment on column public.quiz_attempts.expires_at is
'When it must be submitted; null for no limit. A submission may arrive 10 seconds later.';
comment on column public.quiz_attempts.submitted_at is 'When it was submitted, or its time ended.';
comment on column public.quiz_attempts.saved_at is 'When answers were last saved with save_answers, or null.';
comment on column public.quiz_attempts.regraded_at is
'When a regrade last changed it, or null; quiz_attempt_regrades says how.';
comment on constraint quiz_attempts_quiz_id_fkey on public.quiz_attempts is
'A quiz with attempts cannot be deleted: attempts are records of students.';
alter table public.quiz_attempts enable row level security;
revoke all on public.quiz_attempts from anon, authenticated, service_role;
create unique index quiz_attempts_in_progress_key on public.quiz_attempts (enrolment_id, quiz_id)
where status = 'in_progress';
comment on index public.quiz_attempts_in_progress_key is
'A student has one attempt in progress at a quiz, which start_quiz and submit_quiz look up';
create index quiz_attempts_quiz_id_course_id_idx on public.quiz_attempts (quiz_id, course_id);
comment on index public.quiz_attempts_quiz_id_course_id_idx is
'The attempts at a quiz: quiz_id=eq., and the foreign key';
create index quiz_attempts_enrolment_id_course_id_student_id_idx
on public.quiz_attempts (enrolment_id, course_id, student_id);
comment on index public.quiz_attempts_enrolment_id_course_id_student_id_idx is 'The foreign key to enrolments';
create index quiz_attempts_student_id_idx on public.quiz_attempts (student_id, submitted_at desc);
comment on index public.quiz_attempts_student_id_idx is 'The attempts of a student, and the policies';
create index quiz_attempts_course_id_idx on public.quiz_attempts (course_id, submitted_at desc);
comment on index public.quiz_attempts_course_id_idx is
'The attempts in a course: course_id=eq.&order=submitted_at.desc, and the policies';
create index quiz_attempts_overdue_idx on public.quiz_attempts (expires_at) where status = 'in_progress';
comment on index public.quiz_attempts_overdue_idx is 'lapse__attempts: status = ''in_progress'' and expires_at <';

insert into private.status_transitions (table_name, from_status, to_status)
values
('quiz_attempts', 'in_progress', 'submitted'),
('quiz_attempts', 'in_progress', 'expired');
create trigger _100_check_transition before update of status on public.quiz_attempts
for each row when (old.status is distinct from new.status) execute function private.tg__check_transition();

create table private.quiz_attempt_records (
    attempt_id uuid constraint quiz_attempt_records_pkey primary key
    constraint quiz_attempt_records_attempt_id_fkey references public.quiz_attempts (id) on delete cascade,
    asked_version_ids uuid[] not null,
    key_version_ids uuid[] not null,
    points numeric[],
    max_points integer[],
    is_correct boolean[],
    constraint quiz_attempt_records_alike_check check (
        cardinality(key_version_ids) = cardinality(asked_version_ids)
        and cardinality(points) = cardinality(asked_version_ids)
        and cardinality(max_points) = cardinality(asked_version_ids)
        and cardinality(is_correct) = cardinality(asked_version_ids)
    )
);
comment on table private.quiz_attempt_records is
'What an attempt was asked, and how each answer was judged: arrays in the order of its question_ids. Not in
quiz_attempts, because the quiz decides what attempt_feedback shows the student.';
comment on column private.quiz_attempt_records.asked_version_ids is
'The versions of the questions (quiz_question_versions) as the student saw them.';
comment on column private.quiz_attempt_records.key_version_ids is
'The versions whose keys and points count: those that were asked, until a regrade. Null where a regrade gave everybody
the points of the question.';
comment on column private.quiz_attempt_records.points is 'The points of each answer; null while in progress.';
comment on column private.quiz_attempt_records.is_correct is
'Whether each answer is correct; null for no answer, and for one that does not fit the kind of its question.';
alter table private.quiz_attempt_records enable row level security;

create function private.is_overdue(p_attempt public.quiz_attempts) returns boolean
language sql
stable
set search_path = ''
as $$
    select p_attempt.status = 'in_progress' and coalesce(p_attempt.expires_at + interval '10 seconds' < now(), false)
$$;
comment on function private.is_overdue(public.quiz_attempts) is
'Whether an attempt is in progress more than 10 seconds after expires_at; the network has these 10 seconds.';

create function private.lock_quiz_for(p_quiz_id uuid, p_student_id uuid) returns public.quizzes
language plpgsql
set search_path = ''
as $$
declare
    v_quiz public.quizzes;
begin
    -- Before the enrolment: the quiz, as when it is deleted, and the profile, which a certificate refers to.
    select q.* into v_quiz from public.quizzes as q where q.id = p_quiz_id for key share;
    if v_quiz.is_certifying then
        perform from public.profiles as p where p.id = p_student_id for key share;
    end if;
    return v_quiz;
end
$$;
comment on function private.lock_quiz_for(uuid, uuid) is
'Keeps a quiz, and what an attempt of this student that passes it needs, until the transaction ends; returns the quiz.
Called before the enrolment is locked.';

create function private.begin_attempt(p_quiz public.quizzes, p_enrolment public.enrolments)
returns public.quiz_attempts
language plpgsql
set search_path = ''
as $$
declare
    v_id uuid := gen_random_uuid();
    v_attempt_count integer;
    v_question_ids uuid[];
    v_version_ids uuid[];
    v_attempt public.quiz_attempts;
begin
    v_attempt_count := (
        select count(*)::integer from public.quiz_attempts as a
        where a.enrolment_id = p_enrolment.id and a.quiz_id = p_quiz.id
    );
    if v_attempt_count >= p_quiz.attempt_limit then
        perform private.refuse('attempts_exhausted', p_quiz.attempt_limit::text);
    end if;
    -- The random id of the attempt gives the order, so nobody can predict it.
    v_question_ids := (
        select array_agg(d.id order by case when p_quiz.is_shuffled then d.lot end, d.position)
        from (
            select q.id, q.position, md5(v_id::text || q.id::text) as lot
            from public.quiz_questions as q
            join private.quiz_answer_keys as k on k.question_id = q.id
            where q.quiz_id = p_quiz.id
            order by case when p_quiz.question_count is not null then md5(v_id::text || q.id::text) end, q.position
            limit p_quiz.question_count
        ) as d
    );
    if v_question_ids is null then
        perform private.refuse('quiz_empty');
    end if;
    insert into public.quiz_attempts as a (
        id, quiz_id, course_id, enrolment_id, student_id, attempt_number, question_ids, pass_percent, penalty_percent,
        has_partial_credit, expires_at
    )
    values (
        v_id, p_quiz.id, p_quiz.course_id, p_enrolment.id, p_enrolment.student_id, v_attempt_count + 1, v_question_ids,
        p_quiz.pass_percent, p_quiz.penalty_percent, p_quiz.has_partial_credit,
        now() + make_interval(secs => p_quiz.time_limit_seconds)
    )
    returning a.* into v_attempt;
    v_version_ids := private.keep_question_versions(v_question_ids);
    insert into private.quiz_attempt_records (attempt_id, asked_version_ids, key_version_ids)
    values (v_id, v_version_ids, v_version_ids);
    return v_attempt;
end
$$;
comment on function private.begin_attempt(public.quizzes, public.enrolments) is
'Begins an attempt, with drawn and shuffled questions where the quiz says so. Its caller has locked the enrolment.
Raises attempts_exhausted or quiz_empty (409).';

create function private.start_quiz(p_quiz_id uuid) returns public.quiz_attempts
language plpgsql
security definer -- clients may not write attempts
set search_path = ''
as $$
declare
    v_caller uuid := private.require_active();
    v_quiz public.quizzes;
    v_enrolment public.enrolments;
    v_attempt public.quiz_attempts;
begin
    v_quiz := private.lock_quiz_for(p_quiz_id, v_caller);
    -- Refuses a missing quiz like one of a course that is closed to the caller.
    v_enrolment := private.require_open_enrolment(v_quiz.course_id, v_caller);
    select a.* into v_attempt from public.quiz_attempts as a
    where a.enrolment_id = v_enrolment.id and a.quiz_id = p_quiz_id and a.status = 'in_progress';
    if found and not private.is_overdue(v_attempt) then
        return v_attempt;
    elsif found then
        perform private.hand_in(v_attempt, v_quiz, v_attempt.answers, null);
    end if;
    return private.begin_attempt(v_quiz, v_enrolment);
end
$$;
comment on function private.start_quiz(uuid) is
'Begins an attempt at a quiz, and returns it; while one is in progress, returns that, with the answers that were saved.
The attempt counts from now on; attempt_questions shows its questions, save_answers keeps answers, and submit_quiz
submits it. At expires_at, if that is set, the saved answers are handed in. For students of the course. Raises account_inactive or not_enrolled (403), attempts_exhausted or quiz_empty (409).';

create function private.require_readable_attempt(p_attempt_id uuid) returns public.quiz_attempts
language plpgsql
stable
security definer -- looks at attempts that the caller may not read, and refuses them like missing ones
set search_path = ''
as $$
declare
    v_attempt public.quiz_attempts;
begin
    select a.* into v_attempt from public.quiz_attempts as a
    where a.id = p_attempt_id and (
            (a.student_id = (select auth.uid()) and a.course_id = any((select private.my_course_ids())::uuid[]))
            or (
                a.course_id = any((select private.my_taught_course_ids())::uuid[])
                and (select private.has_role('teacher'))
            )
            or (select private.has_role('admin'))
        );
    if not found then
        perform private.refuse('attempt_not_found');
    end if;
    return v_attempt;
end
$$;
comment on function private.require_readable_attempt(uuid) is
'Requires an attempt of the caller in a course that is open to them, an attempt in a course that they teach, or an
admin; returns the attempt. Raises attempt_not_found (404).';

create function private.shown_options(p_attempt_id uuid, p_question_id uuid, p_options jsonb, p_is_shuffled boolean)
returns jsonb
language sql
immutable
set search_path = ''
as $$
    select case
        when p_is_shuffled and p_options <> '[]' then (
            select jsonb_agg(o.item order by md5(p_attempt_id::text || p_question_id::text || (o.item ->> 'id')))
            from jsonb_array_elements(p_options) as o (item)
        )
        else p_options
    end
$$;
comment on function private.shown_options(uuid, uuid, jsonb, boolean) is
'The options of a question in the order in which an attempt shows them.';

create function private.attempt_questions(p_attempt_id uuid)
returns table (
    question_id uuid, "position" bigint, -- noqa: RF06
    kind public.question_kind, prompt text, options jsonb, points smallint
)
language plpgsql
stable
security definer -- shows a student the questions of an attempt, which policies hide for some quizzes
set search_path = ''
as $$
declare
    v_attempt public.quiz_attempts := private.require_readable_attempt(p_attempt_id);
    v_is_shuffled boolean := (select q.is_shuffled from public.quizzes as q where q.id = v_attempt.quiz_id);
begin
    return query
    select v.question_id, i.position, v.kind, v.prompt,
        private.shown_options(p_attempt_id, v.question_id, v.options, v_is_shuffled), v.points
    from private.quiz_attempt_records as r
    cross join lateral unnest(r.asked_version_ids) with ordinality as i (id, position)
    join private.quiz_question_versions as v on v.id = i.id
    where r.attempt_id = p_attempt_id
    order by i.position;
end
$$;
comment on function private.attempt_questions(uuid) is
'The questions of an attempt as they were when it began, in its order of questions and options. For the student of the
attempt, the creator of the course and admins. Raises attempt_not_found (404).';

create function private.merged_answers(p_attempt public.quiz_attempts, p_answers jsonb) returns jsonb
language plpgsql
stable
set search_path = ''
as $$
declare
    v_answers jsonb;
begin
    if jsonb_typeof(p_answers) is distinct from 'object' or exists (
        select k.id from jsonb_object_keys(p_answers) as k (id)
        except (
            select i.id::text from unnest(p_attempt.question_ids) as i (id)
            union all
            select q.id::text from public.quiz_questions as q where q.quiz_id = p_attempt.quiz_id
        )
    ) then
        perform private.refuse('answers_invalid');
    end if;
    v_answers := (
        select coalesce(jsonb_object_agg(a.key, case
            -- A number such as 1e99999 is long, too, and no kind takes either.
            when octet_length(a.value::text) > 10000 then to_jsonb(left(a.value::text, 1000) || '…')
            else a.value
        end), '{}')
        from jsonb_each(p_attempt.answers || p_answers) as a
        join unnest(p_attempt.question_ids) as i (id) on i.id::text = a.key
        where a.value <> 'null'
    );
    if octet_length(v_answers::text) > 1000000 then
        perform private.refuse('answers_too_large');
    end if;
    return v_answers;
end
$$;
comment on function private.merged_answers(public.quiz_attempts, jsonb) is
'The saved answers of an attempt with these laid over them; null takes an answer back. Answers to questions of the quiz
that the attempt was not asked are left out, and of an answer of more than 10,000 bytes the beginning is kept, which no
kind of question takes. Raises answers_too_large (413), answers_invalid (422).';

create function private.save_answers(p_attempt_id uuid, p_answers jsonb) returns public.quiz_attempts
language plpgsql
security definer -- clients may not write attempts
set search_path = ''
as $$
declare
    v_caller uuid := private.require_active();
    v_attempt public.quiz_attempts;
begin
    select a.* into v_attempt from public.quiz_attempts as a
    where a.id = p_attempt_id and a.student_id = v_caller;
    if not found then
        perform private.refuse('attempt_not_found');
    end if;
    -- The lock orders this and handing in; the attempt is read again after it.
    perform private.require_open_enrolment(v_attempt.course_id, v_caller);
    select a.* into v_attempt from public.quiz_attempts as a where a.id = p_attempt_id;
    if v_attempt.status <> 'in_progress' or private.is_overdue(v_attempt) then
        perform private.refuse('attempt_ended');
    end if;
    update public.quiz_attempts as a
    set answers = private.merged_answers(v_attempt, p_answers), saved_at = now()
    where a.id = p_attempt_id
    returning a.* into v_attempt;
    return v_attempt;
end
$$;
comment on function private.save_answers(uuid, jsonb) is
'Saves answers of an attempt in progress, {"<question id>": answer}, without submitting it, and returns the attempt with
all saved answers: those sent are laid over earlier ones, and null takes one back. start_quiz returns them after a
reload; submit_quiz submits them, and so does the clock at expires_at. For the student of the attempt. Raises
account_inactive or not_enrolled (403), attempt_not_found (404), attempt_ended (409), answers_too_large (413),
answers_invalid (422).';
