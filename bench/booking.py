"""Booking at once: everybody wants the same seats, against everybody wants seats of their own."""

import json
import queue
import time
import uuid
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import psycopg

from bench.stack import BenchStack

ROUNDS = 50
PEOPLE = 200
SEATS = 100
CONNECTIONS = 8


def measure(stack: BenchStack, rounds: int = ROUNDS) -> None:
    """Print registrations per second of both, their ratio, and whether each contended round gave all seats once."""
    url = stack.admin_db_url
    people = _members(url, PEOPLE)
    _run(url, [(person, _seminar(url, 1)) for person in people[:CONNECTIONS]])  # warm
    rates: dict[bool, list[float]] = {True: [], False: []}
    outcomes: Counter[str] = Counter()
    wrong = 0
    for number in range(rounds):
        has_waiting_list = number % 2 == 1
        contended = _seminar(url, SEATS, has_waiting_list=has_waiting_list)
        alone = [_seminar(url, 1) for _ in range(SEATS)]
        # Only those who win a seat: both sides do the same work.
        rates[True].append(_rate(url, [(person, contended) for person in people[:SEATS]]))
        rates[False].append(_rate(url, list(zip(people[:SEATS], alone, strict=True))))
        results = Counter(_run(url, [(person, contended) for person in people[SEATS:]]))
        outcomes += results
        wrong += results != {"waiting" if has_waiting_list else "seats_taken": PEOPLE - SEATS}
        race = Counter(_run(url, [(person, made) for made in [_seminar(url, SEATS)] for person in people]))
        wrong += race["confirmed"] != SEATS
    one, other = (sum(rates[kind]) / rounds for kind in (True, False))
    print(
        f"Registering for seminars over {CONNECTIONS} connections, {rounds} rounds of {PEOPLE} people for {SEATS} seats"
    )
    print(f"  everybody for one seminar   {one:8.0f} registrations/s")
    print(f"  each for one of their own   {other:8.0f} registrations/s")
    print(f"  ratio                       {one / other:8.3f}")
    print(f"  rounds with another number of seats: {wrong}; those who came late: {dict(outcomes)}")


def _rate(url: str, registrations: Sequence[tuple[str, str]]) -> float:
    began = time.perf_counter()
    results = _run(url, registrations)
    seconds = time.perf_counter() - began
    if set(results) != {"confirmed"}:
        raise RuntimeError(f"not everybody got a seat: {Counter(results)}")
    return len(results) / seconds


def _run(url: str, registrations: Sequence[tuple[str, str]]) -> list[str]:
    """Register each person for the seminar; returns the statuses and the tokens of errors."""
    waiting: queue.SimpleQueue[tuple[str, str]] = queue.SimpleQueue()
    for registration in registrations:
        waiting.put(registration)
    connections = [psycopg.connect(url, autocommit=True) for _ in range(CONNECTIONS)]

    def work(connection: psycopg.Connection) -> list[str]:
        results: list[str] = []
        while True:
            try:
                person, seminar = waiting.get_nowait()
            except queue.Empty:
                return results
            claims = json.dumps({"sub": person, "role": "authenticated"})
            try:
                with connection.transaction():
                    connection.execute(
                        "select set_config('request.jwt.claims', %s, true), set_config('role', 'authenticated', true)",
                        [claims],
                    )
                    row = connection.execute(
                        "select status::text from public.register_for_seminar(%s)", [seminar]
                    ).fetchone()
                results.append(row[0] if row else "nothing")
            except psycopg.Error as error:
                results.append(str(error.diag.message_primary))

    try:
        with ThreadPoolExecutor(CONNECTIONS) as threads:
            return [result for part in threads.map(work, connections) for result in part]
    finally:
        for connection in connections:
            connection.close()


def _members(url: str, number: int) -> list[str]:
    with psycopg.connect(url, autocommit=True) as connection:
        made = connection.execute(
            "insert into auth.users (id, aud, role, email, email_confirmed_at, raw_user_meta_data)"
            " select u.id, 'authenticated', 'authenticated', u.id || '@example.com', now(), '{\"name\": \"One\"}'"
            " from (select gen_random_uuid() as id from generate_series(1, %s)) as u returning id::text",
            [number],
        ).fetchall()
    return [user_id for (user_id,) in made]


def _seminar(url: str, capacity: int, *, has_waiting_list: bool = False) -> str:
    """A published seminar of a host of its own."""
    host, seminar = str(uuid.uuid4()), str(uuid.uuid4())
    with psycopg.connect(url) as connection, connection.pipeline():
        connection.execute(
            "insert into auth.users (id, aud, role, email, email_confirmed_at, raw_user_meta_data)"
            " values (%s, 'authenticated', 'authenticated', %s, now(), '{\"name\": \"Host\"}')",
            [host, f"{host}@example.com"],
        )
        connection.execute("insert into public.user_roles (user_id, role) values (%s, 'teacher')", [host])
        connection.execute(
            "select set_config('request.jwt.claims', %s, true)", [json.dumps({"sub": host, "role": "authenticated"})]
        )
        connection.execute(
            "insert into public.seminars (id, host_id, title, starts_at, capacity, has_waiting_list)"
            " values (%s, %s, 'Glazes', now() + interval '30 days', %s, %s)",
            [seminar, host, capacity, has_waiting_list],
        )
        connection.execute("select public.publish_seminar(%s)", [seminar])
    return seminar
