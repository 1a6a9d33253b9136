"""Reads of one profile by its key through PostgREST, as a user under row level security and as service_role."""

import random
import statistics

import psycopg

from bench.load import Load, compare, median_per_second
from bench.stack import BenchStack

USERS = 100_000
ROUNDS = 9


def fill(stack: BenchStack) -> list[str]:
    """Make the users, and return a thousand of their ids."""
    with psycopg.connect(stack.admin_db_url, autocommit=True) as connection:
        # Triggers would index each profile for search, which is not measured here.
        connection.execute("set session_replication_role = replica")
        connection.execute(
            """
            with people as (
                insert into public.accounts (user_id)
                select gen_random_uuid() from generate_series(1, %s)
                returning user_id
            )
            insert into public.profiles (id, handle, display_name, bio)
            select user_id, 'member-' || left(replace(user_id::text, '-', ''), 16), 'Somebody', repeat('About me. ', 20)
            from people
            """,
            [USERS],
        )
        connection.execute("vacuum analyze public.profiles, public.accounts")
        rows = connection.execute("select id::text from public.profiles order by random() limit 1000").fetchall()
    return [row[0] for row in rows]


def measure(stack: BenchStack) -> None:
    """Print requests per second of both, and their ratio."""
    ids = fill(stack)
    paths = tuple(f"/profiles?id=eq.{profile_id}" for profile_id in ids)
    reader = random.choice(ids)
    under_rls = Load(url=stack.rest_url, paths=paths, headers={"Authorization": f"Bearer {stack.user_token(reader)}"})
    without = Load(url=stack.rest_url, paths=paths, headers={"Authorization": f"Bearer {stack.service_role_key}"})
    with_results, without_results = compare(under_rls, without, rounds=ROUNDS)
    ratios = [a.per_second / b.per_second for a, b in zip(with_results, without_results, strict=True)]
    print(f"one profile by key, {USERS:,} users, PostgREST, {ROUNDS} rounds in turn")
    print(f"  authenticated under RLS  {median_per_second(with_results):8.0f} requests/s")
    print(f"  service_role             {median_per_second(without_results):8.0f} requests/s")
    print(f"  ratio                    {statistics.median(ratios):8.3f}   (target >= 0.95)")
