-- Learning: what admins do to enrolments. Each is recorded in the audit log; moderators read, and do nothing.

insert into private.mail_templates (template, topic) values ('enrolment_cancelled', 'learning');

create function private.require_enrolment(p_enrolment_id uuid) returns public.enrolments
language plpgsql
security definer -- locks a row that only functions may write
set search_path = ''
as $$
declare
    v_enrolment public.enrolments;
begin
    select e.* into v_enrolment from public.enrolments as e where e.id = p_enrolment_id for update;
    if not found then
        raise sqlstate 'PT404' using
            message = 'enrolment_not_found',
            detail = 'There is no such enrolment.',
            hint = 'Look it up in course_students.';
    end if;
    return v_enrolment;
end
$$;
comment on function private.require_enrolment(uuid) is
'An enrolment, locked until the transaction ends. Raises PT404 enrolment_not_found.';

create function private.enrol_student_manually(p_user_id uuid, p_course_id uuid, p_access_until timestamptz)
returns public.enrolments
language plpgsql
security definer -- enrolments are no client's to write; the check below decides
set search_path = ''
as $$
declare
    v_course public.courses;
    v_before public.enrolments;
    v_enrolment public.enrolments;
begin
    perform private.require_role('admin');
    select c.* into v_course from public.courses as c where c.id = p_course_id for share;
    if not found then
        raise sqlstate 'PT404' using
            message = 'course_not_found', detail = 'There is no such course.', hint = 'Check the id.';
    elsif v_course.status::text in ('suspended', 'deleted') then
        raise sqlstate 'PT409' using
            message = 'course_closed',
            detail = format('The course is %s.', v_course.status),
            hint = 'Nobody is enrolled in it any more.';
    end if;
    perform private.require_account(p_user_id);
    select e.* into v_before from public.enrolments as e
    where e.student_id = p_user_id and e.course_id = p_course_id for no key update;
    if v_before.status <> 'cancelled' and (v_before.access_until is null or v_before.access_until > now()) then
        raise sqlstate 'PT409' using
            message = 'already_enrolled',
            detail = 'This person takes the course.',
            hint = 'Change the enrolment with update_enrolment.';
    end if;
    v_enrolment := private.enrol_student(p_course_id, p_user_id, 'manual', p_access_until);
    perform private.audit(
        'enrolment.create', 'enrolments', v_enrolment.id::text,
        case when v_before.id is not null then to_jsonb(v_before) end, to_jsonb(v_enrolment)
    );
    return v_enrolment;
end
$$;
comment on function private.enrol_student_manually(uuid, uuid, timestamptz) is
'Enrols somebody in any course that is neither suspended nor deleted, without payment, and records it; one that was
cancelled or has run out opens again. Admins only. Raises PT403 role_required, PT404 course_not_found or user_not_found,
PT409 already_enrolled, course_closed or own_course.';

create function public.enrol_student_manually(user_id uuid, course_id uuid, access_until timestamptz default null)
returns public.enrolments
language sql
set search_path = ''
as $$
    select private.enrol_student_manually(
        enrol_student_manually.user_id, enrol_student_manually.course_id, enrol_student_manually.access_until
    )
$$;
comment on function public.enrol_student_manually(uuid, uuid, timestamptz) is
'Enrols a user in a course without payment, whether it is published or not, perhaps until an instant, and answers the
enrolment; a mail tells him. One that was cancelled, by whomever, or has run out opens again. Audited. For admins;
creators enrol nobody. Raises role_required (403), course_not_found or user_not_found (404), already_enrolled,
course_closed (it is suspended or deleted) or own_course (409).';

create function private.update_enrolment(p_enrolment_id uuid, p_access_until timestamptz) returns public.enrolments
language plpgsql
security definer -- enrolments are no client's to write; the check below decides
set search_path = ''
as $$
declare
    v_before public.enrolments;
    v_enrolment public.enrolments;
begin
    perform private.require_role('admin');
    v_before := private.require_enrolment(p_enrolment_id);
    if v_before.access_until is not distinct from p_access_until then
        return v_before;
    end if;
    update public.enrolments as e set access_until = p_access_until where e.id = p_enrolment_id returning e.* into v_enrolment;
    perform private.audit(
        'enrolment.update', 'enrolments', p_enrolment_id::text,
        jsonb_build_object('access_until', v_before.access_until), jsonb_build_object('access_until', p_access_until)
    );
    return v_enrolment;
end
$$;
comment on function private.update_enrolment(uuid, timestamptz) is
'Changes until when a course is open to a student, and records it. Admins only. Raises PT403 role_required, PT404
enrolment_not_found.';

create function public.update_enrolment(enrolment_id uuid, access_until timestamptz) returns public.enrolments
language sql
set search_path = ''
as $$
    select private.update_enrolment(update_enrolment.enrolment_id, update_enrolment.access_until)
$$;
comment on function public.update_enrolment(uuid, timestamptz) is
'Changes until when a course is open to a student, and answers the enrolment: null for always, an instant that is past
for no longer. One that is cancelled stays so. Audited. For admins. Raises role_required (403), enrolment_not_found
(404).';

create function private.cancel_enrolment(p_enrolment_id uuid, p_reason text) returns public.enrolments
language plpgsql
security definer -- enrolments are no client's to write; the check below decides
set search_path = ''
as $$
declare
    v_caller uuid := private.require_role('admin');
    v_before public.enrolments;
    v_enrolment public.enrolments;
begin
    v_before := private.require_enrolment(p_enrolment_id);
    if coalesce(p_reason, '') !~ '\S' then
        raise sqlstate 'PT422' using
            message = 'reason_missing',
            detail = 'Whoever is put out is told why.',
            hint = 'Send a reason.';
    elsif v_before.status = 'cancelled' and v_before.cancelled_by is distinct from v_before.student_id then
        return v_before;
    end if;
    update public.enrolments as e
    set status = 'cancelled', cancelled_by = v_caller, cancellation_reason = p_reason
    where e.id = p_enrolment_id
    returning e.* into v_enrolment;
    perform private.audit(
        'enrolment.cancel', 'enrolments', p_enrolment_id::text,
        jsonb_build_object('status', v_before.status, 'completed_at', v_before.completed_at),
        jsonb_build_object('status', v_enrolment.status, 'reason', p_reason)
    );
    perform private.enqueue_mail(
        v_enrolment.student_id,
        'enrolment_cancelled',
        jsonb_build_object(
            'course_title', (select c.title from public.courses as c where c.id = v_enrolment.course_id),
            'reason', p_reason
        ),
        format('enrolment_cancelled:%s:%s', v_enrolment.id, extract(epoch from clock_timestamp()))
    );
    return v_enrolment;
end
$$;
comment on function private.cancel_enrolment(uuid, text) is
'Cancels an enrolment, even one that its student has left or completed, records it, and writes to the student, who
cannot enrol again by himself. Admins only. Raises PT403 role_required, PT404 enrolment_not_found, PT422
reason_missing, 23514 for a reason too long.';

create function public.cancel_enrolment(enrolment_id uuid, reason text) returns public.enrolments
language sql
set search_path = ''
as $$
    select private.cancel_enrolment(cancel_enrolment.enrolment_id, cancel_enrolment.reason)
$$;
comment on function public.cancel_enrolment(uuid, text) is
'Cancels an enrolment and answers it: the course closes to the student, who reads the reason, is mailed it, and cannot
enrol by himself any more (enrol_student_manually lets him in again). Progress, attempts and a certificate stay.
Audited. For admins. Raises role_required (403), enrolment_not_found (404), reason_missing (422).';

create function private.force_complete_enrolment(p_enrolment_id uuid) returns public.enrolments
language plpgsql
security definer -- enrolments are no client's to write; the check below decides
set search_path = ''
as $$
declare
    v_before public.enrolments;
    v_enrolment public.enrolments;
begin
    perform private.require_role('admin');
    v_before := private.require_enrolment(p_enrolment_id);
    if v_before.status = 'completed' then
        return v_before;
    end if;
    update public.enrolments as e set status = 'completed' where e.id = p_enrolment_id returning e.* into v_enrolment;
    perform private.audit(
        'enrolment.force_complete', 'enrolments', p_enrolment_id::text,
        jsonb_build_object('status', v_before.status), jsonb_build_object('status', v_enrolment.status)
    );
    return v_enrolment;
end
$$;
comment on function private.force_complete_enrolment(uuid) is
'Marks an active enrolment completed by an admin''s decision, and records it. Admins only. Raises PT403 role_required,
PT404 enrolment_not_found, PT409 illegal_transition.';

create function public.force_complete_enrolment(enrolment_id uuid) returns public.enrolments
language sql
set search_path = ''
as $$
    select private.force_complete_enrolment(force_complete_enrolment.enrolment_id)
$$;
comment on function public.force_complete_enrolment(uuid) is
'Marks an active enrolment completed, whatever is left to do, and answers it. It finishes no lesson and issues no
certificate: that is for the quiz, or for award_certificate. Audited. For admins. Raises role_required (403),
enrolment_not_found (404), illegal_transition (409: it is cancelled).';

create function private.delete_enrolment(p_enrolment_id uuid) returns void
language plpgsql
security definer -- enrolments are no client's to write; the check below decides
set search_path = ''
as $$
declare
    v_before public.enrolments;
begin
    perform private.require_role('admin');
    v_before := private.require_enrolment(p_enrolment_id);
    delete from public.enrolments as e where e.id = p_enrolment_id;
    perform private.audit('enrolment.delete', 'enrolments', p_enrolment_id::text, to_jsonb(v_before), null);
exception
    -- Certificates, and whatever of later domains refers to enrolments so.
    when foreign_key_violation or restrict_violation then
        raise sqlstate 'PT409' using
            message = 'enrolment_in_use',
            detail = 'A certificate, a session or a payment depends on the enrolment.',
            hint = 'Cancel it instead.';
end
$$;
comment on function private.delete_enrolment(uuid) is
'Removes an enrolment with its progress, attempts and notes, and records it. Admins only. Raises PT403 role_required,
PT404 enrolment_not_found, PT409 enrolment_in_use.';

create function public.delete_enrolment(enrolment_id uuid) returns void
language sql
set search_path = ''
as $$
    select private.delete_enrolment(delete_enrolment.enrolment_id)
$$;
comment on function public.delete_enrolment(uuid) is
'Removes an enrolment that should never have been, with its progress, attempts and notes. Audited. For admins. Raises
role_required (403), enrolment_not_found (404), enrolment_in_use (409: a certificate, a session or a payment depends
on it; cancel it instead).';

create function private.export_enrolments(
    p_query text,
    p_course_id uuid,
    p_status public.enrolment_status,
    p_is_assigned boolean,
    p_from timestamptz,
    p_to timestamptz
)
returns public."text/csv" -- noqa: RF05
language plpgsql
security definer -- reads past row level security what the role below may read, and writes the audit log
set search_path = ''
as $$
declare
    v_found uuid[];
    v_lines text[];
begin
    perform private.require_role('admin');
    v_found := case when p_query is not null then array(select f.user_id from private.find_accounts(p_query) as f) end;
    select coalesce(array_agg(private.csv_line(s) order by s.enrolled_at, s.enrolment_id), '{}') into v_lines
    from public.course_students as s
    where (v_found is null or s.student_id = any(v_found))
        and (p_course_id is null or s.course_id = p_course_id)
        and (p_status is null or s.status = p_status)
        and (p_is_assigned is null or (s.student_teacher_id is not null) = p_is_assigned)
        and (p_from is null or s.enrolled_at >= p_from)
        and (p_to is null or s.enrolled_at < p_to);
    perform private.audit('enrolment.export', 'enrolments', 'csv', null, jsonb_strip_nulls(jsonb_build_object(
        'q', p_query, 'course_id', p_course_id, 'status', p_status, 'is_assigned', p_is_assigned,
        'enrolled_from', p_from, 'enrolled_to', p_to, 'enrolments', cardinality(v_lines)
    )));
    return private.csv_students('enrolments', v_lines);
end
$$;
comment on function private.export_enrolments(
    text, uuid, public.enrolment_status, boolean, timestamptz, timestamptz
) is
'All enrolments of which this is true, as a file; records that they were read. Raises what require_role raises.';

create function public.export_enrolments(
    q text default null,
    course_id uuid default null,
    status public.enrolment_status default null,
    is_assigned boolean default null,
    enrolled_from timestamptz default null,
    enrolled_to timestamptz default null
)
returns public."text/csv" -- noqa: RF05
language sql
set search_path = ''
set statement_timeout = '60s' -- PostgREST raises the caller's to it
as $$
    select private.export_enrolments(
        export_enrolments.q, export_enrolments.course_id, export_enrolments.status, export_enrolments.is_assigned,
        export_enrolments.enrolled_from, export_enrolments.enrolled_to
    )
$$;
comment on function public.export_enrolments(
    text, uuid, public.enrolment_status, boolean, timestamptz, timestamptz
) is
'Enrolments as a file for a spreadsheet, however many (POST with Accept: text/csv): of whom a search finds, of a
course, a status, with or without a student-teacher, made from one instant until before another. What people typed
cannot become a formula. The audit log records it. For admins. Raises role_required (403).';

insert into private.rate_limited_functions (function_name, tier)
values
('cancel_enrolment', 'strict'),
('delete_enrolment', 'strict'),
('enrol_student_manually', 'strict'),
('export_enrolments', 'strict'),
('force_complete_enrolment', 'strict'),
('update_enrolment', 'strict');
