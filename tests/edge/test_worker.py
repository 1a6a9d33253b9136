"""The job queue, the outbox and the worker: every deferred job runs, whatever is killed."""

import asyncio
import itertools
import json
import signal
import threading
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from importlib.metadata import distribution
from pathlib import Path
from typing import Any

import msgspec
import psycopg
import pytest
from procrastinate.jobs import Job
from psycopg.pq import TransactionStatus
from psycopg.types.json import Jsonb

from common.errors import PermanentError, TransientError
from edge.database import Database
from edge.errors import error
from edge.worker.retries import LONGEST_PAUSE, RetryByOutcome
from stack.state import State
from stack.tools.project import GUILDHALL
from tests.databases import Databases
from tests.edge.mail_server import MailServer, running_mail_server
from tests.edge.processes import running_worker
from tests.waiting import wait_until

FUNCTIONS = {
    "private.address_for_password_link(uuid)",
    "private.apply_stripe_object(jsonb,timestamp with time zone)",
    "private.bind_stripe_object(text,text,uuid)",
    "private.claim_mail(bigint)",
    "private.drop_stripe_id(text,text)",
    "private.forget_removed_files(text[])",
    "private.lapse(name)",
    "private.lapses()",
    "private.newest_balance_transaction()",
    "private.offer_payload(uuid)",
    "private.payout_payload(uuid)",
    "private.purge(name)",
    "private.purges()",
    "private.record_mail_result(bigint,private.mail_status,text)",
    "private.record_payout_result(uuid,text,text,text)",
    "private.record_refund_result(uuid,refund_status)",
    "private.record_stripe_balance(jsonb)",
    "private.record_stripe_transfer(uuid,jsonb)",
    "private.refund_payload(uuid)",
    "private.regrade_next_attempt(uuid)",
    "private.removable_files()",
    "private.renew_stripe_attempt(text,text,integer)",
    "private.renewal_payload(uuid)",
    "private.retry_webhooks()",
    "private.schema_version()",
    "private.stripe_attempt(text,text)",
    "private.stripe_observed_at(text)",
    "private.try_fulfilment(uuid)",
    "private.upsert_balance_transactions(jsonb)",
}
"""The functions of ours that the role `worker` may call. A new one is added by hand, after review."""


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


def test_the_role_has_privileges_on_the_queue_only(db: psycopg.Connection) -> None:
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


def test_the_role_has_no_attributes_and_no_memberships(db: psycopg.Connection) -> None:
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
def test_no_other_role_reaches_the_queue(db: psycopg.Connection, role: str) -> None:
    usage = db.execute("select has_schema_privilege(%s, 'procrastinate', 'usage')", [role]).fetchone()
    assert usage == (False,)


def test_the_schema_of_the_queue_is_the_librarys() -> None:
    """A newer library brings migrations of its own: they go into a file beside this one."""
    text = (GUILDHALL.migrations / "20261123000500_foundation_jobs.sql").read_text()
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
    """Every job, without those of the worker's own upkeep."""
    return connection.execute(
        "select task_name, status::text, attempts, args from procrastinate.procrastinate_jobs"
        " where task_name not in ('retry_stalled', 'retry_webhooks', 'end_lapsed') order by id"
    ).fetchall()


class Own(msgspec.Struct, frozen=True, kw_only=True):
    """A database of a test's own, with a queue that no worker serves."""

    url: str
    """As the superuser."""
    worker_url: str

    def connect(self) -> psycopg.Connection:
        """A connection that commits each statement."""
        return psycopg.connect(self.url, autocommit=True)

    def member(self) -> str:
        """Add a person with a confirmed address, and return the id."""
        user_id = str(uuid.uuid4())
        with self.connect() as connection:
            connection.execute(
                "insert into auth.users (id, email, email_confirmed_at) values (%s, %s, now())",
                [user_id, f"{user_id}@example.com"],
            )
        return user_id

    def enqueue(self, user_id: str, key: str = "", *, template: str = "account_created") -> int:
        """Enqueue a mail, and return its id."""
        with self.connect() as connection:
            connection.execute(
                "select private.enqueue_mail(%s, %s, '{}', %s)", [user_id, template, key or str(uuid.uuid4())]
            )
            row = connection.execute("select max(id) from private.mail_outbox").fetchone()
        assert row is not None
        number: int = row[0]
        return number

    def outbox(self) -> list[tuple[Any, ...]]:
        """The status, attempts and error of each mail."""
        with self.connect() as connection:
            return connection.execute(
                "select status::text, attempts, last_error from private.mail_outbox order by id"
            ).fetchall()

    def jobs(self) -> list[tuple[Any, ...]]:
        """Every job, without those of the worker's own upkeep."""
        with self.connect() as connection:
            return jobs(connection)


@pytest.fixture
def own(databases: Databases) -> Iterator[Own]:
    with databases.cloned() as name:
        yield Own(url=databases.url(name), worker_url=databases.url(name, "worker"))


def test_a_job_is_part_of_its_transaction(own: Own) -> None:
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


def test_a_waiting_job_starts_after_the_transaction_that_relies_on_it(own: Own) -> None:
    """Otherwise it would not see what that transaction did, and no other job would."""
    fetch = "select id from procrastinate.procrastinate_fetch_job_v2(null, null)"
    with own.connect() as other, psycopg.connect(own.url) as connection:
        first = defer(other, "one", "lock")
        assert defer(connection, "one", "lock") == first
        assert other.execute(fetch).fetchone() == (None,)
        connection.commit()
        assert other.execute(fetch).fetchone() == (first,)


def test_two_transactions_that_defer_the_same_job_leave_one(own: Own) -> None:
    """The second waits for the first, and uses its job, or defers its own where the first is rolled back."""
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


def test_a_job_keeps_the_id_of_its_request(own: Own) -> None:
    with psycopg.connect(own.url) as connection:
        for offered in ("req-17", "not sane\n", "x" * 200):
            headers = json.dumps({"x-request-id": offered})
            connection.execute("select set_config('request.headers', %s, true)", [headers])
            defer(connection, "one")
        connection.commit()
    assert [args for *_, args in own.jobs()] == [{"request_id": "req-17"}, {}, {}]


# The outbox


def test_an_unknown_template_cannot_be_enqueued(own: Own) -> None:
    with own.connect() as connection, pytest.raises(psycopg.errors.ForeignKeyViolation):
        connection.execute("select private.enqueue_mail(%s, 'no_such', '{}', 'key')", [uuid.uuid4()])


def test_a_mail_has_one_job_however_often_it_is_enqueued(own: Own) -> None:
    user_id = own.member()
    ids = {own.enqueue(user_id, "the same") for _ in range(3)}
    assert own.jobs() == [("send_mail", "todo", 0, {"outbox_id": ids.pop()})]
    assert not ids


def test_two_workers_that_claim_a_mail_send_it_once(own: Own) -> None:
    """The second waits for the first, and then finds nothing to send."""
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
        first.execute("select private.record_mail_result(%s, 'sent')", [outbox_id])
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
def test_a_person_without_a_confirmed_address_is_skipped(own: Own, gone: str) -> None:
    user_id = own.member()
    outbox_id = own.enqueue(user_id, template="certificate_issued")
    with own.connect() as connection:
        connection.execute(gone.encode(), [user_id])
        assert connection.execute("select private.claim_mail(%s)", [outbox_id]).fetchone() == (None,)
        assert connection.execute("select params from private.mail_outbox").fetchone() == ({},)
    assert own.outbox() == [("skipped", 0, None)]


def test_a_mail_that_confirms_an_address_is_sent(own: Own) -> None:
    user_id = own.member()
    with own.connect() as connection:
        connection.execute("update auth.users set email_confirmed_at = null where id = %s", [user_id])
        outbox_id = own.enqueue(user_id, template="account_created")
        claimed = connection.execute("select private.claim_mail(%s) ->> 'template'", [outbox_id]).fetchone()
    assert claimed == ("account_created",)


@pytest.mark.parametrize("settled", ["sent", "failed", "skipped"])
def test_a_mail_with_a_final_status_keeps_it(own: Own, settled: str) -> None:
    outbox_id = own.enqueue(own.member())
    with own.connect() as connection:
        connection.execute("select private.record_mail_result(%s, %s)", [outbox_id, settled])
        before = own.outbox()
        for outcome in ("unsent", "sent", "failed", "skipped"):
            connection.execute("select private.record_mail_result(%s, %s, 'again')", [outbox_id, outcome])
        assert own.outbox() == before
        with pytest.raises(psycopg.Error) as refused:
            connection.execute("update private.mail_outbox set status = 'unsent', sent_at = null")
    assert refused.value.diag.message_primary == "illegal_transition"


def test_parameters_of_mails_are_purged_after_a_month(own: Own) -> None:
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
        assert connection.execute("select private.purge__mail()").fetchone() == (1,)
        assert connection.execute("select private.purge__mail()").fetchone() == (0,)
        left = connection.execute("select params <> '{}' from private.mail_outbox order by id").fetchall()
    assert left == [(True,), (True,), (False,), (True,)]


# Retries


JOB = Job(id=1, queue="default", lock=None, queueing_lock=None, task_name="one", attempts=3)


def test_a_permanent_error_ends_a_job_and_every_other_one_retries_it() -> None:
    retry = RetryByOutcome(first_pause=2.0)
    now = datetime.now(UTC)
    assert retry.get_retry_decision(exception=PermanentError("refused"), job=JOB) is None
    for failure in (TransientError("away"), error("database_unavailable"), KeyError("a fault of ours")):
        decision = retry.get_retry_decision(exception=failure, job=JOB)
        assert decision is not None
        assert decision.retry_at is not None
        assert 15 < (decision.retry_at - now).total_seconds() < 17
    cut_short = retry.get_retry_decision(exception=asyncio.CancelledError(), job=JOB)
    assert cut_short is not None
    assert cut_short.retry_at is not None
    assert (cut_short.retry_at - now).total_seconds() < 1
    assert (retry.next_attempt(1000) - now).total_seconds() < LONGEST_PAUSE + 1


# The worker


@pytest.fixture
def mail_server() -> Iterator[MailServer]:
    with running_mail_server() as running:
        yield running


def at(own: Own, mail_server: MailServer, **changes: str) -> dict[str, str]:
    """The settings of a worker with this database and this mail server."""
    return {"WORKER_DB_URL": own.worker_url, "WORKER_SMTP_PORT": str(mail_server.port), **changes}


def test_mails_are_sent_and_their_jobs_deleted(own: Own, mail_server: MailServer) -> None:
    user_id = own.member()
    own.enqueue(user_id, "before it starts")
    with running_worker(**at(own, mail_server)) as process:
        own.enqueue(user_id, "while it works")
        wait_until(lambda: own.outbox() == [("sent", 1, None)] * 2)
        wait_until(lambda: own.jobs() == [])
        assert process.get("/ready").json() == {"status": "ready", "checks": ["database", "smtp"]}
        wait_until(lambda: len(process.logged("mail", outcome="sent", template="account_created")) == 2)
        wait_until(lambda: 'guildhall_mails_total{outcome="sent"} 2.0' in process.get("/metrics").text)
        assert process.end() == 0
    assert len({mail["Message-ID"] for mail in mail_server.mails}) == 2
    assert user_id not in process.raw, "an address is in the log"


def test_the_log_of_a_job_names_its_request(own: Own, mail_server: MailServer) -> None:
    user_id = own.member()
    with psycopg.connect(own.url) as connection:
        connection.execute("select set_config('request.headers', '{\"x-request-id\": \"req-17\"}', true)")
        connection.execute("select private.enqueue_mail(%s, 'account_created', '{}', 'a')", [user_id])
    with running_worker(**at(own, mail_server)) as process:
        wait_until(lambda: process.logged("job", task="send_mail", outcome="done", request_id="req-17"))
    [line] = process.logged("job", task="send_mail")
    assert line["job_id"] > 0


def test_a_mail_is_retried_until_it_is_accepted(own: Own, mail_server: MailServer) -> None:
    mail_server.refusals = ["450 4.2.0 not now"] * 3
    own.enqueue(own.member(), "the same")
    with running_worker(**at(own, mail_server)) as process:
        wait_until(lambda: own.outbox() == [("sent", 4, None)])
        wait_until(lambda: own.jobs() == [])
    assert (mail_server.recipients, len(mail_server.mails)) == (4, 1)
    failed = process.logged("job", task="send_mail", outcome="failed")
    assert [line["attempt"] for line in failed] == [1, 2, 3]
    assert {line["level"] for line in failed} == {"warning"}


def test_a_mail_refused_for_good_is_not_retried(own: Own, mail_server: MailServer) -> None:
    mail_server.refusals = ["550 5.1.1 nobody here"]
    own.enqueue(own.member())
    with running_worker(**at(own, mail_server)):
        wait_until(lambda: own.outbox() == [("failed", 1, "SMTPRecipientRefused 550")])
        wait_until(lambda: own.jobs() == [])
    assert (mail_server.recipients, mail_server.mails) == (1, [])


def test_a_mail_that_is_refused_too_often_has_failed(own: Own, mail_server: MailServer) -> None:
    mail_server.refusals = ["450 4.2.0 not now"]
    own.enqueue(own.member())
    with own.connect() as connection:
        connection.execute("update private.mail_outbox set attempts = 299")
    with running_worker(**at(own, mail_server)):
        wait_until(lambda: own.outbox() == [("failed", 300, "TransientError: SMTPRecipientRefused 450")])
        wait_until(lambda: own.jobs() == [])


def test_mails_wait_where_there_is_no_mail_server(own: Own, mail_server: MailServer) -> None:
    own.enqueue(own.member())
    with running_worker(**at(own, mail_server, WORKER_SMTP_HOST="")) as process:
        wait_until(lambda: process.logged("job", task="send_mail", outcome="failed"))
        answer = process.get("/ready")
        assert (answer.status_code, answer.json()["message"]) == (503, "not_ready")
        assert "WORKER_SMTP_HOST" in answer.json()["details"]
    assert own.outbox() == [("unsent", 0, None)]
    with running_worker(**at(own, mail_server)):
        wait_until(lambda: own.outbox() == [("sent", 1, None)])


def test_a_stop_waits_for_a_mail_in_progress(own: Own, mail_server: MailServer) -> None:
    mail_server.delay = 1.0
    own.enqueue(own.member())
    with running_worker(**at(own, mail_server)) as process:
        wait_until(lambda: mail_server.recipients)
        assert process.end() == 0
    assert own.outbox() == [("sent", 1, None)]
    assert own.jobs() == []


def test_a_stop_gives_back_a_mail_that_takes_too_long(own: Own, mail_server: MailServer) -> None:
    mail_server.delay = 60.0
    own.enqueue(own.member())
    with running_worker(**at(own, mail_server)) as process:
        wait_until(lambda: mail_server.recipients)
        assert process.end() == 0
    assert [(task, status) for task, status, *_ in own.jobs()] == [("send_mail", "todo")]
    mail_server.delay = 0.0
    with running_worker(**at(own, mail_server)):
        wait_until(lambda: own.outbox() == [("sent", 1, None)])


def test_a_killed_worker_leaves_its_mail_to_the_next(own: Own, mail_server: MailServer) -> None:
    mail_server.delay = 60.0
    own.enqueue(own.member())
    with running_worker(**at(own, mail_server)) as process:
        wait_until(lambda: mail_server.recipients)
        process.end(signal.SIGKILL)
    assert [(task, status) for task, status, *_ in own.jobs()] == [("send_mail", "doing")]
    mail_server.delay = 0.0
    with running_worker(**at(own, mail_server)) as process:
        wait_until(lambda: own.outbox() == [("sent", 1, None)])
        assert process.logged("job_stalled", task="send_mail")


def test_a_frozen_worker_and_its_successor_send_a_mail_once(own: Own, mail_server: MailServer) -> None:
    """The first counts as dead while it holds the lock of the mail; the other waits, and finds the mail sent."""
    own.enqueue(own.member())
    mail_server.delay = 4.0
    with running_worker(**at(own, mail_server)) as frozen:
        wait_until(lambda: mail_server.recipients)
        frozen.send(signal.SIGSTOP)
        with running_worker(**at(own, mail_server)) as successor:
            wait_until(lambda: successor.logged("job_stalled", task="send_mail"))
            wait_until(lambda: [job[1] for job in own.jobs()] == ["doing"])
            frozen.send(signal.SIGCONT)
            wait_until(lambda: own.outbox() == [("sent", 1, None)])
            wait_until(lambda: own.jobs() == [])
    assert len(mail_server.mails) == 1


def test_statements_of_the_queue_are_committed_at_once(own: Own) -> None:
    """If they were committed in a second step, a worker that freezes before it would hold its locks."""

    async def status() -> TransactionStatus:
        database = Database(own.worker_url, name="worker", max_connections=1)
        await database.open()
        try:
            async with database.pool.connection() as connection:
                await connection.execute("select 1")
                return connection.info.transaction_status
        finally:
            await database.aclose()

    assert asyncio.run(status()) is TransactionStatus.IDLE


def test_the_worker_survives_the_loss_of_its_connections(own: Own, mail_server: MailServer) -> None:
    user_id = own.member()
    lost = (
        "select count(pg_terminate_backend(pid)) from pg_stat_activity"
        " where usename = 'worker' and datname = current_database()"
    )
    with running_worker(**at(own, mail_server)) as process:
        for number in range(3):
            own.enqueue(user_id, f"{number}")
            wait_until(lambda: own.outbox() == [("sent", 1, None)] * (number + 1))  # noqa: B023
            with own.connect() as connection:
                assert connection.execute(lost).fetchone() != (0,)
        wait_until(lambda: process.get("/ready").status_code == 200)
        assert process.end() == 0


def test_a_worker_without_its_database_waits_and_stops(mail_server: MailServer) -> None:
    with running_worker(WORKER_SMTP_PORT=str(mail_server.port)) as process:
        wait_until(lambda: process.logged("worker_interrupted"))
        answer = process.get("/ready")
        assert (answer.status_code, answer.json()["message"]) == (503, "not_ready")
        assert "guildhall_jobs" in process.get("/metrics").text
        assert process.end() == 0
    assert "secret-password" not in process.raw


def test_a_job_of_an_unknown_task_fails_and_is_counted(own: Own, mail_server: MailServer) -> None:
    with own.connect() as connection:
        defer(connection, "from_a_newer_version")
    with running_worker(**at(own, mail_server)) as process:
        wait_until(lambda: own.jobs() == [("from_a_newer_version", "failed", 1, {})])
        assert 'guildhall_queue_jobs{status="failed",task="from_a_newer_version"} 1.0' in process.get("/metrics").text


def test_a_failed_job_gives_way_to_a_waiting_one_of_its_lock(own: Own, mail_server: MailServer) -> None:
    """The library alone would leave it in progress for ever, because the lock allows one waiting job."""
    mail_server.delay = 1.0
    outbox_id = own.enqueue(own.member())
    mail_server.refusals = ["450 4.2.0 not now"]
    with own.connect() as connection:
        connection.execute("update procrastinate.procrastinate_jobs set queueing_lock = 'lock'")
        with running_worker(**at(own, mail_server, WORKER_CONCURRENCY="1")):
            wait_until(lambda: mail_server.recipients or [job for job in own.jobs() if job[1] == "doing"])
            defer(connection, "send_mail", "lock", outbox_id=outbox_id)
            wait_until(lambda: own.outbox() == [("sent", 2, None)])
            wait_until(lambda: own.jobs() == [])


def test_old_jobs_and_expired_data_are_purged(own: Own, mail_server: MailServer) -> None:
    with own.connect() as connection:
        defer(connection, "old")
        connection.execute("update procrastinate.procrastinate_jobs set status = 'failed'")
        connection.execute("update procrastinate.procrastinate_events set at = now() - interval '31 days'")
        defer(connection, "recent")
        connection.execute("update procrastinate.procrastinate_jobs set status = 'failed' where task_name = 'recent'")
        defer(connection, "purge", timestamp=0)
    with running_worker(**at(own, mail_server)) as process:
        wait_until(lambda: process.logged("purged", function="purge__mail", rows=0))
        wait_until(lambda: [job[0] for job in own.jobs()] == ["recent"])


def test_a_stack_made_before_the_worker_gets_its_password(databases: Databases) -> None:
    assert databases.state.passwords["worker"]
    assert msgspec.convert(msgspec.to_builtins(databases.state), State) == databases.state
