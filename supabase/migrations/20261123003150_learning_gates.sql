-- Learning: gates of lessons, which open some days after enrolment, after another lesson, or after a quiz.

insert into private.errors (token, status, meaning, hint, detail)
values
(
    'gate_cycle', 409,
    'The lesson would wait for itself.',
    'Choose a lesson that does not wait for this one.',
    null
),
(
    'intro_has_no_gate', 409,
    'An intro lesson is open to everybody and has no gate.',
    'Set is_intro of the lesson to false first, or delete its gate.',
    null
),
(
    'lesson_locked', 403,
    'The lesson is not open to you yet.',
    'lesson_locks says what each lesson waits for.',
    'The lesson opens %s.'
);

create table public.lesson_gates (
    lesson_id uuid constraint lesson_gates_pkey primary key,
    course_id uuid not null constraint lesson_gates_course_id_fkey references public.courses (id) on delete cascade,
    after_days smallint constraint lesson_gates_after_days_check check (after_days between 1 and 3650),
    after_lesson_id uuid,
    after_quiz_id uuid,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    constraint lesson_gates_lesson_id_fkey foreign key (lesson_id, course_id)
    references public.lessons (id, course_id) on delete cascade,
    -- On the columns of the foreign key, so that PostgREST embeds one gate and not a list.
    constraint lesson_gates_lesson_id_course_id_key unique (lesson_id, course_id),
    -- Nobody waits for a deleted lesson or quiz.
    constraint lesson_gates_after_lesson_id_fkey foreign key (after_lesson_id, course_id)
    references public.lessons (id, course_id) on delete set null (after_lesson_id),
    constraint lesson_gates_after_quiz_id_fkey foreign key (after_quiz_id, course_id)
    references public.quizzes (id, course_id) on delete set null (after_quiz_id)
);
comment on table public.lesson_gates is
'What students wait for before a lesson opens; everything that is set must have come. Everybody who reads the course
reads it, its creator writes it. lesson_locks shows the lessons that are still locked to the caller.';
comment on column public.lesson_gates.course_id is 'The course of its lesson; the database sets it.';
comment on column public.lesson_gates.after_days is
'The days after enrolment at which it opens: days of 24 hours from the instant of enrolment, 1 to 3,650.';
comment on column public.lesson_gates.after_lesson_id is 'The lesson of the course to finish first.';
comment on column public.lesson_gates.after_quiz_id is 'The quiz of the course to pass first.';
comment on constraint lesson_gates_pkey on public.lesson_gates is 'This lesson already has a gate.';
comment on constraint lesson_gates_lesson_id_course_id_key on public.lesson_gates is 'This lesson already has a gate.';
comment on constraint lesson_gates_course_id_fkey on public.lesson_gates is 'There is no such course.';
comment on constraint lesson_gates_lesson_id_fkey on public.lesson_gates is 'There is no such lesson.';
comment on constraint lesson_gates_after_days_check on public.lesson_gates is 'A lesson opens after 1 to 3,650 days.';
comment on constraint lesson_gates_after_lesson_id_fkey on public.lesson_gates is
'The lesson to finish first must be a lesson of the same course.';
comment on constraint lesson_gates_after_quiz_id_fkey on public.lesson_gates is
'The quiz to pass first must be a quiz of the same course.';
alter table public.lesson_gates enable row level security;
revoke all on public.lesson_gates from anon, authenticated, service_role;
create index lesson_gates_course_id_idx on public.lesson_gates (course_id);
comment on index public.lesson_gates_course_id_idx is
'The gates of a course: course_id=eq., lesson_locks, and the foreign key';
create index lesson_gates_after_lesson_id_course_id_idx on public.lesson_gates (after_lesson_id, course_id);
comment on index public.lesson_gates_after_lesson_id_course_id_idx is 'The foreign key';
create index lesson_gates_after_quiz_id_course_id_idx on public.lesson_gates (after_quiz_id, course_id);
comment on index public.lesson_gates_after_quiz_id_course_id_idx is 'The foreign key';
create trigger _200_set_updated_at before update on public.lesson_gates
for each row execute function private.tg__set_updated_at();

create function private.tg_lesson_gates__check() returns trigger
language plpgsql
security definer -- locks the lesson and the course; the policy checks the caller
set search_path = ''
as $$
declare
    v_is_intro boolean;
begin
    -- The lock keeps the lesson from becoming an intro meanwhile.
    select l.course_id, l.is_intro into new.course_id, v_is_intro
    from public.lessons as l where l.id = new.lesson_id for share;
    if v_is_intro then
        perform private.refuse('intro_has_no_gate');
    end if;
    if new.after_lesson_id is not null then
        -- One gate of a course at a time: two at once could close a cycle that neither sees.
        perform from public.courses as c where c.id = new.course_id for no key update;
        if exists (
            with recursive before as (
                select new.after_lesson_id as lesson_id
                union
                select g.after_lesson_id from before as b join public.lesson_gates as g on g.lesson_id = b.lesson_id
                where b.lesson_id <> new.lesson_id and g.after_lesson_id is not null
            )
            select from before as b where b.lesson_id = new.lesson_id
        ) then
            perform private.refuse('gate_cycle');
        end if;
    end if;
    return new;
end
$$;
comment on function private.tg_lesson_gates__check() is
'Before an insert or update: sets the course of the lesson; refuses a gate of an intro lesson and a cycle of gates.
Raises gate_cycle or intro_has_no_gate (409).';
create trigger _010_lock_curriculum before insert or delete or update on public.lesson_gates
for each statement when (pg_catalog.pg_trigger_depth() = 0) execute function private.tg__lock_teacher_curriculum();
create trigger _050_check before insert or update of lesson_id, course_id, after_lesson_id on public.lesson_gates
for each row execute function private.tg_lesson_gates__check();

create function private.tg_lessons__check_gate() returns trigger
language plpgsql
security definer -- must read every gate
set search_path = ''
as $$
begin
    if exists (select from public.lesson_gates as g where g.lesson_id = new.id) then
        perform private.refuse('intro_has_no_gate');
    end if;
    return new;
end
$$;
comment on function private.tg_lessons__check_gate() is
'Before a lesson becomes an intro: refuses one with a gate. Raises intro_has_no_gate (409).';
create trigger _150_check_gate before update of is_intro on public.lessons
for each row when (new.is_intro and not old.is_intro) execute function private.tg_lessons__check_gate();

-- Not `exists`: where the planner expects many gates, it would hash everything that anybody ever passed.
create view public.lesson_locks with (security_invoker = true) as
with own_gates as (
    select
        g.lesson_id,
        g.course_id,
        e.id as enrolment_id,
        e.enrolled_at + g.after_days * interval '24 hours' as opens_at,
        case
            when (
                select bool_or(p.completed_at is not null) from public.lesson_progress as p
                where p.enrolment_id = e.id and p.lesson_id = g.after_lesson_id and p.completed_at is not null
            ) is null then g.after_lesson_id
        end as after_lesson_id,
        case
            when (
                select bool_or(a.is_passed) from public.quiz_attempts as a
                where a.enrolment_id = e.id and a.quiz_id = g.after_quiz_id and a.is_passed
            ) is null then g.after_quiz_id
        end as after_quiz_id
    from public.enrolments as e
    inner join public.lesson_gates as g on e.course_id = g.course_id
    where
        e.student_id = (select auth.uid())
        and e.status <> 'cancelled'
        and not exists (
            select from public.lesson_progress as p
            where p.enrolment_id = e.id and p.lesson_id = g.lesson_id and p.completed_at is not null
        )
)

select
    lesson_id,
    course_id,
    enrolment_id,
    after_lesson_id,
    after_quiz_id,
    case when opens_at > now() then opens_at end as opens_at
from own_gates
where opens_at > now() or after_lesson_id is not null or after_quiz_id is not null;
comment on view public.lesson_locks is
'The lessons that are still locked to the caller in their courses as a student, and what each waits for: course_id=eq. A
finished lesson stays open, even if its gate changes.';
comment on column public.lesson_locks.opens_at is
'When the days are over; null where they are, or where the gate has none. The lesson stays locked until everything in
this row has come.';
comment on column public.lesson_locks.after_lesson_id is 'The lesson still to finish; null for none.';
comment on column public.lesson_locks.after_quiz_id is 'The quiz still to pass; null for none.';
revoke all on public.lesson_locks from anon, authenticated, service_role;
create trigger _100_refuse_write instead of insert or update or delete on public.lesson_locks
for each row execute function private.tg__refuse_write();

create function private.require_unlocked_lesson(p_enrolment_id uuid, p_lesson_id uuid) returns void
language plpgsql
stable
set search_path = ''
as $$
declare
    v_lock public.lesson_locks;
begin
    select l.* into v_lock from public.lesson_locks as l
    where l.enrolment_id = p_enrolment_id and l.lesson_id = p_lesson_id;
    if found then
        perform private.refuse(
            'lesson_locked',
            concat_ws(
                ', and ',
                to_char(v_lock.opens_at at time zone 'UTC', '"at "YYYY-MM-DD"T"HH24:MI:SS"Z"'),
                'when the lesson ' || v_lock.after_lesson_id || ' is finished',
                'when the quiz ' || v_lock.after_quiz_id || ' is passed'
            )
        );
    end if;
end
$$;
comment on function private.require_unlocked_lesson(uuid, uuid) is
'Requires that the lesson is open to the caller. Raises lesson_locked (403).';
