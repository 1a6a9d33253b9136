-- Learning: the progress of students in lessons.

create table public.lesson_progress (
    enrolment_id uuid not null,
    lesson_id uuid not null,
    course_id uuid not null,
    student_id uuid not null,
    position_seconds integer not null default 0
    constraint lesson_progress_position_seconds_check check (position_seconds between 0 and 360000),
    completed_at timestamptz,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    constraint lesson_progress_pkey primary key (enrolment_id, lesson_id),
    constraint lesson_progress_enrolment_id_fkey foreign key (student_id, course_id, enrolment_id)
    references public.enrolments (student_id, course_id, id) on delete cascade,
    constraint lesson_progress_lesson_id_fkey foreign key (course_id, lesson_id)
    references public.lessons (course_id, id) on delete cascade
);
comment on table public.lesson_progress is
'The progress of students in lessons, one row a lesson that they began. Students read their own, creators those of their
courses, student-teachers those of their students, moderators all. record_progress writes it.';
comment on column public.lesson_progress.position_seconds is 'The position at which to resume, in seconds.';
comment on column public.lesson_progress.completed_at is 'When the student finished it; null while it is in progress.';
alter table public.lesson_progress enable row level security;
revoke all on public.lesson_progress from anon, authenticated, service_role;
-- This is the largest table: its indexes hold no column that an update changes, so that updates stay in the heap.
create index lesson_progress_student_id_course_id_enrolment_id_idx
on public.lesson_progress (student_id, course_id, enrolment_id);
comment on index public.lesson_progress_student_id_course_id_enrolment_id_idx is
'The progress of a student: student_id=eq., the policies, and the foreign key to enrolments';
create index lesson_progress_course_id_lesson_id_idx on public.lesson_progress (course_id, lesson_id);
comment on index public.lesson_progress_course_id_lesson_id_idx is
'The progress in a course: course_id=eq., the policies for creators, and the foreign key to lessons';
create trigger _200_set_updated_at before update on public.lesson_progress
for each row execute function private.tg__set_updated_at();

create function private.tg_lesson_progress__record_activity() returns trigger
language plpgsql
security definer -- clients may not write enrolments
set search_path = ''
as $$
declare
    v_change integer := (new.completed_at is not null)::integer
        - coalesce((old.completed_at is not null)::integer, 0);
begin
    update public.enrolments as e
    set completed_lesson_count = e.completed_lesson_count + v_change, last_activity_at = now()
    where e.id = new.enrolment_id
        -- An index has the instant: not every report of a player changes it.
        and (v_change <> 0 or e.last_activity_at < now() - interval '1 minute');
    return null;
end
$$;
comment on function private.tg_lesson_progress__record_activity() is
'After progress in a lesson: writes the instant and the number of finished lessons to the enrolment.';
create trigger _300_record_activity after insert or update on public.lesson_progress
for each row execute function private.tg_lesson_progress__record_activity();

create function private.tg_lesson_progress__uncount() returns trigger
language plpgsql
security definer -- clients may not write enrolments
set search_path = ''
as $$
declare
    v_course_id uuid;
begin
    -- Of an enrolment that is deleted itself, there is nothing to count.
    for v_course_id in
        select distinct d.course_id from deleted_rows as d
        join public.enrolments as e on e.id = d.enrolment_id
        order by d.course_id
    loop
        perform from public.courses as c where c.id = v_course_id for no key update;
        perform private.lock_course_completion(v_course_id);
        -- sync_course_completion will lock the active ones.
        perform from public.enrolments as e
        where e.course_id = v_course_id
            and (e.status = 'active' or e.id in (select d.enrolment_id from deleted_rows as d))
        order by e.id for no key update;
        update public.enrolments as e
        set completed_lesson_count = e.completed_lesson_count - n.finished
        from (
            select d.enrolment_id, count(*) as finished from deleted_rows as d
            where d.course_id = v_course_id and d.completed_at is not null
            group by d.enrolment_id
        ) as n
        where e.id = n.enrolment_id;
    end loop;
    return null;
end
$$;
comment on function private.tg_lesson_progress__uncount() is
'After lessons are deleted: students who had finished them have finished so many less.';
create trigger _300_uncount after delete on public.lesson_progress
referencing old table as deleted_rows
for each statement execute function private.tg_lesson_progress__uncount();

create function private.record_progress(
    p_lesson_id uuid, p_position_seconds integer default null, p_is_completed boolean default null
)
returns public.lesson_progress
language plpgsql
security definer -- clients may not write progress
set search_path = ''
as $$
declare
    v_caller uuid := private.require_active();
    v_enrolment public.enrolments;
    v_progress public.lesson_progress;
    v_course_id uuid;
begin
    -- Locked before the enrolment, as when the lesson is deleted.
    select l.course_id into v_course_id from public.lessons as l where l.id = p_lesson_id for key share;
    v_enrolment := private.require_open_enrolment(v_course_id, v_caller);
    perform private.require_unlocked_lesson(v_enrolment.id, p_lesson_id);
    insert into public.lesson_progress as p (
        enrolment_id, lesson_id, course_id, student_id, position_seconds, completed_at
    )
    values (
        v_enrolment.id, p_lesson_id, v_enrolment.course_id, v_caller,
        coalesce(p_position_seconds, 0), case when p_is_completed then now() end
    )
    on conflict (enrolment_id, lesson_id) do update
    set
        position_seconds = coalesce(p_position_seconds, p.position_seconds),
        -- A position alone leaves a finished lesson finished.
        completed_at = case
            when p_is_completed is distinct from false then coalesce(p.completed_at, excluded.completed_at)
        end
    returning p.* into v_progress;
    if p_is_completed then
        perform private.sync_completion(v_enrolment.id);
    end if;
    return v_progress;
end
$$;
comment on function private.record_progress(uuid, integer, boolean) is
'Records the position of the caller in a lesson (position_seconds), and whether the lesson is finished, and returns the
progress. is_completed: true finishes the lesson, false takes that back, and without it a finished lesson stays finished.
The course is completed when every lesson is finished and the certifying quiz, if there is one, is passed. Taking a
lesson back lowers the counts and closes what only the finished lesson opened; a completed course stays completed, and
its certificate valid. For students of the course. Raises account_inactive, lesson_locked or not_enrolled (403).';
