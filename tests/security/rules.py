"""The rules that the database's catalog must keep.

Each rule has a query that returns one line for each violation in the schemas `public` and `private`, the fix to print
with them, and SQL that plants a violation, with which a test shows that the query finds it.
"""

import msgspec


class Rule(msgspec.Struct, frozen=True, kw_only=True):
    """One rule."""

    name: str
    fix: str
    query: str
    planted: str
    found: str
    """The beginning of the line about the planted violation."""


RULES = (
    # Row level security
    Rule(
        name="row level security is enabled on every table",
        fix="Add to the migration: alter table <table> enable row level security;",
        query="""
            select c.oid::regclass::text from pg_catalog.pg_class as c
            where c.relnamespace in ('public'::regnamespace, 'private'::regnamespace)
                and c.relkind in ('r', 'p') and not c.relrowsecurity
        """,
        planted="create table private.planted (id int)",
        found="private.planted",
    ),
    Rule(
        name="every table has a policy; one for nobody says so",
        fix="Add policies/<domain>/<table>.sql; a closed table has a policy `using (false)`.",
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
        fix="Create it `with (security_invoker = true)`; a materialized view belongs behind a function.",
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
        name="a policy is TO a role, never to PUBLIC",
        fix="Add `to anon, authenticated` or the role that it is for.",
        query="""
            select format('%s on %s', p.polname, p.polrelid::regclass) from pg_catalog.pg_policy as p
            where p.polroles @> '{0}'
        """,
        planted="create policy planted on public.courses for select using (true)",
        found="planted on public.courses",
    ),
    Rule(
        name="one permissive policy for each role and verb",
        fix="Join the conditions of the two policies with `or`, or make one restrictive.",
        query="""
            select format('%s for %s to %s', p.polrelid::regclass, v.verb, r.role::regrole)
            from pg_catalog.pg_policy as p
            cross join unnest(p.polroles) as r (role)
            join (values ('r'), ('a'), ('w'), ('d')) as v (verb) on p.polcmd in (v.verb::"char", '*')
            where p.polpermissive and p.polrelid <> 'storage.objects'::regclass
            group by p.polrelid, v.verb, r.role
            having count(*) > 1
        """,
        planted="create policy planted on public.courses for all to anon using (true)",
        found="public.courses for r to anon",
    ),
    Rule(
        # Each domain has policies for its own buckets, so that a new one edits none of another domain.
        name="a policy of storage.objects first names its buckets",
        fix="Begin its expression with bucket_id in (...) and, with the buckets of the domain.",
        query=r"""
            select p.polname::text from pg_catalog.pg_policy as p
            cross join lateral (
                values (pg_get_expr(p.polqual, p.polrelid)), (pg_get_expr(p.polwithcheck, p.polrelid))
            ) as e (expression)
            where p.polrelid = 'storage.objects'::regclass
                and e.expression
                    !~ '^\(\(bucket_id = (ANY \(ARRAY\[[^\]]+\]\)|''[^'']+''::text)\) AND '
        """,
        planted="create policy planted on storage.objects for select to anon using (name = 'a' or bucket_id = 'b')",
        found="planted",
    ),
    Rule(
        name="one permissive policy for a role, verb and bucket of storage",
        fix="Join the conditions of the two policies with `or`.",
        query=r"""
            select format('%s for %s to %s', b.bucket[1], v.verb, r.role::regrole)
            from pg_catalog.pg_policy as p
            cross join unnest(p.polroles) as r (role)
            join (values ('r'), ('a'), ('w'), ('d')) as v (verb) on p.polcmd in (v.verb::"char", '*')
            cross join lateral regexp_matches(
                split_part(pg_get_expr(coalesce(p.polqual, p.polwithcheck), p.polrelid), ' AND ', 1),
                '''([^'']+)''::text', 'g'
            ) as b (bucket)
            where p.polpermissive and p.polrelid = 'storage.objects'::regclass
            group by b.bucket, v.verb, r.role
            having count(*) > 1
        """,
        planted="""
            create policy planted on storage.objects for select to authenticated
            using (bucket_id = 'avatars' and name = 'a')
        """,
        found="avatars for r to authenticated",
    ),
    Rule(
        name="a policy is named <table>_<verb>_<who>",
        fix="Rename it, for example courses_select_owner.",
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
        fix="Write (select private.f()) in the policy, so that Postgres calls it once and not for each row.",
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
        name="a function that a policy calls is in PL/pgSQL, which keeps its plan",
        fix="Write it in plpgsql: SQL functions are planned in every query.",
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
        name="a policy passes no column to a function",
        fix=(
            "Compare the column with the set that a function without arguments returns: column = any ((select "
            "private.f())::uuid[])."
        ),
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
        name="a policy uses only the user id of a token",
        fix="Look roles and addresses up in tables: (select private.has_role('admin')).",
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
        fix="Create an index that begins with the column.",
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
                -- An index would not select by these flags: they filter rows that were found by another column.
                -- Published courses have a partial index.
                and a.attname !~ '^is_([a-z]+_)?public$|_is_public$'
                and format('%s.%s', c.relname, a.attname) not in
                    ('courses.status', 'certificates.status', 'lessons.is_intro', 'student_teachers.status',
                        'certificate_decisions.outcome', 'recordings.is_published')
        """,
        planted="create policy planted on public.courses for update to anon using (language = 'en')",
        found="public.courses.language in planted",
    ),
    # Keys and indexes
    Rule(
        name="every table has a primary key",
        fix="Add one to the migration.",
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
        fix="Create an index on the columns of the foreign key.",
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
        name="every foreign key has ON DELETE",
        fix="Add on delete cascade, restrict or set null.",
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
        fix="Add set search_path = ''.",
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
        name="a security definer function is in private",
        fix="Move it to private, and expose it with private.expose.",
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
        name="a security definer function that writes and that clients may call checks its caller first",
        fix="Call private.require_user(), require_role(...) or another private.require_* before the first write.",
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
                -- It only counts the call, of any caller.
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
        name="no function is executable by PUBLIC",
        fix="Revoke it from PUBLIC, and grant it to roles in policies/<domain>/.",
        query="""
            select p.oid::regprocedure::text from pg_catalog.pg_proc as p
            where p.pronamespace in ('public'::regnamespace, 'private'::regnamespace)
                and has_function_privilege('public', p.oid, 'execute')
        """,
        planted="create function private.planted() returns int language sql set search_path = '' return 1",
        found="private.planted()",
    ),
    Rule(
        name="no role but its owner may call a trigger function",
        fix="Remove the grant.",
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
        name="functions are in SQL or PL/pgSQL",
        fix="Rewrite it in one of them: other languages can leave the database.",
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
        fix="Remove the extension; the edge and the worker make outgoing calls.",
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
        name="no object of ours belongs to a superuser",
        fix="Create it as the role postgres, as migrations do.",
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
        name="no grant has the grant option",
        fix="Grant it without `with grant option`.",
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
        name="no table is in a publication",
        fix="Drop it from the publication: realtime would show deleted rows to every listener.",
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
        name="a security definer function that clients may call uses no dynamic SQL",
        fix="Write the statement out, or move it to a function that clients may not call.",
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
        # Supabase preloads safeupdate for PostgREST's sessions, and it checks what our functions do there as well.
        name="no function updates or deletes without a WHERE clause",
        fix="Add `where true` if it means every row.",
        query=r"""
            with recursive sources (oid, source, depth) as (
                select p.oid, regexp_replace(p.prosrc, '--[^\n]*|''[^'']*''', '', 'g'), 0
                from pg_catalog.pg_proc as p
                where p.pronamespace in ('public'::regnamespace, 'private'::regnamespace)
                union all
                -- Without what is in parentheses, except common table expressions that write.
                select
                    s.oid, regexp_replace(s.source, '\((?![^()]*\m(?:update|delete)\s)[^()]*\)', '', 'g'), s.depth + 1
                from sources as s
                where s.depth < 9
            )
            select s.oid::regprocedure::text
            from sources as s
            cross join regexp_matches(
                s.source, '\m(?:update|delete\s+from)\s+(?:only\s+)?[a-z_]+\.[^();]*', 'gi'
            ) as w (statement)
            where s.depth = 9 and w.statement[1] !~* '\mwhere\M'
        """,
        planted="""
            create function private.planted() returns void language sql set search_path = '' as $$
                with deleted_rows as (delete from public.lessons returning id) select from deleted_rows
            $$
        """,
        found="private.planted()",
    ),
    Rule(
        # This excludes 40001, which PostgREST retries, and P0002, which it answers with 500.
        name="every error is a row of private.errors, raised by private.refuse",
        fix="Raise it with private.refuse, which takes status and texts from private.errors.",
        query=r"""
            select p.oid::regprocedure::text
            from pg_catalog.pg_proc as p
            cross join lateral (select regexp_replace(p.prosrc, '--[^\n]*', '', 'g')) as s (source)
            where p.pronamespace in ('public'::regnamespace, 'private'::regnamespace)
                -- refuse raises every error; check_request sets response headers, which only SQLSTATE PGRST can;
                -- receive_webhook catches what await_reference raises.
                and p.oid not in (
                    'private.refuse(text,text[])'::regprocedure,
                    'private.check_request()'::regprocedure,
                    'private.await_reference(text)'::regprocedure
                )
                and (
                    s.source ~* '\mraise\s+(?!debug|log|info|notice|warning)'
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
        name="no error is raised by a condition name",
        fix="Raise it with private.refuse.",
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
        name="no function sets serializable or repeatable read",
        fix="Lock the rows instead: only these isolation levels can raise 40001, which old PostgREST retries for ever.",
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
        name="private.expose made every function of the API, and each of them exists",
        fix="Expose the private function in policies/<domain>/functions.sql with private.expose.",
        query="""
            select coalesce(f.name, p.proname)
            from private.api_functions as f
            full join pg_catalog.pg_proc as p
                on p.proname = f.name and p.pronamespace = 'public'::regnamespace
            where (f.name is null and p.pronamespace = 'public'::regnamespace) or (p.proname is null)
        """,
        planted="insert into private.api_functions (name, tier) values ('planted', 'strict')",
        found="planted",
    ),
    Rule(
        name="a function with another tier than standard may write",
        fix="Expose a function that only reads with the tier standard.",
        query="""
            select f.name from private.api_functions as f
            join pg_catalog.pg_proc as p on p.pronamespace = 'public'::regnamespace and p.proname = f.name
            where f.tier <> 'standard' and p.provolatile <> 'v'
        """,
        planted="update private.api_functions set tier = 'strict' where name = 'verify_certificate'",
        found="verify_certificate",
    ),
    Rule(
        name="a function of moderators and admins has the tier strict",
        fix="Expose it with the tier strict.",
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
                    select from private.api_functions as f
                    where f.name = g.proname and f.tier = 'strict'
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
        name="a status changes only by private.status_transitions",
        fix="Add the allowed transitions, and a trigger that executes private.tg__check_transition().",
        query="""
            select c.oid::regclass::text
            from pg_catalog.pg_class as c
            join pg_catalog.pg_attribute as a on a.attrelid = c.oid and a.attname = 'status' and not a.attisdropped
                and a.atttypid <> 'int2'::regtype -- an HTTP status
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
        name="the database writes updated_at",
        fix="Add a trigger that executes private.tg__set_updated_at().",
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
        fix="Use timestamptz; a column named *_at is one.",
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
        fix="Move the column to a table in private, or rename it where it holds no secret.",
        query="""
            select format('%s.%s', c.oid::regclass, a.attname)
            from pg_catalog.pg_class as c
            join pg_catalog.pg_attribute as a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
            where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p', 'v', 'm')
                and a.attname ~ '(^|_)(e?mail|phone|password|secret|token|answer|key_hash)($|_)'
                -- Only the owner and moderators see these rows (test_secrets.py). The instant of a confirmation is
                -- not an address.
                and format('%s.%s', c.relname, a.attname) not in ('accounts.email', 'user_accounts.email')
                and a.attname <> 'email_confirmed_at'
                -- a setting about mails is not an address
                and a.atttypid <> 'boolean'::regtype
        """,
        planted="create table public.planted (contact_email text)",
        found="public.planted.contact_email",
    ),
    # Names
    Rule(
        name="a constraint is named <table>_<what>_{pkey,key,fkey,check,excl}",
        fix="Name it so in the migration.",
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
        name="an index without a constraint is named <table>_<columns>_idx, or _key where it is unique",
        fix="Name it so in the migration.",
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
        fix="Name it so; triggers fire in the order of their names.",
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
        name="a trigger function is named tg_<table>__<task>, or tg__<task> where it serves many tables",
        fix="Name it so in the migration.",
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
        fix="Add comment on <kind> <name> is '...' after it.",
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
        fix="Add comment on function <name> is '...' after it.",
        query="""
            select p.oid::regprocedure::text from pg_catalog.pg_proc as p
            where p.pronamespace in ('public'::regnamespace, 'private'::regnamespace)
                and obj_description(p.oid, 'pg_proc') is null
        """,
        planted="create function private.planted() returns int language sql set search_path = '' return 1",
        found="private.planted()",
    ),
    Rule(
        name="every index without a constraint has a comment that names the query it serves",
        fix="Add comment on index <name> is '...' after it.",
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
        # Postgres's own answer names the constraint; error_catalogue and docs/errors.md explain it by the comment.
        name="a constraint that a client can break has a comment",
        fix="Say what it demands, as a sentence for people: comment on constraint ... on ... is 'A title has ...'.",
        query="""
            with clients as (
                select c.oid, a.attnum from pg_catalog.pg_class as c
                join pg_catalog.pg_attribute as a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
                cross join unnest('{anon,authenticated}'::name[]) as r (role)
                where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p')
                    and (
                        has_column_privilege(r.role, c.oid, a.attnum, 'insert')
                        or has_column_privilege(r.role, c.oid, a.attnum, 'update')
                    )
            )
            select format('%s on %s', o.conname, o.conrelid::regclass)
            from pg_catalog.pg_constraint as o
            where o.connamespace = 'public'::regnamespace and o.conrelid <> 0
                and obj_description(o.oid, 'pg_constraint') is null
                and (
                    -- A write can break it by a value,
                    exists (select from clients as w where w.oid = o.conrelid and w.attnum = any(o.conkey))
                    -- or a deletion because other rows refer to this one.
                    or (
                        o.contype = 'f' and o.confdeltype in ('a', 'r')
                        and has_table_privilege('authenticated', o.confrelid, 'delete')
                    )
                )
                -- The primary key, of which it has every column, is broken first.
                and not (
                    o.contype = 'u' and exists (
                        select from pg_catalog.pg_constraint as k
                        where k.conrelid = o.conrelid and k.contype = 'p' and k.conkey <@ o.conkey
                    )
                )
            order by o.conrelid::regclass::text, o.conname
        """,
        planted="alter table public.follows add constraint follows_planted_check check (followee_id is not null)",
        found="follows_planted_check on public.follows",
    ),
    Rule(
        name="every column has a comment, except those with common names",
        fix="Add comment on column <table>.<column> is '...' after the table.",
        query="""
            select format('%s.%s', c.oid::regclass, a.attname)
            from pg_catalog.pg_class as c
            join pg_catalog.pg_attribute as a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
            where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p', 'v', 'm')
                and col_description(c.oid, a.attnum) is null
                -- the name of a foreign key says what it refers to; these names mean the same everywhere
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
