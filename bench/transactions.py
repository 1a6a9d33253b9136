"""The SQL that PostgREST makes of a request, recorded from Postgres' log, to run again with and without policies."""

import json
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import msgspec
import psycopg
from psycopg import pq

from bench.stack import BenchStack
from bench.user_search import nodes

WITHOUT_RLS = "bench_without_rls"
"""A role with the privileges of signed-in users and without row level security."""


JSON_OID = 114
PLANNER_SETTINGS = frozenset({"random_page_cost", "plan_cache_mode", "jit"})


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """A request to PostgREST."""

    caller: str
    path: str
    body: dict[str, Any] | None = None
    """For a POST; None for a GET."""
    right: str = ""
    """The caller's right to the rows, in SQL, unless the request's filter implies it."""


class Statement(msgspec.Struct, frozen=True, kw_only=True):
    """One statement as Postgres received it."""

    text: str
    values: tuple[str | None, ...]


class Transaction(msgspec.Struct, frozen=True, kw_only=True):
    """The transaction that PostgREST makes of a request."""

    is_read_only: bool
    opening: tuple[Statement, ...]
    """The statement that sets the role and the claims, and the call of check_request."""
    main: Statement
    right: str

    def without_rls(self) -> "Transaction":
        """The same for the role without row level security, with the caller's right in the filter."""
        settings, *others = self.opening
        assert "authenticated" in settings.values
        values = tuple(WITHOUT_RLS if value == "authenticated" else value for value in settings.values)
        main = self.main
        if self.right:
            text, places = re.subn(r'(WHERE  "public"\.[^$]+\$\d+)', rf"\1 AND ({self.right})", main.text)
            assert places == 1, main.text
            main = Statement(text=text, values=main.values)
        return msgspec.structs.replace(self, opening=(Statement(text=settings.text, values=values), *others), main=main)


class Times(msgspec.Struct, frozen=True, kw_only=True):
    """The times of a transaction, in milliseconds."""

    whole: float
    """The whole transaction, with settings, check and rollback."""
    main: float


class Plans(msgspec.Struct, frozen=True, kw_only=True):
    """What transactions read."""

    buffers: int
    """Pages, with those that functions and triggers read."""
    scanned: dict[str, int]
    """The tables read by a sequential scan, and the rows of each."""
    widest: tuple[int, str]
    """The rows of the plan node that read most, and its title."""


class PlanCounts(msgspec.Struct, frozen=True, kw_only=True):
    """How often Postgres planned a prepared statement for its values, and how often it reused the generic plan.

    Planning costs as much as a short query. A statement that stays on custom plans pays for it at each call.
    """

    generic: int
    custom: int

    @property
    def is_planned_anew(self) -> bool:
        """Whether Postgres gave up on the generic plan: it tries five custom plans first."""
        return self.custom > self.generic + 5

    def __str__(self) -> str:
        return f"{self.generic}/{self.custom}"


@contextmanager
def recorder(stack: BenchStack) -> Iterator["Recorder"]:
    """Make Postgres log what PostgREST sends, and yield the reader of that log."""
    settings = {
        "session_preload_libraries": "auto_explain",
        "auto_explain.log_min_duration": "0",
        "auto_explain.log_format": "json",
        "auto_explain.log_level": "log",
    }
    with psycopg.connect(stack.admin_db_url, autocommit=True) as connection:
        connection.execute(f"create role {WITHOUT_RLS} bypassrls in role authenticated".encode())
        for name, value in settings.items():
            connection.execute(f"alter role authenticator set {name} = '{value}'".encode())
        _reconnect(connection)
        try:
            with httpx.Client(base_url=stack.rest_url, timeout=60, trust_env=False) as http:
                yield Recorder(stack, http)
        finally:
            for name in settings:
                connection.execute(f"alter role authenticator reset {name}".encode())
            _reconnect(connection)


def _reconnect(connection: psycopg.Connection) -> None:
    connection.execute("select pg_terminate_backend(pid) from pg_stat_activity where usename = 'authenticator'")


class Recorder:
    """Sends requests and reads their statements from the log."""

    def __init__(self, stack: BenchStack, http: httpx.Client) -> None:
        """Use `recorder` instead."""
        self._stack = stack
        self._http = http
        self._log = stack.data / "logs" / "postgres.log"

    def record(self, request: Request) -> Transaction:
        """The transaction that PostgREST makes of a request."""
        headers = {"Authorization": f"Bearer {self._stack.user_token(request.caller)}"}
        method = "GET" if request.body is None else "POST"
        for _ in range(50):
            place = self._log.stat().st_size
            answer = self._http.request(method, request.path, json=request.body, headers=headers)
            if answer.is_success:
                break
            if answer.status_code < 500:  # a pool that has lost its connections answers 503 for a moment
                raise AssertionError(f"{method} {request.path}: {answer.text}")
            time.sleep(0.1)
        assert answer.is_success, answer.text
        decoder = json.JSONDecoder()
        with self._log.open("rb") as log:
            log.seek(place)
            pieces = log.read().decode().split("plan:\n")[1:]
        logged = [decoder.raw_decode(piece.lstrip().replace("\n\t", "\n"))[0] for piece in pieces]
        statements = [
            Statement(text=each["Query Text"], values=_values(each.get("Query Parameters", ""))) for each in logged
        ]
        [settings] = [each for each in statements if each.text.startswith("select set_config('search_path'")]
        checks = [each for each in statements if "check_request" in each.text]
        [main] = [each for each in statements if each.text.startswith("WITH pgrst_source")]
        return Transaction(
            is_read_only=request.body is None, opening=(settings, *checks), main=main, right=request.right
        )


def _values(text: str) -> tuple[str | None, ...]:
    """The values in `$1 = 'one', $2 = NULL`."""
    values = [one for _, one in re.findall(r"(?:^|, )\$(\d+) = ('(?:[^']|'')*'|NULL)", text)]
    return tuple(None if value == "NULL" else value[1:-1].replace("''", "'") for value in values)


class Session:
    """A connection like one of PostgREST's, with each statement prepared once."""

    def __init__(self, stack: BenchStack, **settings: str) -> None:
        """Connect with the planner's settings of PostgREST's role, and with these instead where they are given."""
        self._connection = psycopg.connect(stack.admin_db_url, autocommit=True)
        for name, value in {**_role_settings(self._connection), **settings}.items():
            self._connection.execute("select set_config(%s, %s, false)", [name, value])
        self._libpq = self._connection.pgconn
        self._names: dict[str, bytes] = {}

    def run(self, transaction: Transaction) -> Times:
        """Run it and roll it back, so that the next one finds the same rows."""
        for statement in (*transaction.opening, transaction.main):
            self._prepare(statement)
        began = time.perf_counter()
        _checked(self._libpq.exec_(b"begin read only" if transaction.is_read_only else b"begin"))
        for statement in transaction.opening:
            self._execute(statement)
        main_began = time.perf_counter()
        self._execute(transaction.main)
        main_ended = time.perf_counter()
        _checked(self._libpq.exec_(b"rollback"))
        return Times(whole=(time.perf_counter() - began) * 1000, main=(main_ended - main_began) * 1000)

    def _prepare(self, statement: Statement) -> None:
        # With libpq, as PostgREST does: psycopg forgets prepared statements at every rollback.
        if statement.text not in self._names:
            name = f"s{len(self._names)}".encode()
            body = [JSON_OID] if "json_typeof" in statement.text else []
            _checked(self._libpq.prepare(name, statement.text.encode(), body))
            self._names[statement.text] = name

    def _execute(self, statement: Statement) -> None:
        values = [None if value is None else value.encode() for value in statement.values]
        _checked(self._libpq.exec_prepared(self._names[statement.text], values))  # type: ignore[arg-type]  # None is null

    def plan_counts(self, statement: Statement) -> PlanCounts:
        """The plans of a statement that this session has run."""
        row = self._connection.execute(
            "select generic_plans, custom_plans from pg_catalog.pg_prepared_statements where name = %s",
            [self._names[statement.text].decode()],
        ).fetchone()
        assert row is not None
        return PlanCounts(generic=row[0], custom=row[1])

    def explain(self, transactions: list[Transaction]) -> Plans:
        """Run them, and return the worst of their plans and of those within functions."""
        connection = self._connection
        found: list[dict[str, Any]] = []

        def keep(notice: psycopg.errors.Diagnostic) -> None:
            found.append(json.loads((notice.message_primary or "").partition("plan:")[2]))

        connection.execute("load 'auto_explain'")
        for name, value in (
            ("log_min_duration", "0"), ("log_analyze", "on"), ("log_buffers", "on"), ("log_timing", "off"),
            ("log_format", "json"), ("log_nested_statements", "on"), ("log_level", "notice"),
        ):  # fmt: skip
            connection.execute("select set_config(%s, %s, false)", [f"auto_explain.{name}", value])
        connection.add_notice_handler(keep)
        buffers, scanned, widest = [], dict[str, int](), (0, "")
        for transaction in transactions:
            found.clear()
            self.run(transaction)
            for logged in found:
                if logged["Query Text"] == transaction.main.text:
                    plan = logged["Plan"]
                    buffers.append(plan["Shared Hit Blocks"] + plan["Shared Read Blocks"])
                for node in nodes(logged["Plan"]):
                    rows = _rows(node)
                    if node["Node Type"] == "Seq Scan":
                        scanned[node["Relation Name"]] = max(rows, scanned.get(node["Relation Name"], 0))
                    widest = max(widest, (rows * node["Actual Loops"], _title(node)))
        connection.remove_notice_handler(keep)
        connection.execute("set auto_explain.log_min_duration = -1")
        return Plans(buffers=sorted(buffers)[len(buffers) // 2], scanned=scanned, widest=widest)

    def close(self) -> None:
        """Disconnect."""
        self._connection.close()


def _role_settings(connection: psycopg.Connection) -> dict[str, str]:
    """The planner settings of the role `authenticator`, as which PostgREST logs in."""
    row = connection.execute("select rolconfig from pg_catalog.pg_roles where rolname = 'authenticator'").fetchone()
    pairs = (each.partition("=") for each in (row[0] if row else None) or ())
    return {name: value for name, _, value in pairs if name in PLANNER_SETTINGS}


def _checked(result: pq.abc.PGresult) -> None:
    assert result.status in (pq.ExecStatus.COMMAND_OK, pq.ExecStatus.TUPLES_OK), result.error_message


def _rows(node: dict[str, Any]) -> int:
    removed = sum(node.get(f"Rows Removed by {what}", 0) for what in ("Filter", "Index Recheck", "Join Filter"))
    return int(node["Actual Rows"] + removed)


def _title(node: dict[str, Any]) -> str:
    return " ".join(filter(None, (node["Node Type"], node.get("Index Name") or node.get("Relation Name"))))
