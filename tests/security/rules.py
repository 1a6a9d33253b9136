"""The rules that the database's catalog must keep.

Each has its query, which finds the violations, and one planted violation, with which a test shows that the query does.
A query looks at the schemas `public` and `private` and gives a line of text for each violation. What is planted may
consist of several statements.
"""

import msgspec


class Rule(msgspec.Struct, frozen=True, kw_only=True):
    """One rule."""

    name: str
    query: str
    planted: str
    found: str
    """What the line about the planted violation begins with."""


RULES = (
    # Row level security
    Rule(
        name="row level security is on, on every table",
        query="""
            select c.oid::regclass::text from pg_catalog.pg_class as c
            where c.relnamespace in ('public'::regnamespace, 'private'::regnamespace)
                and c.relkind in ('r', 'p') and not c.relrowsecurity
        """,
        planted="create table private.planted (id int)",
        found="private.planted",
    ),
    Rule(
        name="every table has a policy: one that is for nobody says so",
        query="""
            select c.oid::regclass::text from pg_catalog.pg_class as c
            where c.relnamespace in ('public'::regnamespace, 'private'::regnamespace) and c.relkind in ('r', 'p')
                and not exists (select from pg_catalog.pg_policy as p where p.polrelid = c.oid)
        """,
        planted="create table public.planted (id int)",
        found="public.planted",
    ),
    Rule(
        name="a view runs as its caller",
        query="""
            select c.oid::regclass::text from pg_catalog.pg_class as c
            where c.relnamespace in ('public'::regnamespace, 'private'::regnamespace)
                and (c.relkind in ('m', 'f') or (
                    c.relkind = 'v'
                    and not coalesce(c.reloptions && '{security_invoker=true,security_invoker=on}', false)
                ))
        """,
        planted="create view public.planted as select * from public.accounts",
        found="public.planted",
    ),
    Rule(
        name="a policy is TO a role, never to everybody",
        query="""
            select format('%s on %s', p.polname, p.polrelid::regclass) from pg_catalog.pg_policy as p
            where p.polroles @> '{0}'
        """,
        planted="create policy planted on public.courses for select using (true)",
        found="planted on public.courses",
    ),
    Rule(
        name="one permissive policy for a role and verb",
        query="""
            select format('%s for %s to %s', p.polrelid::regclass, v.verb, r.role::regrole)
            from pg_catalog.pg_policy as p
            cross join unnest(p.polroles) as r (role)
            join (values ('r'), ('a'), ('w'), ('d')) as v (verb) on p.polcmd in (v.verb::"char", '*')
            where p.polpermissive
            group by p.polrelid, v.verb, r.role
            having count(*) > 1
        """,
        planted="create policy planted on public.courses for all to anon using (true)",
        found="public.courses for r to anon",
    ),
    Rule(
        name="a policy is named <table>_<verb>_<who>",
        query="""
            select format('%s on %s', p.polname, p.polrelid::regclass)
            from pg_catalog.pg_policy as p
            join pg_catalog.pg_class as c on c.oid = p.polrelid
            join (
                values ('r', 'select'), ('a', 'insert'), ('w', 'update'), ('d', 'delete'), ('*', 'all')
            ) as v (verb, word) on v.verb::"char" = p.polcmd
            where p.polname !~ format('^%s_%s_[a-z_]+$', c.relname, v.word)
        """,
        planted="create policy courses_select_planted on public.courses for update to anon using (true)",
        found="courses_select_planted",
    ),
    Rule(
        name="a policy calls a function once a query, as (select f())",
        query=r"""
            select format('%s on %s', p.polname, p.polrelid::regclass)
            from pg_catalog.pg_policy as p
            cross join lateral (
                select concat_ws(' ', pg_get_expr(p.polqual, p.polrelid), pg_get_expr(p.polwithcheck, p.polrelid))
            ) as e (text)
            where e.text ~ '(?<!SELECT )\m(auth|private|public|storage)\.\w+\('
                or e.text ~ '(?<!SELECT )\mcurrent_setting\('
        """,
        planted="""
            create policy planted on public.courses for update to anon using (creator_id = auth.uid())
        """,
        found="planted on public.courses",
    ),
    Rule(
        name="what a policy calls keeps its plan for the session: SQL functions are planned anew in every query",
        query=r"""
            select distinct f.oid::regprocedure::text
            from pg_catalog.pg_policy as p
            cross join lateral regexp_matches(
                concat_ws(' ', pg_get_expr(p.polqual, p.polrelid), pg_get_expr(p.polwithcheck, p.polrelid)),
                '\mprivate\.(\w+)\(', 'g'
            ) as m (names)
            join pg_catalog.pg_proc as f on f.proname = m.names[1] and f.pronamespace = 'private'::regnamespace
            join pg_catalog.pg_language as l on l.oid = f.prolang
            where l.lanname = 'sql'
        """,
        planted="""
            create function private.planted() returns boolean language sql as 'select true';
            create policy planted on public.courses for update to anon using ((select private.planted()))
        """,
        found="private.planted()",
    ),
    Rule(
        name="a policy gives a function nothing of the row",
        query=r"""
            select format('%s on %s', p.polname, p.polrelid::regclass)
            from pg_catalog.pg_policy as p
            where concat_ws(' ', pg_get_expr(p.polqual, p.polrelid), pg_get_expr(p.polwithcheck, p.polrelid))
                ~ '\m(auth|private|public|storage)\.\w+\((?!\)|''[^'']*''::[a-z_.]+\))'
        """,
        planted="""
            create policy planted on public.courses for update to anon
            using ((select private.require_course_owner(id)) is not null);
        """,
        found="planted on public.courses",
    ),
    Rule(
        name="a policy believes nothing that a token says but who it is",
        query=r"""
            select format('%s on %s', p.polname, p.polrelid::regclass)
            from pg_catalog.pg_policy as p
            where concat_ws(' ', pg_get_expr(p.polqual, p.polrelid), pg_get_expr(p.polwithcheck, p.polrelid))
                ~ 'auth\.(jwt|role|email)\(|current_setting\(|_metadata'
        """,
        planted="""
            create policy planted on public.courses for update to anon
            using ((select auth.jwt()) -> 'user_metadata' ->> 'role' = 'admin');
        """,
        found="planted on public.courses",
    ),
    Rule(
        name="a column that a policy reads leads an index",
        query="""
            select distinct format('%s.%s in %s', d.refobjid::regclass, a.attname, p.polname)
            from pg_catalog.pg_policy as p
            join pg_catalog.pg_depend as d
                on d.classid = 'pg_policy'::regclass and d.objid = p.oid and d.refclassid = 'pg_class'::regclass
            join pg_catalog.pg_attribute as a on a.attrelid = d.refobjid and a.attnum = d.refobjsubid
            join pg_catalog.pg_class as c on c.oid = d.refobjid
            where d.refobjsubid > 0 and c.relnamespace in ('public'::regnamespace, 'private'::regnamespace)
                and c.relkind in ('r', 'p') -- a view has none
                and not exists (
                    select from pg_catalog.pg_index as i where i.indrelid = d.refobjid and i.indkey[0] = d.refobjsubid
                )
                -- Flags that hold of most rows or of few, and are asked of rows found otherwise; published courses have
                -- a partial index.
                and a.attname !~ '^is_([a-z]+_)?public$|_is_public$'
                and format('%s.%s', c.relname, a.attname) not in
                    ('courses.status', 'certificates.status', 'lessons.is_intro', 'student_teachers.status',
                        'certificate_decisions.outcome')
        """,
        planted="create policy planted on public.courses for update to anon using (language = 'en')",
        found="public.courses.language in planted",
    ),
    # Keys and indexes
    Rule(
        name="every table has a primary key",
        query="""
            select c.oid::regclass::text from pg_catalog.pg_class as c
            where c.relnamespace in ('public'::regnamespace, 'private'::regnamespace) and c.relkind in ('r', 'p')
                and not exists (select from pg_catalog.pg_index as i where i.indrelid = c.oid and i.indisprimary)
        """,
        planted="create table public.planted (id int)",
        found="public.planted",
    ),
    Rule(
        name="an index begins with the columns of every foreign key",
        query="""
            select format('%s on %s', o.conname, o.conrelid::regclass)
            from pg_catalog.pg_constraint as o
            where o.contype = 'f' and o.connamespace in ('public'::regnamespace, 'private'::regnamespace)
                and not exists (
                    select from pg_catalog.pg_index as i
                    where i.indrelid = o.conrelid and i.indpred is null
                        and (i.indkey::int2[])[0:cardinality(o.conkey) - 1] @> o.conkey
                )
        """,
        planted="""
            alter table public.courses
            add constraint planted foreign key (language) references public.categories (slug)
        """,
        found="planted on public.courses",
    ),
    Rule(
        name="every foreign key says what a deletion does",
        query="""
            select format('%s on %s', o.conname, o.conrelid::regclass)
            from pg_catalog.pg_constraint as o
            where o.contype = 'f' and o.connamespace in ('public'::regnamespace, 'private'::regnamespace)
                and o.confdeltype = 'a'
        """,
        planted="""
            alter table public.courses
            add constraint planted foreign key (language) references public.categories (slug)
        """,
        found="planted on public.courses",
    ),
    # Functions
    Rule(
        name="every function sets an empty search_path",
        query="""
            select p.oid::regprocedure::text from pg_catalog.pg_proc as p
            where p.pronamespace in ('public'::regnamespace, 'private'::regnamespace)
                and not coalesce(p.proconfig @> '{"search_path=\\"\\""}', false)
        """,
        planted="""
            create function private.planted() returns int language sql security definer
            set search_path = public return 1
        """,
        found="private.planted()",
    ),
    Rule(
        name="a function with its owner's power stands in private",
        query="""
            select p.oid::regprocedure::text from pg_catalog.pg_proc as p
            where p.pronamespace = 'public'::regnamespace and p.prosecdef
        """,
        planted="""
            create function public.planted() returns int language sql security definer
            set search_path = '' return 1
        """,
        found="public.planted()",
    ),
    Rule(
        name="a function with its owner's power that writes, and that clients may call, first asks who calls",
        query=r"""
            with recursive functions as (
                select p.oid, p.proname, p.prosecdef, p.prosrc from pg_catalog.pg_proc as p
                where p.pronamespace = 'private'::regnamespace and p.prorettype <> 'trigger'::regtype
            ),
            writes as (
                select '\m(insert\s+into|update|delete\s+from)\s+(only\s+)?[a-z_]+\.' as pattern
            ),
            writers as (
                select f.oid, f.proname from functions as f, writes as w where f.prosrc ~* w.pattern
                union
                select f.oid, f.proname from functions as f join writers as w
                    on f.oid <> w.oid and f.prosrc ~ format('\mprivate\.%s\(', w.proname)
            )
            select f.oid::regprocedure::text
            from functions as f
            join writers as w on w.oid = f.oid
            cross join writes as s
            cross join lateral (select strpos(f.prosrc, 'private.require_')) as c (place)
            where f.prosecdef
                -- Whoever calls, anon too, writes there only that he called.
                and f.oid <> 'private.take_request_token()'::regprocedure
                and (
                    has_function_privilege('anon', f.oid, 'execute')
                    or has_function_privilege('authenticated', f.oid, 'execute')
                )
                and (c.place = 0 or left(f.prosrc, c.place) ~* s.pattern)
        """,
        planted="""
            create function private.planted() returns void language plpgsql security definer set search_path = '' as $$
            begin
                perform private.audit('a.b', 'c', 'd', null, null);
            end
            $$;
            grant execute on function private.planted() to authenticated
        """,
        found="private.planted()",
    ),
    Rule(
        name="nobody may call a function because everybody may",
        query="""
            select p.oid::regprocedure::text from pg_catalog.pg_proc as p
            where p.pronamespace in ('public'::regnamespace, 'private'::regnamespace)
                and has_function_privilege('public', p.oid, 'execute')
        """,
        planted="create function private.planted() returns int language sql set search_path = '' return 1",
        found="private.planted()",
    ),
    Rule(
        name="nobody calls a trigger's function",
        query="""
            select format('%s by %s', p.oid::regprocedure, r.rolname)
            from pg_catalog.pg_proc as p
            join pg_catalog.pg_roles as r on not r.rolsuper and r.rolname !~ '^pg_' and r.oid <> p.proowner
            where p.pronamespace in ('public'::regnamespace, 'private'::regnamespace)
                and p.prorettype in ('trigger'::regtype, 'event_trigger'::regtype)
                and has_function_privilege(r.oid, p.oid, 'execute')
        """,
        planted="""
            create function private.planted() returns trigger language plpgsql set search_path = '' as $$
            begin return null; end $$;
            revoke all on function private.planted() from public;
            grant execute on function private.planted() to service_role
        """,
        found="private.planted() by service_role",
    ),
    Rule(
        name="functions are in SQL and PL/pgSQL, which stay in the database",
        query="""
            select format('%s in %s', p.oid::regprocedure, l.lanname)
            from pg_catalog.pg_proc as p join pg_catalog.pg_language as l on l.oid = p.prolang
            where p.pronamespace in ('public'::regnamespace, 'private'::regnamespace)
                and l.lanname not in ('sql', 'plpgsql')
        """,
        planted="""
            create function private.planted(text) returns int language internal set search_path = '' as 'textlen'
        """,
        found="private.planted(text) in internal",
    ),
    Rule(
        name="no extension reaches out of the database",
        query="""
            select e.extname from pg_catalog.pg_extension as e
            where e.extname in (
                'dblink', 'file_fdw', 'http', 'lo', 'pg_net', 'plperlu', 'plpython3u', 'pltclu', 'postgres_fdw'
            )
        """,
        planted="create extension dblink schema extensions",
        found="dblink",
    ),
    Rule(
        name="nothing of ours belongs to a superuser",
        query="""
            select p.oid::regprocedure::text
            from pg_catalog.pg_proc as p join pg_catalog.pg_roles as r on r.oid = p.proowner
            where p.pronamespace in ('public'::regnamespace, 'private'::regnamespace) and r.rolsuper
            union all
            select c.oid::regclass::text
            from pg_catalog.pg_class as c join pg_catalog.pg_roles as r on r.oid = c.relowner
            where c.relnamespace in ('public'::regnamespace, 'private'::regnamespace) and r.rolsuper
                and c.relkind in ('r', 'p', 'v', 'm', 'S')
        """,
        planted="create function private.planted() returns int language sql set search_path = '' return 1",
        found="private.planted()",
    ),
    Rule(
        name="what is granted, its holder does not grant on",
        query="""
            select format('%s to %s', g.object, g.grantee::regrole)
            from (
                select c.oid::regclass::text as object, (aclexplode(c.relacl)).*
                from pg_catalog.pg_class as c
                where c.relnamespace in ('public'::regnamespace, 'private'::regnamespace)
                union all
                select p.oid::regprocedure::text, (aclexplode(p.proacl)).*
                from pg_catalog.pg_proc as p
                where p.pronamespace in ('public'::regnamespace, 'private'::regnamespace)
            ) as g
            where g.is_grantable
        """,
        planted="grant select on public.courses to authenticated with grant option",
        found="public.courses to authenticated",
    ),
    Rule(
        # A channel of Realtime shows deleted rows to whoever listens.
        name="no table is published",
        query="""
            select format('%s by %s', r.prrelid::regclass, u.pubname)
            from pg_catalog.pg_publication_rel as r join pg_catalog.pg_publication as u on u.oid = r.prpubid
            union all
            select format('everything by %s', u.pubname) from pg_catalog.pg_publication as u where u.puballtables
        """,
        planted="alter publication supabase_realtime add table public.courses",
        found="public.courses by supabase_realtime",
    ),
    Rule(
        name="a function with its owner's power that clients may call makes up no statement",
        query=r"""
            select p.oid::regprocedure::text from pg_catalog.pg_proc as p
            where p.pronamespace in ('public'::regnamespace, 'private'::regnamespace) and p.prosecdef
                and (
                    has_function_privilege('anon', p.oid, 'execute')
                    or has_function_privilege('authenticated', p.oid, 'execute')
                )
                and regexp_replace(p.prosrc, '--[^\n]*', '', 'g') ~* '\mexecute\M'
        """,
        planted="""
            create function private.planted(p_table text) returns void language plpgsql security definer
            set search_path = '' as $$ begin execute 'delete from ' || p_table; end $$;
            grant execute on function private.planted(text) to authenticated
        """,
        found="private.planted(text)",
    ),
    Rule(
        # Nor 40001, which PostgREST retries, or P0002, which it calls a fault of its own.
        name="every error has a status and a token",
        query=r"""
            select p.oid::regprocedure::text
            from pg_catalog.pg_proc as p
            cross join lateral (select regexp_replace(p.prosrc, '--[^\n]*', '', 'g')) as s (source)
            where p.pronamespace in ('public'::regnamespace, 'private'::regnamespace)
                and (
                    s.source ~* '\mraise\s+(?!sqlstate|debug|log|info|notice|warning)[a-z_'']+'
                    or s.source ~* '\mraise\s+sqlstate\s+''(?!PT[45]\d\d''\s+using\s+message\s*=\s*''[a-z_]+'')'
                        -- With headers, PostgREST takes both out of JSON.
                        '(?!PGRST''\s+using\s+message\s*=\s*json_build_object\(\s*''code'',\s*''PT[45]\d\d'')'
                    or s.source ~* '\minto\s+strict\M'
                    or s.source ~* '\merrcode\M'
                )
        """,
        planted="""
            create function private.planted() returns void language plpgsql set search_path = '' as $$
            begin
                raise sqlstate '40001' using message = 'again';
            end
            $$
        """,
        found="private.planted()",
    ),
    Rule(
        name="no error is raised by the name of its condition",
        query=r"""
            select p.oid::regprocedure::text from pg_catalog.pg_proc as p
            where p.pronamespace in ('public'::regnamespace, 'private'::regnamespace)
                and regexp_replace(p.prosrc, '--[^\n]*', '', 'g')
                    ~* '\mraise\s+(serialization_failure|deadlock_detected|no_data_found|too_many_rows)\M'
        """,
        planted="""
            create function private.planted() returns void language plpgsql set search_path = '' as $$
            begin raise serialization_failure; end $$
        """,
        found="private.planted()",
    ),
    Rule(
        # Only there can a conflict between two transactions become 40001.
        name="no function asks for serializable or repeatable reads",
        query=r"""
            select p.oid::regprocedure::text from pg_catalog.pg_proc as p
            where p.pronamespace in ('public'::regnamespace, 'private'::regnamespace)
                and (
                    p.prosrc ~* '\m(serializable|repeatable\s+read)\M'
                    or array_to_string(p.proconfig, ' ') ~* 'transaction_isolation'
                )
        """,
        planted="""
            create function private.planted() returns void language plpgsql set search_path = '' as $$
            begin set transaction isolation level serializable; end $$
        """,
        found="private.planted()",
    ),
    # Limits
    Rule(
        name="a function with a tier of its own exists, and may write",
        query="""
            select l.function_name from private.rate_limited_functions as l
            where not exists (
                select from pg_catalog.pg_proc as p
                where p.pronamespace = 'public'::regnamespace and p.proname = l.function_name and p.provolatile = 'v'
            )
        """,
        planted="insert into private.rate_limited_functions (function_name, tier) values ('planted', 'strict')",
        found="planted",
    ),
    Rule(
        name="what only moderators and admins do is strictly limited",
        query=r"""
            with recursive functions as (
                select p.oid, n.nspname, p.proname, p.provolatile, p.prosrc from pg_catalog.pg_proc as p
                join pg_catalog.pg_namespace as n on n.oid = p.pronamespace
                where n.nspname in ('public', 'private')
            ),
            guarded as (
                select f.oid, f.nspname, f.proname, f.provolatile from functions as f
                where f.prosrc ~ 'private\.require_role\(''(moderator|admin|superadmin)'''
                union
                select f.oid, f.nspname, f.proname, f.provolatile from functions as f join guarded as g
                    on g.nspname = 'private' and f.prosrc ~ format('\mprivate\.%s\(', g.proname)
            )
            select g.oid::regprocedure::text from guarded as g
            where g.nspname = 'public' and g.provolatile = 'v'
                and not exists (
                    select from private.rate_limited_functions as l
                    where l.function_name = g.proname and l.tier = 'strict'
                )
        """,
        planted="""
            create function public.planted() returns uuid language sql set search_path = ''
            as $$ select private.require_role('admin') $$
        """,
        found="public.planted()",
    ),
    # State machines and times
    Rule(
        name="a status changes only as private.status_transitions says",
        query="""
            select c.oid::regclass::text
            from pg_catalog.pg_class as c
            join pg_catalog.pg_attribute as a on a.attrelid = c.oid and a.attname = 'status' and not a.attisdropped
            where c.relnamespace in ('public'::regnamespace, 'private'::regnamespace) and c.relkind in ('r', 'p')
                and not exists (
                    select from pg_catalog.pg_trigger as t
                    where t.tgrelid = c.oid and t.tgfoid = 'private.tg__check_transition()'::regprocedure
                )
        """,
        planted="create table public.planted (status text)",
        found="public.planted",
    ),
    Rule(
        name="updated_at is the database's to write",
        query="""
            select c.oid::regclass::text
            from pg_catalog.pg_class as c
            join pg_catalog.pg_attribute as a on a.attrelid = c.oid and a.attname = 'updated_at' and not a.attisdropped
            where c.relnamespace in ('public'::regnamespace, 'private'::regnamespace) and c.relkind in ('r', 'p')
                and not exists (
                    select from pg_catalog.pg_trigger as t
                    where t.tgrelid = c.oid and t.tgfoid = 'private.tg__set_updated_at()'::regprocedure
                )
        """,
        planted="create table public.planted (updated_at timestamptz)",
        found="public.planted",
    ),
    Rule(
        name="an instant has a time zone",
        query="""
            select format('%s.%s', c.oid::regclass, a.attname)
            from pg_catalog.pg_class as c
            join pg_catalog.pg_attribute as a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
            where c.relnamespace in ('public'::regnamespace, 'private'::regnamespace) and c.relkind in ('r', 'p', 'v')
                and (a.atttypid = 'timestamp'::regtype or (a.attname ~ '_at$' and a.atttypid <> 'timestamptz'::regtype))
        """,
        planted="create table public.planted (made_at timestamp)",
        found="public.planted.made_at",
    ),
    Rule(
        name="no table of the API has a column for a secret",
        query="""
            select format('%s.%s', c.oid::regclass, a.attname)
            from pg_catalog.pg_class as c
            join pg_catalog.pg_attribute as a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
            where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p', 'v', 'm')
                and a.attname ~ '(^|_)(e?mail|phone|password|secret|token|answer|key_hash)($|_)'
                -- These rows are their owner's and moderators' alone, which test_secrets.py shows; when an address was
                -- confirmed is no address.
                and format('%s.%s', c.relname, a.attname) not in ('accounts.email', 'user_accounts.email')
                and a.attname <> 'email_confirmed_at'
                -- whether somebody is mailed is no address
                and a.atttypid <> 'boolean'::regtype
        """,
        planted="create table public.planted (contact_email text)",
        found="public.planted.contact_email",
    ),
    # Names
    Rule(
        name="a constraint is named <table>_<what>_{pkey,key,fkey,check,excl}",
        query="""
            select format('%s on %s', o.conname, o.conrelid::regclass)
            from pg_catalog.pg_constraint as o
            join pg_catalog.pg_class as c on c.oid = o.conrelid
            join (values ('u', 'key'), ('f', 'fkey'), ('c', 'check'), ('x', 'excl'), ('p', 'pkey')) as k (kind, word)
                on k.kind::"char" = o.contype
            where o.connamespace in ('public'::regnamespace, 'private'::regnamespace)
                and o.conname !~ case k.word
                    when 'pkey' then format('^%s_pkey$', c.relname)
                    else format('^%s_[a-z_]+_%s$', c.relname, k.word)
                end
        """,
        planted="alter table public.courses add constraint courses_planted check (true)",
        found="courses_planted on public.courses",
    ),
    Rule(
        name="an index that is no constraint is named <table>_<columns>_idx, or _key where it is unique",
        query="""
            select c.oid::regclass::text
            from pg_catalog.pg_index as i
            join pg_catalog.pg_class as c on c.oid = i.indexrelid
            join pg_catalog.pg_class as t on t.oid = i.indrelid
            where t.relnamespace in ('public'::regnamespace, 'private'::regnamespace)
                and not exists (
                    select from pg_catalog.pg_constraint as o where o.conindid = c.oid and o.contype in ('p', 'u', 'x')
                )
                and c.relname !~ format('^%s_[a-z_]+_%s$', t.relname, case when i.indisunique then 'key' else 'idx' end)
        """,
        planted="create index planted on public.courses (title)",
        found="public.planted",
    ),
    Rule(
        name="a trigger is named _NNN_<task> on our tables and guildhall_<task> on Supabase's",
        query=r"""
            select format('%s on %s', t.tgname, t.tgrelid::regclass)
            from pg_catalog.pg_trigger as t
            join pg_catalog.pg_class as c on c.oid = t.tgrelid
            join pg_catalog.pg_proc as p on p.oid = t.tgfoid
            where not t.tgisinternal
                and p.pronamespace in ('public'::regnamespace, 'private'::regnamespace)
                and t.tgname !~ case
                    when c.relnamespace in ('public'::regnamespace, 'private'::regnamespace) then '^_\d{3}_[a-z_]+$'
                    else '^guildhall_[a-z_]+$'
                end
        """,
        planted="""
            create trigger planted before update on public.courses
            for each row execute function private.tg__set_updated_at()
        """,
        found="planted on public.courses",
    ),
    Rule(
        name="a trigger's function is named tg_<table>__<task>, or tg__<task> where it serves many",
        query="""
            select format('%s on %s', p.oid::regprocedure, c.oid::regclass)
            from pg_catalog.pg_trigger as t
            join pg_catalog.pg_class as c on c.oid = t.tgrelid
            join pg_catalog.pg_proc as p on p.oid = t.tgfoid
            where not t.tgisinternal
                and p.pronamespace in ('public'::regnamespace, 'private'::regnamespace)
                and p.proname !~ format('^tg(_%s)?__[a-z_]+$', c.relname)
        """,
        planted="""
            create trigger _900_planted before update on public.modules
            for each row execute function private.tg_courses__set_slug()
        """,
        found="private.tg_courses__set_slug() on public.modules",
    ),
    # Comments
    Rule(
        name="every table, view and type has a comment",
        query="""
            select c.oid::regclass::text from pg_catalog.pg_class as c
            where c.relnamespace in ('public'::regnamespace, 'private'::regnamespace)
                and c.relkind in ('r', 'p', 'v', 'm')
                and obj_description(c.oid, 'pg_class') is null
            union all
            select t.oid::regtype::text from pg_catalog.pg_type as t
            where t.typnamespace in ('public'::regnamespace, 'private'::regnamespace) and t.typtype in ('e', 'd')
                and obj_description(t.oid, 'pg_type') is null
        """,
        planted="create table public.planted (id int)",
        found="public.planted",
    ),
    Rule(
        name="every function has a comment",
        query="""
            select p.oid::regprocedure::text from pg_catalog.pg_proc as p
            where p.pronamespace in ('public'::regnamespace, 'private'::regnamespace)
                and obj_description(p.oid, 'pg_proc') is null
        """,
        planted="create function private.planted() returns int language sql set search_path = '' return 1",
        found="private.planted()",
    ),
    Rule(
        name="every index that is no constraint says which query it serves",
        query="""
            select c.oid::regclass::text
            from pg_catalog.pg_index as i
            join pg_catalog.pg_class as c on c.oid = i.indexrelid
            where c.relnamespace in ('public'::regnamespace, 'private'::regnamespace)
                and not exists (
                    select from pg_catalog.pg_constraint as o where o.conindid = c.oid and o.contype in ('p', 'u', 'x')
                )
                and obj_description(c.oid, 'pg_class') is null
        """,
        planted="create index courses_planted_idx on public.courses (title)",
        found="public.courses_planted_idx",
    ),
    Rule(
        name="every column that does not explain itself has a comment",
        query="""
            select format('%s.%s', c.oid::regclass, a.attname)
            from pg_catalog.pg_class as c
            join pg_catalog.pg_attribute as a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
            where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p', 'v', 'm')
                and col_description(c.oid, a.attnum) is null
                -- a key says by its name what it refers to; these words mean the same everywhere
                and a.attname !~ '_id$'
                and a.attname not in (
                    'id', 'title', 'name', 'description', 'slug', 'role', 'status',
                    'created_at', 'updated_at', 'granted_at', 'enrolled_at', 'issued_at', 'revoked_at', 'submitted_at',
                    'completed_at'
                )
        """,
        planted="alter table public.courses add column planted text",
        found="public.courses.planted",
    ),
)
