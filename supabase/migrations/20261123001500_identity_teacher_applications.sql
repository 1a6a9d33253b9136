-- Identity: applications for the role teacher.

insert into private.errors (token, status, meaning, hint, detail)
values
(
    'already_teacher', 409,
    'You already are a teacher.',
    'Create a course.',
    null
),
(
    'application_decided', 409,
    'The application was approved, rejected or withdrawn.',
    'Read it again.',
    'The application is %s.'
),
(
    'application_not_found', 404,
    'There is no such application, or it is no longer open.',
    'Read your applications again.',
    null
),
(
    'application_pending', 409,
    'You already have an application that waits for a decision.',
    'Wait, or withdraw it first.',
    null
),
(
    'application_too_soon', 409,
    'An application was rejected less than 30 days ago.',
    'Wait until the date in details.',
    'An application was rejected on %s; apply again from %s on.'
);

create type public.application_status as enum ('pending', 'approved', 'rejected', 'withdrawn');
comment on type public.application_status is
'pending: waits for an admin. approved: the applicant is a teacher. rejected: the applicant may apply again after 30
days. withdrawn: the applicant took it back.';

create table public.teacher_applications (
    id uuid not null default gen_random_uuid() constraint teacher_applications_pkey primary key,
    user_id uuid not null
    constraint teacher_applications_user_id_fkey references public.profiles (id) on delete cascade,
    motivation text not null constraint teacher_applications_motivation_check
    check (private.is_visible(motivation) and char_length(motivation) <= 4000),
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
'Applications for the role teacher, and the admins'' decisions. Applicants read their own, moderators all. Functions
write it; a user''s applications are deleted with the user.';
comment on column public.teacher_applications.motivation is 'The applicant''s reasons.';
comment on column public.teacher_applications.links is 'Up to ten http or https URLs of the applicant''s work.';
comment on column public.teacher_applications.decided_by is
'The admin. No foreign key: the decision outlives the admin''s account.';
comment on column public.teacher_applications.decided_at is 'When an admin approved or rejected it.';
comment on column public.teacher_applications.decision_note is 'The admin''s note to the applicant, who reads it.';
alter table public.teacher_applications enable row level security;
revoke all on public.teacher_applications from anon, authenticated, service_role;
create unique index teacher_applications_pending_key on public.teacher_applications (user_id)
where status = 'pending';
comment on index public.teacher_applications_pending_key is
'One pending application for each user; withdraw_teacher_application looks it up';
create index teacher_applications_user_id_idx on public.teacher_applications (user_id, created_at desc);
comment on index public.teacher_applications_user_id_idx is
'A user''s applications: user_id=eq.&order=created_at.desc, the policy and the foreign key';
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

create function private.apply_to_teach(
    p_motivation text, p_links text[] default '{}'
)
returns public.teacher_applications
language plpgsql
security definer -- teacher_applications is closed to clients
set search_path = ''
as $$
declare
    v_caller uuid := private.require_active();
    v_rejected_at timestamptz;
    v_application public.teacher_applications;
begin
    perform private.require_confirmed_address();
    if (select private.has_role('teacher')) then
        perform private.refuse('already_teacher');
    end if;
    select max(t.decided_at) into v_rejected_at from public.teacher_applications as t
    where t.user_id = v_caller and t.status = 'rejected';
    if v_rejected_at > now() - interval '30 days' then
        perform private.refuse(
            'application_too_soon', v_rejected_at::date::text, ((v_rejected_at + interval '30 days')::date)::text
        );
    end if;
    insert into public.teacher_applications (user_id, motivation, links)
    values (v_caller, p_motivation, coalesce(p_links, '{}'))
    on conflict (user_id) where status = 'pending' do nothing
    returning * into v_application;
    if not found then
        perform private.refuse('application_pending');
    end if;
    return v_application;
end
$$;
comment on function private.apply_to_teach(text, text[]) is
'Applies for the role teacher and returns the application. motivation has at most 4,000 characters, links at most ten
URLs of the applicant''s work. A user has one pending application at a time, and waits 30 days after a rejection. Raises
email_not_confirmed (403), already_teacher, application_pending or application_too_soon (409).';

create function private.withdraw_teacher_application() returns public.teacher_applications
language plpgsql
security definer -- teacher_applications is closed to clients
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
        perform private.refuse('application_not_found');
    end if;
    return v_application;
end
$$;
comment on function private.withdraw_teacher_application() is
'Withdraws the caller''s pending application for the role teacher, and returns it. Raises application_not_found (404).';

create function private.decide_teacher_application(
    p_application_id uuid, p_is_approved boolean, p_note text default null
)
returns public.teacher_applications
language plpgsql
security definer -- teacher_applications and user_roles are closed to clients
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
        perform private.refuse('application_not_found');
    end if;
    perform private.require_decision(p_is_approved);
    if v_application.status <> 'pending' then
        perform private.refuse('application_decided', v_application.status::text);
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
'Approves an application, which grants the role teacher from the next request on, or rejects it, with an optional note
to the applicant; mails the applicant and returns the application. When two admins decide at once, the first decides.
For admins. Raises role_required (403), application_not_found or user_not_found (404), application_decided (409),
decision_missing (422).';

-- By hand: reads as the caller, under row level security, and needs no private function.
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
'The caller''s progress towards teaching: {can_teach, application, qualification_count, verified_qualification_count};
application is the newest row of teacher_applications, or null. For signed-in users.';

create function private.account_ended__260_teacher_applications(p_user_id uuid) returns void
language sql
set search_path = ''
as $$
    delete from public.teacher_applications as t where t.user_id = p_user_id
$$;
comment on function private.account_ended__260_teacher_applications(uuid) is
'Deletes the user''s applications; the audit log keeps the decisions.';
