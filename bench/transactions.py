"""What PostgREST sends to Postgres for a request, taken from the log, to be run again with and without policies."""

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
"""A role that may do what signed-in users may, and whom no policy filters."""


JSON_OID = 114


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """A request to PostgREST."""

    caller: str
    path: str
    body: dict[str, Any] | None = None
    """For a POST; None for a GET."""
    right: str = ""
    """What the caller's right to it would be in SQL, where the filter of the request does not say it already."""


class Statement(msgspec.Struct, frozen=True, kw_only=True):
    """One statement as it came to Postgres."""

    text: str
    values: tuple[str | None, ...]


class Transaction(msgspec.Struct, frozen=True, kw_only=True):
    """What a request became."""

    is_read_only: bool
    opening: tuple[Statement, ...]
    """Settings, and the check before each request."""
    main: Statement
    right: str

    def without_rls(self) -> "Transaction":
        """The same for the role that no policy filters, with what the policies would have asked for in the filter."""
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
    """Milliseconds."""

    whole: float
    """The transaction with its settings, its check and its end."""
    main: float


class Plans(msgspec.Struct, frozen=True, kw_only=True):
    """What one transaction read."""

    buffers: int
    """Pages, those that functions and triggers touched with them."""
    scanned: dict[str, int]
    """The tables read from end to end, and how many rows each has."""
    widest: tuple[int, str]
    """The node of a plan that read most rows, and how many."""


@contextmanager
def recorder(stack: BenchStack) -> Iterator["Recorder"]:
    """Have the log tell what PostgREST sends, as long as it lasts."""
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
    """Sends requests and reads in the log what became of them."""

    def __init__(self, stack: BenchStack, http: httpx.Client) -> None:
        """Only `recorder` makes one."""
        self._stack = stack
        self._http = http
        self._log = stack.data / "logs" / "postgres.log"

    def record(self, request: Request) -> Transaction:
        """What PostgREST sends for a request."""
        headers = {"Authorization": f"Bearer {self._stack.user_token(request.caller)}"}
        method = "GET" if request.body is None else "POST"
        for _ in range(50):
            place = self._log.stat().st_size
            answer = self._http.request(method, request.path, json=request.body, headers=headers)
            if answer.is_success:
                break
            if answer.status_code < 500:  # a pool that lost its connections answers 503, for a moment
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
    """A connection that stands as PostgREST's does, with each statement prepared once."""

    def __init__(self, stack: BenchStack) -> None:
        """Connect."""
        self._connection = psycopg.connect(stack.admin_db_url, autocommit=True)
        self._libpq = self._connection.pgconn
        self._names: dict[str, bytes] = {}

    def run(self, transaction: Transaction) -> Times:
        """Run it and take it back, so that the next finds what this one found."""
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
        # By libpq itself, as PostgREST does: psycopg forgets what is prepared with every rollback.
        if statement.text not in self._names:
            name = f"s{len(self._names)}".encode()
            body = [JSON_OID] if "json_typeof" in statement.text else []
            _checked(self._libpq.prepare(name, statement.text.encode(), body))
            self._names[statement.text] = name

    def _execute(self, statement: Statement) -> None:
        values = [None if value is None else value.encode() for value in statement.values]
        _checked(self._libpq.exec_prepared(self._names[statement.text], values))  # type: ignore[arg-type]  # None is null

    def explain(self, transactions: list[Transaction]) -> Plans:
        """Run them, and look at their plans and those within their functions; the worst of each."""
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


def _checked(result: pq.abc.PGresult) -> None:
    assert result.status in (pq.ExecStatus.COMMAND_OK, pq.ExecStatus.TUPLES_OK), result.error_message


def _rows(node: dict[str, Any]) -> int:
    removed = sum(node.get(f"Rows Removed by {what}", 0) for what in ("Filter", "Index Recheck", "Join Filter"))
    return int(node["Actual Rows"] + removed)


def _title(node: dict[str, Any]) -> str:
    return " ".join(filter(None, (node["Node Type"], node.get("Index Name") or node.get("Relation Name"))))
