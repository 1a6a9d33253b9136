-- Learning: quizzes, and how they are taken.

create type public.quiz_feedback as enum ('none', 'score', 'answers', 'answers_at_once');
comment on type public.quiz_feedback is
'What a student learns of a graded attempt beyond its result. none: nothing. score: which questions were right, and the
points of each. answers: that, and, once he has passed the quiz or has no further attempt, the right answers and why.
answers_at_once: all of it after every attempt.';

create table public.quizzes (
    id uuid not null default gen_random_uuid() constraint quizzes_pkey primary key,
    course_id uuid not null constraint quizzes_course_id_fkey references public.courses (id) on delete cascade,
    title text not null constraint quizzes_title_check check (title ~ '\S' and char_length(title) <= 160),
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
'The quizzes of a course. Whoever sees the course sees that they are; questions are for students.';
comment on column public.quizzes.pass_percent is 'How much of the points passes, 1 to 100.';
comment on column public.quizzes.attempt_limit is
'How often one may try; null for without limit. An attempt counts from when it is begun.';
comment on column public.quizzes.time_limit_seconds is
'How long an attempt may take; null for as long as one likes. Where it is set, start_quiz begins an attempt, and only
attempt_questions shows a student questions.';
comment on column public.quizzes.question_count is
'How many questions are drawn at random for each attempt, of those that there are; null for all of them. Where it is
set, start_quiz begins an attempt, and only attempt_questions shows a student questions.';
comment on column public.quizzes.is_shuffled is
'Whether each attempt that start_quiz begins has questions and options in an order of its own.';
comment on column public.quizzes.has_partial_credit is
'Whether a question of the kind multiple gives points for a part of the answer: of its points, as much as the right
options chosen are more than the wrong ones, divided by the right ones there are; never less than nothing.';
comment on column public.quizzes.penalty_percent is
'How much of a question''s points a wrong answer costs; no answer costs nothing, and no attempt ends below zero.';
comment on column public.quizzes.feedback is 'What attempt_feedback tells the student.';
comment on column public.quizzes.is_certifying is
'Whether passing it earns the course''s certificate; at most one quiz of a course does.';
alter table public.quizzes enable row level security;
revoke all on public.quizzes from anon, authenticated, service_role;
create index quizzes_course_id_idx on public.quizzes (course_id);
comment on index public.quizzes_course_id_idx is 'A course''s quizzes: course_id=eq., and the policies';
create unique index quizzes_certifying_key on public.quizzes (course_id) where is_certifying;
comment on index public.quizzes_certifying_key is 'One certifying quiz a course';
create index quizzes_sealed_idx on public.quizzes (course_id)
where time_limit_seconds is not null or question_count is not null;
comment on index public.quizzes_sealed_idx is 'private.my_sealed_quiz_ids';
create trigger _200_set_updated_at before update on public.quizzes
for each row execute function private.tg__set_updated_at();

create function private.my_sealed_quiz_ids() returns uuid[]
language plpgsql
stable
security definer -- the policy of questions asks, whatever the caller may read
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
'The quizzes of the caller''s courses whose questions a student sees only in an attempt that he has begun: those with a
time limit, and those that draw their questions. Policies call it as <> all((select
private.my_sealed_quiz_ids())::uuid[]).';
