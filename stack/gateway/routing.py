"""Which part a path belongs to, and whether it needs an API key."""

from typing import Literal
from urllib.parse import unquote

import msgspec

PartName = Literal["rest", "auth", "storage", "edge"]


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """One server behind the gateway."""

    name: PartName
    prefix: str
    """What its paths begin with here; the part itself never sees it."""
    needs_key: bool
    open: frozenset[str] = frozenset()
    """Paths that browsers and verifiers open without a key, compared exactly so that no dot segment widens them."""
    probe: str = "/health"
    """Any path that it answers below 500 while it can work."""
    hidden: frozenset[str] = frozenset()
    """Paths that are for operators, who reach the part itself."""
    own_cors: bool = False
    """Whether it decides by itself which pages may call it."""


PARTS = (
    # PostgREST has no health path on its API port: it looks the function up in its schema cache, without a
    # query, and says 404; or 503 while it has no database.
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


def find_part(path: str) -> tuple[Part, str] | None:
    """The part that serves a raw path, and the path as that part sees it; None where nothing does."""
    for part in PARTS:
        rest = path.removeprefix(part.prefix)
        if rest != path and (not rest or rest.startswith("/")):
            is_hidden = part.hidden and _spelled_plainly(rest) in part.hidden
            return None if is_hidden else (part, rest or "/")
    return None


def is_schema_root(part: Part, path: str) -> bool:
    """Whether this asks PostgREST for its OpenAPI document, however the root is spelled."""
    return part.name == "rest" and not unquote(path).strip("/.")


def _spelled_plainly(path: str) -> str:
    """The path with its escapes read and its slashes single, as servers read it."""
    return "/" + "/".join(segment for segment in unquote(path).split("/") if segment)
