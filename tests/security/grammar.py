"""Makes requests to PostgREST from a grammar over the live catalog: most are valid, the others wrong in any place.

Request number n of a seed is the same in every run on the same catalog, whatever came before it.
"""

import json
import random
from collections.abc import Sequence
from typing import Any, TypeVar
from urllib.parse import quote

from tests.security.access_probe import ProbeDatabase, as_text
from tests.security.schema import Function, Table
from tests.security.wire import Request

PEOPLE = ("anon", "student", "stranger", "creator", "rival", "suspended", "moderator")
"""The callers: nobody, two students, two teachers, a suspended student who may only read, and a moderator."""
CAREFUL_SHARE = 0.6
"""The share of requests in which nothing is wrong on purpose."""
SLIP_SHARE = 0.12
"""The share of places of the other requests where something is wrong."""
DEEPEST = 3

Choices = Sequence[str]

ACCEPTS = (
    "application/json",
    "application/vnd.pgrst.object+json",
    "application/vnd.pgrst.object+json;nulls=stripped",
    "application/vnd.pgrst.array+json;nulls=stripped",
    "text/csv",
    "*/*",
)
WRONG_ACCEPTS = (
    "application/geo+json",
    "application/openapi+json",
    "application/octet-stream",
    "text/xml",
    "text/html",
    "application/vnd.pgrst.plan+json",
    'application/vnd.pgrst.plan+text; for="application/json"; options=analyze|verbose|settings|buffers|wal',
    "nonsense",
    "",
)
PREFERENCES = (
    "count=exact",
    "count=planned",
    "count=estimated",
    "return=representation",
    "return=minimal",
    "return=headers-only",
    "resolution=merge-duplicates",
    "resolution=ignore-duplicates",
    "missing=default",
    "handling=lenient",
    "tx=commit",
    "tx=rollback",
    "timezone=America/New_York",
)
WRONG_PREFERENCES = (
    "handling=strict",
    "params=single-object",
    "params=multiple-objects",
    "max-affected=1",
    "timezone=Nowhere/At_All",
    "count=",
    "nonsense=1",
)
RANGES = ("0-1", "0-0", "1-", "0-999")
WRONG_RANGES = ("5-2", "0-999999999999", "-1", "a-b", "items=0-1", "")
TEXTS = ("x", "clay", "Title", "a,b", "(a)", "it's", '"quoted, value"', "é", "\U0001f600", "x" * 200)
WRONG_TEXTS = (
    "",
    "null",
    "*",
    "%",
    "back\\slash",
    "line\nbreak",
    "\0",
    "\u0001",
    "\u202e",
    "; drop table courses",
    "' or '1'='1",
    "{a,b}",
    "{",
    "[1,2)",
    "<script>alert(1)</script>",
    "../../etc/passwd",
    "${jndi:ldap://x}",
    "x" * 3000,
)
PATTERNS = ("*a*", "Title*", "^[A-Z]", "a|b|c", "[[:alpha:]]+", "o.*n")
WRONG_PATTERNS = ("(", "[a", "a{1,", "(a+)+$", "*", "\\", "(?=a)", "***=a", "\\m\\M", "(a)\\1", "a{1000}", "x" * 2000)
NUMBERS = ("0", "1", "2", "5", "100")
WRONG_NUMBERS = ("-1", "2147483648", "9223372036854775808", "1e400", "1.5", "NaN", "Infinity", "1e9", "0x10", "٣", "")
INSTANTS = ("now", "2026-01-01", "infinity", "epoch", "yesterday", "2030-01-01T00:00:00Z")
WRONG_INSTANTS = ("2026-13-45", "-infinity", "294277-01-01", "25:00", "0000-00-00", "x")
SEARCHED = ("clay", "pinch & pots", '"pinch pots"', "clay or kiln", "-clay")
WRONG_SEARCHED = ("a | !", ":*", "a <-> ", "(", "", "&")
CASTS = ("text", "date", "jsonb")
WRONG_CASTS = ("int", "bytea", "uuid[]", "regclass", "public.app_role", "nonsense", "text;select")
AGGREGATES = ("count()", "sum()", "avg()", "max()", "min()")
PATHS = ("->a", "->>a", "->0", "->>0", "->a->b->>c")
WRONG_PATHS = ("->>'a'", "->-1", "->>", "->999999999999", "->a->>é")
WRONG_NAMES = ("nothing", "tableoid", "ctid", "xmin", "oid", "*", "pg_sleep", 'a"b', "a.b", "", "1", "é", "a b")
SCHEMAS = ("private", "auth", "storage", "procrastinate", "pg_catalog", "information_schema", "PUBLIC")
WRONG_KINDS = ("text/plain", "text/xml", "application/octet-stream", "nonsense", "")
WRONG_BODIES = (b"", b"{", b"[1,2]", b"null", b'"x"', b"[" * 500, b"a,b\n1", b"a=1&a=2&=", b"\0", b"[{}]", b"\xff\xfe")
WRONG_CONDITIONS = (
    "eq",
    ".eq.1",
    "eq.",
    "nonsense.1",
    "eq.1.2",
    "",
    "not.not.eq.1",
    "eq(any).1",
    "in.1",
    "is.x",
    "in.()",
)

Choice = TypeVar("Choice")


class Grammar:
    """Makes requests."""

    def __init__(self, target: ProbeDatabase, seed: int) -> None:
        """Args: target: the database whose catalog is used; seed: of the random choices."""
        self._seed = seed
        self._tokens = target.tokens
        self._tables = list(target.tables.values())
        self._by_name = target.tables
        self._functions = list(target.functions.values())
        self._labels = target.labels
        self._random = random.Random()
        self._is_careful = True
        self._links: dict[str, list[tuple[str, str]]] = {table.name: [] for table in self._tables}
        """By table: each table that can be embedded in it, with the constraint that joins them."""
        for table in self._tables:
            for key in table.foreign_keys:
                self._links[table.name].append((key.table, key.name))
                self._links[key.table].append((table.name, key.name))

    def request(self, number: int) -> tuple[str, Request]:
        """Request number n: the caller and the request."""
        self._random = random.Random(f"{self._seed}:{number}")
        self._is_careful = self._likely(CAREFUL_SHARE)
        person = self._one(PEOPLE)
        make = self._one((*(self._read,) * 12, *(self._write,) * 5, self._call, self._call, self._call_by_get))
        request = make()
        headers = dict(request.headers)
        if self._tokens[person]:
            headers["Authorization"] = f"Bearer {self._tokens[person]}"
        return person, Request(method=request.method, target=request.target, headers=headers, body=request.body)

    # Whole requests

    def _read(self) -> Request:
        table = self._one(self._tables)
        method = "HEAD" if self._likely(0.01) else "GET"
        return Request(method=method, target=self._target(table.name, self._reading(table)), headers=self._headers())

    def _write(self) -> Request:
        method = self._one(("POST", "POST", "PATCH", "PATCH", "DELETE", "PUT"))
        open_ones = [table for table in self._tables if (table.updatable if method == "PATCH" else table.insertable)]
        table = self._one(open_ones if open_ones and self._likely(0.7) else self._tables)
        query: list[tuple[str, str]] = []
        like: dict[str, Any] = {}
        if method == "PUT" and table.rows:
            like = self._one(table.rows)
            query = list(table.same(like).items())
        elif method != "POST" and self._likely(0.9):
            query = self._filters(table)
        if self._likely(0.2):
            query.append(("select", self._field(table)))
        if method == "POST" and table.keys and self._likely(0.3):
            query.append(("on_conflict", ",".join(self._one(list(table.keys.values())))))
        if self._slips(0.3):
            query.append((self._one(("columns", "on_conflict")), ",".join(self._some(list(table.types)))))
        kind, body = self._body(table, like) if method != "DELETE" or self._slips() else ("", None)
        headers = self._headers("Content-Profile") | ({"Content-Type": kind} if kind else {})
        return Request(method=method, target=self._target(table.name, query), headers=headers, body=body)

    def _call(self) -> Request:
        function = self._one(self._functions)
        arguments: Any = self._arguments(function)
        if self._slips():
            arguments[self._one(WRONG_NAMES)] = self._json(2)
        if self._slips():
            arguments = self._one(([arguments], [arguments] * 2, list(arguments.values()), None, "x", 7))
        query = self._reading(self._shown(function)) if self._likely(0.2) else []
        kind, body = "application/json", json.dumps(arguments).encode()
        if self._slips():
            kind, body = self._garbage()
        headers = self._headers("Content-Profile") | {"Content-Type": kind}
        return Request(method="POST", target=self._target(f"rpc/{function.name}", query), headers=headers, body=body)

    def _call_by_get(self) -> Request:
        function = self._one([each for each in self._functions if not each.is_volatile] or self._functions)
        if self._slips(0.5):
            function = self._one(self._functions)
        query = [(name, as_text(value)) for name, value in self._arguments(function).items()]
        if self._likely(0.3):
            query += self._reading(self._shown(function))
        if self._slips():
            query.append((self._one(WRONG_NAMES), self._one(WRONG_TEXTS)))
        return Request(method="GET", target=self._target(f"rpc/{function.name}", query), headers=self._headers())

    def _shown(self, function: Function) -> Table:
        return self._by_name[function.shows] if function.shows else self._one(self._tables)

    # Queries

    def _reading(self, table: Table) -> list[tuple[str, str]]:
        query: list[tuple[str, str]] = []
        embedded: list[str] = []
        if self._likely(0.75):
            query.append(("select", self._select(table, embedded, 0)))
        if self._likely(0.6):
            query += self._filters(table)
        if self._likely(0.35):
            query.append(("order", self._order(table)))
        if self._likely(0.25):
            query.append(("limit", self._pick(NUMBERS, WRONG_NUMBERS)))
        if self._likely(0.1):
            query.append(("offset", self._pick(("0", "1"), WRONG_NUMBERS)))
        for name in embedded:
            if self._likely(0.4) or self._slips():
                query.append(self._one((self._filters(self._by_name[name], f"{name}."), [(f"{name}.limit", "1")]))[0])
        if self._slips():
            query.append((self._one(("select", "order", "limit", "columns", "or", "and")), self._one(WRONG_TEXTS)))
        return query

    def _select(self, table: Table, embedded: list[str], depth: int) -> str:
        """A select list; adds the names of the tables it embeds to `embedded`."""
        items: dict[str, str] = {}
        for _ in range(self._random.randint(1, 4)):
            kind = self._random.random()
            if kind < 0.15:
                items["*"] = "*"
            elif kind < 0.6 or not self._links[table.name] or depth == DEEPEST:
                field = self._field(table)
                items[field.partition("->")[0].partition(":")[0]] = field
            else:
                name, hint = self._one(self._links[table.name])
                if name not in items or self._slips():
                    items[name] = self._embed(name, hint, depth)
                    embedded += [name] if depth == 0 else []
        if self._slips():
            items["wrong"] = self._one(
                (*AGGREGATES, f"{self._column(table)}.{self._one(AGGREGATES)}", "()", ",", "a:b:c")
            )
        return ",".join(items.values())

    def _field(self, table: Table) -> str:
        column = self._column(table)
        if (table.types.get(column) in {"jsonb", "json"} and self._likely(0.5)) or self._slips():
            column += self._pick(PATHS, WRONG_PATHS)
        if self._likely(0.1):
            column = f"{self._pick(('a', 'b', 'c'), WRONG_NAMES)}:{column}"
        if self._likely(0.1) and table.types.get(column) not in {"json", "jsonb", "boolean", "uuid"}:
            column += f"::{self._pick(CASTS[:1], (*CASTS, *WRONG_CASTS))}"
        return column

    def _embed(self, name: str, hint: str, depth: int) -> str:
        if self._slips():
            name, hint = self._one(self._tables).name, self._one((hint, *WRONG_NAMES))
        text = f"{name}!{hint}"
        if self._likely(0.3):
            text += self._pick(("!inner", "!left"), ("!outer", "!inner!inner", "!"))
        spread = "..." if self._slips(0.3) else ""
        inside = self._select(self._by_name[name], [], depth + 1)
        return f"{spread}{text}({'' if self._slips() else inside})"

    def _order(self, table: Table) -> str:
        terms = []
        for _ in range(self._random.randint(1, 2)):
            term = self._column(table)
            if self._links[table.name] and self._slips(0.3):
                name = self._one(self._links[table.name])[0]
                term = f"{name}({self._column(self._by_name[name])})"
            terms.append(
                term + self._pick(("", ".asc", ".desc", ".desc.nullslast", ".asc.nullsfirst"), (".sideways", "."))
            )
        return ",".join(terms)

    def _filters(self, table: Table, prefix: str = "") -> list[tuple[str, str]]:
        found = []
        for _ in range(self._random.randint(1, 2)):
            if self._likely(0.25):
                found.append((prefix + self._one(("or", "and", "not.or", "not.and")), self._logic(table, 0)))
            else:
                column = self._column(table)
                found.append((prefix + column, self._condition(table, column, quoted=False)))
        return found

    def _logic(self, table: Table, depth: int) -> str:
        parts = []
        for _ in range(self._random.randint(1, 3)):
            if depth < DEEPEST and self._likely(0.2):
                parts.append(f"{self._one(('and', 'or', 'not.and', 'not.or'))}{self._logic(table, depth + 1)}")
            else:
                column = self._column(table)
                parts.append(f"{column}.{self._condition(table, column, quoted=True)}")
        text = ",".join(parts)
        return self._pick((f"({text})",), (f"({text}", text, "()", f"(({text}))", f"({text},)"))

    def _condition(self, table: Table, column: str, *, quoted: bool) -> str:  # noqa: PLR0911 (a grammar)
        """An operator that the column's type has, and a value to compare with."""
        kind = table.types.get(column, "text")
        if self._slips():
            return self._one(WRONG_CONDITIONS)
        if self._slips():
            kind = self._one(("text", "integer", "tsvector", "text[]", "uuid", "boolean", "tstzrange"))

        def value() -> str:
            text = as_text(self._value(table, column, kind))
            return json.dumps(text, ensure_ascii=False) if quoted else text

        negated = "not." if self._likely(0.15) else ""
        if kind == "tsvector":
            operator = self._one(("fts", "plfts", "phfts", "wfts")) + self._pick(("", "(simple)"), ("(klingon)", "()"))
            return f"{negated}{operator}.{self._pick(SEARCHED[:1] if operator[0] == 'f' else SEARCHED, WRONG_SEARCHED)}"
        if kind == "jsonb" or kind.endswith(("[]", "range")):
            operators = ("sl", "sr", "nxr", "nxl", "adj", "ov", "cs", "cd") if kind.endswith("range") else ("cs", "cd")
            return f"{negated}{self._one(operators)}.{value()}"
        family = self._random.random()
        if family < 0.1:
            return f"{negated}is.null"
        if family < 0.2:
            return f"{negated}in.({','.join(value() for _ in range(self._random.randint(1, 4)))})"
        if family < 0.4 and kind in {"text", "extensions.citext"}:
            return f"{negated}{self._one(('like', 'ilike', 'match', 'imatch'))}.{self._pick(PATTERNS, WRONG_PATTERNS)}"
        operator = self._one(("eq", "neq", "gt", "gte", "lt", "lte", "isdistinct"))
        if family < 0.5 and operator != "isdistinct":
            several = as_text([self._value(table, column, kind) for _ in range(self._random.randint(1, 3))])
            return f"{negated}{operator}({self._one(('any', 'all'))}).{json.dumps(several) if quoted else several}"
        return f"{negated}{operator}.{value()}"

    # Values

    def _value(self, table: Table, column: str, kind: str) -> Any:
        known = [row[column] for row in table.rows if row.get(column) is not None] if column in table.types else []
        return self._one(known) if known and self._likely(0.6) else self._of_type(kind)

    def _of_type(self, kind: str) -> Any:  # noqa: PLR0911 (a table)
        if self._slips():
            return self._one((*WRONG_TEXTS, *WRONG_NUMBERS, *WRONG_INSTANTS))
        bare = kind.removesuffix("[]").removeprefix("_").rpartition(".")[2]
        if bare != kind.rpartition(".")[2]:
            return [self._of_type(bare) for _ in range(self._random.randint(0, 3))]
        match bare:
            case "uuid":
                ids = [row["id"] for row in self._one(self._tables).rows if isinstance(row.get("id"), str)]
                return self._one(ids) if ids else "00000000-0000-4000-8000-000000000000"
            case "smallint" | "integer" | "bigint" | "numeric" | "int2" | "int4" | "int8" | "float8":
                return int(self._one(NUMBERS))
            case "boolean" | "bool":
                return self._likely(0.5)
            case "jsonb" | "json":
                return self._json(0)
            case "date" | "timestamptz" | "timestamp with time zone":
                return self._one(INSTANTS)
            case "tstzrange" | "daterange":
                return "[2026-01-01,2030-01-01)"
            case _ if bare in self._labels:
                return self._one(self._labels[bare])
        return self._one(TEXTS)

    def _json(self, depth: int) -> Any:
        kind = self._random.random()
        if depth == DEEPEST or kind < 0.4:
            return self._one((None, True, 0, -1.5, "", "x", "\U0001f600", [], {}))
        if self._slips():
            return self._one((10**30, "\0", "a" * 3000, "\ud800", {"__proto__": {}}))
        inner = [self._json(depth + 1) for _ in range(self._random.randint(0, 3))]
        return inner if kind < 0.6 else {self._one(("id", "text", "a", "role")): value for value in inner}

    def _arguments(self, function: Function) -> dict[str, Any]:
        """The required arguments of a call, and some of the optional ones."""
        names = [] if self._slips(0.05) else function.arguments[: function.required_count]
        names = names + [name for name in function.arguments[function.required_count :] if self._likely(0.3)]
        return {name: self._argument(name, function.types[name]) for name in names}

    def _argument(self, name: str, kind: str) -> Any:
        known = [row[name] for table in self._tables for row in table.rows if row.get(name) is not None]
        return self._one(known) if known and self._likely(0.7) else self._of_type(kind)

    def _body(self, table: Table, replaced: dict[str, Any]) -> tuple[str, bytes]:
        """A content type and body; of a row that replaces another where one is given."""
        if self._slips():
            return self._garbage()
        if replaced:
            rows = [{**self._row(table), **{name: replaced[name] for name in table.primary_key}}]
        else:
            rows = [self._row(table) for _ in range(self._one((1, 1, 1, 2, 3)))]
        names = list(rows[0])
        kind = self._random.random()
        if kind < 0.1:
            lines = [names, *([as_text(row.get(name)) for name in names] for row in rows)]
            written = "\n".join(",".join(json.dumps(cell, ensure_ascii=False) for cell in line) for line in lines)
            return "text/csv", written.encode("utf-8", "surrogatepass")
        if kind < 0.17:
            pairs = (f"{_escaped(name)}={_escaped(as_text(value))}" for name, value in rows[0].items())
            return "application/x-www-form-urlencoded", "&".join(pairs).encode()
        content: Any = rows[0] if len(rows) == 1 else [{name: row.get(name) for name in names} for row in rows]
        return "application/json", json.dumps(content).encode()

    def _row(self, table: Table) -> dict[str, Any]:
        """A row, mostly of columns that a client may write."""
        names = table.insertable if table.insertable and not self._slips() else list(table.types)
        like = self._one(table.rows) if table.rows else {}
        row = {
            name: like.get(name) if self._likely(0.5) else self._of_type(table.types[name])
            for name in self._some(names)
        }
        for key in table.foreign_keys:
            if self._by_name[key.table].rows:
                target = self._one(self._by_name[key.table].rows)
                row |= {here: target[there] for here, there in key.columns.items() if here in table.insertable}
        if self._slips():
            row[self._one(WRONG_NAMES)] = self._json(1)
        return row

    def _garbage(self) -> tuple[str, bytes]:
        kinds = ("application/json", "text/csv", "application/x-www-form-urlencoded", *WRONG_KINDS)
        return self._one(kinds), self._one(WRONG_BODIES)

    # Headers and target

    def _headers(self, schema: str = "Accept-Profile") -> dict[str, str]:
        headers: dict[str, str] = {}
        if self._likely(0.2):
            headers["Accept"] = self._pick(ACCEPTS, WRONG_ACCEPTS)
        if self._likely(0.5):
            chosen = self._some(PREFERENCES + (() if self._is_careful else WRONG_PREFERENCES), most=3)
            headers["Prefer"] = self._one((", ", ",")).join(chosen)
        if self._likely(0.05):
            headers["Range"] = self._pick(RANGES, WRONG_RANGES)
            headers["Range-Unit"] = self._pick(("items",), ("bytes", ""))
        if self._slips():
            headers[schema] = self._one(SCHEMAS)
        if self._slips():
            headers["X-HTTP-Method-Override"] = "DELETE"
        return headers

    def _target(self, name: str, query: list[tuple[str, str]]) -> str:
        if self._slips():
            changed = (
                name.upper(),
                f"{name}/",
                f"{name}/1",
                f"private.{name}",
                f"../{name}",
                "rpc",
                "rpc/now",
                "%00",
                "é",
            )
            name = self._one(changed)
        if self._slips():
            self._random.shuffle(query)
        if self._slips():
            pairs = "&".join(f"{_without_ends(key)}={_without_ends(value)}" for key, value in query)
        else:
            # Clients leave the characters of PostgREST's query language unescaped.
            pairs = "&".join(f"{_escaped(key)}={_escaped(value, '*()!:,.>-')}" for key, value in query)
        return f"/{name}?{pairs}" if pairs else f"/{name}"

    def _column(self, table: Table) -> str:
        return self._pick(list(table.types), WRONG_NAMES, share=0.04)

    # Chance

    def _likely(self, share: float) -> bool:
        return self._random.random() < share

    def _slips(self, share: float = SLIP_SHARE) -> bool:
        """Whether to write something wrong in this place."""
        return not self._is_careful and self._likely(share)

    def _one(self, choices: Sequence[Choice]) -> Choice:
        return choices[int(self._random.random() * len(choices))]

    def _pick(self, right: Choices, wrong: Choices, *, share: float = SLIP_SHARE) -> str:
        return self._one(wrong if self._slips(share) else right)

    def _some(self, choices: Sequence[Choice], most: int = 8) -> list[Choice]:
        return self._random.sample(choices, min(len(choices), self._random.randint(1, most)))


def _escaped(text: str, safe: str = "") -> str:
    return quote(text, safe, errors="surrogatepass")


def _without_ends(text: str) -> str:
    """The text without the characters that would end the request line."""
    return "".join(letter for letter in text if letter not in "\0\r\n \t#\ud800") or "x"
