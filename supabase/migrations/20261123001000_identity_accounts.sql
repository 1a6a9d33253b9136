-- Identity: whether an account may act, and what it may do. Both are looked up at each request, so that a suspension or
-- a revoked role holds at once, whatever the token says.

create type public.account_status as enum ('active', 'suspended', 'banned', 'deleted');
comment on type public.account_status is
'active: may act. suspended: reads only, perhaps until an instant. banned: reads only, for good. deleted: erased.';

create type public.app_role as enum ('student', 'teacher', 'moderator', 'admin', 'superadmin');
comment on type public.app_role is
'What a person may do here. Everybody is a student; from moderator upwards each role includes the ones before it
except teacher, which is granted by itself.';

create table private.accounts (
    user_id uuid constraint accounts_pkey primary key,
    status public.account_status not null default 'active',
    status_reason text constraint accounts_status_reason_check check (char_length(status_reason) <= 1000),
    suspended_until timestamptz,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    constraint accounts_suspended_until_check check (suspended_until is null or status = 'suspended')
);
comment on table private.accounts is
'The standing of each account; one row for each that ever was. No foreign key to auth.users: a deleted account leaves
its standing behind, so that a token still alive writes nothing.';
comment on column private.accounts.suspended_until is
'When a suspension ends by itself; null where an admin must end it.';
alter table private.accounts enable row level security;

insert into private.status_transitions (table_name, from_status, to_status)
values
('accounts', 'active', 'suspended'),
('accounts', 'active', 'banned'),
('accounts', 'active', 'deleted'),
('accounts', 'suspended', 'active'),
('accounts', 'suspended', 'banned'),
('accounts', 'suspended', 'deleted'),
('accounts', 'banned', 'active'),
('accounts', 'banned', 'deleted');
create trigger _100_check_transition before update of status on private.accounts
for each row when (old.status is distinct from new.status) execute function private.tg__check_transition();
create trigger _200_set_updated_at before update on private.accounts
for each row execute function private.tg__set_updated_at();

create table public.user_roles (
    user_id uuid not null constraint user_roles_user_id_fkey references private.accounts (user_id) on delete cascade,
    role public.app_role not null,
    granted_by uuid,
    granted_at timestamptz not null default now(),
    constraint user_roles_pkey primary key (user_id, role),
    constraint user_roles_student_check check (role <> 'student')
);
comment on table public.user_roles is
'Roles beyond student. Written by grant_role and revoke_role only; one reads one''s own, admins read all.';
comment on column public.user_roles.granted_by is 'The admin; null where the operator did it in SQL.';
alter table public.user_roles enable row level security;
revoke all on public.user_roles from anon, authenticated, service_role;

create function private.is_active() returns boolean
language sql
stable
security definer -- accounts is closed to clients
set search_path = ''
as $$
    select exists (
        select from private.accounts as a
        where a.user_id = (select auth.uid())
            and (a.status = 'active' or (a.status = 'suspended' and a.suspended_until <= now()))
    )
$$;
comment on function private.is_active() is
'Whether the caller may write: signed in, and neither suspended, banned nor deleted. Policies call it as
(select private.is_active()).';

create function private.has_role(p_role public.app_role) returns boolean
language sql
stable
security definer -- reads roles and standing for policies of every table, theirs included
set search_path = ''
as $$
    select (select private.is_active()) and exists (
        select from public.user_roles as r
        where r.user_id = (select auth.uid())
            and (r.role = p_role or (p_role >= 'moderator' and r.role > p_role))
    )
$$;
comment on function private.has_role(public.app_role) is
'Whether the caller has the role, or one above it from moderator upwards, and may act. Policies call it as
(select private.has_role(''moderator'')).';

create function private.require_active() returns uuid
language plpgsql
stable
set search_path = ''
as $$
declare
    v_caller uuid := (select auth.uid());
begin
    if v_caller is null then
        raise sqlstate 'PT401' using
            message = 'sign_in_required',
            detail = 'Only a signed-in person can do this.',
            hint = 'Send the access token of a user in the Authorization header.';
    elsif not (select private.is_active()) then
        raise sqlstate 'PT403' using
            message = 'account_inactive',
            detail = 'This account is suspended, banned or deleted.',
            hint = 'Ask support for the reason.';
    end if;
    return v_caller;
end
$$;
comment on function private.require_active() is
'The caller''s id. Raises PT401 sign_in_required or PT403 account_inactive. The first line of every function that
writes.';

create function private.require_role(p_role public.app_role) returns uuid
language plpgsql
stable
set search_path = ''
as $$
declare
    v_caller uuid := private.require_active();
begin
    if not (select private.has_role(p_role)) then
        raise sqlstate 'PT403' using
            message = 'role_required',
            detail = format('Only a person with the role %s can do this.', p_role),
            hint = 'Ask an admin for the role.';
    end if;
    return v_caller;
end
$$;
comment on function private.require_role(public.app_role) is
'The caller''s id, if the caller has the role. Raises what require_active raises, or PT403 role_required.';

create function private.change_role(p_user_id uuid, p_role public.app_role, p_granted boolean) returns void
language plpgsql
security definer -- roles are closed to clients; the check below decides
set search_path = ''
as $$
declare
    v_caller uuid;
begin
    -- One change of roles or standing at a time, and before anything is looked up: two superadmins who revoke or suspend
    -- each other at once must not both succeed.
    perform pg_catalog.pg_advisory_xact_lock(pg_catalog.hashtext('user_roles'));
    v_caller := private.require_role('admin');
    if p_role >= 'admin' then
        perform private.require_role('superadmin'); -- an admin makes no admins
    elsif p_role is null or p_role = 'student' then
        raise sqlstate 'PT422' using
            message = 'role_invalid',
            detail = 'Everybody is a student; a role to grant or revoke is one beyond that.',
            hint = 'Use teacher, moderator, admin or superadmin.';
    end if;
    if not exists (select from private.accounts as a where a.user_id = p_user_id and a.status <> 'deleted') then
        raise sqlstate 'PT404' using
            message = 'user_not_found',
            detail = 'There is no such user.',
            hint = 'Check the id.';
    end if;
    if p_granted then
        insert into public.user_roles (user_id, role, granted_by) values (p_user_id, p_role, v_caller)
        on conflict do nothing;
    else
        if p_role = 'superadmin' and not exists (
            select from public.user_roles as r
            join private.accounts as a on a.user_id = r.user_id and a.status = 'active'
            where r.role = 'superadmin' and r.user_id <> p_user_id
        ) then
            raise sqlstate 'PT409' using
                message = 'last_superadmin',
                detail = 'Nobody would be left who can grant roles.',
                hint = 'Make somebody else superadmin first.';
        end if;
        delete from public.user_roles as r where r.user_id = p_user_id and r.role = p_role;
    end if;
    if found then
        perform private.audit(
            case when p_granted then 'role.grant' else 'role.revoke' end, 'user_roles', p_user_id::text,
            case when not p_granted then jsonb_build_object('role', p_role) end,
            case when p_granted then jsonb_build_object('role', p_role) end
        );
    end if;
end
$$;
comment on function private.change_role(uuid, public.app_role, boolean) is
'Grants or revokes a role, and records it; nothing where it is so already. Admins only, and superadmins alone for admin
and superadmin. Raises PT403 role_required, PT404 user_not_found, PT409 last_superadmin, PT422 role_invalid.';

create function public.grant_role(user_id uuid, role public.app_role) returns void
language sql
set search_path = ''
as $$
    select private.change_role(grant_role.user_id, grant_role.role, true)
$$;
comment on function public.grant_role(uuid, public.app_role) is
'Gives a user a role; it holds from the user''s next request. For admins; admin and superadmin for superadmins only.
Raises role_required (403), user_not_found (404), role_invalid (422).';

create function public.revoke_role(user_id uuid, role public.app_role) returns void
language sql
set search_path = ''
as $$
    select private.change_role(revoke_role.user_id, revoke_role.role, false)
$$;
comment on function public.revoke_role(uuid, public.app_role) is
'Takes a role from a user; it holds from the user''s next request. For admins; admin and superadmin for superadmins
only.
Raises role_required (403), user_not_found (404), last_superadmin (409), role_invalid (422).';

create function private.set_account_status(
    p_user_id uuid, p_status public.account_status, p_reason text, p_until timestamptz
)
returns void
language plpgsql
security definer -- accounts is closed to clients; the check below decides
set search_path = ''
as $$
declare
    v_caller uuid;
    v_before private.accounts;
begin
    -- As in change_role, and with the same lock: two superadmins who suspend each other at once must not both succeed.
    perform pg_catalog.pg_advisory_xact_lock(pg_catalog.hashtext('user_roles'));
    v_caller := private.require_role('moderator');
    select a.* into v_before from private.accounts as a
    where a.user_id = p_user_id and a.status <> 'deleted' for update;
    if not found then
        raise sqlstate 'PT404' using
            message = 'user_not_found',
            detail = 'There is no such user.',
            hint = 'Check the id.';
    end if;
    if p_user_id = v_caller or (
        exists (select from public.user_roles as r where r.user_id = p_user_id and r.role >= 'moderator')
        and not (select private.has_role('superadmin'))
    ) then
        raise sqlstate 'PT403' using
            message = 'target_protected',
            detail = 'Nobody changes his own standing, and only a superadmin that of moderators and admins.',
            hint = 'Ask a superadmin.';
    end if;
    if p_status is null or p_status = 'deleted' then
        raise sqlstate 'PT422' using
            message = 'status_invalid',
            detail = 'An account is deleted through auth, not by its status.',
            hint = 'Use active, suspended or banned.';
    end if;
    update private.accounts as a
    set status = p_status, status_reason = p_reason, suspended_until = p_until
    where a.user_id = p_user_id;
    perform private.audit(
        'account.' || p_status::text, 'accounts', p_user_id::text,
        jsonb_build_object('status', v_before.status, 'reason', v_before.status_reason, 'until', v_before.suspended_until),
        jsonb_build_object('status', p_status, 'reason', p_reason, 'until', p_until)
    );
end
$$;
comment on function private.set_account_status(uuid, public.account_status, text, timestamptz) is
'Changes the standing of an account, and records it. Raises PT403 role_required or target_protected, PT404
user_not_found, PT409 illegal_transition, PT422 status_invalid.';

create function public.set_account_status(
    user_id uuid, status public.account_status, reason text default null, until timestamptz default null
)
returns void
language sql
set search_path = ''
as $$
    select private.set_account_status(
        set_account_status.user_id, set_account_status.status, set_account_status.reason, set_account_status.until
    )
$$;
comment on function public.set_account_status(uuid, public.account_status, text, timestamptz) is
'Suspends (perhaps until an instant), bans or reinstates (active) a user; it holds from the user''s next request. For
moderators; of moderators and admins for superadmins only. Raises role_required or target_protected (403),
user_not_found (404), illegal_transition (409), status_invalid (422).';

create function private.custom_access_token(event jsonb) returns jsonb
language sql
stable
security definer -- auth runs it as supabase_auth_admin, which must not read our tables
set search_path = ''
as $$
    select jsonb_build_object('claims', (event -> 'claims') || jsonb_build_object(
        'user_role',
        coalesce((
            select max(r.role) from public.user_roles as r where r.user_id = (event ->> 'user_id')::uuid
        ), 'student')
    ))
$$;
comment on function private.custom_access_token(jsonb) is
'Supabase''s custom access token hook: adds the claim `user_role`, the highest role, for frontends to show or hide
things by. Policies never read it.';
