-- Learning: what people decide about certificates: recommending, issuing, rejecting, revoking, reinstating. What a quiz
-- concludes by itself is in learning_certificates and learning_grading.

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
'What people decided about certificates, and why: a row a decision. Whoever decided reads it, the creator those of his
courses, moderators all; the student those about himself, but for recommendations, which are between the
student-teacher and the creator. Written by functions only, and never changed.';
comment on column public.certificate_decisions.outcome is
'What it made of the certificate: pending for a recommendation, issued, rejected, revoked.';
comment on column public.certificate_decisions.note is
'The reason, or what was said along with it. Nowhere else: the certificate itself, which others read, does not say
why.';
comment on column public.certificate_decisions.decided_by is 'The student-teacher, creator or admin.';
alter table public.certificate_decisions enable row level security;
revoke all on public.certificate_decisions from anon, authenticated, service_role;
create index certificate_decisions_certificate_id_idx
on public.certificate_decisions (certificate_id, course_id, student_id);
comment on index public.certificate_decisions_certificate_id_idx is
'Those about one certificate: certificate_id=eq., and the foreign key';
create index certificate_decisions_course_id_idx on public.certificate_decisions (course_id);
comment on index public.certificate_decisions_course_id_idx is 'The policies, for creators';
create index certificate_decisions_student_id_idx on public.certificate_decisions (student_id, outcome);
comment on index public.certificate_decisions_student_id_idx is 'Those about oneself: student_id=eq., and the policies';
create index certificate_decisions_decided_by_idx on public.certificate_decisions (decided_by, created_at desc);
comment on index public.certificate_decisions_decided_by_idx is
'What one recommended or decided: decided_by=eq.&order=created_at.desc, the policies and the foreign key';

insert into private.mail_templates (template, topic)
values
('certificate_rejected', 'learning'),
('certificate_revoked', 'learning'),
('certificate_reinstated', 'learning');

create function private.require_certificate(p_certificate_id uuid) returns void
language plpgsql
stable
security definer -- must tell one that is missing from another's, and says the same of both
set search_path = ''
as $$
begin
    perform private.require_active();
    if not exists (
        select from public.certificates as c where c.id = p_certificate_id and private.owns_course(c.course_id)
    ) then
        raise sqlstate 'PT404' using
            message = 'certificate_not_found',
            detail = 'There is no such certificate, or it is not for you to decide.',
            hint = 'List those of your courses to find the id.';
    end if;
end
$$;
comment on function private.require_certificate(uuid) is
'That this is a certificate of a course that the caller owns. Raises what require_active raises, or PT404
certificate_not_found.';

create function private.require_reason(p_reason text) returns void
language plpgsql
immutable
set search_path = ''
as $$
begin
    if coalesce(p_reason, '') !~ '\S' then
        raise sqlstate 'PT422' using
            message = 'reason_missing',
            detail = 'Whom this is done to is told why.',
            hint = 'Send a reason.';
    end if;
end
$$;
comment on function private.require_reason(text) is 'That a reason is given. Raises PT422 reason_missing.';

create function private.record_certificate_decision(p_certificate public.certificates, p_note text) returns uuid
language sql
security definer -- the record is no client's to write; who calls it has decided
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
'After a decision of the caller: its record, whose id it answers.';

create function private.recommend_certificate(p_enrolment_id uuid, p_note text) returns public.certificates
language plpgsql
security definer -- certificates are no client's to write; the check below decides
set search_path = ''
as $$
declare
    v_enrolment public.enrolments;
    v_certificate public.certificates;
begin
    perform private.require_active();
    -- The lock makes whatever concerns one student's certificate in one course happen one after the other.
    select e.* into v_enrolment from public.enrolments as e
    where e.id = p_enrolment_id and e.status <> 'cancelled' and (
            e.student_teacher_id = any((select private.my_student_teacher_ids())::uuid[])
            or private.owns_course(e.course_id)
        )
    for no key update;
    if not found then
        raise sqlstate 'PT404' using
            message = 'enrolment_not_found',
            detail = 'There is no such enrolment, or it is not one of your students''.',
            hint = 'List your students to find its id.';
    end if;
    insert into public.certificates as t (
        course_id, student_id, enrolment_id, holder_name, course_title, creator_name
    )
    select v_enrolment.course_id, v_enrolment.student_id, v_enrolment.id, s.display_name, c.title, o.display_name
    from public.courses as c
    join public.profiles as o on o.id = c.creator_id
    join public.profiles as s on s.id = v_enrolment.student_id
    where c.id = v_enrolment.course_id
    on conflict (student_id, course_id) do update set status = 'pending' where t.status = 'rejected'
    returning t.* into v_certificate;
    if not found then
        raise sqlstate 'PT409' using
            message = 'certificate_exists',
            detail = 'This student has a certificate of the course that is pending, issued or revoked.',
            hint = 'Read it.';
    end if;
    perform private.record_certificate_decision(v_certificate, p_note);
    return v_certificate;
end
$$;
comment on function private.recommend_certificate(uuid, text) is
'Recommends a student for the certificate, which is pending then; again after a rejection. Raises PT404
enrolment_not_found, PT409 certificate_exists.';

create function public.recommend_certificate(enrolment_id uuid, note text default null) returns public.certificates
language sql
set search_path = ''
as $$
    select private.recommend_certificate(recommend_certificate.enrolment_id, recommend_certificate.note)
$$;
comment on function public.recommend_certificate(uuid, text) is
'Recommends a student for the certificate of the course, perhaps with a note to its creator, who issues or rejects it;
answers the certificate. For the student-teacher assigned, the course''s creator and admins. Raises account_inactive
(403), enrolment_not_found (404), certificate_exists (409).';

create function private.conclude_certificate(
    p_certificate_id uuid, p_from public.certificate_status[], p_status public.certificate_status, p_verb text,
    p_note text
)
returns public.certificates
language plpgsql
security definer -- certificates are no client's to write; who calls it has checked who may
set search_path = ''
as $$
declare
    v_before public.certificates;
    v_after public.certificates;
    v_decision_id uuid;
begin
    select c.* into v_before from public.certificates as c where c.id = p_certificate_id for no key update;
    if v_before.status <> all(p_from) then
        raise sqlstate 'PT409' using
            message = 'illegal_transition',
            detail = format('certificates: %s cannot become %s so.', v_before.status, p_status),
            hint = 'Read the certificate again: it may have changed meanwhile.';
    end if;
    update public.certificates as c
    set
        status = p_status,
        revoked_at = case p_status when 'revoked' then now() end,
        issued_at = case p_status when 'issued' then coalesce(c.issued_at, now()) else c.issued_at end
    where c.id = p_certificate_id;
    -- It says what is true when it is first issued, and not what was when somebody recommended it: unless the holder,
    -- whose name went with him, is gone since.
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
comment on function private.conclude_certificate(
    uuid, public.certificate_status[], public.certificate_status, text, text
) is
'Changes the status of a certificate by somebody''s decision: with the record, the entry in the audit log and the mail
to the student. Of two at once one concludes. Raises PT409 illegal_transition where it is in none of the statuses
p_from.';

create function private.issue_recommended_certificate(p_certificate_id uuid, p_note text) returns public.certificates
language plpgsql
security definer -- certificates are no client's to write; the check below decides
set search_path = ''
as $$
begin
    perform private.require_certificate(p_certificate_id);
    return private.conclude_certificate(p_certificate_id, '{pending}', 'issued', 'issue', p_note);
end
$$;
comment on function private.issue_recommended_certificate(uuid, text) is
'Issues a recommended certificate. Raises PT404 certificate_not_found, PT409 illegal_transition.';

create function public.issue_certificate(certificate_id uuid, note text default null) returns public.certificates
language sql
set search_path = ''
as $$
    select private.issue_recommended_certificate(issue_certificate.certificate_id, issue_certificate.note)
$$;
comment on function public.issue_certificate(uuid, text) is
'Issues a certificate that is pending, and mails the student; answers it. For the course''s creator and admins. Raises
certificate_not_found (404), illegal_transition (409).';

create function private.reject_certificate(p_certificate_id uuid, p_reason text) returns public.certificates
language plpgsql
security definer -- certificates are no client's to write; the check below decides
set search_path = ''
as $$
begin
    perform private.require_certificate(p_certificate_id);
    perform private.require_reason(p_reason);
    return private.conclude_certificate(p_certificate_id, '{pending}', 'rejected', 'reject', p_reason);
end
$$;
comment on function private.reject_certificate(uuid, text) is
'Decides against a recommended certificate. Raises PT404 certificate_not_found, PT409 illegal_transition, PT422
reason_missing.';

create function public.reject_certificate(certificate_id uuid, reason text) returns public.certificates
language sql
set search_path = ''
as $$
    select private.reject_certificate(reject_certificate.certificate_id, reject_certificate.reason)
$$;
comment on function public.reject_certificate(uuid, text) is
'Rejects a certificate that is pending, and mails the student why; answers it. It may be recommended again. For the
course''s creator and admins. Raises certificate_not_found (404), illegal_transition (409), reason_missing (422).';

create function private.award_certificate(p_enrolment_id uuid, p_note text) returns public.certificates
language plpgsql
security definer -- certificates are no client's to write; the check below decides
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
    return private.conclude_certificate(v_certificate_id, '{pending}', 'issued', 'award', p_note);
end
$$;
comment on function private.award_certificate(uuid, text) is
'Issues the certificate of an enrolment by an admin''s word alone, recommended or not. Raises PT403 role_required, PT404
enrolment_not_found, PT409 certificate_exists, and illegal_transition where somebody else decided meanwhile.';

create function public.award_certificate(enrolment_id uuid, note text default null) returns public.certificates
language sql
set search_path = ''
as $$
    select private.award_certificate(award_certificate.enrolment_id, award_certificate.note)
$$;
comment on function public.award_certificate(uuid, text) is
'Issues the certificate of an enrolment directly, whether or not it was recommended, or rejected before, and mails the
student; answers it. For admins. Raises role_required (403), enrolment_not_found (404: or it is cancelled),
certificate_exists or illegal_transition (409).';

create function private.end_standing(p_user_id uuid, p_course_id uuid, p_note text) returns void
language plpgsql
security definer -- the standing is no client's to write; who calls it has decided
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
comment on function private.end_standing(uuid, uuid, text) is
'Revokes whatever somebody is, or asked to be, as a student-teacher of a course: with the certificate goes what it was
the ground of.';

create function private.revoke_certificate(p_certificate_id uuid, p_reason text) returns public.certificates
language plpgsql
security definer -- certificates are no client's to write; the check below decides
set search_path = ''
as $$
begin
    perform private.require_role('admin');
    perform private.require_certificate(p_certificate_id);
    perform private.require_reason(p_reason);
    -- First, in the order in which everybody locks.
    perform private.end_standing(c.student_id, c.course_id, 'The certificate was revoked.')
    from public.certificates as c where c.id = p_certificate_id;
    return private.conclude_certificate(p_certificate_id, '{issued}', 'revoked', 'revoke', p_reason);
end
$$;
comment on function private.revoke_certificate(uuid, text) is
'Takes a certificate back, and with it the standing as a student-teacher. Raises PT403 role_required, PT404
certificate_not_found, PT409 illegal_transition, PT422 reason_missing.';

create function public.revoke_certificate(certificate_id uuid, reason text) returns public.certificates
language sql
set search_path = ''
as $$
    select private.revoke_certificate(revoke_certificate.certificate_id, revoke_certificate.reason)
$$;
comment on function public.revoke_certificate(uuid, text) is
'Revokes an issued certificate, mails its holder why, and answers it: verify_certificate says from then on that it is
not valid. Its holder is no student-teacher of the course any more. The reason is for the holder, the creator and
moderators: certificate_decisions. For admins. Raises role_required (403), certificate_not_found (404),
illegal_transition (409), reason_missing (422).';

create function private.reinstate_certificate(p_certificate_id uuid, p_note text) returns public.certificates
language plpgsql
security definer -- certificates are no client's to write; the check below decides
set search_path = ''
as $$
begin
    perform private.require_role('admin');
    perform private.require_certificate(p_certificate_id);
    return private.conclude_certificate(p_certificate_id, '{revoked}', 'issued', 'reinstate', p_note);
end
$$;
comment on function private.reinstate_certificate(uuid, text) is
'Gives a revoked certificate back as it was. Raises PT403 role_required, PT404 certificate_not_found, PT409
illegal_transition.';

create function public.reinstate_certificate(certificate_id uuid, note text default null) returns public.certificates
language sql
set search_path = ''
as $$
    select private.reinstate_certificate(reinstate_certificate.certificate_id, reinstate_certificate.note)
$$;
comment on function public.reinstate_certificate(uuid, text) is
'Reinstates a revoked certificate as it was first issued, and mails its holder; answers it. To be a student-teacher
again, the holder applies again. For admins. Raises role_required (403), certificate_not_found (404),
illegal_transition (409).';

create function private.find_certificates(p_query text) returns table (certificate_id uuid, place bigint)
language plpgsql
stable
security definer -- looks through people whom the caller may not see; under row level security no index would serve
set search_path = ''
rows 50
as $$
begin
    perform private.require_role('moderator');
    return query
    select f.certificate_id, min(f.place)
    from (
        select c.id as certificate_id, 0::bigint as place from public.certificates as c
        where c.code = upper(btrim(p_query))
        union all
        select c.id, m.place
        from private.matching_user_ids(left(p_query, 300), 500, true) as m
        join public.certificates as c on c.student_id = m.user_id
    ) as f
    group by f.certificate_id;
end
$$;
comment on function private.find_certificates(text) is
'The certificate of this code, and those of the people whom search_users finds, best first. Raises what require_role
raises.';

create function public.search_certificates(q text) returns setof public.certificates
language sql
stable
set search_path = ''
rows 50
as $$
    -- First and by itself: where there is nothing to join, the search does not even begin.
    select private.require_role('moderator');
    select c.*
    from private.find_certificates(search_certificates.q) as f
    join public.certificates as c on c.id = f.certificate_id
    order by f.place, c.created_at desc
$$;
comment on function public.search_certificates(text) is
'Finds certificates by their code, and by the name and handle of their holder as search_users does, best first: rows of
certificates, which are filtered, sorted, paged and embedded like those (select what you filter by). For moderators.
Raises role_required (403).';

insert into private.rate_limited_functions (function_name, tier)
values ('award_certificate', 'strict'), ('revoke_certificate', 'strict'), ('reinstate_certificate', 'strict');
