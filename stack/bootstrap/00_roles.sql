-- The roles of a Supabase database, for a plain Postgres. Runs as the superuser `supabase_admin` for each new database,
-- so it must be repeatable: roles belong to the cluster. The stack sets the passwords; none is written here.

do $$
declare
    v_role record;
begin
    for v_role in
        select r.name, r.options
        from (values
            ('anon', 'nologin noinherit'),
            ('authenticated', 'nologin noinherit'),
            ('service_role', 'nologin noinherit bypassrls'),
            ('authenticator', 'login noinherit'),
            ('postgres', 'login createdb createrole replication bypassrls'),
            ('supabase_auth_admin', 'login noinherit createrole'),
            ('supabase_storage_admin', 'login noinherit createrole'),
            ('supabase_realtime_admin', 'login noinherit'),
            ('supabase_read_only_user', 'login bypassrls'),
            ('dashboard_user', 'nologin createdb createrole replication')
        ) as r (name, options)
    loop
        if not exists (select from pg_catalog.pg_roles where rolname = v_role.name) then
            execute format('create role %I', v_role.name);
        end if;
        execute format('alter role %I with %s', v_role.name, v_role.options);
    end loop;
end
$$;

-- PostgREST connects as `authenticator`, which can become each API role and has no privileges of its own.
grant anon to authenticator;
grant authenticated to authenticator;
grant service_role to authenticator;
-- Storage changes to the caller's role for each request, so that row level security applies.
grant authenticator to supabase_storage_admin;
grant pg_read_all_data to supabase_read_only_user;

-- In a block, because sqlfluff cannot parse these forms of grant.
do $$
begin
    -- `postgres` runs the migrations. It administers the API roles, as on hosted Supabase, and is no superuser.
    grant anon, authenticated, service_role, authenticator to postgres with admin option;
    grant pg_monitor, pg_read_all_data, pg_signal_backend to postgres with admin option;
    -- What it may set on hosted Supabase, too: PostgREST's configuration in the database, and the mode in which the
    -- CLI's dumps of data are restored.
    grant set on parameter
        pgrst.db_aggregates_enabled, pgrst.db_extra_search_path, pgrst.db_max_rows, pgrst.db_plan_enabled,
        pgrst.db_pre_request, pgrst.db_root_spec, pgrst.db_schemas, pgrst.openapi_mode, pgrst.server_timing_enabled,
        session_replication_role
    to postgres;
end
$$;

alter role anon set statement_timeout = '3s';
alter role authenticated set statement_timeout = '8s';
alter role authenticator set statement_timeout = '8s';
alter role authenticator set lock_timeout = '8s';

alter role postgres set search_path = "$user", public, extensions; -- noqa: RF05
alter role supabase_auth_admin set search_path = auth;
alter role supabase_auth_admin set idle_in_transaction_session_timeout = '60s';
alter role supabase_storage_admin set search_path = storage;
