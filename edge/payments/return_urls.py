"""Where browsers return to from pages of the payment provider: only to sites of this installation."""

from collections.abc import Iterable

from edge.errors import error
from edge.settings import canonical_origin

SESSION = "{CHECKOUT_SESSION_ID}"
"""Stripe puts the id of the session in its place."""
ENDS = ("/", "?", "#")
"""What may follow an origin in a URL: anything else would make it another origin."""


class ReturnUrls:
    """The URLs of this installation."""

    def __init__(self, public_url: str, origins: Iterable[str]) -> None:
        """Args: the public site, and other origins whose pages may be returned to; `*` names none."""
        self._site = public_url
        own = [canonical_origin(public_url), *origins]
        self._origins = tuple(origin for origin in own if origin and origin != "*")
        self._beginnings = tuple(origin + end for origin in self._origins for end in ENDS)

    def checked(self, field: str, url: str | None, default: str) -> str:
        """A URL that a client sent, or the default, a path of the public site.

        Args:
            field: the name of the client's field, for the error.
            url: as the client sent it.
            default: the path, where the client sent none.

        Raises:
            EdgeError: 422 `url_foreign`.
        """
        if url is None:
            return f"{self._site}{default}"
        # Compared character by character, not parsed: two parsers may find two hosts in one URL.
        is_own = url in self._origins or url.startswith(self._beginnings)
        if not is_own or not url.isascii() or not url.isprintable() or " " in url or "\\" in url:
            raise error("url_foreign", field)
        return url

    def checked_with_session(self, field: str, url: str | None, default: str) -> str:
        """The same, with a placeholder for the id of the session.

        Raises:
            EdgeError: 422 `url_foreign`.
        """
        url = self.checked(field, url, default)
        if SESSION in url:
            return url
        page, hash_, fragment = url.partition("#")
        return f"{page}{'&' if '?' in page else '?'}session_id={SESSION}{hash_}{fragment}"
