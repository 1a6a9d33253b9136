-- Identity: users who follow each other.

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
'Whether the caller is active and did not sign in anonymously. Policies call it as (select private.is_member()).';

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
'Users who follow others. Everybody sees a row where both profiles are public; its two users always do. Users follow
public profiles; either user deletes the row.';
comment on column public.follows.follower_is_public is
'Whether the follower''s profile is public; the database keeps it.';
comment on column public.follows.followee_is_public is
'Whether the followee''s profile is public; the database keeps it.';
comment on constraint follows_followee_id_fkey on public.follows is 'There is no such user to follow.';
comment on constraint follows_follower_id_fkey on public.follows is 'The follower has no profile.';
comment on constraint follows_pkey on public.follows is 'The user already follows this user.';
comment on constraint follows_self_check on public.follows is 'Users do not follow themselves.';
alter table public.follows enable row level security;
revoke all on public.follows from anon, authenticated, service_role;
create index follows_follower_id_created_at_idx on public.follows (follower_id, created_at desc);
comment on index public.follows_follower_id_created_at_idx is
'The users that one follows: follower_id=eq.&order=created_at.desc, and the policies';
create index follows_followee_id_created_at_idx on public.follows (followee_id, created_at desc);
comment on index public.follows_followee_id_created_at_idx is
'The followers of a user: followee_id=eq.&order=created_at.desc, and the policies';
create index follows_follower_id_follower_is_public_idx on public.follows (follower_id, follower_is_public);
comment on index public.follows_follower_id_follower_is_public_idx is 'The foreign key to the follower''s profile';
create index follows_followee_id_followee_is_public_idx on public.follows (followee_id, followee_is_public);
comment on index public.follows_followee_id_followee_is_public_idx is 'The foreign key to the followee''s profile';

create function private.tg_follows__copy_is_public() returns trigger
language plpgsql
security definer -- reads hidden profiles, too
set search_path = ''
as $$
begin
    -- The locks wait for transactions that change is_public. A missing profile counts as hidden, so that both are
    -- refused alike.
    select p.is_public into new.follower_is_public from public.profiles as p where p.id = new.follower_id for key share;
    select p.is_public into new.followee_is_public from public.profiles as p where p.id = new.followee_id for key share;
    new.follower_is_public := coalesce(new.follower_is_public, false);
    new.followee_is_public := coalesce(new.followee_is_public, false);
    return new;
end
$$;
comment on function private.tg_follows__copy_is_public() is
'Before insert: sets whether each of the two profiles is public. The foreign keys keep it equal afterwards.';
create trigger _100_copy_is_public before insert on public.follows
for each row execute function private.tg_follows__copy_is_public();

create function private.tg_follows__count() returns trigger
language plpgsql
security definer -- clients may not write user_stats
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
comment on function private.tg_follows__count() is
'After insert or delete: counts followers and followees of the users.';
create trigger _300_count_new after insert on public.follows
referencing new table as changed
for each statement execute function private.tg_follows__count();
create trigger _300_count_deleted after delete on public.follows
referencing old table as changed
for each statement execute function private.tg_follows__count();

create function private.recount_user_stats__follows(p_user_id uuid) returns void
language sql
set search_path = ''
as $$
    update public.user_stats as s
    set
        follower_count = (select count(*) from public.follows as f where f.followee_id = s.user_id),
        following_count = (select count(*) from public.follows as f where f.follower_id = s.user_id)
    where s.user_id = p_user_id
$$;
comment on function private.recount_user_stats__follows(uuid) is 'Counts followers and followees.';

create function private.lock_follows(p_user_id uuid) returns void
language sql
security definer -- locks rows of other users, too
set search_path = ''
as $$
    select from public.follows as f
    where f.follower_id = p_user_id or f.followee_id = p_user_id
    order by f.follower_id, f.followee_id
    for update
$$;
comment on function private.lock_follows(uuid) is
'Locks all follows of and by a user in one order, so that two users who follow each other do not deadlock when both
change theirs at once.';

create function private.tg_profiles__lock_follows() returns trigger
language plpgsql
security definer -- clients may not lock these rows
set search_path = ''
as $$
begin
    perform private.lock_follows(new.id);
    return new;
end
$$;
comment on function private.tg_profiles__lock_follows() is
'Before is_public of a profile changes: locks the follows that its foreign keys are about to change.';
create trigger _300_lock_follows before update of is_public on public.profiles
for each row when (old.is_public <> new.is_public) execute function private.tg_profiles__lock_follows();

create function private.account_ended__230_follows(p_user_id uuid) returns void
language plpgsql
set search_path = ''
as $$
begin
    -- The profile is hidden next. A change of is_public locks the profile before its follows, and so does this.
    perform from public.profiles as p where p.id = p_user_id for update;
    perform private.lock_follows(p_user_id);
    delete from public.follows as f where f.follower_id = p_user_id or f.followee_id = p_user_id;
end
$$;
comment on function private.account_ended__230_follows(uuid) is
'Deletes the follows of and by the user.';
