-- Catalog: courses and the categories they stand in.

create table public.categories (
    id uuid not null default gen_random_uuid() constraint categories_pkey primary key,
    slug text not null constraint categories_slug_key unique
    constraint categories_slug_check check (slug ~ '^[a-z0-9]+(-[a-z0-9]+)*$' and char_length(slug) <= 60),
    name text not null constraint categories_name_check check (name ~ '\S' and char_length(name) <= 80),
    description text constraint categories_description_check check (char_length(description) <= 500),
    position integer not null constraint categories_position_check check (position > 0),
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    constraint categories_position_key unique (position) deferrable initially deferred
);
comment on table public.categories is 'The shelves of the catalogue. Everybody reads them, admins write them.';
comment on column public.categories.slug is 'The name in web addresses.';
comment on column public.categories.position is
'Where it stands in lists, from 1 without gaps; given by the database, and changed by reorder_categories.';
alter table public.categories enable row level security;
revoke all on public.categories from anon, authenticated, service_role;
create trigger _200_set_updated_at before update on public.categories
for each row execute function private.tg__set_updated_at();

create type public.course_status as enum ('draft', 'published', 'archived', 'suspended', 'deleted');
comment on type public.course_status is
'draft: its creator''s alone. published: everybody''s to find. archived: no longer to be found, still open to those who
have it. suspended: taken down by moderators. deleted: gone for good, but for those who have it.';

create type public.course_level as enum ('beginner', 'intermediate', 'advanced', 'all');
comment on type public.course_level is 'Whom a course is for; `all` for everybody.';

create table public.courses (
    id uuid not null default gen_random_uuid() constraint courses_pkey primary key,
    creator_id uuid not null default auth.uid()
    constraint courses_creator_id_fkey references public.profiles (id) on delete restrict,
    category_id uuid constraint courses_category_id_fkey references public.categories (id) on delete set null,
    slug text not null constraint courses_slug_key unique
    constraint courses_slug_check check (slug ~ '^[a-z0-9]+(-[a-z0-9]+)*$' and char_length(slug) <= 80),
    title text not null constraint courses_title_check check (title ~ '\S' and char_length(title) <= 160),
    subtitle text constraint courses_subtitle_check check (char_length(subtitle) <= 200),
    description text constraint courses_description_check check (char_length(description) <= 20000),
    level public.course_level not null default 'all',
    language text not null default 'en'
    constraint courses_language_check check (language ~ '^[a-z]{2,3}(-[A-Za-z0-9]{2,8})*$'),
    objectives text[] not null default '{}',
    includes text[] not null default '{}',
    prerequisites text[] not null default '{}',
    target_audience text[] not null default '{}',
    tags text[] not null default '{}',
    thumbnail_path text constraint courses_thumbnail_path_check
    check (starts_with(thumbnail_path, id::text || '/') and char_length(thumbnail_path) <= 300),
    price_amount bigint not null default 0 constraint courses_price_amount_check check (price_amount >= 0),
    price_currency text not null default 'EUR'
    constraint courses_price_currency_check check (price_currency ~ '^[A-Z]{3}$'),
    is_intro boolean not null default false,
    status public.course_status not null default 'draft',
    status_reason text constraint courses_status_reason_check check (char_length(status_reason) <= 1000),
    is_featured boolean not null default false,
    lesson_count integer not null default 0 constraint courses_lesson_count_check check (lesson_count >= 0),
    duration_seconds bigint not null default 0
    constraint courses_duration_seconds_check check (duration_seconds >= 0),
    published_at timestamptz,
    search tsvector generated always as (
        setweight(to_tsvector('pg_catalog.simple', title), 'A')
        || setweight(to_tsvector('pg_catalog.simple', coalesce(subtitle, '')), 'B')
        || setweight(to_tsvector('pg_catalog.simple', coalesce(description, '')), 'C')
    ) stored,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    constraint courses_lists_check check (
        cardinality(objectives) <= 50 and cardinality(includes) <= 50 and cardinality(prerequisites) <= 50
        and cardinality(target_audience) <= 50 and cardinality(tags) <= 50
        and pg_column_size(objectives) + pg_column_size(includes) + pg_column_size(prerequisites)
        + pg_column_size(target_audience) + pg_column_size(tags) <= 40000
    ),
    constraint courses_published_at_check check (status <> 'published' or published_at is not null),
    constraint courses_suspended_check check (status_reason is null or status = 'suspended'),
    constraint courses_is_intro_check check (not is_intro or price_amount = 0)
);
comment on table public.courses is
'Courses. Published ones are for everybody to read; a teacher writes his own. Status, creator and featuring are
changed by
functions only.';
comment on column public.courses.creator_id is 'Whose course it is: the teacher who made it.';
comment on column public.courses.slug is 'The name in web addresses; made from the title where none is given.';
comment on column public.courses.subtitle is 'One line under the title.';
comment on column public.courses.description is 'What the course is about, Markdown.';
comment on column public.courses.level is 'Whom it is for.';
comment on column public.courses.language is 'What it is taught in, as a BCP 47 tag.';
comment on column public.courses.objectives is 'What a student can do afterwards, one item each.';
comment on column public.courses.includes is 'What comes with it, one item each.';
comment on column public.courses.prerequisites is 'What a student should know before, one item each.';
comment on column public.courses.target_audience is 'Who should take it, one item each.';
comment on column public.courses.tags is 'Words to find it by.';
comment on column public.courses.thumbnail_path is
'The picture''s path in the storage bucket `course-thumbnails`; begins with the course''s id.';
comment on column public.courses.price_amount is 'What it costs, in minor units of the currency; 0 is free.';
comment on column public.courses.price_currency is 'ISO 4217, upper case.';
comment on column public.courses.is_intro is
'Whether it is a taster, of which each person may take only so many; an intro course is free.';
comment on column public.courses.status is
'Changed by publish_course, unpublish_course, archive_course, delete_course, suspend_course and unsuspend_course.';
comment on column public.courses.status_reason is
'Why moderators suspended it: for its creator, who sees it then, and for moderators.';
comment on column public.courses.lesson_count is 'How many lessons it has; counted by the database.';
comment on column public.courses.duration_seconds is
'About how long all lessons take together; summed by the database.';
comment on column public.courses.is_featured is 'Whether admins put it forward.';
comment on column public.courses.published_at is 'When it was first published.';
comment on column public.courses.search is 'For full-text filters: search=wfts(simple).word';
alter table public.courses enable row level security;
revoke all on public.courses from anon, authenticated, service_role;

create index courses_creator_id_idx on public.courses (creator_id, created_at desc);
comment on index public.courses_creator_id_idx is
'A creator''s courses: creator_id=eq.&order=created_at.desc, and the policies';
create index courses_category_id_idx on public.courses (category_id);
comment on index public.courses_category_id_idx is 'A category''s courses: category_id=eq., and the foreign key';
create index courses_published_idx on public.courses (published_at desc, id) where status = 'published';
comment on index public.courses_published_idx is 'The catalogue: status=eq.published&order=published_at.desc';
create index courses_intro_idx on public.courses (is_intro desc, published_at desc, id) where status = 'published';
comment on index public.courses_intro_idx is
'The landing page: status=eq.published&order=is_intro.desc,published_at.desc, and is_intro=is.true of these';
create index courses_search_idx on public.courses using gin (search);
comment on index public.courses_search_idx is 'Full-text search: search=wfts(simple).';

insert into private.status_transitions (table_name, from_status, to_status)
values
('courses', 'draft', 'published'),
('courses', 'published', 'draft'),
('courses', 'published', 'archived'),
('courses', 'archived', 'published'),
('courses', 'draft', 'suspended'),
('courses', 'published', 'suspended'),
('courses', 'archived', 'suspended'),
('courses', 'draft', 'deleted'),
('courses', 'published', 'deleted'),
('courses', 'archived', 'deleted'),
('courses', 'suspended', 'draft');
create trigger _100_check_transition before update of status on public.courses
for each row when (old.status is distinct from new.status) execute function private.tg__check_transition();
create trigger _200_set_updated_at before update on public.courses
for each row execute function private.tg__set_updated_at();

create function private.tg_courses__set_slug() returns trigger
language plpgsql
security definer -- a slug can be taken by a course that the caller may not see
set search_path = ''
as $$
declare
    v_base text := coalesce(nullif(private.slugify(new.title), ''), 'course');
begin
    -- Courses with the same title take turns, or two at once would both find the slug free.
    perform pg_catalog.pg_advisory_xact_lock(pg_catalog.hashtext('courses.slug:' || v_base));
    new.slug := v_base;
    while exists (select from public.courses as c where c.slug = new.slug) loop
        new.slug := v_base || '-' || encode(extensions.gen_random_bytes(3), 'hex');
    end loop;
    return new;
end
$$;
comment on function private.tg_courses__set_slug() is
'Before insert without a slug: one made from the title, with a random tail where another course has it.';
create trigger _050_set_slug before insert on public.courses
for each row when (new.slug is null) execute function private.tg_courses__set_slug();

create function private.my_taught_course_ids() returns uuid[]
language plpgsql
stable
security definer -- the policy of courses itself asks
set search_path = ''
as $$
begin
    return (
        select coalesce(array_agg(c.id), '{}') from public.courses as c
        where c.creator_id = (select auth.uid()) and c.status <> 'deleted'
    );
end
$$;
comment on function private.my_taught_course_ids() is
'The courses that the caller created and has not deleted. Policies call it as any((select
private.my_taught_course_ids())::uuid[]).';

create function private.require_course_owner(p_course_id uuid) returns uuid
language plpgsql
stable
security definer -- must tell a course that is missing from one that is another's, and says the same of both
set search_path = ''
as $$
declare
    v_caller uuid := private.require_active();
begin
    if not exists (
        select from public.courses as c
        where c.id = p_course_id and (
                (c.creator_id = v_caller and c.status <> 'deleted' and (select private.has_role('teacher')))
                or (select private.has_role('admin'))
            )
    ) then
        raise sqlstate 'PT404' using
            message = 'course_not_found',
            detail = 'There is no such course, or it is not yours.',
            hint = 'List your own courses to find its id.';
    end if;
    return v_caller;
end
$$;
comment on function private.require_course_owner(uuid) is
'The caller''s id, if the caller created the course, which is not deleted, and is a teacher still, or is an admin.
Raises what require_active raises, or PT404 course_not_found.';

-- Pictures of courses: anyone may fetch one whose path he knows; a course's folder, named by its id, is its creator's
-- to write.
insert into storage.buckets (id, name, public, file_size_limit, allowed_mime_types)
values (
    'course-thumbnails', 'course-thumbnails', true, 4 * 1024 * 1024,
    array['image/png', 'image/jpeg', 'image/webp', 'image/gif']
)
on conflict (id) do update
    set
        public = excluded.public,
        file_size_limit = excluded.file_size_limit,
        allowed_mime_types = excluded.allowed_mime_types;
