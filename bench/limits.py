"""What the check before each request costs: PostgREST with it as it is, and with a part of it taken out, by turns.

`python -m bench.limits`
"""

import random
import re
import statistics

import psycopg

from bench.load import Load, Result, median_per_second, run
from bench.stack import BenchStack, running

USERS = 400
ROUNDS = 7
SECONDS = 3
TAKE = "v_seconds := private.take_request_token();"
NAME = "perform set_config('application_name', v_request_id, true);"


def measure(stack: BenchStack) -> None:
    """Print what a write pays for its token, and what a read pays for its name in the log of Postgres."""
    with psycopg.connect(stack.admin_db_url, autocommit=True) as connection:
        ids = _members(connection)
        whole = connection.execute("select pg_get_functiondef('private.check_request()'::regprocedure)").fetchone()
        assert whole is not None
        paths = tuple(f"/profiles?id=eq.{member}" for member in ids)
        tokens = tuple(stack.user_token(member) for member in ids)
        headers = {"content-type": "application/json", "x-request-id": "0b4bd0c29b0e4b779a4c3a6a2b1f5a11"}
        write = Load(
            url=stack.rest_url,
            method="PATCH",
            paths=paths,
            bodies=('{"headline": "Here"}',) * len(paths),
            tokens=tokens,
            headers=headers,
            seconds=SECONDS,
        )
        read = Load(url=stack.rest_url, paths=paths, tokens=tokens, headers=headers, seconds=SECONDS)
        _compare(connection, whole[0], "a write of one's own profile", write, part=TAKE, instead="v_seconds := 0;")
        _compare(connection, whole[0], "a read of one's own profile", read, part=NAME, instead="null;")


def _members(connection: psycopg.Connection) -> list[str]:
    rows = connection.execute(
        "insert into auth.users (id, aud, role, email)"
        " select u.id, 'authenticated', 'authenticated', u.id || '@example.com'"
        " from (select gen_random_uuid() as id from generate_series(1, %s)) as u returning id::text",
        [USERS],
    ).fetchall()
    ids = [row[0] for row in rows]
    random.shuffle(ids)
    return ids


def _compare(connection: psycopg.Connection, whole: str, title: str, load: Load, *, part: str, instead: str) -> None:
    assert part in whole, f"check_request no longer has {part}"
    versions = {"as it is": whole, "without": whole.replace(part, instead)}
    results: dict[str, list[Result]] = {name: [] for name in versions}
    run(load)  # caches and pools fill before anything counts
    for number in range(ROUNDS):
        for name in versions if number % 2 == 0 else reversed(versions):
            connection.execute(versions[name].encode())
            results[name].append(run(load))
    connection.execute(whole.encode())
    ratios = [
        kept.per_second / bare.per_second for kept, bare in zip(results["as it is"], results["without"], strict=True)
    ]
    print(f"{title}, {USERS} users, PostgREST, {ROUNDS} rounds in turn, without: {re.sub(r'[ ;].*', '', part)}")
    print(f"  as it is  {median_per_second(results['as it is']):8.0f} requests/s")
    print(f"  without   {median_per_second(results['without']):8.0f} requests/s")
    print(f"  ratio     {statistics.median(ratios):8.3f}")


def main() -> None:
    """Measure in a stack of its own."""
    with running() as stack:
        measure(stack)


if __name__ == "__main__":
    main()
