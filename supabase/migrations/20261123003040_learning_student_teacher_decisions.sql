-- Learning: applying as a student-teacher, and what the creator of the course decides.

insert into private.errors (token, status, meaning, hint, detail)
values
(
    'already_student_teacher', 409,
    'You already are a student-teacher of this course.',
    'Set is_available to take students.',
    null
),
(
    'certificate_not_issued', 409,
    'The applicant holds no issued certificate of the course.',
    'Reject the application.',
    null
),
(
    'certificate_required', 403,
    'Only a person with an issued certificate of the course can do this.',
    'Earn it first.',
    null
),
(
    'student_teacher_not_found', 404,
    'The course has no such student-teacher, or you may not decide on it.',
    'List the student-teachers of the course.',
    null
);

insert into private.mail_templates (template, topic)
values
('student_teacher_approved', 'learning'),
('student_teacher_rejected', 'learning'),
('student_teacher_revoked', 'learning');

create function private.apply_as_student_teacher(p_course_id uuid, p_statement text) returns public.student_teachers
language plpgsql
security definer -- clients may not write applications
set search_path = ''
as $$
declare
    v_caller uuid := private.require_active();
    v_student_teacher public.student_teachers;
begin
    if not exists (
        select from public.certificates as c
        where c.student_id = v_caller and c.course_id = p_course_id and c.status = 'issued'
    ) then
        perform private.refuse('certificate_required');
    elsif exists (select from public.courses as c where c.id = p_course_id and c.creator_id = v_caller) then
        perform private.refuse('own_course');
    end if;
    insert into public.student_teachers as t (course_id, user_id, statement)
    values (p_course_id, v_caller, p_statement)
    on conflict (user_id, course_id) do update
    set status = 'pending', statement = excluded.statement, is_available = true
    where t.status in ('withdrawn', 'revoked')
        or (t.status = 'rejected' and t.decided_at <= now() - interval '30 days')
    returning t.* into v_student_teacher;
    if found then
        return v_student_teacher;
    end if;
    select t.* into v_student_teacher from public.student_teachers as t
    where t.user_id = v_caller and t.course_id = p_course_id;
    if v_student_teacher.status = 'rejected' then
        perform private.refuse(
            'application_too_soon',
            v_student_teacher.decided_at::date::text,
            ((v_student_teacher.decided_at + interval '30 days')::date)::text
        );
    elsif v_student_teacher.status = 'approved' then
        perform private.refuse('already_student_teacher');
    end if;
    perform private.refuse('application_pending');
end
$$;
comment on function private.apply_as_student_teacher(uuid, text) is
'Applies to the creator of a course to be its student-teacher, and returns the application; again after a withdrawal or
a revocation, and at the earliest 30 days after a rejection. statement: at most 4,000 characters, public once approved.
For holders of the certificate of the course. Raises account_inactive or certificate_required (403), own_course,
already_student_teacher, application_pending or application_too_soon (409).';

create function private.require_student_teacher(p_student_teacher_id uuid) returns void
language plpgsql
stable
security definer -- looks at rows that the caller may not read, and refuses them like missing ones
set search_path = ''
as $$
begin
    perform private.require_active();
    if not exists (
        select from public.student_teachers as t
        where t.id = p_student_teacher_id and private.owns_course(t.course_id)
    ) then
        perform private.refuse('student_teacher_not_found');
    end if;
end
$$;
comment on function private.require_student_teacher(uuid) is
'Requires a student-teacher, of any status, of a course of the caller. Raises what require_active raises,
student_teacher_not_found (404).';

create function private.record_student_teacher_decision(p_student_teacher public.student_teachers, p_note text)
returns void
language plpgsql
security definer -- clients may not write decisions
set search_path = ''
as $$
declare
    v_id uuid;
begin
    insert into public.student_teacher_decisions (
        student_teacher_id, course_id, user_id, outcome, note, decided_by
    )
    values (
        p_student_teacher.id, p_student_teacher.course_id, p_student_teacher.user_id, p_student_teacher.status, p_note,
        (select auth.uid())
    )
    returning id into v_id;
    perform private.enqueue_mail(
        p_student_teacher.user_id,
        'student_teacher_' || p_student_teacher.status::text,
        jsonb_build_object(
            'course_title', (select c.title from public.courses as c where c.id = p_student_teacher.course_id),
            'note', p_note
        ),
        'student_teacher_decision:' || v_id
    );
end
$$;
comment on function private.record_student_teacher_decision(public.student_teachers, text) is
'Records a decision, and mails it to the person.';

create function private.decide_student_teacher(
    p_student_teacher_id uuid, p_is_approved boolean, p_note text default null
)
returns public.student_teachers
language plpgsql
security definer -- clients may not write applications
set search_path = ''
as $$
declare
    v_student_teacher public.student_teachers;
begin
    perform private.require_student_teacher(p_student_teacher_id);
    select t.* into v_student_teacher from public.student_teachers as t
    where t.id = p_student_teacher_id for no key update;
    perform private.require_decision(p_is_approved);
    if v_student_teacher.status <> 'pending' then
        perform private.refuse('application_decided', v_student_teacher.status::text);
    end if;
    -- Somebody who revokes the certificate meanwhile has either committed, or waits and then finds the approval.
    perform from public.certificates as c
    where c.student_id = v_student_teacher.user_id and c.course_id = v_student_teacher.course_id
        and c.status = 'issued'
    for share;
    if p_is_approved and not found then
        perform private.refuse('certificate_not_issued');
    end if;
    update public.student_teachers as t
    set
        status = case when p_is_approved then 'approved' else 'rejected' end::public.student_teacher_status,
        decided_at = now()
    where t.id = p_student_teacher_id
    returning t.* into v_student_teacher;
    perform private.record_student_teacher_decision(v_student_teacher, p_note);
    perform private.audit(
        case when p_is_approved then 'student_teacher.approve' else 'student_teacher.reject' end,
        'student_teachers', p_student_teacher_id::text,
        jsonb_build_object('status', 'pending'),
        jsonb_build_object('status', v_student_teacher.status, 'user_id', v_student_teacher.user_id)
    );
    return v_student_teacher;
end
$$;
comment on function private.decide_student_teacher(uuid, boolean, text) is
'Approves or rejects an application to be a student-teacher, mails the applicant, with the note if there is one, and
returns the application. Audited. For the creator of the course and admins. Raises student_teacher_not_found (404),
application_decided or certificate_not_issued (409), decision_missing (422).';

create function private.revoke_student_teacher(p_student_teacher_id uuid, p_reason text)
returns public.student_teachers
language plpgsql
security definer -- clients may not write student-teachers
set search_path = ''
as $$
declare
    v_student_teacher public.student_teachers;
begin
    perform private.require_student_teacher(p_student_teacher_id);
    perform private.require_reason(p_reason);
    perform private.unassign_students(p_student_teacher_id);
    select t.* into v_student_teacher from public.student_teachers as t
    where t.id = p_student_teacher_id for no key update;
    if v_student_teacher.status <> 'approved' then
        perform private.refuse('illegal_transition', 'student_teachers', v_student_teacher.status::text, 'revoked');
    end if;
    update public.student_teachers as t set status = 'revoked', decided_at = now()
    where t.id = p_student_teacher_id
    returning t.* into v_student_teacher;
    perform private.record_student_teacher_decision(v_student_teacher, p_reason);
    perform private.audit(
        'student_teacher.revoke', 'student_teachers', p_student_teacher_id::text,
        jsonb_build_object('status', 'approved'),
        jsonb_build_object('status', 'revoked', 'user_id', v_student_teacher.user_id)
    );
    return v_student_teacher;
end
$$;
comment on function private.revoke_student_teacher(uuid, text) is
'Revokes an approved student-teacher, who loses their students and gets a mail with the reason, and returns the row.
Audited. For the creator of the course and admins. Raises student_teacher_not_found (404), illegal_transition (409),
reason_missing (422).';

create function private.withdraw_as_student_teacher(p_course_id uuid) returns public.student_teachers
language plpgsql
security definer -- clients may not write student-teachers
set search_path = ''
as $$
declare
    v_caller uuid := private.require_active();
    v_student_teacher public.student_teachers;
begin
    perform private.unassign_students(t.id) from public.student_teachers as t
    where t.user_id = v_caller and t.course_id = p_course_id;
    update public.student_teachers as t set status = 'withdrawn'
    where t.user_id = v_caller and t.course_id = p_course_id and t.status in ('pending', 'approved')
    returning t.* into v_student_teacher;
    if not found then
        perform private.refuse('student_teacher_not_found');
    end if;
    return v_student_teacher;
end
$$;
comment on function private.withdraw_as_student_teacher(uuid) is
'Withdraws the caller''s application for a course, or withdraws them as its student-teacher, which unassigns their
students, and returns the row. For members. Raises student_teacher_not_found (404).';

create function private.account_stopped__100_student_teachers(p_user_id uuid, p_status public.account_status)
returns void
language plpgsql
set search_path = ''
as $$
begin
    perform private.lock_student_teacher(t.id, false) from public.student_teachers as t
    where t.user_id = p_user_id and p_status <> 'suspended'
    order by t.id;
end
$$;
comment on function private.account_stopped__100_student_teachers(uuid, public.account_status) is
'Takes the lock of a student-teacher who loses the students, in the order of catalog_locks: before courses are locked.';

create function private.account_stopped__250_student_teachers(p_user_id uuid, p_status public.account_status)
returns void
language plpgsql
set search_path = ''
as $$
begin
    perform private.unassign_students(t.id) from public.student_teachers as t
    where t.user_id = p_user_id and p_status <> 'suspended'
    order by t.id;
end
$$;
comment on function private.account_stopped__250_student_teachers(uuid, public.account_status) is
'Unassigns the students of a student-teacher who is banned or deleted, so that they can choose another. Those of a
suspended one keep theirs, who takes no more while suspended.';

create function private.account_ended__250_student_teachers(p_user_id uuid) returns void
language plpgsql
set search_path = ''
as $$
begin
    delete from public.student_teachers as t where t.user_id = p_user_id;
end
$$;
comment on function private.account_ended__250_student_teachers(uuid) is
'Deletes the rows of the user in student_teachers; account_stopped has unassigned their students.';
