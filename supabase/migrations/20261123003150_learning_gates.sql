-- Learning: gates. A lesson may open some days after enrolment, after another lesson, or after a quiz.

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
    -- What lesson_id alone guarantees, said of the foreign key's columns: PostgREST embeds one gate, not a list.
    constraint lesson_gates_lesson_id_course_id_key unique (lesson_id, course_id),
    -- What is there no more, nobody has to wait for.
    constraint lesson_gates_after_lesson_id_fkey foreign key (after_lesson_id, course_id)
    references public.lessons (id, course_id) on delete set null (after_lesson_id),
    constraint lesson_gates_after_quiz_id_fkey foreign key (after_quiz_id, course_id)
    references public.quizzes (id, course_id) on delete set null (after_quiz_id)
);
comment on table public.lesson_gates is
'What a student must wait for before a lesson opens: all that is set here. Whoever sees the course sees it. Its creator
writes it. lesson_locks says which lessons are still locked to the caller.';
comment on column public.lesson_gates.course_id is 'Its lesson''s course; set by the database.';
comment on column public.lesson_gates.after_days is
'How many days after enrolling it opens: days of 24 hours from the instant of enrolment, whatever the time zone.';
comment on column public.lesson_gates.after_lesson_id is 'A lesson of the course that must be finished first.';
comment on column public.lesson_gates.after_quiz_id is 'A quiz of the course that must be passed first.';
alter table public.lesson_gates enable row level security;
revoke all on public.lesson_gates from anon, authenticated, service_role;
create index lesson_gates_course_id_idx on public.lesson_gates (course_id);
comment on index public.lesson_gates_course_id_idx is
'A course''s gates: course_id=eq., lesson_locks, and the foreign key';
create index lesson_gates_after_lesson_id_course_id_idx on public.lesson_gates (after_lesson_id, course_id);
comment on index public.lesson_gates_after_lesson_id_course_id_idx is 'The foreign key';
create index lesson_gates_after_quiz_id_course_id_idx on public.lesson_gates (after_quiz_id, course_id);
comment on index public.lesson_gates_after_quiz_id_course_id_idx is 'The foreign key';
create trigger _200_set_updated_at before update on public.lesson_gates
for each row execute function private.tg__set_updated_at();

create function private.tg_lesson_gates__check() returns trigger
language plpgsql
security definer -- locks what the caller may not write; whether he may write the gate, the policy says
set search_path = ''
as $$
declare
    v_is_intro boolean;
begin
    -- The lesson cannot become an intro meanwhile.
    select l.course_id, l.is_intro into new.course_id, v_is_intro
    from public.lessons as l where l.id = new.lesson_id for share;
    if v_is_intro then
        raise sqlstate 'PT409' using
            message = 'intro_has_no_gate',
            detail = 'An intro is open to everybody, and waits for nothing.',
            hint = 'Set is_intro of the lesson to false first, or delete its gate.';
    end if;
    if new.after_lesson_id is not null then
        -- Gates of one course are written one after the other, or two could close a circle that neither sees.
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
            raise sqlstate 'PT409' using
                message = 'gate_cycle',
                detail = 'The lesson would wait for itself.',
                hint = 'Choose a lesson that does not wait for this one.';
        end if;
    end if;
    return new;
end
$$;
comment on function private.tg_lesson_gates__check() is
'Before insert or update: the gate belongs to its lesson''s course, is no intro''s, and closes no circle. Raises PT409
gate_cycle or intro_has_no_gate.';
create trigger _010_take_turn before insert or delete or update on public.lesson_gates
for each statement when (pg_catalog.pg_trigger_depth() = 0) execute function private.tg__take_curriculum_turn();
create trigger _050_check before insert or update of lesson_id, course_id, after_lesson_id on public.lesson_gates
for each row execute function private.tg_lesson_gates__check();

create function private.tg_lessons__check_gate() returns trigger
language plpgsql
security definer -- the gate counts whoever may read it
set search_path = ''
as $$
begin
    if exists (select from public.lesson_gates as g where g.lesson_id = new.id) then
        raise sqlstate 'PT409' using
            message = 'intro_has_no_gate',
            detail = 'An intro is open to everybody, and waits for nothing.',
            hint = 'Set is_intro of the lesson to false first, or delete its gate.';
    end if;
    return new;
end
$$;
comment on function private.tg_lessons__check_gate() is
'Before a lesson becomes an intro: it has no gate. Raises PT409 intro_has_no_gate.';
create trigger _150_check_gate before update of is_intro on public.lessons
for each row when (new.is_intro and not old.is_intro) execute function private.tg_lessons__check_gate();

-- Not `exists`, of which the planner makes a table of all that anybody ever passed, where it expects many gates.
create view public.lesson_locks with (security_invoker = true) as
with mine as (
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
from mine
where opens_at > now() or after_lesson_id is not null or after_quiz_id is not null;
comment on view public.lesson_locks is
'The lessons that are still locked to the caller in the courses that he takes, and what each waits for: course_id=eq. A
lesson that he has finished is locked no more, whatever its gate became.';
comment on column public.lesson_locks.opens_at is
'When the days are over; null where they are, or where there are none to wait. Until the rest of what is named here has
come about, too, the lesson stays locked.';
comment on column public.lesson_locks.after_lesson_id is 'The lesson that is still to be finished; null for none.';
comment on column public.lesson_locks.after_quiz_id is 'The quiz that is still to be passed; null for none.';
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
        raise sqlstate 'PT403' using
            message = 'lesson_locked',
            detail = 'The lesson opens ' || concat_ws(
                ', and ',
                to_char(v_lock.opens_at at time zone 'UTC', '"at "YYYY-MM-DD"T"HH24:MI:SS"Z"'),
                'when the lesson ' || v_lock.after_lesson_id || ' is finished',
                'when the quiz ' || v_lock.after_quiz_id || ' is passed'
            ) || '.',
            hint = 'lesson_locks says of each lesson what it waits for.';
    end if;
end
$$;
comment on function private.require_unlocked_lesson(uuid, uuid) is
'Refuses what is done in a lesson that is locked to the caller. Raises PT403 lesson_locked.';
