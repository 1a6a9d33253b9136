-- Identity: asking to teach, and the answer.

create type public.application_status as enum ('pending', 'approved', 'rejected', 'withdrawn');
comment on type public.application_status is
'pending: waits for an admin. approved: the applicant teaches. rejected: may apply again after 30 days. withdrawn: the
applicant thought better of it.';

create table public.teacher_applications (
    id uuid not null default gen_random_uuid() constraint teacher_applications_pkey primary key,
    user_id uuid not null
    constraint teacher_applications_user_id_fkey references public.profiles (id) on delete cascade,
    motivation text not null constraint teacher_applications_motivation_check
    check (motivation ~ '\S' and char_length(motivation) <= 4000),
    links text[] not null default '{}' constraint teacher_applications_links_check check (
        cardinality(links) <= 10
        and array_position(links, null) is null
        and char_length(array_to_string(links, E'\n')) <= 5000
        and array_to_string(links, E'\n') ~ E'^(https?://[^\\s<>"]+(\nhttps?://[^\\s<>"]+)*)?$'
    ),
    status public.application_status not null default 'pending',
    decided_by uuid,
    decided_at timestamptz,
    decision_note text constraint teacher_applications_decision_note_check check (char_length(decision_note) <= 2000),
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    constraint teacher_applications_decided_at_check
    check ((status in ('approved', 'rejected')) = (decided_at is not null))
);
comment on table public.teacher_applications is
'Who asked for the role teacher, and what admins answered. The applicant reads his own, moderators all. Written by
functions only; gone with the user.';
comment on column public.teacher_applications.motivation is 'Why, in the applicant''s words.';
comment on column public.teacher_applications.links is
'Up to ten http or https addresses that show the applicant''s work.';
comment on column public.teacher_applications.decided_by is
'The admin. No foreign key: the decision outlives the account.';
comment on column public.teacher_applications.decided_at is 'When it was approved or rejected.';
comment on column public.teacher_applications.decision_note is 'What the admin said to it; the applicant reads it.';
alter table public.teacher_applications enable row level security;
revoke all on public.teacher_applications from anon, authenticated, service_role;
create unique index teacher_applications_pending_key on public.teacher_applications (user_id)
where status = 'pending';
comment on index public.teacher_applications_pending_key is 'One open application a person, and what withdraw looks up';
create index teacher_applications_user_id_idx on public.teacher_applications (user_id, created_at desc);
comment on index public.teacher_applications_user_id_idx is
'One''s own: user_id=eq.&order=created_at.desc, the policy and the foreign key';
create index teacher_applications_created_at_idx on public.teacher_applications (created_at);
comment on index public.teacher_applications_created_at_idx is 'The admins'' list: status=eq.pending&order=created_at';

insert into private.status_transitions (table_name, from_status, to_status)
values
('teacher_applications', 'pending', 'approved'),
('teacher_applications', 'pending', 'rejected'),
('teacher_applications', 'pending', 'withdrawn');
create trigger _100_check_transition before update of status on public.teacher_applications
for each row when (old.status is distinct from new.status) execute function private.tg__check_transition();
create trigger _200_set_updated_at before update on public.teacher_applications
for each row execute function private.tg__set_updated_at();

create function private.apply_to_teach(p_motivation text, p_links text[]) returns public.teacher_applications
language plpgsql
security definer -- applications are no client's to write; who may apply is checked below
set search_path = ''
as $$
declare
    v_caller uuid := private.require_active();
    v_rejected_at timestamptz;
    v_application public.teacher_applications;
begin
    if not exists (
        select from public.accounts as a
        where a.user_id = v_caller and a.email_confirmed_at is not null and not a.is_anonymous
    ) then
        raise sqlstate 'PT403' using
            message = 'email_not_confirmed',
            detail = 'Only somebody whose email address is confirmed can do this.',
            hint = 'Confirm the address by the link that was mailed to it.';
    elsif (select private.has_role('teacher')) then
        raise sqlstate 'PT409' using
            message = 'already_teacher',
            detail = 'You teach already.',
            hint = 'Begin a course.';
    end if;
    select max(t.decided_at) into v_rejected_at from public.teacher_applications as t
    where t.user_id = v_caller and t.status = 'rejected';
    if v_rejected_at > now() - interval '30 days' then
        raise sqlstate 'PT409' using
            message = 'application_too_soon',
            detail = format('An application was rejected on %s.', v_rejected_at::date),
            hint = format('Apply again from %s on.', (v_rejected_at + interval '30 days')::date);
    end if;
    insert into public.teacher_applications (user_id, motivation, links)
    values (v_caller, p_motivation, coalesce(p_links, '{}'))
    on conflict (user_id) where status = 'pending' do nothing
    returning * into v_application;
    if not found then
        raise sqlstate 'PT409' using
            message = 'application_pending',
            detail = 'You have an application that waits for its answer.',
            hint = 'Wait, or withdraw it first.';
    end if;
    return v_application;
end
$$;
comment on function private.apply_to_teach(text, text[]) is
'Asks for the role teacher. Raises PT403 email_not_confirmed, PT409 already_teacher, application_pending or
application_too_soon.';

create function public.apply_to_teach(motivation text, links text[] default '{}')
returns public.teacher_applications
language sql
set search_path = ''
as $$
    select private.apply_to_teach(apply_to_teach.motivation, apply_to_teach.links)
$$;
comment on function public.apply_to_teach(text, text[]) is
'Asks the admins for the role teacher, and answers the application; one at a time, and 30 days after a rejection at the
earliest. Takes a motivation of at most 4,000 characters and up to ten addresses of one''s work. Raises
email_not_confirmed (403), already_teacher, application_pending or application_too_soon (409).';

create function private.withdraw_teacher_application() returns public.teacher_applications
language plpgsql
security definer -- applications are no client's to write; whose it is, is taken from the token
set search_path = ''
as $$
declare
    v_caller uuid := private.require_active();
    v_application public.teacher_applications;
begin
    update public.teacher_applications as t set status = 'withdrawn'
    where t.user_id = v_caller and t.status = 'pending'
    returning t.* into v_application;
    if not found then
        raise sqlstate 'PT404' using
            message = 'application_not_found',
            detail = 'There is no such application.',
            hint = 'It may be decided, or withdrawn, by now.';
    end if;
    return v_application;
end
$$;
comment on function private.withdraw_teacher_application() is
'Takes the caller''s open application back. Raises PT404 application_not_found.';

create function public.withdraw_teacher_application() returns public.teacher_applications
language sql
set search_path = ''
as $$
    select private.withdraw_teacher_application()
$$;
comment on function public.withdraw_teacher_application() is
'Takes the caller''s open application to teach back, and answers it. Raises application_not_found (404).';

create function private.decide_teacher_application(p_application_id uuid, p_is_approved boolean, p_note text)
returns public.teacher_applications
language plpgsql
security definer -- applications and roles are no client's to write; the checks below decide
set search_path = ''
as $$
declare
    v_caller uuid := private.require_role('admin');
    v_application public.teacher_applications;
begin
    perform private.lock_user(t.user_id) from public.teacher_applications as t where t.id = p_application_id;
    perform private.require_role('admin');
    select t.* into v_application from public.teacher_applications as t where t.id = p_application_id for update;
    if not found then
        raise sqlstate 'PT404' using
            message = 'application_not_found',
            detail = 'There is no such application.',
            hint = 'Check the id.';
    elsif p_is_approved is null then
        raise sqlstate 'PT422' using
            message = 'decision_missing',
            detail = 'A decision is yes or no.',
            hint = 'Send is_approved.';
    elsif v_application.status <> 'pending' then
        raise sqlstate 'PT409' using
            message = 'application_decided',
            detail = format('The application is %s.', v_application.status),
            hint = 'Read it again.';
    end if;
    update public.teacher_applications as t
    set
        status = case when p_is_approved then 'approved' else 'rejected' end::public.application_status,
        decided_by = v_caller, decided_at = now(), decision_note = p_note
    where t.id = p_application_id
    returning t.* into v_application;
    if p_is_approved then
        perform private.set_role(v_application.user_id, 'teacher', true);
    end if;
    perform private.audit(
        case when p_is_approved then 'teacher_application.approve' else 'teacher_application.reject' end,
        'teacher_applications', p_application_id::text,
        jsonb_build_object('status', 'pending'),
        jsonb_build_object('status', v_application.status, 'user_id', v_application.user_id)
    );
    perform private.enqueue_mail(
        v_application.user_id, 'teacher_application_' || v_application.status::text,
        jsonb_build_object('note', p_note),
        format('teacher_application:%s', p_application_id)
    );
    return v_application;
end
$$;
comment on function private.decide_teacher_application(uuid, boolean, text) is
'Approves an application, which gives the role, or rejects it; records it, and writes to the applicant. Raises PT403
role_required, PT404 application_not_found, PT409 application_decided, PT422 decision_missing.';

create function public.decide_teacher_application(application_id uuid, is_approved boolean, note text default null)
returns public.teacher_applications
language sql
set search_path = ''
as $$
    select private.decide_teacher_application(
        decide_teacher_application.application_id, decide_teacher_application.is_approved,
        decide_teacher_application.note
    )
$$;
comment on function public.decide_teacher_application(uuid, boolean, text) is
'Approves an application to teach, which gives the role from the next request on, or rejects it, perhaps with a note to
the applicant; answers the application. Of two admins at once one decides. For admins. Raises role_required (403),
application_not_found or user_not_found (404), application_decided (409), decision_missing (422).';

create function public.teaching_status() returns jsonb
language sql
stable
set search_path = ''
as $$
    select jsonb_build_object(
        'can_teach', (select private.has_role('teacher')),
        'application', (
            select to_jsonb(t) - 'user_id' - 'decided_by'
            from public.teacher_applications as t
            where t.user_id = (select auth.uid())
            order by t.created_at desc
            limit 1
        ),
        'qualification_count', (
            select count(*) from public.user_qualifications as q where q.user_id = (select auth.uid())
        ),
        'verified_qualification_count', (
            select s.verified_qualification_count from public.user_stats as s where s.user_id = (select auth.uid())
        )
    )
$$;
comment on function public.teaching_status() is
'Where the caller stands as a teacher: {can_teach, application, qualification_count, verified_qualification_count}; the
application is the last one of teacher_applications, null where there is none. For everybody who is signed in.';

create function private.tg_users__bury_teacher_applications() returns trigger
language plpgsql
security definer -- auth deletes the user as supabase_auth_admin, which must not write our tables
set search_path = ''
as $$
begin
    delete from public.teacher_applications as t where t.user_id = old.id;
    return null;
end
$$;
comment on function private.tg_users__bury_teacher_applications() is
'After a user is deleted in auth, softly or for good: what he wrote goes; that it was decided stays in the audit log.';
create trigger guildhall_bury_teacher_applications after delete on auth.users
for each row execute function private.tg_users__bury_teacher_applications();
create trigger guildhall_bury_soft_deleted_teacher_applications after update of deleted_at on auth.users
for each row when (old.deleted_at is null and new.deleted_at is not null)
execute function private.tg_users__bury_teacher_applications();

insert into private.rate_limited_functions (function_name, tier)
values ('decide_teacher_application', 'strict');
