"""The one way in which the edge fetches an address that a user gave: never from inside our own network.

What is checked is what is connected to. The host's name is looked up once, every address that it has is judged, and the
connection goes to one of those addresses itself; the name remains in `Host` and in the TLS handshake, where the
certificate must be the name's.
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

from edge.errors import EdgeError
from edge.upstream import public_authorities

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
"""What one reader of addresses drops or turns round and another keeps."""
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
    """What was at the address."""

    url: str
    """The last address, after redirects."""
    media_type: str
    content: bytes


class Target(msgspec.Struct, frozen=True, kw_only=True):
    """An address, taken apart once: what is judged, and what is asked for, cannot be two things."""

    scheme: str
    host: str
    port: int
    path: str
    """And query, as they go out."""

    @property
    def authority(self) -> str:
        """For `Host`."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == DEFAULT_PORTS[self.scheme] else f"{host}:{self.port}"

    @property
    def url(self) -> str:
        """The whole of it."""
        return f"{self.scheme}://{self.authority}{self.path}"


class Fetcher:
    """Fetches what users point to. Made once, and shared."""

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
            ports: those that may be asked.
            resolve: gives the addresses of a name; the system's resolver where it is left out.
            also_allowed: networks that may be reached although they are not public, for tests.
            tls: whom to trust; the public authorities where it is left out.
        """
        self._ports = frozenset(ports)
        self._resolve = resolve or _resolve
        self._also_allowed = tuple(also_allowed)
        self._transport = httpx.AsyncHTTPTransport(
            verify=tls or public_authorities(),
            limits=httpx.Limits(max_keepalive_connections=0),
            trust_env=False,
        )

    async def aclose(self) -> None:
        """Close what is open."""
        await self._transport.aclose()

    async def fetch(self, url: str, *, media_types: Collection[str], max_bytes: int, seconds: float = 10.0) -> Fetched:
        """Get what is at an address, by GET, without cookies and without any word about who asks.

        Args:
            url: what the user gave.
            media_types: those that are taken, such as `image/png`.
            max_bytes: the most that is taken, unpacked.
            seconds: for all of it, redirects included.

        Raises:
            EdgeError: 422 `url_refused`, the address is not one to fetch; 422 `fetch_too_large`; 422
                `fetch_type_refused`; 502 `fetch_failed`, whoever is there does not give it; 504 `fetch_timeout`.
        """
        try:
            async with asyncio.timeout(seconds):
                return await self._follow(url, frozenset(media_types), max_bytes)
        except TimeoutError:
            raise EdgeError(504, "fetch_timeout", "The address took too long to answer.") from None

    async def _follow(self, url: str, media_types: frozenset[str], max_bytes: int) -> Fetched:
        for _ in range(REDIRECTS + 1):
            target = parse(url, self._ports)
            response = await self._ask(target, await self._judged(target.host), media_types)
            try:
                if response.status_code not in REDIRECTING:
                    return await _take(target, response, media_types, max_bytes)
                location = response.headers.get("location", "")
            finally:
                await response.aclose()
            url = urljoin(target.url, location)
        raise EdgeError(502, "fetch_failed", f"The address leads elsewhere more than {REDIRECTS} times.")

    async def _judged(self, host: str) -> Sequence[str]:
        """The addresses of a host, all of them such that they may be reached."""
        try:
            found = [host] if _is_address(host) else await self._resolve(host)
            addresses = [ipaddress.ip_address(address) for address in found]
        except (OSError, UnicodeError, ValueError):
            addresses = []
        # One word for a name that does not exist and for one inside our network: nobody shall learn which exist.
        if not addresses or not all(self._may_reach(address) for address in addresses):
            raise _refused("The address does not lead to a public host.")
        return [str(address) for address in addresses]

    def _may_reach(self, address: Address) -> bool:
        return is_public(address) or any(address in network for network in self._also_allowed)

    async def _ask(self, target: Target, addresses: Sequence[str], media_types: frozenset[str]) -> httpx.Response:
        """The head of the answer of the first address that takes a connection."""
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
            except (httpx.ConnectError, httpx.ConnectTimeout) as error:
                log.info("fetch_not_connected", error=type(error).__name__)
            except httpx.TransportError as error:
                log.info("fetch_broken", error=type(error).__name__)
                break
        raise EdgeError(502, "fetch_failed", "The address does not answer.")


def parse(url: str, ports: Collection[int] = (80, 443)) -> Target:
    """Take an address apart.

    Args:
        url: what the user gave.
        ports: those that may be asked.

    Raises:
        EdgeError: 422 `url_refused`, it is not a plain http(s) address, or not of these ports.
    """
    if len(url) > MAX_URL or NOT_IN_A_URL.search(url):
        raise _refused("This is not an address.")
    try:
        parts = urlsplit(url)
        port = DEFAULT_PORTS[parts.scheme] if parts.port is None else parts.port
        host = _host(parts.hostname or "")
    except (KeyError, ValueError, idna.IDNAError):
        raise _refused("This is not a plain http or https address.") from None
    if "@" in parts.netloc:
        raise _refused("An address with a user in it is not fetched.")
    if port not in ports:
        raise _refused("This port is not fetched from.")
    path = quote(parts.path or "/", safe="/%:@!$&'()*+,;=~-._")
    query = f"?{quote(parts.query, safe='/%:@!$&()*+,;=~-._?')}" if parts.query else ""
    return Target(scheme=parts.scheme, host=host, port=port, path=path + query)


def is_public(address: Address) -> bool:
    """Whether an address is somebody's on the public internet, and not ours, the network's, or a way round to them."""
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
        ValueError: it is none.
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
        raise EdgeError(502, "fetch_failed", f"The address answers with the status {response.status_code}.")
    media_type = response.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type not in media_types:
        raise EdgeError(422, "fetch_type_refused", f"Only {', '.join(sorted(media_types))} is taken.")
    content = bytearray()
    try:
        async for piece in _unpacked(response, max_bytes):
            content += piece
            if len(content) > max_bytes:
                raise EdgeError(422, "fetch_too_large", f"No more than {max_bytes} bytes are taken.")
    except (httpx.TransportError, zlib.error) as error:
        log.info("fetch_broken", error=type(error).__name__)
        raise EdgeError(502, "fetch_failed", "The answer broke off, or is damaged.") from error
    return Fetched(url=target.url, media_type=media_type, content=bytes(content))


async def _unpacked(response: httpx.Response, max_bytes: int) -> AsyncIterator[bytes]:
    """The body, unpacked by at most a little more than is taken at a time, so that no bomb goes off."""
    if not isinstance(response.stream, AsyncIterable):
        raise TypeError("an answer whose body cannot be awaited")
    encoding = response.headers.get("content-encoding", "identity").strip().lower()
    if encoding == "identity":
        async for piece in response.stream:
            yield piece
        return
    if encoding not in {"gzip", "x-gzip"}:
        raise EdgeError(502, "fetch_failed", "The answer is packed in a way that nobody asked for.")
    unpack = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16)
    async for packed in response.stream:
        yield unpack.decompress(packed, max_bytes + 1)
        if unpack.unconsumed_tail:
            raise EdgeError(422, "fetch_too_large", f"No more than {max_bytes} bytes are taken.")
    if not unpack.eof or unpack.unused_data:
        raise zlib.error


def _refused(sentence: str) -> EdgeError:
    return EdgeError(422, "url_refused", sentence)
