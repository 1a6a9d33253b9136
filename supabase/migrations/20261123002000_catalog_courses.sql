-- Catalog: courses and their categories.

insert into private.errors (token, status, meaning, hint, detail)
values
(
    'course_not_found', 404,
    'There is no such course, or it is not yours, or not published.',
    'Look it up among your courses, or in the catalogue.',
    null
),
(
    'slug_taken', 409,
    'Another course had this slug, and links to it lead there.',
    'Choose another slug.',
    null
);

create table public.categories (
    id uuid not null default gen_random_uuid() constraint categories_pkey primary key,
    slug text not null constraint categories_slug_key unique
    constraint categories_slug_check check (slug ~ '^[a-z0-9]+(-[a-z0-9]+)*$' and char_length(slug) <= 60),
    name text not null constraint categories_name_check check (private.is_name(name, 80)),
    description text constraint categories_description_check check (char_length(description) <= 500),
    position integer not null constraint categories_position_check check (position > 0),
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    constraint categories_position_key unique (position) deferrable initially deferred
);
comment on table public.categories is 'The categories of the catalogue. Everybody reads them, admins write them.';
comment on column public.categories.slug is 'The name in web addresses.';
comment on column public.categories.position is
'The position in lists, from 1 without gaps. The database sets it; reorder_categories changes it.';
comment on constraint categories_slug_key on public.categories is 'Another category already has this slug.';
comment on constraint categories_slug_check on public.categories is
'A slug has lower-case letters, digits and single hyphens, at most 60 characters.';
comment on constraint categories_name_check on public.categories is
'The name of a category is one line of 1 to 80 characters, of which some are visible.';
comment on constraint categories_description_check on public.categories is
'The description of a category has at most 500 characters.';
alter table public.categories enable row level security;
revoke all on public.categories from anon, authenticated, service_role;
create trigger _200_set_updated_at before update on public.categories
for each row execute function private.tg__set_updated_at();

create type public.course_status as enum ('draft', 'published', 'paused', 'archived', 'suspended', 'deleted');
comment on type public.course_status is
'draft: only its creator sees it. published: everybody finds it. paused: nobody finds it while its creator cannot teach,
its students keep it. archived: nobody finds it any more, its students keep it. suspended: a moderator took it down.
deleted: gone for good, except for its students.';

create type public.course_level as enum ('beginner', 'intermediate', 'advanced', 'all');
comment on type public.course_level is 'The level of students that a course is for; `all` for everybody.';

create table public.courses (
    id uuid not null default gen_random_uuid() constraint courses_pkey primary key,
    creator_id uuid not null default auth.uid()
    constraint courses_creator_id_fkey references public.profiles (id) on delete restrict,
    category_id uuid constraint courses_category_id_fkey references public.categories (id) on delete set null,
    slug text not null constraint courses_slug_key unique
    constraint courses_slug_check check (slug ~ '^[a-z0-9]+(-[a-z0-9]+)*$' and char_length(slug) <= 80),
    title text not null constraint courses_title_check check (private.is_name(title, 160)),
    subtitle text constraint courses_subtitle_check check (private.is_line(subtitle, 200)),
    description text constraint courses_description_check check (char_length(description) <= 20000),
    level public.course_level not null default 'all',
    language text not null default 'en'
    constraint courses_language_check check (language ~ '^[a-z]{2,3}(-[A-Za-z0-9]{2,8})*$'),
    objectives text[] not null default '{}',
    includes text[] not null default '{}',
    prerequisites text[] not null default '{}',
    target_audience text[] not null default '{}',
    tags text[] not null default '{}' constraint courses_tags_check check (private.are_names(tags, 160)),
    thumbnail_path text constraint courses_thumbnail_path_check
    check (starts_with(thumbnail_path, id::text || '/') and char_length(thumbnail_path) <= 300),
    price_amount bigint not null default 0 constraint courses_price_amount_check check (price_amount >= 0),
    price_currency text not null default 'EUR'
    constraint courses_price_currency_check check (price_currency ~ '^[A-Z]{3}$'),
    is_intro boolean not null default false,
    status public.course_status not null default 'draft',
    status_reason text constraint courses_status_reason_check check (char_length(status_reason) <= 1000),
    suspended_from public.course_status,
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
    constraint courses_suspended_from_check check (suspended_from is null or status = 'suspended'),
    constraint courses_is_intro_check check (not is_intro or price_amount = 0)
);
comment on table public.courses is
'Courses. Everybody reads published ones; teachers write their own. Only functions change status, creator and
is_featured.';
comment on column public.courses.creator_id is 'The teacher whose course it is.';
comment on column public.courses.slug is
'The name in web addresses; the database makes it from the title where it is left out.';
comment on column public.courses.subtitle is 'One line under the title.';
comment on column public.courses.description is 'What the course is about, in Markdown.';
comment on column public.courses.level is 'The level of students that it is for.';
comment on column public.courses.language is 'The language of the course, as a BCP 47 tag.';
comment on column public.courses.objectives is 'What a student can do afterwards, one item an entry.';
comment on column public.courses.includes is 'What comes with it, one item an entry.';
comment on column public.courses.prerequisites is 'What a student should know before, one item an entry.';
comment on column public.courses.target_audience is 'Who should take it, one item an entry.';
comment on column public.courses.tags is 'Words that people find it by.';
comment on column public.courses.thumbnail_path is
'The path of the picture in the storage bucket `course-thumbnails`; begins with the id of the course.';
comment on column public.courses.price_amount is 'The price in minor units of the currency; 0 is free.';
comment on column public.courses.price_currency is 'The currency, ISO 4217 in upper case.';
comment on column public.courses.is_intro is
'Whether it is an intro course: free, and each person may take only intro_course_limit() of them.';
comment on column public.courses.status is
'Changed by publish_course, unpublish_course, archive_course, delete_course, suspend_course and unsuspend_course.';
comment on column public.courses.status_reason is
'Why a moderator suspended it; its creator, its students and moderators read it.';
comment on column public.courses.suspended_from is
'The status from which a moderator suspended it, which unsuspend_course gives back.';
comment on column public.courses.lesson_count is 'The number of lessons; the database counts them.';
comment on column public.courses.duration_seconds is
'The seconds that all lessons take together; the database sums them.';
comment on column public.courses.is_featured is 'Whether admins feature it.';
comment on column public.courses.published_at is 'When it was first published.';
comment on column public.courses.search is 'For full-text filters: search=wfts(simple).word';
comment on constraint courses_creator_id_fkey on public.courses is 'The creator of a course has a profile.';
comment on constraint courses_category_id_fkey on public.courses is 'There is no such category.';
comment on constraint courses_slug_key on public.courses is 'Another course already has this slug.';
comment on constraint courses_slug_check on public.courses is
'A slug has lower-case letters, digits and single hyphens, at most 80 characters.';
comment on constraint courses_title_check on public.courses is
'The title of a course is one line of 1 to 160 characters, of which some are visible.';
comment on constraint courses_subtitle_check on public.courses is 'A subtitle is one line of at most 200 characters.';
comment on constraint courses_tags_check on public.courses is
'A tag is one line of 1 to 160 characters, of which some are visible.';
comment on constraint courses_description_check on public.courses is
'The description of a course has at most 20,000 characters.';
comment on constraint courses_language_check on public.courses is
'The language of a course is a BCP 47 tag, such as en or pt-BR.';
comment on constraint courses_thumbnail_path_check on public.courses is
'The path of a thumbnail begins with the id of the course and a slash, and has at most 300 characters.';
comment on constraint courses_price_amount_check on public.courses is 'A price is 0 or more, in minor units.';
comment on constraint courses_price_currency_check on public.courses is
'A currency is an ISO 4217 code in upper case, such as EUR.';
comment on constraint courses_lists_check on public.courses is
'Each list of a course has at most 50 entries, and all of them together at most 40,000 bytes.';
comment on constraint courses_is_intro_check on public.courses is 'An intro course is free: its price is 0.';
alter table public.courses enable row level security;
revoke all on public.courses from anon, authenticated, service_role;

create index courses_creator_id_idx on public.courses (creator_id, created_at desc);
comment on index public.courses_creator_id_idx is
'The courses of a creator: creator_id=eq.&order=created_at.desc, and the policies';
create index courses_category_id_idx on public.courses (category_id);
comment on index public.courses_category_id_idx is 'The courses of a category: category_id=eq., and the foreign key';
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
('courses', 'published', 'paused'),
('courses', 'paused', 'published'),
('courses', 'paused', 'draft'),
('courses', 'paused', 'archived'),
('courses', 'paused', 'suspended'),
('courses', 'paused', 'deleted'),
('courses', 'suspended', 'draft'),
('courses', 'suspended', 'published'),
('courses', 'suspended', 'paused'),
('courses', 'suspended', 'archived');
create trigger _100_check_transition before update of status on public.courses
for each row when (old.status is distinct from new.status) execute function private.tg__check_transition();
create trigger _200_set_updated_at before update on public.courses
for each row execute function private.tg__set_updated_at();

create function private.tg_courses__keep_former_status() returns trigger
language plpgsql
set search_path = ''
as $$
begin
    new.suspended_from := case when new.status = 'suspended' then old.status end;
    return new;
end
$$;
comment on function private.tg_courses__keep_former_status() is
'Before the status of a course changes: keeps the status from which it is suspended.';
create trigger _110_keep_former_status before update of status on public.courses
for each row when (old.status is distinct from new.status and 'suspended' in (old.status, new.status))
execute function private.tg_courses__keep_former_status();

-- A link to a published course works for as long as the course exists, whatever slug it has by then.
create table private.course_slugs (
    slug text constraint course_slugs_pkey primary key,
    course_id uuid constraint course_slugs_course_id_fkey references public.courses (id) on delete set null
);
comment on table private.course_slugs is
'Every slug under which a course was published, with its course. Triggers on courses write it. No other course gets such
a slug, not even when the course is deleted: links and search engines still know it.';
comment on column private.course_slugs.slug is 'A slug that the course has or had.';
comment on column private.course_slugs.course_id is 'Null where the course was deleted.';
alter table private.course_slugs enable row level security;
create index course_slugs_course_id_idx on private.course_slugs (course_id);
comment on index private.course_slugs_course_id_idx is 'The foreign key';

create function private.tg_courses__set_slug() returns trigger
language plpgsql
security definer -- a slug can be taken by a course that the caller may not see
set search_path = ''
as $$
declare
    v_base text := coalesce(nullif(private.slugify(new.title), ''), 'course');
begin
    -- One course of a title at a time: two at once would both find the slug free.
    perform pg_catalog.pg_advisory_xact_lock(pg_catalog.hashtext('courses.slug:' || v_base));
    new.slug := v_base;
    while exists (select from public.courses as c where c.slug = new.slug)
        or exists (select from private.course_slugs as s where s.slug = new.slug)
    loop
        new.slug := v_base || '-' || encode(extensions.gen_random_bytes(3), 'hex');
    end loop;
    return new;
end
$$;
comment on function private.tg_courses__set_slug() is
'Before an insert without a slug: makes one from the title, with a random end where another course has or had it.';
create trigger _050_set_slug before insert on public.courses
for each row when (new.slug is null) execute function private.tg_courses__set_slug();

create function private.tg_courses__check_slug() returns trigger
language plpgsql
security definer -- clients may not read course_slugs
set search_path = ''
as $$
begin
    -- Of a slug that a course has now, the unique key decides: an upsert by the slug changes that course.
    if exists (
        select from private.course_slugs as s where s.slug = new.slug and s.course_id is distinct from new.id
    ) and not exists (select from public.courses as c where c.slug = new.slug) then
        perform private.refuse('slug_taken');
    end if;
    return new;
end
$$;
comment on function private.tg_courses__check_slug() is
'Before a course gets a slug: refuses one that another course had while it was published. Raises slug_taken (409).';
create trigger _060_check_slug before insert or update of slug on public.courses
for each row execute function private.tg_courses__check_slug();

create function private.tg_courses__keep_slug() returns trigger
language plpgsql
security definer -- clients may not write course_slugs
set search_path = ''
as $$
begin
    insert into private.course_slugs (slug, course_id) values (new.slug, new.id) on conflict (slug) do nothing;
    return null;
end
$$;
comment on function private.tg_courses__keep_slug() is
'After a course is published, and after it changes its slug since: keeps the slug for it.';
create trigger _230_keep_slug after insert or update of slug, published_at on public.courses
for each row when (new.published_at is not null) execute function private.tg_courses__keep_slug();

create function private.course_by_slug(p_slug text) returns uuid
language sql
stable
security definer -- clients may not read course_slugs; courses decides what they see of the course
set search_path = ''
as $$
    select coalesce(
        (select c.id from public.courses as c where c.slug = private.fold_text(p_slug)),
        (select s.course_id from private.course_slugs as s where s.slug = private.fold_text(p_slug))
    )
$$;
comment on function private.course_by_slug(text) is
'The course that has the slug, or else had it when it was published.';

-- By hand: reads the row as the caller, under row level security.
create function public.course_by_slug(slug text) returns setof public.courses
language sql
stable
set search_path = ''
rows 1
as $$
    select c.* from public.courses as c where c.id = private.course_by_slug(course_by_slug.slug)
$$;
comment on function public.course_by_slug(text) is
'The course that has this slug, or had it while it was published: an old link leads to the course, whose slug says where
it is now. At most one row of courses; select and embed as on courses. Of a course that the caller may not read, none.
For everybody.';

create function private.my_taught_course_ids() returns uuid[]
language plpgsql
stable
security definer -- the policy of courses itself calls it
set search_path = ''
as $$
begin
    return (
        select coalesce(array_agg(c.id), '{}') from public.courses as c
        where c.creator_id = (select auth.uid()) and c.status <> 'deleted'
            and private.is_teacher()
    );
end
$$;
comment on function private.my_taught_course_ids() is
'The courses that the caller, a teacher, created and has not deleted; none for a caller who lost the role. Suspended
teachers keep reading. Policies call it as any((select private.my_taught_course_ids())::uuid[]).';

create function private.require_course_owner(p_course_id uuid) returns uuid
language plpgsql
stable
security definer -- looks at courses that the caller may not read, and refuses them like missing ones
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
        perform private.refuse('course_not_found');
    end if;
    return v_caller;
end
$$;
comment on function private.require_course_owner(uuid) is
'Requires that the caller is an admin, or a teacher who created the course, and it is not deleted. Returns the id of the
caller. Raises what require_active raises, course_not_found (404).';

-- Thumbnails: the bucket is public. The creator of a course writes its folder, which has the id of the course as name.
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

create function private.tg_courses__discard_thumbnail() returns trigger
language plpgsql
security definer -- clients may not discard files
set search_path = ''
as $$
begin
    if tg_op = 'UPDATE' then
        perform private.discard_file('course-thumbnails', old.thumbnail_path);
    else
        perform private.discard_file(o.bucket_id, o.name)
        from storage.objects as o
        where o.bucket_id = 'course-thumbnails'
            -- The names in the folder, as a range of storage's index: the character 0 follows the slash.
            and o.name collate "C" >= old.id::text || '/' and o.name collate "C" < old.id::text || '0';
    end if;
    return null;
end
$$;
comment on function private.tg_courses__discard_thumbnail() is
'After a course names another picture, or none: has the former one removed. After it is deleted: all of its pictures.';
create trigger _500_discard_thumbnail after update of thumbnail_path on public.courses
for each row when (old.thumbnail_path is distinct from new.thumbnail_path and old.thumbnail_path is not null)
execute function private.tg_courses__discard_thumbnail();
create trigger _500_discard_thumbnails after delete on public.courses
for each row execute function private.tg_courses__discard_thumbnail();

create function private.file_use__thumbnails(p_bucket_id text, p_name text) returns boolean
language sql
stable
set search_path = ''
as $$
    select p_bucket_id = 'course-thumbnails' and exists (
        select from public.courses as c
        where c.id = private.uuid_or_null(split_part(p_name, '/', 1)) and c.thumbnail_path = p_name
    )
$$;
comment on function private.file_use__thumbnails(text, text) is 'Whether the file is the picture of a course.';
