-- Learning: decisions of people about certificates: recommending, issuing, rejecting, revoking, reinstating. Passing a
-- quiz issues certificates in learning_grading.

insert into private.errors (token, status, meaning, hint, detail)
values
(
    'certificate_exists', 409,
    'This student already has a certificate of the course that is pending, issued or revoked.',
    'Read it.',
    null
);

create table public.certificate_decisions (
    id uuid not null default gen_random_uuid() constraint certificate_decisions_pkey primary key,
    certificate_id uuid not null,
    course_id uuid not null,
    student_id uuid not null,
    outcome public.certificate_status not null,
    note text constraint certificate_decisions_note_check check (char_length(note) <= 2000),
    decided_by uuid not null constraint certificate_decisions_decided_by_fkey
    references public.profiles (id) on delete restrict,
    created_at timestamptz not null default now(),
    constraint certificate_decisions_certificate_id_fkey foreign key (certificate_id, course_id, student_id)
    references public.certificates (id, course_id, student_id) on delete cascade
);
comment on table public.certificate_decisions is
'Decisions of people about certificates, one row a decision. People read the decisions that they made, creators those of
their courses, moderators all; students those about themselves, except recommendations. Only functions write it, and
nothing changes it.';
comment on column public.certificate_decisions.outcome is
'The status that it gave the certificate: pending for a recommendation, issued, rejected, revoked.';
comment on column public.certificate_decisions.note is
'The reason or a note. It is not in certificates, which others read.';
comment on column public.certificate_decisions.decided_by is 'The student-teacher, creator or admin who decided.';
alter table public.certificate_decisions enable row level security;
revoke all on public.certificate_decisions from anon, authenticated, service_role;
create index certificate_decisions_certificate_id_idx
on public.certificate_decisions (certificate_id, course_id, student_id);
comment on index public.certificate_decisions_certificate_id_idx is
'The decisions about a certificate: certificate_id=eq., and the foreign key';
create index certificate_decisions_course_id_idx on public.certificate_decisions (course_id);
comment on index public.certificate_decisions_course_id_idx is 'The policies, for creators';
create index certificate_decisions_student_id_idx on public.certificate_decisions (student_id, outcome);
comment on index public.certificate_decisions_student_id_idx is
'The decisions about a student: student_id=eq., and the policies';
create index certificate_decisions_decided_by_idx on public.certificate_decisions (decided_by, created_at desc);
comment on index public.certificate_decisions_decided_by_idx is
'The decisions of a person: decided_by=eq.&order=created_at.desc, the policies and the foreign key';

insert into private.mail_templates (template, topic)
values
('certificate_rejected', 'learning'),
('certificate_revoked', 'learning'),
('certificate_reinstated', 'learning');

create function private.require_certificate(p_certificate_id uuid) returns void
language plpgsql
stable
security definer -- looks at rows that the caller may not read, and refuses them like missing ones
set search_path = ''
as $$
begin
    perform private.require_active();
    if not exists (
        select from public.certificates as c where c.id = p_certificate_id and private.owns_course(c.course_id)
    ) then
        perform private.refuse('certificate_not_found');
    end if;
end
$$;
comment on function private.require_certificate(uuid) is
'Requires a certificate of a course of the caller. Raises what require_active raises, certificate_not_found (404).';

create function private.record_certificate_decision(p_certificate public.certificates, p_note text) returns uuid
language sql
security definer -- clients may not write decisions
set search_path = ''
as $$
    insert into public.certificate_decisions (certificate_id, course_id, student_id, outcome, note, decided_by)
    values (
        p_certificate.id, p_certificate.course_id, p_certificate.student_id, p_certificate.status, p_note,
        (select auth.uid())
    )
    returning id
$$;
comment on function private.record_certificate_decision(public.certificates, text) is
'Records a decision of the caller, and returns its id.';

create function private.recommend_certificate(p_enrolment_id uuid, p_note text default null) returns public.certificates
language plpgsql
security definer -- clients may not write certificates
set search_path = ''
as $$
declare
    v_enrolment public.enrolments;
    v_certificate public.certificates;
begin
    perform private.require_active();
    -- The insert below locks the profile of the student, which must be locked before the enrolment.
    perform from public.profiles as p
    where p.id = (select e.student_id from public.enrolments as e where e.id = p_enrolment_id) for key share;
    -- The lock orders everything about the certificate of one student in one course.
    select e.* into v_enrolment from public.enrolments as e
    where e.id = p_enrolment_id and e.status <> 'cancelled' and (
            e.student_teacher_id = any((select private.my_student_teacher_ids())::uuid[])
            or private.owns_course(e.course_id)
        )
    for no key update;
    if not found then
        perform private.refuse('enrolment_not_found');
    end if;
    insert into public.certificates as t (
        code, course_id, student_id, enrolment_id, holder_name, course_title, creator_name
    )
    select private.new_code(), v_enrolment.course_id, v_enrolment.student_id, v_enrolment.id, s.display_name, c.title,
        o.display_name
    from public.courses as c
    join public.profiles as o on o.id = c.creator_id
    join public.profiles as s on s.id = v_enrolment.student_id
    where c.id = v_enrolment.course_id
    on conflict (student_id, course_id) do update set status = 'pending' where t.status = 'rejected'
    returning t.* into v_certificate;
    if not found then
        perform private.refuse('certificate_exists');
    end if;
    perform private.record_certificate_decision(v_certificate, p_note);
    return v_certificate;
end
$$;
comment on function private.recommend_certificate(uuid, text) is
'Recommends a student for the certificate of the course, and returns the pending certificate. The creator of the course
reads the note, and issues or rejects it. For the assigned student-teacher, the creator of the course and admins. Raises
account_inactive (403), enrolment_not_found (404), certificate_exists (409).';

create function private.set_certificate_status(
    p_certificate_id uuid, p_from public.certificate_status[], p_status public.certificate_status, p_verb text,
    p_note text
)
returns public.certificates
language plpgsql
security definer -- clients may not write certificates; the caller of it has checked who may
set search_path = ''
as $$
declare
    v_before public.certificates;
    v_after public.certificates;
    v_decision_id uuid;
begin
    select c.* into v_before from public.certificates as c where c.id = p_certificate_id for no key update;
    if v_before.status <> all(p_from) then
        perform private.refuse('illegal_transition', 'certificates', v_before.status::text, p_status::text);
    end if;
    update public.certificates as c
    set
        status = p_status,
        revoked_at = case p_status when 'revoked' then now() end,
        issued_at = case p_status when 'issued' then coalesce(c.issued_at, now()) else c.issued_at end
    where c.id = p_certificate_id;
    -- When it is first issued, it takes the names of now and not those of the recommendation; unless the account of the
    -- holder, and with it the name, was deleted since.
    update public.certificates as c
    set holder_name = s.display_name, course_title = k.title, creator_name = o.display_name
    from public.courses as k
    join public.profiles as o on o.id = k.creator_id
    join public.profiles as s on s.id = v_before.student_id
    join public.accounts as a on a.user_id = s.id and a.status <> 'deleted'
    where c.id = p_certificate_id and k.id = v_before.course_id and p_status = 'issued' and v_before.issued_at is null;
    select c.* into v_after from public.certificates as c where c.id = p_certificate_id;
    v_decision_id := private.record_certificate_decision(v_after, p_note);
    perform private.audit(
        'certificate.' || p_verb, 'certificates', p_certificate_id::text,
        jsonb_build_object('status', v_before.status),
        jsonb_build_object('status', v_after.status, 'student_id', v_after.student_id, 'note', p_note)
    );
    perform private.enqueue_mail(
        v_after.student_id,
        'certificate_' || case p_verb when 'reinstate' then 'reinstated' else p_status::text end,
        jsonb_build_object(
            'certificate_id', v_after.id, 'code', v_after.code, 'course_title', v_after.course_title, 'note', p_note
        ),
        'certificate_decision:' || v_decision_id
    );
    return v_after;
end
$$;
comment on function private.set_certificate_status(
    uuid, public.certificate_status[], public.certificate_status, text, text
) is
'Changes the status of a certificate by a decision of the caller, records it, and mails the student. Of two calls at
once one is refused. Raises illegal_transition (409) where the certificate has none of the statuses p_from.';

create function private.issue_pending_certificate(p_certificate_id uuid, p_verb text, p_note text)
returns public.certificates
language plpgsql
set search_path = ''
as $$
declare
    v_certificate public.certificates
    := private.set_certificate_status(p_certificate_id, '{pending}', 'issued', p_verb, p_note);
begin
    perform private.require_printable(
        concat(v_certificate.holder_name, v_certificate.course_title, v_certificate.creator_name)
    );
    return v_certificate;
end
$$;
comment on function private.issue_pending_certificate(uuid, text, text) is
'Issues a pending certificate by a decision of the caller. Raises illegal_transition (409), certificate_unprintable
(422) where no font has a character of a name or title.';

create function private.issue_recommended_certificate(
    p_certificate_id uuid, p_note text default null
)
returns public.certificates
language plpgsql
security definer -- clients may not write certificates
set search_path = ''
as $$
begin
    perform private.require_certificate(p_certificate_id);
    return private.issue_pending_certificate(p_certificate_id, 'issue', p_note);
end
$$;
comment on function private.issue_recommended_certificate(uuid, text) is
'Issues a pending certificate, mails the student, and returns it. Audited. For the creator of the course and admins.
Raises certificate_not_found (404), illegal_transition (409), certificate_unprintable (422: details names the characters
that no font has).';

create function private.reject_certificate(p_certificate_id uuid, p_reason text) returns public.certificates
language plpgsql
security definer -- clients may not write certificates
set search_path = ''
as $$
begin
    perform private.require_certificate(p_certificate_id);
    perform private.require_reason(p_reason);
    return private.set_certificate_status(p_certificate_id, '{pending}', 'rejected', 'reject', p_reason);
end
$$;
comment on function private.reject_certificate(uuid, text) is
'Rejects a pending certificate, mails the student the reason, and returns it. It can be recommended again. Audited. For
the creator of the course and admins. Raises certificate_not_found (404), illegal_transition (409), reason_missing
(422).';

create function private.award_certificate(p_enrolment_id uuid, p_note text default null) returns public.certificates
language plpgsql
security definer -- clients may not write certificates
set search_path = ''
as $$
declare
    v_certificate_id uuid;
begin
    perform private.require_role('admin');
    v_certificate_id := (
        select c.id from public.certificates as c where c.enrolment_id = p_enrolment_id and c.status = 'pending'
    );
    if v_certificate_id is null then
        v_certificate_id := (private.recommend_certificate(p_enrolment_id, p_note)).id;
    end if;
    return private.issue_pending_certificate(v_certificate_id, 'award', p_note);
end
$$;
comment on function private.award_certificate(uuid, text) is
'Issues the certificate of an enrolment without a recommendation, or after a rejection, mails the student, and returns
it. Audited. For admins. Raises role_required (403), enrolment_not_found (404: or it is cancelled), certificate_exists
or illegal_transition (409), certificate_unprintable (422).';

create function private.revoke_student_teaching(p_user_id uuid, p_course_id uuid, p_note text) returns void
language plpgsql
security definer -- clients may not write student-teachers; the caller of it has checked who may
set search_path = ''
as $$
declare
    v_student_teacher public.student_teachers;
begin
    perform private.unassign_students(t.id) from public.student_teachers as t
    where t.user_id = p_user_id and t.course_id = p_course_id;
    update public.student_teachers as t set status = 'revoked', decided_at = now()
    where t.user_id = p_user_id and t.course_id = p_course_id and t.status in ('pending', 'approved')
    returning t.* into v_student_teacher;
    if found then
        perform private.record_student_teacher_decision(v_student_teacher, p_note);
    end if;
end
$$;
comment on function private.revoke_student_teaching(uuid, uuid, text) is
'Revokes the student-teacher, or the application, of a person in a course whose certificate is revoked.';

create function private.revoke_certificate(p_certificate_id uuid, p_reason text) returns public.certificates
language plpgsql
security definer -- clients may not write certificates
set search_path = ''
as $$
begin
    perform private.require_role('admin');
    perform private.require_certificate(p_certificate_id);
    perform private.require_reason(p_reason);
    -- Before the certificate is locked, in the order of catalog_locks.
    perform private.revoke_student_teaching(c.student_id, c.course_id, 'The certificate was revoked.')
    from public.certificates as c where c.id = p_certificate_id;
    return private.set_certificate_status(p_certificate_id, '{issued}', 'revoked', 'revoke', p_reason);
end
$$;
comment on function private.revoke_certificate(uuid, text) is
'Revokes an issued certificate, mails its holder the reason, and returns it: verify_certificate shows that it is not
valid. The holder stops being a student-teacher of the course. The holder, the creator and moderators read the reason in
certificate_decisions. Audited. For admins. Raises role_required (403), certificate_not_found (404), illegal_transition
(409), reason_missing (422).';

create function private.reinstate_certificate(
    p_certificate_id uuid, p_note text default null
)
returns public.certificates
language plpgsql
security definer -- clients may not write certificates
set search_path = ''
as $$
begin
    perform private.require_role('admin');
    perform private.require_certificate(p_certificate_id);
    return private.set_certificate_status(p_certificate_id, '{revoked}', 'issued', 'reinstate', p_note);
end
$$;
comment on function private.reinstate_certificate(uuid, text) is
'Reinstates a revoked certificate as it was first issued, mails its holder, and returns it. To be a student-teacher
again, the holder applies again. Audited. For admins. Raises role_required (403), certificate_not_found (404),
illegal_transition (409).';
