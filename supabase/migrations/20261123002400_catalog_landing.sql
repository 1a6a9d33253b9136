-- Catalog: the order in which lists show courses and creators.

create function private.tg__copy_creator_is_public() returns trigger
language plpgsql
security definer -- must read hidden profiles
set search_path = ''
as $$
begin
    -- The lock waits for a change of is_public that is not committed yet, and for a deletion, which holds the profile
    -- before the statistics and changes is_public after them.
    select p.is_public into new.is_public from public.profiles as p where p.id = new.creator_id for share;
    new.is_public := coalesce(new.is_public, false);
    return new;
end
$$;
comment on function private.tg__copy_creator_is_public() is
'Before an insert or a change of the creator: copies whether the profile of the creator is public. The foreign key keeps
the copy true.';

create table public.creator_placements (
    creator_id uuid not null constraint creator_placements_pkey primary key,
    is_public boolean not null,
    is_featured boolean not null default false,
    display_priority integer not null default 1000
    constraint creator_placements_display_priority_check check (display_priority between 1 and 1000),
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    constraint creator_placements_creator_id_fkey foreign key (creator_id, is_public)
    references public.profiles (id, is_public) on update cascade on delete cascade
);
comment on table public.creator_placements is
'The creators whom admins place in lists, one row each; the others stand where their statistics put them. Admins write
it, and the audit log records that. It is as public as the profile of the creator.';
comment on column public.creator_placements.is_public is 'Whether the profile is public; the database keeps it.';
comment on column public.creator_placements.is_featured is 'Whether admins feature the creator.';
comment on column public.creator_placements.display_priority is
'The place of the creator and their courses in lists: smallest first, 1 to 1000; 1000 is the default for all creators.';
comment on constraint creator_placements_pkey on public.creator_placements is 'This creator already has a placement.';
comment on constraint creator_placements_creator_id_fkey on public.creator_placements is 'There is no such profile.';
comment on constraint creator_placements_display_priority_check on public.creator_placements is
'A display priority is between 1 and 1000.';
alter table public.creator_placements enable row level security;
revoke all on public.creator_placements from anon, authenticated, service_role;
create index creator_placements_creator_id_is_public_idx on public.creator_placements (creator_id, is_public);
comment on index public.creator_placements_creator_id_is_public_idx is 'The foreign key';
create trigger _100_copy_is_public before insert or update of creator_id on public.creator_placements
for each row execute function private.tg__copy_creator_is_public();
create trigger _200_set_updated_at before update on public.creator_placements
for each row execute function private.tg__set_updated_at();

create function private.tg_creator_placements__audit() returns trigger
language plpgsql
security definer -- the audit log is closed to clients
set search_path = ''
as $$
begin
    perform private.audit(
        'creator_placement.' || lower(tg_op), 'creator_placements', coalesce(new.creator_id, old.creator_id)::text,
        case when tg_op <> 'INSERT' then
            jsonb_build_object('is_featured', old.is_featured, 'display_priority', old.display_priority)
        end,
        case when tg_op <> 'DELETE' then
            jsonb_build_object('is_featured', new.is_featured, 'display_priority', new.display_priority)
        end
    );
    return null;
end
$$;
comment on function private.tg_creator_placements__audit() is
'After an admin writes a placement: records it in the audit log.';
create trigger _500_audit after insert or update of is_featured, display_priority or delete
on public.creator_placements
for each row execute function private.tg_creator_placements__audit();

create table public.course_stats (
    course_id uuid not null constraint course_stats_pkey primary key
    constraint course_stats_course_id_fkey references public.courses (id) on delete cascade,
    is_public boolean not null default false,
    display_priority integer not null default 1000,
    student_count integer not null default 0
    constraint course_stats_student_count_check check (student_count >= 0),
    one_star_count integer not null default 0,
    two_star_count integer not null default 0,
    three_star_count integer not null default 0,
    four_star_count integer not null default 0,
    five_star_count integer not null default 0,
    rating_count integer not null generated always as (
        one_star_count + two_star_count + three_star_count + four_star_count + five_star_count
    ) stored,
    rating_average numeric(3, 2) generated always as (
        (
            one_star_count + 2 * two_star_count + 3 * three_star_count + 4 * four_star_count + 5 * five_star_count
        )::numeric
        / nullif(one_star_count + two_star_count + three_star_count + four_star_count + five_star_count, 0)
    ) stored,
    constraint course_stats_star_counts_check check (
        least(one_star_count, two_star_count, three_star_count, four_star_count, five_star_count) >= 0
    ),
    constraint course_stats_course_id_is_public_key unique (course_id, is_public)
);
comment on table public.course_stats is
'What courses are ordered by, one row a course: order=course_stats(display_priority),course_stats(student_count).desc of
courses. Everybody reads the rows of published courses, creators those of their courses, moderators all. Triggers write
it.';
comment on column public.course_stats.is_public is
'Whether the course is published: a policy that read courses instead would read all of them.';
comment on column public.course_stats.display_priority is
'The display_priority of its creator in creator_placements, else 1000.';
comment on column public.course_stats.student_count is 'The number of students with open access.';
comment on column public.course_stats.one_star_count is 'How many listed reviews rate the course 1.';
comment on column public.course_stats.two_star_count is 'How many listed reviews rate the course 2.';
comment on column public.course_stats.three_star_count is 'How many listed reviews rate the course 3.';
comment on column public.course_stats.four_star_count is 'How many listed reviews rate the course 4.';
comment on column public.course_stats.five_star_count is 'How many listed reviews rate the course 5.';
comment on column public.course_stats.rating_count is 'How many listed reviews the course has.';
comment on column public.course_stats.rating_average is 'The average rating of its listed reviews; null without any.';
comment on constraint course_stats_course_id_is_public_key on public.course_stats is
'The foreign key of reviews, which copies is_public.';
alter table public.course_stats enable row level security;
revoke all on public.course_stats from anon, authenticated, service_role;
create index course_stats_popular_idx on public.course_stats (display_priority, student_count desc, course_id);
comment on index public.course_stats_popular_idx is
'The popular courses: order=course_stats(display_priority),course_stats(student_count).desc';
create index course_stats_rating_idx on public.course_stats (rating_average desc nulls last, rating_count desc);
comment on index public.course_stats_rating_idx is
'The best courses: order=course_stats(rating_average).desc.nullslast,course_stats(rating_count).desc';

create function private.lock_placement(p_creator_id uuid, p_is_shared boolean) returns void
language plpgsql
set search_path = ''
as $$
declare
    v_key constant bigint := pg_catalog.hashtextextended('placement:' || p_creator_id::text, 0);
begin
    if p_is_shared then
        perform pg_catalog.pg_advisory_xact_lock_shared(v_key);
    else
        perform pg_catalog.pg_advisory_xact_lock(v_key);
    end if;
end
$$;
comment on function private.lock_placement(uuid, boolean) is
'Keeps the placement of a creator as it is until the transaction ends. Shared, for transactions that copy it to a
course; exclusive, for those that change it. Not a lock of the profile: hiding a profile locks it before the
placement.';

create function private.tg_courses__set_stats() returns trigger
language plpgsql
security definer -- clients may not write statistics
set search_path = ''
as $$
begin
    perform private.lock_placement(new.creator_id, true);
    insert into public.course_stats as s (course_id, is_public, display_priority)
    values (
        new.id,
        new.status = 'published',
        coalesce((select l.display_priority from public.creator_placements as l where l.creator_id = new.creator_id), 1000)
    )
    on conflict (course_id) do update set is_public = excluded.is_public, display_priority = excluded.display_priority;
    return null;
end
$$;
comment on function private.tg_courses__set_stats() is
'After a course is inserted, or changes its status or creator: copies whether it is published, and the display priority
of its creator.';
-- After user_stats are counted, in the order of catalog_locks.
create trigger _310_set_stats after insert or update of creator_id, status on public.courses
for each row execute function private.tg_courses__set_stats();

create function private.tg_creator_placements__place_courses() returns trigger
language plpgsql
security definer -- clients may not write statistics
set search_path = ''
as $$
begin
    perform private.lock_placement(i.id, false)
    from (select distinct i.id from unnest(array[old.creator_id, new.creator_id]) as i (id) order by i.id) as i
    where i.id is not null;
    perform from public.course_stats as s
    join public.courses as c on c.id = s.course_id
    where c.creator_id in (old.creator_id, new.creator_id)
    order by s.course_id for no key update of s;
    update public.course_stats as s
    set
        display_priority = coalesce(
            (select l.display_priority from public.creator_placements as l where l.creator_id = c.creator_id), 1000
        )
    from public.courses as c
    where c.id = s.course_id and c.creator_id in (old.creator_id, new.creator_id);
    return null;
end
$$;
comment on function private.tg_creator_placements__place_courses() is
'After a placement changes: copies the display priority to the courses of the creator.';
create trigger _300_place_courses after insert or delete on public.creator_placements
for each row execute function private.tg_creator_placements__place_courses();
-- Not when the foreign key updates is_public, while the profile is locked.
create trigger _300_place_courses_on_change after update of creator_id, display_priority on public.creator_placements
for each row when ((old.creator_id, old.display_priority) is distinct from (new.creator_id, new.display_priority))
execute function private.tg_creator_placements__place_courses();

create view public.creators with (security_invoker = true) as
select
    p.id,
    p.handle,
    p.display_name,
    p.headline,
    p.bio,
    p.location,
    p.website_url,
    p.avatar_path,
    p.is_public,
    s.published_course_count,
    s.student_count,
    s.follower_count,
    p.created_at,
    coalesce(l.is_featured, false) as is_featured,
    coalesce(l.display_priority, 1000) as display_priority
from public.profiles as p
inner join public.user_stats as s on p.id = s.user_id
left join public.creator_placements as l on p.id = l.creator_id
where s.published_course_count > 0 and p.is_public;
comment on view public.creators is
'The people with published courses and a public profile, for everybody: order=display_priority,student_count.desc, or
handle=eq. for one. Embed what belongs to the profile: select=*,courses(*),user_qualifications(*),user_expertise(*),
user_stats(*); filter by topic: user_expertise!inner(topic)&user_expertise.topic=eq. search_creators finds by name.';
comment on column public.creators.handle is 'The name in web addresses.';
comment on column public.creators.display_name is 'The name of the creator.';
comment on column public.creators.headline is 'One line about the creator.';
comment on column public.creators.bio is 'Some paragraphs about the creator, in Markdown.';
comment on column public.creators.location is 'The place where the creator lives, in their own words.';
comment on column public.creators.website_url is 'An http or https address.';
comment on column public.creators.avatar_path is 'The path of the picture in the storage bucket `avatars`.';
comment on column public.creators.is_public is 'Always true: the view leaves hidden profiles out.';
comment on column public.creators.published_course_count is 'The number of published courses.';
comment on column public.creators.student_count is 'The number of students of their courses, each counted once.';
comment on column public.creators.follower_count is 'The number of followers.';
comment on column public.creators.is_featured is 'Whether admins feature the creator.';
comment on column public.creators.display_priority is 'The place in lists, 1 to 1000: smallest first.';
create trigger _100_refuse_write instead of insert or update or delete on public.creators
for each row execute function private.tg__refuse_write();

create index user_stats_creators_idx on public.user_stats (student_count desc, user_id)
where published_course_count > 0;
comment on index public.user_stats_creators_idx is 'The list of creators: the condition of the view creators';

create function private.search_creators(p_query text) returns table (user_id uuid, rank bigint)
language plpgsql
stable
security definer -- clients may not read the search terms; it finds only creators whom everybody may read
set search_path = ''
rows 50
as $$
begin
    return query
    select m.user_id, m.rank
    from private.matching_user_ids(p_query, 500) as m
    join public.user_stats as s on s.user_id = m.user_id and s.published_course_count > 0
    order by m.rank
    limit 50;
end
$$;
comment on function private.search_creators(text) is
'Finds creators by what somebody types, at most 50, best match first. Of a name that more than 500 people have, it looks
at 500.';

-- By hand: reads the rows that the search found as the caller, under row level security.
create function public.search_creators(q text) returns setof public.creators
language sql
stable
set search_path = ''
rows 50
as $$
    select c.*
    from private.search_creators(search_creators.q) as s
    join public.creators as c on c.id = s.user_id
    order by s.rank
$$;
comment on function public.search_creators(text) is
'Finds creators by name and handle as search_users does, at most 50 rows of creators, best match first. For everybody.';
