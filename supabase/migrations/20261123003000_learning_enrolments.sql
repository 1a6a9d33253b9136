-- Learning: enrolments, which say who takes which course.

insert into private.errors (token, status, meaning, hint, detail)
values
(
    'not_enrolled', 403,
    'You are not enrolled in this course, or the enrolment has ended, or the course is closed.',
    'Enrol first.',
    null
),
(
    'own_course', 409,
    'A creator is neither a student nor a student-teacher of their own course.',
    'Creators read their courses without enrolling.',
    null
);

insert into public.notification_topics (topic, description, by_email_default, in_app_default, is_mandatory)
values ('learning', 'What you learn: enrolments, results, certificates', true, true, false);

create type public.enrolment_status as enum ('active', 'completed', 'cancelled');
comment on type public.enrolment_status is
'active: in progress. completed: every lesson finished and the certifying quiz, if there is one, passed. cancelled:
ended by the student or an admin; the course is closed to the student.';

create type public.enrolment_source as enum ('free', 'intro', 'manual', 'purchase');
comment on type public.enrolment_source is
'Where an enrolment comes from. free: a course without a price. intro: an intro course, of which each person may take
only intro_course_limit(). manual: an admin. purchase: a payment.';

create type public.access_state as enum ('open', 'ended', 'refunded');
comment on type public.access_state is
'open: in force, or to come. ended: over, because it was cancelled, its time is up, or what was paid for has lapsed.
refunded: over, because the payment was returned, by a refund or a dispute.';

create table public.enrolments (
    id uuid not null default gen_random_uuid() constraint enrolments_pkey primary key,
    course_id uuid not null constraint enrolments_course_id_fkey references public.courses (id) on delete restrict,
    student_id uuid not null constraint enrolments_student_id_fkey references public.profiles (id) on delete restrict,
    creator_id uuid,
    student_name text not null,
    source public.enrolment_source not null,
    status public.enrolment_status not null default 'active',
    access public.access_state not null default 'open',
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
    access_decided_by uuid,
    access_decided_at timestamptz,
    student_teacher_id uuid,
    updated_at timestamptz not null default now(),
    constraint enrolments_student_teacher_id_fkey foreign key (student_teacher_id, course_id)
    references public.student_teachers (id, course_id) on delete set null (student_teacher_id),
    constraint enrolments_student_id_course_id_key unique (student_id, course_id),
    constraint enrolments_id_course_id_student_id_key unique (id, course_id, student_id),
    constraint enrolments_completed_at_check check ((status = 'completed') = (completed_at is not null)),
    constraint enrolments_cancelled_at_check check ((status = 'cancelled') = (cancelled_at is not null)),
    constraint enrolments_cancellation_check
    check (status = 'cancelled' or (cancelled_by is null and cancellation_reason is null)),
    constraint enrolments_access_decided_at_check
    check ((access_decided_by is null) = (access_decided_at is null))
);
comment on table public.enrolments is
'The students of courses: one row a student and course, however often the student leaves and comes back. Students read
their own, creators those of their courses, student-teachers those of their students, moderators all. Only functions
write it. Filter lists by student_id=eq., course_id=eq. or creator_id=eq.: no index serves all rows that a caller may
read.';
comment on column public.enrolments.creator_id is
'The creator of the course, null once it is deleted: triggers copy courses.creator_id, for the policy and for lists of
all students of a creator. No foreign key: courses has it.';
comment on column public.enrolments.student_name is
'The name of the student: triggers copy profiles.display_name, so that teachers read it although the profile is
hidden.';
comment on column public.enrolments.source is 'Where the enrolment comes from.';
comment on column public.enrolments.status is
'Functions derive it from progress and quizzes, or an admin decides it; clients cannot write it.';
comment on column public.enrolments.access is
'Whether the course is open to the student: access=eq.open lists those who take it, access=eq.refunded those whose
payment was returned. Lists, counts and places leave out the others. Within a minute of access_until the worker ends it;
the course itself closes at that instant.';
comment on column public.enrolments.completed_lesson_count is
'The number of lessons that the student has finished; triggers of lesson_progress count them.';
comment on column public.enrolments.enrolled_at is 'When the student first enrolled; coming back does not change it.';
comment on column public.enrolments.last_activity_at is
'When the student was last active in the course, to the minute; at first, when they enrolled.';
comment on column public.enrolments.cancelled_at is 'When it was cancelled, or null.';
comment on column public.enrolments.cancelled_by is
'The person who cancelled it: the student, who may come back, or an admin; null for the system. No foreign key: it
outlives the account.';
comment on column public.enrolments.cancellation_reason is
'Why an admin cancelled it, in their words; the student reads it.';
comment on column public.enrolments.access_until is
'The instant at which the course closes to the student; null for never.';
comment on column public.enrolments.access_decided_by is
'The admin who set access_until by hand; null where it follows what the student paid. Purchases, renewals and refunds
leave a decision as it is: they neither open a course that an admin closed, nor close one that an admin keeps open. No
foreign key: it outlives the account.';
comment on column public.enrolments.access_decided_at is 'When an admin set access_until by hand, or null.';
comment on column public.enrolments.student_teacher_id is
'The student-teacher who helps the student; null for nobody. assign_student_teacher and choose_student_teacher write
it.';
comment on constraint enrolments_course_id_fkey on public.enrolments is
'A course with enrolments cannot be deleted; delete_course takes it out of the catalogue.';
alter table public.enrolments enable row level security;
revoke all on public.enrolments from anon, authenticated, service_role;
create index enrolments_course_id_idx on public.enrolments (course_id, enrolled_at desc);
comment on index public.enrolments_course_id_idx is
'The students of a course: course_id=eq.&order=enrolled_at.desc, and the policies';
create index enrolments_student_teacher_id_course_id_idx on public.enrolments (student_teacher_id, course_id);
comment on index public.enrolments_student_teacher_id_course_id_idx is
'The students of a student-teacher: student_teacher_id=eq., and the foreign key';
create index enrolments_course_id_last_activity_at_idx on public.enrolments (course_id, last_activity_at desc);
comment on index public.enrolments_course_id_last_activity_at_idx is
'The students of a course by activity: course_id=eq.&order=last_activity_at.desc';
create index enrolments_creator_id_idx on public.enrolments (creator_id, enrolled_at desc, id);
comment on index public.enrolments_creator_id_idx is
'The students of a creator: course_students?creator_id=eq.&order=enrolled_at.desc,enrolment_id';
create index enrolments_enrolled_at_idx on public.enrolments (enrolled_at desc, id);
comment on index public.enrolments_enrolled_at_idx is
'The list for admins: enrolled_at=gte.&enrolled_at=lt.&order=enrolled_at.desc,id';
create index enrolments_cancelled_idx on public.enrolments (enrolled_at desc, id) where status = 'cancelled';
comment on index public.enrolments_cancelled_idx is
'The list for admins of cancelled ones, which are few: status=eq.cancelled&order=enrolled_at.desc,id';
create index enrolments_access_idx on public.enrolments (access, enrolled_at desc, id) where access <> 'open';
comment on index public.enrolments_access_idx is
'The list for admins of ended or refunded ones: access=eq.refunded&order=enrolled_at.desc,id';
create index enrolments_access_until_idx on public.enrolments (access_until)
where access = 'open' and access_until is not null;
comment on index public.enrolments_access_until_idx is 'lapse__enrolments: access = ''open'' and access_until <=';

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
security definer -- must read courses and profiles that the caller may not read
set search_path = ''
as $$
begin
    -- lock_enrolling has locked both.
    select case when c.status <> 'deleted' then c.creator_id end into new.creator_id
    from public.courses as c where c.id = new.course_id;
    new.student_name := (select p.display_name from public.profiles as p where p.id = new.student_id);
    return new;
end
$$;
comment on function private.tg_enrolments__copy_parties() is
'Before an insert: copies the creator of the course and the name of the student. tg_courses__move_enrolments and
tg_profiles__rename_enrolments keep the copies true.';
create trigger _100_copy_parties before insert on public.enrolments
for each row execute function private.tg_enrolments__copy_parties();

create function private.tg_courses__move_enrolments() returns trigger
language plpgsql
security definer -- clients may not write enrolments
set search_path = ''
as $$
begin
    perform private.lock_course_completion(new.id);
    perform from public.enrolments as e where e.course_id = new.id order by e.id for no key update;
    update public.enrolments as e set creator_id = case when new.status <> 'deleted' then new.creator_id end
    where e.course_id = new.id;
    return null;
end
$$;
comment on function private.tg_courses__move_enrolments() is
'After a course is transferred: copies the new creator to its enrolments; after it is deleted: removes the creator.';
-- Before user_stats are counted, in the order of catalog_locks.
create trigger _260_move_enrolments after update of creator_id, status on public.courses
for each row when (old.creator_id <> new.creator_id or (old.status = 'deleted') <> (new.status = 'deleted'))
execute function private.tg_courses__move_enrolments();

create function private.tg_profiles__rename_enrolments() returns trigger
language plpgsql
security definer -- clients may not write enrolments
set search_path = ''
as $$
begin
    update public.enrolments as e set student_name = new.display_name where e.student_id = new.id;
    return new;
end
$$;
comment on function private.tg_profiles__rename_enrolments() is
'Before a profile is renamed, or loses its name with the account: copies the name to the enrolments. Before, and not
after: the foreign keys of the profile lock user_stats after the update, and enrolments are locked before user_stats.';
create trigger _300_rename_enrolments before update of display_name on public.profiles
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
'Before the status of an enrolment changes: sets the instant, and clears the columns of an earlier status.';
create trigger _300_date_status before update of status on public.enrolments
for each row when (old.status is distinct from new.status) execute function private.tg_enrolments__date_status();

create function private.tg_enrolments__derive_access() returns trigger
language plpgsql
set search_path = ''
as $$
begin
    new.access := case
        when new.status <> 'cancelled' and (new.access_until is null or new.access_until > now()) then 'open'
        when new.access = 'refunded' then 'refunded'
        else 'ended'
    end;
    return new;
end
$$;
comment on function private.tg_enrolments__derive_access() is
'Before an insert, and before the status or the end of an enrolment changes: derives access. A later domain that returns
a payment sets refunded together with the end.';
create trigger _320_derive_access before insert or update of status, access_until, access on public.enrolments
for each row execute function private.tg_enrolments__derive_access();

create function private.lapse__enrolments() returns bigint
language plpgsql
set search_path = ''
as $$
declare
    v_id uuid;
begin
    select e.id into v_id from public.enrolments as e
    where e.access = 'open' and e.access_until <= now()
    order by random() -- one that cannot be ended does not keep the others
    limit 1
    -- A locked enrolment is changing right now.
    for no key update skip locked;
    update public.enrolments as e set access = 'ended' where e.id = v_id;
    return (v_id is not null)::integer;
end
$$;
comment on function private.lapse__enrolments() is
'Ends the access of one enrolment whose time is up: one at a time, in the order of catalog_locks. Returns the number.';

create view private.open_enrolments with (security_invoker = true) as
select e.* -- noqa: AM04
from public.enrolments as e
where e.status <> 'cancelled' and (e.access_until is null or e.access_until > now());
comment on view private.open_enrolments is
'The enrolments that open their course to the student now, unless the course is suspended.';

create function private.my_course_ids() returns uuid[]
language plpgsql
stable
security definer -- the policies of enrolments and courses themselves call it
set search_path = ''
as $$
begin
    return (
        select coalesce(array_agg(e.course_id), '{}')
        from private.open_enrolments as e
        join public.courses as c on c.id = e.course_id
        where e.student_id = (select auth.uid()) and c.status <> 'suspended'
    );
end
$$;
comment on function private.my_course_ids() is
'The courses that are open to the caller as a student. Policies call it as any((select
private.my_course_ids())::uuid[]).';

create function private.my_enrolled_course_ids() returns uuid[]
language plpgsql
stable
security definer -- the policy of courses itself calls it
set search_path = ''
as $$
begin
    return (
        select coalesce(array_agg(e.course_id), '{}') from public.enrolments as e
        where e.student_id = (select auth.uid()) and e.status <> 'cancelled'
    );
end
$$;
comment on function private.my_enrolled_course_ids() is
'The courses that the caller is enrolled in, also where the course is suspended or the access has ended: their students
keep reading the title and the status. What is in a course asks my_course_ids.';

create function private.lock_course_completion(p_course_id uuid) returns void
language sql
set search_path = ''
as $$
    select pg_catalog.pg_advisory_xact_lock(pg_catalog.hashtext('enrolments.completion:' || p_course_id))
$$;
comment on function private.lock_course_completion(uuid) is
'Lets one transaction at a time change many enrolments of a course, until it ends. A transaction that changes one
enrolment does not take it.';

create function private.require_open_enrolment(p_course_id uuid, p_student_id uuid) returns public.enrolments
language plpgsql
security definer -- locks a row that only functions may write
set search_path = ''
as $$
declare
    v_enrolment public.enrolments;
begin
    -- The lock orders the writes of one student in one course, so that attempts are counted and completion is derived
    -- without a race. Postgres checks the conditions again after it waited for the lock.
    select e.* into v_enrolment from private.open_enrolments as e
    where e.student_id = p_student_id and e.course_id = p_course_id
        and p_course_id = any((select private.my_course_ids())::uuid[])
    for no key update;
    if not found then
        perform private.refuse('not_enrolled');
    end if;
    return v_enrolment;
end
$$;
comment on function private.require_open_enrolment(uuid, uuid) is
'Locks the enrolment of the caller in an open course until the transaction ends, and returns it. Raises not_enrolled
(403).';

alter table public.user_stats
add column enrolment_count integer not null default 0
constraint user_stats_enrolment_count_check check (enrolment_count >= 0),
add column completed_course_count integer not null default 0
constraint user_stats_completed_course_count_check check (completed_course_count >= 0);
comment on column public.user_stats.enrolment_count is 'How many courses are open to the user as a student.';
comment on column public.user_stats.completed_course_count is
'How many courses the user has completed, without those whose payment was returned.';

create function private.recount_user_stats__enrolments(p_user_id uuid) returns void
language sql
set search_path = ''
as $$
    update public.user_stats as s
    set
        student_count = (
            select count(distinct e.student_id)
            from public.courses as c
            join public.enrolments as e on e.course_id = c.id and e.access = 'open'
            where c.creator_id = s.user_id
        ),
        enrolment_count = (
            select count(*) from public.enrolments as e where e.student_id = s.user_id and e.access = 'open'
        ),
        completed_course_count = (
            select count(*) from public.enrolments as e
            where e.student_id = s.user_id and e.status = 'completed' and e.access <> 'refunded'
        )
    where s.user_id = p_user_id
$$;
comment on function private.recount_user_stats__enrolments(uuid) is
'Counts the students of the user''s courses, and the user''s enrolments and completed courses.';

create function private.tg_enrolments__count() returns trigger
language plpgsql
security definer -- clients may not write counts
set search_path = ''
as $$
declare
    v_student_id uuid := coalesce(new.student_id, old.student_id);
    v_course_id uuid := coalesce(new.course_id, old.course_id);
    v_creator_id uuid := (select c.creator_id from public.courses as c where c.id = v_course_id);
    v_taken integer := coalesce((new.access = 'open')::integer, 0) - coalesce((old.access = 'open')::integer, 0);
    v_completed integer := coalesce((new.status = 'completed' and new.access <> 'refunded')::integer, 0)
        - coalesce((old.status = 'completed' and old.access <> 'refunded')::integer, 0);
begin
    -- Completing changes the row of the student alone, which a certificate may have locked already: the row of the
    -- creator could not be locked after it.
    if v_taken <> 0 then
        perform private.lock_user_stats(array[v_student_id, v_creator_id]);
        -- A student of another course of the creator was counted already, and stays counted.
        update public.user_stats as s
        set student_count = s.student_count + v_taken
        where s.user_id = v_creator_id and not exists (
            select from public.enrolments as e
            join public.courses as c on c.id = e.course_id
            where e.student_id = v_student_id
                and e.course_id <> v_course_id
                and e.access = 'open'
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
'After an enrolment is inserted or deleted, or changes its status or access: counts it for the student and the
creator.';
create trigger _300_count after insert or delete or update of status, access_until, access on public.enrolments
for each row execute function private.tg_enrolments__count();

create function private.tg_courses__keep_creator_from_students() returns trigger
language plpgsql
security definer -- must read enrolments that the caller may not read
set search_path = ''
as $$
begin
    if exists (
        select from public.enrolments as e
        where e.course_id = new.id and e.student_id = new.creator_id and e.status <> 'cancelled'
    ) then
        perform private.refuse('own_course');
    end if;
    return new;
end
$$;
comment on function private.tg_courses__keep_creator_from_students() is
'Before a course is transferred: a student of the course cannot become its creator. Raises own_course (409).';
create trigger _150_keep_creator_from_students before update of creator_id on public.courses
for each row when (old.creator_id <> new.creator_id)
execute function private.tg_courses__keep_creator_from_students();
