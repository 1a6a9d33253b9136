-- Media: what lessons show, in order, with captions.

insert into private.errors (token, status, meaning, hint, detail)
values
(
    'lesson_media_not_found', 404,
    'This lesson shows no such file, or the course is not yours.',
    'Read lesson_media again.',
    null
),
(
    'lesson_not_found', 404,
    'There is no such lesson, or its course is not yours.',
    'Read lessons again.',
    null
),
(
    'media_not_ready', 409,
    'This file is not ready: it was not checked yet, refused or deleted.',
    'Complete its upload first.',
    null
),
(
    'lesson_media_exceeded', 409,
    'A lesson shows at most 100 files.',
    'Remove some first.',
    null
);

create table public.lesson_media (
    id uuid not null default gen_random_uuid() constraint lesson_media_pkey primary key,
    lesson_id uuid not null,
    course_id uuid not null constraint lesson_media_course_id_fkey references public.courses (id) on delete cascade,
    media_id uuid constraint lesson_media_media_id_fkey references public.media_objects (id) on delete cascade,
    title text constraint lesson_media_title_check check (private.is_line(title, 160)),
    is_preview boolean not null default false,
    position integer not null constraint lesson_media_position_check check (position > 0),
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    constraint lesson_media_lesson_id_fkey foreign key (lesson_id, course_id)
    references public.lessons (id, course_id) on delete cascade,
    constraint lesson_media_lesson_id_position_key unique (lesson_id, position) deferrable initially deferred
);
comment on table public.lesson_media is
'What lessons show besides their text: files in order. Who reads the content of the lesson reads them; previews and
those of intro lessons, everybody who reads the course.';
comment on column public.lesson_media.course_id is 'The course of its lesson.';
comment on column public.lesson_media.media_id is
'The file; null where the row shows something that is no file of ours.';
comment on column public.lesson_media.title is 'What people read instead of the file''s name.';
comment on column public.lesson_media.is_preview is 'Whether everybody who reads the course may play it.';
comment on column public.lesson_media.position is
'The position in the lesson, from 1. reorder_lesson_media changes it.';
comment on constraint lesson_media_lesson_id_fkey on public.lesson_media is 'There is no such lesson.';
comment on constraint lesson_media_course_id_fkey on public.lesson_media is 'There is no such course.';
comment on constraint lesson_media_media_id_fkey on public.lesson_media is 'There is no such file.';
comment on constraint lesson_media_title_check on public.lesson_media is
'The title is one line of 1 to 160 characters, of which some are visible.';
comment on constraint lesson_media_lesson_id_position_key on public.lesson_media is
'Each file of a lesson has a position of its own.';
alter table public.lesson_media enable row level security;
revoke all on public.lesson_media from anon, authenticated, service_role;
create index lesson_media_lesson_id_course_id_idx on public.lesson_media (lesson_id, course_id);
comment on index public.lesson_media_lesson_id_course_id_idx is
'The foreign key to lessons, and the embed of lesson_media in lessons';
create index lesson_media_course_id_idx on public.lesson_media (course_id);
comment on index public.lesson_media_course_id_idx is 'The policies, and the foreign key';
create index lesson_media_media_id_idx on public.lesson_media (media_id);
comment on index public.lesson_media_media_id_idx is 'The policy of media_objects, and the foreign key';
create index lesson_media_is_preview_lesson_id_idx on public.lesson_media (is_preview, lesson_id);
comment on index public.lesson_media_is_preview_lesson_id_idx is
'The previews of lessons: is_preview=is.true, and the policies';
create trigger _200_set_updated_at before update on public.lesson_media
for each row execute function private.tg__set_updated_at();

create table public.media_captions (
    id uuid not null default gen_random_uuid() constraint media_captions_pkey primary key,
    lesson_media_id uuid not null
    constraint media_captions_lesson_media_id_fkey references public.lesson_media (id) on delete cascade,
    media_id uuid not null
    constraint media_captions_media_id_fkey references public.media_objects (id) on delete cascade,
    language text not null
    constraint media_captions_language_check check (language ~ '^[a-z]{2,3}(-[A-Za-z0-9]{2,8})*$'),
    label text constraint media_captions_label_check check (private.is_line(label, 60)),
    created_at timestamptz not null default now(),
    constraint media_captions_lesson_media_id_language_key unique (lesson_media_id, language)
);
comment on table public.media_captions is
'Captions of lesson media, WebVTT, one file for each language. Who reads the lesson media reads them.';
comment on column public.media_captions.language is 'The language of the text, BCP 47.';
comment on column public.media_captions.label is 'What players show, such as "English, for the hard of hearing".';
comment on constraint media_captions_lesson_media_id_fkey on public.media_captions is 'There is no such lesson media.';
comment on constraint media_captions_media_id_fkey on public.media_captions is 'There is no such file.';
comment on constraint media_captions_language_check on public.media_captions is
'A language is a BCP 47 tag, such as pt-BR.';
comment on constraint media_captions_label_check on public.media_captions is
'A label is one line of 1 to 60 characters.';
comment on constraint media_captions_lesson_media_id_language_key on public.media_captions is
'There already are captions in this language.';
alter table public.media_captions enable row level security;
revoke all on public.media_captions from anon, authenticated, service_role;
create index media_captions_media_id_idx on public.media_captions (media_id);
comment on index public.media_captions_media_id_idx is 'The policy of media_objects, and the foreign key';

create function private.media_use__lessons(p_media_id uuid) returns boolean
language sql
stable
set search_path = ''
as $$
    select exists (select from public.lesson_media as m where m.media_id = p_media_id)
        or exists (select from public.media_captions as c where c.media_id = p_media_id)
$$;
comment on function private.media_use__lessons(uuid) is 'Whether a lesson shows the file, or has it as captions.';

create function private.tg__delete_unused_media() returns trigger
language plpgsql
security definer -- clients may not write files
set search_path = ''
as $$
begin
    if not private.is_media_named(old.media_id) then
        update public.media_objects as m set status = 'deleted' where m.id = old.media_id and m.status <> 'deleted';
    end if;
    return null;
end
$$;
comment on function private.tg__delete_unused_media() is
'After a row that shows a file of a lesson is deleted: deletes the file, unless another row shows it, as in a copy of
the course.';
create trigger _400_delete_unused_media after delete on public.lesson_media
for each row when (old.media_id is not null) execute function private.tg__delete_unused_media();
create trigger _400_delete_unused_media after delete on public.media_captions
for each row execute function private.tg__delete_unused_media();

create function private.require_own_lesson(p_lesson_id uuid) returns uuid
language plpgsql
security definer -- looks at lessons that the caller may not read, and refuses them like missing ones
set search_path = ''
as $$
declare
    v_course_id uuid := (select l.course_id from public.lessons as l where l.id = p_lesson_id);
begin
    if v_course_id is null then
        perform private.require_active();
        perform private.refuse('lesson_not_found');
    end if;
    perform private.require_course_owner(v_course_id);
    perform private.lock_curriculum(v_course_id);
    return v_course_id;
end
$$;
comment on function private.require_own_lesson(uuid) is
'Requires that the lesson is of a course of the caller, or that the caller is an admin, locks the course, and returns
its id. Raises course_not_found, lesson_not_found (404).';

create function private.reserve_lesson_media(p_lesson_id uuid, p_name text, p_mime_type text, p_size_bytes bigint)
returns public.media_objects
language plpgsql
security definer -- clients may not write files
set search_path = ''
as $$
begin
    perform private.require_own_lesson(p_lesson_id);
    return private.make_media((select auth.uid()), 'lesson', p_name, p_mime_type, p_size_bytes);
end
$$;
comment on function private.reserve_lesson_media(uuid, text, text, bigint) is
'Reserves a file for a lesson, as reserve_media does. For the creator of the course and admins. Raises course_not_found,
lesson_not_found (404), media_type_refused (415), media_size_refused (413), media_name_invalid (422),
media_reservations_exceeded (429).';

create function private.add_lesson_media(
    p_lesson_id uuid, p_media_id uuid, p_title text default null, p_is_preview boolean default false
)
returns public.lesson_media
language plpgsql
security definer -- clients may not write positions
set search_path = ''
as $$
declare
    v_course_id uuid := private.require_own_lesson(p_lesson_id);
    v_media public.media_objects;
    v_row public.lesson_media;
begin
    select m.* into v_media from public.media_objects as m
    where m.id = p_media_id and m.owner_id = (select auth.uid()) for share;
    if not found then
        perform private.refuse('media_not_found');
    elsif v_media.status <> 'ready' or v_media.kind = 'caption' then
        perform private.refuse('media_not_ready');
    end if;
    -- A second call answers the row of the first.
    select m.* into v_row from public.lesson_media as m where m.lesson_id = p_lesson_id and m.media_id = p_media_id;
    if found then
        return v_row;
    end if;
    if (select count(*) from public.lesson_media as m where m.lesson_id = p_lesson_id) >= 100 then
        perform private.refuse('lesson_media_exceeded');
    end if;
    insert into public.lesson_media (lesson_id, course_id, media_id, title, is_preview, position)
    values (
        p_lesson_id, v_course_id, p_media_id, p_title, coalesce(p_is_preview, false),
        (select coalesce(max(m.position), 0) + 1 from public.lesson_media as m where m.lesson_id = p_lesson_id)
    )
    returning * into v_row;
    return v_row;
end
$$;
comment on function private.add_lesson_media(uuid, uuid, text, boolean) is
'Puts a file of the caller that is ready last in a lesson, once, and returns the row. For the creator of the course and
admins. Raises course_not_found, lesson_not_found, media_not_found (404), lesson_media_exceeded, media_not_ready
(409).';

create function private.require_own_lesson_media(p_lesson_media_id uuid) returns public.lesson_media
language plpgsql
security definer -- looks at rows that the caller may not read, and refuses them like missing ones
set search_path = ''
as $$
declare
    v_row public.lesson_media;
begin
    perform private.require_active();
    select m.* into v_row from public.lesson_media as m where m.id = p_lesson_media_id;
    if found then
        perform private.require_own_lesson(v_row.lesson_id);
        select m.* into v_row from public.lesson_media as m where m.id = p_lesson_media_id;
    end if;
    if not found then
        perform private.refuse('lesson_media_not_found');
    end if;
    return v_row;
end
$$;
comment on function private.require_own_lesson_media(uuid) is
'The row, of a course of the caller, which it locks. Raises course_not_found, lesson_media_not_found, lesson_not_found
(404).';

create function private.delete_lesson_media(p_lesson_media_id uuid) returns public.lesson_media
language plpgsql
security definer -- clients may not write positions
set search_path = ''
as $$
declare
    v_row public.lesson_media := private.require_own_lesson_media(p_lesson_media_id);
begin
    delete from public.lesson_media as m where m.id = p_lesson_media_id;
    perform private.close_position_gaps('public.lesson_media', 'lesson_id', array[v_row.lesson_id]);
    return v_row;
end
$$;
comment on function private.delete_lesson_media(uuid) is
'Takes a file out of a lesson, moves the others up, and deletes the file unless a copy of the course shows it, too. For
the creator of the course and admins. Raises course_not_found, lesson_media_not_found, lesson_not_found (404).';

create function private.reorder_lesson_media(p_lesson_id uuid, p_media_ids uuid[])
returns setof public.lesson_media
language plpgsql
security definer -- clients may not write positions
set search_path = ''
as $$
begin
    perform private.require_own_lesson(p_lesson_id);
    if p_media_ids is null then
        perform private.refuse('sequence_incomplete');
    end if;
    perform private.require_same_ids(
        array(select m.id from public.lesson_media as m where m.lesson_id = p_lesson_id), p_media_ids
    );
    perform private.set_positions('public.lesson_media', p_media_ids);
    return query select m.* from public.lesson_media as m where m.lesson_id = p_lesson_id order by m.position;
end
$$;
comment on function private.reorder_lesson_media(uuid, uuid[]) is
'Puts the files of a lesson into the order of media_ids (ids of lesson_media), which lists each of them once, and
returns them in it. For the creator of the course and admins. Raises course_not_found, lesson_not_found (404),
sequence_incomplete (409).';

create function private.add_media_captions(
    p_lesson_media_id uuid, p_media_id uuid, p_language text, p_label text default null
)
returns public.media_captions
language plpgsql
security definer -- clients may not write captions
set search_path = ''
as $$
declare
    v_row public.media_captions;
begin
    perform private.require_own_lesson_media(p_lesson_media_id);
    perform from public.media_objects as m where m.id = p_media_id and m.owner_id = (select auth.uid()) for share;
    if not found then
        perform private.refuse('media_not_found');
    elsif not exists (
        select from public.media_objects as m where m.id = p_media_id and m.status = 'ready' and m.kind = 'caption'
    ) then
        perform private.refuse('media_not_ready');
    end if;
    -- Not an update: the trigger deletes the file that is replaced.
    delete from public.media_captions as c
    where c.lesson_media_id = p_lesson_media_id and c.language = p_language and c.media_id <> p_media_id;
    insert into public.media_captions as c (lesson_media_id, media_id, language, label)
    values (p_lesson_media_id, p_media_id, p_language, p_label)
    on conflict (lesson_media_id, language) do update set label = excluded.label
    returning c.* into v_row;
    return v_row;
end
$$;
comment on function private.add_media_captions(uuid, uuid, text, text) is
'Gives lesson media captions in a language, or replaces them: a WebVTT file of the caller that is ready. For the creator
of the course and admins. Raises course_not_found, lesson_media_not_found, lesson_not_found, media_not_found (404),
media_not_ready (409).';

create function private.copy_course__300_lesson_media(p_course_id uuid, p_copy_id uuid) returns void
language sql
set search_path = ''
as $$
    insert into public.lesson_media (id, lesson_id, course_id, media_id, title, is_preview, position)
    select private.copied_id(m.id, p_copy_id), private.copied_id(m.lesson_id, p_copy_id), p_copy_id, m.media_id,
        m.title, m.is_preview, m.position
    from public.lesson_media as m
    where m.course_id = p_course_id and m.media_id is not null;
    insert into public.media_captions (id, lesson_media_id, media_id, language, label)
    select private.copied_id(c.id, p_copy_id), private.copied_id(c.lesson_media_id, p_copy_id), c.media_id, c.language,
        c.label
    from public.lesson_media as m
    join public.media_captions as c on c.lesson_media_id = m.id
    where m.course_id = p_course_id and m.media_id is not null
$$;
comment on function private.copy_course__300_lesson_media(uuid, uuid) is
'Copies what lessons show. Both courses name the same file, which stays until neither does.';
