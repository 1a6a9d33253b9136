-- Every object that our migrations make, one line each, without privileges.
with schemas as (
    select n.oid from pg_catalog.pg_namespace as n where n.nspname in ('public', 'private', 'procrastinate')
),
ours as (
    select c.* from pg_catalog.pg_class as c join schemas as s on s.oid = c.relnamespace
),
functions as (
    select p.* from pg_catalog.pg_proc as p join schemas as s on s.oid = p.pronamespace
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
select format('row level security %s on %s', c.relrowsecurity, c.oid::regclass)
from ours as c where c.relkind in ('r', 'p')
union all
select format('enum %s %s', e.enumtypid::regtype, string_agg(e.enumlabel, ' ' order by e.enumsortorder))
from pg_catalog.pg_enum as e join pg_catalog.pg_type as t on t.oid = e.enumtypid
join schemas as s on s.oid = t.typnamespace
group by e.enumtypid
union all
select pg_get_functiondef(f.oid) from functions as f where f.prokind in ('f', 'p')
union all
select format('%s %s', pg_get_triggerdef(g.oid), g.tgenabled)
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
