-- The attributes of the roles of a running stack, and the roles that each can become.
select r.rolname, array_to_string(array_remove(array[
    case when r.rolsuper then 'superuser' end,
    case when r.rolbypassrls then 'bypassrls' end,
    case when r.rolcreaterole then 'createrole' end,
    case when r.rolcreatedb then 'createdb' end,
    case when r.rolreplication then 'replication' end,
    case when r.rolcanlogin then 'login' end,
    (
        select 'may become ' || string_agg(g.rolname, ', ' order by g.rolname)
        from pg_catalog.pg_auth_members as m join pg_catalog.pg_roles as g on g.oid = m.roleid
        where m.member = r.oid
    )
], null), ', ')
from pg_catalog.pg_roles as r
where r.rolname in (
    'anon', 'authenticated', 'service_role', 'authenticator', 'edge', 'file_remover', 'supabase_auth_admin', 'supabase_storage_admin',
    'worker'
)
