"""The book of one request: what it reads and writes in one transaction, and the events that follow from it."""

import secrets
import sqlite3
import string
import time
from collections.abc import Mapping
from typing import Any

import msgspec

from stack.doubles.stripe.errors import Object, StripeError, unknown_id
from stack.doubles.stripe.params import Params
from stack.doubles.stripe.rules import delivery_states
from stack.doubles.stripe.settings import Settings

API_VERSION = "2026-10-28.endive"
"""Of the stripe package that the project pins."""
ALPHABET = string.ascii_letters + string.digits
SHIFT = "clock_shift"
MOST_LISTED, USUALLY_LISTED = 100, 10


def new_id(prefix: str, length: int = 24) -> str:
    """An id that nobody can guess: `cus_` and 24 letters and digits."""
    return prefix + "".join(secrets.choice(ALPHABET) for _ in range(length))


class Book:
    """What one request sees and does. It is over when its transaction is."""

    def __init__(
        self,
        connection: sqlite3.Connection,
        settings: Settings,
        *,
        request_id: str | None = None,
        idempotency_key: str | None = None,
    ) -> None:
        """Open it in a transaction that has begun.

        Args:
            connection: with the transaction.
            settings: of the double.
            request_id: of the API request that events are told to come from, if any.
            idempotency_key: of that request.
        """
        self.connection = connection
        self.settings = settings
        self._known: dict[str, Object] = {}  # an object has one dict in a book, so that nobody holds a stale one
        self.cause: Object | None = (
            None if request_id is None else {"id": request_id, "idempotency_key": idempotency_key}
        )
        self.clock: str | None = None
        """The test clock that this request follows; None for the global one."""
        self.now = int(time.time()) + self.note(SHIFT, 0)
        """Seconds since 1970, by that clock."""

    # Time

    def follow(self, clock: str | None) -> None:
        """Take the time of a test clock from now on; None changes nothing."""
        if clock is not None:
            self.clock = clock
            self.now = self.get("test_helpers.test_clock", clock)["frozen_time"]

    def follow_customer(self, customer: str | None) -> None:
        """Take the time of a customer's test clock, where he has one."""
        found = self.find(customer) if customer else None
        if found is not None:
            self.follow(found.get("test_clock"))

    def schedule(self, due: float, task: str, subject: str) -> None:
        """Have a task done for an object at a time of the clock that is followed; one task is scheduled once."""
        self.connection.execute(
            "insert or replace into agenda (due, clock, task, subject) values (?, ?, ?, ?)",
            (int(due), self.clock, task, subject),
        )

    def unschedule(self, task: str, subject: str) -> None:
        """Have it done no more."""
        self.connection.execute("delete from agenda where task = ? and subject = ?", (task, subject))

    # Objects

    def insert(self, thing: Object) -> Object:
        """Keep a new object; `id`, `object` and `created` are set."""
        self.connection.execute(
            "insert into objects (id, kind, created, body) values (?, ?, ?, ?)",
            (thing["id"], thing["object"], thing["created"], _text(thing)),
        )
        self._known[thing["id"]] = thing
        return thing

    def save(self, thing: Object) -> Object:
        """Keep what an object has become."""
        self.connection.execute("update objects set body = ? where id = ?", (_text(thing), thing["id"]))
        self._known[thing["id"]] = thing
        return thing

    def remove(self, name: str) -> None:
        """Forget an object."""
        self.connection.execute("delete from objects where id = ?", (name,))
        self._known.pop(name, None)

    def find(self, name: str) -> Object | None:
        """The object of that id, of whatever kind."""
        row = self.connection.execute("select id, body from objects where id = ?", (name,)).fetchone()
        return None if row is None else self._object(row)

    def get(self, kind: str, name: str, param: str = "id") -> Object:
        """The object of that kind and id.

        Raises:
            StripeError: there is none: 404, or 400 where `param` names it.
        """
        found = self.find(name)
        if found is None or found["object"] != kind:
            raise unknown_id(kind, name, param)
        return found

    def all(self, kind: str, **fields: Any) -> list[Object]:
        """The objects of a kind whose fields have these values, oldest first."""
        where, values = _conditions(fields)
        rows = self.connection.execute(
            f"select id, body from objects where kind = ?{where} order by created, seq",  # noqa: S608 - our own names
            (kind, *values),
        )
        return [self._object(row) for row in rows]

    def page(
        self, params: Params, kind: str, url: str, *, also: str = "", values: tuple[Any, ...] = (), **fields: Any
    ) -> Object:
        """A list as Stripe gives it, newest first.

        Args:
            params: limit, starting_after, ending_before and created are read from them.
            kind: of the objects.
            url: of the list.
            also: a further condition in SQL, beginning with `and`.
            values: its values.
            fields: values that fields must have; None asks for nothing.

        Raises:
            StripeError: a parameter cannot be read, or the object to start at is unknown.
        """
        limit = params.integer("limit", low=1, high=MOST_LISTED) or USUALLY_LISTED
        where, found_values = _conditions({name: value for name, value in fields.items() if value is not None})
        where += f" {also}"
        found_values += list(values)
        for operator, instant in _created(params):
            where += f" and created {operator} ?"
            found_values.append(instant)
        after, before = params.text("starting_after"), params.text("ending_before")
        cursor = after or before
        if cursor is not None:
            row = self.connection.execute("select created, seq, kind from objects where id = ?", (cursor,)).fetchone()
            if row is None or row["kind"] != kind:
                raise unknown_id(kind, cursor, "starting_after" if after else "ending_before")
            where += f" and (created, seq) {'<' if after else '>'} (?, ?)"
            found_values += [row["created"], row["seq"]]
        direction = "asc" if before and not after else "desc"
        rows = self.connection.execute(
            f"select id, body from objects where kind = ?{where} "  # noqa: S608 - our own names
            f"order by created {direction}, seq {direction} limit ?",
            (kind, *found_values, limit + 1),
        ).fetchall()
        data = [self._object(row) for row in rows[:limit]]
        if direction == "asc":
            data.reverse()
        return listed(data, url, has_more=len(rows) > limit)

    def _object(self, row: sqlite3.Row) -> Object:
        if row["id"] not in self._known:
            self._known[row["id"]] = msgspec.json.decode(row["body"])
        return self._known[row["id"]]

    # Notes

    def note(self, name: str, default: Any) -> Any:
        """A remembered value."""
        row = self.connection.execute("select value from notes where name = ?", (name,)).fetchone()
        return default if row is None else msgspec.json.decode(row["value"])

    def write_note(self, name: str, value: Any) -> None:
        """Remember a value."""
        self.connection.execute("insert or replace into notes (name, value) values (?, ?)", (name, _text(value)))

    # Events

    def emit(self, kind: str, thing: Object, previous: Object | None = None, *, account: str | None = None) -> Object:
        """Tell of what happened: make the event, and queue its deliveries.

        Args:
            kind: such as `charge.succeeded`.
            thing: the object, as it is now.
            previous: what its changed fields were before.
            account: the connected account that it happened in.
        """
        data: Object = {"object": visible(thing)}
        if previous is not None:
            data["previous_attributes"] = visible(previous)
        event: Object = {
            "id": new_id("evt_"),
            "object": "event",
            "api_version": API_VERSION,
            "created": self.now,
            "data": data,
            "livemode": False,
            "pending_webhooks": 1 if self.settings.webhook_url else 0,
            "request": self.cause or {"id": None, "idempotency_key": None},
            "type": kind,
        }
        if account is not None:
            event["account"] = account
        self.insert(event)
        if self.settings.webhook_url:
            for state in delivery_states(self.connection, kind, _text(event)):
                self.connection.execute(
                    "insert into deliveries (event, state, due) values (?, ?, ?)", (event["id"], state, time.time())
                )
        return event

    def update(self, thing: Object, **changes: Any) -> Object:
        """Change fields of an object, keep it, and return what those that really changed were before."""
        previous = {name: thing.get(name) for name, value in changes.items() if thing.get(name) != value}
        thing.update(changes)
        self.save(thing)
        return previous


def listed(data: list[Object], url: str, *, has_more: bool = False) -> Object:
    """Stripe's list object."""
    return {"object": "list", "data": data, "has_more": has_more, "url": url}


def visible(thing: Any) -> Any:
    """A copy of an object without the fields that are the double's own; they begin with an underscore."""
    if isinstance(thing, dict):
        return {
            name: value if name == "metadata" else visible(value)
            for name, value in thing.items()
            if not name.startswith("_")
        }
    return [visible(value) for value in thing] if isinstance(thing, list) else thing


def _conditions(fields: Mapping[str, Any]) -> tuple[str, list[Any]]:
    where = "".join(f" and json_extract(body, '$.{name.replace('__', '.')}') is ?" for name in fields)
    return where, list(fields.values())


def _created(params: Params) -> list[tuple[str, int]]:
    """The conditions on `created`: an instant, or bounds below it."""
    if not params.has("created"):
        return []
    try:
        bounds = params.nested("created")
    except StripeError:
        instant = params.integer("created")
        return [] if instant is None else [("=", instant)]
    names = {"gt": ">", "gte": ">=", "lt": "<", "lte": "<="}
    found = [(operator, bounds.integer(name) if bounds else None) for name, operator in names.items()]
    return [(operator, instant) for operator, instant in found if instant is not None]


def _text(value: Any) -> str:
    return msgspec.json.encode(value).decode()
