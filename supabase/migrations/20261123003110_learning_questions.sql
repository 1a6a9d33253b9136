-- Learning: questions of quizzes. Students of the course read them; the keys are in private, where only grading reads
-- them.

insert into private.errors (token, status, meaning, hint, detail)
values
(
    'question_invalid', 422,
    'The options or the answer do not fit the question''s kind.',
    'The comment of quiz_questions.kind says what each kind takes.',
    '%s: %s.'
),
(
    'question_not_found', 404,
    'The quiz has no such question.',
    'Leave question_id out to add a question.',
    null
);

create table public.quiz_questions (
    id uuid not null default gen_random_uuid() constraint quiz_questions_pkey primary key,
    quiz_id uuid not null,
    course_id uuid not null constraint quiz_questions_course_id_fkey references public.courses (id) on delete cascade,
    kind public.question_kind not null,
    prompt text not null constraint quiz_questions_prompt_check
    check (private.is_visible(prompt) and char_length(prompt) <= 4000),
    options jsonb not null default '[]',
    points smallint not null default 1 constraint quiz_questions_points_check check (points between 1 and 1000),
    position integer not null constraint quiz_questions_position_check check (position > 0),
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    constraint quiz_questions_quiz_id_fkey foreign key (quiz_id, course_id)
    references public.quizzes (id, course_id) on delete cascade,
    constraint quiz_questions_quiz_id_position_key unique (quiz_id, position) deferrable initially deferred
);
comment on table public.quiz_questions is
'The questions of quizzes, without their keys. The creator of the course reads them, and students of the course: but
those of a quiz with a time limit or with drawn questions only by attempt_questions. save_quiz_question writes them.';
do $$
declare
    v_kinds text := (
        select string_agg(
            obj_description(format('private.%I(jsonb, jsonb)', 'question_key__' || k.kind)::regprocedure, 'pg_proc'),
            ' ' order by k.kind
        )
        from unnest(enum_range(null::public.question_kind)) as k (kind)
    );
begin
    execute format('comment on column public.quiz_questions.kind is %L', 'The kind of question. ' || v_kinds);
end
$$;
comment on column public.quiz_questions.prompt is 'The question, in Markdown.';
comment on column public.quiz_questions.options is
'The options to choose from: [{"id": "a", "text": "..."}]; [] for kinds without options.';
comment on column public.quiz_questions.points is 'The points of a correct answer, 1 to 1,000.';
comment on column public.quiz_questions.position is
'The position in the quiz, from 1. The database sets it; reorder_quiz_questions changes it.';
comment on constraint quiz_questions_prompt_check on public.quiz_questions is
'The prompt of a question has 1 to 4,000 characters, of which some are visible.';
comment on constraint quiz_questions_points_check on public.quiz_questions is 'A question has 1 to 1,000 points.';
alter table public.quiz_questions enable row level security;
revoke all on public.quiz_questions from anon, authenticated, service_role;
create index quiz_questions_quiz_id_course_id_idx on public.quiz_questions (quiz_id, course_id);
comment on index public.quiz_questions_quiz_id_course_id_idx is
'The questions of a quiz: quiz_id=eq., and the foreign key';
create index quiz_questions_course_id_idx on public.quiz_questions (course_id);
comment on index public.quiz_questions_course_id_idx is 'The policies, and the foreign key';
create trigger _200_set_updated_at before update on public.quiz_questions
for each row execute function private.tg__set_updated_at();

create table private.quiz_answer_keys (
    question_id uuid constraint quiz_answer_keys_pkey primary key
    constraint quiz_answer_keys_question_id_fkey references public.quiz_questions (id) on delete cascade,
    answer jsonb not null,
    explanation text constraint quiz_answer_keys_explanation_check check (char_length(explanation) <= 4000)
);
comment on table private.quiz_answer_keys is
'The keys of questions. Grading reads them, and the creator of the course by the function quiz_answer_keys.';
comment on column private.quiz_answer_keys.answer is 'The key as private.question_key returns it.';
comment on column private.quiz_answer_keys.explanation is 'Why it is correct, in Markdown.';
comment on constraint quiz_answer_keys_explanation_check on private.quiz_answer_keys is
'An explanation has at most 4,000 characters.';
alter table private.quiz_answer_keys enable row level security;

create table private.quiz_question_versions (
    id uuid not null default gen_random_uuid() constraint quiz_question_versions_pkey primary key,
    question_id uuid not null,
    quiz_id uuid not null
    constraint quiz_question_versions_quiz_id_fkey references public.quizzes (id) on delete cascade,
    kind public.question_kind not null,
    prompt text not null,
    options jsonb not null,
    points smallint not null,
    answer jsonb not null,
    explanation text,
    digest bytea not null,
    created_at timestamptz not null default now(),
    constraint quiz_question_versions_question_id_digest_key unique (question_id, digest)
);
comment on table private.quiz_question_versions is
'Questions with their keys as they were when an attempt was asked them, or when a key was mended: one row for each
different form, shared by all attempts. Rows never change, and outlive their question.';
comment on column private.quiz_question_versions.question_id is
'The question. No foreign key: it may be deleted while attempts were asked it.';
comment on column private.quiz_question_versions.digest is 'Finds the same form again.';
alter table private.quiz_question_versions enable row level security;
create index quiz_question_versions_quiz_id_idx on private.quiz_question_versions (quiz_id);
comment on index private.quiz_question_versions_quiz_id_idx is 'The foreign key';

create function private.question_digest(p_question public.quiz_questions, p_key private.quiz_answer_keys) returns bytea
language sql
stable
set search_path = ''
as $$
    select sha256(convert_to(jsonb_build_array(
        p_question.kind, p_question.prompt, p_question.options, p_question.points, p_key.answer, p_key.explanation
    )::text, 'UTF8'))
$$;
comment on function private.question_digest(public.quiz_questions, private.quiz_answer_keys) is
'What tells one form of a question and its key from another.';

create function private.keep_question_versions(p_question_ids uuid[]) returns uuid[]
language plpgsql
set search_path = ''
as $$
begin
    -- In one order, so that two attempts that keep the same versions at once wait and do not deadlock.
    insert into private.quiz_question_versions (
        question_id, quiz_id, kind, prompt, options, points, answer, explanation, digest
    )
    select q.id, q.quiz_id, q.kind, q.prompt, q.options, q.points, k.answer, k.explanation,
        private.question_digest(q, k)
    from public.quiz_questions as q
    join private.quiz_answer_keys as k on k.question_id = q.id
    where q.id = any(p_question_ids)
    order by q.id
    on conflict (question_id, digest) do nothing;
    return (
        select array_agg(v.id order by i.position)
        from unnest(p_question_ids) with ordinality as i (id, position)
        join public.quiz_questions as q on q.id = i.id
        join private.quiz_answer_keys as k on k.question_id = q.id
        join private.quiz_question_versions as v
            on v.question_id = q.id and v.digest = private.question_digest(q, k)
    );
end
$$;
comment on function private.keep_question_versions(uuid[]) is
'Keeps these questions and their keys as they are now, and returns the ids of the versions in the order of the
questions.';

create function private.tg_quiz_questions__close_gaps() returns trigger
language plpgsql
security definer -- clients may not write positions
set search_path = ''
as $$
begin
    perform from public.quizzes as q
    where q.id in (select d.quiz_id from deleted_rows as d)
    order by q.id for no key update;
    perform private.close_position_gaps(
        'public.quiz_questions', 'quiz_id', array(select distinct d.quiz_id from deleted_rows as d)
    );
    return null;
end
$$;
comment on function private.tg_quiz_questions__close_gaps() is
'After questions are deleted: moves the other questions of their quizzes up.';
create trigger _010_lock_curriculum before delete on public.quiz_questions
for each statement when (pg_catalog.pg_trigger_depth() = 0) execute function private.tg__lock_teacher_curriculum();
-- Questions that are deleted with their quiz leave no gap.
create trigger _300_close_gaps after delete on public.quiz_questions
referencing old table as deleted_rows
for each statement when (pg_catalog.pg_trigger_depth() = 0) execute function private.tg_quiz_questions__close_gaps();

create function private.require_own_quiz(p_quiz_id uuid) returns uuid
language plpgsql
set search_path = ''
as $$
declare
    v_course_id uuid := (select q.course_id from public.quizzes as q where q.id = p_quiz_id);
begin
    perform private.require_course_owner(v_course_id);
    perform private.lock_teacher_curriculum((select c.creator_id from public.courses as c where c.id = v_course_id));
    perform from public.quizzes as q where q.id = p_quiz_id for no key update;
    return v_course_id;
end
$$;
comment on function private.require_own_quiz(uuid) is
'Requires a quiz of a course of the caller, and locks it until the transaction ends, so that questions that are added at
once get different positions. Returns the course. Raises what require_course_owner raises.';

create function private.save_quiz_question(
    p_quiz_id uuid, p_kind public.question_kind, p_prompt text, p_answer jsonb, p_options jsonb default '[]',
    p_points smallint default 1, p_explanation text default null, p_question_id uuid default null
)
returns public.quiz_questions
language plpgsql
security definer -- clients may not write questions and keys
set search_path = ''
as $$
declare
    v_course_id uuid := private.require_own_quiz(p_quiz_id);
    v_checked record;
    v_question public.quiz_questions;
begin
    select k.key, k.problem into v_checked from private.question_key(p_kind, p_options, p_answer) as k;
    if v_checked.problem is not null then
        perform private.refuse('question_invalid', format('"%s"', left(p_prompt, 100)), v_checked.problem);
    end if;
    if p_question_id is null then
        insert into public.quiz_questions as q (quiz_id, course_id, kind, prompt, options, points, position)
        values (
            p_quiz_id, v_course_id, p_kind, p_prompt, p_options, p_points,
            (select coalesce(max(o.position), 0) + 1 from public.quiz_questions as o where o.quiz_id = p_quiz_id)
        )
        returning q.* into v_question;
    else
        update public.quiz_questions as q
        set kind = p_kind, prompt = p_prompt, options = p_options, points = p_points
        where q.id = p_question_id and q.quiz_id = p_quiz_id
        returning q.* into v_question;
        if not found then
            perform private.refuse('question_not_found');
        end if;
    end if;
    insert into private.quiz_answer_keys as k (question_id, answer, explanation)
    values (v_question.id, v_checked.key, p_explanation)
    on conflict (question_id) do update set answer = excluded.answer, explanation = excluded.explanation;
    return v_question;
end
$$;
comment on function private.save_quiz_question(
    uuid, public.question_kind, text, jsonb, jsonb, smallint, text, uuid
) is
'Adds a question to a quiz, or with question_id changes it, together with its key, which no student can read. Returns
the question without the key. The comment of quiz_questions.kind says which options and which answer (key) each kind
takes. For the creator of the course and admins. Raises course_not_found, question_not_found (404), question_invalid
(422).';

create function private.save_quiz_questions(p_quiz_id uuid, p_questions jsonb) returns setof public.quiz_questions
language plpgsql
security definer -- clients may not write questions and keys
set search_path = ''
as $$
begin
    perform private.require_own_quiz(p_quiz_id);
    if jsonb_typeof(p_questions) is distinct from 'array' or jsonb_array_length(p_questions) > 1000 or exists (
        select from jsonb_array_elements(p_questions) as q (item) where jsonb_typeof(q.item) <> 'object'
    ) then
        perform private.refuse('question_invalid', 'questions', 'a list of up to 1000 objects is expected');
    end if;
    return query
    select s.*
    from jsonb_array_elements(p_questions) with ordinality as q (item, position)
    cross join lateral jsonb_to_record(q.item) as r (
        question_id uuid, kind public.question_kind, prompt text, options jsonb, answer jsonb, points smallint,
        explanation text
    )
    cross join lateral private.save_quiz_question(
        p_quiz_id, r.kind, r.prompt, r.answer, coalesce(r.options, '[]'), coalesce(r.points, 1::smallint),
        r.explanation, r.question_id
    ) as s
    order by q.position;
end
$$;
comment on function private.save_quiz_questions(uuid, jsonb) is
'Adds up to 1,000 questions to a quiz, or with question_id changes them, all or none, and returns them. questions:
[{"kind": "numeric", "prompt": "...", "answer": 5, "points": 2, "explanation": "..."}, ...], each as save_quiz_question
takes it. For the creator of the course and admins. Raises course_not_found, question_not_found (404), question_invalid
(422).';

create function private.reorder_quiz_questions(p_quiz_id uuid, p_question_ids uuid[])
returns setof public.quiz_questions
language plpgsql
security definer -- clients may not write positions
set search_path = ''
as $$
begin
    perform private.require_own_quiz(p_quiz_id);
    perform private.require_same_ids(
        array(select q.id from public.quiz_questions as q where q.quiz_id = p_quiz_id), p_question_ids
    );
    perform private.set_positions('public.quiz_questions', p_question_ids);
    return query select q.* from public.quiz_questions as q where q.quiz_id = p_quiz_id order by q.position;
end
$$;
comment on function private.reorder_quiz_questions(uuid, uuid[]) is
'Puts the questions of a quiz into the order of question_ids, which lists each of them once, and returns them in it. For
the creator of the course and admins. Raises course_not_found (404), sequence_incomplete (409).';

create function private.quiz_answer_keys(p_quiz_id uuid)
returns table (question_id uuid, answer jsonb, explanation text)
language plpgsql
stable
security definer -- clients may not read keys
set search_path = ''
as $$
begin
    perform private.require_course_owner((select q.course_id from public.quizzes as q where q.id = p_quiz_id));
    return query
    select k.question_id, k.answer, k.explanation
    from public.quiz_questions as q
    join private.quiz_answer_keys as k on k.question_id = q.id
    where q.quiz_id = p_quiz_id
    order by q.position;
end
$$;
comment on function private.quiz_answer_keys(uuid) is
'The keys of the questions of a quiz, in their order. For the creator of the course and admins. Raises course_not_found
(404).';

create function private.publication_items__quizzes(p_course_id uuid)
returns table (item text, is_required boolean, is_done boolean, missing_count bigint)
language sql
stable
set search_path = ''
as $$
    select 'quiz_question', true, count(*) = 0, count(*)
    from public.quizzes as q
    where q.course_id = p_course_id and not exists (select from public.quiz_questions as i where i.quiz_id = q.id)
$$;
comment on function private.publication_items__quizzes(uuid) is
'The item quiz_question: how many quizzes of a course have no question.';

create function private.tg_courses__check_quizzes() returns trigger
language plpgsql
set search_path = ''
as $$
begin
    if not (select i.is_done from private.publication_items__quizzes(new.id) as i) then
        perform private.refuse('course_incomplete', 'quiz_question');
    end if;
    return new;
end
$$;
comment on function private.tg_courses__check_quizzes() is
'Before the service role publishes a course without publish_course: requires a question in each quiz. Raises
course_incomplete (422).';
create trigger _150_check_quizzes before update of status on public.courses
for each row when (new.status = 'published' and old.status is distinct from new.status)
execute function private.tg_courses__check_quizzes();

create function private.tg_quiz_questions__keep_publishable() returns trigger
language plpgsql
security definer -- locks courses, and must read all questions
set search_path = ''
as $$
begin
    -- Not of questions that are deleted with their quiz.
    perform from public.courses as c
    where c.id in (select q.course_id from deleted_rows as d join public.quizzes as q on q.id = d.quiz_id)
    order by c.id for share;
    perform private.require_publishable('quiz_question', array(
        select q.course_id from public.quizzes as q
        where q.id in (select d.quiz_id from deleted_rows as d)
            and not exists (select from public.quiz_questions as i where i.quiz_id = q.id)
    ));
    return null;
end
$$;
comment on function private.tg_quiz_questions__keep_publishable() is
'After questions are deleted: refuses it where a quiz of a published course keeps none. Raises course_published (409).';
create trigger _350_keep_publishable after delete on public.quiz_questions
referencing old table as deleted_rows
for each statement execute function private.tg_quiz_questions__keep_publishable();
