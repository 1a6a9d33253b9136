-- What a migration may do in the schemas of Supabase's servers: create policies and triggers, and nothing else.

-- Only the owner of a table can create policies on it. Hosted Supabase permits it to `postgres` with an extension; here
-- `postgres` inherits from the owners, and the guard below refuses what hosted Supabase refuses. With `set false` it
-- cannot change to an owner's role, to which the guard does not apply. (In a block, like the event triggers below,
-- because sqlfluff cannot parse it.)
do $$
begin
    grant supabase_storage_admin, supabase_realtime_admin to postgres with inherit true, set false;
end
$$;

-- In a schema that `postgres` does not own, so that a migration cannot drop the guard.
create schema if not exists stack_guard authorization supabase_admin;
comment on schema stack_guard is 'Only in the embedded stack: refuses in migrations what hosted Supabase refuses.';

create or replace function stack_guard.keep_supabase_schemas() returns event_trigger
language plpgsql
set search_path = ''
as $$
declare
    v_schemas text[] := array['storage', 'realtime'];
    v_owners oid[] := array['supabase_storage_admin'::regrole, 'supabase_realtime_admin'::regrole];
    v_refused text;
begin
    if session_user in ('supabase_admin', 'supabase_storage_admin', 'supabase_realtime_admin') then
        return;
    end if;
    if tg_event = 'ddl_command_end' then
        select format('%s on %s', lower(c.command_tag), c.object_identity) into v_refused
        from pg_catalog.pg_event_trigger_ddl_commands() as c
        where
            c.object_type <> 'policy'
            and c.command_tag <> 'CREATE TRIGGER'
            and (
                c.schema_name = any(v_schemas)
                -- moved or renamed by this command
                or exists (select from pg_catalog.pg_class as r where r.oid = c.objid and r.relowner = any(v_owners))
                or exists (select from pg_catalog.pg_proc as p where p.oid = c.objid and p.proowner = any(v_owners))
                or exists (select from pg_catalog.pg_type as t where t.oid = c.objid and t.typowner = any(v_owners))
                or exists (
                    select from pg_catalog.pg_namespace as n where n.oid = c.objid and n.nspowner = any(v_owners)
                )
                or exists (
                    select
                    from pg_catalog.pg_inherits as i
                    inner join pg_catalog.pg_class as r on i.inhparent = r.oid
                    where i.inhrelid = c.objid and r.relowner = any(v_owners)
                )
                or exists (
                    select
                    from pg_catalog.pg_trigger as g
                    inner join pg_catalog.pg_class as r on g.tgrelid = r.oid
                    where g.oid = c.objid and r.relowner = any(v_owners)
                )
                or exists (
                    select
                    from pg_catalog.pg_rewrite as w
                    inner join pg_catalog.pg_class as r on w.ev_class = r.oid
                    where w.oid = c.objid and r.relowner = any(v_owners)
                )
            )
        limit 1;
    else
        select format('drop %s %s', d.object_type, d.object_identity) into v_refused
        from pg_catalog.pg_event_trigger_dropped_objects() as d
        where
            (d.schema_name = any(v_schemas) or (d.object_type = 'schema' and d.object_name = any(v_schemas)))
            and d.object_type <> 'policy'
            and not (
                d.object_type = 'trigger'
                and d.address_names[3] not in (
                    'update_objects_updated_at',
                    'update_buckets_updated_at',
                    'protect_objects_delete',
                    'protect_buckets_delete'
                )
            )
        limit 1;
    end if;
    if v_refused is not null then
        raise exception 'schemas % belong to Supabase: % is not allowed', array_to_string(v_schemas, ', '), v_refused
            using
                errcode = '42501',
                hint = 'Create policies and triggers on their tables only.';
    end if;
end
$$;
comment on function stack_guard.keep_supabase_schemas()
is 'Keeps migrations from changing Supabase''s own objects in schemas storage and realtime, as hosted Supabase does.';

do $$
begin
    drop event trigger if exists keep_supabase_ddl;
    create event trigger keep_supabase_ddl on ddl_command_end
    execute function stack_guard.keep_supabase_schemas();
    -- Also while session_replication_role is replica.
    alter event trigger keep_supabase_ddl enable always;
    drop event trigger if exists keep_supabase_drop;
    create event trigger keep_supabase_drop on sql_drop
    execute function stack_guard.keep_supabase_schemas();
    alter event trigger keep_supabase_drop enable always;
end
$$;
