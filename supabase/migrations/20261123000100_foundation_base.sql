-- Foundation: schemas, extensions, login roles, and helpers of every later file.
--
-- Nothing depends on default privileges: every table, view and function starts closed, and the files in policies/ grant
-- what clients may do.

create extension if not exists btree_gist with schema extensions;
create extension if not exists pg_trgm with schema extensions;
create extension if not exists pgcrypto with schema extensions;
create extension if not exists unaccent with schema extensions;

create schema if not exists private;
comment on schema private is
'Not exposed to clients: helpers of policies, SECURITY DEFINER functions, answer keys, the mail outbox, settings.';
revoke all on schema private from public;

-- Only the owner creates temporary objects. Whatever search_path a function sets, Postgres looks a type up in pg_temp
-- first: our SECURITY DEFINER functions would run the check of a client's temporary domain named `uuid` as their owner.
do $$
begin
    execute format('revoke temporary on database %I from public', current_database());
end
$$;

alter default privileges in schema public revoke all on tables from anon, authenticated, service_role;
alter default privileges in schema public revoke all on sequences from anon, authenticated, service_role;
alter default privileges in schema public revoke execute on functions from anon, authenticated, service_role;
alter default privileges revoke execute on functions from public;

-- `edge` may execute the private functions that policies/ grants to it, and nothing else; `worker` may also use the job
-- queue. The operator sets their passwords. Roles belong to the cluster: another database may have created them
-- already.
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
-- Procrastinate names its tables without their schema.
alter role worker set search_path = 'procrastinate';
alter role worker set statement_timeout = '30s';
-- The worker keeps the row of a mail locked while it sends the mail. This bounds the lock if the worker hangs.
alter role worker set idle_in_transaction_session_timeout = '5min';
-- The default of 4 describes spinning disks; on SSDs a random read costs little more than a sequential one. With 4, the
-- generic plan of many a query under row level security looks dearer than the custom one, so that Postgres plans it at
-- every call, which takes longer than running it. The roles that PostgREST switches to keep this setting of the
-- session.
alter role authenticator set random_page_cost = 1.1;

-- Visitors are many and nameless, and PostgREST's pool is small: ten requests a second that last until this timeout
-- leave half of it free. Their reads take milliseconds at ten million rows. Users keep Supabase's 8 seconds.
alter role anon set statement_timeout = '1s';

create function private.tg__set_updated_at() returns trigger
language plpgsql
set search_path = ''
as $$
begin
    new.updated_at := now();
    return new;
end
$$;
comment on function private.tg__set_updated_at() is 'Before update: sets updated_at to the start of the transaction.';

create function private.close_table(p_table regclass) returns void
language plpgsql
set search_path = ''
as $$
declare
    v_policy name;
begin
    -- A view has no row level security of its own: it runs as its caller.
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
'Drops every policy of the table or view and revokes every privilege on it, those on columns included. Each file in
policies/ begins with it, so that the file alone decides who may do what.';

create function private.uuid_or_null(p_text text) returns uuid
language plpgsql -- the planner would evaluate the cast of a constant in an expression that is never reached
immutable
parallel safe
set search_path = ''
as $$
begin
    if pg_input_is_valid(p_text, 'uuid') then
        return p_text::uuid;
    end if;
    return null;
end
$$;
comment on function private.uuid_or_null(text) is
'The text as a uuid; null where it is not one. For ids in what others send.';

create function private.schema_version() returns text
language plpgsql
stable
security definer -- the edge and the worker may not read the migration history
set search_path = ''
as $$
begin
    return (select max(m.version) from supabase_migrations.schema_migrations as m);
end
$$;
comment on function private.schema_version() is
'The version of the newest applied migration, 14 digits. The edge and the worker compare it with the one they need.';
