-- Identity: workspaces, in which several people work on the same things.

create type public.workspace_role as enum ('member', 'admin', 'owner');
comment on type public.workspace_role is
'member: works in it. admin: names it and chooses members. owner: chooses admins and owners too, and may delete it.';

create table public.workspaces (
    id uuid not null default gen_random_uuid() constraint workspaces_pkey primary key,
    name text not null constraint workspaces_name_check check (name ~ '\S' and char_length(name) <= 120),
    slug text not null constraint workspaces_slug_key unique,
    created_by uuid constraint workspaces_created_by_fkey references public.profiles (id) on delete set null,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now()
);
comment on table public.workspaces is
'One row for each; its members see it and nobody else does. Made by create_workspace.';
comment on column public.workspaces.slug is
'For web addresses: the name, with a random tail, so that nobody finds out by trying which workspaces there are.';
comment on column public.workspaces.created_by is 'Who made it, a member still or no more.';
alter table public.workspaces enable row level security;
revoke all on public.workspaces from anon, authenticated, service_role;
create trigger _200_set_updated_at before update on public.workspaces
for each row execute function private.tg__set_updated_at();

create index workspaces_created_by_idx on public.workspaces (created_by);
comment on index public.workspaces_created_by_idx is 'The workspaces that somebody made: created_by=eq.';

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
'Who works in which workspace, and as what. Members see each other. A workspace always has an owner.';
alter table public.workspace_members enable row level security;
revoke all on public.workspace_members from anon, authenticated, service_role;
create trigger _200_set_updated_at before update on public.workspace_members
for each row execute function private.tg__set_updated_at();

create index workspace_members_user_id_idx on public.workspace_members (user_id, role) include (workspace_id);
comment on index public.workspace_members_user_id_idx is
'my_workspace_ids, and the workspaces of one person: workspace_members.user_id=eq.';

create function private.my_workspace_ids(p_role public.workspace_role default 'member') returns uuid[]
language plpgsql
stable
security definer -- the policy of workspace_members itself asks
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
'The workspaces in which the caller has the role or one above it. Policies call it as
any((select private.my_workspace_ids())::uuid[]).';

create function private.require_workspace_role(p_workspace_id uuid, p_role public.workspace_role)
returns public.workspace_role
language plpgsql
security definer -- must tell a workspace that is missing from one that is hidden, and says the same of both
set search_path = ''
as $$
declare
    v_caller uuid := private.require_active();
    v_role public.workspace_role;
begin
    -- Changes of one workspace's members follow each other: two owners who demote each other must not both succeed.
    perform from public.workspaces as w where w.id = p_workspace_id for no key update;
    select m.role into v_role from public.workspace_members as m
    where m.workspace_id = p_workspace_id and m.user_id = v_caller;
    if not found then
        raise sqlstate 'PT404' using
            message = 'workspace_not_found',
            detail = 'There is no such workspace, or you are not a member of it.',
            hint = 'Look it up among your workspaces.';
    elsif v_role < p_role then
        raise sqlstate 'PT403' using
            message = 'workspace_role_required',
            detail = format('Only a member with the role %s can do this.', p_role),
            hint = 'Ask an owner of the workspace.';
    end if;
    return v_role;
end
$$;
comment on function private.require_workspace_role(uuid, public.workspace_role) is
'The caller''s role in a workspace, if it is at least this one; locks the workspace. Raises what require_active raises,
PT404 workspace_not_found, or PT403 workspace_role_required.';

create function private.require_other_owner(p_workspace_id uuid, p_user_id uuid) returns void
language plpgsql
set search_path = ''
as $$
begin
    if not exists (
        select from public.workspace_members as m
        where m.workspace_id = p_workspace_id and m.role = 'owner' and m.user_id <> p_user_id
    ) then
        raise sqlstate 'PT409' using
            message = 'last_owner',
            detail = 'The workspace would be left without an owner.',
            hint = 'Make somebody else owner first, or delete the workspace.';
    end if;
end
$$;
comment on function private.require_other_owner(uuid, uuid) is
'Raises PT409 last_owner where nobody but this user owns the workspace, which the caller has locked.';

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
        raise sqlstate 'PT404' using
            message = 'member_not_found',
            detail = 'This person is not a member of the workspace.',
            hint = 'Read workspace_members again.';
    end if;
    return v_member;
end
$$;
comment on function private.workspace_member(uuid, uuid) is
'One member of a workspace. Raises PT404 member_not_found. Called by functions of ours only.';

create function private.create_workspace(p_name text) returns public.workspaces
language plpgsql
security definer -- its first owner is nobody's to write
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
comment on function private.create_workspace(text) is 'Makes a workspace whose owner is the caller.';

create function public.create_workspace(name text) returns public.workspaces
language sql
set search_path = ''
as $$
    select private.create_workspace(create_workspace.name)
$$;
comment on function public.create_workspace(text) is
'Makes a workspace, owned by the caller, and answers it. Raises sign_in_required (401), account_inactive (403).';

create function private.add_workspace_member(p_workspace_id uuid, p_user_id uuid, p_role public.workspace_role)
returns public.workspace_members
language plpgsql
security definer -- members are no client's to write; the checks below decide
set search_path = ''
as $$
declare
    v_member public.workspace_members;
begin
    perform private.require_workspace_role(p_workspace_id, 'admin');
    if p_role > 'member' then
        perform private.require_workspace_role(p_workspace_id, 'owner');
    end if;
    -- Whoever hides his profile is not to be found by trying ids.
    if not exists (select from public.profiles as p where p.id = p_user_id and p.is_public) then
        raise sqlstate 'PT404' using
            message = 'user_not_found',
            detail = 'There is no such user.',
            hint = 'Check the id.';
    end if;
    insert into public.workspace_members as m (workspace_id, user_id, role)
    values (p_workspace_id, p_user_id, coalesce(p_role, 'member'))
    on conflict (workspace_id, user_id) do nothing
    returning m.* into v_member;
    if not found then
        raise sqlstate 'PT409' using
            message = 'already_member',
            detail = 'This person is a member of the workspace already.',
            hint = 'Change the role with update_workspace_member.';
    end if;
    return v_member;
end
$$;
comment on function private.add_workspace_member(uuid, uuid, public.workspace_role) is
'Adds somebody whose profile is public. Admins add members, owners anybody. Raises what require_workspace_role raises,
PT404 user_not_found, PT409 already_member.';

create function public.add_workspace_member(
    workspace_id uuid, user_id uuid, role public.workspace_role default 'member'
)
returns public.workspace_members
language sql
set search_path = ''
as $$
    select private.add_workspace_member(
        add_workspace_member.workspace_id, add_workspace_member.user_id, add_workspace_member.role
    )
$$;
comment on function public.add_workspace_member(uuid, uuid, public.workspace_role) is
'Adds somebody with a public profile to a workspace. For its admins; admins and owners are made by owners only. Raises
workspace_role_required (403), workspace_not_found or user_not_found (404), already_member (409).';

create function private.update_workspace_member(p_workspace_id uuid, p_user_id uuid, p_role public.workspace_role)
returns public.workspace_members
language plpgsql
security definer -- members are no client's to write; the checks below decide
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
'Changes a member''s role; only owners make and unmake admins and owners. Raises what require_workspace_role raises,
PT404 member_not_found, PT409 last_owner.';

create function public.update_workspace_member(workspace_id uuid, user_id uuid, role public.workspace_role)
returns public.workspace_members
language sql
set search_path = ''
as $$
    select private.update_workspace_member(
        update_workspace_member.workspace_id, update_workspace_member.user_id, update_workspace_member.role
    )
$$;
comment on function public.update_workspace_member(uuid, uuid, public.workspace_role) is
'Changes the role of a member. Admins and owners are made and unmade by owners only. Raises workspace_role_required
(403), workspace_not_found or member_not_found (404), last_owner (409).';

create function private.remove_workspace_member(p_workspace_id uuid, p_user_id uuid) returns void
language plpgsql
security definer -- members are no client's to write; the checks below decide
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
'Removes a member, or lets the caller leave; only owners remove admins and owners. Raises what require_workspace_role
raises, PT404 member_not_found, PT409 last_owner.';

create function public.remove_workspace_member(workspace_id uuid, user_id uuid) returns void
language sql
set search_path = ''
as $$
    select private.remove_workspace_member(remove_workspace_member.workspace_id, remove_workspace_member.user_id)
$$;
comment on function public.remove_workspace_member(uuid, uuid) is
'Removes a member of a workspace; with the own id, leaves it. Admins remove members, owners anybody. Raises
workspace_role_required (403), workspace_not_found or member_not_found (404), last_owner (409).';

create function private.tg_users__leave_workspaces() returns trigger
language plpgsql
security definer -- auth deletes the user as supabase_auth_admin, which must not write our tables
set search_path = ''
as $$
declare
    v_owned uuid[];
begin
    -- In one order, so that two who leave at once do not wait for each other for ever.
    perform from public.workspaces as w
    where w.id in (select m.workspace_id from public.workspace_members as m where m.user_id = old.id)
    order by w.id for no key update;
    with gone as (
        delete from public.workspace_members as m where m.user_id = old.id returning m.workspace_id, m.role
    )
    select array_agg(g.workspace_id) into v_owned from gone as g where g.role = 'owner';
    -- Where no owner is left, the one who has most say, and has it longest, becomes owner.
    update public.workspace_members as m set role = 'owner'
    from (
        select distinct on (n.workspace_id) n.workspace_id, n.user_id, n.role
        from public.workspace_members as n
        where n.workspace_id = any(v_owned)
        order by n.workspace_id, n.role desc, n.created_at, n.user_id
    ) as heir
    where m.workspace_id = heir.workspace_id and m.user_id = heir.user_id and heir.role < 'owner';
    delete from public.workspaces as w
    where w.id = any(v_owned) and not exists (
            select from public.workspace_members as m where m.workspace_id = w.id
        );
    return null;
end
$$;
comment on function private.tg_users__leave_workspaces() is
'After a user is deleted in auth, softly or for good: he leaves every workspace. One that he alone owned passes to the
admin, or else the member, who has been there longest; one that he had to himself goes.';
create trigger guildhall_leave_workspaces after delete on auth.users
for each row execute function private.tg_users__leave_workspaces();
create trigger guildhall_leave_workspaces_of_soft_deleted after update of deleted_at on auth.users
for each row when (old.deleted_at is null and new.deleted_at is not null)
execute function private.tg_users__leave_workspaces();
