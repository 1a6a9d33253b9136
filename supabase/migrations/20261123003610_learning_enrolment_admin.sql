-- Learning: what admins do to enrolments. The audit log records each action.

insert into private.errors (token, status, meaning, hint, detail)
values
(
    'already_enrolled', 409,
    'You already have this course, or every course of this bundle.',
    'Go on learning; an admin changes an enrolment with update_enrolment.',
    null
),
(
    'course_closed', 409,
    'The course is suspended or deleted.',
    'Choose another course.',
    'The course is %s.'
),
(
    'enrolment_not_barred', 409,
    'No admin has cancelled or closed this enrolment.',
    'Read the enrolment again.',
    null
),
(
    'enrolment_in_use', 409,
    'A certificate, a session or a payment depends on the enrolment.',
    'Cancel it instead.',
    null
);

insert into private.mail_templates (template, topic) values ('enrolment_cancelled', 'learning');

create function private.lock_enrolment(p_enrolment_id uuid) returns public.enrolments
language plpgsql
security definer -- locks a row that only functions may write
set search_path = ''
as $$
declare
    v_enrolment public.enrolments;
begin
    select e.* into v_enrolment from public.enrolments as e where e.id = p_enrolment_id for no key update;
    if not found then
        perform private.refuse('enrolment_not_found');
    end if;
    return v_enrolment;
end
$$;
comment on function private.lock_enrolment(uuid) is
'Locks an enrolment until the transaction ends, and returns it. Raises enrolment_not_found (404).';

create function private.enrol_by_decision(
    p_before public.enrolments, p_course_id uuid, p_student_id uuid, p_access_until timestamptz
)
returns public.enrolments
language plpgsql
set search_path = ''
as $$
declare
    v_enrolment public.enrolments := private.enrol_student(p_course_id, p_student_id, 'manual', p_access_until);
begin
    -- A decision: what is paid or refunded later leaves it as it is.
    update public.enrolments as e
    set access_decided_by = (select auth.uid()), access_decided_at = now()
    where e.id = v_enrolment.id
    returning e.* into v_enrolment;
    perform private.audit(
        'enrolment.create', 'enrolments', v_enrolment.id::text,
        case when p_before.id is not null then to_jsonb(p_before) end, to_jsonb(v_enrolment)
    );
    return v_enrolment;
end
$$;
comment on function private.enrol_by_decision(public.enrolments, uuid, uuid, timestamptz) is
'Enrols a student whose enrolment was p_before (null for none) by a decision of the caller, and audits it. Raises
own_course (409).';

create function private.enrol_student_manually(
    p_user_id uuid, p_course_id uuid, p_access_until timestamptz default null
)
returns public.enrolments
language plpgsql
security definer -- clients may not write enrolments
set search_path = ''
as $$
declare
    v_course public.courses;
    v_before public.enrolments;
begin
    perform private.require_role('admin');
    perform private.require_account(p_user_id);
    v_course := private.lock_enrolling(p_course_id, p_user_id);
    if v_course.id is null then
        perform private.refuse('course_not_found');
    elsif v_course.status::text in ('suspended', 'deleted') then
        perform private.refuse('course_closed', v_course.status::text);
    end if;
    select e.* into v_before from public.enrolments as e
    where e.student_id = p_user_id and e.course_id = p_course_id for no key update;
    if exists (select from private.open_enrolments as e where e.id = v_before.id) then
        perform private.refuse('already_enrolled');
    end if;
    return private.enrol_by_decision(v_before, p_course_id, p_user_id, p_access_until);
end
$$;
comment on function private.enrol_student_manually(uuid, uuid, timestamptz) is
'Enrols a user in a course without payment, whether the course is published or not, until access_until or without end,
mails them, and returns the enrolment. A cancelled or ended enrolment opens again. Audited. For admins. Raises
role_required (403), course_not_found or user_not_found (404), already_enrolled, course_closed (it is suspended or
deleted) or own_course (409).';

create function private.update_enrolment(p_enrolment_id uuid, p_access_until timestamptz) returns public.enrolments
language plpgsql
security definer -- clients may not write enrolments
set search_path = ''
as $$
declare
    v_caller uuid := private.require_role('admin');
    v_before public.enrolments;
    v_enrolment public.enrolments;
begin
    v_before := private.lock_enrolment(p_enrolment_id);
    if v_before.access_until is not distinct from p_access_until and v_before.access_decided_by is not null then
        return v_before;
    end if;
    update public.enrolments as e
    set access_until = p_access_until, access_decided_by = v_caller, access_decided_at = now()
    where e.id = p_enrolment_id
    returning e.* into v_enrolment;
    perform private.audit(
        'enrolment.update', 'enrolments', p_enrolment_id::text,
        jsonb_build_object('access_until', v_before.access_until), jsonb_build_object('access_until', p_access_until)
    );
    return v_enrolment;
end
$$;
comment on function private.update_enrolment(uuid, timestamptz) is
'Sets the instant at which the course closes to a student, and returns the enrolment: null for never, a past instant for
now, which also keeps the student from enrolling or paying again. What the student pays, renews or gets back later does
not change it. A cancelled enrolment stays cancelled. Audited. For admins. Raises role_required (403), enrolment_not_found
(404).';

create function private.cancel_enrolment(p_enrolment_id uuid, p_reason text) returns public.enrolments
language plpgsql
security definer -- clients may not write enrolments
set search_path = ''
as $$
declare
    v_caller uuid := private.require_role('admin');
    v_before public.enrolments;
    v_enrolment public.enrolments;
begin
    v_before := private.lock_enrolment(p_enrolment_id);
    perform private.require_reason(p_reason);
    if v_before.status = 'cancelled' and v_before.cancelled_by is distinct from v_before.student_id then
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
'Cancels an enrolment, mails the student the reason, and returns it: the course closes, and the student can neither
enrol again nor buy the course; no payment or renewal brings them back. enrol_student_manually opens it again, and
lift_enrolment_bar lets the student come back. Progress, attempts and a certificate stay. Audited. For admins. Raises
role_required (403), enrolment_not_found (404), reason_missing (422).';

create function private.lift_enrolment_bar(p_enrolment_id uuid) returns public.enrolments
language plpgsql
security definer -- clients may not write enrolments
set search_path = ''
as $$
declare
    v_before public.enrolments;
    v_enrolment public.enrolments;
begin
    perform private.require_role('admin');
    -- Later domains may open the course again, which keeps the course as it is; courses are locked before enrolments.
    perform private.lock_enrolling(e.course_id, e.student_id) from public.enrolments as e where e.id = p_enrolment_id;
    v_before := private.lock_enrolment(p_enrolment_id);
    if not private.is_barred(v_before) then
        perform private.refuse('enrolment_not_barred');
    end if;
    update public.enrolments as e
    set
        cancelled_by = case when e.status = 'cancelled' then e.student_id end,
        cancellation_reason = null, access_decided_by = null, access_decided_at = null
    where e.id = p_enrolment_id;
    perform private.audit(
        'enrolment.lift_bar', 'enrolments', p_enrolment_id::text,
        jsonb_build_object(
            'cancelled_by', v_before.cancelled_by, 'reason', v_before.cancellation_reason,
            'access_decided_by', v_before.access_decided_by, 'access_until', v_before.access_until
        ),
        null
    );
    select e.* into v_enrolment from public.enrolments as e where e.id = p_enrolment_id;
    return v_enrolment;
end
$$;
comment on function private.lift_enrolment_bar(uuid) is
'Takes back that an admin cancelled or closed an enrolment, and returns it. A cancelled one stays cancelled, as if the
student had left: they come back by enrol to what they have paid, or buy the course again. A closed one is open as far
as it is paid. Audited. For admins. Raises role_required (403), enrolment_not_found (404), enrolment_not_barred (409).';

create function private.force_complete_enrolment(p_enrolment_id uuid) returns public.enrolments
language plpgsql
security definer -- clients may not write enrolments
set search_path = ''
as $$
declare
    v_before public.enrolments;
    v_enrolment public.enrolments;
begin
    perform private.require_role('admin');
    v_before := private.lock_enrolment(p_enrolment_id);
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
'Completes an active enrolment, and returns it. It finishes no lesson and issues no certificate: award_certificate does.
Audited. For admins. Raises role_required (403), enrolment_not_found (404), illegal_transition (409: it is cancelled).';

create function private.delete_enrolment(p_enrolment_id uuid) returns void
language plpgsql
security definer -- clients may not write enrolments
set search_path = ''
as $$
declare
    v_before public.enrolments;
begin
    perform private.require_role('admin');
    v_before := private.lock_enrolment(p_enrolment_id);
    delete from public.enrolments as e where e.id = p_enrolment_id;
    perform private.audit('enrolment.delete', 'enrolments', p_enrolment_id::text, to_jsonb(v_before), null);
exception
    -- A certificate, or a row of a later domain, refers to it.
    when foreign_key_violation or restrict_violation then
        perform private.refuse('enrolment_in_use');
end
$$;
comment on function private.delete_enrolment(uuid) is
'Deletes an enrolment with its progress, attempts and notes; to keep a student away, cancel it. Audited. For admins.
Raises role_required (403), enrolment_not_found (404), enrolment_in_use (409: a certificate, a session or a payment
refers to it; cancel it instead).';

create function private.export_enrolments(
    p_q text default null, p_course_id uuid default null, p_status public.enrolment_status default null,
    p_is_assigned boolean default null, p_enrolled_from timestamptz default null,
    p_enrolled_to timestamptz default null, p_access public.access_state default null
)
returns public."text/csv" -- noqa: RF05
language plpgsql
security definer -- reads enrolments without row level security, and writes the audit log
set search_path = ''
as $$
declare
    v_found uuid[];
    v_lines text[];
begin
    perform private.require_role('admin');
    v_found := case when p_q is not null then array(select f.user_id from private.find_accounts(p_q) as f) end;
    select
        coalesce(
            array_agg(
                private.student_csv_line(s) || ',' || coalesce(private.csv_cell(a.email), '')
                order by s.enrolled_at, s.enrolment_id
            ),
            '{}'
        )
    into v_lines
    from public.course_students as s
    left join public.accounts as a on a.user_id = s.student_id
    where (v_found is null or s.student_id = any(v_found))
        and (p_course_id is null or s.course_id = p_course_id)
        and (p_status is null or s.status = p_status)
        and (p_is_assigned is null or (s.student_teacher_id is not null) = p_is_assigned)
        and (p_enrolled_from is null or s.enrolled_at >= p_enrolled_from)
        and (p_enrolled_to is null or s.enrolled_at < p_enrolled_to)
        and (p_access is null or s.access = p_access);
    perform private.audit('enrolment.export', 'enrolments', 'csv', null, jsonb_strip_nulls(jsonb_build_object(
        'q', p_q, 'course_id', p_course_id, 'status', p_status, 'is_assigned', p_is_assigned,
        'enrolled_from', p_enrolled_from, 'enrolled_to', p_enrolled_to, 'access', p_access, 'enrolments', cardinality(v_lines)
    )));
    return private.student_csv_file('enrolments', v_lines, ',email');
end
$$;
comment on function private.export_enrolments(
    text, uuid, public.enrolment_status, boolean, timestamptz, timestamptz, public.access_state
) is
'Enrolments with the students'' addresses as a CSV file (POST with Accept: text/csv), all or filtered: q (as
find_accounts), course_id, status, access (open, ended, refunded), is_assigned (with a student-teacher), enrolled_from
(included), enrolled_to (excluded). Spreadsheets do not run text
that people typed as a formula. Audited. For admins. Raises role_required (403).';
