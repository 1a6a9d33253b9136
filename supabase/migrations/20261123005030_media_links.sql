-- Media: links that play a file, for players that send no token of their own. A link is for one file, one person and
-- one purpose; whether the person may play is asked when it is made and again at each use.

insert into private.errors (token, status, meaning, hint, detail)
values
(
    'media_link_invalid', 401,
    'This link is not valid, or its time is over.',
    'Sign another one.',
    null
);

create table private.media_links (
    token_hash bytea constraint media_links_pkey primary key,
    media_id uuid not null constraint media_links_media_id_fkey references public.media_objects (id) on delete cascade,
    user_id uuid not null constraint media_links_user_id_fkey references public.accounts (user_id) on delete cascade,
    purpose text not null constraint media_links_purpose_check check (purpose in ('play', 'download')),
    storage_url text not null constraint media_links_storage_url_check check (char_length(storage_url) <= 4000),
    expires_at timestamptz not null
);
comment on table private.media_links is
'Open links to files. Only the digest of a link''s token is kept. storage_url: Storage''s own signed link, which the
edge opens for the person.';
alter table private.media_links enable row level security;
create index media_links_media_id_idx on private.media_links (media_id);
comment on index private.media_links_media_id_idx is 'The foreign key';
create index media_links_user_id_idx on private.media_links (user_id);
comment on index private.media_links_user_id_idx is 'The foreign key';
create index media_links_expires_at_idx on private.media_links (expires_at);
comment on index private.media_links_expires_at_idx is 'purge__media_links';

create function private.may_play_media(p_media_id uuid) returns boolean
language plpgsql
stable
security definer -- the edge asks for people whose tables it may not read; auth.uid() is the person
set search_path = ''
as $$
declare
    v_caller uuid := (select auth.uid());
    v_taught uuid[] := private.my_taught_course_ids();
    v_open uuid[] := private.my_course_ids();
begin
    return exists (
        select from public.media_objects as o
        where o.id = p_media_id and o.status = 'ready' and (
            o.owner_id = v_caller
            or o.purpose in ('sample', 'public')
            or private.has_role('moderator')
            or exists (
                select from public.lesson_media as m
                join public.lessons as l on l.id = m.lesson_id
                join public.courses as c on c.id = m.course_id
                where (
                    m.media_id = o.id
                    or exists (
                        select from public.media_captions as t where t.lesson_media_id = m.id and t.media_id = o.id
                    )
                )
                and (
                    m.course_id = any(v_taught)
                    or ((m.is_preview or l.is_intro) and (c.status = 'published' or m.course_id = any(v_open)))
                    or (
                        m.course_id = any(v_open)
                        and not exists (select from public.lesson_locks as k where k.lesson_id = m.lesson_id)
                    )
                )
            )
            or exists (
                select from public.profile_media as p
                join public.profiles as r on r.id = p.profile_id
                where p.media_id = o.id and p.is_published and r.is_public
            )
        )
    );
end
$$;
comment on function private.may_play_media(uuid) is
'Whether the caller may play a file now: what the policies of media_objects say of files that are ready.';

create function private.make_media_link(
    p_user_id uuid, p_media_id uuid, p_purpose text, p_token_hash bytea, p_storage_url text, p_seconds integer
)
returns timestamptz
language plpgsql
security definer -- links are closed to everybody
set search_path = ''
as $$
declare
    v_expires_at timestamptz := now() + least(greatest(p_seconds, 60), 900) * interval '1 second';
begin
    insert into private.media_links (token_hash, media_id, user_id, purpose, storage_url, expires_at)
    values (p_token_hash, p_media_id, p_user_id, p_purpose, p_storage_url, v_expires_at);
    return v_expires_at;
end
$$;
comment on function private.make_media_link(uuid, uuid, text, bytea, text, integer) is
'Keeps a link of 1 to 15 minutes that the edge made for a person who may read the file, and returns when it ends. For
the edge.';

create function private.media_as(p_user_id uuid, p_media_id uuid) returns boolean
language plpgsql
set search_path = ''
as $$
declare
    v_claims text := current_setting('request.jwt.claims', true);
    v_subject text := current_setting('request.jwt.claim.sub', true);
    v_may_play boolean;
begin
    perform set_config('request.jwt.claims', jsonb_build_object('sub', p_user_id, 'role', 'authenticated')::text, true);
    -- Hosted Supabase sets this older setting, too, and auth.uid() reads it first.
    perform set_config('request.jwt.claim.sub', p_user_id::text, true);
    v_may_play := private.may_play_media(p_media_id);
    perform set_config('request.jwt.claims', coalesce(v_claims, ''), true);
    perform set_config('request.jwt.claim.sub', coalesce(v_subject, ''), true);
    return v_may_play;
end
$$;
comment on function private.media_as(uuid, uuid) is 'Whether a person may play a file now.';

create function private.open_media_link(p_token_hash bytea) returns jsonb
language plpgsql
security definer -- links are closed to everybody
set search_path = ''
as $$
declare
    v_link private.media_links;
    v_media public.media_objects;
begin
    select k.* into v_link from private.media_links as k where k.token_hash = p_token_hash and k.expires_at > now();
    if not found then
        perform private.refuse('media_link_invalid');
    end if;
    select m.* into v_media from public.media_objects as m where m.id = v_link.media_id;
    if v_media.status = 'deleted' then
        perform private.refuse('media_deleted');
    elsif not private.media_as(v_link.user_id, v_link.media_id)
        or not exists (
            select from public.accounts as a where a.user_id = v_link.user_id and a.status in ('active', 'suspended')
        )
    then
        perform private.refuse('media_not_found');
    end if;
    return jsonb_build_object(
        'name', v_media.name, 'mime_type', v_media.mime_type, 'size_bytes', v_media.size_bytes,
        'sha256', v_media.sha256, 'ready_at', v_media.ready_at, 'purpose', v_link.purpose,
        'storage_url', v_link.storage_url
    );
end
$$;
comment on function private.open_media_link(bytea) is
'What the edge serves for a link, to whose person the file must be open now: {name, mime_type, size_bytes, sha256,
ready_at, purpose, storage_url}. For the edge. Raises media_link_invalid (401), media_not_found (404), media_deleted
(410).';

create function private.purge__media_links() returns bigint
language plpgsql
set search_path = ''
as $$
declare
    v_deleted bigint;
begin
    delete from private.media_links as k where k.expires_at < now();
    get diagnostics v_deleted = row_count;
    return v_deleted;
end
$$;
comment on function private.purge__media_links() is 'Deletes links whose time is over. Returns the number.';

create function private.find_public_media(p_path text, p_name text default null) returns jsonb
language plpgsql
stable
security definer -- the edge reads no table
set search_path = ''
as $$
declare
    v_media public.media_objects;
begin
    select m.* into v_media from public.media_objects as m
    where
        case
            when p_name is null then m.bucket_id = 'media' and m.path = p_path and m.purpose in ('sample', 'public')
            else m.name = p_name and m.purpose = 'sample' and m.status = 'ready'
        end;
    if not found or v_media.status in ('reserved', 'uploaded', 'refused') then
        perform private.refuse('media_not_found');
    elsif v_media.status = 'deleted' then
        perform private.refuse('media_deleted');
    end if;
    return jsonb_build_object(
        'name', v_media.name, 'mime_type', v_media.mime_type, 'size_bytes', v_media.size_bytes,
        'sha256', v_media.sha256, 'ready_at', v_media.ready_at, 'bucket_id', v_media.bucket_id, 'path', v_media.path
    );
end
$$;
comment on function private.find_public_media(text, text) is
'What the edge serves to everybody: a sample or public file by its path, or a sample by its name. For the edge. Raises
media_not_found (404), media_deleted (410).';
