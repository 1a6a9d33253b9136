-- Learning: attempts at quizzes. One begins with start_quiz, or where nothing is timed or drawn, with its submission.

create type public.attempt_status as enum ('under_way', 'submitted', 'expired');
comment on type public.attempt_status is
'under_way: begun, not handed in. submitted: handed in and graded. expired: the time ran out first; it counts as tried,
with no points.';

create table public.quiz_attempts (
    id uuid not null default gen_random_uuid() constraint quiz_attempts_pkey primary key,
    quiz_id uuid not null,
    course_id uuid not null,
    enrolment_id uuid not null,
    student_id uuid not null,
    status public.attempt_status not null default 'under_way',
    attempt_number integer not null constraint quiz_attempts_attempt_number_check check (attempt_number > 0),
    question_ids uuid[] not null,
    submission_key uuid,
    answers jsonb not null default '{}' constraint quiz_attempts_answers_check
    check (jsonb_typeof(answers) = 'object' and octet_length(answers::text) <= 1000000),
    points numeric,
    max_points integer constraint quiz_attempts_max_points_check check (max_points > 0),
    pass_percent smallint not null,
    score_percent smallint generated always as (floor(points * 100 / max_points)::smallint) stored,
    is_passed boolean not null
    generated always as (coalesce(points * 100 >= max_points * pass_percent, false)) stored,
    started_at timestamptz not null default now(),
    expires_at timestamptz,
    submitted_at timestamptz,
    constraint quiz_attempts_points_check check (points between 0 and max_points and scale(points) <= 2),
    constraint quiz_attempts_status_check check (
        (status = 'under_way') = (submitted_at is null)
        and (status <> 'submitted' or (points is not null and submission_key is not null))
        and (status <> 'expired' or (expires_at is not null and coalesce(points, 0) = 0))
    ),
    -- Attempts are students' records, and what limits them: a quiz that was tried stays.
    constraint quiz_attempts_quiz_id_fkey foreign key (quiz_id, course_id)
    references public.quizzes (id, course_id) on delete restrict,
    constraint quiz_attempts_enrolment_id_fkey foreign key (enrolment_id, course_id, student_id)
    references public.enrolments (id, course_id, student_id) on delete cascade,
    constraint quiz_attempts_enrolment_id_quiz_id_attempt_number_key unique (enrolment_id, quiz_id, attempt_number),
    constraint quiz_attempts_enrolment_id_quiz_id_submission_key_key unique (enrolment_id, quiz_id, submission_key)
);
comment on table public.quiz_attempts is
'Attempts. The student reads his own, the creator those of his courses. Written by start_quiz and submit_quiz only;
never changed once it is handed in.';
comment on column public.quiz_attempts.status is
'One that is under way after expires_at is as good as expired: the next start or submission says so.';
comment on column public.quiz_attempts.attempt_number is 'Which try it is, from 1.';
comment on column public.quiz_attempts.question_ids is
'What is asked, in the order in which attempt_questions shows it; of a submitted attempt, what was graded.';
comment on column public.quiz_attempts.submission_key is
'The client''s key of the submission: the same key is the same attempt.';
comment on column public.quiz_attempts.answers is
'What was answered: {"<question id>": answer}. What is no answer to a question of its kind is left out.';
comment on column public.quiz_attempts.points is 'What was reached; null while under way.';
comment on column public.quiz_attempts.max_points is 'What could be reached then; null while under way.';
comment on column public.quiz_attempts.pass_percent is 'What passed then.';
comment on column public.quiz_attempts.score_percent is 'What was reached of 100, rounded down.';
comment on column public.quiz_attempts.is_passed is 'Whether it passed.';
comment on column public.quiz_attempts.started_at is 'When it was begun.';
comment on column public.quiz_attempts.expires_at is
'When it must be handed in; null for whenever one likes. Ten seconds more are granted to the network.';
comment on column public.quiz_attempts.submitted_at is 'When it was handed in, or found to be expired.';
alter table public.quiz_attempts enable row level security;
revoke all on public.quiz_attempts from anon, authenticated, service_role;
create unique index quiz_attempts_under_way_key on public.quiz_attempts (enrolment_id, quiz_id)
where status = 'under_way';
comment on index public.quiz_attempts_under_way_key is
'One attempt at a time, which start_quiz and submit_quiz look up';
create index quiz_attempts_quiz_id_course_id_idx on public.quiz_attempts (quiz_id, course_id);
comment on index public.quiz_attempts_quiz_id_course_id_idx is 'A quiz''s attempts: quiz_id=eq., and the foreign key';
create index quiz_attempts_enrolment_id_course_id_student_id_idx
on public.quiz_attempts (enrolment_id, course_id, student_id);
comment on index public.quiz_attempts_enrolment_id_course_id_student_id_idx is 'The foreign key to enrolments';
create index quiz_attempts_student_id_idx on public.quiz_attempts (student_id, submitted_at desc);
comment on index public.quiz_attempts_student_id_idx is 'A student''s attempts, and the policies';
create index quiz_attempts_course_id_idx on public.quiz_attempts (course_id, submitted_at desc);
comment on index public.quiz_attempts_course_id_idx is
'A course''s attempts: course_id=eq.&order=submitted_at.desc, and the policies';

insert into private.status_transitions (table_name, from_status, to_status)
values
('quiz_attempts', 'under_way', 'submitted'),
('quiz_attempts', 'under_way', 'expired');
create trigger _100_check_transition before update of status on public.quiz_attempts
for each row when (old.status is distinct from new.status) execute function private.tg__check_transition();

create table private.quiz_attempt_points (
    attempt_id uuid constraint quiz_attempt_points_pkey primary key
    constraint quiz_attempt_points_attempt_id_fkey references public.quiz_attempts (id) on delete cascade,
    points numeric[] not null,
    is_right boolean[] not null,
    constraint quiz_attempt_points_alike_check check (cardinality(points) = cardinality(is_right))
);
comment on table private.quiz_attempt_points is
'What each question of a graded attempt brought, in the order of its question_ids. Apart from the attempt, because the
quiz decides what of it the student learns: attempt_feedback.';
alter table private.quiz_attempt_points enable row level security;

create function private.is_overdue(p_attempt public.quiz_attempts) returns boolean
language sql
stable
set search_path = ''
as $$
    select p_attempt.status = 'under_way' and coalesce(p_attempt.expires_at + interval '10 seconds' < now(), false)
$$;
comment on function private.is_overdue(public.quiz_attempts) is
'Whether an attempt''s time, and ten seconds more for the network, ran out before it was handed in.';

create function private.expire_attempt(p_attempt_id uuid) returns void
language sql
set search_path = ''
as $$
    update public.quiz_attempts as a
    set
        status = 'expired',
        submitted_at = now(),
        points = 0,
        max_points = (select sum(q.points) from public.quiz_questions as q where q.id = any(a.question_ids))
    where a.id = p_attempt_id
$$;
comment on function private.expire_attempt(uuid) is
'Ends an attempt that is overdue: it was tried, and brings nothing.';

create function private.begin_attempt(p_quiz public.quizzes, p_enrolment public.enrolments)
returns public.quiz_attempts
language plpgsql
set search_path = ''
as $$
declare
    v_id uuid := gen_random_uuid();
    v_tried integer;
    v_question_ids uuid[];
    v_attempt public.quiz_attempts;
begin
    v_tried := (
        select count(*)::integer from public.quiz_attempts as a
        where a.enrolment_id = p_enrolment.id and a.quiz_id = p_quiz.id
    );
    if v_tried >= p_quiz.attempt_limit then
        raise sqlstate 'PT409' using
            message = 'attempts_exhausted',
            detail = format('This quiz may be tried %s times.', p_quiz.attempt_limit),
            hint = 'Ask the creator of the course.';
    end if;
    -- The order is the attempt's: nobody can know the id of an attempt that he has not begun.
    v_question_ids := (
        select array_agg(d.id order by case when p_quiz.is_shuffled then d.lot end, d.position)
        from (
            select q.id, q.position, md5(v_id::text || q.id::text) as lot
            from public.quiz_questions as q
            where q.quiz_id = p_quiz.id
            order by case when p_quiz.question_count is not null then md5(v_id::text || q.id::text) end, q.position
            limit p_quiz.question_count
        ) as d
    );
    if v_question_ids is null then
        raise sqlstate 'PT409' using
            message = 'quiz_empty',
            detail = 'This quiz has no questions yet.',
            hint = 'Try again when its creator has added some.';
    end if;
    insert into public.quiz_attempts as a (
        id, quiz_id, course_id, enrolment_id, student_id, attempt_number, question_ids, pass_percent, expires_at
    )
    values (
        v_id, p_quiz.id, p_quiz.course_id, p_enrolment.id, p_enrolment.student_id, v_tried + 1, v_question_ids,
        p_quiz.pass_percent, now() + make_interval(secs => p_quiz.time_limit_seconds)
    )
    returning a.* into v_attempt;
    return v_attempt;
end
$$;
comment on function private.begin_attempt(public.quizzes, public.enrolments) is
'Begins an attempt, with questions drawn and an order where the quiz says so. The enrolment must be locked. Raises PT409
attempts_exhausted or quiz_empty.';

create function private.start_quiz(p_quiz_id uuid) returns public.quiz_attempts
language plpgsql
security definer -- attempts are no client's to write; whose it is, is taken from the token
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
    where a.enrolment_id = v_enrolment.id and a.quiz_id = p_quiz_id and a.status = 'under_way';
    if found and not private.is_overdue(v_attempt) then
        return v_attempt;
    end if;
    perform private.expire_attempt(v_attempt.id);
    return private.begin_attempt(v_quiz, v_enrolment);
end
$$;
comment on function private.start_quiz(uuid) is
'Begins an attempt of the caller, or answers the one that is under way. Raises PT403 not_enrolled, PT409
attempts_exhausted or quiz_empty.';

create function public.start_quiz(quiz_id uuid) returns public.quiz_attempts
language sql
set search_path = ''
as $$
    select private.start_quiz(start_quiz.quiz_id)
$$;
comment on function public.start_quiz(uuid) is
'Begins an attempt at a quiz, and answers it; while it is under way, the same one. It counts as tried from now on, and
is to be handed in by submit_quiz before expires_at, if that is set; attempt_questions shows what is asked. For students
of the course. Raises account_inactive or not_enrolled (403), attempts_exhausted or quiz_empty (409).';

create function private.attempt_to_read(p_attempt_id uuid) returns public.quiz_attempts
language plpgsql
stable
security definer -- tells an attempt that is missing from another's, and says the same of both
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
        raise sqlstate 'PT404' using
            message = 'attempt_not_found',
            detail = 'There is no such attempt, or it is not yours.',
            hint = 'Read quiz_attempts, or begin one with start_quiz.';
    end if;
    return v_attempt;
end
$$;
comment on function private.attempt_to_read(uuid) is
'An attempt of the caller in a course that is open to him, or in a course that he teaches; admins have every one. Raises
PT404 attempt_not_found.';

create function private.attempt_questions(p_attempt_id uuid)
returns table (
    question_id uuid, place bigint, kind public.question_kind, prompt text, options jsonb, points smallint
)
language plpgsql
stable
security definer -- shows a student those questions of a closed quiz that he was given
set search_path = ''
as $$
declare
    v_attempt public.quiz_attempts := private.attempt_to_read(p_attempt_id);
    v_is_shuffled boolean := (select q.is_shuffled from public.quizzes as q where q.id = v_attempt.quiz_id);
begin
    return query
    select q.id, i.place, q.kind, q.prompt,
        case when v_is_shuffled and q.options <> '[]' then (
            select jsonb_agg(o.item order by md5(p_attempt_id::text || q.id::text || (o.item ->> 'id')))
            from jsonb_array_elements(q.options) as o (item)
        ) else q.options end,
        q.points
    from unnest(v_attempt.question_ids) with ordinality as i (id, place)
    join public.quiz_questions as q on q.id = i.id
    order by i.place;
end
$$;
comment on function private.attempt_questions(uuid) is
'What an attempt asks, in its order. Raises PT404 attempt_not_found.';

create function public.attempt_questions(attempt_id uuid)
returns table (
    question_id uuid, place bigint, kind public.question_kind, prompt text, options jsonb, points smallint
)
language sql
stable
set search_path = ''
as $$
    select q.question_id, q.place, q.kind, q.prompt, q.options, q.points
    from private.attempt_questions(attempt_questions.attempt_id) as q
$$;
comment on function public.attempt_questions(uuid) is
'What an attempt asks, in the order that it has for this attempt, with the options in theirs; questions that were
deleted since are missing. For the student whose attempt it is, and the course''s creator. Raises attempt_not_found
(404).';
