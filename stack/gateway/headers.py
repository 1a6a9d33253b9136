"""Headers on their way through the gateway. Every header passes that is not listed here."""

import ipaddress
import re
import uuid
from collections.abc import Iterator, Sequence

from aiohttp import web
from multidict import CIMultiDict, CIMultiDictProxy

from common.settings import Network

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
# The gateway sets these itself, or answers them (expect). The API key is not passed on: the parts get a token of its
# role, so that none of them can log the key.
OWN = frozenset({"host", "authorization", "apikey", "expect", "x-request-id"})
# Headers with which a client could claim another address. None is passed on.
CLIENT_ADDRESS = frozenset(
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
DROPPED = OWN | CLIENT_ADDRESS
FORWARDED = "x-forwarded-"
CORS = "access-control-"
DROPPED_FROM_ANSWERS = ("server", "x-powered-by", "x-request-id")

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
    """The client's own request id where it is safe to log, else a new one."""
    sent = request.headers.get("X-Request-Id", "")
    return sent if REQUEST_ID.fullmatch(sent) else uuid.uuid4().hex


def client_address(request: web.Request, proxies: Sequence[Network], *, is_server: bool) -> str:
    """The address from which a request comes: the peer's, or the one that trusted proxies report.

    Args:
        request: as received.
        is_server: whether it carries the secret key, and so comes from a frontend's own server. As on Supabase, that
            names its user's address in Sb-Forwarded-For, so that its users do not count as one.
        proxies: the trusted proxies. Each appends the address of its peer to X-Forwarded-For; whatever stands left of
            the first address that is not theirs may be forged.
    """
    reported = request.headers.get("Sb-Forwarded-For", "").partition(",")[0].strip()
    if is_server and _address(reported) is not None:
        return reported
    client = request.remote or ""
    hops = ",".join(request.headers.getall("X-Forwarded-For", ())).split(",")
    while hops and is_proxy(client, proxies):
        hop = hops.pop().strip()
        if _address(hop) is None:
            break
        client = hop
    return client


def is_proxy(text: str, proxies: Sequence[Network]) -> bool:
    """Whether an address is that of a trusted proxy."""
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
        request: as the client sent it.
        client: its address.
        authorization: the header's value for the part; None to send none.
        request_id: the request's id.
        port: the gateway's own, for X-Forwarded-Port.
    """
    headers: CIMultiDict[str] = CIMultiDict()
    for name, value in _end_to_end(request.headers):
        # Some servers read X_Forwarded_For as X-Forwarded-For.
        plain = name.lower().replace("_", "-")
        if plain not in DROPPED and not plain.startswith(FORWARDED):
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
    """The headers of the part's answer for the client, without the part's version.

    Args:
        answer: as the part sent them.
        own_cors: whether the part's CORS headers pass. The gateway sets those of all other parts.
    """
    dropped = DROPPED_FROM_ANSWERS if own_cors else (*DROPPED_FROM_ANSWERS, CORS)
    return CIMultiDict((name, value) for name, value in _end_to_end(answer) if not name.lower().startswith(dropped))


def is_preflight(request: web.Request) -> bool:
    """Whether this is a CORS preflight. Any other OPTIONS goes to the part."""
    is_cors = "Origin" in request.headers and "Access-Control-Request-Method" in request.headers
    return is_cors and request.method == "OPTIONS"


def preflight_answer(request: web.Request) -> web.Response:
    """The answer to a preflight. Any origin may call: tokens identify callers, not cookies, so credentials stay off."""
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
    """Add the CORS headers of the gateway, and of parts that leave them to it."""
    headers["Access-Control-Allow-Origin"] = "*"
    headers["Access-Control-Expose-Headers"] = EXPOSED
    # A browser must not guess another type for JSON that holds users' text.
    headers["X-Content-Type-Options"] = "nosniff"


def _end_to_end(headers: CIMultiDictProxy[str]) -> Iterator[tuple[str, str]]:
    dropped = HOP_BY_HOP
    if named := headers.getall("Connection", ()):
        dropped = dropped | {name.strip().lower() for value in named for name in value.split(",")}
    return ((name, value) for name, value in headers.items() if name.lower() not in dropped)
