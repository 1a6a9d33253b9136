-- Learning: certificates, which passing a quiz issues and a code proves.

insert into private.errors (token, status, meaning, hint, detail)
values
(
    'certificate_not_found', 404,
    'There is no such certificate, or you may not decide on it.',
    'Check the code (five groups of four characters) or the id.',
    null
);

create type public.certificate_status as enum ('pending', 'issued', 'rejected', 'revoked');
comment on type public.certificate_status is
'pending: recommended, not decided. issued: valid. rejected: the creator rejected it; it can be recommended again.
revoked: an admin revoked it; it can be reinstated.';

create table public.certificates (
    id uuid not null default gen_random_uuid() constraint certificates_pkey primary key,
    code text not null constraint certificates_code_key unique
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
    reissued_at timestamptz,
    revoked_at timestamptz,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    constraint certificates_student_id_fkey foreign key (student_id, is_holder_public)
    references public.profiles (id, is_public) on update cascade on delete restrict,
    constraint certificates_student_id_course_id_key unique (student_id, course_id),
    constraint certificates_id_course_id_student_id_key unique (id, course_id, student_id),
    constraint certificates_enrolment_id_fkey foreign key (enrolment_id, course_id, student_id)
    references public.enrolments (id, course_id, student_id) on delete restrict,
    -- So that PostgREST embeds one certificate in an enrolment, and not a list.
    constraint certificates_enrolment_id_course_id_student_id_key unique (enrolment_id, course_id, student_id),
    constraint certificates_issued_at_check check (status not in ('issued', 'revoked') or issued_at is not null),
    constraint certificates_revoked_at_check check ((status = 'revoked') = (revoked_at is not null))
);
comment on table public.certificates is
'The certificates of students, one a person and course. Everybody reads issued ones of holders with a public profile;
students read their own, creators those of their courses, moderators all; anybody with the code verifies one by
verify_certificate. Only functions write it.';
comment on column public.certificates.code is
'The code that proves it: 80 random bits, as five groups of four hexadecimal digits.';
comment on column public.certificates.holder_name is
'The name of the student when it was issued or reissued. When the account is deleted it goes, unless the student chose
that it stays.';
comment on column public.certificates.course_title is 'The title of the course when it was issued or reissued.';
comment on column public.certificates.creator_name is 'The name of the creator when it was issued.';
comment on column public.certificates.reissued_at is
'When it was last issued again with a corrected name or title, under the same code; null for never.
certificate_reissues has what it said before.';
comment on column public.certificates.is_holder_public is
'Whether the profile of the student is public; the database keeps it.';
comment on column public.certificates.attempt_id is
'The attempt that earned it; null where an admin or the creator decided. Who may read the attempt reads its score
there.';
comment on column public.certificates.status is
'Functions derive it from attempts and decisions; clients cannot write it.';
comment on constraint certificates_course_id_fkey on public.certificates is
'A course with certificates cannot be deleted; delete_course takes it out of the catalogue.';
alter table public.certificates enable row level security;
revoke all on public.certificates from anon, authenticated, service_role;
create index certificates_course_id_idx on public.certificates (course_id, created_at desc);
comment on index public.certificates_course_id_idx is
'The certificates of a course: course_id=eq.&order=created_at.desc, and the policies';
create index certificates_student_id_is_holder_public_idx on public.certificates (student_id, is_holder_public);
comment on index public.certificates_student_id_is_holder_public_idx is
'The certificates of a person: student_id=eq., and the foreign key';
create index certificates_created_at_idx on public.certificates (created_at desc, id);
comment on index public.certificates_created_at_idx is
'The list for admins: created_at=gte.&created_at=lt.&order=created_at.desc,id';
create index certificates_pending_idx on public.certificates (created_at, id) where status = 'pending';
comment on index public.certificates_pending_idx is
'The ones that wait for a decision: status=eq.pending&order=created_at,id';
create index certificates_revoked_idx on public.certificates (created_at desc, id) where status = 'revoked';
comment on index public.certificates_revoked_idx is
'The list for admins by status: status=eq.revoked&order=created_at.desc,id';
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
security definer -- must read hidden profiles
set search_path = ''
as $$
begin
    -- The lock waits for a change of is_public that is not committed yet.
    select p.is_public into new.is_holder_public from public.profiles as p where p.id = new.student_id for key share;
    return new;
end
$$;
comment on function private.tg_certificates__copy_is_public() is
'Before an insert: copies whether the profile of the holder is public. The foreign key keeps the copy true.';
create trigger _100_copy_is_public before insert on public.certificates
for each row execute function private.tg_certificates__copy_is_public();

alter table public.user_stats
add column certificate_count integer not null default 0
constraint user_stats_certificate_count_check check (certificate_count >= 0);
comment on column public.user_stats.certificate_count is 'How many valid certificates the user has.';

create function private.recount_user_stats__certificates(p_user_id uuid) returns void
language sql
set search_path = ''
as $$
    update public.user_stats as s
    set certificate_count = (
        select count(*) from public.certificates as c where c.student_id = s.user_id and c.status = 'issued'
    )
    where s.user_id = p_user_id
$$;
comment on function private.recount_user_stats__certificates(uuid) is 'Counts issued certificates.';

create function private.tg_certificates__count() returns trigger
language plpgsql
security definer -- clients may not write counts
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
'After a certificate is inserted or deleted, or changes its status: counts the issued certificates of the student.';
create trigger _300_count after insert or delete or update of status on public.certificates
for each row execute function private.tg_certificates__count();

insert into private.mail_templates (template, topic) values ('certificate_issued', 'learning');

create function private.issue_certificate(p_enrolment public.enrolments, p_attempt_id uuid) returns void
language plpgsql
security definer -- clients may not write certificates; only grading calls this
set search_path = ''
as $$
declare
    v_certificate public.certificates;
begin
    insert into public.certificates as t (
        code, course_id, student_id, enrolment_id, attempt_id, status, holder_name, course_title, creator_name,
        issued_at
    )
    select private.new_code(), p_enrolment.course_id, p_enrolment.student_id, p_enrolment.id, p_attempt_id, n.status,
        s.display_name, c.title, o.display_name, case n.status when 'issued' then now() end
    from public.courses as c
    join public.profiles as o on o.id = c.creator_id
    join public.profiles as s on s.id = p_enrolment.student_id
    -- What was passed is not refused for a name that no font has: the certificate waits, and issuing it says why.
    cross join lateral (
        select case
            when private.unprintable_characters(concat(s.display_name, c.title, o.display_name)) is null then 'issued'
            else 'pending'
        end::public.certificate_status as status
    ) as n
    where c.id = p_enrolment.course_id
    -- Another attempt does not issue a rejected or revoked certificate again: people decided.
    on conflict (student_id, course_id) do update
    set
        status = excluded.status,
        issued_at = excluded.issued_at,
        holder_name = excluded.holder_name,
        course_title = excluded.course_title,
        creator_name = excluded.creator_name,
        attempt_id = excluded.attempt_id
    where t.status = 'pending'
    returning t.* into v_certificate;
    if v_certificate.status = 'issued' then
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
'Issues the certificate of an enrolment, once, and mails the student. Where no font has a character of a name or title,
it is pending, and the creator issues it when the name was changed.';

create function private.verify_certificate(p_code text) returns jsonb
language plpgsql
stable
security definer -- somebody with the code may know this much of a row that they may not read
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
            'reissued_at', c.reissued_at,
            'revoked_at', c.revoked_at,
            'course_slug', k.slug,
            'creator_handle', p.handle
        )
        from public.certificates as c
        left join public.courses as k on k.id = c.course_id and k.status = 'published'
        left join public.profiles as p on p.id = k.creator_id and p.is_public
        where c.code = private.fold_code(p_code) and c.status in ('issued', 'revoked')
    );
    if v_found is null then
        perform private.refuse('certificate_not_found');
    end if;
    return v_found;
end
$$;
comment on function private.verify_certificate(text) is
'Verifies a certificate by its code: {code, is_valid, status, holder_name, course_title, creator_name, issued_at,
reissued_at, revoked_at, course_slug, creator_handle}. reissued_at says when a name or title was corrected. course_slug is null where the course is not published any more, creator_handle
where the present creator has a hidden profile. The reason of a revocation is not shown. For everybody. Raises
certificate_not_found (404).';
