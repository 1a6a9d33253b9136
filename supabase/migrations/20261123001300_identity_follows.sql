-- Identity: who follows whom.

create function private.is_member() returns boolean
language plpgsql
stable
security definer -- auth.users is closed to clients
set search_path = ''
as $$
begin
    return private.is_active() and exists (
        select from auth.users as u where u.id = (select auth.uid()) and not u.is_anonymous
    );
end
$$;
comment on function private.is_member() is
'Whether the caller may act and is more than a guest, who signed in anonymously. Policies call it as
(select private.is_member()).';

create table public.follows (
    follower_id uuid not null default auth.uid(),
    followee_id uuid not null,
    follower_is_public boolean not null,
    followee_is_public boolean not null,
    created_at timestamptz not null default now(),
    constraint follows_pkey primary key (follower_id, followee_id),
    constraint follows_self_check check (follower_id <> followee_id),
    constraint follows_follower_id_fkey foreign key (follower_id, follower_is_public)
    references public.profiles (id, is_public) on update cascade on delete cascade,
    constraint follows_followee_id_fkey foreign key (followee_id, followee_is_public)
    references public.profiles (id, is_public) on update cascade on delete cascade
);
comment on table public.follows is
'Who follows whom. Everybody sees it where both profiles are public; the two themselves always. One follows public
profiles; either ends it by deleting the row.';
comment on column public.follows.follower_is_public is 'That of the follower''s profile; the database keeps it.';
comment on column public.follows.followee_is_public is 'That of the followee''s profile; the database keeps it.';
alter table public.follows enable row level security;
revoke all on public.follows from anon, authenticated, service_role;
create index follows_follower_id_created_at_idx on public.follows (follower_id, created_at desc);
comment on index public.follows_follower_id_created_at_idx is
'Whom somebody follows: follower_id=eq.&order=created_at.desc, and the policies';
create index follows_followee_id_created_at_idx on public.follows (followee_id, created_at desc);
comment on index public.follows_followee_id_created_at_idx is
'Who follows somebody: followee_id=eq.&order=created_at.desc, and the policies';
create index follows_follower_id_follower_is_public_idx on public.follows (follower_id, follower_is_public);
comment on index public.follows_follower_id_follower_is_public_idx is 'The foreign key of the follower';
create index follows_followee_id_followee_is_public_idx on public.follows (followee_id, followee_is_public);
comment on index public.follows_followee_id_followee_is_public_idx is 'The foreign key of the followee';

create function private.tg_follows__copy_is_public() returns trigger
language plpgsql
security definer -- a hidden profile's privacy is copied, too
set search_path = ''
as $$
begin
    -- The locks wait for one who is just changing it. A profile that is not there counts as hidden: both are refused
    -- alike.
    select p.is_public into new.follower_is_public from public.profiles as p where p.id = new.follower_id for key share;
    select p.is_public into new.followee_is_public from public.profiles as p where p.id = new.followee_id for key share;
    new.follower_is_public := coalesce(new.follower_is_public, false);
    new.followee_is_public := coalesce(new.followee_is_public, false);
    return new;
end
$$;
comment on function private.tg_follows__copy_is_public() is
'Before insert: whether each of the two profiles is public. From then on the foreign keys keep it so.';
create trigger _100_copy_is_public before insert on public.follows
for each row execute function private.tg_follows__copy_is_public();

create function private.tg_follows__count() returns trigger
language plpgsql
security definer -- figures are no client's to write
set search_path = ''
as $$
begin
    perform private.lock_user_stats(array(
        select c.follower_id from changed as c
        union all
        select c.followee_id from changed as c
    ));
    update public.user_stats as s
    set
        following_count = s.following_count + d.following,
        follower_count = s.follower_count + d.followers
    from (
        select e.user_id, sum(e.following) as following, sum(e.followers) as followers
        from changed as c
        cross join lateral (values (c.follower_id, 1, 0), (c.followee_id, 0, 1)) as e (user_id, following, followers)
        group by e.user_id
    ) as n
    cross join lateral (select case tg_op when 'INSERT' then 1 else -1 end as sign) as o
    cross join lateral (select n.following * o.sign as following, n.followers * o.sign as followers) as d
    where s.user_id = n.user_id;
    return null;
end
$$;
comment on function private.tg_follows__count() is 'After insert or delete: how many each follows and is followed by.';
create trigger _300_count_new after insert on public.follows
referencing new table as changed
for each statement execute function private.tg_follows__count();
create trigger _300_count_gone after delete on public.follows
referencing old table as changed
for each statement execute function private.tg_follows__count();

create function private.lock_follows(p_user_id uuid) returns void
language sql
security definer -- rows that are others', too
set search_path = ''
as $$
    select from public.follows as f
    where f.follower_id = p_user_id or f.followee_id = p_user_id
    order by f.follower_id, f.followee_id
    for update
$$;
comment on function private.lock_follows(uuid) is
'Locks all that somebody follows and is followed by, always in the same order: two who follow each other and both change
all of theirs at once do not deadlock.';

create function private.tg_profiles__lock_follows() returns trigger
language plpgsql
security definer -- see lock_follows
set search_path = ''
as $$
begin
    perform private.lock_follows(new.id);
    return new;
end
$$;
comment on function private.tg_profiles__lock_follows() is
'Before a profile is hidden or shown: its follows are about to change by their foreign keys.';
create trigger _300_lock_follows before update of is_public on public.profiles
for each row when (old.is_public <> new.is_public) execute function private.tg_profiles__lock_follows();

create function private.tg_users__bury_follows() returns trigger
language plpgsql
security definer -- auth deletes the user as supabase_auth_admin, which must not write our tables
set search_path = ''
as $$
begin
    -- The profile is about to be hidden: whoever does both locks it first, and those who follow wait for it.
    perform from public.profiles as p where p.id = old.id for update;
    perform private.lock_follows(old.id);
    delete from public.follows as f where f.follower_id = old.id or f.followee_id = old.id;
    return null;
end
$$;
comment on function private.tg_users__bury_follows() is
'After a user is deleted in auth, softly or for good: nobody follows, or is followed by, a deleted account.';
create trigger guildhall_bury_follows after delete on auth.users
for each row execute function private.tg_users__bury_follows();
create trigger guildhall_bury_soft_deleted_follows after update of deleted_at on auth.users
for each row when (old.deleted_at is null and new.deleted_at is not null)
execute function private.tg_users__bury_follows();
