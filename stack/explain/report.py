"""An explanation, in a form for programs; text.py writes it for people."""

from typing import Any, Literal

import msgspec

Verb = Literal["select", "insert", "update", "delete"]
Result = bool | None | str
"""The value of an expression for a row: true, false, null, or the message of the error that it ended in."""


class Person(msgspec.Struct, frozen=True, kw_only=True):
    """The user who makes the request."""

    name: str
    """As given by --as: an address, an id, `anon` or `service_role`."""
    role: str
    """The database's role."""
    bypasses_policies: bool
    user_id: str | None = None
    status: str | None = None
    """The status of the account, from the project's `user_query`; None without one."""
    roles: tuple[str, ...] = ()
    """From the project's `user_query`."""


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What PostgREST answers."""

    status: int
    rows: int | None = None
    """How many the answer holds, or the request wrote."""
    error: dict[str, Any] | None = None
    body: Any = None


class Policy(msgspec.Struct, frozen=True, kw_only=True):
    """One policy that applies to the user and the verb."""

    name: str
    is_permissive: bool
    joined_by: Literal["any", "all"]
    """Whether one of its terms must hold, or all."""
    terms: tuple[str, ...]


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One row, and the results of the policies for it."""

    key: dict[str, Any]
    passes: bool
    policies: dict[str, Result]
    terms: dict[str, tuple[Result, ...]]
    """By the policy's name, in the order of its terms."""
    is_answered: bool | None = None
    """Whether the answer has it; None where that is not known. A row may pass and yet be missing because of another
    table."""


class Check(msgspec.Struct, frozen=True, kw_only=True):
    """One decision of policies."""

    verb: Verb
    kind: Literal["using", "with check"]
    """About rows as they are, or as they would be written. The policies for select apply to the latter too."""
    policies: tuple[Policy, ...]
    rows: tuple[Row, ...]


class Relation(msgspec.Struct, frozen=True, kw_only=True):
    """A table or view of the request."""

    schema: str
    name: str
    role: str
    """Its part in the request: `requested`, `embedded in ...`, `underlying ...`."""
    grants: tuple[str, ...]
    lacking: tuple[str, ...]
    """Missing privileges, without which the request is refused."""
    is_open: bool = False
    """Whether row level security is off."""
    matching: int | None = None
    """How many rows match the filters, policies aside."""
    checks: tuple[Check, ...] = ()
    notes: tuple[str, ...] = ()


class Function(msgspec.Struct, frozen=True, kw_only=True):
    """One overload of the function that the request calls."""

    signature: str
    may_execute: bool
    runs_as: Literal["caller", "owner"]
    about: str | None
    required: tuple[str, ...] = ()
    """The arguments without a default."""
    optional: tuple[str, ...] = ()


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """The whole explanation."""

    method: str
    path: str
    person: Person
    answer: Answer
    relations: tuple[Relation, ...] = ()
    functions: tuple[Function, ...] = ()
    notes: tuple[str, ...] = ()
