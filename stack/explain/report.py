"""What an explanation says, in a form for programs; text.py writes it for people."""

from typing import Any, Literal

import msgspec

Verb = Literal["select", "insert", "update", "delete"]
Holds = bool | None | str
"""What became of an expression about a row: true, false, null, or the error that it ended in."""


class Person(msgspec.Struct, frozen=True, kw_only=True):
    """Whose request it is."""

    name: str
    """As asked: an address, an id, `anon` or `service_role`."""
    role: str
    """The database's role."""
    bypasses_policies: bool
    user_id: str | None = None
    standing: str | None = None
    roles: tuple[str, ...] = ()
    """Of user_roles."""


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What PostgREST answers."""

    status: int
    rows: int | None = None
    """How many it is about: in the answer, or written."""
    error: dict[str, Any] | None = None
    body: Any = None


class Policy(msgspec.Struct, frozen=True, kw_only=True):
    """One policy that counts here."""

    name: str
    is_permissive: bool
    joined_by: Literal["any", "all"]
    """Of its terms, one must hold, or all."""
    terms: tuple[str, ...]


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One row, and what the policies say of it."""

    key: dict[str, Any]
    passes: bool
    policies: dict[str, Holds]
    terms: dict[str, tuple[Holds, ...]]
    """By the policy's name, in the order of its terms."""
    is_answered: bool | None = None
    """Whether the answer has it; a row may pass and yet be missing because of another table, or not be asked about."""


class Check(msgspec.Struct, frozen=True, kw_only=True):
    """One question that policies decide."""

    verb: Verb
    kind: Literal["using", "with check"]
    """Of rows as they are, or as they would be written; of those, the policies of select are asked too."""
    policies: tuple[Policy, ...]
    rows: tuple[Row, ...]


class Relation(msgspec.Struct, frozen=True, kw_only=True):
    """A table or view of the request."""

    name: str
    role: str
    """What it is to the request: `asked`, `embedded as ...`, `beneath ...`."""
    grants: tuple[str, ...]
    lacking: tuple[str, ...]
    """Privileges without which the request is refused, whatever the policies say."""
    is_open: bool = False
    """No policy binds: row level security is off."""
    matching: int | None = None
    """Rows that fit the filters, whoever asks."""
    checks: tuple[Check, ...] = ()
    notes: tuple[str, ...] = ()


class Function(msgspec.Struct, frozen=True, kw_only=True):
    """A function of the request, in one of its forms."""

    signature: str
    may_execute: bool
    runs_as: Literal["caller", "owner"]
    about: str | None


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """The whole explanation."""

    method: str
    path: str
    person: Person
    answer: Answer
    relations: tuple[Relation, ...] = ()
    functions: tuple[Function, ...] = ()
    notes: tuple[str, ...] = ()
