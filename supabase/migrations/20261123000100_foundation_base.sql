-- Foundation: schemas, extensions, the edge's login role, and what every later file uses.
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

-- The edge's login: EXECUTE on the private functions granted to it in policies/, and nothing else. The operator sets
-- its
-- password. Roles belong to the cluster, so another database of this cluster may have made it already.
do $$
begin
    if not exists (select from pg_catalog.pg_roles where rolname = 'edge') then
        create role edge with login noinherit;
    end if;
end
$$;
alter role edge set search_path = '';
alter role edge set statement_timeout = '8s';

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

create function private.close_table(p_table regclass) returns void
language plpgsql
set search_path = ''
as $$
declare
    v_policy name;
begin
    execute format('alter table %s enable row level security', p_table);
    for v_policy in select p.polname from pg_catalog.pg_policy as p where p.polrelid = p_table loop
        execute format('drop policy %I on %s', v_policy, p_table);
    end loop;
    execute format('revoke all on table %s from public, anon, authenticated, service_role, supabase_auth_admin, edge', p_table);
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

create function private.check_request() returns void
language plpgsql
stable
set search_path = ''
as $$
declare
    v_claims jsonb := nullif(current_setting('request.jwt.claims', true), '')::jsonb;
    v_audience jsonb := v_claims -> 'aud';
begin
    if current_user = 'authenticated' and (
        v_claims ->> 'exp' is null
        or not coalesce(pg_input_is_valid(v_claims ->> 'sub', 'uuid'), false)
        or coalesce(v_audience not in ('"authenticated"', '["authenticated"]'), true)
    ) then
        raise sqlstate 'PT401' using
            message = 'token_invalid',
            detail = 'The token lacks exp, or a user''s id in sub, or is not meant for this audience.',
            hint = 'Sign in again and send the access token that auth answers.';
    end if;
end
$$;
comment on function private.check_request() is
'PostgREST calls this before each request (db-pre-request). Refuses user tokens that PostgREST itself would let pass:
without exp, without a user''s id in sub, or whose aud is not `authenticated`. Raises PT401 token_invalid.';

alter role authenticator set pgrst.db_pre_request = 'private.check_request'; -- noqa: PRS

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
