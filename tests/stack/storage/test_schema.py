"""What migrations can do in schema `storage`, and what they cannot."""

from collections.abc import Iterator

import psycopg
import pytest

from stack.postgres import Cluster

FORBIDDEN = "42501"


@pytest.fixture
def postgres(cluster: Cluster) -> Iterator[psycopg.Connection]:
    """A connection as migrations have it, which is rolled back."""
    with psycopg.connect(cluster.url(role="postgres", password="local")) as connection:
        yield connection
        connection.rollback()


@pytest.mark.parametrize(
    "statement",
    [
        "create policy p on storage.objects for select to authenticated using (true)",
        "create policy p on storage.buckets for select to authenticated using (true)",
        "alter policy objects_select_own on storage.objects using (false)",
        "drop policy objects_select_own on storage.objects",
        "drop policy if exists nothing on storage.objects",
        "comment on policy objects_select_own on storage.objects is 'x'",
        "insert into storage.buckets (id, name) values ('x', 'x') on conflict (id) do update set name = excluded.name",
        "update storage.buckets set public = false",
        "create trigger mine after insert on storage.objects for each row execute function public.tg_refuse()",
        "drop trigger _100_refuse on storage.objects",
        "drop trigger if exists nothing on storage.objects",
        "create table public.elsewhere (a int); alter table public.elsewhere add b int; drop table public.elsewhere",
        "select * from storage.objects",
        "grant select on storage.objects to supabase_read_only_user",
    ],
)
def test_a_migration_can(postgres: psycopg.Connection, statement: str) -> None:
    postgres.execute(statement.encode())


@pytest.mark.parametrize(
    "statement",
    [
        "alter table storage.objects disable row level security",
        "alter table storage.objects enable row level security",
        "alter table storage.objects add column x int",
        "alter table storage.objects rename to others",
        "alter table storage.objects rename column name to title",
        "alter table storage.objects set schema public",
        "alter table storage.objects owner to postgres",
        "alter table storage.objects disable trigger all",
        "alter table storage.objects drop constraint objects_pkey",
        "drop table storage.objects",
        "drop table storage.buckets cascade",
        "drop index storage.bucketid_objname",
        "create index on storage.objects (owner_id)",
        "create table storage.more (a int)",
        "create table public.child () inherits (storage.objects)",
        "create table public.child (like storage.migrations); alter table public.child inherit storage.migrations",
        "create view storage.more as select 1",
        "create rule r as on insert to storage.objects do instead nothing",
        "create or replace function storage.foldername(name text) returns text[] language sql as 'select null::text[]'",
        "drop function storage.filename(text)",
        "alter function storage.filename(text) rename to f",
        "alter function storage.filename(text) set schema public",
        "alter type storage.buckettype add value 'MORE'",
        "alter schema storage rename to store",
        "drop schema storage cascade",
        "drop trigger protect_objects_delete on storage.objects",
        "drop trigger update_buckets_updated_at on storage.buckets",
        "alter trigger protect_objects_delete on storage.objects rename to x",
        "delete from storage.objects",
        "delete from storage.buckets",
        "set role supabase_storage_admin",
        "grant supabase_storage_admin to anon",
        "drop function stack_guard.keep_supabase_schemas() cascade",
        "drop schema stack_guard cascade",
        "drop event trigger keep_supabase_ddl",
        "alter event trigger keep_supabase_drop disable",
    ],
)
def test_a_migration_cannot(postgres: psycopg.Connection, statement: str) -> None:
    with pytest.raises(psycopg.Error) as refused:
        postgres.execute(statement.encode())
    assert refused.value.sqlstate == FORBIDDEN


def test_deletion_needs_the_setting_of_the_storage_api(postgres: psycopg.Connection) -> None:
    postgres.execute("insert into storage.buckets (id, name) values ('gone', 'gone')")
    postgres.execute("set local storage.allow_delete_query = 'true'")
    assert postgres.execute("delete from storage.buckets where id = 'gone'").rowcount == 1


def test_api_roles_have_four_privileges_and_row_level_security(cluster: Cluster) -> None:
    with psycopg.connect(cluster.url()) as connection:
        granted = connection.execute("""
            select grantee, table_name, array_agg(privilege_type::text order by privilege_type)
            from information_schema.table_privileges
            where table_schema = 'storage' and grantee in ('anon', 'authenticated', 'service_role', 'PUBLIC')
            group by 1, 2
        """).fetchall()
        assert len(granted) == 6
        assert {tuple(privileges) for _, _, privileges in granted} == {("DELETE", "INSERT", "SELECT", "UPDATE")}
        unprotected = connection.execute("""
            select c.relname from pg_class as c
            where c.relnamespace = 'storage'::regnamespace and c.relkind = 'r' and not c.relrowsecurity
        """).fetchall()
        assert unprotected == []
        unpinned = connection.execute("""
            select p.proname from pg_proc as p
            where p.pronamespace in ('storage'::regnamespace, 'stack_guard'::regnamespace)
            and not coalesce(p.proconfig, '{}') @> array['search_path=""']
        """).fetchall()
        assert unpinned == []
        owners = connection.execute("""
            select distinct r.rolname from pg_class as c inner join pg_roles as r on r.oid = c.relowner
            where c.relnamespace = 'storage'::regnamespace
        """).fetchall()
        assert owners == [("supabase_storage_admin",)]


def test_path_functions(postgres: psycopg.Connection) -> None:
    assert postgres.execute("""
        select
            storage.foldername('a/b/c.tar.gz'), storage.foldername('c.png'),
            storage.filename('a/b/c.tar.gz'), storage.extension('a/b.d/c.tar.gz')
    """).fetchone() == (["a", "b"], [], "c.tar.gz", "gz")
    postgres.execute("insert into storage.objects (bucket_id, name) values ('private', 'x/y/z')")
    assert postgres.execute("select path_tokens from storage.objects where name = 'x/y/z'").fetchone() == (
        ["x", "y", "z"],
    )


def test_operation_functions_return_false_by_default(postgres: psycopg.Connection) -> None:
    query = """
        select
            storage.allow_only_operation('object.list'), storage.allow_only_operation('storage.object.list'),
            storage.allow_any_operation(array['x', 'object.list']), storage.allow_only_operation('object.list_v2'),
            storage.allow_only_operation(''), storage.allow_only_operation(null),
            storage.allow_any_operation(array[]::text[]), storage.allow_any_operation(array[null, ''])
    """
    nothing = (False,) * 8
    assert postgres.execute(query).fetchone() == nothing
    postgres.execute("set local storage.operation = ''")
    assert postgres.execute(query).fetchone() == nothing
    postgres.execute("set local storage.operation = 'storage.object.list'")
    assert postgres.execute(query).fetchone() == (True, True, True, False, False, False, False, False)
