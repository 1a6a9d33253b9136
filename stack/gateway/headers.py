"""What happens to headers on their way through: everything passes that is not listed here."""

import ipaddress
import re
import uuid
from collections.abc import Iterator, Sequence

from aiohttp import web
from multidict import CIMultiDict, CIMultiDictProxy

from stack.given import Network

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
# The gateway writes these itself, or answers them (expect). The API key ends here: the parts get its token, and no log
# behind the gateway ever sees it.
OURS = frozenset({"host", "authorization", "apikey", "expect", "x-request-id"})
# A client's own word about where it comes from is never passed on, by whichever name somebody may read it.
ORIGINS = frozenset(
    {
        "cf-connecting-ip",
        "cf-connecting-ipv6",
        "client-ip",
        "fastly-client-ip",
        "fly-client-ip",
        "forwarded",
        "sb-forwarded-for",
        "true-client-ip",
        "x-client-ip",
        "x-cluster-client-ip",
        "x-original-forwarded-for",
        "x-real-ip",
    }
)
NOT_PASSED = OURS | ORIGINS
FORWARDED = "x-forwarded-"
CORS = "access-control-"
NOT_THE_PARTS = ("server", "x-powered-by", "x-request-id")

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


def client_address(request: web.Request, proxies: Sequence[Network], *, is_server: bool) -> str:
    """Where a request comes from: whoever connected, or whom the proxies that are believed say it came from.

    Args:
        request: what was received.
        is_server: whether it carries the secret key: a frontend's own server, which says in Sb-Forwarded-For, as on
            Supabase, for whom it asks, so that its users do not count as one.
        proxies: whose X-Forwarded-For is believed. Each wrote down who connected to it, at the end of the header; what
            stands further left than the first stranger, he wrote himself.
    """
    said = request.headers.get("Sb-Forwarded-For", "").partition(",")[0].strip()
    if is_server and _address(said) is not None:
        return said
    believed = request.remote or ""
    hops = ",".join(request.headers.getall("X-Forwarded-For", ())).split(",")
    while hops and _is_proxy(believed, proxies):
        hop = hops.pop().strip()
        if _address(hop) is None:
            break
        believed = hop
    return believed


def _is_proxy(text: str, proxies: Sequence[Network]) -> bool:
    address = _address(text)
    return address is not None and any(address in network for network in proxies)


def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        return None


def to_part(
    request: web.Request, *, client: str, authorization: str | None, request_id: str, port: int
) -> CIMultiDict[str]:
    """The headers of the request to the part.

    Args:
        request: what the client sent.
        client: where it comes from.
        authorization: the header that the part shall see; None for none.
        request_id: ditto.
        port: the gateway's own, for X-Forwarded-Port.
    """
    headers: CIMultiDict[str] = CIMultiDict()
    for name, value in _end_to_end(request.headers):
        # Some servers read X_Forwarded_For as the same header.
        plain = name.lower().replace("_", "-")
        if plain not in NOT_PASSED and not plain.startswith(FORWARDED):
            headers.add(name, value)
    if authorization is not None:
        headers["Authorization"] = authorization
    headers["X-Forwarded-For"] = client
    headers["X-Forwarded-Host"] = request.host
    headers["X-Forwarded-Port"] = str(port)
    headers["X-Forwarded-Proto"] = request.scheme
    headers["X-Request-Id"] = request_id
    return headers


def to_client(answer: CIMultiDictProxy[str], *, own_cors: bool) -> CIMultiDict[str]:
    """The headers of the part's answer, without its version.

    Args:
        answer: what the part sent.
        own_cors: whether the part's word to browsers counts; else CORS is the gateway's, whatever the part says.
    """
    dropped = NOT_THE_PARTS if own_cors else (*NOT_THE_PARTS, CORS)
    return CIMultiDict((name, value) for name, value in _end_to_end(answer) if not name.lower().startswith(dropped))


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
    """What the gateway's answers say to browsers, and those of parts that leave it to the gateway."""
    headers["Access-Control-Allow-Origin"] = "*"
    headers["Access-Control-Expose-Headers"] = EXPOSED
    # JSON that holds somebody's words is never what a browser guesses it to be.
    headers["X-Content-Type-Options"] = "nosniff"


def _end_to_end(headers: CIMultiDictProxy[str]) -> Iterator[tuple[str, str]]:
    dropped = HOP_BY_HOP
    if named := headers.getall("Connection", ()):
        dropped = dropped | {name.strip().lower() for value in named for name in value.split(",")}
    return ((name, value) for name, value in headers.items() if name.lower() not in dropped)
