"""The cost of `private.check_request`: PostgREST with it, and with a part of it removed, interleaved.

`python -m bench.limits`
"""

import random
import statistics

import psycopg

from bench.load import Load, Result, median_per_second, run
from bench.stack import BenchStack, running

USERS = 400
ROUNDS = 7
SECONDS = 3
TAKE = "v_seconds := private.take_request_token();"
START = "begin\n"


def measure(stack: BenchStack) -> None:
    """Print what the rate limit costs a write, and what the whole check costs a read."""
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
        _compare(
            connection,
            whole[0],
            "a write of one's own profile",
            write,
            part=TAKE,
            instead="v_seconds := 0;",
            without="the rate limit",
        )
        _compare(
            connection,
            whole[0],
            "a read of one's own profile",
            read,
            part=START,
            instead="begin\n    return;\n",
            without="the check",
        )


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


def _compare(
    connection: psycopg.Connection, whole: str, title: str, load: Load, *, part: str, instead: str, without: str
) -> None:
    assert whole.count(part) == 1, f"check_request no longer has {part} once"
    versions = {"as it is": whole, "without": whole.replace(part, instead)}
    results: dict[str, list[Result]] = {name: [] for name in versions}
    run(load)  # warm caches and pools before anything counts
    for number in range(ROUNDS):
        for name in versions if number % 2 == 0 else reversed(versions):
            connection.execute(versions[name].encode())
            results[name].append(run(load))
    connection.execute(whole.encode())
    ratios = [
        kept.per_second / bare.per_second for kept, bare in zip(results["as it is"], results["without"], strict=True)
    ]
    print(f"{title}, {USERS} users, PostgREST, {ROUNDS} rounds, with and without {without}")
    print(f"  as it is  {median_per_second(results['as it is']):8.0f} requests/s")
    print(f"  without   {median_per_second(results['without']):8.0f} requests/s")
    print(f"  ratio     {statistics.median(ratios):8.3f}")


def main() -> None:
    """Measure in a stack of its own."""
    with running() as stack:
        measure(stack)


if __name__ == "__main__":
    main()
