-- Foundation: schemas, extensions, the system's login roles, and what every later file uses.
--
-- Nothing here depends on default privileges: every table, view and function of ours starts closed, and the files in
-- policies/ open what is meant to be open.

create extension if not exists btree_gist with schema extensions;
create extension if not exists pg_trgm with schema extensions;
create extension if not exists pgcrypto with schema extensions;
create extension if not exists unaccent with schema extensions;

create schema if not exists private;
comment on schema private is
'What no client reaches: policy helpers, SECURITY DEFINER functions, answer keys, account standing, the mail outbox.';
revoke all on schema private from public;

-- Only the owner makes temporary objects here. Whatever search_path a function sets, Postgres looks a type up in
-- pg_temp first: somebody's temporary domain named `uuid` would have its check run by our SECURITY DEFINER functions,
-- as their owner.
do $$
begin
    execute format('revoke temporary on database %I from public', current_database());
end
$$;

alter default privileges in schema public revoke all on tables from anon, authenticated, service_role;
alter default privileges in schema public revoke all on sequences from anon, authenticated, service_role;
alter default privileges in schema public revoke execute on functions from anon, authenticated, service_role;
alter default privileges revoke execute on functions from public;

-- Two logins of the system's own. `edge` has EXECUTE on the private functions granted to it in policies/, and nothing
-- else; `worker` has that and the job queue. The operator sets their passwords. Roles belong to the cluster, so another
-- database of this cluster may have made them already.
do $$
declare
    v_role text;
begin
    foreach v_role in array array['edge', 'worker'] loop
        if not exists (select from pg_catalog.pg_roles where rolname = v_role) then
            execute format('create role %I with login noinherit', v_role);
        end if;
    end loop;
end
$$;
alter role edge set search_path = '';
alter role edge set statement_timeout = '8s';
-- The library names its tables without their schema.
alter role worker set search_path = 'procrastinate';
alter role worker set statement_timeout = '30s';
-- A mail's row stays locked while the mail is sent: not for ever, should the worker lose itself.
alter role worker set idle_in_transaction_session_timeout = '5min';

create function private.tg__set_updated_at() returns trigger
language plpgsql
set search_path = ''
as $$
begin
    new.updated_at := now();
    return new;
end
$$;
comment on function private.tg__set_updated_at() is 'Before update: the row says when it last changed.';

create function private.tg__check_time_zone() returns trigger
language plpgsql
set search_path = ''
as $$
begin
    -- AT TIME ZONE would take more: abbreviations, and rules that the caller makes up.
    if not exists (
        select from pg_catalog.pg_timezone_names as z
        where z.name = new.time_zone and (z.name like '%/%' or z.name = 'UTC') and z.name !~ '^(posix|right)/'
    ) then
        raise sqlstate 'PT422' using
            message = 'time_zone_invalid',
            detail = 'There is no such time zone.',
            hint = 'Use an IANA name, such as Europe/Lisbon, or UTC.';
    end if;
    return new;
end
$$;
comment on function private.tg__check_time_zone() is
'Before a row''s time_zone is set: it is one of Area/City, or UTC. Raises PT422 time_zone_invalid.';

create function private.close_table(p_table regclass) returns void
language plpgsql
set search_path = ''
as $$
declare
    v_policy name;
begin
    -- A view has none of its own: it runs as its caller.
    if (select c.relkind from pg_catalog.pg_class as c where c.oid = p_table) <> 'v' then
        execute format('alter table %s enable row level security', p_table);
    end if;
    for v_policy in select p.polname from pg_catalog.pg_policy as p where p.polrelid = p_table loop
        execute format('drop policy %I on %s', v_policy, p_table);
    end loop;
    execute format(
        'revoke all on table %s from public, anon, authenticated, service_role, supabase_auth_admin, edge, worker',
        p_table
    );
end
$$;
comment on function private.close_table(regclass) is
'Drops every policy of the table and revokes every privilege on it, columns included, from every role of ours. Each file
in policies/ begins with it, so that the file alone says who may do what.';

create function private.slugify(p_text text) returns text
language sql
stable
parallel safe
set search_path = ''
as $$
    select trim(both '-' from left(
        regexp_replace(lower(extensions.unaccent('extensions.unaccent', p_text)), '[^a-z0-9]+', '-', 'g'), 60
    ))
$$;
comment on function private.slugify(text) is
'The text as a piece of a web address: lower case, accents and punctuation gone, at most 60 characters; may be empty.';

create function private.request_id() returns text
language plpgsql
stable
set search_path = ''
as $$
declare
    v_headers json := nullif(current_setting('request.headers', true), '')::json;
begin
    return substring(
        coalesce(v_headers ->> 'x-request-id', current_setting('guildhall.request_id', true))
        from '^[A-Za-z0-9._-]{1,128}$'
    );
end
$$;
comment on function private.request_id() is
'The id of the request at hand: the header X-Request-Id that PostgREST got, else what the edge set. Null where there is
none, or none that may go into logs as it came.';

create function private.schema_version() returns text
language plpgsql
stable
security definer -- the caller must not need to see the migration history
set search_path = ''
as $$
begin
    return (select max(m.version) from supabase_migrations.schema_migrations as m);
end
$$;
comment on function private.schema_version() is
'The newest migration applied, as 14 digits. The edge calls it to say that the database is ready.';
