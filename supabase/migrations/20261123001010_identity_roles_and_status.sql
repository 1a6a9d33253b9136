-- Identity: granting and revoking roles, and changing the status of an account.

insert into private.errors (token, status, meaning, hint, detail)
values
(
    'role_invalid', 422,
    'Every account is a student; this is not a role to grant or revoke.',
    'Use teacher, moderator, admin or superadmin.',
    null
),
(
    'status_invalid', 422,
    'An account is deleted by delete_user, not by its status.',
    'Use active, suspended or banned.',
    null
),
(
    'target_protected', 403,
    'You cannot do this to yourself, and only a superadmin can do it to moderators and admins.',
    'Ask a superadmin; to delete your own account there is delete_account.',
    null
),
(
    'user_not_found', 404,
    'There is no such user.',
    'Check the id.',
    null
);

create function private.lock_user(p_user_id uuid) returns void
language plpgsql
security definer -- locks a row of auth
set search_path = ''
as $$
begin
    -- The user first, then our lock: in the order in which a sign-in and a deletion take them.
    perform from auth.users as u where u.id = p_user_id for no key update;
    perform pg_catalog.pg_advisory_xact_lock(pg_catalog.hashtext('user_roles'));
end
$$;
comment on function private.lock_user(uuid) is
'Until the transaction ends, no other transaction changes roles or statuses or signs this user in, so that two
superadmins who suspend each other at once do not both succeed. Callers check the caller''s role again afterwards.';

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
        perform private.refuse('user_not_found');
    end if;
    return v_account;
end
$$;
comment on function private.require_account(uuid) is
'The account of a user who is not deleted, locked until the transaction ends. Raises PT404 user_not_found.';

create function private.set_role(p_user_id uuid, p_role public.app_role, p_granted boolean) returns boolean
language plpgsql
security definer -- user_roles is closed; the callers of this function check the caller's role
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
'Grants or revokes a role and records it in the audit log; returns false where nothing changes. Raises PT404
user_not_found; a trigger raises PT409 last_superadmin.';

create function private.change_role(p_user_id uuid, p_role public.app_role, p_granted boolean) returns void
language plpgsql
security definer -- user_roles is closed to clients
set search_path = ''
as $$
begin
    perform private.require_role('admin');
    perform private.lock_user(p_user_id);
    perform private.require_role('admin');
    if p_role >= 'admin' then
        perform private.require_role('superadmin'); -- an admin makes no admins
    elsif p_role is null or p_role = 'student' then
        perform private.refuse('role_invalid');
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
'Grants or revokes a role, records it and mails the user; does nothing where nothing changes. For admins; admin and
superadmin for superadmins only. Raises PT403 role_required, PT404 user_not_found, PT422 role_invalid; a trigger raises
PT409 last_superadmin.';

-- By hand: two verbs of the API are one private function with a flag.
create function public.grant_role(user_id uuid, role public.app_role) returns void
language sql
set search_path = ''
as $$
    select private.change_role(grant_role.user_id, grant_role.role, true)
$$;
comment on function public.grant_role(uuid, public.app_role) is
'Grants a role to a user, from the user''s next request on. For admins; admin and superadmin for superadmins only.
Raises role_required (403), user_not_found (404), role_invalid (422).';

-- By hand: two verbs of the API are one private function with a flag.
create function public.revoke_role(user_id uuid, role public.app_role) returns void
language sql
set search_path = ''
as $$
    select private.change_role(revoke_role.user_id, revoke_role.role, false)
$$;
comment on function public.revoke_role(uuid, public.app_role) is
'Revokes a role of a user, from the user''s next request on. For admins; admin and superadmin for superadmins only.
Raises role_required (403), user_not_found (404), last_superadmin (409), role_invalid (422).';

create function private.require_authority_over(p_user_id uuid) returns void
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
        perform private.refuse('target_protected');
    end if;
end
$$;
comment on function private.require_authority_over(uuid) is
'Raises PT403 target_protected where the target is the caller, or has the role moderator or one above it and the caller
is no superadmin. Callers check the caller''s role first.';

create function private.record_account_status(
    p_before public.accounts, p_status public.account_status, p_reason text, p_until timestamptz
)
returns void
language plpgsql
security definer -- accounts and auth are closed to clients; the callers have checked who may
set search_path = ''
as $$
begin
    update public.accounts as a
    set status = p_status, status_reason = p_reason, suspended_until = p_until
    where a.user_id = p_before.user_id;
    delete from auth.sessions as s where s.user_id = p_before.user_id and p_status = 'banned';
    perform private.audit(
        'account.' || p_status::text, 'accounts', p_before.user_id::text,
        jsonb_build_object(
            'status', p_before.status, 'reason', p_before.status_reason, 'until', p_before.suspended_until
        ),
        jsonb_build_object('status', p_status, 'reason', p_reason, 'until', p_until)
    );
    if p_status <> 'active' or p_before.status <> 'active' then
        perform private.enqueue_mail(
            p_before.user_id,
            case p_status when 'active' then 'account_reinstated' else 'account_' || p_status::text end,
            jsonb_build_object('reason', p_reason)
            || case p_status when 'suspended' then jsonb_build_object('until', p_until) else '{}' end,
            format('account_status:%s:%s', p_before.user_id, extract(epoch from clock_timestamp()))
        );
    end if;
end
$$;
comment on function private.record_account_status(public.accounts, public.account_status, text, timestamptz) is
'Changes the status of an account, which the caller has locked, records it, and mails the user. A ban ends all sessions.
Raises PT409 illegal_transition.';

create function private.set_account_status(
    p_user_id uuid, p_status public.account_status, p_reason text default null, p_until timestamptz default null
)
returns void
language plpgsql
security definer -- accounts is closed to clients
set search_path = ''
as $$
declare
    v_before public.accounts;
begin
    perform private.require_role('moderator');
    perform private.lock_user(p_user_id);
    perform private.require_role('moderator');
    v_before := private.require_account(p_user_id);
    perform private.require_authority_over(p_user_id);
    if p_status is null or p_status = 'deleted' then
        perform private.refuse('status_invalid');
    elsif (v_before.status, v_before.status_reason, v_before.suspended_until)
        is not distinct from (p_status, p_reason, p_until)
    then
        return;
    end if;
    perform private.record_account_status(v_before, p_status, p_reason, p_until);
    -- A ban in auth needs an end, and auth cannot read an infinite timestamp.
    update auth.users as u
    set banned_until = case p_status when 'banned' then timestamptz '3000-01-01 00:00:00+00' end, updated_at = now()
    where u.id = p_user_id;
end
$$;
comment on function private.set_account_status(uuid, public.account_status, text, timestamptz) is
'Suspends a user (until an instant, or until a moderator reinstates the account), bans or reinstates (active) a user,
and mails the user. It applies from the user''s next request on. A suspended user signs in and reads, and writes
nothing. A banned user cannot sign in, loses every session, and reads until the last token expires, within the hour. For
moderators; only superadmins change moderators and admins. Raises role_required or target_protected (403),
user_not_found (404), illegal_transition (409), status_invalid (422).';

create function private.end_suspension(p_user_id uuid) returns boolean
language plpgsql
set search_path = ''
as $$
declare
    v_before public.accounts;
begin
    perform private.lock_user(p_user_id);
    select a.* into v_before from public.accounts as a
    where a.user_id = p_user_id and a.status = 'suspended' and a.suspended_until <= now()
    for no key update;
    if not found then
        return false;
    end if;
    perform private.record_account_status(v_before, 'active', null, null);
    return true;
end
$$;
comment on function private.end_suspension(uuid) is
'Reinstates a user whose suspension is over, so that what it paused goes on; records it without an actor, and mails the
user. Returns whether it was over. Policies let the user write from the instant on.';

create function private.lapse__suspensions() returns bigint
language sql
set search_path = ''
as $$
    select coalesce((
        select private.end_suspension(o.user_id)::integer
        from (
            select a.user_id from public.accounts as a
            where a.status = 'suspended' and a.suspended_until <= now()
            order by random() -- one that cannot be ended does not keep the others
            limit 1
        ) as o
    ), 0)
$$;
comment on function private.lapse__suspensions() is 'Ends one suspension whose time is up. Returns the number.';

create function private.tg_users__sync_ban() returns trigger
language plpgsql
security definer -- auth updates the user as supabase_auth_admin, which must not write our tables
set search_path = ''
as $$
declare
    v_before public.accounts;
begin
    perform private.lock_user(new.id);
    select a.* into v_before from public.accounts as a where a.user_id = new.id for no key update;
    if new.banned_until > now() + interval '10 years' and v_before.status in ('active', 'suspended') then
        perform private.record_account_status(v_before, 'banned', null, null);
    elsif new.banned_until > now() and v_before.status = 'active' then
        perform private.record_account_status(v_before, 'suspended', null, new.banned_until);
    elsif (new.banned_until <= now() or new.banned_until is null)
        and (
            v_before.status = 'banned'
            or (v_before.status = 'suspended' and v_before.suspended_until = old.banned_until)
        )
    then
        perform private.record_account_status(v_before, 'active', null, null);
    end if;
    return null;
end
$$;
comment on function private.tg_users__sync_ban() is
'After somebody banned a user in auth, by its admin API or the dashboard, or lifted such a ban: the account follows, so
that everything that a ban ends, ends. A ban of less than ten years is a suspension until its end. Nothing is left to do
after set_account_status. The last superadmin stays: PT409 last_superadmin.';
create trigger guildhall_sync_ban after update of banned_until on auth.users
for each row when (old.banned_until is distinct from new.banned_until) execute function private.tg_users__sync_ban();

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
'Supabase''s custom access token hook: adds the claim `user_role`, the highest role of the user, so that frontends show
what the user may do. Policies never read it.';
