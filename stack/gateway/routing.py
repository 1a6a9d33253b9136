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
    Part(name="edge", prefix="/functions/v1", needs_key=False),
)


def find_part(path: str) -> tuple[Part, str] | None:
    """The part that serves a raw path, and the path as that part sees it; None where nothing does."""
    for part in PARTS:
        rest = path.removeprefix(part.prefix)
        if rest != path and (not rest or rest.startswith("/")):
            return part, rest or "/"
    return None


def is_schema_root(part: Part, path: str) -> bool:
    """Whether this asks PostgREST for its OpenAPI document, however the root is spelled."""
    return part.name == "rest" and not unquote(path).strip("/.")
