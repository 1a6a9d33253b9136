"""The gateway's own errors, in the JSON shape that PostgREST uses and Supabase's clients read."""

from collections.abc import Mapping

import msgspec
from aiohttp import web


class GatewayError(Exception):
    """A request that the gateway itself refuses. `code` is the stable token; `message` and `hint` are for people."""

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


class BoundError(GatewayError):
    """A request that asks for more than one caller may have. Its answer has the form of the part's own errors."""

    def response_of(self, part: str, *, is_versioned: bool) -> web.Response:
        """The answer.

        Args:
            part: the part that the request is for.
            is_versioned: whether the client reads the newer form of auth's errors.
        """
        bodies: dict[str, dict[str, object]] = {
            "auth": {"code": self.status, "error_code": self.code, "msg": self.message},
            "storage": {
                "statusCode": str(self.status),
                "error": self.code,
                "code": self.code,
                "message": self.message,
            },
        }
        if part not in bodies or (part == "auth" and is_versioned):
            return self.response()
        content = msgspec.json.encode(bodies[part])
        return web.Response(status=self.status, body=content, headers=self.headers, content_type="application/json")
