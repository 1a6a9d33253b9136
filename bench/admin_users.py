"""The admins' list of a million users: each way to filter and search it over HTTP, and what each plan reads.

`python -m bench.admin_users`
"""

import itertools
import json
import random
import time
from typing import Any

import httpx
import psycopg

from bench.stack import BenchStack, running
from bench.user_search import MOST_ROWS_SCANNED, SEED, USERS, figures, fill, nodes

ROUNDS = 40
TARGET_MS = 20.0

Row = tuple[str, str, str]

LISTS = {
    "newest": "order=created_at.desc,user_id",
    "page 100": "order=created_at.desc,user_id&offset=2000",
    "of one month": "created_at=gte.2025-03-01&created_at=lt.2025-04-01&order=created_at.desc,user_id",
    "suspended": "status=eq.suspended&order=created_at.desc,user_id",
    "banned": "status=eq.banned&order=created_at.desc,user_id",
    "teachers": "roles=cs.{teacher}&order=created_at.desc,user_id",
    "admins": "roles=cs.{admin}&order=created_at.desc,user_id",
    "suspended teachers of a month": (
        "roles=cs.{teacher}&status=eq.suspended&created_at=gte.2025-03-01&created_at=lt.2025-04-01"
        "&order=created_at.desc,user_id"
    ),
    "last seen": "order=last_sign_in_at.desc.nullslast,user_id",
}


def measure(stack: BenchStack) -> None:
    """Load, measure and print."""
    dice = random.Random(SEED)
    started = time.perf_counter()
    with psycopg.connect(stack.admin_db_url, autocommit=True) as connection:
        people = sample(connection) or fill(connection, dice)
        admin = furnish(connection)
    print(f"list of users, {USERS:,} people, loaded in {time.perf_counter() - started:.0f} s")
    paths = {f"list: {name}": [f"/user_accounts?{query}&limit=20"] for name, query in LISTS.items()}
    some = [dice.choice(people) for _ in range(ROUNDS)]
    paths["one, with roles, enrolments and certificates"] = [
        f"/user_accounts?user_id=eq.{person}&select=*,user_roles(role),enrolments(id),certificates(id)"
        for person, _, _ in some
    ]
    paths["one, by the address"] = [f"/user_accounts?email=eq.{handle}@example.com" for _, handle, _ in some]
    search = "/rpc/search_accounts?limit=20&q="
    paths["search: beginning of an address"] = [f"{search}{handle[:6]}" for _, handle, _ in some]
    paths["search: whole address"] = [f"{search}{handle}@example.com" for _, handle, _ in some]
    paths["search: name"] = [f"{search}{name}" for _, _, name in some]
    paths["search: common word"] = [f"{search}{name.split()[0][:3]}" for _, _, name in some]
    paths["search: name, teachers only"] = [f"{search}{name}&roles=cs.{{teacher}}" for _, _, name in some]
    headers = {"Authorization": f"Bearer {stack.user_token(admin)}"}
    time_queries(stack, paths, headers)
    check_plans(stack, paths, headers)
    time_export(stack, headers)


def sample(connection: psycopg.Connection) -> list[Row]:
    """Some of the people that user_search made in the same stack; none if it did not run."""
    row = connection.execute("select count(*) from public.accounts").fetchone()
    assert row is not None
    if row[0] < USERS / 2:
        return []
    return connection.execute(
        "select id::text, handle, display_name from public.profiles order by random() limit 5000"
    ).fetchall()


def furnish(connection: psycopg.Connection) -> str:
    """Give the people addresses, dates, statuses and roles; returns a superadmin's id."""
    connection.execute("set session_replication_role = replica")  # with triggers this would take an hour
    connection.execute("""
        update public.accounts as a
        set
            email = p.handle || '@example.com',
            email_confirmed_at = now(),
            created_at = timestamptz '2020-01-01' + random() * interval '6 years',
            last_sign_in_at = case when random() < 0.7 then now() - random() * interval '1 year' end,
            status = case
                when random() < 0.001 then 'suspended' when random() < 0.001 then 'banned' else 'active'
            end::public.account_status,
            roles = case
                when random() < 0.02 then '{teacher}' when random() < 0.00005 then '{admin}' else '{}'
            end::public.app_role[]
        from public.profiles as p
        where p.id = a.user_id
    """)
    connection.execute("""
        insert into public.user_roles (user_id, role) select a.user_id, unnest(a.roles) from public.accounts as a
        on conflict do nothing
    """)
    connection.execute("vacuum (full, analyze) public.accounts")
    connection.execute("vacuum analyze public.user_roles")
    connection.execute("set session_replication_role = origin")
    row = connection.execute("select user_id::text from public.user_roles where role = 'superadmin'").fetchone()
    assert row is not None
    admin: str = row[0]
    return admin


def time_queries(stack: BenchStack, paths: dict[str, list[str]], headers: dict[str, str]) -> None:
    """Print the time of each kind through PostgREST."""
    print(
        f"  {'milliseconds, over HTTP':<36}{'p50':>8}{'p95':>8}{'p99':>8}{'max':>8}   (target: p95 <= {TARGET_MS:.0f})"
    )
    with httpx.Client(base_url=stack.rest_url, headers=headers, timeout=60) as http:
        for kind, some in paths.items():
            times = []
            for path in itertools.islice(itertools.cycle(some), ROUNDS):
                started = time.perf_counter()
                answer = http.get(path)
                times.append((time.perf_counter() - started) * 1000)
                assert answer.status_code == 200, answer.text
            print(f"  {kind:<36}{figures(times)}")


def check_plans(stack: BenchStack, paths: dict[str, list[str]], headers: dict[str, str]) -> None:
    """Print the tables that these requests, in PostgREST's SQL, read by a sequential scan."""
    settings = {
        "log_min_duration": "0", "log_analyze": "on", "log_timing": "off", "log_format": "json",
        "log_nested_statements": "on", "log_level": "log",
    }  # fmt: skip
    wide: dict[str, set[str]] = {}
    with psycopg.connect(stack.admin_db_url, autocommit=True) as connection:
        connection.execute("alter role authenticator set session_preload_libraries = 'auto_explain'")
        for name, value in settings.items():
            connection.execute(f"alter role authenticator set auto_explain.{name} = '{value}'".encode())
        connection.execute("select pg_terminate_backend(pid) from pg_stat_activity where usename = 'authenticator'")
        log = stack.data / "logs" / "postgres.log"
        with httpx.Client(base_url=stack.rest_url, headers=headers, timeout=60) as http:
            for kind, some in paths.items():
                # Postgres decides about the generic plan after five custom ones.
                for path in itertools.islice(itertools.cycle(some), 12):
                    place = log.stat().st_size
                    while http.get(path).status_code != 200:
                        time.sleep(0.2)
                    for plan in plans(log.read_bytes()[place:].decode()):
                        for node in nodes(plan):
                            if node["Node Type"] == "Seq Scan":
                                rows = node["Actual Rows"] + node.get("Rows Removed by Filter", 0)
                                if rows > MOST_ROWS_SCANNED:
                                    wide.setdefault(kind, set()).add(node["Relation Name"])
    print(f"  tables of more than {MOST_ROWS_SCANNED:,} rows read by a sequential scan: {wide or 'none'}")


def plans(text: str) -> list[dict[str, Any]]:
    """The plans in some lines of the server's log."""
    decoder = json.JSONDecoder()
    return [decoder.raw_decode(piece.lstrip())[0]["Plan"] for piece in text.split("plan:\n")[1:]]


def time_export(stack: BenchStack, headers: dict[str, str]) -> None:
    """Print the time to export a fifth of the users."""
    body = {"created_from": "2020-01-01", "created_to": "2021-03-15"}
    started = time.perf_counter()
    answer = httpx.post(
        f"{stack.rest_url}/rpc/export_user_accounts", json=body, headers={**headers, "Accept": "text/csv"}, timeout=90
    )
    taken = time.perf_counter() - started
    lines = answer.text.count("\r\n") - 1
    print(f"  a file of {lines:,} users: {answer.status_code}, {len(answer.content) / 1e6:.0f} MB in {taken:.1f} s")


def main() -> None:
    """Start a stack, measure, stop it."""
    with running() as stack:
        measure(stack)


if __name__ == "__main__":
    main()
