"""Where browsers may be sent back to from the payment provider's pages: to the installation's own sites only."""

from edge.errors import EdgeError
from edge.settings import Settings, canonical_origin

SESSION = "{CHECKOUT_SESSION_ID}"
"""What Stripe puts the session's id in place of."""
ENDS = ("/", "?", "#")
"""What may follow an origin in an address: anything else would make it another's."""


class Addresses:
    """The installation's own addresses."""

    def __init__(self, settings: Settings) -> None:
        self._site = settings.public_url
        own = [canonical_origin(settings.public_url), *settings.cors_origins]
        self._origins = tuple(origin for origin in own if origin and origin != "*")
        self._beginnings = tuple(origin + end for origin in self._origins for end in ENDS)

    def of(self, field: str, given: str | None, default: str) -> str:
        """An address as a client gave it, or the default, a path of the public site.

        Raises:
            EdgeError: 422 `url_foreign`, it is no address of ours.
        """
        if given is None:
            return f"{self._site}{default}"
        # Compared letter by letter, not parsed: two parsers may see two hosts in one address.
        is_own = given in self._origins or given.startswith(self._beginnings)
        if not is_own or not given.isascii() or not given.isprintable() or " " in given or "\\" in given:
            raise EdgeError(
                422, "url_foreign", f"{field} is no address of this installation.", "Send a page of your own site."
            )
        return given

    def of_success(self, given: str | None, default: str) -> str:
        """The same, with a place for the session's id.

        Raises:
            EdgeError: as `of`.
        """
        url = self.of("success_url", given, default)
        if SESSION in url:
            return url
        page, hash_, fragment = url.partition("#")
        return f"{page}{'&' if '?' in page else '?'}session_id={SESSION}{hash_}{fragment}"
