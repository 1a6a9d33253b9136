-- Foundation: who may act. Every domain asks for the status and the roles of an account at each request, so that a
-- suspension or a revoked role holds at once, whatever the token says.
--
-- These tables are foundation and not identity, because policies and functions of every domain, foundation's audit log
-- and webhooks among them, name a role. Granting roles and changing a status is identity's.

insert into private.errors (token, status, meaning, hint, detail)
values
(
    'account_inactive', 403,
    'This account is suspended, banned or deleted.',
    'Ask support for the reason.',
    null
),
(
    'email_not_confirmed', 403,
    'Only a person with a confirmed email address can do this.',
    'Follow the link in the mail that confirms the address.',
    null
),
(
    'mfa_required', 403,
    'This needs a sign-in with a second factor, which this installation asks of moderators and admins.',
    'Enrol a factor at auth if you have none, then answer a challenge: the new access token has the level aal2.',
    null
),
(
    'last_superadmin', 409,
    'Nobody would be left who can grant roles.',
    'Make another person superadmin first.',
    null
),
(
    'role_required', 403,
    'You lack the role for this. Only roles in user_roles count, not those in the token.',
    'Ask an admin for the role.',
    'Only a person with the role %s can do this.'
),
(
    'sign_in_required', 401,
    'Only a signed-in person can do this.',
    'Send the access token of a user in the Authorization header.',
    null
);

create type public.account_status as enum ('active', 'suspended', 'banned', 'deleted');
comment on type public.account_status is
'active: may act. suspended: signs in and reads, and cannot write until a moderator or the end of the suspension
reinstates the account. banned: cannot sign in, and reads only until the last token expires. deleted: erased.';

create type public.app_role as enum ('student', 'teacher', 'moderator', 'admin', 'superadmin');
comment on type public.app_role is
'What a user may do. Everybody is a student. teacher is granted by itself; superadmin includes admin, and admin includes
moderator.';

create table public.accounts (
    user_id uuid constraint accounts_pkey primary key,
    email text collate "C", -- so that the index serves searches for the beginning of an address
    email_confirmed_at timestamptz,
    last_sign_in_at timestamptz,
    is_anonymous boolean not null default false,
    roles public.app_role[] not null default '{}',
    role public.app_role not null generated always as (
        case
            when roles @> '{superadmin}' then 'superadmin'::public.app_role
            when roles @> '{admin}' then 'admin'::public.app_role
            when roles @> '{moderator}' then 'moderator'::public.app_role
            when roles @> '{teacher}' then 'teacher'::public.app_role
            else 'student'
        end
    ) stored,
    status public.account_status not null default 'active',
    status_reason text constraint accounts_status_reason_check check (char_length(status_reason) <= 1000),
    suspended_until timestamptz,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    constraint accounts_suspended_until_check check (suspended_until is null or status = 'suspended')
);
comment on table public.accounts is
'Every account, deleted ones included: address, status, roles. Its owner and moderators read it; functions and the
triggers of auth.users write it. No foreign key to auth.users: the row of a deleted account stays, so that a token that
has not expired yet cannot write.';
comment on column public.accounts.email is
'The address in auth, in lower case; null for anonymous and deleted users. No row that other users may read has it.';
comment on column public.accounts.email_confirmed_at is 'When the user confirmed the address; null until then.';
comment on column public.accounts.last_sign_in_at is 'The last sign-in. Refreshing a session does not count.';
comment on column public.accounts.is_anonymous is
'Whether the user signed in without an address and has not added one since.';
comment on column public.accounts.roles is
'The roles beyond student, copied from user_roles for lists: roles=cs.{teacher}. Policies read user_roles.';
comment on column public.accounts.role is
'The highest of the roles; student where there is none: role=eq.student.';
comment on column public.accounts.status_reason is 'The moderator''s reason for the status.';
comment on column public.accounts.suspended_until is
'When the suspension ends by itself; null where a moderator must end it.';
alter table public.accounts enable row level security;
revoke all on public.accounts from anon, authenticated, service_role;

-- Under row level security the planner uses an index only for leakproof operators, which those of enums and arrays are
-- not. So status and roles are conditions of partial indexes.
create index accounts_created_at_idx on public.accounts (created_at desc, user_id);
comment on index public.accounts_created_at_idx is
'The admin list: created_at=gte.&created_at=lt.&order=created_at.desc,user_id';
create index accounts_last_sign_in_at_idx on public.accounts (last_sign_in_at desc nulls last, user_id);
comment on index public.accounts_last_sign_in_at_idx is
'The admin list by last sign-in: order=last_sign_in_at.desc.nullslast,user_id';
create index accounts_email_idx on public.accounts (email);
comment on index public.accounts_email_idx is
'The admin search by the beginning of an address, and one account: email=eq.';
create index accounts_inactive_idx on public.accounts (created_at desc, user_id) where status <> 'active';
comment on index public.accounts_inactive_idx is
'The admin list by status: status=eq.suspended&order=created_at.desc,user_id';
create index accounts_suspended_until_idx on public.accounts (suspended_until) where status = 'suspended';
comment on index public.accounts_suspended_until_idx is
'lapse__suspensions: status = ''suspended'' and suspended_until <=';
create index accounts_teachers_idx on public.accounts (created_at desc, user_id) where roles @> '{teacher}';
comment on index public.accounts_teachers_idx is
'The admin list by role: roles=cs.{teacher}&order=created_at.desc,user_id';
create index accounts_moderators_idx on public.accounts (created_at desc, user_id) where roles @> '{moderator}';
comment on index public.accounts_moderators_idx is
'The admin list by role: roles=cs.{moderator}&order=created_at.desc,user_id';
create index accounts_admins_idx on public.accounts (created_at desc, user_id) where roles @> '{admin}';
comment on index public.accounts_admins_idx is
'The admin list by role: roles=cs.{admin}&order=created_at.desc,user_id';
create index accounts_superadmins_idx on public.accounts (created_at desc, user_id) where roles @> '{superadmin}';
comment on index public.accounts_superadmins_idx is
'The admin list by role: roles=cs.{superadmin}&order=created_at.desc,user_id; and keep_superadmin';
create index accounts_role_teacher_idx on public.accounts (created_at desc, user_id) where role = 'teacher';
comment on index public.accounts_role_teacher_idx is
'The admin list by highest role: role=eq.teacher&order=created_at.desc,user_id; most accounts are of students';
create index accounts_role_moderator_idx on public.accounts (created_at desc, user_id) where role = 'moderator';
comment on index public.accounts_role_moderator_idx is
'The admin list by highest role: role=eq.moderator&order=created_at.desc,user_id';
create index accounts_role_admin_idx on public.accounts (created_at desc, user_id) where role = 'admin';
comment on index public.accounts_role_admin_idx is
'The admin list by highest role: role=eq.admin&order=created_at.desc,user_id';
create index accounts_role_superadmin_idx on public.accounts (created_at desc, user_id) where role = 'superadmin';
comment on index public.accounts_role_superadmin_idx is
'The admin list by highest role: role=eq.superadmin&order=created_at.desc,user_id';

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
create trigger _100_check_transition before update of status on public.accounts
for each row when (old.status is distinct from new.status) execute function private.tg__check_transition();
create trigger _200_set_updated_at before update on public.accounts
for each row execute function private.tg__set_updated_at();

create table public.user_roles (
    user_id uuid not null constraint user_roles_user_id_fkey references public.accounts (user_id) on delete cascade,
    role public.app_role not null,
    granted_by uuid,
    granted_at timestamptz not null default now(),
    constraint user_roles_pkey primary key (user_id, role),
    constraint user_roles_student_check check (role <> 'student')
);
comment on table public.user_roles is
'Roles beyond student. grant_role and revoke_role write them; users read their own, admins all.';
comment on column public.user_roles.granted_by is 'The admin who granted it; null where the operator did in SQL.';
alter table public.user_roles enable row level security;
revoke all on public.user_roles from anon, authenticated, service_role;

create function private.tg_user_roles__copy_to_account() returns trigger
language plpgsql
security definer -- accounts is closed to the roles whose statements fire this
set search_path = ''
as $$
begin
    update public.accounts as a
    set roles = array(select r.role from public.user_roles as r where r.user_id = a.user_id order by r.role)
    where a.user_id in (old.user_id, new.user_id);
    return null;
end
$$;
comment on function private.tg_user_roles__copy_to_account() is
'After a role is granted or revoked: copies the roles to accounts.roles.';
create trigger _300_copy_to_account after insert or update or delete on public.user_roles
for each row execute function private.tg_user_roles__copy_to_account();

create function private.tg_accounts__report_status() returns trigger
language plpgsql
security definer -- no role may execute the functions that domains register
set search_path = ''
as $$
declare
    v_function name;
begin
    if new.status = 'active' then
        for v_function in select f.name from private.registered_functions('account_resumed') as f (name) loop
            execute format('select private.%I($1)', v_function) using new.user_id;
        end loop;
    else
        for v_function in select f.name from private.registered_functions('account_stopped') as f (name) loop
            execute format('select private.%I($1, $2)', v_function) using new.user_id, new.status;
        end loop;
    end if;
    return null;
end
$$;
comment on function private.tg_accounts__report_status() is
'After the status of an account changed: calls private.account_stopped__<what>(user_id uuid, status account_status) of
every domain for suspended, banned or deleted, and private.account_resumed__<what>(user_id uuid) for active. The account
is locked. A user who is deleted still has roles here.';
-- Before other triggers, which lock the profile: courses and orders are locked first.
create trigger _300_report_status after update of status on public.accounts
for each row when (old.status is distinct from new.status) execute function private.tg_accounts__report_status();

create function private.tg_user_roles__report_role() returns trigger
language plpgsql
security definer -- no role may execute the functions that domains register
set search_path = ''
as $$
declare
    v_function name;
begin
    if tg_op <> 'INSERT' then
        for v_function in select f.name from private.registered_functions('role_lost') as f (name) loop
            execute format('select private.%I($1, $2)', v_function) using old.user_id, old.role;
        end loop;
    end if;
    if tg_op <> 'DELETE' then
        for v_function in select f.name from private.registered_functions('role_gained') as f (name) loop
            execute format('select private.%I($1, $2)', v_function) using new.user_id, new.role;
        end loop;
    end if;
    return null;
end
$$;
comment on function private.tg_user_roles__report_role() is
'After a role was granted or revoked: calls private.role_gained__<what>(user_id uuid, role app_role) or
private.role_lost__<what>(user_id uuid, role app_role) of every domain. The account is locked.';
create trigger _400_report_role after insert or delete or update of user_id, role on public.user_roles
for each row execute function private.tg_user_roles__report_role();

create function private.tg_accounts__keep_superadmin() returns trigger
language plpgsql
security definer -- reads every account
set search_path = ''
as $$
begin
    -- Serialises these checks, so that each sees the result of the one before.
    perform pg_catalog.pg_advisory_xact_lock(pg_catalog.hashtext('user_roles'));
    if not exists (
        select from public.accounts as a
        where a.roles @> '{superadmin}'
            and (a.status = 'active' or (a.status = 'suspended' and a.suspended_until <= now()))
    ) and exists (select from auth.users as u where u.deleted_at is null) then
        perform private.refuse('last_superadmin');
    end if;
    return null;
end
$$;
comment on function private.tg_accounts__keep_superadmin() is
'After a superadmin lost the role or the active status: refuses the change where no active superadmin would be left,
unless auth has no user left at all. Raises PT409 last_superadmin.';
create trigger _900_keep_superadmin after update of roles, status on public.accounts
for each row when (
    old.roles @> '{superadmin}' and not (new.roles @> '{superadmin}' and new.status = 'active')
) execute function private.tg_accounts__keep_superadmin();

create function private.tg_users__create_account() returns trigger
language plpgsql
security definer -- auth inserts the user as supabase_auth_admin, which must not write our tables
set search_path = ''
as $$
begin
    insert into public.accounts (user_id, email, email_confirmed_at, last_sign_in_at, is_anonymous)
    values (
        new.id, lower(nullif(new.email, '')), new.email_confirmed_at, new.last_sign_in_at,
        coalesce(new.is_anonymous, false)
    );
    return null;
end
$$;
comment on function private.tg_users__create_account() is
'After auth creates a user: creates the account. The trigger that creates the profile, which refers to the account, has
a name that sorts later.';
create trigger guildhall_create_account after insert on auth.users
for each row execute function private.tg_users__create_account();

create function private.tg_users__sync_account() returns trigger
language plpgsql
security definer -- auth updates the user as supabase_auth_admin, which must not write our tables
set search_path = ''
as $$
begin
    update public.accounts as a
    set
        email = lower(nullif(new.email, '')),
        email_confirmed_at = new.email_confirmed_at,
        last_sign_in_at = new.last_sign_in_at,
        is_anonymous = coalesce(new.is_anonymous, false)
    where a.user_id = new.id;
    return null;
end
$$;
comment on function private.tg_users__sync_account() is
'After auth changed the address, its confirmation or the last sign-in of a user: copies them to the account.';
create trigger guildhall_sync_account after update on auth.users
for each row when (
    -- Auth replaces the address of a softly deleted user by a hash.
    new.deleted_at is null
    and (old.email, old.email_confirmed_at, old.last_sign_in_at, old.is_anonymous)
    is distinct from (new.email, new.email_confirmed_at, new.last_sign_in_at, new.is_anonymous)
)
execute function private.tg_users__sync_account();

create function private.account_ended__100_account(p_user_id uuid) returns void
language sql
set search_path = ''
as $$
    update public.accounts as a
    set
        status = 'deleted', status_reason = null, suspended_until = null,
        email = null, email_confirmed_at = null, last_sign_in_at = null
    where a.user_id = p_user_id and a.status <> 'deleted';
    delete from public.user_roles as r where r.user_id = p_user_id;
$$;
comment on function private.account_ended__100_account(uuid) is
'The account is marked deleted and loses its address and roles. The last superadmin stays: PT409 last_superadmin.';

create function private.tg_users__end_account() returns trigger
language plpgsql
security definer -- auth deletes the user as supabase_auth_admin, which must not write our tables
set search_path = ''
as $$
declare
    v_function name;
begin
    for v_function in select f.name from private.registered_functions('account_ended') as f (name) loop
        execute format('select private.%I($1)', v_function) using old.id;
    end loop;
    return null;
end
$$;
comment on function private.tg_users__end_account() is
'After auth deletes a user, softly or for good: calls private.account_ended__<what>(user_id uuid) of every domain, which
erases what concerns only this user and detaches the rest.';
create trigger guildhall_end_account after delete on auth.users
for each row execute function private.tg_users__end_account();
create trigger guildhall_end_soft_deleted_account after update of deleted_at on auth.users
for each row when (old.deleted_at is null and new.deleted_at is not null)
execute function private.tg_users__end_account();

create function private.is_active() returns boolean
language plpgsql -- keeps its plan for the session; policies call it in every query
stable
security definer -- policies of accounts call it, too
set search_path = ''
as $$
begin
    return exists (
        select from public.accounts as a
        where a.user_id = (select auth.uid())
            and (a.status = 'active' or (a.status = 'suspended' and a.suspended_until <= now()))
    );
end
$$;
comment on function private.is_active() is
'Whether the caller may write: is signed in, and not suspended, banned or deleted. Policies call it as
(select private.is_active()).';

create function private.is_account_active(p_user_id uuid) returns boolean
language plpgsql
stable
security definer -- accounts is closed to the callers
set search_path = ''
as $$
begin
    return exists (
        select from public.accounts as a
        where a.user_id = p_user_id
            and (a.status = 'active' or (a.status = 'suspended' and a.suspended_until <= now()))
    );
end
$$;
comment on function private.is_account_active(uuid) is 'What is_active says of the caller, of anybody.';

create function private.is_teacher() returns boolean
language plpgsql
stable
security definer -- policies call it
set search_path = ''
as $$
begin
    return exists (
        select from public.user_roles as r where r.user_id = (select auth.uid()) and r.role = 'teacher'
    );
end
$$;
comment on function private.is_teacher() is
'Whether the caller has the role teacher, whatever the status of the account: for what suspended teachers still read.
Policies call it as (select private.is_teacher()).';

create function private.can_teach(p_user_id uuid) returns boolean
language plpgsql
stable
security definer -- reads the status and the roles of others
set search_path = ''
as $$
begin
    return private.is_account_active(p_user_id) and exists (
        select from public.user_roles as r where r.user_id = p_user_id and r.role = 'teacher'
    );
end
$$;
comment on function private.can_teach(uuid) is
'Whether a user may teach and sell now: has an active account and the role teacher. Where a person''s place in a course
or an offer is used, this is asked again.';

create function private.require_active_account(p_user_id uuid) returns void
language plpgsql
stable
security definer -- the edge may read no table
set search_path = ''
as $$
begin
    if not private.is_account_active(p_user_id) then
        perform private.refuse('account_inactive');
    end if;
end
$$;
comment on function private.require_active_account(uuid) is
'Raises PT403 account_inactive where the account of a user is not active. For the edge, which asks for its caller before
it asks a provider.';

create function private.is_granted(p_role public.app_role) returns boolean
language plpgsql
stable
security definer -- reads accounts and user_roles, whose own policies call has_role
set search_path = ''
as $$
begin
    return private.is_active() and exists (
        select from public.user_roles as r
        where r.user_id = (select auth.uid())
            and (r.role = p_role or (p_role >= 'moderator' and r.role > p_role))
    );
end
$$;
comment on function private.is_granted(public.app_role) is
'Whether the caller is active and was granted the role or, from moderator upwards, one above it. It gives no power:
has_role also asks for the second factor.';

insert into private.app_config (key, value, description)
values (
    'staff_needs_mfa',
    'false',
    'Whether the roles moderator, admin and superadmin count only in sessions that have used a second factor (aal2). '
    || 'Anything but false means that they do. Enrol a factor for each of these people first.'
);

create function private.is_staff_session() returns boolean
language plpgsql
stable
security definer -- app_config is closed to the callers of has_role
set search_path = ''
as $$
begin
    -- A missing setting, a missing claim and an unknown value of either are all a no.
    return coalesce((select auth.jwt()) ->> 'aal' in ('aal2', 'aal3'), false)
        or exists (select from private.app_config as c where c.key = 'staff_needs_mfa' and c.value = 'false');
end
$$;
comment on function private.is_staff_session() is
'Whether roles from moderator upwards count in the caller''s session: it has used a second factor, or the setting
staff_needs_mfa asks for none.';

create function private.has_role(p_role public.app_role) returns boolean
language plpgsql
stable
security definer -- its callers need no right to what it asks
set search_path = ''
as $$
begin
    return private.is_granted(p_role) and (p_role < 'moderator' or private.is_staff_session());
end
$$;
comment on function private.has_role(public.app_role) is
'Whether the caller is active and has the role or, from moderator upwards, one above it, and a second factor where
staff_needs_mfa asks for one. Policies call it as (select private.has_role(''moderator'')).';

create function private.require_signed_in() returns uuid
language plpgsql
stable
set search_path = ''
as $$
declare
    v_caller uuid := (select auth.uid());
begin
    if v_caller is null then
        perform private.refuse('sign_in_required');
    end if;
    return v_caller;
end
$$;
comment on function private.require_signed_in() is
'The caller''s id, whatever the status of the account. Raises PT401 sign_in_required. For functions that only read.';

create function private.require_active() returns uuid
language plpgsql
stable
set search_path = ''
as $$
declare
    v_caller uuid := private.require_signed_in();
begin
    if not (select private.is_active()) then
        perform private.refuse('account_inactive');
    end if;
    return v_caller;
end
$$;
comment on function private.require_active() is
'The caller''s id. Raises PT401 sign_in_required, PT403 account_inactive. Every function that writes calls it first.';

create function private.require_confirmed_address() returns uuid
language plpgsql
stable
security definer -- reads an account for callers of any role
set search_path = ''
as $$
declare
    v_caller uuid := private.require_active();
begin
    if not exists (
        select from public.accounts as a
        where a.user_id = v_caller and a.email_confirmed_at is not null and not a.is_anonymous
    ) then
        perform private.refuse('email_not_confirmed');
    end if;
    return v_caller;
end
$$;
comment on function private.require_confirmed_address() is
'The caller''s id. Raises PT401 sign_in_required, PT403 account_inactive, PT403 email_not_confirmed. For what one person
takes from others, such as a seat: anybody makes anonymous users by the dozen.';

create function private.require_role(p_role public.app_role) returns uuid
language plpgsql
stable
set search_path = ''
as $$
declare
    v_caller uuid := private.require_active();
begin
    if (select private.has_role(p_role)) then
        return v_caller;
    elsif private.is_granted(p_role) then
        perform private.refuse('mfa_required');
    end if;
    perform private.refuse('role_required', p_role::text);
end
$$;
comment on function private.require_role(public.app_role) is
'The caller''s id, if the caller has the role. Raises PT401 sign_in_required, PT403 account_inactive, PT403
role_required, PT403 mfa_required.';
