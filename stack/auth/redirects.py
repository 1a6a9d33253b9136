"""Where a link in a mail may lead: the site itself, or a place that the allow-list names.

The globs are Supabase's: `*` is any run without `.` or `/`, `**` any run, `?` one character but those two, `[a-z]` and
`[!a-z]` a choice, and a backslash takes the next character as it is.
"""

import re
from urllib.parse import SplitResult, parse_qsl, urlencode, urlsplit, urlunsplit

# No white space, control or non-ASCII character; no backslash, which browsers read as a slash and our parser does not.
PLAIN = re.compile(r"[!-\[\]-~]{1,2000}")
ACTIVE_SCHEMES = {"javascript", "data", "vbscript", "file", "blob"}
DEFAULT_PORTS = {"http": 80, "https": 443}


class Redirects:
    """The places to which this server sends browsers."""

    def __init__(self, *, site_url: str, globs: tuple[str, ...]) -> None:
        """Allow the site at `site_url` and what the globs match."""
        self.site_url = site_url
        self._site = _origin(urlsplit(site_url))
        self._globs = [re.compile(_pattern(glob)) for glob in globs]

    def choose(self, asked: str | None) -> str:
        """The place that was asked for where it is allowed, otherwise the site."""
        place = _without_fragment(asked or "")
        return place if place is not None and self._allows(place) else self.site_url

    def _allows(self, place: str) -> bool:
        parts = urlsplit(place)
        if parts.scheme in DEFAULT_PORTS and _origin(parts) == self._site:
            return True
        return any(glob.fullmatch(place) for glob in self._globs)


def with_fragment(place: str, values: dict[str, str]) -> str:
    """The place with these values after `#`, which browsers keep to themselves."""
    return f"{place}#{urlencode(sorted(values.items()))}"


def with_query(place: str, values: dict[str, str]) -> str:
    """The place with these values in its query, instead of those of the same names."""
    parts = urlsplit(place)
    kept = [(name, value) for name, value in parse_qsl(parts.query, keep_blank_values=True) if name not in values]
    return urlunsplit(parts._replace(query=urlencode([*kept, *values.items()])))


def _without_fragment(asked: str) -> str | None:
    """The address without its fragment; None where it is not a plain absolute address of a passive scheme."""
    if not PLAIN.fullmatch(asked):
        return None
    try:
        parts = urlsplit(asked)
        parts.port  # noqa: B018 (reading it is what raises)
    except ValueError:
        return None
    if not parts.scheme or parts.scheme in ACTIVE_SCHEMES or "@" in parts.netloc:
        return None
    if parts.scheme in DEFAULT_PORTS and not parts.hostname:
        return None
    return urlunsplit(parts._replace(fragment=""))


def _origin(parts: SplitResult) -> tuple[str, str | None, int | None]:
    return parts.scheme, parts.hostname, parts.port or DEFAULT_PORTS.get(parts.scheme)


def _pattern(glob: str) -> str:
    """The regular expression of a glob."""
    pieces = re.findall(r"\*\*|\[!?[^\]]+\]|\\.|.", glob)
    return "".join(_piece(piece) for piece in pieces)


def _piece(piece: str) -> str:
    if piece == "**":
        return ".*"
    if piece == "*":
        return "[^./]*"
    if piece == "?":
        return "[^./]"
    if len(piece) > 2 and piece[0] == "[":
        negated = piece[1] == "!"
        # The hyphen of a range keeps its meaning; everything else stands for itself.
        choice = re.escape(piece[2:-1] if negated else piece[1:-1]).replace(r"\-", "-")
        return f"[^{choice}]" if negated else f"[{choice}]"
    return re.escape(piece[-1])
