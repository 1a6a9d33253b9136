-- Learning: who helps whom. A student's enrolment names his student-teacher; places are taken one by one.
--
-- Everybody who locks does it in one order: the gate of the student-teacher, then enrolments, then student_teachers,
-- then certificates. The gate is an advisory lock, shared by those who assign a student, exclusive for who unassigns
-- them all.

create function private.my_assigned_enrolment_ids() returns uuid[]
language plpgsql
stable
security definer -- the policy of enrolments itself would ask
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
'The enrolments whose student-teacher the caller is. Policies call it as any((select
private.my_assigned_enrolment_ids())::uuid[]).';

create function private.my_chosen_student_teacher_ids() returns uuid[]
language plpgsql
stable
security definer -- the policy of student_teachers asks, which that of enrolments must not depend on
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
'The student-teachers who help the caller. Policies call it as any((select
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
'Before an enrolment is cancelled: nobody helps the student any more.';
create trigger _150_leave_student_teacher before update of status on public.enrolments
for each row when (new.status = 'cancelled' and new.student_teacher_id is not null)
execute function private.tg_enrolments__leave_student_teacher();

create function private.tg_enrolments__count_students() returns trigger
language plpgsql
security definer -- figures are no client's to write
set search_path = ''
as $$
declare
    v_left uuid := case when old.status = 'active' then old.student_teacher_id end;
    v_joined uuid := case when new.status = 'active' then new.student_teacher_id end;
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
'After an enrolment comes, goes, or changes its status or its student-teacher: how many active students each helps.';
create trigger _310_count_students after insert or delete or update of status, student_teacher_id on public.enrolments
for each row execute function private.tg_enrolments__count_students();

create function private.unassign_students(p_student_teacher_id uuid) returns void
language plpgsql
security definer -- enrolments are no client's to write; who calls it has decided
set search_path = ''
as $$
begin
    perform pg_catalog.pg_advisory_xact_lock(pg_catalog.hashtext('student_teachers:' || p_student_teacher_id));
    perform from public.enrolments as e where e.student_teacher_id = p_student_teacher_id
    order by e.id for no key update;
    update public.enrolments as e set student_teacher_id = null where e.student_teacher_id = p_student_teacher_id;
end
$$;
comment on function private.unassign_students(uuid) is
'Takes all students from a student-teacher; nobody is assigned to him until the transaction ends.';

create function private.set_student_teacher(p_enrolment_id uuid, p_student_teacher_id uuid) returns public.enrolments
language plpgsql
security definer -- enrolments are no client's to write; who calls it has checked who may
set search_path = ''
as $$
declare
    v_enrolment public.enrolments;
    v_student_teacher public.student_teachers;
begin
    select e.* into v_enrolment from public.enrolments as e where e.id = p_enrolment_id for no key update;
    if v_enrolment.status <> 'active' then
        raise sqlstate 'PT409' using
            message = 'enrolment_not_active',
            detail = format('The enrolment is %s.', v_enrolment.status),
            hint = 'Only somebody who is learning needs help.';
    elsif p_student_teacher_id is not distinct from v_enrolment.student_teacher_id then
        return v_enrolment;
    end if;
    if p_student_teacher_id is not null then
        perform from public.student_teachers as t
        where t.id in (p_student_teacher_id, v_enrolment.student_teacher_id)
        order by t.id for no key update;
        select t.* into v_student_teacher from public.student_teachers as t
        where t.id = p_student_teacher_id and t.course_id = v_enrolment.course_id and t.status = 'approved';
        if not found then
            raise sqlstate 'PT404' using
                message = 'student_teacher_not_found',
                detail = 'The course has no such student-teacher.',
                hint = 'List the student-teachers of the course.';
        elsif v_student_teacher.student_count >= v_student_teacher.max_students then
            raise sqlstate 'PT409' using
                message = 'student_teacher_full',
                detail = 'This student-teacher has as many students as he takes.',
                hint = 'Choose another one: is_open=is.true.';
        elsif not v_student_teacher.is_available
            or v_student_teacher.user_id = v_enrolment.student_id
            or not exists (
                select from public.accounts as a
                where a.user_id = v_student_teacher.user_id
                    and (a.status = 'active' or (a.status = 'suspended' and a.suspended_until <= now()))
            )
        then
            raise sqlstate 'PT409' using
                message = 'student_teacher_unavailable',
                detail = 'This student-teacher does not take this student now.',
                hint = 'Choose another one: is_open=is.true.';
        end if;
    end if;
    update public.enrolments as e set student_teacher_id = p_student_teacher_id
    where e.id = p_enrolment_id
    returning e.* into v_enrolment;
    return v_enrolment;
end
$$;
comment on function private.set_student_teacher(uuid, uuid) is
'Gives an active enrolment this student-teacher, and takes a place of his; null for none. Whoever calls it holds the
gate. Raises PT404 student_teacher_not_found, PT409 enrolment_not_active, student_teacher_full or
student_teacher_unavailable.';

create function private.open_gate(p_student_teacher_id uuid) returns void
language sql
set search_path = ''
as $$
    select pg_catalog.pg_advisory_xact_lock_shared(pg_catalog.hashtext('student_teachers:' || p_student_teacher_id))
$$;
comment on function private.open_gate(uuid) is
'Until the transaction ends nobody takes all students from this student-teacher. Before anything else is locked.';

create function private.assign_student_teacher(p_enrolment_id uuid, p_student_teacher_id uuid)
returns public.enrolments
language plpgsql
security definer -- enrolments are no client's to write; the check below decides
set search_path = ''
as $$
declare
    v_before public.enrolments;
    v_after public.enrolments;
begin
    perform private.require_active();
    perform private.open_gate(p_student_teacher_id);
    select e.* into v_before from public.enrolments as e where e.id = p_enrolment_id for no key update;
    if not found or not private.owns_course(v_before.course_id) then
        raise sqlstate 'PT404' using
            message = 'enrolment_not_found',
            detail = 'There is no such enrolment, or it is not in a course of yours.',
            hint = 'List the students of your courses to find its id.';
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
'Gives an enrolment another student-teacher, or none, and records it. Raises PT404 enrolment_not_found, and what
set_student_teacher raises.';

create function public.assign_student_teacher(enrolment_id uuid, student_teacher_id uuid default null)
returns public.enrolments
language sql
set search_path = ''
as $$
    select private.assign_student_teacher(
        assign_student_teacher.enrolment_id, assign_student_teacher.student_teacher_id
    )
$$;
comment on function public.assign_student_teacher(uuid, uuid) is
'Assigns a student to a student-teacher of the course, or to another one, or to none where student_teacher_id is left
out; answers the enrolment. Of many at once no more succeed than the student-teacher has places. For the course''s
creator and admins. Raises enrolment_not_found or student_teacher_not_found (404), enrolment_not_active,
student_teacher_full or student_teacher_unavailable (409).';

create function private.choose_student_teacher(p_student_teacher_id uuid) returns public.enrolments
language plpgsql
security definer -- enrolments are no client's to write; whose it is, is taken from the token
set search_path = ''
as $$
declare
    v_caller uuid := private.require_active();
    v_course_id uuid;
    v_enrolment public.enrolments;
begin
    perform private.open_gate(p_student_teacher_id);
    v_course_id := (
        select t.course_id from public.student_teachers as t
        where t.id = p_student_teacher_id and t.status = 'approved' and t.is_public
    );
    if v_course_id is null then
        raise sqlstate 'PT404' using
            message = 'student_teacher_not_found',
            detail = 'There is no such student-teacher.',
            hint = 'List the student-teachers of the course.';
    end if;
    v_enrolment := private.require_open_enrolment(v_course_id, v_caller);
    return private.set_student_teacher(v_enrolment.id, p_student_teacher_id);
end
$$;
comment on function private.choose_student_teacher(uuid) is
'Makes somebody the student-teacher of the caller in the course. Raises PT403 not_enrolled, PT404
student_teacher_not_found, and what set_student_teacher raises.';

create function public.choose_student_teacher(student_teacher_id uuid) returns public.enrolments
language sql
set search_path = ''
as $$
    select private.choose_student_teacher(choose_student_teacher.student_teacher_id)
$$;
comment on function public.choose_student_teacher(uuid) is
'Chooses one''s student-teacher in a course, or another one; answers the enrolment. Of many at once no more succeed
than he has places. For students of the course. Raises account_inactive or not_enrolled (403),
student_teacher_not_found (404), enrolment_not_active, student_teacher_full or student_teacher_unavailable (409).';

create function private.student_teacher_dashboard() returns jsonb
language plpgsql
stable
security definer -- counts in one go what row level security would weigh row by row
set search_path = ''
as $$
declare
    v_ids uuid[] := private.my_student_teacher_ids();
begin
    if cardinality(v_ids) = 0 then
        raise sqlstate 'PT403' using
            message = 'student_teacher_required',
            detail = 'Only a student-teacher can do this.',
            hint = 'Apply for a course whose certificate you hold.';
    end if;
    return (
        with figures as (
            select
                t.id,
                count(e.id) as student_count,
                count(e.id) filter (where e.status = 'active') as active_count,
                count(e.id) filter (where e.status = 'completed') as completed_count,
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
        )
        from figures as f
        join public.student_teachers as t on t.id = f.id
        join public.courses as c on c.id = t.course_id
    );
end
$$;
comment on function private.student_teacher_dashboard() is
'The caller''s figures as a student-teacher, by course and in all. Raises PT403 student_teacher_required.';

create function public.student_teacher_dashboard() returns jsonb
language sql
stable
set search_path = ''
as $$
    select private.student_teacher_dashboard()
$$;
comment on function public.student_teacher_dashboard() is
'What a student-teacher has before him: student_count, active_count, completed_count, recommended_count (certificates
that wait for the creator), certified_count, and courses with the same figures, is_available and max_students. The
students themselves are enrolments with his student_teacher_id. For student-teachers. Raises student_teacher_required
(403).';
