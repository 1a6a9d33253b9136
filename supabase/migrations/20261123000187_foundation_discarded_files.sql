-- Foundation: files that no row names any more. SQL cannot remove the bytes of a file: the worker does, by Storage.

-- The role of the worker's token at Storage. It reads what `anon` reads, and removes what policies/ lets it remove.
do $$
begin
    if not exists (select from pg_catalog.pg_roles where rolname = 'file_remover') then
        create role file_remover nologin;
    end if;
    grant anon to file_remover;
    -- Storage changes to the role of a token, as a member of `authenticator`.
    grant file_remover to authenticator;
end
$$;

create table private.discarded_files (
    bucket_id text not null,
    name text not null,
    discarded_at timestamptz not null default now(),
    constraint discarded_files_pkey primary key (bucket_id, name)
);
comment on table private.discarded_files is
'Files that a row named and names no more: replaced, or of a row that was deleted. The worker removes those that are in
storage, and that no row names again meanwhile. No foreign key: a row of storage goes with its file.';
alter table private.discarded_files enable row level security;

create function private.is_file_used(p_bucket_id text, p_name text) returns boolean
language plpgsql
stable
security definer -- no role may execute the functions that domains register
set search_path = ''
as $$
declare
    v_function name;
    v_is_used boolean;
begin
    for v_function in select f.name from private.registered_functions('file_use') as f (name) loop
        execute format('select private.%I($1, $2)', v_function) into v_is_used using p_bucket_id, p_name;
        if v_is_used then
            return true;
        end if;
    end loop;
    return false;
end
$$;
comment on function private.is_file_used(text, text) is
'Whether a row names the file: asks private.file_use__<what>(bucket_id text, name text) of every domain, which returns
whether one of its rows does.';

create function private.discard_file(p_bucket_id text, p_name text) returns void
language plpgsql
security definer -- the list and the job queue are closed to clients
set search_path = ''
as $$
begin
    insert into private.discarded_files (bucket_id, name) values (p_bucket_id, p_name) on conflict do nothing;
    perform private.defer_job('remove_files', '{}', 'remove_files');
end
$$;
comment on function private.discard_file(text, text) is
'Has the worker remove a file, unless a row names it then. Triggers call it for the file that a row named before.';

create function private.removable_files() returns text[]
language plpgsql
stable
security definer -- the list is closed
set search_path = ''
as $$
begin
    return array(
        select d.bucket_id || '/' || d.name
        from private.discarded_files as d
        join storage.objects as o on o.bucket_id = d.bucket_id and o.name = d.name
        where not private.is_file_used(d.bucket_id, d.name)
        order by d.discarded_at, d.bucket_id, d.name
        limit 500
    );
end
$$;
comment on function private.removable_files() is
'The files that the worker may remove, oldest first, as bucket, slash and name. The policy of storage asks again when it
removes them.';

create function private.forget_removed_files(p_files text[]) returns bigint
language plpgsql
security definer -- the list is closed
set search_path = ''
as $$
begin
    delete from private.discarded_files as d
    where not exists (select from storage.objects as o where o.bucket_id = d.bucket_id and o.name = d.name)
        or private.is_file_used(d.bucket_id, d.name);
    return (
        select count(*) from private.discarded_files as d where d.bucket_id || '/' || d.name = any(p_files)
    );
end
$$;
comment on function private.forget_removed_files(text[]) is
'Takes files from the list that are gone, or that a row names again; returns how many of these files are left. For the
worker.';
