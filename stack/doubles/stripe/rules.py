"""Rules that the control sets: which deliveries are held, dropped or doubled, which requests fail, what comes of them.

A rule is a kind and a JSON object. What it is for it names by `types` (of events, with `*` at the end of a prefix) and
by `contains`, a text that must stand somewhere in the JSON, such as an id: so tests that share a double name what is
theirs.
"""

import sqlite3
from collections.abc import Iterator
from typing import Any

import msgspec

HOLD, DROP, DUPLICATE, FAULT, OUTCOME = "hold", "drop", "duplicate", "fault", "outcome"


def add(connection: sqlite3.Connection, kind: str, body: dict[str, Any], times: int | None) -> int:
    """Set a rule for so many cases, or until it is removed; returns its number."""
    made = connection.execute(
        "insert into rules (kind, body, remaining) values (?, ?, ?)", (kind, msgspec.json.encode(body).decode(), times)
    )
    return made.lastrowid or 0


def listed(connection: sqlite3.Connection, *kinds: str) -> Iterator[tuple[int, str, dict[str, Any], int | None]]:
    """The rules of some kinds, or all, oldest first: number, kind, body, and how often each still holds."""
    for row in connection.execute("select * from rules order by seq").fetchall():
        if not kinds or row["kind"] in kinds:
            yield row["seq"], row["kind"], msgspec.json.decode(row["body"]), row["remaining"]


def remove(connection: sqlite3.Connection, number: int) -> bool:
    """Remove a rule; whether there was one."""
    return connection.execute("delete from rules where seq = ?", (number,)).rowcount > 0


def use(connection: sqlite3.Connection, number: int) -> None:
    """Count one case of a rule, which ends with its last."""
    connection.execute("update rules set remaining = remaining - 1 where seq = ?", (number,))
    connection.execute("delete from rules where seq = ? and remaining <= 0", (number,))


def is_for(body: dict[str, Any], kind: str, text: str) -> bool:
    """Whether a rule is for an event of that type and JSON."""
    types: list[str] = body.get("types") or ["*"]
    named = any(kind == each or (each.endswith("*") and kind.startswith(each[:-1])) for each in types)
    return named and body.get("contains", "") in text


def delivery_states(connection: sqlite3.Connection, kind: str, text: str) -> list[str]:
    """The states in which an event's deliveries begin, one a delivery.

    Args:
        connection: in the transaction that makes the event.
        kind: the event's type.
        text: its JSON.
    """
    state, copies = "pending", 1
    for number, rule, body, _ in listed(connection, HOLD, DROP, DUPLICATE):
        if is_for(body, kind, text):
            use(connection, number)
            if rule == DUPLICATE:
                copies = max(copies, body["copies"])
            else:
                state = "dropped" if rule == DROP or state == "dropped" else "held"
    return [state] * copies


def outcome(connection: sqlite3.Connection, on: str, text: str) -> dict[str, Any] | None:
    """What the control wants of the next refund, transfer or payment, if anything; it counts as used.

    Args:
        connection: in the transaction that makes it.
        on: refund, transfer or payment.
        text: JSON that the rule's `contains` is looked for in.
    """
    for number, _, body, _ in listed(connection, OUTCOME):
        if body["on"] == on and body.get("contains", "") in text:
            use(connection, number)
            return body
    return None
