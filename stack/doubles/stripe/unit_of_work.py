"""What one request reads and writes in one transaction, and the events that follow from it."""

import secrets
import sqlite3
import string
import time
from collections.abc import Mapping
from typing import Any

import msgspec

from stack.doubles.stripe import rules
from stack.doubles.stripe.errors import Object, unknown_id
from stack.doubles.stripe.params import Params
from stack.doubles.stripe.settings import Settings

API_VERSION = "2026-10-28.endive"
"""Of the stripe package that the project pins."""
ALPHABET = string.ascii_letters + string.digits
MAX_LIMIT, DEFAULT_LIMIT = 100, 10


def new_id(prefix: str, length: int = 24) -> str:
    """A random id, such as `cus_` and 24 letters and digits."""
    return prefix + "".join(secrets.choice(ALPHABET) for _ in range(length))


class UnitOfWork:
    """The objects and events of one request. It ends with its transaction."""

    def __init__(
        self,
        connection: sqlite3.Connection,
        settings: Settings,
        *,
        request_id: str | None = None,
        idempotency_key: str | None = None,
    ) -> None:
        """Begin in a transaction that has begun.

        Args:
            connection: with the transaction.
            settings: of the double.
            request_id: of the API request that events name as their cause, if any.
            idempotency_key: of that request.
        """
        self.connection = connection
        self.settings = settings
        self._loaded: dict[str, Object] = {}  # one dict for an object, so that no caller holds a stale one
        self._cause: Object = {"id": request_id, "idempotency_key": idempotency_key}
        self.clock: str | None = None
        """The test clock that this request follows; None for the real one."""
        self.now = int(time.time())
        """Seconds since 1970, by that clock."""

    # Time

    def follow(self, clock: str | None) -> None:
        """Take the time of a test clock from now on; None changes nothing."""
        if clock is not None:
            self.clock = clock
            self.now = self.get("test_helpers.test_clock", clock)["frozen_time"]

    def follow_customer(self, customer: str | None) -> None:
        """Take the time of the customer's test clock, if there is one."""
        found = self.find(customer) if customer else None
        if found is not None:
            self.follow(found["test_clock"])

    def schedule(self, due: float, name: str, subject: str) -> None:
        """Schedule a task for an object, by the clock that is followed; it replaces the same task for the object."""
        self.connection.execute(
            "insert or replace into tasks (due, clock, name, subject) values (?, ?, ?, ?)",
            (int(due), self.clock, name, subject),
        )

    def unschedule(self, name: str, subject: str) -> None:
        """Remove a task."""
        self.connection.execute("delete from tasks where name = ? and subject = ?", (name, subject))

    # Objects

    def insert(self, new: Object) -> Object:
        """Store a new object; `id` and `object` are set."""
        self.connection.execute(
            "insert into objects (id, kind, created, body) values (?, ?, ?, ?)",
            (new["id"], new["object"], new.get("created", self.now), _json(new)),
        )
        self._loaded[new["id"]] = new
        return new

    def update(self, known: Object, **changes: Any) -> Object:
        """Change fields of an object and store it; returns the earlier values of the fields that differ."""
        previous = {name: known.get(name) for name, value in changes.items() if known.get(name) != value}
        known.update(changes)
        self.connection.execute("update objects set body = ? where id = ?", (_json(known), known["id"]))
        self._loaded[known["id"]] = known
        return previous

    def find(self, object_id: str) -> Object | None:
        """The object of this id, of any kind."""
        row = self.connection.execute("select id, body from objects where id = ?", (object_id,)).fetchone()
        return None if row is None else self._load(row)

    def get(self, kind: str, object_id: str, param: str = "id") -> Object:
        """The object of this kind and id.

        Raises:
            StripeError: there is none: 404, or 400 where `param` names the id.
        """
        found = self.find(object_id)
        if found is None or found["object"] != kind or found.get("_is_deleted"):
            raise unknown_id(kind, object_id, param)
        return found

    def all(self, kind: str, **fields: Any) -> list[Object]:
        """The objects of a kind whose fields have these values, oldest first."""
        where, values = _conditions(fields)
        rows = self.connection.execute(
            f"select id, body from objects where kind = ?{where} order by created, seq",  # noqa: S608 - our own names
            (kind, *values),
        )
        return [self._load(row) for row in rows]

    def page(self, params: Params, kind: str, url: str, *, also: str = "", **fields: Any) -> Object:
        """A list as Stripe answers it, newest first.

        Args:
            params: holds limit, starting_after and created.
            kind: of the objects.
            url: of the list.
            also: a further condition in SQL, beginning with ` and`.
            fields: values that fields must have; None sets no condition.

        Raises:
            StripeError: a parameter is wrong, or the object to start after is unknown.
        """
        limit = params.integer("limit", low=1, high=MAX_LIMIT) or DEFAULT_LIMIT
        where, values = _conditions({name: value for name, value in fields.items() if value is not None})
        where += also + " and json_extract(body, '$._is_deleted') is null"
        created = params.nested("created")
        since = created and created.integer("gte")
        if since is not None:
            where += " and created >= ?"
            values.append(since)
        after = params.text("starting_after")
        if after is not None:
            row = self.connection.execute("select created, seq, kind from objects where id = ?", (after,)).fetchone()
            if row is None or row["kind"] != kind:
                raise unknown_id(kind, after, "starting_after")
            where += " and (created, seq) < (?, ?)"
            values += [row["created"], row["seq"]]
        rows = self.connection.execute(
            f"select id, body from objects where kind = ?{where} order by created desc, seq desc limit ?",  # noqa: S608
            (kind, *values, limit + 1),
        ).fetchall()
        return as_list([self._load(row) for row in rows[:limit]], url, has_more=len(rows) > limit)

    def _load(self, row: sqlite3.Row) -> Object:
        if row["id"] not in self._loaded:
            self._loaded[row["id"]] = msgspec.json.decode(row["body"])
        return self._loaded[row["id"]]

    # Notes

    def note(self, name: str, default: Any) -> Any:
        """A stored value."""
        row = self.connection.execute("select value from notes where name = ?", (name,)).fetchone()
        return default if row is None else msgspec.json.decode(row["value"])

    def write_note(self, name: str, value: Any) -> None:
        """Store a value."""
        self.connection.execute("insert or replace into notes (name, value) values (?, ?)", (name, _json(value)))

    # Events

    def emit(self, kind: str, about: Object, previous: Object | None = None, *, account: str | None = None) -> None:
        """Make an event, and queue its deliveries where an endpoint subscribes to its type.

        Args:
            kind: such as `charge.succeeded`.
            about: the object, as it is now.
            previous: the earlier values of its changed fields.
            account: the connected account in which it happened.
        """
        data: Object = {"object": visible(about)}
        if previous is not None:
            data["previous_attributes"] = visible(previous)
        is_delivered = bool(self.settings.webhook_url) and rules.names_type(self.settings.webhook_events, kind)
        event: Object = {
            "id": new_id("evt_"),
            "object": "event",
            "api_version": API_VERSION,
            "created": self.now,
            "data": data,
            "livemode": False,
            "pending_webhooks": int(is_delivered),
            "request": self._cause,
            "type": kind,
        }
        if account is not None:
            event["account"] = account
        self.insert(event)
        if is_delivered:
            for state in rules.delivery_states(self.connection, kind, _json(event)):
                self.connection.execute(
                    "insert into deliveries (event, state, due) values (?, ?, ?)", (event["id"], state, time.time())
                )


def as_list(data: list[Object], url: str, *, has_more: bool = False) -> Object:
    """Stripe's list object."""
    return {"object": "list", "data": data, "has_more": has_more, "url": url}


def visible(value: Any) -> Any:
    """A copy of an object without the double's own fields, whose names begin with an underscore."""
    if isinstance(value, dict):
        return {
            name: field if name == "metadata" else visible(field)
            for name, field in value.items()
            if not name.startswith("_")
        }
    return [visible(each) for each in value] if isinstance(value, list) else value


def _conditions(fields: Mapping[str, Any]) -> tuple[str, list[Any]]:
    where = "".join(f" and json_extract(body, '$.{name}') is ?" for name in fields)
    return where, list(fields.values())


def _json(value: Any) -> str:
    return msgspec.json.encode(value).decode()
