-- Catalog: the parts of a course. Everybody who reads the course reads its outline (modules, lessons); the content of
-- lessons is in a table of its own, so that `select=*` never shows more than the caller may read.

insert into private.errors (token, status, meaning, hint, detail)
values
(
    'lesson_stays_in_course', 409,
    'A lesson can move to another module of its course, not to another course.',
    'Create the lesson in the other course.',
    null
);

create table public.modules (
    id uuid not null default gen_random_uuid() constraint modules_pkey primary key,
    course_id uuid not null constraint modules_course_id_fkey references public.courses (id) on delete cascade,
    title text not null constraint modules_title_check check (private.is_name(title, 160)),
    description text constraint modules_description_check check (char_length(description) <= 2000),
    position integer not null constraint modules_position_check check (position > 0),
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    constraint modules_course_id_position_key unique (course_id, position) deferrable initially deferred,
    constraint modules_id_course_id_key unique (id, course_id)
);
comment on table public.modules is 'The modules of courses, in order. Everybody who reads the course reads them.';
comment on column public.modules.position is
'The position in the course, from 1. The database sets it; reorder_modules changes it.';
comment on constraint modules_course_id_fkey on public.modules is 'There is no such course.';
comment on constraint modules_title_check on public.modules is
'The title of a module is one line of 1 to 160 characters, of which some are visible.';
comment on constraint modules_description_check on public.modules is
'The description of a module has at most 2,000 characters.';
comment on constraint modules_course_id_position_key on public.modules is
'Each module of a course has a position of its own.';
alter table public.modules enable row level security;
revoke all on public.modules from anon, authenticated, service_role;
create trigger _200_set_updated_at before update on public.modules
for each row execute function private.tg__set_updated_at();

create table public.lessons (
    id uuid not null default gen_random_uuid() constraint lessons_pkey primary key,
    course_id uuid not null constraint lessons_course_id_fkey references public.courses (id) on delete cascade,
    module_id uuid not null,
    title text not null constraint lessons_title_check check (private.is_name(title, 160)),
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
'The lessons of modules, in order, as the outline shows them. Everybody who reads the course reads them; lesson_contents
has what they teach.';
comment on column public.lessons.course_id is 'The course of its module; the database sets it.';
comment on column public.lessons.summary is 'What it is about, for the outline.';
comment on column public.lessons.duration_seconds is 'The seconds that it takes, roughly.';
comment on column public.lessons.is_intro is 'Whether everybody who reads the course may read its content.';
comment on column public.lessons.position is
'The position in the module, from 1. The database sets it; reorder_lessons changes it.';
comment on constraint lessons_course_id_fkey on public.lessons is 'There is no such course.';
comment on constraint lessons_title_check on public.lessons is
'The title of a lesson is one line of 1 to 160 characters, of which some are visible.';
comment on constraint lessons_summary_check on public.lessons is
'The summary of a lesson has at most 1,000 characters.';
comment on constraint lessons_duration_seconds_check on public.lessons is
'The duration of a lesson is 0 to 360,000 seconds.';
comment on constraint lessons_module_id_fkey on public.lessons is 'There is no such module.';
comment on constraint lessons_module_id_position_key on public.lessons is
'Each lesson of a module has a position of its own.';
alter table public.lessons enable row level security;
revoke all on public.lessons from anon, authenticated, service_role;
create index lessons_course_id_idx on public.lessons (course_id);
comment on index public.lessons_course_id_idx is 'The lessons of a course: course_id=eq., and the policies';
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
    -- On the columns of the foreign key, so that PostgREST embeds one content and not a list.
    constraint lesson_contents_lesson_id_course_id_key unique (lesson_id, course_id)
);
comment on table public.lesson_contents is
'What lessons teach. The creator of the course reads it, students of the course, and everybody where the lesson is an
intro.';
comment on column public.lesson_contents.course_id is 'The course of its lesson; the database sets it.';
comment on column public.lesson_contents.body is 'The text, in Markdown.';
comment on constraint lesson_contents_pkey on public.lesson_contents is 'This lesson already has its content.';
comment on constraint lesson_contents_lesson_id_course_id_key on public.lesson_contents is
'This lesson already has its content.';
comment on constraint lesson_contents_course_id_fkey on public.lesson_contents is 'There is no such course.';
comment on constraint lesson_contents_lesson_id_fkey on public.lesson_contents is 'There is no such lesson.';
comment on constraint lesson_contents_body_check on public.lesson_contents is
'The content of a lesson has at most 200,000 characters.';
alter table public.lesson_contents enable row level security;
revoke all on public.lesson_contents from anon, authenticated, service_role;
create index lesson_contents_course_id_idx on public.lesson_contents (course_id);
comment on index public.lesson_contents_course_id_idx is 'The policies, and the foreign key';
create trigger _200_set_updated_at before update on public.lesson_contents
for each row execute function private.tg__set_updated_at();

create function private.tg_modules__set_position() returns trigger
language plpgsql
security definer -- locks the course; the policy checks the caller
set search_path = ''
as $$
begin
    perform from public.courses as c where c.id = new.course_id for no key update;
    new.position := (select coalesce(max(m.position), 0) + 1 from public.modules as m where m.course_id = new.course_id);
    return new;
end
$$;
comment on function private.tg_modules__set_position() is 'Before an insert: puts the module last in its course.';
create trigger _050_set_position before insert on public.modules
for each row execute function private.tg_modules__set_position();

create function private.tg_lessons__set_position() returns trigger
language plpgsql
security definer -- locks the course; the policy checks the caller
set search_path = ''
as $$
begin
    new.course_id := (select m.course_id from public.modules as m where m.id = new.module_id);
    if tg_op = 'UPDATE' and new.course_id is distinct from old.course_id then
        perform private.refuse('lesson_stays_in_course');
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
comment on function private.tg_lessons__set_position() is
'Before an insert or a move to another module: sets the course of the module, and puts the lesson last in the module.
Raises lesson_stays_in_course (409).';
create trigger _050_set_position before insert or update of module_id, course_id on public.lessons
for each row execute function private.tg_lessons__set_position();

create function private.tg_lesson_contents__set_course() returns trigger
language plpgsql
security definer -- must read lessons of every course; the policy checks the caller
set search_path = ''
as $$
begin
    new.course_id := (select l.course_id from public.lessons as l where l.id = new.lesson_id);
    return new;
end
$$;
comment on function private.tg_lesson_contents__set_course() is
'Before an insert or update: sets the course of the lesson.';
create trigger _050_set_course before insert or update of lesson_id, course_id on public.lesson_contents
for each row execute function private.tg_lesson_contents__set_course();
