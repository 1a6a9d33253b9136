"""What a project's migrations can do, as on hosted Supabase, and whom their policies on `realtime.messages` admit."""

import json
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from stack.database import ATTEMPTS, migrate, set_passwords
from stack.errors import StackError
from stack.paths import BOOTSTRAP
from stack.postgres import Cluster
from tests.golden import copy_supabase
from tests.golden import running as running_cluster

FORBIDDEN = "42501"
ADA, BOB = "a0000000-0000-4000-8000-000000000001", "b0000000-0000-4000-8000-000000000001"

# As Supabase's guide to authorization of channels has them.
MIGRATION = """
create table public.members (user_id uuid not null, topic text not null, primary key (user_id, topic));
alter table public.members enable row level security;
create policy members_own on public.members for select to authenticated using (user_id = (select auth.uid()));
grant select, insert on public.members to authenticated;

create policy "members can listen" on realtime.messages for select to authenticated
using (
    realtime.messages.extension in ('broadcast', 'presence')
    and exists (
        select from public.members as m
        where m.user_id = (select auth.uid()) and m.topic = (select realtime.topic())
    )
);
create policy "members can send" on "realtime"."messages" for insert to authenticated
with check (
    realtime.messages.extension = 'broadcast'
    and exists (
        select from public.members as m
        where m.user_id = (select auth.uid()) and m.topic = (select realtime.topic())
    )
);
insert into public.members (user_id, topic) values ('a0000000-0000-4000-8000-000000000001', 'room:1');

create table public.notes (id int primary key, room text not null);
grant insert, select on public.notes to authenticated;
create function public.tg_notes() returns trigger language plpgsql set search_path = '' as $$
begin
    perform realtime.broadcast_changes(
        new.room, tg_op, tg_op, tg_table_name, tg_table_schema, new, null
    );
    return new;
end
$$;
create trigger _100_broadcast after insert on public.notes for each row execute function public.tg_notes();
"""


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    """A Postgres with Supabase's own objects, on which a project's migration has run."""
    folder = Path(tempfile.mkdtemp(prefix="guildhall-realtime-"))
    folder.chmod(0o711)
    made = copy_supabase(folder)
    with running_cluster(made):
        with psycopg.connect(made.url(), autocommit=True) as connection:
            set_passwords(connection, {"postgres": "local"})
        with psycopg.connect(made.url(role="postgres", password="local")) as connection:
            connection.execute(MIGRATION.encode())
        yield made
    shutil.rmtree(folder)


@pytest.fixture
def postgres(cluster: Cluster) -> Iterator[psycopg.Connection]:
    """A connection as migrations have it, which is rolled back."""
    with psycopg.connect(cluster.url(role="postgres", password="local")) as connection:
        yield connection
        connection.rollback()


def become(connection: psycopg.Connection, user: str, topic: str = "") -> None:
    """Act as a user who joins a topic, in the transaction at hand."""
    connection.execute("reset role")
    connection.execute(
        "select set_config('request.jwt.claims', %s, true), set_config('realtime.topic', %s, true)",
        [json.dumps({"sub": user, "role": "authenticated"}), topic],
    )
    connection.execute("set local role authenticated")


def sent(connection: psycopg.Connection) -> list[tuple[Any, ...]]:
    connection.execute("reset role")
    return connection.execute("select topic, event, payload ->> 'operation' from realtime.messages").fetchall()


def test_policies_of_a_migration_decide_who_sends_and_listens(postgres: psycopg.Connection) -> None:
    become(postgres, ADA)
    postgres.execute("""select realtime.send('{"a": 1}', 'shout', 'room:1')""")
    postgres.execute("""select realtime.send('{"a": 2}', 'shout', 'room:2')""")
    for user, topic, messages in ((ADA, "room:1", 1), (ADA, "room:2", 0), (BOB, "room:1", 0)):
        become(postgres, user, topic)
        assert postgres.execute("select count(*) from realtime.messages").fetchone() == (messages,)
    become(postgres, BOB, "room:1")
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        postgres.execute("insert into realtime.messages (topic, extension) values ('room:1', 'broadcast')")


def test_a_message_that_may_not_be_sent_does_not_undo_the_write(postgres: psycopg.Connection) -> None:
    warnings: list[str] = []
    postgres.add_notice_handler(lambda notice: warnings.append(notice.message_primary or ""))
    become(postgres, BOB)
    postgres.execute("insert into public.notes (id, room) values (1, 'room:1')")
    assert postgres.execute("select count(*) from public.notes").fetchone() == (1,)
    assert [each.split(":")[0] for each in warnings] == ["ErrorSendingBroadcastMessage"]
    assert sent(postgres) == []

    become(postgres, ADA)
    postgres.execute("insert into public.notes (id, room) values (2, 'room:1')")
    assert sent(postgres) == [("room:1", "INSERT", "INSERT")]


def test_a_message_has_an_id_in_its_payload(postgres: psycopg.Connection) -> None:
    postgres.execute(
        """select realtime.send('{"a": 1}', 'shout', 'room:1'), realtime.send('{"id": 7}', 'shout', 'x')"""
    )
    rows = postgres.execute("select payload ->> 'id' = id::text, payload -> 'id' from realtime.messages").fetchall()
    assert [row[0] for row in rows] == [True, False]
    assert rows[1][1] == 7


@pytest.mark.parametrize(
    "statement",
    [
        "create policy p on realtime.messages for select to anon using (realtime.topic() = 'lobby')",
        'alter policy "members can listen" on realtime.messages using (false)',
        'drop policy "members can listen" on realtime.messages',
        "drop policy if exists nothing on realtime.messages",
        "comment on policy \"members can listen\" on realtime.messages is 'x'",
        "create trigger mine after insert on realtime.messages for each row execute function public.tg_notes()",
        "select * from realtime.messages",
        "alter publication supabase_realtime add table public.members",
        "alter role authenticator set pgrst.db_aggregates_enabled = 'true'; notify pgrst, 'reload config'",
        "alter role authenticator set pgrst.db_max_rows = '10'",
        "set session_replication_role = replica",  # as each dump of data that Supabase's CLI writes
    ],
)
def test_a_migration_can(postgres: psycopg.Connection, statement: str) -> None:
    postgres.execute(statement.encode())


@pytest.mark.parametrize(
    "statement",
    [
        "alter table realtime.messages disable row level security",
        "alter table realtime.messages_default disable row level security",
        "alter table realtime.messages add column x int",
        "alter table realtime.messages rename to others",
        "alter table realtime.messages set schema public",
        "alter table realtime.messages owner to postgres",
        "alter table realtime.messages detach partition realtime.messages_default",
        "create table realtime.more (a int)",
        "create table public.part partition of realtime.messages for values from ('2026-01-01') to ('2026-01-02')",
        "create index on realtime.messages (topic)",
        "drop table realtime.messages cascade",
        "drop function realtime.topic() cascade",
        "create or replace function realtime.topic() returns text language sql as 'select null::text'",
        "alter schema realtime rename to live",
        "drop schema realtime cascade",
        "set session_replication_role = replica; alter table realtime.messages disable row level security",
        "set session_replication_role = replica; drop table realtime.messages_default",
        "alter role authenticator set log_statement = 'all'",
        "set role supabase_realtime_admin",
        "grant supabase_realtime_admin to anon",
    ],
)
def test_a_migration_cannot(postgres: psycopg.Connection, statement: str) -> None:
    with pytest.raises(psycopg.Error) as refused:
        postgres.execute(statement.encode())
    assert refused.value.sqlstate == FORBIDDEN


def test_without_a_policy_nobody_sends_or_listens(cluster: Cluster) -> None:
    with psycopg.connect(cluster.url()) as connection:
        unprotected = connection.execute("""
            select c.relname from pg_catalog.pg_class as c
            where c.relnamespace = 'realtime'::regnamespace and c.relkind in ('r', 'p') and not c.relrowsecurity
        """).fetchall()
        assert unprotected == []
        granted = connection.execute("""
            select grantee, table_name, array_agg(privilege_type::text order by privilege_type)
            from information_schema.table_privileges
            where table_schema = 'realtime' and grantee in ('anon', 'authenticated', 'service_role', 'PUBLIC')
            group by 1, 2
        """).fetchall()
        assert {(table, *privileges) for _, table, privileges in granted} == {
            ("messages", "INSERT", "SELECT", "UPDATE")
        }
        connection.execute("insert into realtime.messages (topic, extension) values ('lobby', 'broadcast')")
        connection.execute("set local role anon")
        assert connection.execute("select count(*) from realtime.messages").fetchone() == (0,)
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute("insert into realtime.messages (topic, extension) values ('lobby', 'broadcast')")
        connection.rollback()


def test_a_new_table_is_open_to_no_one(postgres: psycopg.Connection) -> None:
    """As in a new project of hosted Supabase: a migration grants what it opens."""
    postgres.execute("""
        create schema shop;
        create table shop.orders (id bigint generated always as identity primary key);
        create view shop.recent as select * from shop.orders;
        create sequence shop.numbers
    """)
    postgres.execute("create table public.orders (id bigint generated always as identity primary key)")
    for role in ("anon", "authenticated", "service_role"):
        for table in ("public.orders", "shop.orders", "shop.recent"):
            held = postgres.execute(
                "select has_table_privilege(%s, %s, 'select, insert, update, delete, truncate, references, trigger')",
                [role, table],
            ).fetchone()
            assert (role, table, held) == (role, table, (False,))
        for sequence in ("shop.numbers", "public.orders_id_seq"):
            assert postgres.execute(
                "select has_sequence_privilege(%s, %s, 'usage, select, update')", [role, sequence]
            ).fetchone() == (False,)


def test_the_bootstrap_can_be_repeated(cluster: Cluster) -> None:
    for file in sorted(BOOTSTRAP.glob("*.sql")):
        with psycopg.connect(cluster.url(), autocommit=True) as connection:
            connection.execute(file.read_bytes())


@pytest.mark.parametrize("deadlocks", [ATTEMPTS - 1, ATTEMPTS])
def test_a_migration_that_ends_in_a_deadlock_is_tried_again(cluster: Cluster, tmp_path: Path, deadlocks: int) -> None:
    url = cluster.url(role="postgres", password="local")
    version = 30_000_101_000_000 + deadlocks
    # A sequence keeps its value when the migration is rolled back.
    (tmp_path / f"{version}_shop_deadlock.sql").write_text(f"""
        do $$ begin
            if nextval('public.deadlocks_{deadlocks}') <= {deadlocks} then
                raise deadlock_detected;
            end if;
        end $$;
        create table public.tried_{deadlocks} (id int);
    """)
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(f"create sequence public.deadlocks_{deadlocks}".encode())
        if deadlocks < ATTEMPTS:
            assert migrate(tmp_path, url) == [f"{version}_shop_deadlock.sql"]
        else:
            with pytest.raises(StackError, match="deadlock"):
                migrate(tmp_path, url)
        found = connection.execute("select to_regclass(%s)::text", [f"public.tried_{deadlocks}"]).fetchone()
        assert found == (f"tried_{deadlocks}" if deadlocks < ATTEMPTS else None,)
