-- Catalog: what a course consists of. The outline (modules, lessons) is for whoever sees the course; what the lessons
-- teach lies in a table of its own, so that `select=*` never shows more than it may.

create table public.modules (
    id uuid not null default gen_random_uuid() constraint modules_pkey primary key,
    course_id uuid not null constraint modules_course_id_fkey references public.courses (id) on delete cascade,
    title text not null constraint modules_title_check check (title ~ '\S' and char_length(title) <= 160),
    description text constraint modules_description_check check (char_length(description) <= 2000),
    position integer not null constraint modules_position_check check (position > 0),
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    constraint modules_course_id_position_key unique (course_id, position) deferrable initially deferred,
    constraint modules_id_course_id_key unique (id, course_id)
);
comment on table public.modules is 'The parts of a course, in order. Whoever sees the course sees them.';
comment on column public.modules.position is 'Where it stands in its course, from 1; given by the database.';
alter table public.modules enable row level security;
revoke all on public.modules from anon, authenticated, service_role;
create trigger _200_set_updated_at before update on public.modules
for each row execute function private.tg__set_updated_at();

create table public.lessons (
    id uuid not null default gen_random_uuid() constraint lessons_pkey primary key,
    course_id uuid not null constraint lessons_course_id_fkey references public.courses (id) on delete cascade,
    module_id uuid not null,
    title text not null constraint lessons_title_check check (title ~ '\S' and char_length(title) <= 160),
    summary text constraint lessons_summary_check check (char_length(summary) <= 1000),
    duration_seconds integer constraint lessons_duration_seconds_check check (duration_seconds between 0 and 360000),
    is_intro boolean not null default false,
    position integer not null constraint lessons_position_check check (position > 0),
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    constraint lessons_module_id_fkey foreign key (module_id, course_id)
    references public.modules (id, course_id) on delete cascade,
    constraint lessons_module_id_position_key unique (module_id, position) deferrable initially deferred,
    constraint lessons_id_course_id_key unique (id, course_id)
);
comment on table public.lessons is
'The lessons of a module, in order: what the outline shows. Whoever sees the course sees them; what they teach is in
lesson_contents.';
comment on column public.lessons.course_id is 'Its module''s course; set by the database.';
comment on column public.lessons.summary is 'What it is about, for the outline.';
comment on column public.lessons.duration_seconds is 'About how long it takes.';
comment on column public.lessons.is_intro is 'Whether its content is open to everybody who sees the course.';
comment on column public.lessons.position is 'Where it stands in its module, from 1; given by the database.';
alter table public.lessons enable row level security;
revoke all on public.lessons from anon, authenticated, service_role;
create index lessons_course_id_idx on public.lessons (course_id);
comment on index public.lessons_course_id_idx is 'A course''s lessons: course_id=eq., and the policies';
create index lessons_module_id_course_id_idx on public.lessons (module_id, course_id);
comment on index public.lessons_module_id_course_id_idx is
'The foreign key to modules, and the embed of lessons in modules';
create trigger _200_set_updated_at before update on public.lessons
for each row execute function private.tg__set_updated_at();

create table public.lesson_contents (
    lesson_id uuid constraint lesson_contents_pkey primary key,
    course_id uuid not null constraint lesson_contents_course_id_fkey references public.courses (id) on delete cascade,
    body text not null constraint lesson_contents_body_check check (char_length(body) <= 200000),
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    constraint lesson_contents_lesson_id_fkey foreign key (lesson_id, course_id)
    references public.lessons (id, course_id) on delete cascade,
    -- What lesson_id alone guarantees, said of the foreign key's columns: PostgREST embeds one content, not a list.
    constraint lesson_contents_lesson_id_course_id_key unique (lesson_id, course_id)
);
comment on table public.lesson_contents is
'What a lesson teaches. For its creator, for those who have the course, and for everybody where the lesson is an
intro.';
comment on column public.lesson_contents.course_id is 'Its lesson''s course; set by the database.';
comment on column public.lesson_contents.body is 'The text, Markdown.';
alter table public.lesson_contents enable row level security;
revoke all on public.lesson_contents from anon, authenticated, service_role;
create index lesson_contents_course_id_idx on public.lesson_contents (course_id);
comment on index public.lesson_contents_course_id_idx is 'The policies, and the foreign key';
create trigger _200_set_updated_at before update on public.lesson_contents
for each row execute function private.tg__set_updated_at();

create function private.tg_modules__set_position() returns trigger
language plpgsql
security definer -- locks the course whatever the caller may do to it; whether he may insert, the policy says
set search_path = ''
as $$
begin
    perform from public.courses as c where c.id = new.course_id for no key update;
    new.position := (select coalesce(max(m.position), 0) + 1 from public.modules as m where m.course_id = new.course_id);
    return new;
end
$$;
comment on function private.tg_modules__set_position() is 'Before insert: a module comes last in its course.';
create trigger _050_set_position before insert on public.modules
for each row execute function private.tg_modules__set_position();

create function private.tg_lessons__set_place() returns trigger
language plpgsql
security definer -- locks the course whatever the caller may do to it; whether he may insert, the policy says
set search_path = ''
as $$
begin
    new.course_id := (select m.course_id from public.modules as m where m.id = new.module_id);
    if tg_op = 'UPDATE' and new.course_id is distinct from old.course_id then
        raise sqlstate 'PT409' using
            message = 'lesson_stays_in_course',
            detail = 'A lesson can move to another module of its course, not to another course.',
            hint = 'Write the lesson anew in the other course.';
    end if;
    if tg_op = 'INSERT' or new.module_id is distinct from old.module_id then
        perform from public.courses as c where c.id = new.course_id for no key update;
        new.position := (
            select coalesce(max(l.position), 0) + 1 from public.lessons as l where l.module_id = new.module_id
        );
    end if;
    return new;
end
$$;
comment on function private.tg_lessons__set_place() is
'Before insert or a move to another module: the lesson belongs to its module''s course and comes last in the module.
Raises PT409 lesson_stays_in_course.';
create trigger _050_set_place before insert or update of module_id, course_id on public.lessons
for each row execute function private.tg_lessons__set_place();

create function private.tg_lesson_contents__set_course() returns trigger
language plpgsql
security definer -- whether the caller may write for that course, the policy says
set search_path = ''
as $$
begin
    new.course_id := (select l.course_id from public.lessons as l where l.id = new.lesson_id);
    return new;
end
$$;
comment on function private.tg_lesson_contents__set_course() is
'Before insert or update: the content belongs to its lesson''s course.';
create trigger _050_set_course before insert or update of lesson_id, course_id on public.lesson_contents
for each row execute function private.tg_lesson_contents__set_course();
