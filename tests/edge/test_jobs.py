"""The job queue and its worker: what is deferred is done, whatever is killed."""

import asyncio
import itertools
import json
import os
import re
import signal
import subprocess
import sys
import threading
import uuid
from collections.abc import Iterator
from importlib.metadata import distribution
from pathlib import Path
from typing import Any

import msgspec
import psycopg
import pytest
from psycopg.pq import TransactionStatus
from psycopg.types.json import Jsonb

from edge.jobs.database import Database
from edge.jobs.settings import Settings
from edge.settings import SettingsError
from stack.project import MIGRATIONS, ROOT
from stack.state import State
from tests.databases import Databases
from tests.edge.post import Post, environment, post_office, wait_until, worker

FUNCTIONS = {
    "private.address_for_password_link(uuid)",
    "private.apply_stripe_object(jsonb,timestamp with time zone)",
    "private.bind_stripe_object(text,text,uuid)",
    "private.claim_mail(bigint)",
    "private.keep_balance_transactions(jsonb)",
    "private.newest_balance_transaction()",
    "private.offer_brief(uuid)",
    "private.payout_brief(uuid)",
    "private.purge_auth_events()",
    "private.purge_expired_orders()",
    "private.purge_mail()",
    "private.purge_rate_buckets()",
    "private.purge_webhook_inbox()",
    "private.refund_brief(uuid)",
    "private.schema_version()",
    "private.settle_mail(bigint,private.mail_status,text)",
    "private.settle_payout(uuid,text,text)",
    "private.settle_refund(uuid,refund_status)",
    "private.stripe_as_of(text)",
}
"""All of ours that the role `worker` may call. Reviewed: a new function for the worker is added here by hand."""


# The role


def test_the_role_may_call_the_listed_functions_and_nothing_else(db: psycopg.Connection) -> None:
    found = db.execute(
        """
        select p.oid::regprocedure::text, p.prosecdef
        from pg_catalog.pg_proc p join pg_catalog.pg_namespace n on n.oid = p.pronamespace
        where n.nspname in ('public', 'private', 'auth', 'storage', 'procrastinate')
            and has_schema_privilege('worker', n.oid, 'usage') and has_function_privilege('worker', p.oid, 'execute')
        """
    ).fetchall()
    assert {name for name, _definer in found if name.startswith("private.")} == FUNCTIONS
    assert {name for name, definer in found if definer} <= FUNCTIONS


def test_the_role_may_touch_the_queue_and_no_other_table(db: psycopg.Connection) -> None:
    touched = db.execute(
        """
        select distinct n.nspname
        from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace
        where n.nspname in ('public', 'private', 'auth', 'storage', 'procrastinate')
            and c.relkind in ('r', 'p', 'v', 'm', 'f')
            and (
                has_table_privilege('worker', c.oid, 'select, insert, update, delete, truncate, references, trigger')
                or has_any_column_privilege('worker', c.oid, 'select, insert, update, references')
            )
        """
    ).fetchall()
    assert touched == [("procrastinate",)]


def test_the_role_has_no_power_of_its_own(db: psycopg.Connection) -> None:
    powers = db.execute(
        """
        select rolsuper, rolbypassrls, rolcreaterole, rolcreatedb, rolreplication, rolinherit, rolcanlogin
        from pg_catalog.pg_roles where rolname = 'worker'
        """
    ).fetchone()
    assert powers == (False, False, False, False, False, False, True)
    member_of = db.execute("select count(*) from pg_catalog.pg_auth_members where member = 'worker'::regrole")
    assert member_of.fetchone() == (0,)


@pytest.mark.parametrize("role", ["anon", "authenticated", "service_role", "edge", "supabase_auth_admin"])
def test_nobody_else_reaches_the_queue(db: psycopg.Connection, role: str) -> None:
    usage = db.execute("select has_schema_privilege(%s, 'procrastinate', 'usage')", [role]).fetchone()
    assert usage == (False,)


def test_the_schema_is_the_librarys_own() -> None:
    """A newer library brings migrations of its own: they go into a file beside this one, and its text here."""
    text = (MIGRATIONS / "20261123000500_foundation_jobs.sql").read_text()
    marker = " procrastinate/sql/schema.sql\n"
    copied = text.partition(f"-- >>>{marker}")[2].partition(f"-- <<<{marker}")[0]
    library = distribution("procrastinate").locate_file("procrastinate/sql/schema.sql")
    assert copied == Path(str(library)).read_text()


# Deferring


def defer(connection: psycopg.Connection, task: str, lock: str | None = None, **args: Any) -> int:
    row = connection.execute("select private.defer_job(%s, %s, %s)", [task, Jsonb(args), lock]).fetchone()
    assert row is not None
    number: int = row[0]
    return number


def jobs(connection: psycopg.Connection) -> list[tuple[Any, ...]]:
    """Every job of ours that there is."""
    return connection.execute(
        "select task_name, status::text, attempts, args from procrastinate.procrastinate_jobs"
        " where task_name <> 'retry_stalled' order by id"
    ).fetchall()


class Own(msgspec.Struct, frozen=True, kw_only=True):
    """A database of a test's own, at whose queue nobody works yet."""

    url: str
    """As the superuser."""
    worker_url: str

    def connect(self) -> psycopg.Connection:
        """A connection that commits each statement."""
        return psycopg.connect(self.url, autocommit=True)

    def member(self) -> str:
        """Somebody with a confirmed address."""
        user_id = str(uuid.uuid4())
        with self.connect() as connection:
            connection.execute(
                "insert into auth.users (id, email, email_confirmed_at) values (%s, %s, now())",
                [user_id, f"{user_id}@example.com"],
            )
        return user_id

    def enqueue(self, user_id: str, key: str = "", *, template: str = "account_created") -> int:
        """Put a mail in the outbox; its id."""
        with self.connect() as connection:
            connection.execute(
                "select private.enqueue_mail(%s, %s, '{}', %s)", [user_id, template, key or str(uuid.uuid4())]
            )
            row = connection.execute("select max(id) from private.mail_outbox").fetchone()
        assert row is not None
        number: int = row[0]
        return number

    def outbox(self) -> list[tuple[Any, ...]]:
        """What became of each mail."""
        with self.connect() as connection:
            return connection.execute(
                "select status::text, attempts, last_error from private.mail_outbox order by id"
            ).fetchall()

    def jobs(self) -> list[tuple[Any, ...]]:
        """Every job of ours that there is."""
        with self.connect() as connection:
            return jobs(connection)


@pytest.fixture
def own(databases: Databases) -> Iterator[Own]:
    with databases.cloned() as name:
        yield Own(url=databases.url(name), worker_url=databases.url(name, "worker"))


def test_a_job_comes_and_goes_with_its_transaction(own: Own) -> None:
    with psycopg.connect(own.url) as connection:
        defer(connection, "one", number=1)
        connection.rollback()
        defer(connection, "two", number=2)
        assert own.jobs() == []
        connection.commit()
    assert own.jobs() == [("two", "todo", 0, {"number": 2})]


def test_a_lock_keeps_a_second_job_from_waiting(own: Own) -> None:
    with own.connect() as connection:
        first = defer(connection, "one", "lock", number=1)
        assert defer(connection, "one", "lock", number=2) == first
        assert defer(connection, "one", "other") != first
        connection.execute("update procrastinate.procrastinate_jobs set status = 'doing' where id = %s", [first])
        assert defer(connection, "one", "lock", number=3) != first
        found = jobs(connection)
    assert found == [("one", "doing", 0, {"number": 1}), ("one", "todo", 0, {}), ("one", "todo", 0, {"number": 3})]


def test_a_waiting_job_begins_after_the_transaction_that_relies_on_it(own: Own) -> None:
    """It would else not see what that transaction did, and nobody would defer it again."""
    fetch = "select id from procrastinate.procrastinate_fetch_job_v2(null, null)"
    with own.connect() as other, psycopg.connect(own.url) as connection:
        first = defer(other, "one", "lock")
        assert defer(connection, "one", "lock") == first
        assert other.execute(fetch).fetchone() == (None,)
        connection.commit()
        assert other.execute(fetch).fetchone() == (first,)


def test_two_defer_the_same_at_once(own: Own) -> None:
    """The second waits for the first, and is content with its job; or defers it, where the first is rolled back."""
    for does_commit in (True, False):
        answers: list[int] = []
        with psycopg.connect(own.url) as first, own.connect() as second:
            number = defer(first, "one", f"{does_commit}")
            thread = threading.Thread(target=lambda: answers.append(defer(second, "one", f"{does_commit}")))  # noqa: B023
            thread.start()
            with own.connect() as watcher:
                waits = "select count(*) from pg_stat_activity where pid = %s and wait_event_type = 'Lock'"
                wait_until(lambda: watcher.execute(waits, [second.info.backend_pid]).fetchone() == (1,))  # noqa: B023
            first.commit() if does_commit else first.rollback()
            thread.join()
        assert (answers == [number]) is does_commit
    assert len(own.jobs()) == 2


def test_the_request_goes_with_the_job(own: Own) -> None:
    with psycopg.connect(own.url) as connection:
        for offered in ("req-17", "not sane\n", "x" * 200):
            headers = json.dumps({"x-request-id": offered})
            connection.execute("select set_config('request.headers', %s, true)", [headers])
            defer(connection, "one")
        connection.commit()
    assert [args for *_, args in own.jobs()] == [{"request_id": "req-17"}, {}, {}]


# The outbox


def test_a_mail_that_does_not_exist_cannot_be_enqueued(own: Own) -> None:
    with own.connect() as connection, pytest.raises(psycopg.errors.ForeignKeyViolation):
        connection.execute("select private.enqueue_mail(%s, 'no_such', '{}', 'key')", [uuid.uuid4()])


def test_a_mail_has_one_job_however_often_it_is_enqueued(own: Own) -> None:
    user_id = own.member()
    ids = {own.enqueue(user_id, "the same") for _ in range(3)}
    assert own.jobs() == [("send_mail", "todo", 0, {"outbox_id": ids.pop()})]
    assert not ids


def test_two_claim_a_mail_at_once(own: Own) -> None:
    """The second waits until the first is through, and then finds nothing to send."""
    outbox_id = own.enqueue(own.member())
    answers: list[Any] = []
    claim = "select private.claim_mail(%s)"
    with psycopg.connect(own.worker_url) as first, psycopg.connect(own.worker_url, autocommit=True) as second:
        mine = first.execute(claim, [outbox_id]).fetchone()
        assert mine is not None
        assert mine[0]["template"] == "account_created"
        thread = threading.Thread(target=lambda: answers.append(second.execute(claim, [outbox_id]).fetchone()))
        thread.start()
        with own.connect() as watcher:
            waits = "select count(*) from pg_stat_activity where pid = %s and wait_event_type = 'Lock'"
            wait_until(lambda: watcher.execute(waits, [second.info.backend_pid]).fetchone() == (1,))
        first.execute("select private.settle_mail(%s, 'sent')", [outbox_id])
        first.commit()
        thread.join()
    assert answers == [(None,)]


@pytest.mark.parametrize(
    "gone",
    [
        "delete from auth.users where id = %s",
        "update auth.users set deleted_at = now() where id = %s",
        "update auth.users set email_confirmed_at = null where id = %s",
        "update auth.users set email = null where id = %s",
    ],
)
def test_nobody_is_mailed_who_cannot_be(own: Own, gone: str) -> None:
    user_id = own.member()
    outbox_id = own.enqueue(user_id, template="certificate_issued")
    with own.connect() as connection:
        connection.execute(gone.encode(), [user_id])
        assert connection.execute("select private.claim_mail(%s)", [outbox_id]).fetchone() == (None,)
        assert connection.execute("select params from private.mail_outbox").fetchone() == ({},)
    assert own.outbox() == [("skipped", 0, None)]


def test_who_is_to_prove_his_address_is_mailed(own: Own) -> None:
    user_id = own.member()
    with own.connect() as connection:
        connection.execute("update auth.users set email_confirmed_at = null where id = %s", [user_id])
        outbox_id = own.enqueue(user_id, template="account_created")
        claimed = connection.execute("select private.claim_mail(%s) ->> 'template'", [outbox_id]).fetchone()
    assert claimed == ("account_created",)


@pytest.mark.parametrize("settled", ["sent", "failed", "skipped"])
def test_a_settled_mail_stays_so(own: Own, settled: str) -> None:
    outbox_id = own.enqueue(own.member())
    with own.connect() as connection:
        connection.execute("select private.settle_mail(%s, %s)", [outbox_id, settled])
        before = own.outbox()
        for outcome in ("unsent", "sent", "failed", "skipped"):
            connection.execute("select private.settle_mail(%s, %s, 'again')", [outbox_id, outcome])
        assert own.outbox() == before
        with pytest.raises(psycopg.Error) as refused:
            connection.execute("update private.mail_outbox set status = 'unsent', sent_at = null")
    assert refused.value.diag.message_primary == "illegal_transition"


def test_what_a_mail_said_is_forgotten_after_a_month(own: Own) -> None:
    with own.connect() as connection:
        user_id = own.member()
        for number, (age, status) in enumerate(itertools.product(("29 days", "31 days"), ("sent", "unsent"))):
            connection.execute(
                "insert into private.mail_outbox"
                " (user_id, template, params, idempotency_key, created_at, status, sent_at)"
                " values (%s, 'account_created', '{\"a\": 1}', %s, now() - %s::interval, %s,"
                " case when %s = 'sent' then now() end)",
                [user_id, str(number), age, status, status],
            )
        assert connection.execute("select private.purge_mail()").fetchone() == (1,)
        assert connection.execute("select private.purge_mail()").fetchone() == (0,)
        left = connection.execute("select params <> '{}' from private.mail_outbox order by id").fetchall()
    assert left == [(True,), (True,), (False,), (True,)]


# The worker


@pytest.fixture
def post() -> Iterator[Post]:
    with post_office() as office:
        yield office


def at(own: Own, post: Post, **changes: str) -> dict[str, str]:
    """The settings of a worker at this database and this mail server."""
    return {"JOBS_DB_URL": own.worker_url, "JOBS_SMTP_PORT": str(post.port), **changes}


def test_mails_are_sent_and_their_jobs_go(own: Own, post: Post) -> None:
    user_id = own.member()
    own.enqueue(user_id, "before it starts")
    with worker(**at(own, post)) as process:
        own.enqueue(user_id, "while it works")
        wait_until(lambda: own.outbox() == [("sent", 1, None)] * 2)
        wait_until(lambda: own.jobs() == [])
        assert process.get("/ready").json() == {"status": "ready", "checks": ["database", "smtp"]}
        wait_until(lambda: len(process.logged("mail", outcome="sent", template="account_created")) == 2)
        wait_until(lambda: 'guildhall_mails_total{outcome="sent"} 2.0' in process.get("/metrics").text)
        assert process.end() == 0
    assert len({mail["Message-ID"] for mail in post.taken}) == 2
    assert user_id not in process.raw, "an address is in the log"


def test_the_request_that_caused_a_job_is_in_its_lines(own: Own, post: Post) -> None:
    user_id = own.member()
    with psycopg.connect(own.url) as connection:
        connection.execute("select set_config('request.headers', '{\"x-request-id\": \"req-17\"}', true)")
        connection.execute("select private.enqueue_mail(%s, 'account_created', '{}', 'a')", [user_id])
    with worker(**at(own, post)) as process:
        wait_until(lambda: process.logged("job", task="send_mail", outcome="done", request_id="req-17"))
    [line] = process.logged("job", task="send_mail")
    assert line["job_id"] > 0


def test_a_mail_is_tried_again_until_it_is_taken(own: Own, post: Post) -> None:
    post.refusals = ["450 4.2.0 not now"] * 3
    own.enqueue(own.member(), "the same")
    with worker(**at(own, post)) as process:
        wait_until(lambda: own.outbox() == [("sent", 4, None)])
        wait_until(lambda: own.jobs() == [])
    assert (post.asked, len(post.taken)) == (4, 1)
    failed = process.logged("job", task="send_mail", outcome="failed")
    assert [line["attempt"] for line in failed] == [1, 2, 3]
    assert {line["level"] for line in failed} == {"warning"}


def test_a_mail_refused_for_good_is_not_tried_again(own: Own, post: Post) -> None:
    post.refusals = ["550 5.1.1 nobody here"]
    own.enqueue(own.member())
    with worker(**at(own, post)):
        wait_until(lambda: own.outbox() == [("failed", 1, "SMTPRecipientRefused 550")])
        wait_until(lambda: own.jobs() == [])
    assert (post.asked, post.taken) == (1, [])


def test_a_mail_that_is_refused_too_often_has_failed(own: Own, post: Post) -> None:
    post.refusals = ["450 4.2.0 not now"]
    own.enqueue(own.member())
    with own.connect() as connection:
        connection.execute("update private.mail_outbox set attempts = 299")
    with worker(**at(own, post)):
        wait_until(lambda: own.outbox() == [("failed", 300, "NotTakenError: SMTPRecipientRefused 450")])
        wait_until(lambda: own.jobs() == [])


def test_mails_wait_where_there_is_no_mail_server(own: Own, post: Post) -> None:
    own.enqueue(own.member())
    with worker(**at(own, post, JOBS_SMTP_HOST="")) as process:
        wait_until(lambda: process.logged("job", task="send_mail", outcome="failed"))
        answer = process.get("/ready")
        assert (answer.status_code, answer.json()["message"]) == (503, "not_ready")
        assert "JOBS_SMTP_HOST" in answer.json()["hint"]
    assert own.outbox() == [("unsent", 0, None)]
    with worker(**at(own, post)):
        wait_until(lambda: own.outbox() == [("sent", 1, None)])


def test_a_stop_lets_a_mail_be_sent(own: Own, post: Post) -> None:
    post.delay = 1.0
    own.enqueue(own.member())
    with worker(**at(own, post)) as process:
        wait_until(lambda: post.asked)
        assert process.end() == 0
    assert own.outbox() == [("sent", 1, None)]
    assert own.jobs() == []


def test_a_stop_gives_back_what_takes_too_long(own: Own, post: Post) -> None:
    post.delay = 60.0
    own.enqueue(own.member())
    with worker(**at(own, post)) as process:
        wait_until(lambda: post.asked)
        assert process.end() == 0
    assert [(task, status) for task, status, *_ in own.jobs()] == [("send_mail", "todo")]
    post.delay = 0.0
    with worker(**at(own, post)):
        wait_until(lambda: own.outbox() == [("sent", 1, None)])


def test_a_killed_worker_leaves_its_mail_to_the_next(own: Own, post: Post) -> None:
    post.delay = 60.0
    own.enqueue(own.member())
    with worker(**at(own, post)) as process:
        wait_until(lambda: post.asked)
        process.end(signal.SIGKILL)
    assert [(task, status) for task, status, *_ in own.jobs()] == [("send_mail", "doing")]
    post.delay = 0.0
    with worker(**at(own, post)) as process:
        wait_until(lambda: own.outbox() == [("sent", 1, None)])
        assert process.logged("job_stalled", task="send_mail")


def test_a_frozen_worker_and_its_successor_send_one_mail(own: Own, post: Post) -> None:
    """The first is thought dead while it holds the mail's lock; the other waits, and finds the mail sent."""
    own.enqueue(own.member())
    post.delay = 4.0
    with worker(**at(own, post)) as frozen:
        wait_until(lambda: post.asked)
        frozen.send(signal.SIGSTOP)
        with worker(**at(own, post)) as successor:
            wait_until(lambda: successor.logged("job_stalled", task="send_mail"))
            wait_until(lambda: [job[1] for job in own.jobs()] == ["doing"])
            frozen.send(signal.SIGCONT)
            wait_until(lambda: own.outbox() == [("sent", 1, None)])
            wait_until(lambda: own.jobs() == [])
    assert len(post.taken) == 1


def test_the_queues_statements_are_committed_at_once(own: Own, post: Post) -> None:
    """Were they committed in a step of its own, a worker frozen before it would hold its locks, and stop all others."""

    async def status() -> TransactionStatus:
        database = Database(Settings.from_mapping(environment(**at(own, post))))
        await database.pool.open()
        try:
            async with database.pool.connection() as connection:
                await connection.execute("select 1")
                return connection.info.transaction_status
        finally:
            await database.pool.close()

    assert asyncio.run(status()) is TransactionStatus.IDLE


def test_the_worker_survives_the_loss_of_its_connections(own: Own, post: Post) -> None:
    user_id = own.member()
    lost = (
        "select count(pg_terminate_backend(pid)) from pg_stat_activity"
        " where usename = 'worker' and datname = current_database()"
    )
    with worker(**at(own, post)) as process:
        for number in range(3):
            own.enqueue(user_id, f"{number}")
            wait_until(lambda: own.outbox() == [("sent", 1, None)] * (number + 1))  # noqa: B023
            with own.connect() as connection:
                assert connection.execute(lost).fetchone() != (0,)
        wait_until(lambda: process.get("/ready").status_code == 200)
        assert process.end() == 0


def test_a_worker_without_its_database_waits_and_stops_when_told(post: Post) -> None:
    with worker(JOBS_SMTP_PORT=str(post.port)) as process:
        wait_until(lambda: process.logged("worker_interrupted"))
        answer = process.get("/ready")
        assert (answer.status_code, answer.json()["message"]) == (503, "not_ready")
        assert "guildhall_jobs" in process.get("/metrics").text
        assert process.end() == 0
    assert "secret-password" not in process.raw


def test_a_job_of_no_known_task_is_kept_and_said(own: Own, post: Post) -> None:
    with own.connect() as connection:
        defer(connection, "from_a_newer_version")
    with worker(**at(own, post)) as process:
        wait_until(lambda: own.jobs() == [("from_a_newer_version", "failed", 1, {})])
        assert 'guildhall_queue_jobs{status="failed",task="from_a_newer_version"} 1.0' in process.get("/metrics").text


def test_a_failed_job_gives_way_to_one_of_its_lock_that_waits(own: Own, post: Post) -> None:
    """By the library it would count as being done for ever, for the lock forbids a second one to wait."""
    post.delay = 1.0
    outbox_id = own.enqueue(own.member())
    post.refusals = ["450 4.2.0 not now"]
    with own.connect() as connection:
        connection.execute("update procrastinate.procrastinate_jobs set queueing_lock = 'lock'")
        with worker(**at(own, post, JOBS_CONCURRENCY="1")):
            wait_until(lambda: post.asked or [job for job in own.jobs() if job[1] == "doing"])
            defer(connection, "send_mail", "lock", outbox_id=outbox_id)
            wait_until(lambda: own.outbox() == [("sent", 2, None)])
            wait_until(lambda: own.jobs() == [])


def test_old_jobs_and_whatever_is_to_be_purged_go(own: Own, post: Post) -> None:
    with own.connect() as connection:
        defer(connection, "old")
        connection.execute("update procrastinate.procrastinate_jobs set status = 'failed'")
        connection.execute("update procrastinate.procrastinate_events set at = now() - interval '31 days'")
        defer(connection, "recent")
        connection.execute("update procrastinate.procrastinate_jobs set status = 'failed' where task_name = 'recent'")
        defer(connection, "purge", timestamp=0)
    with worker(**at(own, post)) as process:
        wait_until(lambda: process.logged("purged", function="purge_mail", rows=0))
        wait_until(lambda: [job[0] for job in own.jobs()] == ["recent"])


# Settings


def test_a_missing_setting_is_one_line() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "edge.jobs"],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], "JOBS_PORT": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    [line] = done.stderr.splitlines()
    assert "JOBS_DB_URL" in line


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("JOBS_PORT", "65536"),
        ("JOBS_DB_URL", ""),
        ("JOBS_AUTH_URL", "file:///etc/passwd"),
        ("JOBS_PUBLIC_URL", "javascript:alert(1)"),
        ("JOBS_MAIL_FROM", "nobody"),
        ("JOBS_MAIL_FROM", "a@example.com, b@example.com"),
        ("JOBS_MAIL_FROM", "Guild <guild>"),
        ("JOBS_SMTP_PORT", "smtp"),
        ("JOBS_SMTP_SECURITY", "ssl"),
        ("JOBS_CONCURRENCY", "0"),
        ("JOBS_HEARTBEAT", "20"),
    ],
)
def test_a_wrong_setting_is_named(name: str, value: str) -> None:
    with pytest.raises(SettingsError, match=name):
        Settings.from_mapping(environment(**{name: value}))


def test_settings_show_no_secret() -> None:
    settings = Settings.from_mapping(environment(JOBS_SMTP_PASSWORD="secret-password"))
    assert settings.smtp is not None
    assert settings.smtp.password == "secret-password"
    assert "secret" not in repr(settings)
    assert settings.sender.site == "https://guild.example.test"


class Asked(dict[str, str]):
    """An environment that remembers what it was asked for."""

    names: set[str]

    def get(self, name: str, default: Any = None) -> Any:
        self.names.add(name)
        return super().get(name, default)


def test_docs_list_every_setting() -> None:
    asked = Asked(environment(JOBS_SMTP_PORT="", JOBS_SMTP_USER="somebody"))
    asked.names = set()
    Settings.from_mapping(asked)
    listed = re.findall(r"^\| `(JOBS_[A-Z_]+)` \|", (ROOT / "docs" / "deploy.md").read_text(), re.MULTILINE)
    assert sorted(asked.names) == sorted(listed)


@pytest.mark.parametrize(("security", "port"), [("", 587), ("starttls", 587), ("tls", 465), ("none", 25)])
def test_the_port_of_a_mail_server_follows_its_security(security: str, port: int) -> None:
    settings = Settings.from_mapping(environment(JOBS_SMTP_SECURITY=security, JOBS_SMTP_PORT=""))
    assert settings.smtp is not None
    assert settings.smtp.port == port


def test_a_stack_made_before_the_worker_gets_its_password(databases: Databases) -> None:
    assert databases.state.passwords["worker"]
    assert msgspec.convert(msgspec.to_builtins(databases.state), State) == databases.state
