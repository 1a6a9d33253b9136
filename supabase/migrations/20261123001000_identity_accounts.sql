-- Identity: whether an account may act, and what it may do. Both are looked up at each request, so that a suspension or
-- a revoked role holds at once, whatever the token says.

create type public.account_status as enum ('active', 'suspended', 'banned', 'deleted');
comment on type public.account_status is
'active: may act. suspended: signs in and reads, perhaps until an instant. banned: does not sign in, and reads no longer
than the last token lives. deleted: erased.';

create type public.app_role as enum ('student', 'teacher', 'moderator', 'admin', 'superadmin');
comment on type public.app_role is
'What a person may do here. Everybody is a student; from moderator upwards each role includes the ones before it
except teacher, which is granted by itself.';

create table public.accounts (
    user_id uuid constraint accounts_pkey primary key,
    email text collate "C", -- so that its index serves every beginning, and the search in its order
    email_confirmed_at timestamptz,
    last_sign_in_at timestamptz,
    is_anonymous boolean not null default false,
    roles public.app_role[] not null default '{}',
    status public.account_status not null default 'active',
    status_reason text constraint accounts_status_reason_check check (char_length(status_reason) <= 1000),
    suspended_until timestamptz,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    constraint accounts_suspended_until_check check (suspended_until is null or status = 'suspended')
);
comment on table public.accounts is
'Each account that ever was: its address, its standing, when it came. Read by its owner and by moderators; written by
functions and by the triggers of auth.users only. No foreign key to auth.users: a deleted account leaves its standing
behind, so that a token still alive writes nothing.';
comment on column public.accounts.email is
'The address in auth, in small letters; null for anonymous and for deleted users. In no row that others may read.';
comment on column public.accounts.email_confirmed_at is 'When the user proved to hold the address; null until then.';
comment on column public.accounts.last_sign_in_at is 'The last sign-in; a refresh of a session is none.';
comment on column public.accounts.is_anonymous is
'Whether the user signed in without an address and has given none since.';
comment on column public.accounts.roles is
'The roles beyond student, a copy of user_roles for lists: roles=cs.{teacher}. What decides is user_roles.';
comment on column public.accounts.status_reason is 'Why the standing is as it is, in the moderator''s words.';
comment on column public.accounts.suspended_until is
'When a suspension ends by itself; null where a moderator must end it.';
alter table public.accounts enable row level security;
revoke all on public.accounts from anon, authenticated, service_role;

-- What leads these indexes is leakproof or their condition: under row level security an index on status or roles
-- themselves is never used.
create index accounts_created_at_idx on public.accounts (created_at desc, user_id);
comment on index public.accounts_created_at_idx is
'The admin list: created_at=gte.&created_at=lt.&order=created_at.desc,user_id';
create index accounts_last_sign_in_at_idx on public.accounts (last_sign_in_at desc nulls last, user_id);
comment on index public.accounts_last_sign_in_at_idx is
'The admin list by last use: order=last_sign_in_at.desc.nullslast,user_id';
create index accounts_email_idx on public.accounts (email);
comment on index public.accounts_email_idx is
'The admin search for the beginning of an address, and one account: email=eq.';
create index accounts_inactive_idx on public.accounts (created_at desc, user_id) where status <> 'active';
comment on index public.accounts_inactive_idx is
'The admin list by standing: status=eq.suspended&order=created_at.desc,user_id';
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
'The admin list by role: roles=cs.{superadmin}&order=created_at.desc,user_id; and whether one is left';

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
'Roles beyond student. Written by grant_role and revoke_role only; one reads one''s own, admins read all.';
comment on column public.user_roles.granted_by is 'The admin; null where the operator did it in SQL.';
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
comment on function private.tg_user_roles__copy_to_account() is 'After a role came or went: accounts.roles says so.';
create trigger _300_copy_to_account after insert or update or delete on public.user_roles
for each row execute function private.tg_user_roles__copy_to_account();

create function private.tg_accounts__keep_superadmin() returns trigger
language plpgsql
security definer -- looks at every account, whoever fires it
set search_path = ''
as $$
begin
    -- One after the other: each sees what the one before him left.
    perform pg_catalog.pg_advisory_xact_lock(pg_catalog.hashtext('user_roles'));
    if not exists (
        select from public.accounts as a
        where a.roles @> '{superadmin}'
            and (a.status = 'active' or (a.status = 'suspended' and a.suspended_until <= now()))
    ) and exists (select from auth.users as u where u.deleted_at is null) then
        raise sqlstate 'PT409' using
            message = 'last_superadmin',
            detail = 'Nobody would be left who can grant roles.',
            hint = 'Make somebody else superadmin first.';
    end if;
    return null;
end
$$;
comment on function private.tg_accounts__keep_superadmin() is
'After a superadmin lost the role or the standing, by whatever way: refuses it where none is left who may act, unless
nobody is left at all. Raises PT409 last_superadmin.';
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
'After a user is made in auth: its account. Profiles, which refer to it, are made by a trigger whose name sorts later.';
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
'After auth changed what an account shows of a user: so does the account.';
create trigger guildhall_sync_account after update on auth.users
for each row when (
    -- Of a softly deleted user auth keeps a hash where the address was.
    new.deleted_at is null
    and (old.email, old.email_confirmed_at, old.last_sign_in_at, old.is_anonymous)
    is distinct from (new.email, new.email_confirmed_at, new.last_sign_in_at, new.is_anonymous)
)
execute function private.tg_users__sync_account();

create function private.tg_users__bury_account() returns trigger
language plpgsql
security definer -- auth deletes the user as supabase_auth_admin, which must not write our tables
set search_path = ''
as $$
begin
    update public.accounts as a
    set
        status = 'deleted', status_reason = null, suspended_until = null,
        email = null, email_confirmed_at = null, last_sign_in_at = null
    where a.user_id = old.id and a.status <> 'deleted';
    delete from public.user_roles as r where r.user_id = old.id;
    return null;
end
$$;
comment on function private.tg_users__bury_account() is
'After a user is deleted in auth, softly or for good: the account may do nothing any more, and its address and roles go.
The last superadmin stays: PT409 last_superadmin.';
create trigger guildhall_bury_account after delete on auth.users
for each row execute function private.tg_users__bury_account();
create trigger guildhall_bury_soft_deleted_account after update of deleted_at on auth.users
for each row when (old.deleted_at is null and new.deleted_at is not null)
execute function private.tg_users__bury_account();

create function private.is_active() returns boolean
language plpgsql -- which keeps its plan for the session; a policy asks in every query
stable
security definer -- policies of accounts ask it, too
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
'Whether the caller may write: signed in, and neither suspended, banned nor deleted. Policies call it as
(select private.is_active()).';

create function private.has_role(p_role public.app_role) returns boolean
language plpgsql
stable
security definer -- reads roles and standing for policies of every table, theirs included
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
