-- Catalog: the end of a course, and what moderators and admins do to one. Each writes the audit log.

create function private.delete_course(p_course_id uuid) returns boolean
language plpgsql
security definer -- whether others refer to it, the caller must not need to see; the check below decides
set search_path = ''
as $$
declare
    v_course public.courses;
begin
    v_course := private.require_own_course(p_course_id);
    if v_course.status = 'suspended' then
        raise sqlstate 'PT409' using
            message = 'illegal_transition',
            detail = 'courses: suspended cannot become deleted.',
            hint = 'A moderator must unsuspend it first.';
    elsif v_course.status = 'deleted' then
        return false;
    end if;
    begin
        delete from public.courses as c where c.id = p_course_id;
        perform private.audit_others_course('course.delete', v_course, null);
        return true;
    exception when foreign_key_violation or restrict_violation then
        -- Somebody enrolled once, or bought it, or holds its certificate: that is what these keys are for.
        perform private.set_course_status(v_course, 'deleted', 'course.delete');
        return false;
    end;
end
$$;
comment on function private.delete_course(uuid) is
'Deletes a course of the caller: for good where nobody ever had it, else by its status. True where it is gone for good.
Raises PT404 course_not_found, PT409 illegal_transition.';

create function public.delete_course(course_id uuid) returns boolean
language sql
set search_path = ''
as $$
    select private.delete_course(delete_course.course_id)
$$;
comment on function public.delete_course(uuid) is
'Deletes a course. True: nobody ever enrolled, and it is gone with all that it held. False: it is gone from the
catalogue and from its creator''s desk, for good, and those who are enrolled keep it. For its creator and admins.
Raises course_not_found (404), illegal_transition (409: it is suspended).';

create function private.lock_course(p_course_id uuid) returns public.courses
language plpgsql
security definer -- locks a row that only functions may write; who calls it has checked who may
set search_path = ''
as $$
declare
    v_course public.courses;
begin
    select c.* into v_course from public.courses as c
    where c.id = p_course_id and c.status <> 'deleted' for no key update;
    if not found then
        raise sqlstate 'PT404' using
            message = 'course_not_found',
            detail = 'There is no such course.',
            hint = 'Look it up in the list of courses.';
    end if;
    return v_course;
end
$$;
comment on function private.lock_course(uuid) is
'A course that is not deleted, locked until the transaction ends. Raises PT404 course_not_found.';

create function private.set_course_featured(p_course_id uuid, p_is_featured boolean) returns public.courses
language plpgsql
security definer -- is_featured is no client's to write; the check below decides
set search_path = ''
as $$
declare
    v_before public.courses;
    v_course public.courses;
begin
    perform private.require_role('admin');
    v_before := private.lock_course(p_course_id);
    if v_before.is_featured = p_is_featured then
        return v_before;
    end if;
    update public.courses as c set is_featured = p_is_featured where c.id = p_course_id returning c.* into v_course;
    perform private.audit(
        case when p_is_featured then 'course.feature' else 'course.unfeature' end, 'courses', p_course_id::text,
        jsonb_build_object('is_featured', v_before.is_featured), jsonb_build_object('is_featured', p_is_featured)
    );
    return v_course;
end
$$;
comment on function private.set_course_featured(uuid, boolean) is
'Puts a course forward, or no more, and records it. Raises PT403 role_required, PT404 course_not_found.';

create function private.feature_course(p_course_id uuid) returns public.courses
language plpgsql
security definer -- is_featured is no client's to write; the check below decides
set search_path = ''
as $$
begin
    perform private.require_role('admin');
    if (private.lock_course(p_course_id)).status <> 'published' then
        raise sqlstate 'PT409' using
            message = 'course_not_published',
            detail = 'Only a published course can be featured.',
            hint = 'Feature it when it is published.';
    end if;
    return private.set_course_featured(p_course_id, true);
end
$$;
comment on function private.feature_course(uuid) is
'Puts a published course forward. Raises what set_course_featured raises, and PT409 course_not_published.';

create function public.feature_course(course_id uuid) returns public.courses
language sql
set search_path = ''
as $$
    select private.feature_course(feature_course.course_id)
$$;
comment on function public.feature_course(uuid) is
'Puts a published course forward (is_featured), and answers it. For admins. Raises role_required (403),
course_not_found (404), course_not_published (409).';

create function public.unfeature_course(course_id uuid) returns public.courses
language sql
set search_path = ''
as $$
    select private.set_course_featured(unfeature_course.course_id, false)
$$;
comment on function public.unfeature_course(uuid) is
'Puts a course forward no more, and answers it. For admins. Raises role_required (403), course_not_found (404).';

insert into private.mail_templates (template, topic)
values ('course_suspended', 'account'), ('course_unsuspended', 'account');

create function private.set_course_suspended(p_course_id uuid, p_is_suspended boolean, p_reason text)
returns public.courses
language plpgsql
security definer -- status is no client's to write; the checks below decide
set search_path = ''
as $$
declare
    v_before public.courses;
    v_course public.courses;
begin
    perform private.require_role('moderator');
    v_before := private.lock_course(p_course_id);
    if v_before.creator_id = (select auth.uid()) then
        raise sqlstate 'PT403' using
            message = 'target_protected',
            detail = 'Nobody judges his own course.',
            hint = 'Ask another moderator.';
    elsif p_is_suspended = (v_before.status = 'suspended') then
        raise sqlstate 'PT409' using
            message = 'illegal_transition',
            detail = format('courses: this one is %s.', v_before.status),
            hint = 'Read the row again: its status may have changed meanwhile.';
    end if;
    update public.courses as c
    set
        status = case when p_is_suspended then 'suspended' else 'draft' end::public.course_status,
        status_reason = p_reason,
        is_featured = false
    where c.id = p_course_id
    returning c.* into v_course;
    perform private.audit(
        case when p_is_suspended then 'course.suspend' else 'course.unsuspend' end, 'courses', p_course_id::text,
        jsonb_build_object('status', v_before.status, 'reason', v_before.status_reason),
        jsonb_build_object('status', v_course.status, 'reason', v_course.status_reason)
    );
    perform private.enqueue_mail(
        v_course.creator_id,
        case when p_is_suspended then 'course_suspended' else 'course_unsuspended' end,
        jsonb_build_object('course_title', v_course.title)
        || case when p_is_suspended then jsonb_build_object('reason', p_reason) else '{}' end,
        format('course_status:%s:%s', p_course_id, extract(epoch from clock_timestamp()))
    );
    return v_course;
end
$$;
comment on function private.set_course_suspended(uuid, boolean, text) is
'Takes a course down, or makes it a draft of its creator again; records it and writes to the creator. Raises PT403
role_required or target_protected, PT404 course_not_found, PT409 illegal_transition.';

create function private.suspend_course(p_course_id uuid, p_reason text) returns public.courses
language plpgsql
security definer -- status is no client's to write; the check below decides
set search_path = ''
as $$
begin
    perform private.require_role('moderator');
    if coalesce(p_reason, '') !~ '\S' then
        raise sqlstate 'PT422' using
            message = 'reason_missing',
            detail = 'The creator is told why.',
            hint = 'Send a reason.';
    end if;
    return private.set_course_suspended(p_course_id, true, p_reason);
end
$$;
comment on function private.suspend_course(uuid, text) is
'Takes a course down for a reason. Raises what set_course_suspended raises, and PT422 reason_missing.';

create function public.suspend_course(course_id uuid, reason text) returns public.courses
language sql
set search_path = ''
as $$
    select private.suspend_course(suspend_course.course_id, suspend_course.reason)
$$;
comment on function public.suspend_course(uuid, text) is
'Takes a course down, and answers it: nobody finds or opens it any more but its creator, who is mailed the reason, and
moderators. For moderators. Raises role_required or target_protected (403: one''s own), course_not_found (404),
illegal_transition (409), reason_missing (422).';

create function public.unsuspend_course(course_id uuid) returns public.courses
language sql
set search_path = ''
as $$
    select private.set_course_suspended(unsuspend_course.course_id, false, null)
$$;
comment on function public.unsuspend_course(uuid) is
'Makes a suspended course a draft of its creator again, and answers it; the creator is mailed, and publishes it.
Students have it again at once. For moderators. Raises role_required or target_protected (403: one''s own),
course_not_found (404), illegal_transition (409).';

create function private.transfer_course(p_course_id uuid, p_creator_id uuid) returns public.courses
language plpgsql
security definer -- creator_id is no client's to write; the checks below decide
set search_path = ''
as $$
declare
    v_before public.courses;
    v_course public.courses;
begin
    perform private.require_role('admin');
    v_before := private.lock_course(p_course_id);
    -- Who is being suspended or losing the role just now, is waited for.
    perform from public.accounts as a where a.user_id = p_creator_id for share;
    if not exists (
        select from public.accounts as a
        where a.user_id = p_creator_id and a.status = 'active' and a.roles @> '{teacher}'
    ) then
        raise sqlstate 'PT422' using
            message = 'teacher_required',
            detail = 'A course is given to somebody who teaches, and whose account is active.',
            hint = 'Grant the role teacher first.';
    elsif v_before.creator_id = p_creator_id then
        return v_before;
    elsif exists (
        select from public.enrolments as e where e.course_id = p_course_id and e.student_id = p_creator_id
            and e.status <> 'cancelled'
    ) then
        raise sqlstate 'PT409' using
            message = 'own_course',
            detail = 'This teacher takes the course, and a creator is no student of the own course.',
            hint = 'Cancel the enrolment first.';
    end if;
    update public.courses as c set creator_id = p_creator_id where c.id = p_course_id returning c.* into v_course;
    perform private.audit(
        'course.transfer', 'courses', p_course_id::text,
        jsonb_build_object('creator_id', v_before.creator_id), jsonb_build_object('creator_id', p_creator_id)
    );
    return v_course;
end
$$;
comment on function private.transfer_course(uuid, uuid) is
'Gives a course to another teacher, and records it. Raises PT403 role_required, PT404 course_not_found, PT409
own_course, PT422 teacher_required.';

create function public.transfer_course(course_id uuid, creator_id uuid) returns public.courses
language sql
set search_path = ''
as $$
    select private.transfer_course(transfer_course.course_id, transfer_course.creator_id)
$$;
comment on function public.transfer_course(uuid, uuid) is
'Makes another teacher the creator of a course, with all that is in it, and answers it; students keep it. For admins.
Raises role_required (403), course_not_found (404), own_course (409: the teacher takes it), teacher_required (422).';

insert into private.rate_limited_functions (function_name, tier)
values
('feature_course', 'strict'),
('unfeature_course', 'strict'),
('suspend_course', 'strict'),
('unsuspend_course', 'strict'),
('transfer_course', 'strict');
