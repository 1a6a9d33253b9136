"""Free slots of a busy host: the time in the database, at 10 thousand and at a million commitments of all hosts.

`python -m bench.free_slots`
"""

import statistics
import time

import psycopg

from bench.stack import BenchStack, running

HOST_COMMITMENTS = 10_000
SIZES = (10_000, 1_000_000)
"""Commitments of all hosts, the busy one among them."""
OTHERS = 1_000
"""Hosts with the rest of them."""
QUESTIONS = 40
TARGET_MS = 20.0
MOST_GROWTH = 1.5

HOSTS = """
    insert into auth.users (id, instance_id, aud, role, email, email_confirmed_at, raw_user_meta_data)
    select gen_random_uuid(), '00000000-0000-0000-0000-000000000000', 'authenticated', 'authenticated',
        'host' || i || '@bench.example', now(), jsonb_build_object('display_name', 'Host ' || i)
    from generate_series(0, %s) as i
    returning id
"""
COMMITMENTS = """
    insert into private.commitments (host_id, busy)
    select host, tstzrange(at, at + interval '20 minutes')
    from unnest(%s::uuid[]) as host,
        generate_series(date_trunc('hour', now()), date_trunc('hour', now()) + %s * interval '45 minutes', '45 minutes')
            as at
"""
SLOTS = """
    select count(*) from public.schedules as s,
        private.free_slots(s, now(), now() + interval '62 days', 60) as f
    where s.host_id = %s
"""
BUSY = """
    select b from public.schedules as s, private.busy_spans(s.host_id, now(), now() + interval '31 days') as b
    where s.host_id = %s
"""


def measure(stack: BenchStack) -> None:
    """Print the medians at each size, and their ratio."""
    with psycopg.connect(stack.admin_db_url, autocommit=True) as connection:
        hosts = [row[0] for row in connection.execute(HOSTS, [OTHERS])]
        busy = hosts[0]
        connection.execute("insert into public.user_roles (user_id, role) values (%s, 'teacher')", [busy])
        connection.execute(
            "insert into public.schedules (host_id, name, time_zone, horizon_days, maximum_per_day, maximum_per_week)"
            " values (%s, 'Busy', 'Europe/Lisbon', 365, 100, 500)",
            [busy],
        )
        connection.execute(
            "insert into public.schedule_rules select s.id, d, '08:00', '20:00' from public.schedules as s,"
            " generate_series(1, 7) as d where s.host_id = %s",
            [busy],
        )
        connection.execute(COMMITMENTS, [[busy], HOST_COMMITMENTS])
        found: dict[str, list[float]] = {"free slots of 62 days": [], "busy times of 31 days": []}
        for size in SIZES:
            connection.execute("delete from private.commitments where host_id = any(%s)", [hosts[1:]])
            connection.execute(COMMITMENTS, [hosts[1:], (size - HOST_COMMITMENTS) // OTHERS])
            connection.execute("vacuum analyze private.commitments")
            for name, question in zip(found, (SLOTS, BUSY), strict=True):
                found[name].append(_median(connection, question, busy))
                plan = "\n".join(str(row[0]) for row in connection.execute(f"explain {question}", [busy]))
                if "Seq Scan on commitments" in plan:
                    print(f"problem: {name} scans all commitments")
        for name, (small, large) in found.items():
            print(
                f"{name}, host with {HOST_COMMITMENTS:,} commitments: {small:.1f} ms among {SIZES[0]:,},"
                f" {large:.1f} ms among {SIZES[1]:,} (target {TARGET_MS:.0f}), {large / small:.2f} times"
                f" (target {MOST_GROWTH})"
            )


def _median(connection: psycopg.Connection, question: str, host: str) -> float:
    times = []
    for _ in range(QUESTIONS):
        started = time.perf_counter()
        connection.execute(question, [host]).fetchall()
        times.append((time.perf_counter() - started) * 1000)
    return statistics.median(times)


def main() -> None:
    """Start a stack and measure."""
    with running() as stack:
        measure(stack)


if __name__ == "__main__":
    main()
