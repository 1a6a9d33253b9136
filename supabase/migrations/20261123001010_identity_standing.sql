-- Identity: giving and taking roles, and changing somebody's standing.

create function private.lock_user(p_user_id uuid) returns void
language plpgsql
security definer -- locks a row of auth
set search_path = ''
as $$
begin
    -- In the order in which a sign-in and a deletion take them: first the user, then what is ours.
    perform from auth.users as u where u.id = p_user_id for no key update;
    perform pg_catalog.pg_advisory_xact_lock(pg_catalog.hashtext('user_roles'));
end
$$;
comment on function private.lock_user(uuid) is
'Until the transaction ends nobody else changes roles or anybody''s standing, or signs this user in: two superadmins who
revoke or suspend each other at once do not both succeed. Whoever calls it checks the caller''s role again afterwards.';

create function private.require_account(p_user_id uuid) returns public.accounts
language plpgsql
security definer -- locks a row that only functions may write
set search_path = ''
as $$
declare
    v_account public.accounts;
begin
    select a.* into v_account from public.accounts as a
    where a.user_id = p_user_id and a.status <> 'deleted' for no key update;
    if not found then
        raise sqlstate 'PT404' using
            message = 'user_not_found',
            detail = 'There is no such user.',
            hint = 'Check the id.';
    end if;
    return v_account;
end
$$;
comment on function private.require_account(uuid) is
'The account of a user who is not deleted, locked until the transaction ends. Raises PT404 user_not_found.';

create function private.set_role(p_user_id uuid, p_role public.app_role, p_granted boolean) returns boolean
language plpgsql
security definer -- roles are closed to clients; who calls it has checked who may
set search_path = ''
as $$
begin
    perform private.require_account(p_user_id);
    if p_granted then
        insert into public.user_roles (user_id, role, granted_by) values (p_user_id, p_role, (select auth.uid()))
        on conflict do nothing;
    else
        delete from public.user_roles as r where r.user_id = p_user_id and r.role = p_role;
    end if;
    if found then
        perform private.audit(
            case when p_granted then 'role.grant' else 'role.revoke' end, 'user_roles', p_user_id::text,
            case when not p_granted then jsonb_build_object('role', p_role) end,
            case when p_granted then jsonb_build_object('role', p_role) end
        );
        return true;
    end if;
    return false;
end
$$;
comment on function private.set_role(uuid, public.app_role, boolean) is
'Gives or takes a role, and records it; false where it is so already. Raises PT404 user_not_found, and PT409
last_superadmin by a trigger.';

create function private.change_role(p_user_id uuid, p_role public.app_role, p_granted boolean) returns void
language plpgsql
security definer -- roles are closed to clients; the check below decides
set search_path = ''
as $$
begin
    perform private.require_role('admin');
    perform private.lock_user(p_user_id);
    perform private.require_role('admin');
    if p_role >= 'admin' then
        perform private.require_role('superadmin'); -- an admin makes no admins
    elsif p_role is null or p_role = 'student' then
        raise sqlstate 'PT422' using
            message = 'role_invalid',
            detail = 'Everybody is a student; a role to grant or revoke is one beyond that.',
            hint = 'Use teacher, moderator, admin or superadmin.';
    end if;
    if private.set_role(p_user_id, p_role, p_granted) then
        perform private.enqueue_mail(
            p_user_id, 'role_changed', jsonb_build_object('role', p_role, 'granted', p_granted),
            format('role_changed:%s:%s:%s', p_user_id, p_role, extract(epoch from clock_timestamp()))
        );
    end if;
end
$$;
comment on function private.change_role(uuid, public.app_role, boolean) is
'Grants or revokes a role, records it and writes to the user; nothing where it is so already. Admins only, and
superadmins alone for admin and superadmin. Raises PT403 role_required, PT404 user_not_found, PT422 role_invalid, and
PT409 last_superadmin by a trigger.';

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

create function private.require_power_over(p_user_id uuid) returns void
language plpgsql
stable
security definer -- reads the roles of another
set search_path = ''
as $$
begin
    if p_user_id = (select auth.uid()) or (
        exists (select from public.user_roles as r where r.user_id = p_user_id and r.role >= 'moderator')
        and not (select private.has_role('superadmin'))
    ) then
        raise sqlstate 'PT403' using
            message = 'target_protected',
            detail = 'Nobody does this to himself, and only a superadmin to moderators and admins.',
            hint = 'Ask a superadmin.';
    end if;
end
$$;
comment on function private.require_power_over(uuid) is
'Whether the caller, who has the role that it takes, may do it to this user. Raises PT403 target_protected.';

create function private.set_account_status(
    p_user_id uuid, p_status public.account_status, p_reason text, p_until timestamptz
)
returns void
language plpgsql
security definer -- accounts is closed to clients; the check below decides
set search_path = ''
as $$
declare
    v_before public.accounts;
begin
    perform private.require_role('moderator');
    perform private.lock_user(p_user_id);
    perform private.require_role('moderator');
    v_before := private.require_account(p_user_id);
    perform private.require_power_over(p_user_id);
    if p_status is null or p_status = 'deleted' then
        raise sqlstate 'PT422' using
            message = 'status_invalid',
            detail = 'An account is deleted by delete_user, not by its status.',
            hint = 'Use active, suspended or banned.';
    elsif (v_before.status, v_before.status_reason, v_before.suspended_until)
        is not distinct from (p_status, p_reason, p_until)
    then
        return;
    end if;
    update public.accounts as a
    set status = p_status, status_reason = p_reason, suspended_until = p_until
    where a.user_id = p_user_id;
    -- Auth knows no ban for ever, and cannot read an instant at infinity.
    update auth.users as u
    set banned_until = case p_status when 'banned' then timestamptz '3000-01-01 00:00:00+00' end, updated_at = now()
    where u.id = p_user_id;
    delete from auth.sessions as s where s.user_id = p_user_id and p_status = 'banned';
    perform private.audit(
        'account.' || p_status::text, 'accounts', p_user_id::text,
        jsonb_build_object(
            'status', v_before.status, 'reason', v_before.status_reason, 'until', v_before.suspended_until
        ),
        jsonb_build_object('status', p_status, 'reason', p_reason, 'until', p_until)
    );
    if p_status <> 'active' or v_before.status <> 'active' then
        perform private.enqueue_mail(
            p_user_id, case p_status when 'active' then 'account_reinstated' else 'account_' || p_status::text end,
            jsonb_build_object('reason', p_reason)
            || case p_status when 'suspended' then jsonb_build_object('until', p_until) else '{}' end,
            format('account_status:%s:%s', p_user_id, extract(epoch from clock_timestamp()))
        );
    end if;
end
$$;
comment on function private.set_account_status(uuid, public.account_status, text, timestamptz) is
'Changes the standing of an account, records it, and writes to the user; nothing where it is so already. A ban ends his
sessions and keeps him from signing in. Raises PT403 role_required or target_protected, PT404
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
'Suspends (perhaps until an instant), bans or reinstates (active) a user, and writes to him. It holds from the user''s
next request on: suspended or banned, he changes nothing any more. Suspended, he signs in and reads. Banned, he does not
sign in, his sessions are over, and he reads only until his last token ends, within the hour. For moderators; of
moderators and admins for superadmins only. Raises role_required or target_protected (403), user_not_found (404),
illegal_transition (409), status_invalid (422).';

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

insert into private.rate_limited_functions (function_name, tier)
values ('grant_role', 'strict'), ('revoke_role', 'strict'), ('set_account_status', 'strict');
