"""The gateway's own refusals, in the JSON shape that PostgREST uses and Supabase's clients read."""

from collections.abc import Mapping

import msgspec
from aiohttp import web


class GatewayError(Exception):
    """A request that the gateway refuses itself. `code` is the stable token; `message` and `hint` are for people."""

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        hint: str | None = None,
        *,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(code)
        self.headers = headers
        self.status = status
        self.code = code
        self.message = message
        self.hint = hint

    def response(self) -> web.Response:
        """The answer for the client."""
        body = {"code": self.code, "message": self.message, "details": None, "hint": self.hint}
        content = msgspec.json.encode(body)
        return web.Response(status=self.status, body=content, headers=self.headers, content_type="application/json")
