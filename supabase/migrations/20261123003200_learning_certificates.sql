-- Learning: certificates. What says that somebody learned something is concluded here, and proved by its code.

create type public.certificate_status as enum ('pending', 'issued', 'rejected', 'revoked');
comment on type public.certificate_status is
'pending: recommended, not decided. issued: stands. rejected: decided against; may be recommended again. revoked: stood
once; may be reinstated.';

create table public.certificates (
    id uuid not null default gen_random_uuid() constraint certificates_pkey primary key,
    code text not null constraint certificates_code_key unique
    default upper(regexp_replace(encode(extensions.gen_random_bytes(10), 'hex'), '(.{4})(?=.)', '\1-', 'g'))
    constraint certificates_code_check check (code ~ '^([0-9A-F]{4}-){4}[0-9A-F]{4}$'),
    course_id uuid not null constraint certificates_course_id_fkey references public.courses (id) on delete restrict,
    student_id uuid not null,
    is_holder_public boolean not null,
    enrolment_id uuid not null,
    attempt_id uuid constraint certificates_attempt_id_fkey references public.quiz_attempts (id) on delete restrict,
    status public.certificate_status not null default 'pending',
    holder_name text not null,
    course_title text not null,
    creator_name text not null,
    issued_at timestamptz,
    revoked_at timestamptz,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    constraint certificates_student_id_fkey foreign key (student_id, is_holder_public)
    references public.profiles (id, is_public) on update cascade on delete restrict,
    constraint certificates_student_id_course_id_key unique (student_id, course_id),
    constraint certificates_id_course_id_student_id_key unique (id, course_id, student_id),
    constraint certificates_enrolment_id_fkey foreign key (enrolment_id, course_id, student_id)
    references public.enrolments (id, course_id, student_id) on delete restrict,
    -- PostgREST embeds one certificate in an enrolment, not a list.
    constraint certificates_enrolment_id_course_id_student_id_key unique (enrolment_id, course_id, student_id),
    constraint certificates_issued_at_check check (status not in ('issued', 'revoked') or issued_at is not null),
    constraint certificates_revoked_at_check check ((status = 'revoked') = (revoked_at is not null))
);
comment on table public.certificates is
'What a student earned: one a person and course. Everybody reads those that stand of people with a public profile; the
student reads his own, the creator those of his courses; anyone with the code verifies one by verify_certificate.
Written by functions only.';
comment on column public.certificates.code is
'What proves it: 80 random bits, as five groups of four hexadecimal digits.';
comment on column public.certificates.holder_name is 'The student''s name when it was issued.';
comment on column public.certificates.course_title is 'The course''s title when it was issued.';
comment on column public.certificates.creator_name is 'The creator''s name when it was issued.';
comment on column public.certificates.is_holder_public is
'Whether the student''s profile is public; the database keeps it.';
comment on column public.certificates.attempt_id is
'The attempt that earned it; null where no quiz decided. Its score is for those who may read the attempt.';
comment on column public.certificates.status is 'Derived from attempts and decisions; never written by a client.';
alter table public.certificates enable row level security;
revoke all on public.certificates from anon, authenticated, service_role;
create index certificates_course_id_idx on public.certificates (course_id, created_at desc);
comment on index public.certificates_course_id_idx is
'A course''s certificates: course_id=eq.&order=created_at.desc, and the policies';
create index certificates_student_id_is_holder_public_idx on public.certificates (student_id, is_holder_public);
comment on index public.certificates_student_id_is_holder_public_idx is
'A person''s certificates: student_id=eq., and the foreign key';
create index certificates_created_at_idx on public.certificates (created_at desc, id);
comment on index public.certificates_created_at_idx is
'The admins'' list: created_at=gte.&created_at=lt.&order=created_at.desc,id';
create index certificates_pending_idx on public.certificates (created_at, id) where status = 'pending';
comment on index public.certificates_pending_idx is
'Those that wait for a decision: status=eq.pending&order=created_at,id';
create index certificates_revoked_idx on public.certificates (created_at desc, id) where status = 'revoked';
comment on index public.certificates_revoked_idx is
'The admins'' list by status: status=eq.revoked&order=created_at.desc,id';
create index certificates_attempt_id_idx on public.certificates (attempt_id);
comment on index public.certificates_attempt_id_idx is 'The foreign key';

insert into private.status_transitions (table_name, from_status, to_status)
values
('certificates', 'pending', 'issued'),
('certificates', 'pending', 'rejected'),
('certificates', 'rejected', 'pending'),
('certificates', 'issued', 'revoked'),
('certificates', 'revoked', 'issued');
create trigger _100_check_transition before update of status on public.certificates
for each row when (old.status is distinct from new.status) execute function private.tg__check_transition();
create trigger _200_set_updated_at before update on public.certificates
for each row execute function private.tg__set_updated_at();

create function private.tg_certificates__copy_is_public() returns trigger
language plpgsql
security definer -- a hidden profile's privacy is copied, too
set search_path = ''
as $$
begin
    -- The lock waits for one who is just changing it.
    select p.is_public into new.is_holder_public from public.profiles as p where p.id = new.student_id for key share;
    return new;
end
$$;
comment on function private.tg_certificates__copy_is_public() is
'Before insert: whether the holder''s profile is public. From then on the foreign key keeps it so.';
create trigger _100_copy_is_public before insert on public.certificates
for each row execute function private.tg_certificates__copy_is_public();

create function private.tg_certificates__count() returns trigger
language plpgsql
security definer -- figures are no client's to write
set search_path = ''
as $$
begin
    update public.user_stats as s
    set certificate_count = s.certificate_count
        + coalesce((new.status = 'issued')::integer, 0) - coalesce((old.status = 'issued')::integer, 0)
    where s.user_id = coalesce(new.student_id, old.student_id);
    return null;
end
$$;
comment on function private.tg_certificates__count() is
'After a certificate comes, goes or changes its status: how many of the student''s stand.';
create trigger _300_count after insert or delete or update of status on public.certificates
for each row execute function private.tg_certificates__count();

insert into private.mail_templates (template, topic) values ('certificate_issued', 'learning');

create function private.issue_certificate(p_enrolment public.enrolments, p_attempt_id uuid) returns void
language plpgsql
security definer -- certificates are no client's to write; only grading calls this
set search_path = ''
as $$
declare
    v_certificate public.certificates;
begin
    insert into public.certificates as t (
        course_id, student_id, enrolment_id, attempt_id, status, holder_name, course_title, creator_name, issued_at
    )
    select p_enrolment.course_id, p_enrolment.student_id, p_enrolment.id, p_attempt_id, 'issued',
        s.display_name, c.title, o.display_name, now()
    from public.courses as c
    join public.profiles as o on o.id = c.creator_id
    join public.profiles as s on s.id = p_enrolment.student_id
    where c.id = p_enrolment.course_id
    -- One a person and course. One that was rejected or revoked is not earned anew by another attempt: people decided.
    on conflict (student_id, course_id) do update
    set
        status = 'issued',
        issued_at = now(),
        holder_name = excluded.holder_name,
        course_title = excluded.course_title,
        creator_name = excluded.creator_name,
        attempt_id = excluded.attempt_id
    where t.status = 'pending'
    returning t.* into v_certificate;
    if found then
        perform private.enqueue_mail(
            v_certificate.student_id,
            'certificate_issued',
            jsonb_build_object(
                'certificate_id', v_certificate.id,
                'code', v_certificate.code,
                'course_title', v_certificate.course_title
            ),
            'certificate_issued:' || v_certificate.id
        );
    end if;
end
$$;
comment on function private.issue_certificate(public.enrolments, uuid) is
'Issues the certificate of an enrolment, once, and enqueues the mail that says so.';

create function private.verify_certificate(p_code text) returns jsonb
language plpgsql
stable
security definer -- a stranger with the code may know this much of a row that he may not read
set search_path = ''
as $$
declare
    v_found jsonb;
begin
    v_found := (
        select jsonb_build_object(
            'code', c.code,
            'is_valid', c.status = 'issued',
            'status', c.status,
            'holder_name', c.holder_name,
            'course_title', c.course_title,
            'creator_name', c.creator_name,
            'issued_at', c.issued_at,
            'revoked_at', c.revoked_at,
            'course_slug', k.slug,
            'creator_handle', p.handle
        )
        from public.certificates as c
        left join public.courses as k on k.id = c.course_id and k.status = 'published'
        left join public.profiles as p on p.id = k.creator_id and p.is_public
        where c.code = upper(btrim(p_code)) and c.status in ('issued', 'revoked')
    );
    if v_found is null then
        raise sqlstate 'PT404' using
            message = 'certificate_not_found',
            detail = 'No certificate has this code.',
            hint = 'Check the code: five groups of four characters.';
    end if;
    return v_found;
end
$$;
comment on function private.verify_certificate(text) is
'What anyone with its code may know of a certificate. Raises PT404 certificate_not_found.';

create function public.verify_certificate(code text) returns jsonb
language sql
stable
set search_path = ''
as $$
    select private.verify_certificate(verify_certificate.code)
$$;
comment on function public.verify_certificate(text) is
'Verifies a certificate by its code: {code, is_valid, status, holder_name, course_title, creator_name, issued_at,
revoked_at, course_slug, creator_handle}; the slug where the course is published still, and the handle of who teaches
it now where that profile is public, else null. Why one was revoked, it does not say. For everybody. Raises
certificate_not_found (404).';
