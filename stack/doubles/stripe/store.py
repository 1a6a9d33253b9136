"""The one sqlite file: everything that the double knows, so that a kill -9 loses nothing that was answered."""

import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

FILE = "stripe.sqlite3"
SCHEMA = """
create table if not exists objects (
    seq integer primary key autoincrement,
    id text not null unique,
    kind text not null,
    created integer not null,       -- seconds since 1970, by the clock that the object follows
    body text not null              -- as the API shows it
);
create index if not exists objects_kind_idx on objects (kind, created, seq);
create index if not exists objects_customer_idx on objects (kind, json_extract(body, '$.customer'));
create index if not exists objects_charge_idx on objects (kind, json_extract(body, '$.charge'));
create index if not exists objects_payment_intent_idx on objects (kind, json_extract(body, '$.payment_intent'));
create index if not exists objects_source_idx on objects (kind, json_extract(body, '$.source'));
create index if not exists objects_invoice_idx on objects (kind, json_extract(body, '$.invoice'));
create index if not exists objects_subscription_idx on objects (kind, json_extract(body, '$._subscription'));
create table if not exists notes (
    name text primary key,
    value text not null             -- JSON
);
create table if not exists answers (
    key text primary key,           -- an idempotency key
    fingerprint text not null,      -- of the request that it was first used with
    status integer not null,
    body text not null,
    request text not null,
    at real not null                -- seconds since 1970, by the real clock
);
create table if not exists agenda (
    seq integer primary key autoincrement,
    due integer not null,
    clock text,                     -- a test clock, or null for the global one
    task text not null,
    subject text not null,          -- an object's id
    unique (task, subject)
);
create index if not exists agenda_due_idx on agenda (clock, due);
create table if not exists rules (
    seq integer primary key autoincrement,
    kind text not null,
    body text not null,             -- JSON
    remaining integer               -- how often it still holds; null: until it is removed
);
create table if not exists deliveries (
    seq integer primary key autoincrement,
    event text not null,
    state text not null,            -- pending, held, delivered, failed, dropped
    due real not null,              -- seconds since 1970, by the real clock
    attempts integer not null default 0
);
create index if not exists deliveries_due_idx on deliveries (state, due);
create index if not exists deliveries_event_idx on deliveries (event);
create table if not exists attempts (
    seq integer primary key autoincrement,
    delivery integer not null,
    at real not null,
    status integer,                 -- of HTTP; null where there was no answer
    error text,
    seconds real not null
);
create index if not exists attempts_delivery_idx on attempts (delivery);
"""
REMEMBERED = 24 * 3600
"""Seconds that idempotency keys are remembered."""
TABLES = ("objects", "notes", "answers", "agenda", "rules", "deliveries", "attempts")


class Store:
    """The file, over one connection. It is used by one thread, and no transaction spans an `await`."""

    def __init__(self, folder: Path) -> None:
        """Open the file, and make it where it is missing; only its owner can read it. Raises OSError."""
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        file = folder / FILE
        os.close(os.open(file, os.O_RDWR | os.O_CREAT, 0o600))
        self.connection = sqlite3.connect(file, isolation_level=None)
        self.connection.row_factory = sqlite3.Row
        self.connection.execute("pragma journal_mode = wal")
        # A power cut may lose the last moments, the end of this process nothing.
        self.connection.execute("pragma synchronous = normal")
        self.connection.executescript(SCHEMA)
        self.connection.execute("delete from answers where at < ?", (time.time() - REMEMBERED,))

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """All or nothing."""
        self.connection.execute("begin immediate")
        try:
            yield self.connection
        except BaseException:
            self.connection.execute("rollback")
            raise
        self.connection.execute("commit")

    def clear(self) -> None:
        """Forget everything."""
        with self.transaction() as connection:
            for table in TABLES:
                connection.execute(f"delete from {table}")  # noqa: S608 - our own names

    def close(self) -> None:
        """Close the file."""
        self.connection.close()
