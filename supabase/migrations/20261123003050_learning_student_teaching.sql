-- Learning: students of student-teachers. An enrolment names the student-teacher of the student.
--
-- An advisory lock of the student-teacher comes before all other locks (catalog_locks has the order): shared for
-- assigning one student, exclusive for unassigning all of them.

insert into private.errors (token, status, meaning, hint, detail)
values
(
    'enrolment_not_active', 409,
    'Only an active enrolment has a student-teacher.',
    'Read the enrolment again.',
    'The enrolment is %s.'
),
(
    'enrolment_not_found', 404,
    'There is no such enrolment, or you do not teach it.',
    'Look it up among your students.',
    null
),
(
    'student_teacher_full', 409,
    'This student-teacher has as many students as they accept.',
    'Choose another one: is_open=is.true.',
    null
),
(
    'student_teacher_required', 403,
    'Only a student-teacher can do this.',
    'Apply for a course whose certificate you hold.',
    null
),
(
    'student_teacher_unavailable', 409,
    'This student-teacher does not accept this student now.',
    'Choose another one: is_open=is.true.',
    null
);

create function private.my_assigned_enrolment_ids() returns uuid[]
language plpgsql
stable
security definer -- the policy of enrolments itself would call it
set search_path = ''
as $$
begin
    return (
        select coalesce(array_agg(e.id), '{}') from public.enrolments as e
        where e.student_teacher_id = any((select private.my_student_teacher_ids())::uuid[])
    );
end
$$;
comment on function private.my_assigned_enrolment_ids() is
'The enrolments of the students of the caller as a student-teacher. Policies call it as any((select
private.my_assigned_enrolment_ids())::uuid[]).';

create function private.my_chosen_student_teacher_ids() returns uuid[]
language plpgsql
stable
security definer -- the policy of student_teachers calls it, and must not depend on that of enrolments
set search_path = ''
as $$
begin
    return (
        select coalesce(array_agg(e.student_teacher_id), '{}') from public.enrolments as e
        where e.student_id = (select auth.uid()) and e.student_teacher_id is not null
    );
end
$$;
comment on function private.my_chosen_student_teacher_ids() is
'The student-teachers of the caller. Policies call it as any((select
private.my_chosen_student_teacher_ids())::uuid[]).';

create function private.tg_enrolments__leave_student_teacher() returns trigger
language plpgsql
set search_path = ''
as $$
begin
    new.student_teacher_id := null;
    return new;
end
$$;
comment on function private.tg_enrolments__leave_student_teacher() is
'Before an enrolment is cancelled: unassigns the student-teacher.';
create trigger _150_leave_student_teacher before update of status on public.enrolments
for each row when (new.status = 'cancelled' and new.student_teacher_id is not null)
execute function private.tg_enrolments__leave_student_teacher();

create function private.tg_enrolments__keep_place() returns trigger
language plpgsql
security definer -- reads student-teachers that the caller may not read
set search_path = ''
as $$
begin
    perform from public.student_teachers as t where t.id = new.student_teacher_id for no key update;
    if not exists (select from public.student_teachers as t where t.id = new.student_teacher_id and t.is_open) then
        new.student_teacher_id := null;
    end if;
    return new;
end
$$;
comment on function private.tg_enrolments__keep_place() is
'Before an active enrolment opens again: it keeps its student-teacher if there is a place,
which nobody held for it meanwhile.';
create trigger _330_keep_place before update of status, access_until, access on public.enrolments
for each row when (
    old.access <> 'open' and new.access = 'open' and new.status = 'active' and new.student_teacher_id is not null
)
execute function private.tg_enrolments__keep_place();

create function private.tg_enrolments__count_students() returns trigger
language plpgsql
security definer -- clients may not write counts
set search_path = ''
as $$
declare
    v_left uuid := case when old.status = 'active' and old.access = 'open' then old.student_teacher_id end;
    v_joined uuid := case when new.status = 'active' and new.access = 'open' then new.student_teacher_id end;
begin
    if v_left is not distinct from v_joined then
        return null;
    end if;
    perform from public.student_teachers as t where t.id in (v_left, v_joined) order by t.id for no key update;
    update public.student_teachers as t set student_count = t.student_count - 1 where t.id = v_left;
    update public.student_teachers as t set student_count = t.student_count + 1 where t.id = v_joined;
    return null;
end
$$;
comment on function private.tg_enrolments__count_students() is
'After an enrolment is inserted or deleted, or changes its status, access or student-teacher: counts the active
students of each student-teacher with open access.';
-- Before user_stats are counted, in the order of catalog_locks.
create trigger _250_count_students
after insert or delete or update of status, access_until, access, student_teacher_id on public.enrolments
for each row execute function private.tg_enrolments__count_students();

create function private.lock_student_teacher(p_student_teacher_id uuid, p_is_shared boolean) returns void
language plpgsql
set search_path = ''
as $$
declare
    v_key constant integer := pg_catalog.hashtext('student_teachers:' || p_student_teacher_id);
begin
    if p_is_shared then
        perform pg_catalog.pg_advisory_xact_lock_shared(v_key);
    else
        perform pg_catalog.pg_advisory_xact_lock(v_key);
    end if;
end
$$;
comment on function private.lock_student_teacher(uuid, boolean) is
'The advisory lock of a student-teacher, until the transaction ends: shared for assigning a student, exclusive for
unassigning all students. Taken before every other lock. Does nothing for null.';

create function private.unassign_students(p_student_teacher_id uuid) returns void
language plpgsql
security definer -- clients may not write enrolments; the caller of it has checked who may
set search_path = ''
as $$
begin
    perform private.lock_student_teacher(p_student_teacher_id, false);
    perform from public.enrolments as e where e.student_teacher_id = p_student_teacher_id
    order by e.id for no key update;
    update public.enrolments as e set student_teacher_id = null where e.student_teacher_id = p_student_teacher_id;
end
$$;
comment on function private.unassign_students(uuid) is
'Unassigns all students of a student-teacher, and keeps anybody from assigning one until the transaction ends.';

create function private.student_teacher_blocker(p_student_teacher_id uuid, p_course_id uuid, p_student_id uuid)
returns text
language plpgsql
stable
security definer -- reads accounts of others
set search_path = ''
as $$
declare
    v_student_teacher public.student_teachers;
begin
    select t.* into v_student_teacher from public.student_teachers as t
    where t.id = p_student_teacher_id and t.course_id = p_course_id and t.status = 'approved';
    return case
        when v_student_teacher.id is null then 'student_teacher_not_found'
        when v_student_teacher.student_count >= v_student_teacher.max_students then 'student_teacher_full'
        when not v_student_teacher.is_available
            or v_student_teacher.user_id = p_student_id
            or not private.is_account_active(v_student_teacher.user_id)
            then 'student_teacher_unavailable'
    end;
end
$$;
comment on function private.student_teacher_blocker(uuid, uuid, uuid) is
'Why a student-teacher cannot take this student of a course now: student_teacher_not_found, student_teacher_full or
student_teacher_unavailable; null where they can.';

create function private.require_available_student_teacher(
    p_student_teacher_id uuid, p_course_id uuid, p_student_id uuid
)
returns void
language plpgsql
stable
set search_path = ''
as $$
begin
    case private.student_teacher_blocker(p_student_teacher_id, p_course_id, p_student_id)
        when 'student_teacher_not_found' then
            perform private.refuse('student_teacher_not_found');
        when 'student_teacher_full' then
            perform private.refuse('student_teacher_full');
        when 'student_teacher_unavailable' then
            perform private.refuse('student_teacher_unavailable');
        else
            null; -- they can take the student
    end case;
end
$$;
comment on function private.require_available_student_teacher(uuid, uuid, uuid) is
'Refuses a student-teacher who cannot take this student of a course now. Raises student_teacher_not_found (404),
student_teacher_full or student_teacher_unavailable (409).';

create function private.set_student_teacher(p_enrolment_id uuid, p_student_teacher_id uuid) returns public.enrolments
language plpgsql
security definer -- clients may not write enrolments; the caller of it has checked who may
set search_path = ''
as $$
declare
    v_enrolment public.enrolments;
begin
    select e.* into v_enrolment from public.enrolments as e where e.id = p_enrolment_id for no key update;
    if v_enrolment.status <> 'active' then
        perform private.refuse('enrolment_not_active', v_enrolment.status::text);
    elsif v_enrolment.access <> 'open' and p_student_teacher_id is not null then
        perform private.refuse('enrolment_not_active', v_enrolment.access::text);
    elsif p_student_teacher_id is not distinct from v_enrolment.student_teacher_id then
        return v_enrolment;
    end if;
    if p_student_teacher_id is not null then
        perform from public.student_teachers as t
        where t.id in (p_student_teacher_id, v_enrolment.student_teacher_id)
        order by t.id for no key update;
        perform private.require_available_student_teacher(
            p_student_teacher_id, v_enrolment.course_id, v_enrolment.student_id
        );
    end if;
    update public.enrolments as e set student_teacher_id = p_student_teacher_id
    where e.id = p_enrolment_id
    returning e.* into v_enrolment;
    return v_enrolment;
end
$$;
comment on function private.set_student_teacher(uuid, uuid) is
'Assigns a student-teacher, or null for none, to an active enrolment; its caller has called lock_student_teacher. Raises
student_teacher_not_found (404), enrolment_not_active, student_teacher_full or student_teacher_unavailable (409).';

create function private.assign_student_teacher(p_enrolment_id uuid, p_student_teacher_id uuid default null)
returns public.enrolments
language plpgsql
security definer -- clients may not write enrolments
set search_path = ''
as $$
declare
    v_before public.enrolments;
    v_after public.enrolments;
begin
    perform private.require_active();
    perform private.lock_student_teacher(p_student_teacher_id, true);
    select e.* into v_before from public.enrolments as e where e.id = p_enrolment_id for no key update;
    if not found or not private.owns_course(v_before.course_id) then
        perform private.refuse('enrolment_not_found');
    end if;
    v_after := private.set_student_teacher(p_enrolment_id, p_student_teacher_id);
    if v_after.student_teacher_id is distinct from v_before.student_teacher_id then
        perform private.audit(
            'enrolment.assign', 'enrolments', p_enrolment_id::text,
            jsonb_build_object('student_teacher_id', v_before.student_teacher_id),
            jsonb_build_object('student_teacher_id', v_after.student_teacher_id)
        );
    end if;
    return v_after;
end
$$;
comment on function private.assign_student_teacher(uuid, uuid) is
'Assigns a student-teacher of the course to a student in place of the present one, or nobody where student_teacher_id is
left out; returns the enrolment. Audited. For the creator of the course and admins. Raises enrolment_not_found or
student_teacher_not_found (404), enrolment_not_active, student_teacher_full or student_teacher_unavailable (409).';

create function private.choose_student_teacher(p_student_teacher_id uuid) returns public.enrolments
language plpgsql
security definer -- clients may not write enrolments
set search_path = ''
as $$
declare
    v_caller uuid := private.require_confirmed_address(); -- a place that others cannot have
    v_course_id uuid;
    v_enrolment public.enrolments;
begin
    perform private.lock_student_teacher(p_student_teacher_id, true);
    v_course_id := (
        select t.course_id from public.student_teachers as t
        where t.id = p_student_teacher_id and t.status = 'approved' and t.is_public
    );
    if v_course_id is null then
        perform private.refuse('student_teacher_not_found');
    end if;
    v_enrolment := private.require_open_enrolment(v_course_id, v_caller);
    return private.set_student_teacher(v_enrolment.id, p_student_teacher_id);
end
$$;
comment on function private.choose_student_teacher(uuid) is
'Assigns a student-teacher of a course to the caller in place of the present one, and returns the enrolment. For
students of the course with a confirmed address. Raises account_inactive, email_not_confirmed or not_enrolled (403),
student_teacher_not_found (404), enrolment_not_active, student_teacher_full or student_teacher_unavailable (409).';

create function private.student_teacher_dashboard() returns jsonb
language plpgsql
stable
security definer -- counts at once what row level security would check row by row
set search_path = ''
as $$
declare
    v_ids uuid[] := private.my_student_teacher_ids();
begin
    if cardinality(v_ids) = 0 then
        perform private.refuse('student_teacher_required');
    end if;
    return (
        with counts as (
            select
                t.id,
                count(e.id) filter (where e.access = 'open') as student_count,
                count(e.id) filter (where e.access = 'open' and e.status = 'active') as active_count,
                count(e.id) filter (where e.access <> 'refunded' and e.status = 'completed') as completed_count,
                count(c.id) filter (where c.status = 'pending') as recommended_count,
                count(c.id) filter (where c.status = 'issued') as certified_count
            from public.student_teachers as t
            left join public.enrolments as e on e.student_teacher_id = t.id
            left join public.certificates as c on c.enrolment_id = e.id
            where t.id = any(v_ids)
            group by t.id
        )

        select jsonb_build_object(
            'student_count', sum(f.student_count),
            'active_count', sum(f.active_count),
            'completed_count', sum(f.completed_count),
            'recommended_count', sum(f.recommended_count),
            'certified_count', sum(f.certified_count),
            'courses', jsonb_agg(
                jsonb_build_object(
                    'student_teacher_id', t.id,
                    'course_id', c.id,
                    'course_slug', c.slug,
                    'course_title', c.title,
                    'is_available', t.is_available,
                    'max_students', t.max_students
                ) || (to_jsonb(f) - 'id')
                order by c.title, c.id
            )
        ) || private.dashboard_parts('student_teacher')
        from counts as f
        join public.student_teachers as t on t.id = f.id
        join public.courses as c on c.id = t.course_id
    );
end
$$;
comment on function private.student_teacher_dashboard() is
'What a student-teacher sees first: {student_count (with open access), active_count, completed_count (without
refunded ones), recommended_count (certificates that wait for the creator), certified_count, courses: [the same counts,
student_teacher_id, course_id, course_slug, course_title, is_available, max_students], next_sessions (10 that the caller
hosts: [{session_id, course_id, course_title, student_id, student_name, host_id, host_name, topic, starts_at, ends_at,
time_zone}]), money (of sales with the caller as student-teacher: as in creator_dashboard)}. The students themselves are
enrolments with student_teacher_id. For student-teachers. Raises student_teacher_required (403).';
