"""Seminars and group sessions for tests, and people who compete for their seats."""

import json
import queue
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg

from tests.people import Academy, Person


def at(days: float, minutes: int = 0) -> str:
    """The instant in so many days and minutes."""
    return (datetime.now(UTC) + timedelta(days=days, minutes=minutes)).isoformat()


def done(answer: Any) -> dict[str, Any]:
    """The object that a call returned."""
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def seminar(academy: Academy, host: Person, **columns: Any) -> dict[str, Any]:
    """A published seminar in 30 days."""
    made = academy.insert(host, "seminars", **{"title": "Glazes", "starts_at": at(30), **columns})
    return done(academy.rpc(host, "publish_seminar", seminar_id=made["id"]))


def slot(academy: Academy, host: Person, days: float = 5, **columns: Any) -> dict[str, Any]:
    """A slot of a new public group session."""
    made = academy.insert(host, "group_sessions", **{"title": "Kilns", "visibility": "public", **columns})
    return done(academy.rpc(host, "add_group_session_slot", group_session_id=made["id"], starts_at=at(days)))


def register(academy: Academy, who: Person, seminar_id: str) -> dict[str, Any]:
    """The place of a person in a seminar."""
    return done(academy.rpc(who, "register_for_seminar", seminar_id=seminar_id))


def status(academy: Academy, place: dict[str, Any]) -> str:
    """The present status of a place."""
    [(found,)] = academy.sql("select status::text from public.places where id = %s", place["id"])
    return str(found)


def pool(academy: Academy, pool_id: str) -> tuple[Any, ...]:
    """How many seats there are, are taken, and how many people wait; and that the places agree."""
    [(capacity, taken, waiting, seats, queue_length)] = academy.sql(
        "select p.capacity, p.taken, p.waiting,"
        " (select count(*) from public.places as l where l.pool_id = p.id"
        "  and l.status in ('held', 'confirmed', 'attended', 'missed')),"
        " (select count(*) from public.places as l where l.pool_id = p.id and l.status = 'waiting')"
        " from public.seat_pools as p where p.id = %s",
        pool_id,
    )
    assert (taken, waiting) == (seats, queue_length)
    return capacity, taken, waiting


def crowd(academy: Academy, size: int) -> list[str]:
    """The ids of so many new members, made in one statement."""
    return [
        str(user_id)
        for (user_id,) in academy.sql(
            "insert into auth.users (id, aud, role, email, email_confirmed_at, raw_user_meta_data)"
            " select u.id, 'authenticated', 'authenticated', u.id || '@example.com', now(), '{\"name\": \"One\"}'"
            " from (select gen_random_uuid() as id from generate_series(1, %s)) as u returning id",
            size,
        )
    ]


def rush(academy: Academy, user_ids: list[str], statement: str, *, connections: int = 10) -> list[str]:
    """Run a statement as each of these people over a few connections at once; returns the tokens or values."""
    waiting: queue.SimpleQueue[str] = queue.SimpleQueue()
    for user_id in user_ids:
        waiting.put(user_id)

    def work(_: int) -> list[str]:
        results: list[str] = []
        with psycopg.connect(academy.admin_db_url, autocommit=True) as connection:
            while True:
                try:
                    user_id = waiting.get_nowait()
                except queue.Empty:
                    return results
                try:
                    with connection.transaction():
                        connection.execute(
                            "select set_config('request.jwt.claims', %s, true), set_config('role', %s, true)",
                            [json.dumps({"sub": user_id, "role": "authenticated"}), "authenticated"],
                        )
                        [(value,)] = connection.execute(statement.encode()).fetchall()
                        results.append(str(value))
                except psycopg.Error as error:
                    results.append(str(error.diag.message_primary))

    with ThreadPoolExecutor(connections) as threads:
        return [result for part in threads.map(work, range(connections)) for result in part]
