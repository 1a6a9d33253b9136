-- Learning: who takes which course, and how far they are.

create type public.enrolment_status as enum ('active', 'completed', 'cancelled');
comment on type public.enrolment_status is
'active: under way. completed: every lesson done and the certifying quiz, if there is one, passed. cancelled: ended
without; its course is closed to the student.';

create type public.enrolment_source as enum ('free', 'intro', 'manual', 'purchase');
comment on type public.enrolment_source is
'How the student came by it. free: a course without a price. intro: one of the tasters, of which each person may take
only so many. manual: an admin''s hand. purchase: a payment.';

create table public.enrolments (
    id uuid not null default gen_random_uuid() constraint enrolments_pkey primary key,
    course_id uuid not null constraint enrolments_course_id_fkey references public.courses (id) on delete restrict,
    student_id uuid not null constraint enrolments_student_id_fkey references public.profiles (id) on delete restrict,
    creator_id uuid,
    student_name text not null,
    source public.enrolment_source not null,
    status public.enrolment_status not null default 'active',
    completed_lesson_count integer not null default 0
    constraint enrolments_completed_lesson_count_check check (completed_lesson_count >= 0),
    enrolled_at timestamptz not null default now(),
    last_activity_at timestamptz not null default now(),
    completed_at timestamptz,
    cancelled_at timestamptz,
    cancelled_by uuid,
    cancellation_reason text
    constraint enrolments_cancellation_reason_check check (char_length(cancellation_reason) <= 1000),
    access_until timestamptz,
    student_teacher_id uuid,
    updated_at timestamptz not null default now(),
    constraint enrolments_student_teacher_id_fkey foreign key (student_teacher_id, course_id)
    references public.student_teachers (id, course_id) on delete set null (student_teacher_id),
    constraint enrolments_student_id_course_id_key unique (student_id, course_id),
    constraint enrolments_id_course_id_student_id_key unique (id, course_id, student_id),
    constraint enrolments_completed_at_check check ((status = 'completed') = (completed_at is not null)),
    constraint enrolments_cancelled_at_check check ((status = 'cancelled') = (cancelled_at is not null)),
    constraint enrolments_cancellation_check
    check (status = 'cancelled' or (cancelled_by is null and cancellation_reason is null))
);
comment on table public.enrolments is
'Who takes which course: one row a student and course, however often he leaves and comes back. The student reads his
own, the creator those of his courses. Written by functions only. Whoever lists many repeats in the query what he
looks for (student_id=eq., course_id=eq.): of all that one may read there is no index.';
comment on column public.enrolments.creator_id is
'Whose the course is, null once it is deleted: a copy of courses.creator_id, kept by triggers, for the policy and the
list of all of a creator''s students. No foreign key: that of the course says it.';
comment on column public.enrolments.student_name is
'What the student is called: a copy of profiles.display_name, kept by triggers. Whoever teaches knows whom, though the
profile be hidden.';
comment on column public.enrolments.source is 'How the student came by it.';
comment on column public.enrolments.status is
'Derived from progress and quizzes, or an admin''s decision; never written by a client.';
comment on column public.enrolments.completed_lesson_count is
'How many lessons of the course the student has finished; kept by triggers of lesson_progress.';
comment on column public.enrolments.enrolled_at is
'When the student first took the course; coming back is no new start.';
comment on column public.enrolments.last_activity_at is
'When the student last did something in the course, to the minute; at first, when he took it.';
comment on column public.enrolments.cancelled_at is 'When it was cancelled; null where it is not.';
comment on column public.enrolments.cancelled_by is
'Who cancelled it: the student, who may come back, or an admin; null for the system. No foreign key: it outlives the
account.';
comment on column public.enrolments.cancellation_reason is
'Why an admin cancelled it, in his words; the student reads it.';
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
create index enrolments_course_id_last_activity_at_idx on public.enrolments (course_id, last_activity_at desc);
comment on index public.enrolments_course_id_last_activity_at_idx is
'A course''s students by activity: course_id=eq.&order=last_activity_at.desc';
create index enrolments_creator_id_idx on public.enrolments (creator_id, enrolled_at desc, id);
comment on index public.enrolments_creator_id_idx is
'A creator''s students in all courses: course_students?creator_id=eq.&order=enrolled_at.desc,enrolment_id';
create index enrolments_enrolled_at_idx on public.enrolments (enrolled_at desc, id);
comment on index public.enrolments_enrolled_at_idx is
'The admins'' list: enrolled_at=gte.&enrolled_at=lt.&order=enrolled_at.desc,id';
create index enrolments_cancelled_idx on public.enrolments (enrolled_at desc, id) where status = 'cancelled';
comment on index public.enrolments_cancelled_idx is
'The admins'' list of those cancelled, which are few: status=eq.cancelled&order=enrolled_at.desc,id';

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

create function private.tg_enrolments__copy_parties() returns trigger
language plpgsql
security definer -- the course and the student may be hidden from whoever enrols
set search_path = ''
as $$
begin
    -- The locks wait for who is just transferring the course, and for the student who is just taking another name.
    select case when c.status <> 'deleted' then c.creator_id end into new.creator_id
    from public.courses as c where c.id = new.course_id for share;
    select p.display_name into new.student_name from public.profiles as p where p.id = new.student_id for share;
    return new;
end
$$;
comment on function private.tg_enrolments__copy_parties() is
'Before insert: whose the course is and what the student is called. When the course changes hands or is deleted,
tg_courses__move_enrolments follows; when the student takes another name, tg_profiles__rename_enrolments.';
create trigger _100_copy_parties before insert on public.enrolments
for each row execute function private.tg_enrolments__copy_parties();

create function private.tg_courses__move_enrolments() returns trigger
language plpgsql
security definer -- enrolments are no client's to write
set search_path = ''
as $$
begin
    perform private.lock_course_settling(new.id);
    update public.enrolments as e set creator_id = case when new.status <> 'deleted' then new.creator_id end
    where e.course_id = new.id;
    return null;
end
$$;
comment on function private.tg_courses__move_enrolments() is
'After a course changes hands, its enrolments are the new creator''s, too; after it is deleted, nobody''s.';
create trigger _300_move_enrolments after update of creator_id, status on public.courses
for each row when (old.creator_id <> new.creator_id or (old.status = 'deleted') <> (new.status = 'deleted'))
execute function private.tg_courses__move_enrolments();

create function private.tg_profiles__rename_enrolments() returns trigger
language plpgsql
security definer -- enrolments are no client's to write
set search_path = ''
as $$
begin
    update public.enrolments as e set student_name = new.display_name where e.student_id = new.id;
    return null;
end
$$;
comment on function private.tg_profiles__rename_enrolments() is
'After somebody takes another name, or loses it with the account: so do the enrolments.';
create trigger _300_rename_enrolments after update of display_name on public.profiles
for each row when (old.display_name <> new.display_name) execute function private.tg_profiles__rename_enrolments();

create function private.tg_enrolments__date_status() returns trigger
language plpgsql
set search_path = ''
as $$
begin
    new.completed_at := case new.status when 'completed' then now() end;
    new.cancelled_at := case new.status when 'cancelled' then now() end;
    if new.status <> 'cancelled' then
        new.cancelled_by := null;
        new.cancellation_reason := null;
    end if;
    return new;
end
$$;
comment on function private.tg_enrolments__date_status() is
'Before an enrolment changes its status: when that was; what is said of a cancellation goes with it.';
create trigger _300_date_status before update of status on public.enrolments
for each row when (old.status is distinct from new.status) execute function private.tg_enrolments__date_status();

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
    constraint lesson_progress_enrolment_id_fkey foreign key (student_id, course_id, enrolment_id)
    references public.enrolments (student_id, course_id, id) on delete cascade,
    constraint lesson_progress_lesson_id_fkey foreign key (course_id, lesson_id)
    references public.lessons (course_id, id) on delete cascade
);
comment on table public.lesson_progress is
'How far a student is in each lesson begun. The student reads his own, the creator those of his courses. Written by
record_progress only.';
comment on column public.lesson_progress.position_seconds is 'Where to go on.';
comment on column public.lesson_progress.completed_at is 'When the student finished it; null while under way.';
alter table public.lesson_progress enable row level security;
revoke all on public.lesson_progress from anon, authenticated, service_role;
-- The largest table of all: none of its indexes holds what a further write to the row changes.
create index lesson_progress_student_id_course_id_enrolment_id_idx
on public.lesson_progress (student_id, course_id, enrolment_id);
comment on index public.lesson_progress_student_id_course_id_enrolment_id_idx is
'A student''s progress: student_id=eq., the policies, and the foreign key to enrolments';
create index lesson_progress_course_id_lesson_id_idx on public.lesson_progress (course_id, lesson_id);
comment on index public.lesson_progress_course_id_lesson_id_idx is
'A course''s progress: course_id=eq., the policies for creators, and the foreign key to lessons';
create trigger _200_set_updated_at before update on public.lesson_progress
for each row execute function private.tg__set_updated_at();

create function private.tg_lesson_progress__record_activity() returns trigger
language plpgsql
security definer -- enrolments are no client's to write
set search_path = ''
as $$
declare
    v_finished boolean := new.completed_at is not null and old.completed_at is null;
begin
    update public.enrolments as e
    set completed_lesson_count = e.completed_lesson_count + v_finished::integer, last_activity_at = now()
    where e.id = new.enrolment_id
        -- An index holds the instant: a player that tells where it is does not move it each time.
        and (v_finished or e.last_activity_at < now() - interval '1 minute');
    return null;
end
$$;
comment on function private.tg_lesson_progress__record_activity() is
'After a student was in a lesson: when, and how many he has finished, in his enrolment.';
create trigger _300_record_activity after insert or update on public.lesson_progress
for each row execute function private.tg_lesson_progress__record_activity();

create function private.lock_course_settling(p_course_id uuid) returns void
language sql
set search_path = ''
as $$
    select pg_catalog.pg_advisory_xact_lock(pg_catalog.hashtext('enrolments.settle:' || p_course_id))
$$;
comment on function private.lock_course_settling(uuid) is
'Until the transaction ends nobody else settles enrolments of the course, of which it changes many. Who changes one
does not ask, and holds no other: so neither waits for the other in a circle.';

create function private.tg_lesson_progress__uncount() returns trigger
language plpgsql
security definer -- enrolments are no client's to write
set search_path = ''
as $$
declare
    v_course_id uuid;
begin
    -- Where the enrolment itself went, there is nothing to count.
    for v_course_id in
        select distinct g.course_id from gone as g join public.enrolments as e on e.id = g.enrolment_id order by g.course_id
    loop
        perform private.lock_course_settling(v_course_id);
        -- Whoever changes many locks them in this order; those active, settle_course will ask for.
        perform from public.enrolments as e
        where e.course_id = v_course_id
            and (e.status = 'active' or e.id in (select g.enrolment_id from gone as g))
        order by e.id for no key update;
        update public.enrolments as e
        set completed_lesson_count = e.completed_lesson_count - n.finished
        from (
            select g.enrolment_id, count(*) as finished from gone as g
            where g.course_id = v_course_id and g.completed_at is not null
            group by g.enrolment_id
        ) as n
        where e.id = n.enrolment_id;
    end loop;
    return null;
end
$$;
comment on function private.tg_lesson_progress__uncount() is
'After lessons that students had finished are deleted: they count no more.';
create trigger _300_uncount after delete on public.lesson_progress
referencing old table as gone
for each statement execute function private.tg_lesson_progress__uncount();

create function private.require_open_enrolment(p_course_id uuid, p_student_id uuid) returns public.enrolments
language plpgsql
security definer -- locks a row that only functions may write
set search_path = ''
as $$
declare
    v_enrolment public.enrolments;
begin
    -- The lock makes one student's writes in one course follow each other: attempts are counted and completion is
    -- derived without a race. What is asked of the row is asked again when the lock was waited for.
    select e.* into v_enrolment from public.enrolments as e
    where e.student_id = p_student_id and e.course_id = p_course_id
        and e.status <> 'cancelled'
        and (e.access_until is null or e.access_until > now())
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

insert into private.mail_templates (template, topic) values ('enrolment_confirmed', 'learning');

create function private.mail_enrolment(p_enrolment public.enrolments, p_idempotency_key text) returns void
language sql
security definer -- names of others; only the functions that enrol, and send_enrolment_mail, call it
set search_path = ''
as $$
    select private.enqueue_mail(
        p_enrolment.student_id,
        'enrolment_confirmed',
        jsonb_build_object(
            'course_title', c.title,
            'course_slug', c.slug,
            'creator_name', p.display_name,
            'access_until', p_enrolment.access_until
        ),
        p_idempotency_key
    )
    from public.courses as c
    join public.profiles as p on p.id = c.creator_id
    where c.id = p_enrolment.course_id
$$;
comment on function private.mail_enrolment(public.enrolments, text) is
'Enqueues the mail that says what somebody is enrolled in, once per key.';

create function private.enrol_student(
    p_course_id uuid, p_student_id uuid, p_source public.enrolment_source, p_access_until timestamptz
)
returns public.enrolments
language plpgsql
security definer -- enrolments are no client's to write; who calls this has decided that there is to be one
set search_path = ''
as $$
declare
    v_enrolment public.enrolments;
begin
    -- The lock keeps the creator as he is read here.
    if (select c.creator_id from public.courses as c where c.id = p_course_id for share) = p_student_id then
        raise sqlstate 'PT409' using
            message = 'own_course',
            detail = 'A creator is no student of the own course.',
            hint = 'Creators read their courses without enrolling.';
    end if;
    insert into public.enrolments as e (course_id, student_id, source, access_until)
    values (p_course_id, p_student_id, p_source, p_access_until)
    on conflict (student_id, course_id) do update
    set
        status = case e.status when 'cancelled' then 'active' else e.status end,
        -- What is open without an end stays what it was: the end of a purchase is not its end.
        source = case when e.status <> 'cancelled' and e.access_until is null then e.source else excluded.source end,
        -- What was open is not cut short by being taken again.
        access_until = case
            when e.status = 'cancelled' or e.access_until <= now() then excluded.access_until
            when e.access_until is not null and excluded.access_until is not null
                then greatest(e.access_until, excluded.access_until)
        end
    returning e.* into v_enrolment;
    perform private.mail_enrolment(v_enrolment, 'enrolment_confirmed:' || v_enrolment.id);
    -- Who comes back has perhaps done it all already.
    perform private.settle_completion(v_enrolment.id);
    select e.* into v_enrolment from public.enrolments as e where e.id = v_enrolment.id;
    return v_enrolment;
end
$$;
comment on function private.enrol_student(uuid, uuid, public.enrolment_source, timestamptz) is
'The one door through which every enrolment comes: makes it, or opens again one that was cancelled or has run out,
with all progress and attempts; one that is open stays open, for as long as the longer of the two. The first time, a
mail says so. Whoever calls it has checked that the person may be enrolled. Raises PT409 own_course.';

create function private.count_intro_courses(p_student_id uuid) returns integer
language sql
stable
security definer -- counts for functions of ours
set search_path = ''
as $$
    select count(*)::integer from public.enrolments as e where e.student_id = p_student_id and e.source = 'intro'
$$;
comment on function private.count_intro_courses(uuid) is
'How many intro courses somebody has taken. One that he left counts, too, or everybody could try them all in turn.';

create function private.obstacle_to_enrolling(
    p_course public.courses, p_enrolment public.enrolments, p_student_id uuid
)
returns text
language plpgsql
stable
security definer -- counts for functions of ours
set search_path = ''
as $$
begin
    return case
        when p_course.status <> 'published' then 'not_published'
        when p_course.creator_id = p_student_id then 'creator'
        when p_enrolment.status = 'cancelled' and p_enrolment.cancelled_by <> p_student_id then 'cancelled'
        -- Whoever left comes back to what he had, whatever the course costs by now.
        when p_enrolment.status = 'cancelled' and p_enrolment.cancelled_by = p_student_id
            and (p_enrolment.access_until is null or p_enrolment.access_until > now())
            then null
        when p_course.price_amount > 0 then 'payment_required'
        when p_course.is_intro and p_enrolment.source is distinct from 'intro'
            and private.count_intro_courses(p_student_id) >= private.free_course_limit()
            then 'free_limit_reached'
    end;
end
$$;
comment on function private.obstacle_to_enrolling(public.courses, public.enrolments, uuid) is
'Why somebody who has, or had, this enrolment (or none: null) cannot enrol himself in the course: not_published,
creator, cancelled (by an admin), payment_required, free_limit_reached; null where nothing hinders.';

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
    -- One at a time for each person, or two at once would both be the last free one. First of all locks.
    perform pg_catalog.pg_advisory_xact_lock(pg_catalog.hashtext('enrolments.enrol:' || v_caller));
    -- The lock keeps the price and the status as they are read here.
    select c.* into v_course from public.courses as c
    where c.id = p_course_id and c.status = 'published' for share;
    if not found then
        raise sqlstate 'PT404' using
            message = 'course_not_found',
            detail = 'There is no such published course.',
            hint = 'Look it up in the catalogue.';
    end if;
    select e.* into v_enrolment from public.enrolments as e
    where e.student_id = v_caller and e.course_id = p_course_id for no key update;
    if v_enrolment.status <> 'cancelled' and (v_enrolment.access_until is null or v_enrolment.access_until > now()) then
        return v_enrolment;
    end if;
    case private.obstacle_to_enrolling(v_course, v_enrolment, v_caller)
        when 'cancelled' then
            raise sqlstate 'PT403' using
                message = 'enrolment_cancelled',
                detail = 'An admin has cancelled this enrolment.',
                hint = 'Ask support.';
        when 'payment_required' then
            raise sqlstate 'PT402' using
                message = 'payment_required',
                detail = 'This course is not free.',
                hint = 'Buy it; the payment enrols.';
        when 'free_limit_reached' then
            raise sqlstate 'PT403' using
                message = 'free_limit_reached',
                detail = format('Everybody may take %s intro courses.', private.free_course_limit()),
                hint = 'Take a course that is no intro.';
        else
            null; -- whose own course it is, the door says
    end case;
    if v_enrolment.cancelled_by = v_caller and (v_enrolment.access_until is null or v_enrolment.access_until > now()) then
        return private.enrol_student(p_course_id, v_caller, v_enrolment.source, v_enrolment.access_until);
    end if;
    return private.enrol_student(
        p_course_id, v_caller, case when v_course.is_intro then 'intro' else 'free' end::public.enrolment_source, null
    );
end
$$;
comment on function private.enrol(uuid) is
'Enrols the caller in a free or intro course; once, however often it is called. Raises PT402 payment_required, PT403
enrolment_cancelled or free_limit_reached, PT404 course_not_found, PT409 own_course.';

create function public.enrol(course_id uuid) returns public.enrolments
language sql
set search_path = ''
as $$
    select private.enrol(enrol.course_id)
$$;
comment on function public.enrol(uuid) is
'Enrols the caller in a free published course, and answers the enrolment; the same one when called again. Of intro
courses everybody may take only so many (free_courses_consumed); one that was left counts. Whoever left by himself
comes back to what he had, progress and paid courses too. Raises payment_required (402), account_inactive,
enrolment_cancelled (by an admin) or free_limit_reached (403), course_not_found (404), own_course (409).';

create function private.leave_course(p_course_id uuid) returns public.enrolments
language plpgsql
security definer -- enrolments are no client's to write; whose it is, is taken from the token
set search_path = ''
as $$
declare
    v_caller uuid := private.require_active();
    v_enrolment public.enrolments;
begin
    select e.* into v_enrolment from public.enrolments as e
    where e.student_id = v_caller and e.course_id = p_course_id and e.status <> 'cancelled' for no key update;
    if not found then
        raise sqlstate 'PT403' using
            message = 'not_enrolled',
            detail = 'You do not take this course.',
            hint = 'Read your enrolments again.';
    elsif v_enrolment.status = 'completed' then
        raise sqlstate 'PT409' using
            message = 'enrolment_completed',
            detail = 'What is completed stays on record.',
            hint = 'There is nothing to leave.';
    end if;
    update public.enrolments as e
    set status = 'cancelled', cancelled_by = v_caller
    where e.id = v_enrolment.id
    returning e.* into v_enrolment;
    return v_enrolment;
end
$$;
comment on function private.leave_course(uuid) is
'Cancels the caller''s active enrolment, to which he may come back. Raises PT403 not_enrolled, PT409
enrolment_completed.';

create function public.leave_course(course_id uuid) returns public.enrolments
language sql
set search_path = ''
as $$
    select private.leave_course(leave_course.course_id)
$$;
comment on function public.leave_course(uuid) is
'Leaves a course, and answers the enrolment, now cancelled: the course closes. Progress and attempts are kept, and
enrol comes back to them for as long as the course is published, without paying again; an intro course left still
counts. What is completed is not left. Raises account_inactive or not_enrolled (403), enrolment_completed (409).';

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
    v_course_id uuid;
begin
    -- The lesson is locked before the enrolment, as by whoever deletes it.
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
        -- A lesson once done stays done.
        completed_at = coalesce(p.completed_at, excluded.completed_at)
    returning p.* into v_progress;
    if p_is_completed then
        perform private.settle_completion(v_enrolment.id);
    end if;
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
finished stays so. The course counts as completed when every lesson is and the certifying quiz is passed. Raises
account_inactive, lesson_locked or not_enrolled (403).';

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
