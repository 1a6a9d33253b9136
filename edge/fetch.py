"""The one way in which the edge fetches a URL that a user gave: never from inside our own network.

The edge connects to exactly the address that it has checked. It looks the host's name up once, checks every address of
it, and connects to one of those; the name remains in `Host` and in the TLS handshake, where the certificate must be the
name's.
"""

import asyncio
import ipaddress
import re
import socket
import ssl
import zlib
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable, Collection, Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from urllib.parse import quote, urljoin, urlsplit

import httpx
import idna
import msgspec
import structlog

from common.tls import public_tls_context
from edge.errors import error

log = structlog.get_logger()

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network
Resolve = Callable[[str], Awaitable[Sequence[str]]]

MAX_URL = 2048
REDIRECTS = 3
CONNECT_SECONDS = 3.0
DEFAULT_PORTS = {"http": 80, "https": 443}
REDIRECTING = frozenset({301, 302, 303, 307, 308})
USER_AGENT = "guildhall"

NOT_IN_A_URL = re.compile(r"[\x00-\x20\x7f-\xa0\\\u2028\u2029]")
"""Characters that one URL parser drops or turns round and another keeps."""
ENDS_IN_A_NUMBER = re.compile(r"(?:.*\.)?(?:[0-9]+|0[xX][0-9a-fA-F]*)\Z")
"""A host that resolvers read as an IPv4 address, however it is written: 127.1, 2130706433, 0x7f000001."""

LABEL = r"[a-z0-9_](?:[a-z0-9_-]*[a-z0-9_])?"
HOST_NAME = re.compile(rf"{LABEL}(?:\.{LABEL})*")

NEVER = tuple(
    map(
        ipaddress.ip_network,
        [
            "168.63.129.16/32",  # Azure's metadata service, behind an address that looks public
            "192.0.0.0/24",  # for protocols; one cloud has its metadata service there
            "192.88.99.0/24",  # 6to4 relays
        ],
    )
)
PUBLIC_V6 = IPv6Network("2000::/3")
NOT_PUBLIC_V6 = tuple(
    map(
        IPv6Network,
        [
            "2001::/23",  # for protocols, Teredo among them: it holds an IPv4 address
            "2001:db8::/32",  # for documents
            "2002::/16",  # 6to4: it holds an IPv4 address
            "3fff::/20",  # for documents
        ],
    )
)
NAT64 = IPv6Network("64:ff9b::/96")
"""Holds an IPv4 address, which is the one that is reached."""


class Fetched(msgspec.Struct, frozen=True, kw_only=True):
    """What was at the URL."""

    url: str
    """The last one, after redirects."""
    media_type: str
    content: bytes


class Target(msgspec.Struct, frozen=True, kw_only=True):
    """A URL, parsed once, so that the edge requests exactly what it has checked."""

    scheme: str
    host: str
    port: int
    path: str
    """With the query, as sent."""

    @property
    def authority(self) -> str:
        """The header `Host`."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == DEFAULT_PORTS[self.scheme] else f"{host}:{self.port}"

    @property
    def url(self) -> str:
        """The whole URL."""
        return f"{self.scheme}://{self.authority}{self.path}"


class Fetcher:
    """Fetches URLs of users. Made once, and shared."""

    def __init__(
        self,
        *,
        ports: Collection[int] = (80, 443),
        resolve: Resolve | None = None,
        also_allowed: Collection[Network] = (),
        tls: ssl.SSLContext | None = None,
    ) -> None:
        """Prepare; no connection is kept between fetches.

        Args:
            ports: those that may be connected to.
            resolve: gives the addresses of a name; by default the system's resolver.
            also_allowed: networks that may be reached although they are not public, for tests.
            tls: the authorities to trust; by default those of public hosts.
        """
        self._ports = frozenset(ports)
        self._resolve = resolve or _resolve
        self._also_allowed = tuple(also_allowed)
        self._transport = httpx.AsyncHTTPTransport(
            verify=tls or public_tls_context(),
            limits=httpx.Limits(max_keepalive_connections=0),
            trust_env=False,
        )

    async def aclose(self) -> None:
        """Close what is open."""
        await self._transport.aclose()

    async def fetch(self, url: str, *, media_types: Collection[str], max_bytes: int, seconds: float = 10.0) -> Fetched:
        """Get what is at a URL, by GET, without cookies and without anything that identifies a user.

        Args:
            url: as the user gave it.
            media_types: those that are accepted, such as `image/png`.
            max_bytes: the most that is accepted, decompressed.
            seconds: for all of it, redirects included.

        Raises:
            EdgeError: 422 `url_refused`, `fetch_too_large` or `fetch_type_refused`; 502 `fetch_failed`; 504
                `fetch_timeout`.
        """
        try:
            async with asyncio.timeout(seconds):
                return await self._follow(url, frozenset(media_types), max_bytes)
        except TimeoutError:
            raise error("fetch_timeout") from None

    async def _follow(self, url: str, media_types: frozenset[str], max_bytes: int) -> Fetched:
        for _ in range(REDIRECTS + 1):
            target = parse(url, self._ports)
            response = await self._request(target, await self._public_addresses(target.host), media_types)
            try:
                if response.status_code not in REDIRECTING:
                    return await _take(target, response, media_types, max_bytes)
                location = response.headers.get("location", "")
            finally:
                await response.aclose()
            url = urljoin(target.url, location)
        raise error("fetch_failed", f"The address redirects more than {REDIRECTS} times.")

    async def _public_addresses(self, host: str) -> Sequence[str]:
        """The addresses of a host, all of which may be reached."""
        try:
            found = [host] if _is_address(host) else await self._resolve(host)
            addresses = [ipaddress.ip_address(address) for address in found]
        except (OSError, UnicodeError, ValueError):
            addresses = []
        # The same answer for a name that does not exist and for one inside our network: it must not tell which exist.
        if not addresses or not all(self._may_reach(address) for address in addresses):
            raise error("url_refused", "The address does not lead to a public host.")
        return [str(address) for address in addresses]

    def _may_reach(self, address: Address) -> bool:
        return is_public(address) or any(address in network for network in self._also_allowed)

    async def _request(self, target: Target, addresses: Sequence[str], media_types: frozenset[str]) -> httpx.Response:
        """The head of the answer of the first address that accepts a connection."""
        for address in addresses:
            host = f"[{address}]" if ":" in address else address
            request = httpx.Request(
                "GET",
                f"{target.scheme}://{host}:{target.port}{target.path}",
                headers={
                    "host": target.authority,
                    "user-agent": USER_AGENT,
                    "accept": ", ".join(sorted(media_types)),
                    "accept-encoding": "gzip, identity",
                },
                extensions={
                    "sni_hostname": target.host,
                    "timeout": httpx.Timeout(None, connect=CONNECT_SECONDS).as_dict(),
                },
            )
            try:
                return await self._transport.handle_async_request(request)
            except (httpx.ConnectError, httpx.ConnectTimeout) as failure:
                log.info("fetch_not_connected", error=type(failure).__name__)
            except httpx.TransportError as failure:
                log.info("fetch_broken", error=type(failure).__name__)
                break
        raise error("fetch_failed", "The address does not answer.")


def parse(url: str, ports: Collection[int] = (80, 443)) -> Target:
    """Parse a URL.

    Args:
        url: as the user gave it.
        ports: those that may be connected to.

    Raises:
        EdgeError: 422 `url_refused`, it is not a plain http(s) URL, or not of these ports.
    """
    if len(url) > MAX_URL or NOT_IN_A_URL.search(url):
        raise error("url_refused", "This is not an address.")
    try:
        parts = urlsplit(url)
        port = DEFAULT_PORTS[parts.scheme] if parts.port is None else parts.port
        host = _host(parts.hostname or "")
    except (KeyError, ValueError, idna.IDNAError):
        raise error("url_refused", "This is not a plain http or https address.") from None
    if "@" in parts.netloc:
        raise error("url_refused", "An address that names a user is not fetched.")
    if port not in ports:
        raise error("url_refused", "Nothing is fetched from this port.")
    path = quote(parts.path or "/", safe="/%:@!$&'()*+,;=~-._")
    query = f"?{quote(parts.query, safe='/%:@!$&()*+,;=~-._?')}" if parts.query else ""
    return Target(scheme=parts.scheme, host=host, port=port, path=path + query)


def is_public(address: Address) -> bool:
    """Whether an address is on the public internet, and neither private nor a way round to a private one."""
    if any(address in network for network in NEVER):
        return False
    if isinstance(address, IPv4Address):
        return address.is_global and not address.is_multicast
    if address in NAT64:
        return is_public(IPv4Address(address.packed[-4:]))
    return address in PUBLIC_V6 and not any(address in network for network in NOT_PUBLIC_V6)


def _host(written: str) -> str:
    """The host as it is looked up: in ASCII, in lower case, without the dot of the root.

    Raises:
        ValueError: it is not a host.
    """
    if ":" in written:
        return str(IPv6Address(written))
    host = written if written.isascii() else idna.encode(written, uts46=True).decode()
    host = host.lower().removesuffix(".")
    if ENDS_IN_A_NUMBER.match(host):
        return str(IPv4Address(host))
    if not HOST_NAME.fullmatch(host):
        raise ValueError(host)
    return host


def _is_address(host: str) -> bool:
    return ":" in host or ENDS_IN_A_NUMBER.match(host) is not None


async def _resolve(host: str) -> Sequence[str]:
    found = await asyncio.get_running_loop().getaddrinfo(host, None, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(sockaddr[0]) for _family, _type, _protocol, _name, sockaddr in found))


async def _take(target: Target, response: httpx.Response, media_types: frozenset[str], max_bytes: int) -> Fetched:
    if response.status_code != 200:
        raise error("fetch_failed", f"The address answers with the status {response.status_code}.")
    media_type = response.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type not in media_types:
        raise error("fetch_type_refused", ", ".join(sorted(media_types)))
    content = bytearray()
    try:
        async for piece in _decompressed(response, max_bytes):
            content += piece
            if len(content) > max_bytes:
                raise error("fetch_too_large", max_bytes)
    except (httpx.TransportError, zlib.error) as failure:
        log.info("fetch_broken", error=type(failure).__name__)
        raise error("fetch_failed", "The answer broke off, or is damaged.") from failure
    return Fetched(url=target.url, media_type=media_type, content=bytes(content))


async def _decompressed(response: httpx.Response, max_bytes: int) -> AsyncIterator[bytes]:
    """The body, decompressed by at most one byte more than is accepted at a time: a zip bomb costs no more memory."""
    if not isinstance(response.stream, AsyncIterable):
        raise TypeError("the body of the answer cannot be awaited")
    encoding = response.headers.get("content-encoding", "identity").strip().lower()
    if encoding == "identity":
        async for piece in response.stream:
            yield piece
        return
    if encoding not in {"gzip", "x-gzip"}:
        raise error("fetch_failed", "The answer has an encoding that the request did not accept.")
    decompressor = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16)
    async for compressed in response.stream:
        yield decompressor.decompress(compressed, max_bytes + 1)
        if decompressor.unconsumed_tail:
            raise error("fetch_too_large", max_bytes)
    if not decompressor.eof or decompressor.unused_data:
        raise zlib.error
