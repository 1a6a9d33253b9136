-- The schemas of a Supabase database and the roles that may use them. Runs as `supabase_admin`, in each new database.

do $$
begin
    execute format('alter database %I owner to postgres', current_database());
    -- Splinter's lints of exposed tables read this setting and find nothing without it.
    execute format('alter database %I set pgrst.db_schemas = %L', current_database(), 'public');
end
$$;

alter schema public owner to postgres;
revoke all on schema public from public;
grant usage on schema public to anon, authenticated, service_role;

create schema if not exists extensions authorization postgres;
grant usage on schema extensions to anon, authenticated, service_role, supabase_auth_admin, supabase_storage_admin;

create schema if not exists auth authorization supabase_auth_admin;
create schema if not exists storage authorization supabase_storage_admin;
create schema if not exists realtime authorization supabase_realtime_admin;
create schema if not exists graphql_public authorization supabase_admin;
grant usage on schema auth, storage to anon, authenticated, service_role, postgres with grant option;
grant usage on schema realtime, graphql_public to anon, authenticated, service_role, postgres;
grant create on schema auth to postgres;

create extension if not exists pgcrypto with schema extensions;
create extension if not exists "uuid-ossp" with schema extensions;
create extension if not exists pg_stat_statements with schema extensions;

-- PostgREST reloads its schema cache after each change of structure.
create or replace function extensions.pgrst_ddl_watch() returns event_trigger
language plpgsql
set search_path = ''
as $$
begin
    notify pgrst, 'reload schema';
end
$$;
comment on function extensions.pgrst_ddl_watch() is 'Tells PostgREST to reload its schema cache.';

-- In a block, because sqlfluff cannot parse event triggers.
do $$
begin
    drop event trigger if exists pgrst_ddl_watch;
    create event trigger pgrst_ddl_watch on ddl_command_end execute function extensions.pgrst_ddl_watch();
    drop event trigger if exists pgrst_drop_watch;
    create event trigger pgrst_drop_watch on sql_drop execute function extensions.pgrst_ddl_watch();
end
$$;
