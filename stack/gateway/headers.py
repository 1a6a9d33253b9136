"""What happens to headers on their way through: everything passes that is not listed here."""

import re
import uuid
from collections.abc import Iterator

from aiohttp import web
from multidict import CIMultiDict, CIMultiDictProxy

HOP_BY_HOP = frozenset(
    {
        "connection",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)
# The gateway writes these itself, or answers them (expect). A client's own word about where it comes from is never
# passed on. The API key ends here: the parts get its token, and no log behind the gateway ever sees it.
OURS = frozenset({"host", "authorization", "apikey", "expect", "x-request-id", "forwarded", "x-real-ip"})
FORWARDED = "x-forwarded-"
CORS = "access-control-"

REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,128}")
NOT_A_HEADER_NAME = re.compile(r"[^A-Za-z0-9_, -]")

EXPOSED = ", ".join(
    [
        "Accept-Ranges",
        "Content-Disposition",
        "Content-Encoding",
        "Content-Length",
        "Content-Location",
        "Content-Profile",
        "Content-Range",
        "Content-Type",
        "Date",
        "ETag",
        "Last-Modified",
        "Link",
        "Location",
        "Preference-Applied",
        "Range-Unit",
        "Retry-After",
        "Server",
        "X-Request-Id",
        "X-Sb-Error-Code",
        "X-Supabase-Api-Version",
        "X-Total-Count",
    ]
)
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")


def request_id(request: web.Request) -> str:
    """The client's own request id where it is harmless to log, else a new one."""
    given = request.headers.get("X-Request-Id", "")
    return given if REQUEST_ID.fullmatch(given) else uuid.uuid4().hex


def to_part(request: web.Request, *, authorization: str | None, request_id: str, port: int) -> CIMultiDict[str]:
    """The headers of the request to the part.

    Args:
        request: what the client sent.
        authorization: the header that the part shall see; None for none.
        request_id: ditto.
        port: the gateway's own, for X-Forwarded-Port.
    """
    headers: CIMultiDict[str] = CIMultiDict()
    for name, value in _end_to_end(request.headers):
        # Some servers read X_Forwarded_For as the same header.
        plain = name.lower().replace("_", "-")
        if plain not in OURS and not plain.startswith(FORWARDED):
            headers.add(name, value)
    if authorization is not None:
        headers["Authorization"] = authorization
    headers["X-Forwarded-For"] = request.remote or ""
    headers["X-Forwarded-Host"] = request.host
    headers["X-Forwarded-Port"] = str(port)
    headers["X-Forwarded-Proto"] = request.scheme
    headers["X-Request-Id"] = request_id
    return headers


def to_client(answer: CIMultiDictProxy[str]) -> CIMultiDict[str]:
    """The headers of the part's answer; CORS is the gateway's, whatever the part says."""
    return CIMultiDict(
        (name, value) for name, value in _end_to_end(answer) if not name.lower().startswith((CORS, "x-request-id"))
    )


def is_preflight(request: web.Request) -> bool:
    """Whether a browser asks if it may send a request; any other OPTIONS goes to the part."""
    asks = "Origin" in request.headers and "Access-Control-Request-Method" in request.headers
    return asks and request.method == "OPTIONS"


def preflight_answer(request: web.Request) -> web.Response:
    """Any origin may call: a caller is known by the token it sends, never by a cookie, so credentials stay off."""
    requested = NOT_A_HEADER_NAME.sub("", request.headers.get("Access-Control-Request-Headers", ""))
    headers = {
        "Access-Control-Allow-Methods": ", ".join(METHODS),
        "Access-Control-Max-Age": "3600",
        "Vary": "Access-Control-Request-Headers",
    }
    if requested:
        headers["Access-Control-Allow-Headers"] = requested
    return web.Response(status=204, headers=headers)


def add_cors(headers: CIMultiDict[str]) -> None:
    """What every answer says to browsers."""
    headers["Access-Control-Allow-Origin"] = "*"
    headers["Access-Control-Expose-Headers"] = EXPOSED


def _end_to_end(headers: CIMultiDictProxy[str]) -> Iterator[tuple[str, str]]:
    dropped = HOP_BY_HOP
    if named := headers.getall("Connection", ()):
        dropped = dropped | {name.strip().lower() for value in named for name in value.split(",")}
    return ((name, value) for name, value in headers.items() if name.lower() not in dropped)
