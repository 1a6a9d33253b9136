"""The sqlite file with everything that the double knows. A kill -9 loses nothing that was answered."""

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
    body text not null              -- JSON, as the API shows it
);
create index if not exists objects_kind_idx on objects (kind, created, seq);
create index if not exists objects_customer_idx on objects (kind, json_extract(body, '$.customer'));
create index if not exists objects_payment_intent_idx on objects (kind, json_extract(body, '$.payment_intent'));
create index if not exists objects_invoice_idx on objects (kind, json_extract(body, '$.invoice'));
create index if not exists objects_subscription_idx on objects (kind, json_extract(body, '$._subscription'));
create table if not exists notes (
    name text primary key,
    value text not null             -- JSON
);
create table if not exists remembered_answers (
    key text primary key,           -- an idempotency key
    fingerprint text not null,      -- of the request that first used it
    status integer not null,
    body text not null,
    request text not null,
    at real not null                -- seconds since 1970, by the real clock
);
create table if not exists tasks (
    seq integer primary key autoincrement,
    due integer not null,
    clock text,                     -- a test clock, or null for the real one
    name text not null,
    subject text not null,          -- an object's id
    unique (name, subject)
);
create index if not exists tasks_due_idx on tasks (clock, due);
create table if not exists rules (
    seq integer primary key autoincrement,
    kind text not null,
    body text not null,             -- JSON
    remaining integer               -- how many matches are left; null: until it is removed
);
create table if not exists deliveries (
    seq integer primary key autoincrement,
    event text not null,
    state text not null,            -- pending, held, delivered, failed, dropped
    due real not null,              -- seconds since 1970, by the real clock
    attempts integer not null default 0
);
create index if not exists deliveries_due_idx on deliveries (state, due);
"""
REMEMBERED_SECONDS = 24 * 3600
"""How long idempotency keys are remembered."""
TABLES = ("objects", "notes", "remembered_answers", "tasks", "rules", "deliveries")


class Store:
    """The file, over one connection of one thread. No transaction spans an `await`."""

    def __init__(self, folder: Path) -> None:
        """Open the file, and make it where it is missing, readable by its owner only. Raises OSError."""
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        file = folder / FILE
        os.close(os.open(file, os.O_RDWR | os.O_CREAT, 0o600))
        self.connection = sqlite3.connect(file, isolation_level=None)
        self.connection.row_factory = sqlite3.Row
        self.connection.execute("pragma journal_mode = wal")
        # A power cut may lose the last moments; the end of this process loses nothing.
        self.connection.execute("pragma synchronous = normal")
        self.connection.executescript(SCHEMA)
        self.connection.execute("delete from remembered_answers where at < ?", (time.time() - REMEMBERED_SECONDS,))

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """A transaction that commits at the end of the block, or rolls back where it raises."""
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
