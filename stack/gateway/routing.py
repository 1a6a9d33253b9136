"""The parts behind the gateway, and which of them serves a path."""

from typing import Literal
from urllib.parse import unquote

import msgspec

PartName = Literal["rest", "auth", "storage", "edge"]


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """One server behind the gateway."""

    name: PartName
    prefix: str
    """How its paths begin here. The part itself never sees the prefix."""
    needs_key: bool
    open: frozenset[str] = frozenset()
    """Paths that browsers and verifiers open without a key. They are compared exactly, so that no dot segment adds to
    them."""
    probe: str = "/health"
    """A path that it answers with a status below 500 while it can work."""
    hidden: frozenset[str] = frozenset()
    """Paths for operators, who call the part itself."""
    own_cors: bool = False
    """Whether it sets the CORS headers of its answers itself."""


PARTS = (
    # PostgREST has no health path on its API port. It looks this function up in its schema cache, without a query, and
    # answers 404, or 503 while it has no database.
    Part(name="rest", prefix="/rest/v1", needs_key=True, probe="/rpc/health"),
    Part(
        name="auth",
        prefix="/auth/v1",
        needs_key=True,
        open=frozenset({"/verify", "/callback", "/authorize", "/.well-known/jwks.json", "/health"}),
    ),
    Part(name="storage", prefix="/storage/v1", needs_key=False),
    Part(name="edge", prefix="/functions/v1", needs_key=False, hidden=frozenset({"/metrics"}), own_cors=True),
)


def find_part(path: str, parts: tuple[Part, ...] = PARTS) -> tuple[Part, str] | None:
    """The part that serves a raw path, and the path as that part sees it; None where no part does."""
    for part in parts:
        rest = path.removeprefix(part.prefix)
        if rest != path and (not rest or rest.startswith("/")):
            is_hidden = part.hidden and _normalised(rest) in part.hidden
            return None if is_hidden else (part, rest or "/")
    return None


def is_schema_root(part: Part, path: str) -> bool:
    """Whether this requests PostgREST's OpenAPI document, in any spelling of the root."""
    return part.name == "rest" and not unquote(path).strip("/.")


def called(part: Part, path: str, *, is_read: bool) -> str | None:
    """The function of PostgREST that a request calls, or the table that it writes, in any spelling; else None."""
    if part.name != "rest":
        return None
    name = _normalised(path)
    return name if name.startswith("/rpc/") or not is_read else None


def _normalised(path: str) -> str:
    """The path as servers read it: decoded, with single slashes."""
    return "/" + "/".join(segment for segment in unquote(path).split("/") if segment)
