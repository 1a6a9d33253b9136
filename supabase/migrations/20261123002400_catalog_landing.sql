-- Catalog: in which order courses and creators are shown to whoever comes by.

create function private.tg__copy_creator_is_public() returns trigger
language plpgsql
security definer -- a hidden profile's privacy is copied, too
set search_path = ''
as $$
begin
    -- The lock waits for one who is just changing it.
    select p.is_public into new.is_public from public.profiles as p where p.id = new.creator_id for key share;
    new.is_public := coalesce(new.is_public, false);
    return new;
end
$$;
comment on function private.tg__copy_creator_is_public() is
'Before insert, or of another creator: the row is public if the profile of its creator is. From then on the foreign
key keeps it so.';

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
'Whom admins put forward: one row for each creator who stands otherwise than where the figures put him. Admins write
it, and the audit log says so; it is as public as the profile.';
comment on column public.creator_placements.is_public is 'That of the profile; the database keeps it.';
comment on column public.creator_placements.is_featured is 'Whether the creator is among the featured ones.';
comment on column public.creator_placements.display_priority is
'Where the creator, and all courses of the creator, stand in lists: smallest first, 1000 for no matter.';
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
'After an admin placed somebody: the audit log says where.';
create trigger _500_audit after insert or update of is_featured, display_priority or delete
on public.creator_placements
for each row execute function private.tg_creator_placements__audit();

create table public.course_stats (
    course_id uuid not null constraint course_stats_pkey primary key
    constraint course_stats_course_id_fkey references public.courses (id) on delete cascade,
    display_priority integer not null default 1000,
    student_count integer not null default 0
    constraint course_stats_student_count_check check (student_count >= 0)
);
comment on table public.course_stats is
'By what courses are ordered, one row a course: order=course_stats(display_priority),course_stats(student_count).desc
of courses. Whoever sees the course sees it; triggers keep it.';
comment on column public.course_stats.display_priority is 'That of its creator in creator_placements, else 1000.';
comment on column public.course_stats.student_count is 'How many take the course, or completed it.';
alter table public.course_stats enable row level security;
revoke all on public.course_stats from anon, authenticated, service_role;
create index course_stats_popular_idx on public.course_stats (display_priority, student_count desc, course_id);
comment on index public.course_stats_popular_idx is
'The popular courses: order=course_stats(display_priority),course_stats(student_count).desc';

create function private.tg_courses__create_stats() returns trigger
language plpgsql
security definer -- figures are no client's to make
set search_path = ''
as $$
begin
    perform from public.profiles as p where p.id = new.creator_id for share; -- waits for who is just placing the creator
    insert into public.course_stats as s (course_id, display_priority)
    values (
        new.id,
        coalesce((select l.display_priority from public.creator_placements as l where l.creator_id = new.creator_id), 1000)
    )
    on conflict (course_id) do update set display_priority = excluded.display_priority;
    return null;
end
$$;
comment on function private.tg_courses__create_stats() is
'After a course is made or changes hands: its figures, with the priority of its creator.';
create trigger _250_create_stats after insert or update of creator_id on public.courses
for each row execute function private.tg_courses__create_stats();

create function private.tg_creator_placements__place_courses() returns trigger
language plpgsql
security definer -- figures are no client's to write
set search_path = ''
as $$
begin
    -- Waits for who is just making a course of theirs.
    perform from public.profiles as p where p.id in (old.creator_id, new.creator_id) order by p.id for no key update;
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
'After a creator is placed: so are the creator''s courses.';
create trigger _300_place_courses
after insert or update of creator_id, display_priority or delete on public.creator_placements
for each row execute function private.tg_creator_placements__place_courses();

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
'Those who have published courses and whose profile is public, for everybody:
order=display_priority,student_count.desc, or handle=eq. for one. What hangs on the profile is embedded:
select=*,courses(*),user_qualifications(*),user_expertise(*), user_stats(*); who knows about something:
user_expertise!inner(topic)&user_expertise.topic=eq. By name there is search_creators.';
comment on column public.creators.handle is 'The name in web addresses.';
comment on column public.creators.display_name is 'The name that people read.';
comment on column public.creators.headline is 'One line about the person.';
comment on column public.creators.bio is 'Some paragraphs about the person, Markdown.';
comment on column public.creators.location is 'Where the person is, in the person''s own words.';
comment on column public.creators.website_url is 'An http or https address.';
comment on column public.creators.avatar_path is 'The picture''s path in the storage bucket `avatars`.';
comment on column public.creators.is_public is 'True: others are not shown.';
comment on column public.creators.published_course_count is 'How many courses of the person are published.';
comment on column public.creators.student_count is 'How many people take, or took, a course of the person.';
comment on column public.creators.follower_count is 'How many follow the person.';
comment on column public.creators.is_featured is 'Whether admins put the person forward.';
comment on column public.creators.display_priority is
'Where the person stands in lists: smallest first, 1000 for no matter.';
create trigger _100_refuse_write instead of insert or update or delete on public.creators
for each row execute function private.tg__refuse_write();

create index user_stats_creators_idx on public.user_stats (student_count desc, user_id)
where published_course_count > 0;
comment on index public.user_stats_creators_idx is 'The list of creators: the condition of the view creators';

create function private.search_creators(p_query text) returns table (user_id uuid, place bigint)
language plpgsql
stable
security definer -- what is searched is closed to clients; it answers only whom everybody sees
set search_path = ''
rows 50
as $$
begin
    return query
    select m.user_id, m.place
    from private.matching_user_ids(p_query, 500) as m
    join public.user_stats as s on s.user_id = m.user_id and s.published_course_count > 0
    order by m.place
    limit 50;
end
$$;
comment on function private.search_creators(text) is
'The creators meant by what somebody typed, at most 50, best first. Of a name that more than 500 people bear, not all
are looked at.';

create function public.search_creators(q text) returns setof public.creators
language sql
stable
set search_path = ''
rows 50
as $$
    select c.*
    from private.search_creators(search_creators.q) as s
    join public.creators as c on c.id = s.user_id
    order by s.place
$$;
comment on function public.search_creators(text) is
'Finds creators by name and handle as one types, at most 50, best first, as search_users does: rows of creators. For
everybody.';
