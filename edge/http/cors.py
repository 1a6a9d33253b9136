"""CORS: which pages may call the edge from a browser. The operator lists their exact origins."""

import re
from collections.abc import Iterable

RawHeaders = list[tuple[bytes, bytes]]

METHODS = b"GET, HEAD, POST, PUT, PATCH, DELETE"
EXPOSED = b"content-disposition, etag, retry-after, x-request-id"
MAX_AGE = b"3600"
"""Seconds for which a browser remembers the answer to a preflight."""
NOT_A_HEADER_NAME = re.compile(rb"[^A-Za-z0-9_, -]")


class Cors:
    """The CORS headers of answers. A token identifies a caller, never a cookie, so credentials stay off."""

    def __init__(self, origins: Iterable[str]) -> None:
        """Args: origins: as browsers write them, or only `*`."""
        self._listed = frozenset(origin.encode() for origin in origins)
        self._allows_every_origin = b"*" in self._listed

    def allows(self, origin: bytes | None) -> bool:
        """Whether pages of an origin may read answers."""
        return self._allows_every_origin or origin in self._listed

    def headers(self, origin: bytes | None) -> RawHeaders:
        """The headers of every answer.

        Args:
            origin: of the request; None where it has none.
        """
        if self._allows_every_origin:
            allowed = [(b"access-control-allow-origin", b"*")]
        elif origin is not None and self.allows(origin):
            allowed = [(b"vary", b"Origin"), (b"access-control-allow-origin", origin)]
        else:
            return [(b"vary", b"Origin")]
        return [*allowed, (b"access-control-expose-headers", EXPOSED)]

    def preflight(self, wanted: bytes) -> RawHeaders:
        """More headers of the answer to a preflight of an origin that may call.

        Args:
            wanted: the headers that the page wants to send. All are allowed: they decide nothing by themselves, and
                clients send new ones with every version.
        """
        headers = [
            (b"access-control-allow-methods", METHODS),
            (b"access-control-max-age", MAX_AGE),
            (b"vary", b"Access-Control-Request-Headers"),
        ]
        named = NOT_A_HEADER_NAME.sub(b"", wanted)
        return [*headers, (b"access-control-allow-headers", named)] if named else headers
