-- The part of Supabase Storage's schema that policies, migrations and the storage server (stack/storage) use. The
-- content of an object is in a file; a row here makes it visible to the roles that may select the row.

-- The storage server connects as the owner of everything below, to which policies do not apply.
set role supabase_storage_admin;

do $$
begin
    if to_regtype('storage.buckettype') is null then
        create type storage.buckettype as enum ('STANDARD', 'ANALYTICS', 'VECTOR');
    end if;
end
$$;

create table if not exists storage.migrations (
    id integer not null,
    name character varying(100) not null,
    hash character varying(40) not null,
    executed_at timestamp without time zone default current_timestamp,
    constraint migrations_pkey primary key (id),
    constraint migrations_name_key unique (name)
);
comment on table storage.migrations
is 'Where hosted Supabase records its storage migrations. Empty here: this file is the schema.';

create table if not exists storage.buckets (
    id text not null,
    name text not null,
    owner uuid,
    created_at timestamptz default now(),
    updated_at timestamptz default now(),
    public boolean default false,
    avif_autodetection boolean default false,
    file_size_limit bigint,
    allowed_mime_types text[],
    owner_id text,
    type storage.buckettype not null default 'STANDARD',
    constraint buckets_pkey primary key (id),
    constraint buckets_name_length_check check (char_length(name) <= 100)
);
create unique index if not exists bname on storage.buckets (name);
comment on table storage.buckets
is 'A bucket: a name space of objects with its own limits. A public one is read without a policy.';
comment on column storage.buckets.owner
is 'Deprecated by Supabase, use owner_id: the creator, where their id is a uuid.';
comment on column storage.buckets.owner_id is 'The `sub` claim of the creator; null where a server key created it.';
comment on column storage.buckets.file_size_limit is 'Bytes an object may have; null means the server''s own limit.';
comment on column storage.buckets.allowed_mime_types
is 'MIME types an object may declare, `image/*` among them; null means any.';

create table if not exists storage.objects (
    id uuid not null default gen_random_uuid(),
    bucket_id text,
    name text,
    owner uuid,
    created_at timestamptz default now(),
    updated_at timestamptz default now(),
    last_accessed_at timestamptz default now(),
    metadata jsonb,
    path_tokens text[] generated always as (string_to_array(name, '/')) stored,
    version text,
    owner_id text,
    user_metadata jsonb,
    constraint objects_pkey primary key (id),
    -- no cascade: a bucket that still has objects cannot be deleted
    constraint "objects_bucketId_fkey" foreign key (bucket_id) references storage.buckets (id)
);
create unique index if not exists bucketid_objname on storage.objects (bucket_id, name);
comment on index storage.bucketid_objname is 'One object a path. Serves every lookup: bucket_id = ? and name = ?.';
create index if not exists idx_objects_bucket_id_name on storage.objects (bucket_id, name collate "C");
comment on index storage.idx_objects_bucket_id_name
is 'Listing below a folder, with any collation of the database: bucket_id = ? and name >= ? collate "C".';
comment on table storage.objects
is 'The metadata of an uploaded file. Write it through the Storage API, which also writes the file.';
comment on column storage.objects.owner
is 'Deprecated by Supabase, use owner_id: the uploader, where their id is a uuid.';
comment on column storage.objects.owner_id is 'The `sub` claim of the uploader; null where a server key uploaded it.';
comment on column storage.objects.version is 'Names the file with the current content; new with every upload.';
comment on column storage.objects.metadata
is 'Set by the server: size, mimetype, cacheControl, eTag, lastModified.';
comment on column storage.objects.user_metadata is 'Set by the uploader.';
comment on column storage.objects.path_tokens is 'The name, split at its slashes.';

alter table storage.migrations enable row level security;
alter table storage.buckets enable row level security;
alter table storage.objects enable row level security;

create or replace function storage.foldername(name text) returns text[]
language sql
immutable
set search_path = ''
as $$
    select (string_to_array(foldername.name, '/'))[1:array_length(string_to_array(foldername.name, '/'), 1) - 1]
$$;
comment on function storage.foldername(text) is 'The folders of a path, outermost first: `a/b/c.png` gives `{a,b}`.';

create or replace function storage.filename(name text) returns text
language sql
immutable
set search_path = ''
as $$
    select (string_to_array(filename.name, '/'))[array_length(string_to_array(filename.name, '/'), 1)]
$$;
comment on function storage.filename(text) is 'The last part of a path: `a/b/c.png` gives `c.png`.';

create or replace function storage.extension(name text) returns text
language sql
immutable
set search_path = ''
as $$
    select reverse(split_part(reverse(storage.filename(extension.name)), '.', 1))
$$;
comment on function storage.extension(text)
is 'What follows the last dot of a path''s last part: `a/b/c.png` gives `png`.';

create or replace function storage.operation() returns text
language sql
stable
set search_path = ''
as $$
    select current_setting('storage.operation', true)
$$;
comment on function storage.operation() is 'The Storage API call that runs the query, such as `storage.object.upload`.';

create or replace function storage.allow_any_operation(expected_operations text[]) returns boolean
language sql
stable
set search_path = ''
as $$
    select coalesce(
        regexp_replace(nullif(storage.operation(), ''), '^storage\.', '') = any (
            select regexp_replace(nullif(o.expected, ''), '^storage\.', '')
            from unnest(allow_any_operation.expected_operations) as o (expected)
            where o.expected <> ''
        ),
        false
    )
$$;
comment on function storage.allow_any_operation(text[])
is 'Whether the query runs for one of these Storage API calls; the prefix `storage.` may be left out.';

create or replace function storage.allow_only_operation(expected_operation text) returns boolean
language sql
stable
set search_path = ''
as $$
    select storage.allow_any_operation(array[allow_only_operation.expected_operation])
$$;
comment on function storage.allow_only_operation(text)
is 'Whether the query runs for this Storage API call; the prefix `storage.` may be left out.';

create or replace function storage.search(
    prefix text,
    bucketname text,
    limits integer default 100,
    offsets integer default 0,
    search text default '',
    sortcolumn text default 'name',
    sortorder text default 'asc'
)
returns table (
    name text,
    id uuid,
    updated_at timestamptz,
    created_at timestamptz,
    last_accessed_at timestamptz,
    metadata jsonb
)
language plpgsql
stable
security invoker
set search_path = ''
as $$
declare
    v_order text := case when lower(search.sortorder) = 'desc' then 'desc' else 'asc' end;
    v_column text := case
        when lower(search.sortcolumn) in ('name', 'updated_at', 'created_at', 'last_accessed_at')
            then lower(search.sortcolumn)
        else 'name'
    end;
    -- Folders have no times: they come first in an order by time.
    v_folders_first text := case when v_column = 'name' then '' else 'e.id is not null, ' end;
begin
    return query execute format(
        $query$
            with entries as (
                select
                    split_part(substr(o.name, length($1) + 1), '/', 1) as entry,
                    strpos(substr(o.name, length($1) + 1), '/') > 0 as is_folder,
                    o.*
                from storage.objects as o
                where
                    o.bucket_id = $2
                    and o.name collate "C" >= $1
                    and starts_with(o.name, $1)
                    and starts_with(lower(substr(o.name, length($1) + 1)), lower($3))
            ),
            listed as (
                select distinct
                    e.entry as name,
                    null::uuid as id,
                    null::timestamptz as updated_at,
                    null::timestamptz as created_at,
                    null::timestamptz as last_accessed_at,
                    null::jsonb as metadata
                from entries as e
                where e.is_folder
                union all
                select e.entry, e.id, e.updated_at, e.created_at, e.last_accessed_at, e.metadata
                from entries as e
                where not e.is_folder
            )
            select e.*
            from listed as e
            order by %1$s e.%2$I %3$s, e.name collate "C" %3$s
            limit $4 offset $5
        $query$,
        v_folders_first, v_column, v_order
    )
    using
        coalesce(search.prefix, ''),
        search.bucketname,
        coalesce(search.search, ''),
        least(coalesce(search.limits, 100), 1500),
        coalesce(search.offsets, 0);
end
$$;
comment on function storage.search(text, text, integer, integer, text, text, text)
is 'The files and folders directly below a prefix that the caller may select; a folder has id null.';

create or replace function storage.update_updated_at_column() returns trigger
language plpgsql
set search_path = ''
as $$
begin
    new.updated_at := now();
    return new;
end
$$;
comment on function storage.update_updated_at_column() is 'Sets updated_at on each change.';

drop trigger if exists update_objects_updated_at on storage.objects;
create trigger update_objects_updated_at before update on storage.objects
for each row execute function storage.update_updated_at_column();
drop trigger if exists update_buckets_updated_at on storage.buckets;
create trigger update_buckets_updated_at before update on storage.buckets
for each row execute function storage.update_updated_at_column();

create or replace function storage.protect_delete() returns trigger
language plpgsql
set search_path = ''
as $$
begin
    if coalesce(current_setting('storage.allow_delete_query', true), 'false') <> 'true' then
        raise exception 'Direct deletion from storage tables is not allowed. Use the Storage API instead.'
            using errcode = '42501', hint = 'A row deleted here would leave its file.';
    end if;
    return null;
end
$$;
comment on function storage.protect_delete()
is 'Refuses deletions that the Storage API does not make, because they would leave the file.';

drop trigger if exists protect_objects_delete on storage.objects;
create trigger protect_objects_delete before delete on storage.objects
for each statement execute function storage.protect_delete();
drop trigger if exists protect_buckets_delete on storage.buckets;
create trigger protect_buckets_delete before delete on storage.buckets
for each statement execute function storage.protect_delete();

-- Row level security restricts these grants. No truncate, to which policies do not apply.
revoke all on storage.migrations, storage.buckets, storage.objects from public, anon, authenticated, service_role;
grant select, insert, update, delete on storage.buckets, storage.objects to anon, authenticated, service_role;
grant all on storage.buckets, storage.objects to postgres with grant option;
grant select on storage.migrations to postgres;

reset role;
