-- Learning: quizzes and their settings.

create type public.quiz_feedback as enum ('none', 'score', 'answers', 'answers_at_once');
comment on type public.quiz_feedback is
'What attempt_feedback shows a student of a graded attempt. none: nothing. score: which answers are correct, and their
points. answers: that, and, once the student has passed the quiz or has no attempt left, the correct answers and
explanations. answers_at_once: all of it after each attempt.';

create table public.quizzes (
    id uuid not null default gen_random_uuid() constraint quizzes_pkey primary key,
    course_id uuid not null constraint quizzes_course_id_fkey references public.courses (id) on delete cascade,
    title text not null constraint quizzes_title_check check (private.is_name(title, 160)),
    description text constraint quizzes_description_check check (char_length(description) <= 2000),
    pass_percent smallint not null default 70
    constraint quizzes_pass_percent_check check (pass_percent between 1 and 100),
    attempt_limit smallint constraint quizzes_attempt_limit_check check (attempt_limit > 0),
    time_limit_seconds integer
    constraint quizzes_time_limit_seconds_check check (time_limit_seconds between 1 and 604800),
    question_count smallint constraint quizzes_question_count_check check (question_count between 1 and 10000),
    is_shuffled boolean not null default false,
    has_partial_credit boolean not null default false,
    penalty_percent smallint not null default 0
    constraint quizzes_penalty_percent_check check (penalty_percent between 0 and 100),
    feedback public.quiz_feedback not null default 'answers',
    is_certifying boolean not null default true,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    constraint quizzes_id_course_id_key unique (id, course_id)
);
comment on table public.quizzes is
'The quizzes of courses. Everybody who reads the course reads them; students of the course read their questions.';
comment on column public.quizzes.pass_percent is 'The share of the points that passes, 1 to 100 percent.';
comment on column public.quizzes.attempt_limit is
'How many attempts a student has; null for no limit. An attempt counts from its start.';
comment on column public.quizzes.time_limit_seconds is
'How many seconds an attempt may take, at most a week; null for no limit. With a limit, start_quiz begins an attempt,
and only attempt_questions shows questions to a student.';
comment on column public.quizzes.question_count is
'How many of the questions each attempt draws at random; null for all of them. With a number, start_quiz begins an
attempt, and only attempt_questions shows questions to a student.';
comment on column public.quizzes.is_shuffled is
'Whether each attempt has its questions and options in an order of its own.';
comment on column public.quizzes.has_partial_credit is
'Whether a question of the kind multiple gives points for a part of the answer: its points times (correct options chosen
minus wrong ones) divided by the number of correct options, at least 0.';
comment on column public.quizzes.penalty_percent is
'The share of the points of a question that a wrong answer costs, 0 to 100 percent. No answer costs nothing, and no
attempt ends below 0 points.';
comment on column public.quizzes.feedback is 'What attempt_feedback shows the student.';
comment on column public.quizzes.is_certifying is
'Whether passing it earns the certificate of the course; at most one quiz of a course does.';
comment on constraint quizzes_course_id_fkey on public.quizzes is 'There is no such course.';
comment on constraint quizzes_title_check on public.quizzes is
'The title of a quiz is one line of 1 to 160 characters, of which some are visible.';
comment on constraint quizzes_description_check on public.quizzes is
'The description of a quiz has at most 2,000 characters.';
comment on constraint quizzes_pass_percent_check on public.quizzes is 'A quiz passes at 1 to 100 percent.';
comment on constraint quizzes_attempt_limit_check on public.quizzes is
'A quiz allows at least one attempt; null stands for no limit.';
comment on constraint quizzes_time_limit_seconds_check on public.quizzes is
'A time limit is 1 to 604,800 seconds, a week; null stands for no limit.';
comment on constraint quizzes_question_count_check on public.quizzes is
'A quiz draws 1 to 10,000 questions; null stands for all of them.';
comment on constraint quizzes_penalty_percent_check on public.quizzes is
'A wrong answer costs 0 to 100 percent of the points.';
alter table public.quizzes enable row level security;
revoke all on public.quizzes from anon, authenticated, service_role;
create index quizzes_course_id_idx on public.quizzes (course_id);
comment on index public.quizzes_course_id_idx is 'The quizzes of a course: course_id=eq., and the policies';
create unique index quizzes_certifying_key on public.quizzes (course_id) where is_certifying;
comment on index public.quizzes_certifying_key is 'A course has one certifying quiz at most.';
create index quizzes_sealed_idx on public.quizzes (course_id)
where time_limit_seconds is not null or question_count is not null;
comment on index public.quizzes_sealed_idx is 'private.my_sealed_quiz_ids';
create trigger _200_set_updated_at before update on public.quizzes
for each row execute function private.tg__set_updated_at();
-- Deleting a quiz deletes its questions.
create trigger _010_lock_curriculum before delete on public.quizzes
for each statement when (pg_catalog.pg_trigger_depth() = 0) execute function private.tg__lock_teacher_curriculum();

create function private.my_sealed_quiz_ids() returns uuid[]
language plpgsql
stable
security definer -- the policy of quiz_questions calls it
set search_path = ''
as $$
begin
    return (
        select coalesce(array_agg(q.id), '{}')
        from public.enrolments as e
        join public.quizzes as q on q.course_id = e.course_id
        where e.student_id = (select auth.uid()) and (q.time_limit_seconds is not null or q.question_count is not null)
    );
end
$$;
comment on function private.my_sealed_quiz_ids() is
'The quizzes of the caller''s courses whose questions only attempt_questions shows: those with a time limit, and those
that draw their questions. Policies call it as <> all((select private.my_sealed_quiz_ids())::uuid[]).';
