-- Learning: questions. They are for students of the course; the keys lie in private, where only grading looks.

create type public.question_kind as enum ('single', 'multiple', 'true_false', 'numeric', 'short_text');
comment on type public.question_kind is
'single: one option is right. multiple: a set of options is right. true_false: a statement. numeric: a number, or any
near enough. short_text: a word or a few, in any script.';

create table public.quiz_questions (
    id uuid not null default gen_random_uuid() constraint quiz_questions_pkey primary key,
    quiz_id uuid not null,
    course_id uuid not null constraint quiz_questions_course_id_fkey references public.courses (id) on delete cascade,
    kind public.question_kind not null,
    prompt text not null constraint quiz_questions_prompt_check check (prompt ~ '\S' and char_length(prompt) <= 4000),
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
'The questions of a quiz, without their answers. For its creator, and for students of the course, who see those of a
quiz with a time limit, or that draws them, by attempt_questions only. Written by save_quiz_question.';
comment on column public.quiz_questions.kind is 'What an answer looks like.';
comment on column public.quiz_questions.prompt is 'The question, Markdown.';
comment on column public.quiz_questions.options is
'What to choose from: [{"id": "a", "text": "..."}]; [] where nothing is chosen.';
comment on column public.quiz_questions.points is 'What a right answer counts.';
comment on column public.quiz_questions.position is 'Where it stands in its quiz, from 1; given by the database.';
alter table public.quiz_questions enable row level security;
revoke all on public.quiz_questions from anon, authenticated, service_role;
create index quiz_questions_quiz_id_course_id_idx on public.quiz_questions (quiz_id, course_id);
comment on index public.quiz_questions_quiz_id_course_id_idx is 'A quiz''s questions: quiz_id=eq., and the foreign key';
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
'What is right. single: "a". multiple: ["a", "c"]. true_false: true. numeric: {"min": 3.1, "max": 3.2}. short_text:
["Lisbon", "Lisboa"]. Read by grading, and by the creator through quiz_answer_keys.';
comment on column private.quiz_answer_keys.explanation is 'Why it is right, Markdown.';
alter table private.quiz_answer_keys enable row level security;

create function private.tg_quiz_questions__close_gaps() returns trigger
language plpgsql
security definer -- positions are no client's to write
set search_path = ''
as $$
begin
    perform from public.quizzes as q
    where q.id in (select g.quiz_id from gone as g)
    order by q.id for no key update;
    update public.quiz_questions as q set position = p.place
    from (
        select s.id, row_number() over (partition by s.quiz_id order by s.position) as place
        from public.quiz_questions as s
        where s.quiz_id in (select g.quiz_id from gone as g)
    ) as p
    where q.id = p.id and q.position <> p.place;
    return null;
end
$$;
comment on function private.tg_quiz_questions__close_gaps() is
'After questions are deleted: those that are left of their quizzes stand at 1, 2, 3 ...';
create trigger _010_take_turn before delete on public.quiz_questions
for each statement when (pg_catalog.pg_trigger_depth() = 0) execute function private.tg__take_curriculum_turn();
-- What goes with its quiz leaves no gap behind.
create trigger _300_close_gaps after delete on public.quiz_questions
referencing old table as gone
for each statement when (pg_catalog.pg_trigger_depth() = 0) execute function private.tg_quiz_questions__close_gaps();

create function private.is_sane_number(p_value jsonb) returns boolean
language sql
immutable
set search_path = ''
as $$
    select coalesce(
        case
            when jsonb_typeof(p_value) = 'number' then abs(p_value::numeric) < 1e15 and scale(p_value::numeric) <= 15
        end,
        false
    )
$$;
comment on function private.is_sane_number(jsonb) is
'Whether this is a number of at most 15 digits before the point and 15 behind it: JSON knows none that is not finite,
and others, such as 1e99999, are a few bytes that become many.';

create function private.normalise_text(p_text text) returns text
language sql
immutable
set search_path = ''
as $$
    select btrim(regexp_replace(
        -- What is not seen: zero-width spaces, marks of direction, the byte order mark.
        translate(
            -- Upper case first: only so do letters that have several lower cases become one ("ß", "ss"; "ς", "σ").
            normalize(
                lower(upper(normalize(p_text, nfkc) collate "und-x-icu") collate "und-x-icu"), nfkc
            ),
            U&'\200B\200E\200F\202A\202B\202C\202D\202E\2060\2066\2067\2068\2069\FEFF\061C',
            ''
        ),
        U&'[\0009-\000D\0020\0085\00A0\1680\2000-\200A\2028\2029\202F\205F\3000]+', ' ', 'g'
    ))
$$;
comment on function private.normalise_text(text) is
'A text as short answers are compared: in Unicode''s form NFKC, without upper and lower case, with single spaces, and
without what is not seen.';

create function private.options_problem(p_options jsonb) returns text
language sql
immutable
set search_path = ''
as $$
    select case
        when jsonb_typeof(p_options) is distinct from 'array' or jsonb_array_length(p_options) not between 2 and 20
            or exists (
                select from jsonb_array_elements(p_options) as o (item)
                where jsonb_typeof(o.item) is distinct from 'object'
                    or coalesce(o.item ->> 'id', '') !~ '^[a-zA-Z0-9_-]{1,40}$'
                    or coalesce(char_length(btrim(o.item ->> 'text')), 0) not between 1 and 1000
                    or jsonb_typeof(o.item -> 'id') <> 'string'
                    or jsonb_typeof(o.item -> 'text') <> 'string'
                    -- Whatever else stood in an option, such as which is right, students would read.
                    or (o.item - 'id' - 'text') <> '{}'
            )
            then 'options are 2 to 20 objects of id (letters, digits, _ and -) and text, and nothing else'
        when (select count(distinct o.item -> 'id') from jsonb_array_elements(p_options) as o (item))
            < jsonb_array_length(p_options)
            then 'two options have the same id'
    end
$$;
comment on function private.options_problem(jsonb) is 'Why these are no options to choose from; null where they are.';

create function private.answer_key(p_kind public.question_kind, p_answer jsonb) returns jsonb
language sql
immutable
set search_path = ''
as $$
    select case
        when p_kind = 'numeric' and private.is_sane_number(p_answer)
            then jsonb_build_object('min', p_answer, 'max', p_answer)
        when p_kind = 'numeric' and jsonb_typeof(p_answer) = 'object' and (p_answer - 'value' - 'tolerance') = '{}'
            and private.is_sane_number(p_answer -> 'value') and private.is_sane_number(p_answer -> 'tolerance')
            then jsonb_build_object(
                'min', (p_answer -> 'value')::numeric - (p_answer -> 'tolerance')::numeric,
                'max', (p_answer -> 'value')::numeric + (p_answer -> 'tolerance')::numeric
            )
        when p_kind = 'short_text' and jsonb_typeof(p_answer) = 'string' then jsonb_build_array(p_answer)
        else p_answer
    end
$$;
comment on function private.answer_key(public.question_kind, jsonb) is
'The answer that a creator gives as the one form in which the key is kept.';

create function private.key_problem(p_kind public.question_kind, p_options jsonb, p_answer jsonb) returns text
language sql
immutable
set search_path = ''
as $$
    select case
        when coalesce(case p_kind
            when 'single' then jsonb_typeof(p_answer) = 'string' and p_answer in (
                select o.item -> 'id' from jsonb_array_elements(p_options) as o (item)
            )
            when 'multiple' then jsonb_typeof(p_answer) = 'array' and p_answer <> '[]' and (
                select jsonb_agg(o.item -> 'id') from jsonb_array_elements(p_options) as o (item)
            ) @> p_answer
            when 'true_false' then jsonb_typeof(p_answer) = 'boolean'
            when 'numeric' then jsonb_typeof(p_answer) = 'object' and (p_answer - 'min' - 'max') = '{}'
                and private.is_sane_number(p_answer -> 'min') and private.is_sane_number(p_answer -> 'max')
                and p_answer -> 'min' <= p_answer -> 'max'
            when 'short_text' then jsonb_typeof(p_answer) = 'array' and jsonb_array_length(p_answer) between 1 and 50
                and not exists (
                    select from jsonb_array_elements(p_answer) as a (item)
                    where jsonb_typeof(a.item) <> 'string'
                        or char_length(a.item #>> '{}') > 200
                        or private.normalise_text(a.item #>> '{}') = ''
                )
        end, false) then null
        else case p_kind
            when 'single' then 'the answer is the id of one option'
            when 'multiple' then 'the answer is a list of ids of options'
            when 'true_false' then 'the answer is true or false'
            when 'numeric' then
                'the answer is a number, {"value": number, "tolerance": number} or {"min": number, "max": number}'
            when 'short_text' then 'the answer is a text, or a list of up to 50, of up to 200 characters'
        end
    end
$$;
comment on function private.key_problem(public.question_kind, jsonb, jsonb) is
'Why this is no key of a question of the kind; null where it is one.';

create function private.question_problem(p_kind public.question_kind, p_options jsonb, p_answer jsonb) returns text
language sql
immutable
set search_path = ''
as $$
    select coalesce(
        case
            when p_kind in ('single', 'multiple') then private.options_problem(p_options)
            when p_options is distinct from '[]' then format('a %s question has no options', p_kind)
        end,
        private.key_problem(p_kind, p_options, p_answer)
    )
    where p_kind is not null -- the column refuses it
$$;
comment on function private.question_problem(public.question_kind, jsonb, jsonb) is
'Why a question cannot be asked with these options and this key; null where it can.';

create function private.require_own_quiz(p_quiz_id uuid) returns uuid
language plpgsql
set search_path = ''
as $$
declare
    v_course_id uuid := (select q.course_id from public.quizzes as q where q.id = p_quiz_id);
begin
    perform private.require_course_owner(v_course_id);
    perform private.take_curriculum_turn((select c.creator_id from public.courses as c where c.id = v_course_id));
    perform from public.quizzes as q where q.id = p_quiz_id for no key update;
    return v_course_id;
end
$$;
comment on function private.require_own_quiz(uuid) is
'The course of a quiz that is the caller''s to write. The quiz is locked until the transaction ends: questions that are
added at once stand one after the other. Raises what require_course_owner raises.';

create function private.save_quiz_question(
    p_quiz_id uuid,
    p_question_id uuid,
    p_kind public.question_kind,
    p_prompt text,
    p_options jsonb,
    p_answer jsonb,
    p_points smallint,
    p_explanation text
)
returns public.quiz_questions
language plpgsql
security definer -- the key goes where no client may write; the check below decides
set search_path = ''
as $$
declare
    v_course_id uuid := private.require_own_quiz(p_quiz_id);
    v_answer jsonb := private.answer_key(p_kind, p_answer);
    v_problem text := private.question_problem(p_kind, p_options, v_answer);
    v_question public.quiz_questions;
begin
    if v_problem is not null then
        raise sqlstate 'PT422' using
            message = 'question_invalid',
            detail = format('"%s" cannot be asked so: %s.', left(p_prompt, 100), v_problem),
            hint = 'See the comment of save_quiz_question for what each kind looks like.';
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
            raise sqlstate 'PT404' using
                message = 'question_not_found',
                detail = 'The quiz has no such question.',
                hint = 'Leave question_id out to add a question.';
        end if;
    end if;
    insert into private.quiz_answer_keys as k (question_id, answer, explanation)
    values (v_question.id, v_answer, p_explanation)
    on conflict (question_id) do update set answer = excluded.answer, explanation = excluded.explanation;
    return v_question;
end
$$;
comment on function private.save_quiz_question(
    uuid, uuid, public.question_kind, text, jsonb, jsonb, smallint, text
) is
'Adds or changes a question together with its key. Raises PT404 course_not_found or question_not_found, PT422
question_invalid, 23514 for a text or points out of bounds.';

create function public.save_quiz_question(
    quiz_id uuid,
    kind public.question_kind,
    prompt text,
    answer jsonb,
    options jsonb default '[]',
    points smallint default 1,
    explanation text default null,
    question_id uuid default null
)
returns public.quiz_questions
language sql
set search_path = ''
as $$
    select private.save_quiz_question(
        save_quiz_question.quiz_id,
        save_quiz_question.question_id,
        save_quiz_question.kind,
        save_quiz_question.prompt,
        save_quiz_question.options,
        save_quiz_question.answer,
        save_quiz_question.points,
        save_quiz_question.explanation
    )
$$;
comment on function public.save_quiz_question(
    uuid, public.question_kind, text, jsonb, jsonb, smallint, text, uuid
) is
'Adds a question to a quiz, or with question_id changes it, together with its answer, which no student can read; answers
the question without it. options, of single and multiple: [{"id": "a", "text": "..."}]. answer: "a" for single, ["a",
"c"] for multiple, true or false for true_false; 5, {"value": 3.14, "tolerance": 0.01} or {"min": 3.1, "max": 3.2} for
numeric; ["Lisbon", "Lisboa"], whatever is accepted, for short_text, where case, spaces and forms of letters do not
count. For the course''s creator. Raises course_not_found, question_not_found (404), question_invalid (422).';

create function private.save_quiz_questions(p_quiz_id uuid, p_questions jsonb) returns setof public.quiz_questions
language plpgsql
security definer -- the keys go where no client may write; the check below decides
set search_path = ''
as $$
begin
    perform private.require_own_quiz(p_quiz_id);
    if jsonb_typeof(p_questions) is distinct from 'array' or jsonb_array_length(p_questions) > 1000 or exists (
        select from jsonb_array_elements(p_questions) as q (item) where jsonb_typeof(q.item) <> 'object'
    ) then
        raise sqlstate 'PT422' using
            message = 'question_invalid',
            detail = 'Questions are a list of up to 1000 objects.',
            hint = 'See the comment of save_quiz_questions.';
    end if;
    return query
    select s.*
    from jsonb_array_elements(p_questions) with ordinality as q (item, place)
    cross join lateral jsonb_to_record(q.item) as r (
        question_id uuid, kind public.question_kind, prompt text, options jsonb, answer jsonb, points smallint,
        explanation text
    )
    cross join lateral private.save_quiz_question(
        p_quiz_id, r.question_id, r.kind, r.prompt, coalesce(r.options, '[]'), r.answer, coalesce(r.points,
1::smallint),         r.explanation
    ) as s
    order by q.place;
end
$$;
comment on function private.save_quiz_questions(uuid, jsonb) is
'Adds or changes many questions together with their keys: all, or none. Raises what save_quiz_question raises.';

create function public.save_quiz_questions(quiz_id uuid, questions jsonb) returns setof public.quiz_questions
language sql
set search_path = ''
as $$
    select q.* from private.save_quiz_questions(save_quiz_questions.quiz_id, save_quiz_questions.questions) as q
$$;
comment on function public.save_quiz_questions(uuid, jsonb) is
'Adds up to 1000 questions to a quiz, or with question_id changes them, all or none, and answers them: for filling a
bank. questions: [{"kind": "numeric", "prompt": "...", "answer": 5, "points": 2, "explanation": "..."}, ...], each as
save_quiz_question takes it. For the course''s creator. Raises course_not_found, question_not_found (404),
question_invalid (422).';

create function private.reorder_quiz_questions(p_quiz_id uuid, p_question_ids uuid[])
returns setof public.quiz_questions
language plpgsql
security definer -- positions are no client's to write; the check below decides
set search_path = ''
as $$
begin
    perform private.require_own_quiz(p_quiz_id);
    if (select array_agg(q.id order by q.id) from public.quiz_questions as q where q.quiz_id = p_quiz_id)
        is distinct from (select array_agg(o.id order by o.id) from unnest(p_question_ids) as o (id))
    then
        perform private.refuse_order();
    end if;
    update public.quiz_questions as q set position = o.place
    from unnest(p_question_ids) with ordinality as o (id, place)
    where q.id = o.id and q.position <> o.place;
    return query select q.* from public.quiz_questions as q where q.quiz_id = p_quiz_id order by q.position;
end
$$;
comment on function private.reorder_quiz_questions(uuid, uuid[]) is
'Puts the questions of a quiz into this order. Raises PT404 course_not_found, PT409 order_incomplete.';

create function public.reorder_quiz_questions(quiz_id uuid, question_ids uuid[]) returns setof public.quiz_questions
language sql
set search_path = ''
as $$
    select q.*
    from private.reorder_quiz_questions(reorder_quiz_questions.quiz_id, reorder_quiz_questions.question_ids) as q
$$;
comment on function public.reorder_quiz_questions(uuid, uuid[]) is
'Puts the questions of a quiz into an order, and answers them in it. question_ids: every question of the quiz, once. For
the course''s creator. Raises course_not_found (404), order_incomplete (409).';

create function private.quiz_answer_keys(p_quiz_id uuid)
returns table (question_id uuid, answer jsonb, explanation text)
language plpgsql
stable
security definer -- the keys are closed; the check below decides
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
'The keys of a quiz, for its course''s creator. Raises PT404 course_not_found.';

create function public.quiz_answer_keys(quiz_id uuid)
returns table (question_id uuid, answer jsonb, explanation text)
language sql
stable
set search_path = ''
as $$
    select k.question_id, k.answer, k.explanation from private.quiz_answer_keys(quiz_answer_keys.quiz_id) as k
$$;
comment on function public.quiz_answer_keys(uuid) is
'What is right in a quiz, in the order of its questions. For the course''s creator. Raises course_not_found (404).';

create function private.tg_courses__check_quizzes() returns trigger
language plpgsql
set search_path = ''
as $$
begin
    if exists (
        select from public.quizzes as q
        where q.course_id = new.id and not exists (select from public.quiz_questions as i where i.quiz_id = q.id)
    ) then
        raise sqlstate 'PT422' using
            message = 'course_incomplete',
            detail = 'The course still lacks: quiz_question.',
            hint = 'Add questions to every quiz, or delete the empty one.';
    end if;
    return new;
end
$$;
comment on function private.tg_courses__check_quizzes() is
'Before a course is published: none of its quizzes is empty. Raises PT422 course_incomplete.';
create trigger _150_check_quizzes before update of status on public.courses
for each row when (new.status = 'published' and old.status is distinct from new.status)
execute function private.tg_courses__check_quizzes();
