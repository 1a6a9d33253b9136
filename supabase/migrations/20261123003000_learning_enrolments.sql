-- Learning: who takes which course, and how far they are.

create type public.enrolment_status as enum ('active', 'completed', 'cancelled');
comment on type public.enrolment_status is
'active: under way. completed: every lesson done and the certifying quiz, if there is one, passed. cancelled: ended
without; its course is closed to the student.';

create type public.enrolment_source as enum ('free', 'manual', 'purchase');
comment on type public.enrolment_source is 'How the student came by it: a free course, an admin''s hand, a payment.';

create table public.enrolments (
    id uuid not null default gen_random_uuid() constraint enrolments_pkey primary key,
    course_id uuid not null constraint enrolments_course_id_fkey references public.courses (id) on delete restrict,
    student_id uuid not null constraint enrolments_student_id_fkey references public.profiles (id) on delete restrict,
    source public.enrolment_source not null,
    status public.enrolment_status not null default 'active',
    enrolled_at timestamptz not null default now(),
    completed_at timestamptz,
    access_until timestamptz,
    student_teacher_id uuid,
    updated_at timestamptz not null default now(),
    constraint enrolments_student_teacher_id_fkey foreign key (student_teacher_id, course_id)
    references public.student_teachers (id, course_id) on delete set null (student_teacher_id),
    constraint enrolments_student_id_course_id_key unique (student_id, course_id),
    constraint enrolments_id_course_id_student_id_key unique (id, course_id, student_id),
    constraint enrolments_completed_at_check check ((status = 'completed') = (completed_at is not null))
);
comment on table public.enrolments is
'Who takes which course: one row a student and course. The student reads his own, the creator those of his courses.
Written by functions only.';
comment on column public.enrolments.source is 'How the student came by it.';
comment on column public.enrolments.status is 'Derived from progress and quizzes; never written by a client.';
comment on column public.enrolments.access_until is 'When the course closes to the student; null for never.';
comment on column public.enrolments.student_teacher_id is
'Who helps the student through the course; null for nobody. Written by the functions that assign.';
alter table public.enrolments enable row level security;
revoke all on public.enrolments from anon, authenticated, service_role;
create index enrolments_course_id_idx on public.enrolments (course_id, enrolled_at desc);
comment on index public.enrolments_course_id_idx is
'A course''s students: course_id=eq.&order=enrolled_at.desc, and the policies';
create index enrolments_student_teacher_id_course_id_idx on public.enrolments (student_teacher_id, course_id);
comment on index public.enrolments_student_teacher_id_course_id_idx is
'A student-teacher''s students: student_teacher_id=eq., and the foreign key';

insert into private.status_transitions (table_name, from_status, to_status)
values
('enrolments', 'active', 'completed'),
('enrolments', 'active', 'cancelled'),
('enrolments', 'completed', 'cancelled'),
('enrolments', 'cancelled', 'active');
create trigger _100_check_transition before update of status on public.enrolments
for each row when (old.status is distinct from new.status) execute function private.tg__check_transition();
create trigger _200_set_updated_at before update on public.enrolments
for each row execute function private.tg__set_updated_at();

create function private.my_course_ids() returns uuid[]
language plpgsql
stable
security definer -- policies of enrolments and courses themselves ask
set search_path = ''
as $$
begin
    return (
        select coalesce(array_agg(e.course_id), '{}')
        from public.enrolments as e
        join public.courses as c on c.id = e.course_id
        where e.student_id = (select auth.uid())
            and e.status <> 'cancelled'
            and (e.access_until is null or e.access_until > now())
            and c.status <> 'suspended'
    );
end
$$;
comment on function private.my_course_ids() is
'The courses that are open to the caller as a student. Policies call it as any((select
private.my_course_ids())::uuid[]).';

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
    constraint lesson_progress_enrolment_id_fkey foreign key (enrolment_id, course_id, student_id)
    references public.enrolments (id, course_id, student_id) on delete cascade,
    constraint lesson_progress_lesson_id_fkey foreign key (lesson_id, course_id)
    references public.lessons (id, course_id) on delete cascade
);
comment on table public.lesson_progress is
'How far a student is in each lesson begun. The student reads his own, the creator those of his courses. Written by
record_progress only.';
comment on column public.lesson_progress.position_seconds is 'Where to go on.';
comment on column public.lesson_progress.completed_at is 'When the student finished it; null while under way.';
alter table public.lesson_progress enable row level security;
revoke all on public.lesson_progress from anon, authenticated, service_role;
create index lesson_progress_enrolment_id_course_id_student_id_idx
on public.lesson_progress (enrolment_id, course_id, student_id);
comment on index public.lesson_progress_enrolment_id_course_id_student_id_idx is 'The foreign key to enrolments';
create index lesson_progress_lesson_id_course_id_idx on public.lesson_progress (lesson_id, course_id);
comment on index public.lesson_progress_lesson_id_course_id_idx is 'The foreign key to lessons';
create index lesson_progress_student_id_idx on public.lesson_progress (student_id, updated_at desc);
comment on index public.lesson_progress_student_id_idx is
'Where to go on: order=updated_at.desc&limit=1, and the policies';
create index lesson_progress_course_id_idx on public.lesson_progress (course_id);
comment on index public.lesson_progress_course_id_idx is 'The policies, for creators';
create trigger _200_set_updated_at before update on public.lesson_progress
for each row execute function private.tg__set_updated_at();

create function private.require_open_enrolment(p_course_id uuid, p_student_id uuid) returns public.enrolments
language plpgsql
security definer -- locks a row that only functions may write
set search_path = ''
as $$
declare
    v_enrolment public.enrolments;
begin
    -- The lock makes one student's writes in one course follow each other: attempts are counted and completion is
    -- derived without a race.
    select e.* into v_enrolment from public.enrolments as e
    where e.student_id = p_student_id and e.course_id = p_course_id
        and p_course_id = any((select private.my_course_ids())::uuid[])
    for no key update;
    if not found then
        raise sqlstate 'PT403' using
            message = 'not_enrolled',
            detail = 'This is for students of the course, and the course is not open to you.',
            hint = 'Enrol first.';
    end if;
    return v_enrolment;
end
$$;
comment on function private.require_open_enrolment(uuid, uuid) is
'The caller''s enrolment in an open course, locked until the transaction ends. Raises PT403 not_enrolled.';

create function private.enrol(p_course_id uuid) returns public.enrolments
language plpgsql
security definer -- enrolments are no client's to write; what makes one is checked below
set search_path = ''
as $$
declare
    v_caller uuid := private.require_active();
    v_course public.courses;
    v_enrolment public.enrolments;
begin
    -- The lock keeps the price and the status as they are read here.
    select c.* into v_course from public.courses as c
    where c.id = p_course_id and c.status = 'published' for share;
    if not found then
        raise sqlstate 'PT404' using
            message = 'course_not_found',
            detail = 'There is no such published course.',
            hint = 'Look it up in the catalogue.';
    elsif v_course.creator_id = v_caller then
        raise sqlstate 'PT409' using
            message = 'own_course',
            detail = 'A creator is no student of the own course.',
            hint = 'Creators read their courses without enrolling.';
    end if;
    select e.* into v_enrolment from public.enrolments as e
    where e.student_id = v_caller and e.course_id = p_course_id;
    if found and v_enrolment.status <> 'cancelled'
        and (v_enrolment.access_until is null or v_enrolment.access_until > now())
    then
        return v_enrolment;
    elsif v_course.price_amount > 0 then
        raise sqlstate 'PT402' using
            message = 'payment_required',
            detail = 'This course is not free.',
            hint = 'Buy it; the payment enrols.';
    end if;
    insert into public.enrolments as e (course_id, student_id, source) values (p_course_id, v_caller, 'free')
    on conflict (student_id, course_id) do update
    set
        status = case e.status when 'cancelled' then 'active' else e.status end,
        source = excluded.source,
        access_until = null
    returning e.* into v_enrolment;
    return v_enrolment;
end
$$;
comment on function private.enrol(uuid) is
'Enrols the caller in a free course; once, however often it is called. Raises PT402 payment_required, PT404
course_not_found, PT409 own_course.';

create function public.enrol(course_id uuid) returns public.enrolments
language sql
set search_path = ''
as $$
    select private.enrol(enrol.course_id)
$$;
comment on function public.enrol(uuid) is
'Enrols the caller in a free published course, and answers the enrolment; the same one when called again. Raises
payment_required (402), account_inactive (403), course_not_found (404), own_course (409).';

create function private.record_progress(p_lesson_id uuid, p_position_seconds integer, p_is_completed boolean)
returns public.lesson_progress
language plpgsql
security definer -- progress is no client's to write; whose it is, is taken from the token
set search_path = ''
as $$
declare
    v_caller uuid := private.require_active();
    v_enrolment public.enrolments;
    v_progress public.lesson_progress;
begin
    v_enrolment := private.require_open_enrolment(
        (select l.course_id from public.lessons as l where l.id = p_lesson_id), v_caller
    );
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
        -- A lesson once done stays done.
        completed_at = coalesce(p.completed_at, excluded.completed_at)
    returning p.* into v_progress;
    perform private.settle_completion(v_enrolment.id);
    return v_progress;
end
$$;
comment on function private.record_progress(uuid, integer, boolean) is
'Writes how far the caller is in a lesson, and settles whether the course is completed. Raises PT403 not_enrolled or
lesson_locked, 23514 for a position that cannot be.';

create function public.record_progress(
    lesson_id uuid, position_seconds integer default null, is_completed boolean default false
)
returns public.lesson_progress
language sql
set search_path = ''
as $$
    select private.record_progress(
        record_progress.lesson_id, record_progress.position_seconds, record_progress.is_completed
    )
$$;
comment on function public.record_progress(uuid, integer, boolean) is
'Says where the caller is in a lesson (seconds), and whether it is finished; answers the progress. A lesson once
finished
stays so. The course counts as completed when every lesson is and the certifying quiz is passed. Raises account_inactive,
lesson_locked or not_enrolled (403).';

insert into private.rate_limited_functions (function_name, tier) values ('record_progress', 'generous');

create function private.tg_enrolments__count() returns trigger
language plpgsql
security definer -- figures are no client's to write
set search_path = ''
as $$
declare
    v_student_id uuid := coalesce(new.student_id, old.student_id);
    v_course_id uuid := coalesce(new.course_id, old.course_id);
    v_creator_id uuid := (select c.creator_id from public.courses as c where c.id = v_course_id);
    v_taken integer := coalesce((new.status <> 'cancelled')::integer, 0) - coalesce((old.status <> 'cancelled')::integer, 0);
    v_completed integer := coalesce((new.status = 'completed')::integer, 0)
        - coalesce((old.status = 'completed')::integer, 0);
begin
    -- Completing concerns the student alone, whose figures the certificate may have locked already: taking the creator's
    -- after them would be out of order.
    if v_taken <> 0 then
        perform private.lock_user_stats(array[v_student_id, v_creator_id]);
        -- Who takes another course of the same creator was, and stays, one of the students.
        update public.user_stats as s
        set student_count = s.student_count + v_taken
        where s.user_id = v_creator_id and not exists (
            select from public.enrolments as e
            join public.courses as c on c.id = e.course_id
            where e.student_id = v_student_id
                and e.course_id <> v_course_id
                and e.status <> 'cancelled'
                and c.creator_id = v_creator_id
        );
    end if;
    update public.user_stats as s
    set
        enrolment_count = s.enrolment_count + v_taken,
        completed_course_count = s.completed_course_count + v_completed
    where s.user_id = v_student_id;
    return null;
end
$$;
comment on function private.tg_enrolments__count() is
'After an enrolment comes, goes or changes its status: the figures of student and creator.';
create trigger _300_count after insert or delete or update of status on public.enrolments
for each row execute function private.tg_enrolments__count();
