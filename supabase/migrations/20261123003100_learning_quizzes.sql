-- Learning: quizzes. Questions are for students of the course; the keys lie in private, where only grading looks.

create table public.quizzes (
    id uuid not null default gen_random_uuid() constraint quizzes_pkey primary key,
    course_id uuid not null constraint quizzes_course_id_fkey references public.courses (id) on delete cascade,
    title text not null constraint quizzes_title_check check (title ~ '\S' and char_length(title) <= 160),
    description text constraint quizzes_description_check check (char_length(description) <= 2000),
    pass_percent smallint not null default 70
    constraint quizzes_pass_percent_check check (pass_percent between 1 and 100),
    attempt_limit smallint constraint quizzes_attempt_limit_check check (attempt_limit > 0),
    is_certifying boolean not null default true,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    constraint quizzes_id_course_id_key unique (id, course_id)
);
comment on table public.quizzes is
'The quizzes of a course. Whoever sees the course sees that they are; questions are for students.';
comment on column public.quizzes.pass_percent is 'How much of the points passes, 1 to 100.';
comment on column public.quizzes.attempt_limit is 'How often one may try; null for without limit.';
comment on column public.quizzes.is_certifying is
'Whether passing it earns the course''s certificate; at most one quiz of a course does.';
alter table public.quizzes enable row level security;
revoke all on public.quizzes from anon, authenticated, service_role;
create index quizzes_course_id_idx on public.quizzes (course_id);
comment on index public.quizzes_course_id_idx is 'A course''s quizzes: course_id=eq., and the policies';
create unique index quizzes_certifying_key on public.quizzes (course_id) where is_certifying;
comment on index public.quizzes_certifying_key is 'One certifying quiz a course';
create trigger _200_set_updated_at before update on public.quizzes
for each row execute function private.tg__set_updated_at();

create type public.question_kind as enum ('single', 'multiple', 'true_false');
comment on type public.question_kind is
'single: one option is right. multiple: a set of options is right, wholly or not at all. true_false: a statement.';

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
'The questions of a quiz, without their answers. For students of the course and its creator. Written by
save_quiz_question.';
comment on column public.quiz_questions.kind is 'What an answer looks like.';
comment on column public.quiz_questions.prompt is 'The question, Markdown.';
comment on column public.quiz_questions.options is
'What to choose from: [{"id": "a", "text": "..."}]; [] for true_false.';
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
'What is right. single: "a". multiple: ["a", "c"]. true_false: true. Read by grading, and by the creator through
quiz_answer_keys.';
comment on column private.quiz_answer_keys.explanation is 'Why it is right, Markdown.';
alter table private.quiz_answer_keys enable row level security;

create table public.quiz_attempts (
    id uuid not null default gen_random_uuid() constraint quiz_attempts_pkey primary key,
    quiz_id uuid not null,
    course_id uuid not null,
    enrolment_id uuid not null,
    student_id uuid not null,
    submission_key uuid not null,
    attempt_number integer not null constraint quiz_attempts_attempt_number_check check (attempt_number > 0),
    answers jsonb not null constraint quiz_attempts_answers_check
    check (jsonb_typeof(answers) = 'object' and octet_length(answers::text) <= 1000000),
    points integer not null,
    max_points integer not null constraint quiz_attempts_max_points_check check (max_points > 0),
    pass_percent smallint not null,
    score_percent smallint not null generated always as ((points * 100 / max_points)::smallint) stored,
    is_passed boolean not null generated always as (points * 100 >= max_points * pass_percent) stored,
    submitted_at timestamptz not null default now(),
    constraint quiz_attempts_points_check check (points between 0 and max_points),
    -- Attempts are students' records, and what limits them: a quiz that was tried stays.
    constraint quiz_attempts_quiz_id_fkey foreign key (quiz_id, course_id)
    references public.quizzes (id, course_id) on delete restrict,
    constraint quiz_attempts_enrolment_id_fkey foreign key (enrolment_id, course_id, student_id)
    references public.enrolments (id, course_id, student_id) on delete cascade,
    constraint quiz_attempts_enrolment_id_quiz_id_attempt_number_key unique (enrolment_id, quiz_id, attempt_number),
    constraint quiz_attempts_enrolment_id_quiz_id_submission_key_key unique (enrolment_id, quiz_id, submission_key)
);
comment on table public.quiz_attempts is
'Graded attempts. The student reads his own, the creator those of his courses. Written by submit_quiz only; never
changed.';
comment on column public.quiz_attempts.submission_key is
'The client''s key of the submission: the same key is the same attempt.';
comment on column public.quiz_attempts.attempt_number is 'Which try it was, from 1.';
comment on column public.quiz_attempts.answers is 'What was answered: {"<question id>": answer}.';
comment on column public.quiz_attempts.points is 'What was reached.';
comment on column public.quiz_attempts.max_points is 'What could be reached then.';
comment on column public.quiz_attempts.pass_percent is 'What passed then.';
comment on column public.quiz_attempts.score_percent is 'What was reached of 100, rounded down.';
comment on column public.quiz_attempts.is_passed is 'Whether it passed.';
alter table public.quiz_attempts enable row level security;
revoke all on public.quiz_attempts from anon, authenticated, service_role;
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

create function private.check_question(p_kind public.question_kind, p_options jsonb, p_answer jsonb) returns void
language plpgsql
immutable
set search_path = ''
as $$
declare
    v_ids jsonb;
    v_problem text;
begin
    if p_kind = 'true_false' then
        v_problem := case
            when p_options <> '[]' then 'a true_false question has no options'
            when jsonb_typeof(p_answer) is distinct from 'boolean' then 'the answer is true or false'
        end;
    elsif jsonb_typeof(p_options) is distinct from 'array' or jsonb_array_length(p_options) not between 2 and 20
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
    then
        v_problem := 'options are 2 to 20 objects of id (letters, digits, _ and -) and text, and nothing else';
    else
        v_ids := (select jsonb_agg(o.item -> 'id') from jsonb_array_elements(p_options) as o (item));
        v_problem := case
            when (select count(distinct i.id) from jsonb_array_elements(v_ids) as i (id)) < jsonb_array_length(v_ids)
                then 'two options have the same id'
            when p_kind = 'single' and not coalesce(jsonb_typeof(p_answer) = 'string' and v_ids @> p_answer, false)
                then 'the answer is the id of one option'
            when p_kind = 'multiple' and not coalesce(
                    jsonb_typeof(p_answer) = 'array' and p_answer <> '[]' and v_ids @> p_answer, false
                )
                then 'the answer is a list of ids of options'
        end;
    end if;
    if v_problem is not null then
        raise sqlstate 'PT422' using
            message = 'question_invalid',
            detail = 'The question cannot be asked so: ' || v_problem || '.',
            hint = 'See the comment of save_quiz_question for what each kind looks like.';
    end if;
end
$$;
comment on function private.check_question(public.question_kind, jsonb, jsonb) is
'Refuses a question whose options or key are not of its kind. Raises PT422 question_invalid.';

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
    v_course_id uuid;
    v_question public.quiz_questions;
begin
    -- The lock gives questions that are added at once different positions.
    select q.course_id into v_course_id from public.quizzes as q where q.id = p_quiz_id for no key update;
    perform private.require_course_owner(v_course_id);
    perform private.check_question(p_kind, p_options, p_answer);
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
    values (v_question.id, p_answer, p_explanation)
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
the question without it. options: [{"id": "a", "text": "..."}]. answer: "a" for single, ["a", "c"] for multiple, true or
false for true_false. For the course''s creator. Raises course_not_found, question_not_found (404), question_invalid (422).';

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
