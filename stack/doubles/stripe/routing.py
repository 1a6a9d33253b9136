"""Routing by method and path."""

import re
from collections.abc import Sequence
from typing import Generic, TypeVar
from urllib.parse import unquote

H = TypeVar("H")


class Router(Generic[H]):
    """Handlers by method and pattern; in a pattern, `{}` stands for one segment of the path."""

    def __init__(self, rows: Sequence[tuple[str, H]]) -> None:
        """Take rows such as `("GET /v1/charges/{}", retrieve)`. Of two that match, the first one answers."""
        self._rows = []
        for route, handler in rows:
            method, _, pattern = route.partition(" ")
            parts = [re.escape(part) for part in pattern.split("{}")]
            self._rows.append((method, re.compile("([^/]+)".join(parts)), handler))

    def find(self, method: str, path: str) -> tuple[H, tuple[str, ...]] | None:
        """The handler, and the segments that `{}` stood for; None where nothing matches."""
        for known, pattern, handler in self._rows:
            if known == method and (found := pattern.fullmatch(path)) is not None:
                return handler, tuple(unquote(segment) for segment in found.groups())
        return None
