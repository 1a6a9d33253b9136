-- Learning: certificates that are issued again, under the same code, with a name or title that was corrected. The
-- holder requests it, the creator of the course or an admin decides, and the request keeps what it said before.

insert into private.errors (token, status, meaning, hint, detail)
values
(
    'certificate_current', 409,
    'The certificate has the name of its holder and the title of its course as they are now.',
    'Correct the name of the profile first; the creator corrects the title of the course.',
    null
),
(
    'reissue_not_found', 404,
    'There is no such request, or you may not decide on it.',
    'Read certificate_reissues.',
    null
);

create type public.reissue_status as enum ('requested', 'approved', 'rejected');
comment on type public.reissue_status is
'requested: waits for a decision. approved: the certificate was issued again. rejected: it stays as it is; the holder
may request again.';

create table public.certificate_reissues (
    id uuid not null default gen_random_uuid() constraint certificate_reissues_pkey primary key,
    certificate_id uuid not null,
    course_id uuid not null,
    student_id uuid not null,
    status public.reissue_status not null default 'requested',
    note text constraint certificate_reissues_note_check check (char_length(note) <= 2000),
    holder_name_before text not null,
    course_title_before text not null,
    holder_name text not null,
    course_title text not null,
    decided_by uuid constraint certificate_reissues_decided_by_fkey
    references public.profiles (id) on delete restrict,
    decision_note text constraint certificate_reissues_decision_note_check check (char_length(decision_note) <= 2000),
    created_at timestamptz not null default now(),
    decided_at timestamptz,
    constraint certificate_reissues_certificate_id_fkey foreign key (certificate_id, course_id, student_id)
    references public.certificates (id, course_id, student_id) on delete cascade,
    constraint certificate_reissues_decided_check
    check ((status = 'requested') = (decided_at is null) and (decided_at is null) = (decided_by is null))
);
comment on table public.certificate_reissues is
'Requests to issue certificates again with a corrected name or title, and the decisions about them. Holders read their
own, creators those of their courses, moderators all. Only functions write it, and nothing changes a decided one.';
comment on column public.certificate_reissues.note is 'Why, in the words of the holder.';
comment on column public.certificate_reissues.holder_name_before is
'The name on the certificate when it was requested: where approved, the version that it replaced.';
comment on column public.certificate_reissues.course_title_before is 'The title on the certificate, likewise.';
comment on column public.certificate_reissues.holder_name is
'The name to print: that of the holder''s profile at the request. What is decided on is this, whatever the profile says
meanwhile.';
comment on column public.certificate_reissues.course_title is 'The title to print: that of the course at the request.';
comment on column public.certificate_reissues.decided_by is 'The creator of the course, or an admin.';
comment on column public.certificate_reissues.decision_note is 'What they say to it; the holder reads it.';
comment on column public.certificate_reissues.decided_at is 'When it was decided, or null.';
comment on constraint certificate_reissues_note_check on public.certificate_reissues is
'A note has at most 2,000 characters.';
comment on constraint certificate_reissues_decision_note_check on public.certificate_reissues is
'A note has at most 2,000 characters.';
alter table public.certificate_reissues enable row level security;
revoke all on public.certificate_reissues from anon, authenticated, service_role;
create unique index certificate_reissues_requested_key on public.certificate_reissues (certificate_id)
where status = 'requested';
comment on index public.certificate_reissues_requested_key is 'A certificate has one open request at most.';
create index certificate_reissues_certificate_id_idx
on public.certificate_reissues (certificate_id, course_id, student_id);
comment on index public.certificate_reissues_certificate_id_idx is
'The versions of a certificate: certificate_id=eq., and the foreign key';
create index certificate_reissues_course_id_idx on public.certificate_reissues (course_id, status, created_at);
comment on index public.certificate_reissues_course_id_idx is
'What waits for the creator: course_id=eq.&status=eq.requested&order=created_at, and the policies';
create index certificate_reissues_student_id_idx on public.certificate_reissues (student_id);
comment on index public.certificate_reissues_student_id_idx is 'The requests of a holder: student_id=eq., the policies';
create index certificate_reissues_decided_by_idx on public.certificate_reissues (decided_by);
comment on index public.certificate_reissues_decided_by_idx is 'The foreign key';

insert into private.status_transitions (table_name, from_status, to_status)
values
('certificate_reissues', 'requested', 'approved'),
('certificate_reissues', 'requested', 'rejected');
create trigger _100_check_transition before update of status on public.certificate_reissues
for each row when (old.status is distinct from new.status) execute function private.tg__check_transition();

insert into private.mail_templates (template, topic)
values
('certificate_reissued', 'learning'),
('certificate_reissue_rejected', 'learning');

create function private.request_certificate_reissue(p_certificate_id uuid, p_note text default null)
returns public.certificate_reissues
language plpgsql
security definer -- clients may not write requests
set search_path = ''
as $$
declare
    v_caller uuid := private.require_active();
    v_certificate public.certificates;
    v_holder_name text;
    v_course_title text;
    v_reissue public.certificate_reissues;
begin
    -- The lock orders this, decisions, and a second request.
    select c.* into v_certificate from public.certificates as c
    where c.id = p_certificate_id and c.student_id = v_caller for no key update;
    if not found then
        perform private.refuse('certificate_not_found');
    elsif v_certificate.status <> 'issued' then
        perform private.refuse('illegal_transition', 'certificates', v_certificate.status::text, 'reissued');
    end if;
    select r.* into v_reissue from public.certificate_reissues as r
    where r.certificate_id = p_certificate_id and r.status = 'requested';
    if found then
        return v_reissue;
    end if;
    select p.display_name, c.title into v_holder_name, v_course_title
    from public.profiles as p
    join public.courses as c on c.id = v_certificate.course_id
    where p.id = v_caller;
    if (v_holder_name, v_course_title) = (v_certificate.holder_name, v_certificate.course_title) then
        perform private.refuse('certificate_current');
    end if;
    perform private.require_printable(concat(v_holder_name, v_course_title));
    insert into public.certificate_reissues as r (
        certificate_id, course_id, student_id, note, holder_name_before, course_title_before, holder_name, course_title
    )
    values (
        v_certificate.id, v_certificate.course_id, v_caller, p_note, v_certificate.holder_name,
        v_certificate.course_title, v_holder_name, v_course_title
    )
    returning r.* into v_reissue;
    return v_reissue;
end
$$;
comment on function private.request_certificate_reissue(uuid, text) is
'Requests that a certificate is issued again, under the same code, with the name of the caller''s profile and the title
of the course as they are now, and returns the request; the open one where there is one. For its holder. Raises
account_inactive (403), certificate_not_found (404), certificate_current or illegal_transition (409: it is not issued),
certificate_unprintable (422).';

create function private.decide_certificate_reissue(p_reissue_id uuid, p_is_approved boolean, p_note text default null)
returns public.certificate_reissues
language plpgsql
security definer -- clients may not write requests and certificates
set search_path = ''
as $$
declare
    v_certificate public.certificates;
    v_reissue public.certificate_reissues;
begin
    perform private.require_active();
    select r.* into v_reissue from public.certificate_reissues as r
    where r.id = p_reissue_id and private.owns_course(r.course_id);
    -- Nobody decides on their own certificate, admins neither.
    if not found or v_reissue.student_id = (select auth.uid()) then
        perform private.refuse('reissue_not_found');
    end if;
    perform private.require_decision(p_is_approved);
    select c.* into v_certificate from public.certificates as c
    where c.id = v_reissue.certificate_id for no key update;
    if p_is_approved then
        if v_certificate.status <> 'issued' then
            perform private.refuse('illegal_transition', 'certificates', v_certificate.status::text, 'reissued');
        end if;
        perform private.require_printable(concat(v_reissue.holder_name, v_reissue.course_title));
    end if;
    -- The trigger refuses a second decision.
    update public.certificate_reissues as r
    set
        status = case when p_is_approved then 'approved' else 'rejected' end::public.reissue_status,
        decided_by = (select auth.uid()), decided_at = now(), decision_note = p_note
    where r.id = p_reissue_id and r.status = 'requested'
    returning r.* into v_reissue;
    if not found then
        perform private.refuse('illegal_transition', 'certificate_reissues', v_reissue.status::text, 'decided');
    end if;
    if p_is_approved then
        update public.certificates as c
        set holder_name = v_reissue.holder_name, course_title = v_reissue.course_title, reissued_at = now()
        where c.id = v_certificate.id;
    end if;
    perform private.audit(
        'certificate.' || case when p_is_approved then 'reissue' else 'reject_reissue' end,
        'certificates', v_certificate.id::text,
        jsonb_build_object('course_title', v_certificate.course_title),
        jsonb_build_object(
            'reissue_id', v_reissue.id, 'course_title', v_reissue.course_title, 'student_id', v_reissue.student_id,
            'note', p_note
        )
    );
    perform private.enqueue_mail(
        v_reissue.student_id,
        case when p_is_approved then 'certificate_reissued' else 'certificate_reissue_rejected' end,
        jsonb_build_object(
            'code', v_certificate.code,
            'course_title', case when p_is_approved then v_reissue.course_title else v_certificate.course_title end,
            'note', p_note
        ),
        'certificate_reissue:' || v_reissue.id
    );
    return v_reissue;
end
$$;
comment on function private.decide_certificate_reissue(uuid, boolean, text) is
'Issues a certificate again with the name and title of a request, under the same code, or rejects the request; mails the
holder, and returns the request. verify_certificate shows the corrected certificate and when it was reissued. Audited.
For the creator of the course and admins, but not the holder. Raises account_inactive (403), reissue_not_found (404),
illegal_transition (409: it was decided already, or the certificate is not issued any more), decision_missing or
certificate_unprintable (422).';

create function private.account_ended__255_certificates(p_user_id uuid) returns void
language plpgsql
set search_path = ''
as $$
begin
    -- Certificates before requests, as where a request is decided.
    perform from public.certificates as c where c.student_id = p_user_id order by c.id for no key update;
    delete from public.certificate_reissues as r where r.student_id = p_user_id and r.status = 'requested';
    -- Former names are nobody's business now, whatever was chosen about the present one.
    update public.certificate_reissues as r
    set holder_name_before = 'Deleted member', holder_name = 'Deleted member', note = null, decision_note = null
    where r.student_id = p_user_id;
    if not coalesce(
        (select d.keeps_name from private.account_deletions as d where d.user_id = p_user_id), false
    ) then
        update public.certificates as c set holder_name = 'Deleted member' where c.student_id = p_user_id;
    end if;
end
$$;
comment on function private.account_ended__255_certificates(uuid) is
'Takes the name of a deleted user off their certificates, unless the user chose in delete_account that it stays; and out
of the requests to reissue them.';
