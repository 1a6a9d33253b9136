"""Rules that the control sets: which deliveries are held, dropped or duplicated, and which calls fail.

A rule is a kind and a JSON object. It matches by `types` (of events, with `*` at the end of a prefix) and by
`contains`, a text that must occur, such as an id.
"""

import sqlite3
from collections.abc import Iterator
from typing import Any

import msgspec

HOLD, DROP, DUPLICATE, FAULT, OUTCOME, SETTLEMENT = "hold", "drop", "duplicate", "fault", "outcome", "settlement"
REFUSAL = "A rule of the double refuses this."
"""The message of a refund or transfer that a rule refuses."""


def add(connection: sqlite3.Connection, kind: str, body: dict[str, Any], times: int | None) -> int:
    """Set a rule for so many matches, or until it is removed; returns its number."""
    inserted = connection.execute(
        "insert into rules (kind, body, remaining) values (?, ?, ?)", (kind, msgspec.json.encode(body).decode(), times)
    )
    return inserted.lastrowid or 0


def find(connection: sqlite3.Connection, *kinds: str) -> Iterator[tuple[int, str, dict[str, Any]]]:
    """The rules of some kinds, oldest first: number, kind and body."""
    for row in connection.execute("select * from rules order by seq").fetchall():
        if row["kind"] in kinds:
            yield row["seq"], row["kind"], msgspec.json.decode(row["body"])


def remove(connection: sqlite3.Connection, number: int) -> None:
    """Remove a rule."""
    connection.execute("delete from rules where seq = ?", (number,))


def use(connection: sqlite3.Connection, number: int) -> None:
    """Count one match of a rule. The last one removes it."""
    connection.execute("update rules set remaining = remaining - 1 where seq = ?", (number,))
    connection.execute("delete from rules where seq = ? and remaining <= 0", (number,))


def names_type(types: list[str] | tuple[str, ...], kind: str) -> bool:
    """Whether a list of types, with `*` at the end of a prefix, names a type of event."""
    return any(kind == each or (each.endswith("*") and kind.startswith(each[:-1])) for each in types)


def delivery_states(connection: sqlite3.Connection, kind: str, text: str) -> list[str]:
    """The states in which an event's deliveries begin, one for each delivery.

    Args:
        connection: in the transaction that makes the event.
        kind: the event's type.
        text: its JSON.
    """
    state, copies = "pending", 1
    for number, rule, body in find(connection, HOLD, DROP, DUPLICATE):
        if names_type(body["types"] or ["*"], kind) and body["contains"] in text:
            use(connection, number)
            if rule == DUPLICATE:
                copies = max(copies, body["copies"])
            else:
                state = "dropped" if rule == DROP or state == "dropped" else "held"
    return [state] * copies


def outcome(connection: sqlite3.Connection, on: str, text: str) -> dict[str, Any] | None:
    """The rule for the next refund or transfer, or None; it counts as used.

    Args:
        connection: in the transaction that makes it.
        on: refund or transfer.
        text: ids and metadata in which the rule's `contains` is looked for.
    """
    for number, _, body in find(connection, OUTCOME):
        if body["on"] == on and body["contains"] in text:
            use(connection, number)
            return body
    return None


def settlement(connection: sqlite3.Connection, currency: str, text: str) -> dict[str, Any] | None:
    """The rule for the currency in which a charge settles, or None. It stays.

    Args:
        connection: in the transaction of the charge.
        currency: of the charge.
        text: ids and metadata in which the rule's `contains` is looked for.
    """
    for _, _, body in find(connection, SETTLEMENT):
        if body["charged"] == currency and body["contains"] in text:
            return body
    return None
