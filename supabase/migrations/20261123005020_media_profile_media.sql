-- Media: what teachers show in their profiles.

insert into private.errors (token, status, meaning, hint, detail)
values
(
    'profile_media_exceeded', 409,
    'A profile shows at most 50 files.',
    'Remove some first.',
    null
);

create table public.profile_media (
    id uuid not null default gen_random_uuid() constraint profile_media_pkey primary key,
    profile_id uuid not null default auth.uid()
    constraint profile_media_profile_id_fkey references public.profiles (id) on delete cascade,
    media_id uuid not null
    constraint profile_media_media_id_fkey references public.media_objects (id) on delete cascade,
    title text constraint profile_media_title_check check (private.is_line(title, 160)),
    description text constraint profile_media_description_check check (char_length(description) <= 1000),
    is_published boolean not null default true,
    position integer not null default 0
    constraint profile_media_position_check check (position between 0 and 1000),
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    constraint profile_media_profile_id_media_id_key unique (profile_id, media_id)
);
comment on table public.profile_media is
'What a teacher shows in the profile: files of their own, of the profile or of their lessons. Everybody who reads the
profile reads and plays those that are published.';
comment on column public.profile_media.media_id is 'A file of the teacher that is ready.';
comment on column public.profile_media.is_published is 'False hides it from everybody but the teacher.';
comment on column public.profile_media.position is 'Lower ones come first; two may have the same.';
comment on constraint profile_media_profile_id_fkey on public.profile_media is 'There is no such profile.';
comment on constraint profile_media_media_id_fkey on public.profile_media is 'There is no such file.';
comment on constraint profile_media_profile_id_media_id_key on public.profile_media is
'The profile shows this file already.';
comment on constraint profile_media_title_check on public.profile_media is
'The title is one line of 1 to 160 characters, of which some are visible.';
comment on constraint profile_media_description_check on public.profile_media is
'A description has at most 1,000 characters.';
comment on constraint profile_media_position_check on public.profile_media is 'A position is 0 to 1,000.';
alter table public.profile_media enable row level security;
revoke all on public.profile_media from anon, authenticated, service_role;
create index profile_media_media_id_idx on public.profile_media (media_id);
comment on index public.profile_media_media_id_idx is 'The policy of media_objects, and the foreign key';
create index profile_media_is_published_profile_id_idx on public.profile_media (is_published, profile_id);
comment on index public.profile_media_is_published_profile_id_idx is 'What a profile shows, and the policies';
create trigger _200_set_updated_at before update on public.profile_media
for each row execute function private.tg__set_updated_at();

create function private.media_use__profiles(p_media_id uuid) returns boolean
language sql
stable
set search_path = ''
as $$
    select exists (select from public.profile_media as p where p.media_id = p_media_id)
$$;
comment on function private.media_use__profiles(uuid) is 'Whether a profile shows the file.';

create function private.tg_profile_media__check() returns trigger
language plpgsql
security definer -- locks the profile and reads files; the policy checks the caller
set search_path = ''
as $$
declare
    v_media public.media_objects;
begin
    perform from public.profiles as p where p.id = new.profile_id for no key update;
    select m.* into v_media from public.media_objects as m
    where m.id = new.media_id and m.owner_id = new.profile_id for share;
    if not found then
        perform private.refuse('media_not_found');
    elsif v_media.status <> 'ready' then
        perform private.refuse('media_not_ready');
    elsif (select count(*) from public.profile_media as p where p.profile_id = new.profile_id) >= 50 then
        perform private.refuse('profile_media_exceeded');
    end if;
    return new;
end
$$;
comment on function private.tg_profile_media__check() is
'Before an insert: the file is one of the teacher''s own that is ready. Raises media_not_found (404), media_not_ready,
profile_media_exceeded (409).';
create trigger _100_check before insert on public.profile_media
for each row execute function private.tg_profile_media__check();

create function private.profile_media_sources() returns jsonb
language plpgsql
stable
security definer -- the caller's own files, by one call
set search_path = ''
as $$
declare
    v_caller uuid := private.require_role('teacher');
begin
    return jsonb_build_object(
        'lesson_media', (
            select coalesce(jsonb_agg(s.source order by s.course_title, s.position), '[]')
            from (
                select jsonb_build_object(
                    'media_id', o.id, 'kind', o.kind, 'name', coalesce(m.title, o.name), 'lesson_id', l.id,
                    'lesson_title', l.title, 'course_id', c.id, 'course_title', c.title
                ) as source, c.title as course_title, m.position
                from public.lesson_media as m
                join public.media_objects as o on o.id = m.media_id
                join public.lessons as l on l.id = m.lesson_id
                join public.courses as c on c.id = m.course_id
                where c.creator_id = v_caller and o.owner_id = v_caller and o.status = 'ready'
                order by c.title, m.position
                limit 500
            ) as s
        ),
        'files', (
            select coalesce(jsonb_agg(s.source order by s.created_at desc), '[]')
            from (
                select jsonb_build_object('media_id', o.id, 'kind', o.kind, 'name', o.name) as source, o.created_at
                from public.media_objects as o
                where o.owner_id = v_caller and o.status = 'ready' and o.purpose in ('profile', 'public', 'sample')
                order by o.created_at desc
                limit 500
            ) as s
        )
    );
end
$$;
comment on function private.profile_media_sources() is
'What the caller, a teacher, can show in the profile: {lesson_media: [{media_id, kind, name, lesson_id, lesson_title,
course_id, course_title}], files: [{media_id, kind, name}]}, at most 500 of each. Raises role_required
(403).';
