-- Media: files that people upload. A row says who owns a file, where it is in Storage, and what the edge found in it.
--
-- A file is written once: to a reserved path, while the row is reserved. The edge reads it, and only then is it ready.
-- Pictures are written anew by the edge, without what cameras add, to a path that nobody else knows before.
--
-- Locks, after those of catalog_locks and live: media_objects, in the order of ids.

insert into private.errors (token, status, meaning, hint, detail)
values
(
    'media_deleted', 410,
    'This file was deleted.',
    'Remove the reference to it.',
    null
),
(
    'media_in_use', 409,
    'This file is shown in a lesson or a profile.',
    'Remove it there first.',
    null
),
(
    'media_name_invalid', 422,
    'The name of a file is one line of 1 to 200 characters without slashes, and not only dots.',
    'Send the name only, without its folder.',
    null
),
(
    'media_not_found', 404,
    'There is no such file, or you may not read it.',
    'Read media_objects again.',
    null
),
(
    'media_not_reserved', 409,
    'This file is not waiting for an upload: it was checked, refused or deleted.',
    'Reserve another one.',
    'It is %s.'
),
(
    'media_not_uploaded', 409,
    'Nothing was uploaded to the reserved path, or it was replaced meanwhile.',
    'Upload the file, then complete the upload.',
    null
),
(
    'media_reservations_exceeded', 429,
    'Too many uploads of yours are reserved and not completed.',
    'Complete or delete some of them.',
    'At most %s can wait.'
),
(
    'media_size_refused', 413,
    'Files of this kind may not be so large.',
    'Upload a smaller file.',
    'At most %s bytes.'
),
(
    'media_type_refused', 415,
    'Files of this type are not accepted for this.',
    'Read the types that each kind accepts in the documentation.',
    null
);

create type public.media_kind as enum ('image', 'audio', 'video', 'document', 'caption');
comment on type public.media_kind is 'What a file is. caption: subtitles, WebVTT.';

create type public.media_status as enum ('reserved', 'uploaded', 'ready', 'refused', 'deleted');
comment on type public.media_status is
'reserved: waits for its file. uploaded: the file is being checked. ready: it can be used. refused: it was not what it
said, or never came. deleted: removed; the row stays as long as links to it may be open.';

create type public.media_purpose as enum ('lesson', 'profile', 'upload', 'sample', 'public');
comment on type public.media_purpose is
'What a file is for. lesson: a lesson shows it. profile: a profile shows it. upload: its owner only. sample and public:
everybody reads it; a sample is audio that is fetched by its name.';

insert into private.status_transitions (table_name, from_status, to_status)
values
('media_objects', 'reserved', 'uploaded'),
('media_objects', 'reserved', 'refused'),
('media_objects', 'reserved', 'deleted'),
('media_objects', 'uploaded', 'ready'),
('media_objects', 'uploaded', 'refused'),
('media_objects', 'uploaded', 'deleted'),
('media_objects', 'ready', 'deleted'),
('media_objects', 'refused', 'deleted');

create table private.media_types (
    mime_type text constraint media_types_pkey primary key,
    kind public.media_kind not null,
    extension text not null,
    maximum_bytes bigint not null,
    constraint media_types_extension_check check (extension ~ '^[a-z0-9]{2,4}$')
);
comment on table private.media_types is 'The types of files that are accepted, and how large each may be.';
alter table private.media_types enable row level security;
insert into private.media_types (mime_type, kind, extension, maximum_bytes)
values
('image/jpeg', 'image', 'jpg', 20 << 20),
('image/png', 'image', 'png', 20 << 20),
('image/webp', 'image', 'webp', 20 << 20),
('image/gif', 'image', 'gif', 20 << 20),
('audio/mpeg', 'audio', 'mp3', 500 << 20),
('audio/wav', 'audio', 'wav', 1000 << 20),
('audio/ogg', 'audio', 'ogg', 500 << 20),
('audio/flac', 'audio', 'flac', 1000 << 20),
('audio/mp4', 'audio', 'm4a', 500 << 20),
('video/mp4', 'video', 'mp4', 5::bigint << 30),
('video/webm', 'video', 'webm', 5::bigint << 30),
('video/quicktime', 'video', 'mov', 5::bigint << 30),
('application/pdf', 'document', 'pdf', 100 << 20),
('text/vtt', 'caption', 'vtt', 2 << 20);

create table public.media_objects (
    id uuid not null default gen_random_uuid() constraint media_objects_pkey primary key,
    owner_id uuid not null
    constraint media_objects_owner_id_fkey references public.accounts (user_id) on delete cascade,
    kind public.media_kind not null,
    purpose public.media_purpose not null,
    status public.media_status not null default 'reserved',
    name text not null,
    bucket_id text not null default 'media',
    path text not null,
    mime_type text not null
    constraint media_objects_mime_type_fkey references private.media_types (mime_type) on delete restrict,
    size_bytes bigint not null constraint media_objects_size_bytes_check check (size_bytes > 0),
    sha256 text constraint media_objects_digest_check check (sha256 ~ '^[0-9a-f]{64}$'),
    width integer constraint media_objects_width_check check (width between 1 and 65535),
    height integer constraint media_objects_height_check check (height between 1 and 65535),
    duration_seconds numeric(9, 3) constraint media_objects_duration_seconds_check check (duration_seconds >= 0),
    refusal text constraint media_objects_refusal_check check (char_length(refusal) <= 500),
    reserved_until timestamptz not null default now() + interval '1 day',
    ready_at timestamptz,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    constraint media_objects_path_bucket_id_key unique (path, bucket_id),
    constraint media_objects_name_check check (private.is_line(name, 200) and name !~ '[/\\]' and name !~ '^\.+$'),
    constraint media_objects_ready_check check (status <> 'ready' or (sha256 is not null and ready_at is not null))
);
comment on table public.media_objects is
'Files of lessons, profiles and people. The owner reads them, everybody reads samples and public files, and who may play
a lesson reads those that it shows. reserve_media reserves one; the edge checks what arrives.';
comment on column public.media_objects.kind is 'What the file is; it follows from the type.';
comment on column public.media_objects.purpose is 'What the file is for, which decides who reads it.';
comment on column public.media_objects.width is 'The width of a picture, in pixels.';
comment on column public.media_objects.height is 'The height of a picture, in pixels.';
comment on column public.media_objects.ready_at is 'When the file was checked; its Last-Modified.';
comment on column public.media_objects.name is 'The name that people read; it is no part of the path.';
comment on column public.media_objects.bucket_id is 'The bucket in Storage.';
comment on column public.media_objects.path is
'The path in the bucket; begins with the owner''s id. It changes once, when a picture is ready.';
comment on column public.media_objects.mime_type is 'The declared type; once ready, that of the content.';
comment on column public.media_objects.size_bytes is 'The declared size; once ready, that of the stored file.';
comment on column public.media_objects.sha256 is 'The digest of the stored file, in hexadecimal; it is its ETag.';
comment on column public.media_objects.duration_seconds is 'The duration of audio and video, where it is known.';
comment on column public.media_objects.refusal is 'The token of the error for which the file was refused.';
comment on column public.media_objects.reserved_until is 'When a reservation without a complete upload ends.';
comment on constraint media_objects_owner_id_fkey on public.media_objects is 'There is no such account.';
comment on constraint media_objects_mime_type_fkey on public.media_objects is 'Files of this type are not accepted.';
comment on constraint media_objects_path_bucket_id_key on public.media_objects is
'Each file has one row. The policies of storage look it up';
comment on constraint media_objects_name_check on public.media_objects is
'The name of a file is one line of 1 to 200 characters without slashes.';
alter table public.media_objects enable row level security;
revoke all on public.media_objects from anon, authenticated, service_role;
create index media_objects_owner_id_created_at_idx on public.media_objects (owner_id, created_at desc);
comment on index public.media_objects_owner_id_created_at_idx is
'The files of a person: owner_id=eq. with order=created_at.desc, and the foreign key';
create index media_objects_mime_type_idx on public.media_objects (mime_type);
comment on index public.media_objects_mime_type_idx is 'The foreign key';
create index media_objects_status_reserved_until_idx on public.media_objects (status, reserved_until);
comment on index public.media_objects_status_reserved_until_idx is
'lapse__media_reservations, purge__media_objects, and the policies';
create index media_objects_purpose_idx on public.media_objects (purpose);
comment on index public.media_objects_purpose_idx is 'purpose=eq., and the policies';
create unique index media_objects_sample_name_key on public.media_objects (name)
where purpose = 'sample' and status = 'ready';
comment on index public.media_objects_sample_name_key is 'Each sample has a name of its own; GET /audio/{name}';
create trigger _200_set_updated_at before update on public.media_objects
for each row execute function private.tg__set_updated_at();
create trigger _100_check_transition before update of status on public.media_objects
for each row when (old.status is distinct from new.status) execute function private.tg__check_transition();

create table private.media_checks (
    media_id uuid constraint media_checks_pkey primary key
    constraint media_checks_media_id_fkey references public.media_objects (id) on delete cascade,
    clean_path text not null constraint media_checks_clean_path_key unique,
    created_at timestamptz not null default now()
);
comment on table private.media_checks is
'Where the edge writes a picture anew while it checks it. Nobody else reads the path, so what is there is the edge''s.';
alter table private.media_checks enable row level security;

insert into storage.buckets (id, name, public, file_size_limit, allowed_mime_types)
select
    'media',
    'media',
    false,
    max(t.maximum_bytes),
    array_agg(t.mime_type order by t.mime_type)
from private.media_types as t
on conflict (id) do update
    set
        public = excluded.public,
        file_size_limit = excluded.file_size_limit,
        allowed_mime_types = excluded.allowed_mime_types;

create function private.make_media(
    p_owner_id uuid, p_purpose public.media_purpose, p_name text, p_mime_type text, p_size_bytes bigint
)
returns public.media_objects
language plpgsql
security definer -- clients may not write files; the callers decide who may
set search_path = ''
as $$
declare
    v_most constant integer := 100;
    v_type private.media_types;
    v_media public.media_objects;
    v_id uuid := gen_random_uuid();
begin
    select t.* into v_type from private.media_types as t where t.mime_type = p_mime_type;
    if not found or (p_purpose = 'sample' and v_type.kind <> 'audio') then
        perform private.refuse('media_type_refused');
    elsif not coalesce(p_size_bytes between 1 and v_type.maximum_bytes, false) then
        perform private.refuse('media_size_refused', v_type.maximum_bytes::text);
    elsif not coalesce(private.is_line(p_name, 200) and p_name !~ '[/\\]' and p_name !~ '^\.+$', false) then
        perform private.refuse('media_name_invalid');
    end if;
    -- Reservations of a person at once wait here for each other.
    perform pg_catalog.pg_advisory_xact_lock(pg_catalog.hashtext('media_objects:' || p_owner_id));
    if (
        select count(*) from public.media_objects as m
        where m.owner_id = p_owner_id and m.status in ('reserved', 'uploaded')
    ) >= v_most then
        perform private.refuse('media_reservations_exceeded', v_most::text);
    end if;
    insert into public.media_objects (id, owner_id, kind, purpose, name, path, mime_type, size_bytes)
    values (
        v_id, p_owner_id, v_type.kind, p_purpose, p_name,
        format('%s/%s/file.%s', p_owner_id, v_id, v_type.extension), p_mime_type, p_size_bytes
    )
    returning * into v_media;
    return v_media;
end
$$;
comment on function private.make_media(uuid, public.media_purpose, text, text, bigint) is
'Reserves a file and its path. Raises media_type_refused (415), media_size_refused (413), media_name_invalid (422),
media_reservations_exceeded (429).';

create function private.reserve_media(
    p_name text, p_mime_type text, p_size_bytes bigint, p_purpose public.media_purpose default 'upload'
)
returns public.media_objects
language plpgsql
security definer -- clients may not write files
set search_path = ''
as $$
declare
    v_caller uuid := private.require_active();
begin
    if p_purpose in ('lesson', 'profile', 'sample', 'public') then
        perform private.require_role('teacher');
    end if;
    return private.make_media(v_caller, coalesce(p_purpose, 'upload'), p_name, p_mime_type, p_size_bytes);
end
$$;
comment on function private.reserve_media(text, text, bigint, public.media_purpose) is
'Reserves a file and its path in the bucket `media` for a day. Upload to the path, by Storage in one piece or resumably
(TUS), then POST /functions/v1/media/{id}/complete. Purposes other than upload are for teachers. Raises role_required
(403), media_type_refused (415), media_size_refused (413), media_name_invalid (422), media_reservations_exceeded
(429).';

create function private.my_media_upload_paths() returns text[]
language plpgsql
stable
security definer -- the paths of checks are closed to everybody
set search_path = ''
as $$
begin
    if not (select private.is_active()) then
        return '{}';
    end if;
    return array(
        select m.path from public.media_objects as m
        where m.owner_id = (select auth.uid()) and m.status = 'reserved' and m.reserved_until > now()
        union all
        select c.clean_path from public.media_objects as m
        join private.media_checks as c on c.media_id = m.id
        where m.owner_id = (select auth.uid()) and m.status = 'uploaded'
    );
end
$$;
comment on function private.my_media_upload_paths() is
'The paths in the bucket `media` to which the caller may upload now. The policy of storage calls it as any((select
private.my_media_upload_paths())::text[]).';

create function private.begin_media_check(p_user_id uuid, p_media_id uuid) returns jsonb
language plpgsql
security definer -- the edge reads no table
set search_path = ''
as $$
declare
    v_media public.media_objects;
    v_version text;
begin
    perform private.require_active_account(p_user_id);
    select m.* into v_media from public.media_objects as m
    where m.id = p_media_id and m.owner_id = p_user_id for no key update;
    if not found then
        perform private.refuse('media_not_found');
    elsif v_media.status = 'deleted' then
        perform private.refuse('media_deleted');
    elsif v_media.status not in ('reserved', 'uploaded') then
        perform private.refuse('media_not_reserved', v_media.status::text);
    end if;
    v_version := private.object_version(v_media.bucket_id, v_media.path);
    if v_version is null then
        perform private.refuse('media_not_uploaded');
    end if;
    update public.media_objects as m set status = 'uploaded', reserved_until = now() + interval '1 hour'
    where m.id = p_media_id;
    delete from private.media_checks as c where c.media_id = p_media_id;
    insert into private.media_checks (media_id, clean_path)
    values (
        p_media_id,
        regexp_replace(v_media.path, 'file\.([a-z0-9]+)$', encode(extensions.gen_random_bytes(16), 'hex') || '.\1')
    );
    return jsonb_build_object(
        'id', v_media.id, 'bucket_id', v_media.bucket_id, 'path', v_media.path, 'kind', v_media.kind,
        'mime_type', v_media.mime_type, 'size_bytes', v_media.size_bytes, 'version', v_version,
        'clean_path', (select c.clean_path from private.media_checks as c where c.media_id = p_media_id)
    );
end
$$;
comment on function private.begin_media_check(uuid, uuid) is
'Closes the path of an uploaded file to further uploads, and returns what the edge checks: {id, bucket_id, path, kind,
mime_type, size_bytes, version, clean_path}. For the edge. Raises what require_active_account raises, media_not_found
(404), media_not_reserved, media_not_uploaded (409), media_deleted (410).';

create function private.finish_media_check(
    p_user_id uuid, p_media_id uuid, p_version text, p_found jsonb, p_refusal text default null
)
returns public.media_objects
language plpgsql
security definer -- the edge writes no table
set search_path = ''
as $$
declare
    v_media public.media_objects;
    v_path text;
begin
    select m.* into v_media from public.media_objects as m
    where m.id = p_media_id and m.owner_id = p_user_id for no key update;
    if not found then
        perform private.refuse('media_not_found');
    elsif v_media.status <> 'uploaded' then
        perform private.refuse('media_not_reserved', v_media.status::text);
    end if;
    select c.clean_path into v_path from private.media_checks as c where c.media_id = p_media_id;
    delete from private.media_checks as c where c.media_id = p_media_id;
    if p_refusal is not null then
        update public.media_objects as m set status = 'refused', refusal = p_refusal where m.id = p_media_id
        returning m.* into v_media;
        perform private.discard_file(v_media.bucket_id, f.path) from unnest(array[v_media.path, v_path]) as f (path);
        return v_media;
    end if;
    if not coalesce((p_found ->> 'is_clean')::boolean, false) then
        v_path := v_media.path;
    end if;
    if private.object_version(v_media.bucket_id, v_media.path) is distinct from p_version
        or private.object_version(v_media.bucket_id, v_path) is null
    then
        perform private.refuse('media_not_uploaded');
    end if;
    if v_path <> v_media.path then
        perform private.discard_file(v_media.bucket_id, v_media.path);
    end if;
    update public.media_objects as m
    set
        status = 'ready',
        ready_at = now(),
        path = v_path,
        mime_type = p_found ->> 'mime_type',
        size_bytes = (p_found ->> 'size_bytes')::bigint,
        sha256 = p_found ->> 'sha256',
        width = (p_found ->> 'width')::integer,
        height = (p_found ->> 'height')::integer,
        duration_seconds = (p_found ->> 'duration_seconds')::numeric
    where m.id = p_media_id
    returning m.* into v_media;
    return v_media;
end
$$;
comment on function private.finish_media_check(uuid, uuid, text, jsonb, text) is
'Records what the edge found in a file (mime_type, size_bytes, sha256, width, height, duration_seconds, is_clean:
written anew to clean_path), or refuses it and has it removed. For the edge. Raises media_not_found (404),
media_not_reserved, media_not_uploaded (409).';

create function private.is_media_named(p_media_id uuid) returns boolean
language plpgsql
stable
security definer -- no role may execute the functions that domains register
set search_path = ''
as $$
declare
    v_function name;
    v_is_named boolean;
begin
    for v_function in select f.name from private.registered_functions('media_use') as f (name) loop
        execute format('select private.%I($1)', v_function) into v_is_named using p_media_id;
        if v_is_named then
            return true;
        end if;
    end loop;
    return false;
end
$$;
comment on function private.is_media_named(uuid) is
'Whether something shows the file: asks private.media_use__<what>(media_id uuid), which returns whether one of its rows
does.';

create function private.tg_media_objects__discard_file() returns trigger
language plpgsql
security definer -- clients may not discard files
set search_path = ''
as $$
begin
    perform private.discard_file(old.bucket_id, old.path);
    return null;
end
$$;
comment on function private.tg_media_objects__discard_file() is
'After a file is deleted, or its row: has it removed from storage.';
create trigger _500_discard_file after update of status on public.media_objects
for each row when (new.status = 'deleted' and old.status <> 'deleted')
execute function private.tg_media_objects__discard_file();
create trigger _500_discard_file_of_row after delete on public.media_objects
for each row execute function private.tg_media_objects__discard_file();

create function private.file_use__media(p_bucket_id text, p_name text) returns boolean
language sql
stable
set search_path = ''
as $$
    select p_bucket_id = 'media' and exists (
        select from public.media_objects as m
        where m.bucket_id = p_bucket_id and m.path = p_name and m.status in ('reserved', 'uploaded', 'ready')
    )
$$;
comment on function private.file_use__media(text, text) is 'Whether the file is one of media_objects.';

create function private.delete_media(p_media_id uuid) returns public.media_objects
language plpgsql
security definer -- clients may not write files
set search_path = ''
as $$
declare
    v_caller uuid := private.require_active();
    v_media public.media_objects;
begin
    select m.* into v_media from public.media_objects as m
    where m.id = p_media_id and (m.owner_id = v_caller or (select private.has_role('moderator')))
    for no key update;
    if not found then
        perform private.refuse('media_not_found');
    elsif v_media.status = 'deleted' then
        perform private.refuse('media_deleted');
    elsif private.is_media_named(p_media_id) then
        perform private.refuse('media_in_use');
    end if;
    update public.media_objects as m set status = 'deleted' where m.id = p_media_id returning m.* into v_media;
    return v_media;
end
$$;
comment on function private.delete_media(uuid) is
'Deletes a file that nothing shows. For its owner and moderators. Raises media_not_found (404), media_in_use (409),
media_deleted (410).';

create function private.lapse__media_reservations() returns bigint
language plpgsql
set search_path = ''
as $$
declare
    v_ended bigint;
begin
    with ended as (
        update public.media_objects as m set status = 'refused', refusal = 'media_not_uploaded'
        where m.id in (
            select r.id from public.media_objects as r
            where r.status in ('reserved', 'uploaded') and r.reserved_until <= now()
            order by r.reserved_until
            limit 100
            for no key update skip locked
        )
        returning m.id, m.bucket_id, m.path
    )
    select count(private.discard_file(e.bucket_id, f.path)::text) into v_ended
    from ended as e
    left join private.media_checks as c on c.media_id = e.id
    cross join lateral unnest(array[e.path, c.clean_path]) as f (path)
    where f.path is not null;
    return v_ended;
end
$$;
comment on function private.lapse__media_reservations() is
'Ends up to 100 reservations whose upload was not completed in time. Returns how many files it discarded.';

create function private.purge__media_objects() returns bigint
language plpgsql
set search_path = ''
as $$
declare
    v_deleted bigint;
begin
    delete from public.media_objects as m
    where m.id in (
        select o.id from public.media_objects as o
        where o.status in ('refused', 'deleted') and o.updated_at < now() - interval '90 days'
            and not private.is_media_named(o.id)
        limit 1000
    );
    get diagnostics v_deleted = row_count;
    return v_deleted;
end
$$;
comment on function private.purge__media_objects() is
'Deletes up to 1,000 rows of files that were refused or deleted 90 days ago. Returns the number.';

create function private.account_ended__500_media(p_user_id uuid) returns void
language plpgsql
set search_path = ''
as $$
begin
    update public.media_objects as m set status = 'deleted'
    where m.owner_id = p_user_id and m.status <> 'deleted' and not private.is_media_named(m.id);
    update public.media_objects as m set name = 'file' where m.owner_id = p_user_id;
end
$$;
comment on function private.account_ended__500_media(uuid) is
'Deletes the files of the user that nothing shows, and forgets the names of all. Files of lessons stay as long as the
course does: students paid for them.';
