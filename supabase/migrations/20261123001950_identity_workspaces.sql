-- Identity: workspaces, in which several users work together.

insert into private.errors (token, status, meaning, hint, detail)
values
(
    'already_member', 409,
    'This person already is a member of the workspace.',
    'Change the role with update_workspace_member.',
    null
),
(
    'last_owner', 409,
    'The workspace would be left without an owner.',
    'Make another member owner first, or delete the workspace.',
    null
),
(
    'member_not_found', 404,
    'This person is not a member of the workspace.',
    'Read workspace_members again.',
    null
),
(
    'workspace_not_found', 404,
    'There is no such workspace, or you are not a member of it.',
    'Look it up among your workspaces.',
    null
),
(
    'workspace_role_required', 403,
    'Your role in the workspace does not suffice: admins manage members, owners manage admins and owners.',
    'Ask an owner of the workspace.',
    'Only a member with the role %s can do this.'
);

create type public.workspace_role as enum ('member', 'admin', 'owner');
comment on type public.workspace_role is
'member: works in the workspace. admin: also renames it, and adds and removes members. owner: also appoints admins and
owners, and deletes it.';

create table public.workspaces (
    id uuid not null default gen_random_uuid() constraint workspaces_pkey primary key,
    name text not null constraint workspaces_name_check check (private.is_name(name, 120)),
    slug text not null constraint workspaces_slug_key unique,
    created_by uuid constraint workspaces_created_by_fkey references public.profiles (id) on delete set null,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now()
);
comment on table public.workspaces is 'Workspaces. Only members see them. create_workspace creates one.';
comment on column public.workspaces.slug is
'The part of the URL: the name and a random suffix, so that slugs cannot be guessed.';
comment on column public.workspaces.created_by is 'The user who created it, who may have left it.';
comment on constraint workspaces_name_check on public.workspaces is
'A name is one line of 1 to 120 characters, of which some are visible.';
alter table public.workspaces enable row level security;
revoke all on public.workspaces from anon, authenticated, service_role;
create trigger _200_set_updated_at before update on public.workspaces
for each row execute function private.tg__set_updated_at();

create index workspaces_created_by_idx on public.workspaces (created_by);
comment on index public.workspaces_created_by_idx is 'The workspaces that a user created: created_by=eq.';

create table public.workspace_members (
    workspace_id uuid not null
    constraint workspace_members_workspace_id_fkey references public.workspaces (id) on delete cascade,
    user_id uuid not null constraint workspace_members_user_id_fkey references public.profiles (id) on delete cascade,
    role public.workspace_role not null default 'member',
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    constraint workspace_members_pkey primary key (workspace_id, user_id)
);
comment on table public.workspace_members is
'The members of each workspace with their roles. Members see each other. A workspace always has an owner.';
alter table public.workspace_members enable row level security;
revoke all on public.workspace_members from anon, authenticated, service_role;
create trigger _200_set_updated_at before update on public.workspace_members
for each row execute function private.tg__set_updated_at();

create index workspace_members_user_id_idx on public.workspace_members (user_id, role) include (workspace_id);
comment on index public.workspace_members_user_id_idx is
'my_workspace_ids, and the workspaces of a user: workspace_members.user_id=eq.';

create function private.my_workspace_ids(p_role public.workspace_role default 'member') returns uuid[]
language plpgsql
stable
security definer -- the policy of workspace_members calls it
set search_path = ''
as $$
begin
    return (
        select coalesce(array_agg(m.workspace_id), '{}') from public.workspace_members as m
        where m.user_id = (select auth.uid()) and m.role >= p_role
    );
end
$$;
comment on function private.my_workspace_ids(public.workspace_role) is
'The workspaces in which the caller has the role or one above it. Policies call it as any((select
private.my_workspace_ids())::uuid[]).';

create function private.require_workspace_role(p_workspace_id uuid, p_role public.workspace_role)
returns public.workspace_role
language plpgsql
security definer -- locks workspaces that the caller may not see; missing and hidden ones are refused alike
set search_path = ''
as $$
declare
    v_caller uuid := private.require_active();
    v_role public.workspace_role;
begin
    -- Serialises changes of members, so that two owners who demote each other do not both succeed.
    perform from public.workspaces as w where w.id = p_workspace_id for no key update;
    select m.role into v_role from public.workspace_members as m
    where m.workspace_id = p_workspace_id and m.user_id = v_caller;
    if not found then
        perform private.refuse('workspace_not_found');
    elsif v_role < p_role then
        perform private.refuse('workspace_role_required', p_role::text);
    end if;
    return v_role;
end
$$;
comment on function private.require_workspace_role(uuid, public.workspace_role) is
'The caller''s role in a workspace, if it is at least this one; locks the workspace. Raises PT401 sign_in_required,
PT403 account_inactive, PT404 workspace_not_found, PT403 workspace_role_required.';

create function private.require_other_owner(p_workspace_id uuid, p_user_id uuid) returns void
language plpgsql
set search_path = ''
as $$
begin
    if not exists (
        select from public.workspace_members as m
        where m.workspace_id = p_workspace_id and m.role = 'owner' and m.user_id <> p_user_id
            and private.is_account_active(m.user_id)
    ) then
        perform private.refuse('last_owner');
    end if;
end
$$;
comment on function private.require_other_owner(uuid, uuid) is
'Raises PT409 last_owner where no other user with an active account owns the workspace, which the caller of this
function has locked.';

create function private.workspace_member(p_workspace_id uuid, p_user_id uuid) returns public.workspace_members
language plpgsql
stable
set search_path = ''
as $$
declare
    v_member public.workspace_members;
begin
    select m.* into v_member from public.workspace_members as m
    where m.workspace_id = p_workspace_id and m.user_id = p_user_id;
    if not found then
        perform private.refuse('member_not_found');
    end if;
    return v_member;
end
$$;
comment on function private.workspace_member(uuid, uuid) is 'One member of a workspace. Raises PT404 member_not_found.';

create function private.create_workspace(p_name text) returns public.workspaces
language plpgsql
security definer -- workspace_members is closed to clients
set search_path = ''
as $$
declare
    v_caller uuid := private.require_active();
    v_workspace public.workspaces;
begin
    insert into public.workspaces (name, slug, created_by)
    values (
        p_name,
        coalesce(nullif(private.slugify(p_name), ''), 'workspace') || '-' || encode(extensions.gen_random_bytes(5), 'hex'),
        v_caller
    )
    returning * into v_workspace;
    insert into public.workspace_members (workspace_id, user_id, role) values (v_workspace.id, v_caller, 'owner');
    return v_workspace;
end
$$;
comment on function private.create_workspace(text) is
'Creates a workspace that the caller owns, and returns it. Raises sign_in_required (401), account_inactive (403).';

create function private.add_workspace_member(
    p_workspace_id uuid, p_user_id uuid, p_role public.workspace_role default 'member'
)
returns public.workspace_members
language plpgsql
security definer -- workspace_members is closed to clients
set search_path = ''
as $$
declare
    v_member public.workspace_members;
begin
    perform private.require_workspace_role(p_workspace_id, 'admin');
    if p_role > 'member' then
        perform private.require_workspace_role(p_workspace_id, 'owner');
    end if;
    -- Hidden profiles must not be found by trying ids.
    if not exists (select from public.profiles as p where p.id = p_user_id and p.is_public) then
        perform private.refuse('user_not_found');
    end if;
    insert into public.workspace_members as m (workspace_id, user_id, role)
    values (p_workspace_id, p_user_id, coalesce(p_role, 'member'))
    on conflict (workspace_id, user_id) do nothing
    returning m.* into v_member;
    if not found then
        perform private.refuse('already_member');
    end if;
    return v_member;
end
$$;
comment on function private.add_workspace_member(uuid, uuid, public.workspace_role) is
'Adds a user with a public profile to a workspace, and returns the member. For its admins; only owners add admins and
owners. Raises workspace_role_required (403), workspace_not_found or user_not_found (404), already_member (409).';

create function private.update_workspace_member(p_workspace_id uuid, p_user_id uuid, p_role public.workspace_role)
returns public.workspace_members
language plpgsql
security definer -- workspace_members is closed to clients
set search_path = ''
as $$
declare
    v_member public.workspace_members;
begin
    perform private.require_workspace_role(p_workspace_id, 'admin');
    v_member := private.workspace_member(p_workspace_id, p_user_id);
    if greatest(v_member.role, p_role) > 'member' then
        perform private.require_workspace_role(p_workspace_id, 'owner');
    end if;
    if v_member.role = 'owner' and p_role < 'owner' then
        perform private.require_other_owner(p_workspace_id, p_user_id);
    end if;
    update public.workspace_members as m set role = p_role
    where m.workspace_id = p_workspace_id and m.user_id = p_user_id
    returning m.* into v_member;
    return v_member;
end
$$;
comment on function private.update_workspace_member(uuid, uuid, public.workspace_role) is
'Changes the role of a member, and returns the member. Only owners appoint and demote admins and owners. Raises
workspace_role_required (403), workspace_not_found or member_not_found (404), last_owner (409).';

create function private.remove_workspace_member(p_workspace_id uuid, p_user_id uuid) returns void
language plpgsql
security definer -- workspace_members is closed to clients
set search_path = ''
as $$
declare
    v_member public.workspace_members;
begin
    perform private.require_workspace_role(p_workspace_id, 'member');
    v_member := private.workspace_member(p_workspace_id, p_user_id);
    if p_user_id <> (select auth.uid()) then
        perform private.require_workspace_role(
            p_workspace_id,
            case when v_member.role > 'member' then 'owner'::public.workspace_role else 'admin' end
        );
    end if;
    if v_member.role = 'owner' then
        perform private.require_other_owner(p_workspace_id, p_user_id);
    end if;
    delete from public.workspace_members as m where m.workspace_id = p_workspace_id and m.user_id = p_user_id;
end
$$;
comment on function private.remove_workspace_member(uuid, uuid) is
'Removes a member from a workspace; with the caller''s own id, the caller leaves it. Admins remove members, owners
anybody. Raises workspace_role_required (403), workspace_not_found or member_not_found (404), last_owner (409).';

create function private.lock_workspaces_of(p_user_id uuid) returns void
language sql
set search_path = ''
as $$
    -- In one order, so that two users who leave at once do not deadlock.
    select from public.workspaces as w
    where w.id in (select m.workspace_id from public.workspace_members as m where m.user_id = p_user_id)
    order by w.id for no key update
$$;
comment on function private.lock_workspaces_of(uuid) is
'Locks the workspaces of a user until the transaction ends.';

create function private.appoint_owners(p_workspace_ids uuid[]) returns void
language sql
set search_path = ''
as $$
    update public.workspace_members as m set role = 'owner'
    from (
        select distinct on (n.workspace_id) n.workspace_id, n.user_id, n.role
        from public.workspace_members as n
        join public.accounts as a on a.user_id = n.user_id
        where n.workspace_id = any(p_workspace_ids)
        order by n.workspace_id, (a.status = 'active') desc, n.role desc, n.created_at, n.user_id
    ) as heir
    where m.workspace_id = heir.workspace_id and m.user_id = heir.user_id and heir.role < 'owner'
$$;
comment on function private.appoint_owners(uuid[]) is
'Makes the longest-standing member of the highest role owner, of those with an active account, where none of these owns
the workspace.';

create function private.account_stopped__320_workspaces(p_user_id uuid, p_status public.account_status) returns void
language plpgsql
set search_path = ''
as $$
begin
    if p_status = 'banned' then
        perform private.lock_workspaces_of(p_user_id);
        perform private.appoint_owners(array(
            select m.workspace_id from public.workspace_members as m where m.user_id = p_user_id and m.role = 'owner'
        ));
    end if;
end
$$;
comment on function private.account_stopped__320_workspaces(uuid, public.account_status) is
'A workspace that only a banned user owned also gets another owner. The user stays a member, and owns it again when
reinstated.';

create function private.account_ended__320_workspaces(p_user_id uuid) returns void
language plpgsql
set search_path = ''
as $$
declare
    v_owned uuid[];
begin
    perform private.lock_workspaces_of(p_user_id);
    with deleted_rows as (
        delete from public.workspace_members as m where m.user_id = p_user_id returning m.workspace_id, m.role
    )
    select array_agg(g.workspace_id) into v_owned from deleted_rows as g where g.role = 'owner';
    perform private.appoint_owners(v_owned);
    delete from public.workspaces as w
    where w.id = any(v_owned) and not exists (
            select from public.workspace_members as m where m.workspace_id = w.id
        );
end
$$;
comment on function private.account_ended__320_workspaces(uuid) is
'The user leaves every workspace. One that only this user owned passes to its longest-standing admin, or else member;
one without another member is deleted.';
