-- The effective privileges on our objects: (object, role, verbs). The role is null where no role has any.
with
-- Every role that can be granted something; superusers have everything.
holders as (
    select r.rolname as name
    from pg_catalog.pg_roles as r
    where not r.rolsuper and r.rolname !~ '^pg_'
        -- postgres owns our objects; supabase_read_only_user belongs to Supabase and reads everything
        and r.rolname not in ('postgres', 'supabase_read_only_user')
    union all
    select 'public'
),
relations as (
    select c.oid, format('%s %s.%s', k.word, n.nspname, c.relname) as object, k.verbs
    from pg_catalog.pg_class as c
    join pg_catalog.pg_namespace as n on n.oid = c.relnamespace
    join (values
        ('r', 'table', '{select,insert,update,delete,truncate,references,trigger,maintain}'::text[]),
        ('p', 'table', '{select,insert,update,delete,truncate,references,trigger,maintain}'),
        ('v', 'view', '{select,insert,update,delete,truncate,references,trigger}'),
        ('m', 'view', '{select,insert,update,delete,truncate,references,trigger,maintain}'),
        ('f', 'table', '{select,insert,update,delete,truncate,references,trigger}'),
        ('S', 'sequence', '{usage,select,update}')
    ) as k (kind, word, verbs) on k.kind = c.relkind
    where n.nspname in ('public', 'private', 'procrastinate')
),
relation_verbs as (
    select r.oid, r.object, v.verb, v.position
    from relations as r, unnest(r.verbs) with ordinality as v (verb, position)
),
on_relations as (
    select v.object, h.name, v.position, v.verb
    from relation_verbs as v, holders as h
    where v.object like 'sequence %' and has_sequence_privilege(h.name, v.oid, v.verb)
    union all
    select v.object, h.name, v.position, v.verb
    from relation_verbs as v, holders as h
    where v.object not like 'sequence %' and has_table_privilege(h.name, v.oid, v.verb)
    union all
    select v.object, h.name, v.position, format('%s(%s)', v.verb, string_agg(a.attname, ', ' order by a.attnum))
    from relation_verbs as v, holders as h, pg_catalog.pg_attribute as a
    where v.object not like 'sequence %' and v.verb in ('select', 'insert', 'update', 'references')
        and a.attrelid = v.oid and a.attnum > 0 and not a.attisdropped
        and not has_table_privilege(h.name, v.oid, v.verb)
        and has_column_privilege(h.name, v.oid, a.attnum, v.verb)
    group by v.object, h.name, v.position, v.verb
),
on_others as (
    select format('function %s', p.oid::regprocedure) as object, h.name, 1 as position, 'execute' as verb,
        has_function_privilege(h.name, p.oid, 'execute') as is_held
    from pg_catalog.pg_proc as p, holders as h
    where p.pronamespace in ('public'::regnamespace, 'private'::regnamespace, 'procrastinate'::regnamespace)
    union all
    select format('type %s.%s', n.nspname, t.typname), h.name, 1, 'usage', has_type_privilege(h.name, t.oid, 'usage')
    from pg_catalog.pg_type as t
    join pg_catalog.pg_namespace as n on n.oid = t.typnamespace
    cross join holders as h
    where n.nspname in ('public', 'private', 'procrastinate') and t.typtype in ('e', 'd', 'r')
    union all
    select format('schema %s', n.nspname), h.name, v.position, v.verb, has_schema_privilege(h.name, n.oid, v.verb)
    from pg_catalog.pg_namespace as n, holders as h, (values (1, 'usage'), (2, 'create')) as v (position, verb)
    where n.nspname in ('public', 'private', 'procrastinate')
    union all
    select 'database', h.name, v.position, v.verb, has_database_privilege(h.name, current_database(), v.verb)
    from holders as h, (values (1, 'connect'), (2, 'create'), (3, 'temporary')) as v (position, verb)
)
select r.object, h.name, string_agg(h.verb, ', ' order by h.position)
from relations as r left join on_relations as h on h.object = r.object
group by r.object, h.name
union all
select o.object, case when o.is_held then o.name end, string_agg(o.verb, ', ' order by o.position)
from on_others as o
group by o.object, case when o.is_held then o.name end
