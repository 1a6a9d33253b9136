"""User search among a million people: the time of each kind of query in the database, and what it reads.

`python -m bench.user_search`
"""

import itertools
import json
import random
import statistics
import time
from collections.abc import Callable, Iterator
from typing import Any

import msgspec
import psycopg
from psycopg import sql

from bench.stack import BenchStack, running

USERS = 1_000_000
QUERIES_OF_A_KIND = 60
WRITES = 200
TARGET_MS = 20.0
"""Milliseconds for 95 of 100 queries."""
MOST_ROWS_SCANNED = 1_000
"""Rows of a table that a sequential scan may read."""
SEED = 20261123

FIRST = """
    Maria Anna José Mohammed Wei Fatima James John Robert Michael David Linda Elena Sofia Olga Ivan Dmitri Yusuf
    Aisha Omar Ahmed Priya Rahul Amara Chidi Ngozi Kwame Kofi Ines João Tiago Beatriz Lucía Carlos Juan Luis Ana
    Carmen Zoë Chloé Léa Noémie François Jürgen Björn Søren Åsa Øyvind Łukasz Zbigniew Katarzyna Małgorzata
    Piotr Jan Tomáš Jiří Zuzana Jonathan Katherine Elizabeth Alexander Christopher Thomas Daniel Sarah Emma
    Olivia Liam Noah Lucas Hannah Leah
""".split()  # noqa: SIM905  a word a line would be pages
LAST = """
    Smith Johnson Williams Brown García Rodríguez Martínez López Müller Schmidt Weiß Großmann Nguyen Tran Kim
    Lee Park Chen Wang Li Singh Kumar Sharma Patel Okafor Adeyemi Mensah Silva Santos Carvalho Ferreira Rossi
    Bianchi Dubois Lefèvre Ivanova Petrov Novák Dvořák Kowalski Wiśniewski Zieliński Nowak Andersson Jørgensen
    Ødegaard Haddad Rahman Hussein Yilmaz Öztürk Demir O'Brien O'Connor MacDonald Fernández Hernández González
    Pérez Sánchez Ramírez
""".split()  # noqa: SIM905  a word a line would be pages
SYLLABLES = """
    ba be bi bo bu ka ke ki ko ku la le li lo lu ma me mi mo mu na ne ni no nu ra re ri ro ru sa se si so su ta
    te ti to tu va vi za zo cha sho den ber man stein ova ski dor gar hel mar ton wick ford
""".split()  # noqa: SIM905  a word a line would be pages
PATTERNS = (
    "{0}{1}",
    "{0}_{1}",
    "{0}-{1}",
    "{0}.{1}",
    "{1}{0}",
    "{0}{1}{2}",
    "{0}_{2}",
    "{3}{2}",
    "{3}_{4}",
    "{3}{4}{2}",
)


class Query(msgspec.Struct, frozen=True, kw_only=True):
    """A query, and the name, word or handle that it looks for; None if it looks for nobody in particular."""

    typed: str
    meant: str | None = None

    def is_met(self, found: list[tuple[str, str]]) -> bool:
        """Whether a handle and name found belong to the intended person."""
        return self.meant is not None and any(
            self.meant == handle or set(self.meant.split()) <= set(name.split()) for handle, name in found
        )


def measure(stack: BenchStack) -> None:
    """Load, query and print."""
    dice = random.Random(SEED)
    started = time.perf_counter()
    with psycopg.connect(stack.admin_db_url, autocommit=True) as connection:
        people = fill(connection, dice)
        print(f"user search, {USERS:,} people, loaded in {time.perf_counter() - started:.0f} s")
        for table in ("search_terms", "search_words"):
            row = connection.execute(
                sql.SQL("select count(*), pg_size_pretty(pg_total_relation_size({})) from {}").format(
                    f"private.{table}", sql.Identifier("private", table)
                )
            ).fetchone()
            assert row is not None
            print(f"  private.{table:<14} {row[0]:>10,} rows, {row[1]} with indexes")
        queries = {kind: [*itertools.islice(made, QUERIES_OF_A_KIND)] for kind, made in kinds(people, dice).items()}
        person = people[0][0]
    time_queries(stack, person, queries)
    check_plans(stack, person, queries)
    time_writes(stack, people)


def fill(connection: psycopg.Connection, dice: random.Random) -> list[tuple[str, str, str]]:
    """Make the people, and return id, handle and name of some."""
    connection.execute("set session_replication_role = replica")  # with triggers this would take an hour
    connection.execute("create temporary table people (id uuid, handle text, display_name text, is_public boolean)")
    firsts = FIRST + [word(dice) for _ in range(20_000)]
    lasts = LAST + [word(dice) for _ in range(80_000)]
    with connection.cursor().copy("copy people from stdin") as copy:
        for _ in range(USERS):
            copy.write_row(one(dice, firsts, lasts))
    connection.execute("delete from people as p using people as q where p.handle = q.handle and p.id > q.id")
    connection.execute("""
        insert into public.accounts (user_id, status)
        select id, case when random() < 0.005 then 'banned' else 'active' end::public.account_status from people
    """)
    connection.execute("""
        insert into public.profiles (id, handle, display_name, is_public)
        select id, handle, display_name, is_public from people
    """)
    definition = connection.execute("select pg_get_indexdef('private.search_words_spellings_idx'::regclass)").fetchone()
    assert definition is not None
    connection.execute("drop index private.search_words_spellings_idx")
    connection.execute("select private.rebuild_user_search()")
    connection.execute(definition[0])
    connection.execute("vacuum analyze public.profiles, public.accounts, private.search_terms, private.search_words")
    connection.execute("set session_replication_role = origin")
    return connection.execute(
        "select id::text, handle, display_name from people where is_public order by random() limit 5000"
    ).fetchall()


def one(dice: random.Random, firsts: list[str], lasts: list[str]) -> tuple[str, str, str, bool]:
    """One person's row. Half of the names are common ones, and a few of these are very common."""
    first, last, middle = (
        dice.choice(names) if dice.random() < 0.5 else names[min(int(dice.paretovariate(0.6)) - 1, common - 1)]
        for names, common in ((firsts, len(FIRST)), (lasts, len(LAST)), (firsts, len(FIRST)))
    )
    words = {0: [first], 1: [first, middle, last], 2: [first, last, middle]}.get(dice.randrange(14), [first, last])
    parts = ["".join(filter(str.isascii, text)).lower().replace("'", "") or "x" for text in (first, last)]
    handle = dice.choice(PATTERNS).format(
        *parts, dice.randrange(10_000), word(dice).lower(), word(dice).lower()
    ).replace(".", "")  # fmt: skip
    identity = f"{dice.getrandbits(128):032x}"
    if dice.random() < 0.3 or len(handle) < 2:
        handle = f"member-{identity[:16]}"
    return identity, handle[:30], " ".join(words), dice.random() < 0.95


def word(dice: random.Random) -> str:
    """A word that sounds like a name."""
    return "".join(dice.choices(SYLLABLES, k=dice.choice((2, 2, 3, 3, 4)))).capitalize()


def kinds(people: list[tuple[str, str, str]], dice: random.Random) -> dict[str, Iterator[Query]]:
    """Endless queries of each kind."""

    def some() -> Iterator[tuple[str, str, str]]:
        while True:
            yield dice.choice(people)

    def of_name(typed: Callable[[str], str]) -> Iterator[Query]:
        return (Query(typed=typed(name), meant=name) for _, _, name in some())

    def of_word(typed: Callable[[str], str]) -> Iterator[Query]:
        return (Query(typed=typed(part), meant=part) for part in (dice.choice(name.split()) for _, _, name in some()))

    def of_common(typed: Callable[[str], str]) -> Iterator[Query]:
        return (Query(typed=typed(part), meant=part) for part in (dice.choice(FIRST + LAST) for _ in some()))

    def of_handle(typed: Callable[[str], str]) -> Iterator[Query]:
        return (Query(typed=typed(handle), meant=handle) for _, handle, _ in some() if not handle.startswith("member-"))

    def of_nothing(typed: Callable[[], str]) -> Iterator[Query]:
        return (Query(typed=typed()) for _ in some())

    def slipped(text: str) -> str:
        return slip(text, dice)

    letters = "abcdefghijklmnopqrstuvwxyz"
    return {
        "one letter": of_nothing(lambda: dice.choice(letters)),
        "two or three letters": (Query(typed=name[: dice.choice((2, 3))]) for _, _, name in some()),
        "common word": of_common(str),
        "any word of a name": of_word(str),
        "unfinished word": (Query(typed=name.split()[-1][:-2]) for _, _, name in some()),
        "whole name": of_name(str),
        "name as it is typed": (Query(typed=name[: dice.randrange(3, len(name) + 3)]) for _, _, name in some()),
        "words turned": of_name(lambda name: " ".join(reversed(name.split()))),
        "common words that do not meet": of_nothing(
            lambda: " ".join((dice.choice(FIRST), dice.choice(FIRST), dice.choice(LAST)))
        ),
        "word with a slip": of_word(slipped),
        "common word with a slip": of_common(slipped),
        "name with a slip in each word": of_name(lambda name: " ".join(map(slipped, name.split()))),
        "without accents": of_name(lambda name: name.translate(str.maketrans("éíñüøåžóáç", "einuoazoac"))),
        "handle": of_handle(str),
        "@ and some of a handle": of_handle(lambda handle: f"@{handle[: dice.randrange(1, len(handle))]}"),
        "handle with a slip": of_handle(slipped),
        "nonsense": of_nothing(lambda: "".join(dice.choices(letters, k=dice.randrange(4, 20)))),
        "much nonsense": of_nothing(lambda: " ".join("".join(dice.choices(letters, k=6)) for _ in range(30))),
        "signs": of_nothing(lambda: "".join(dice.choices("%_\\'*()[]@.-+ é漢🙂", k=8))),
    }


def slip(text: str, dice: random.Random) -> str:
    """The text with one typing error: a letter missing, doubled, wrong, or swapped with the next."""
    place = dice.randrange(max(1, len(text) - 1))
    before, letter, after = text[:place], text[place], text[place + 1 :]
    return dice.choice(
        (
            before + after,
            before + letter * 2 + after,
            before + dice.choice("aeiorstn") + after,
            before + after[:1] + letter + after[1:],
        )
    )


def member(stack: BenchStack, person: str) -> psycopg.Connection:
    """A connection like PostgREST's for a signed-in person."""
    connection = psycopg.connect(stack.admin_db_url, autocommit=True)
    connection.execute("select set_config('request.jwt.claims', %s, false)", [json.dumps({"sub": person})])
    connection.execute("set role authenticated")
    return connection


def search(connection: psycopg.Connection, query: Query) -> list[tuple[str, str]]:
    """Search as a client does; returns handle and name of those found."""
    return connection.execute("select handle, display_name from public.search_users(%s)", [query.typed]).fetchall()


def time_queries(stack: BenchStack, person: str, queries: dict[str, list[Query]]) -> None:
    """Print the times of each kind of query over one connection, and how many found the intended person."""
    order = [(kind, query) for kind, some in queries.items() for query in some]
    random.Random(SEED).shuffle(order)
    taken: dict[str, list[float]] = {kind: [] for kind in queries}
    met = dict.fromkeys(queries, 0)
    with member(stack, person) as connection:
        for kind, query in order:
            started = time.perf_counter()
            found = search(connection, query)
            taken[kind].append((time.perf_counter() - started) * 1000)
            met[kind] += query.is_met(found)
    print(f"  {'milliseconds':<32}{'p50':>8}{'p95':>8}{'p99':>8}{'max':>8}   found who is meant")
    for kind, times in taken.items():
        share = f"   {met[kind] / len(times):.0%}" if queries[kind][0].meant else ""
        print(f"  {kind:<32}{figures(times)}{share}")
    every = [*itertools.chain.from_iterable(taken.values())]
    print(f"  {'all':<32}{figures(every)}   (target: p95 <= {TARGET_MS:.0f})")


def figures(times: list[float]) -> str:
    """The median, the 95th and 99th percentile, and the maximum."""
    cuts = statistics.quantiles(times, n=100, method="inclusive")
    return "".join(f"{value:8.2f}" for value in (cuts[49], cuts[94], cuts[98], max(times)))


def check_plans(stack: BenchStack, person: str, queries: dict[str, list[Query]]) -> None:
    """Print the tables that a query, or a function in it, read by a sequential scan."""
    plans: list[Any] = []
    scanned: dict[str, int] = {}
    with psycopg.connect(stack.admin_db_url, autocommit=True) as connection:
        connection.execute("load 'auto_explain'")
        for name, value in (
            ("log_min_duration", "0"), ("log_analyze", "on"), ("log_timing", "off"), ("log_format", "json"),
            ("log_nested_statements", "on"), ("log_level", "notice"),
        ):  # fmt: skip
            connection.execute("select set_config(%s, %s, false)", [f"auto_explain.{name}", value])
        connection.execute("select set_config('request.jwt.claims', %s, false)", [json.dumps({"sub": person})])
        connection.execute("set role authenticated")
        connection.add_notice_handler(
            lambda notice: plans.append(json.loads((notice.message_primary or "").partition("plan:")[2]))
        )
        for query in itertools.chain.from_iterable(queries.values()):
            search(connection, query)
    for node in itertools.chain.from_iterable(nodes(plan["Plan"]) for plan in plans):
        if node["Node Type"] == "Seq Scan":
            rows = node["Actual Rows"] + node.get("Rows Removed by Filter", 0)
            scanned[node["Relation Name"]] = max(rows, scanned.get(node["Relation Name"], 0))
    wide = {table: rows for table, rows in scanned.items() if rows > MOST_ROWS_SCANNED}
    print(f"  {len(plans):,} plans; sequential scans of more than {MOST_ROWS_SCANNED:,} rows: {wide or 'none'}")


def nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """A plan node and all nodes below it."""
    yield plan
    for child in plan.get("Plans", ()):
        yield from nodes(child)


def time_writes(stack: BenchStack, people: list[tuple[str, str, str]]) -> None:
    """Print the time to change a profile: the name, which is indexed for search, and the biography, which is not."""
    taken: dict[str, list[float]] = {"display_name": [], "bio": []}
    with psycopg.connect(stack.admin_db_url, autocommit=True) as connection:
        for number, (person, _, name) in enumerate(people[:WRITES]):
            for column, value in (("display_name", f"{name} Renamed{number}"), ("bio", "About me.")):
                started = time.perf_counter()
                connection.execute(
                    sql.SQL("update public.profiles set {} = %s where id = %s").format(sql.Identifier(column)),
                    [value, person],
                )
                taken[column].append((time.perf_counter() - started) * 1000)
    for column, times in taken.items():
        print(f"  changing {column:<23}{figures(times)}")


def main() -> None:
    """Start a stack, measure, stop it."""
    with running() as stack:
        measure(stack)


if __name__ == "__main__":
    main()
