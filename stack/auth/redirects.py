"""The addresses to which a link in a mail may redirect: the site itself, and those that the allow-list names.

The globs are Supabase's: `*` is any run without `.` or `/`, `**` any run, `?` one character but those two, `[a-z]` and
`[!a-z]` a choice, and a backslash takes the next character as it is.
"""

import re
from urllib.parse import SplitResult, parse_qsl, urlencode, urlsplit, urlunsplit

# No white space, control or non-ASCII character; no backslash, which browsers read as a slash and our parser does not.
PLAIN_URL = re.compile(r"[!-\[\]-~]{1,2000}")
ACTIVE_SCHEMES = {"javascript", "data", "vbscript", "file", "blob"}
DEFAULT_PORTS = {"http": 80, "https": 443}


class Redirects:
    """The addresses to which this server redirects browsers."""

    def __init__(self, *, site_url: str, globs: tuple[str, ...]) -> None:
        """Allow the site at `site_url` and what the globs match."""
        self.site_url = site_url
        self._site = _origin(urlsplit(site_url))
        self._globs = [re.compile(_pattern(glob)) for glob in globs]

    def choose(self, requested: str | None) -> str:
        """The requested address if it is allowed, otherwise the site."""
        url = _without_fragment(requested or "")
        return url if url is not None and self._allows(url) else self.site_url

    def _allows(self, url: str) -> bool:
        parts = urlsplit(url)
        if parts.scheme in DEFAULT_PORTS and _origin(parts) == self._site:
            return True
        return any(glob.fullmatch(url) for glob in self._globs)


def with_fragment(url: str, values: dict[str, str]) -> str:
    """The address with these values after `#`, which browsers send to no server."""
    return f"{url}#{urlencode(sorted(values.items()))}"


def with_query(url: str, values: dict[str, str]) -> str:
    """The address with these values in its query, instead of values of the same names."""
    parts = urlsplit(url)
    others = [(name, value) for name, value in parse_qsl(parts.query, keep_blank_values=True) if name not in values]
    return urlunsplit(parts._replace(query=urlencode([*others, *values.items()])))


def _without_fragment(requested: str) -> str | None:
    """The address without its fragment; None where it is not a plain absolute address of a passive scheme."""
    if not PLAIN_URL.fullmatch(requested):
        return None
    try:
        parts = urlsplit(requested)
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
        # The hyphen of a range keeps its meaning. Everything else stands for itself.
        choice = re.escape(piece[2:-1] if negated else piece[1:-1]).replace(r"\-", "-")
        return f"[^{choice}]" if negated else f"[{choice}]"
    return re.escape(piece[-1])
