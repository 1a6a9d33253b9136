"""The catalogue of the edge's errors: GET /errors, and `python -m edge.http.catalogue`, which prints the same JSON."""

import sys

import msgspec
from litestar import Response, get

from edge.errors import catalogue
from edge.http.openapi import error_responses


class ErrorRow(msgspec.Struct, frozen=True, kw_only=True):
    """An error of the edge, as `rpc/error_catalogue` answers those of the database."""

    token: str
    """`message` of an answer."""
    status: int
    meaning: str
    hint: str


def rows() -> list[ErrorRow]:
    """Every error, by token."""
    return [
        ErrorRow(token=token, status=each.status, meaning=each.meaning, hint=each.hint)
        for token, each in sorted(catalogue().items())
    ]


@get(
    "/errors",
    summary="Every error of the edge",
    tags=["operations"],
    responses=error_responses(tokens=("rate_limited", "database_unavailable"), calls=("take_token",)),
    sync_to_thread=False,
)
def get_errors() -> Response[list[ErrorRow]]:
    """Those of the database are in `rpc/error_catalogue`: the edge passes them on unchanged."""
    return Response(rows(), headers={"cache-control": "public, max-age=3600"})


if __name__ == "__main__":
    sys.stdout.buffer.write(msgspec.json.encode(rows()))
