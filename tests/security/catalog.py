"""What the catalog of a database says: who may do what, and what everything looks like. As lines that can be compared."""

import psycopg

HOLDERS = """
-- Whoever could hold something: every role but those that hold everything by what they are.
holders as (
    select r.rolname as name
    from pg_catalog.pg_roles as r
    where not r.rolsuper and r.rolname !~ '^pg_'
        -- postgres owns what is ours; supabase_read_only_user is Supabase's own and reads everything
        and r.rolname not in ('postgres', 'supabase_read_only_user')
    union all
    select 'public'
)
"""

RELATIONS = f"""
with {HOLDERS},
relations as (
    select c.oid, format('%s %s.%s', k.word, n.nspname, c.relname) as object, k.verbs
    from pg_catalog.pg_class as c
    join pg_catalog.pg_namespace as n on n.oid = c.relnamespace
    join (values
        ('r', 'table', '{{select,insert,update,delete,truncate,references,trigger,maintain}}'::text[]),
        ('p', 'table', '{{select,insert,update,delete,truncate,references,trigger,maintain}}'),
        ('v', 'view', '{{select,insert,update,delete,truncate,references,trigger}}'),
        ('m', 'view', '{{select,insert,update,delete,truncate,references,trigger,maintain}}'),
        ('f', 'table', '{{select,insert,update,delete,truncate,references,trigger}}'),
        ('S', 'sequence', '{{usage,select,update}}')
    ) as k (kind, word, verbs) on k.kind = c.relkind
    where n.nspname in ('public', 'private')
),
verbs as (select r.oid, r.object, v.verb, v.place from relations as r, unnest(r.verbs) with ordinality as v (verb, place)),
held as (
    select v.object, h.name, v.place, v.verb
    from verbs as v, holders as h
    where v.object like 'sequence %' and has_sequence_privilege(h.name, v.oid, v.verb)
    union all
    select v.object, h.name, v.place, v.verb
    from verbs as v, holders as h
    where v.object not like 'sequence %' and has_table_privilege(h.name, v.oid, v.verb)
    union all
    select v.object, h.name, v.place, format('%s(%s)', v.verb, string_agg(a.attname, ', ' order by a.attnum))
    from verbs as v, holders as h, pg_catalog.pg_attribute as a
    where v.object not like 'sequence %' and v.verb in ('select', 'insert', 'update', 'references')
        and a.attrelid = v.oid and a.attnum > 0 and not a.attisdropped
        and not has_table_privilege(h.name, v.oid, v.verb)
        and has_column_privilege(h.name, v.oid, a.attnum, v.verb)
    group by v.object, h.name, v.place, v.verb
)
select r.object, h.name, string_agg(h.verb, ', ' order by h.place)
from relations as r left join held as h on h.object = r.object
group by r.object, h.name
"""

OTHERS = f"""
with {HOLDERS},
held as (
    select format('function %s', p.oid::regprocedure::text) as object, h.name, 1 as place, 'execute' as verb,
        has_function_privilege(h.name, p.oid, 'execute') as is_held
    from pg_catalog.pg_proc as p, holders as h
    where p.pronamespace in ('public'::regnamespace, 'private'::regnamespace)
    union all
    select format('type %s.%s', n.nspname, t.typname), h.name, 1, 'usage', has_type_privilege(h.name, t.oid, 'usage')
    from pg_catalog.pg_type as t
    join pg_catalog.pg_namespace as n on n.oid = t.typnamespace
    cross join holders as h
    where n.nspname in ('public', 'private') and t.typtype in ('e', 'd', 'r')
    union all
    select format('schema %s', n.nspname), h.name, v.place, v.verb, has_schema_privilege(h.name, n.oid, v.verb)
    from pg_catalog.pg_namespace as n, holders as h, (values (1, 'usage'), (2, 'create')) as v (place, verb)
    where n.nspname in ('public', 'private')
    union all
    select 'database', h.name, v.place, v.verb, has_database_privilege(h.name, current_database(), v.verb)
    from holders as h, (values (1, 'connect'), (2, 'create'), (3, 'temporary')) as v (place, verb)
)
select h.object, case when h.is_held then h.name end, string_agg(h.verb, ', ' order by h.place) filter (where h.is_held)
from held as h
group by h.object, case when h.is_held then h.name end
"""

ROLES = """
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
    'anon', 'authenticated', 'service_role', 'authenticator', 'edge', 'supabase_auth_admin', 'supabase_storage_admin'
)
"""


def privileges(connection: psycopg.Connection) -> set[str]:
    """Who may do what to our objects: `<kind> <object> <role>: <verbs>`, as it works out, whoever granted it.

    What everybody may do is said once, of `public`. An object that nobody may touch has a line without a role.
    """
    # A schema is written before a name only where the search path does not find it.
    connection.execute("set search_path = ''")
    found: dict[str, dict[str, str]] = {}
    for query in (RELATIONS, OTHERS):
        for thing, role, verbs in connection.execute(query.encode()):
            roles = found.setdefault(thing, {})
            if role is not None:
                roles[role] = verbs
    lines = {f"role {role}: {powers or 'nothing'}" for role, powers in connection.execute(ROLES.encode())}
    for thing, roles in found.items():
        everybody = roles.get("public")
        own = {role: verbs for role, verbs in roles.items() if role == "public" or verbs != everybody}
        lines |= {f"{thing} {role}: {verbs}" for role, verbs in own.items()} or {f"{thing}: nobody"}
    return lines


SHAPE = r"""
with ours as (
    select c.* from pg_catalog.pg_class as c where c.relnamespace in ('public'::regnamespace, 'private'::regnamespace)
),
functions as (
    select p.* from pg_catalog.pg_proc as p where p.pronamespace in ('public'::regnamespace, 'private'::regnamespace)
)
select format(
    'column %s.%s %s%s %s %s', c.oid::regclass, a.attname, format_type(a.atttypid, a.atttypmod),
    case when a.attnotnull then ' not null' else '' end,
    case when a.attgenerated = 's' then 'generated' when a.attidentity <> '' then 'identity' else 'default' end,
    pg_get_expr(d.adbin, d.adrelid)
)
from ours as c
join pg_catalog.pg_attribute as a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
left join pg_catalog.pg_attrdef as d on d.adrelid = c.oid and d.adnum = a.attnum
where c.relkind in ('r', 'p', 'v', 'm')
union all
select format('constraint %s on %s %s', o.conname, o.conrelid::regclass, pg_get_constraintdef(o.oid))
from pg_catalog.pg_constraint as o join ours as c on c.oid = o.conrelid
union all
select pg_get_indexdef(c.oid) from ours as c where c.relkind = 'i'
union all
select format('view %s %s %s', c.oid::regclass, c.reloptions, pg_get_viewdef(c.oid))
from ours as c where c.relkind in ('v', 'm')
union all
select format('row level security %s on %s', c.relrowsecurity, c.oid::regclass) from ours as c where c.relkind in ('r', 'p')
union all
select format('enum %s %s', e.enumtypid::regtype, string_agg(e.enumlabel, ' ' order by e.enumsortorder))
from pg_catalog.pg_enum as e join pg_catalog.pg_type as t on t.oid = e.enumtypid
where t.typnamespace in ('public'::regnamespace, 'private'::regnamespace)
group by e.enumtypid
union all
select pg_get_functiondef(f.oid) from functions as f where f.prokind in ('f', 'p')
union all
select pg_get_triggerdef(g.oid)
from pg_catalog.pg_trigger as g join functions as f on f.oid = g.tgfoid
where not g.tgisinternal
union all
select format('policy %s on %s.%s %s', p.policyname, p.schemaname, p.tablename, to_jsonb(p))
from pg_catalog.pg_policies as p where p.schemaname in ('public', 'private', 'storage')
union all
select format('comment on %s %s', i.identity, d.description)
from pg_catalog.pg_description as d
cross join lateral pg_identify_object(d.classoid, d.objoid, d.objsubid) as i
where i.schema in ('public', 'private')
    or (i.type in ('table constraint', 'trigger', 'policy') and i.identity ~ ' on (public|private)\.')
    or (i.type = 'schema' and i.identity = 'private')
union all
select format('transition %s %s %s', t.table_name, t.from_status, t.to_status) from private.status_transitions as t
union all
select format('bucket %s %s %s %s', b.id, b.public, b.file_size_limit, b.allowed_mime_types) from storage.buckets as b
"""


def shape(connection: psycopg.Connection) -> set[str]:
    """Everything that our migrations make, one line each, privileges among them."""
    held = privileges(connection)
    lines = {line for (line,) in connection.execute(SHAPE.encode())}
    return lines | held
