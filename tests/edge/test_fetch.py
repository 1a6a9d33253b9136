"""The guarded fetch: which addresses a user's URL reaches, in every spelling."""

import asyncio
import datetime
import gzip
import ipaddress
import ssl
import threading
import zlib
from collections.abc import Awaitable, Callable, Collection, Iterator, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from edge.errors import EdgeError
from edge.fetch import Fetched, Fetcher, is_public, parse
from stack.ports import LOOPBACK

HOST = "files.example.test"
LOOPBACK_NET = ipaddress.ip_network("127.0.0.0/8")
PNG = b"\x89PNG not really"
LIMIT = 100_000
PRIVATE = [
    "0.0.0.0",  # noqa: S104
    "0.1.2.3",
    "10.0.0.1",
    "100.64.0.1",
    "100.100.100.200",
    "127.0.0.1",
    "127.255.255.254",
    "168.63.129.16",
    "169.254.169.254",
    "172.16.0.1",
    "172.31.255.255",
    "192.0.0.192",
    "192.0.2.1",
    "192.88.99.1",
    "192.168.1.1",
    "198.18.0.1",
    "198.51.100.1",
    "203.0.113.1",
    "224.0.0.1",
    "239.255.255.255",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::7f00:1",
    "::ffff:127.0.0.1",
    "::ffff:8.8.8.8",
    "::ffff:0:127.0.0.1",
    "64:ff9b::127.0.0.1",
    "64:ff9b::169.254.169.254",
    "64:ff9b:1::8.8.8.8",
    "100::1",
    "2001::1",
    "2001:0:7f00:1::",
    "2001:10::1",
    "2001:db8::1",
    "2002:7f00:1::",
    "2002:808:808::",
    "3fff::1",
    "5f00::1",
    "fc00::1",
    "fd00:ec2::254",
    "fe80::1",
    "fe80::1%lo",
    "fec0::1",
    "ff02::1",
    "ff0e::1",
]
PUBLIC = ["1.1.1.1", "8.8.8.8", "172.32.0.1", "100.128.0.1", "2606:4700::1111", "2a00:1450::1", "64:ff9b::8.8.8.8"]


@pytest.mark.parametrize("address", PRIVATE)
def test_private_addresses_are_not_public(address: str) -> None:
    assert not is_public(ipaddress.ip_address(address))


@pytest.mark.parametrize("address", PUBLIC)
def test_public_addresses_are_public(address: str) -> None:
    assert is_public(ipaddress.ip_address(address))


ATTACKS = [
    # Not plain http
    *("", "/", "file:///etc/passwd", "ftp://example.com/", "gopher://example.com/_x", "javascript:alert(1)", "data:,x"),
    *("//example.com/", "http:example.com", "http:/example.com", "http://", "https:///x", "jar:http://example.com!/"),
    # Loopback and others, in every spelling
    *("http://127.0.0.1/", "http://127.1/", "http://127.0.1/", "http://0/", "http://0.0.0.0/", "http://2130706433/"),
    *("http://0177.0.0.1/", "http://017700000001/", "http://0x7f.0.0.1/", "http://0x7f000001/", "http://0X7F.1/"),
    *("http://127.0.0.1./", "http://127.0.0.1../", "http://127.0.0.01/", "http://127.0.0.1%00/", "http://127%2e0.0.1/"),
    *("http://1\u0662\u0667.0.0.1/", "http://\uff11\uff12\uff17.0.0.1/", "http://127\u30020\u30020\u30021/"),
    *(
        "http://\u2460\u2461\u2466.0.0.1/",
        "http://[::1]/",
        "http://[::]/",
        "http://[::ffff:127.0.0.1]/",
        "http://[::1]./",
    ),
    *(
        "http://[::ffff:7f00:1]/",
        "http://[0:0:0:0:0:ffff:127.0.0.1]/",
        "http://[::127.0.0.1]/",
        "http://[fe80::1%25lo]/",
    ),
    *("http://[64:ff9b::7f00:1]/", "http://[2002:7f00:1::]/", "http://[::1", "http://::1/", "http://[127.0.0.1]/"),
    *("http://169.254.169.254/latest/meta-data/", "http://[fd00:ec2::254]/", "http://100.100.100.200/", "http://1.1/"),
    *("http://10.0.0.1/", "http://192.168.0.1/", "http://172.16.0.1/", "http://224.0.0.1/", "http://255.255.255.255/"),
    # Users, and characters that parsers read differently
    *(
        "http://a@8.8.8.8/",
        "http://a:b@8.8.8.8/",
        "http://@8.8.8.8/",
        "http://8.8.8.8@127.0.0.1/",
        "http://8.8.8.8#@127.1/ ",
    ),
    *(
        "http://8.8.8.8\\@127.0.0.1/",
        "http:\\\\127.0.0.1/",
        "http://8.8.8.8\t/",
        "http://8.8.8.8\n/",
        " http://8.8.8.8/",
    ),
    *("http://8.8.8.8\r\nHost: x/", "http://8.8.8.8\u2028/", "http://8.8.8.8\x00.example.com/", "ht\ntp://8.8.8.8/"),
    *("http://exa mple.com/", "http://exam\u00adple..com/", "http://-/:", "http://a..b/", "http://.a/", "http://*/"),
    # Ports
    *(
        "http://8.8.8.8:22/",
        "http://8.8.8.8:0/",
        "http://8.8.8.8:8080/",
        "http://8.8.8.8:65536/",
        "http://8.8.8.8:-80/",
    ),
    *("http://8.8.8.8:x/", "https://8.8.8.8:6379/", "http://8.8.8.8:\u0668\u0660/"),
    f"http://8.8.8.8/{'x' * 3000}",
]


@pytest.mark.parametrize("url", ATTACKS, ids=lambda url: ascii(url)[:60])
def test_an_attack_is_refused_before_any_lookup(url: str) -> None:
    async def nobody(host: str) -> Sequence[str]:
        raise AssertionError(f"{host} was looked up")

    refused(fetched(url, fetcher=lambda: Fetcher(resolve=nobody)), 422, "url_refused")


@pytest.mark.parametrize("url", ["http://127.0.0.1:80/", "http://[::1]:443/", "http://2130706433:80/"])
def test_an_allowed_port_of_a_private_address_is_refused(url: str) -> None:
    refused(fetched(url, fetcher=lambda: Fetcher(ports={80, 443})), 422, "url_refused")


@pytest.mark.parametrize("address", PRIVATE)
def test_a_name_with_a_private_address_is_refused(address: str) -> None:
    for addresses in ([address], ["8.8.8.8", address], [address, "8.8.8.8"]):
        refused(fetched(f"http://{HOST}/", fetcher=lambda: Fetcher(resolve=always(addresses))), 422, "url_refused")  # noqa: B023


def test_unknown_names_and_private_names_are_refused_alike() -> None:
    async def unknown(_host: str) -> Sequence[str]:
        raise OSError("Name or service not known")

    resolvers = (unknown, always([]), always(["10.0.0.1"]))
    answers = [fetched(f"http://{HOST}/", fetcher=lambda: Fetcher(resolve=resolve)) for resolve in resolvers]  # noqa: B023
    assert len({(answer.status, answer.body) for answer in answers if isinstance(answer, EdgeError)}) == 1


def test_localhost_is_refused_through_the_systems_resolver() -> None:
    for name in ("localhost", "LOCALHOST", "localhost."):
        refused(fetched(f"http://{name}/", fetcher=Fetcher), 422, "url_refused")


@pytest.mark.parametrize(
    ("url", "host", "path"),
    [
        ("http://example.com", "example.com", "/"),
        ("HTTP://EXAMPLE.com.:80/a%20b?c=d&e#f", "example.com", "/a%20b?c=d&e"),
        ("https://b\u00fccher.example/\u00fc", "xn--bcher-kva.example", "/%C3%BC"),
        ("https://[2606:4700:0::1111]/x", "2606:4700::1111", "/x"),
        ("http://1.1.1.1/", "1.1.1.1", "/"),
    ],
)
def test_a_plain_url_is_parsed(url: str, host: str, path: str) -> None:
    target = parse(url)
    assert (target.host, target.path) == (host, path)
    assert target.authority == (f"[{host}]" if ":" in host else host)
    assert parse(target.url) == target


# Over real sockets: a server on loopback, which only these tests allow.


class _Handler(BaseHTTPRequestHandler):
    server: "Site"
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self.server.requests.append((self.path, {name.lower(): value for name, value in self.headers.items()}))
        self.server.answers[self.path](self)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  the name that http.server gives
        """Log nothing."""


class Site(ThreadingHTTPServer):
    """A website of the tests."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__((LOOPBACK, 0), _Handler)
        self.requests: list[tuple[str, dict[str, str]]] = []
        self.answers: dict[str, Callable[[BaseHTTPRequestHandler], None]] = {}
        self.left = threading.Event()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Log nothing: the tests make callers hang up."""

    def put(self, path: str, body: bytes = PNG, status: int = 200, **headers: str) -> str:
        """Serve a body at a path, and return its URL."""
        sent = {"Content-Type": "image/png", "Content-Length": str(len(body))} | {
            name.replace("_", "-"): value for name, value in headers.items()
        }

        def answer(handler: BaseHTTPRequestHandler) -> None:
            handler.send_response(status)
            for name, value in sent.items():
                handler.send_header(name, value)
            handler.end_headers()
            handler.wfile.write(body)

        self.answers[path] = answer
        return self.url(path)

    def drip(self, path: str, piece: bytes, pause: float) -> str:
        """Serve an endless body at a path, and return its URL."""

        def answer(handler: BaseHTTPRequestHandler) -> None:
            handler.send_response(200)
            handler.send_header("Content-Type", "image/png")
            handler.end_headers()
            handler.close_connection = True
            try:
                while not self.left.wait(pause):
                    handler.wfile.write(piece)
            except OSError:
                self.left.set()

        self.answers[path] = answer
        return self.url(path)

    def url(self, path: str) -> str:
        """The URL of a path."""
        return f"http://{HOST}:{self.server_port}{path}"


@pytest.fixture
def site() -> Iterator[Site]:
    with Site() as site:
        thread = threading.Thread(target=site.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield site
        site.left.set()
        site.shutdown()
        thread.join()


def always(addresses: Sequence[str]) -> Callable[[str], Awaitable[Sequence[str]]]:
    async def resolve(_host: str) -> Sequence[str]:
        return addresses

    return resolve


def fetched(
    url: str,
    *,
    fetcher: Callable[[], Fetcher],
    media_types: Collection[str] = ("image/png",),
    max_bytes: int = LIMIT,
    seconds: float = 20.0,
) -> Fetched | EdgeError:
    async def run() -> Fetched | EdgeError:
        one = fetcher()
        try:
            return await one.fetch(url, media_types=media_types, max_bytes=max_bytes, seconds=seconds)
        except EdgeError as error:
            return error
        finally:
            await one.aclose()

    return asyncio.run(run())


def from_site(site: Site, url: str, **more: Any) -> Fetched | EdgeError:
    """Fetch as if the site were public."""

    def fetcher() -> Fetcher:
        return Fetcher(ports={site.server_port}, resolve=always([LOOPBACK]), also_allowed=[LOOPBACK_NET])

    return fetched(url, fetcher=fetcher, **more)


def refused(answer: Fetched | EdgeError, status: int, token: str) -> None:
    assert isinstance(answer, EdgeError), answer
    assert (answer.status, answer.body.message) == (status, token)


def test_a_fetch_sends_nothing_about_its_user(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    url = site.put("/a.png", Set_Cookie="a=b", Content_Type="Image/PNG; charset=x")
    for _ in range(2):
        answer = from_site(site, url)
        assert answer == Fetched(url=url, media_type="image/png", content=PNG)
    for path, headers in site.requests:
        assert path == "/a.png"
        assert set(headers) == {"host", "user-agent", "accept", "accept-encoding"}
        assert headers["host"] == f"{HOST}:{site.server_port}"


def test_the_first_address_that_answers_is_used(site: Site) -> None:
    url = site.put("/a.png")

    def fetcher() -> Fetcher:
        addresses = always(["127.0.0.7", LOOPBACK])
        return Fetcher(ports={site.server_port}, resolve=addresses, also_allowed=[LOOPBACK_NET])

    assert isinstance(fetched(url, fetcher=fetcher), Fetched)
    assert len(site.requests) == 1


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_redirects_are_followed(site: Site, status: int) -> None:
    site.put("/end")
    site.put("/two", status=status, Location=site.url("/end"))
    first = site.put("/one", status=status, Location="two?x#y")
    site.answers["/two?x"] = site.answers["/two"]
    answer = from_site(site, first)
    assert isinstance(answer, Fetched)
    assert answer.url == site.url("/end")
    assert [path for path, _ in site.requests] == ["/one", "/two?x", "/end"]


def test_endless_redirects_are_refused(site: Site) -> None:
    refused(from_site(site, site.put("/loop", status=302, Location="/loop")), 502, "fetch_failed")
    assert len(site.requests) == 4


@pytest.mark.parametrize(
    "location",
    [
        "http://169.254.169.254/latest/meta-data/",
        "http://10.0.0.1/",
        "http://[::1]/",
        "//10.0.0.1/",
        "http://2130706433/",
        "file:///etc/passwd",
        "http://user@files.example.test/",
        f"http://{HOST}:22/",
        "gopher://127.0.0.1:25/_HELO",
    ],
)
def test_a_redirect_to_a_forbidden_target_is_refused(site: Site, location: str) -> None:
    refused(from_site(site, site.put("/away", status=302, Location=location)), 422, "url_refused")
    assert len(site.requests) == 1


def test_dns_rebinding_reaches_only_the_checked_address(site: Site) -> None:
    """With DNS rebinding a name is public when it is checked, and private when it is connected to."""
    answers = iter([[LOOPBACK], ["10.0.0.1"]])
    lookups = []

    async def rebinding(host: str) -> Sequence[str]:
        lookups.append(host)
        return next(answers)

    def fetcher() -> Fetcher:
        return Fetcher(ports={site.server_port}, resolve=rebinding, also_allowed=[LOOPBACK_NET])

    site.put("/end")
    refused(fetched(site.put("/away", status=302, Location="/end"), fetcher=fetcher), 422, "url_refused")
    assert lookups == [HOST, HOST]
    assert [path for path, _ in site.requests] == ["/away"]

    # The connection goes to the checked address itself: the system's resolver does not even know the name.
    answers = iter([[LOOPBACK]])
    assert isinstance(fetched(site.url("/end"), fetcher=fetcher), Fetched)


def test_loopback_is_refused_even_where_a_server_listens(site: Site) -> None:
    url = site.put("/a.png")
    refused(
        fetched(url, fetcher=lambda: Fetcher(ports={site.server_port}, resolve=always([LOOPBACK]))), 422, "url_refused"
    )
    assert site.requests == []


def test_a_slow_body_times_out(site: Site) -> None:
    refused(from_site(site, site.drip("/slow", b"x", 0.05), seconds=0.5), 504, "fetch_timeout")
    assert site.left.wait(20), "the connection stayed open"


def test_an_endless_body_is_refused(site: Site) -> None:
    refused(from_site(site, site.drip("/endless", b"x" * 65_536, 0)), 422, "fetch_too_large")
    assert site.left.wait(20), "the connection stayed open"


def test_a_body_of_exactly_the_limit_is_accepted(site: Site) -> None:
    assert isinstance(from_site(site, site.put("/fits", b"x" * LIMIT)), Fetched)
    refused(from_site(site, site.put("/more", b"x" * (LIMIT + 1))), 422, "fetch_too_large")


def test_a_compressed_body_is_decompressed(site: Site) -> None:
    content = bytes(range(256)) * 300
    url = site.put("/packed", packed := gzip.compress(content), Content_Encoding="gzip", Content_Length="")
    site.put("/packed", packed, Content_Encoding="gzip")
    answer = from_site(site, url)
    assert isinstance(answer, Fetched)
    assert answer.content == content


def test_a_zip_bomb_is_refused(site: Site) -> None:
    bomb = gzip.compress(bytes(200_000_000), 9)
    refused(from_site(site, site.put("/bomb", bomb, Content_Encoding="gzip")), 422, "fetch_too_large")


DAMAGED = {
    "cut off": (gzip.compress(PNG * 100)[:-9], "gzip"),
    "not packed": (PNG, "gzip"),
    "two in one": (gzip.compress(PNG) * 2, "gzip"),
    "packed otherwise": (zlib.compress(PNG), "deflate"),
    "packed twice": (gzip.compress(gzip.compress(PNG)), "gzip, gzip"),
}


@pytest.mark.parametrize("name", DAMAGED)
def test_a_damaged_body_is_refused(site: Site, name: str) -> None:
    body, encoding = DAMAGED[name]
    refused(from_site(site, site.put("/x", body, Content_Encoding=encoding)), 502, "fetch_failed")


@pytest.mark.parametrize("media_type", ["text/html", "", "image/png2", "image/*", "application/png, image/png"])
def test_only_the_requested_media_types_are_accepted(site: Site, media_type: str) -> None:
    refused(from_site(site, site.put("/x", Content_Type=media_type)), 422, "fetch_type_refused")


@pytest.mark.parametrize("status", [204, 206, 304, 401, 404, 500])
def test_another_status_is_a_failure(site: Site, status: int) -> None:
    refused(from_site(site, site.put("/x", b"", status=status)), 502, "fetch_failed")


def test_no_answer_is_a_failure(site: Site) -> None:
    def fetcher() -> Fetcher:
        return Fetcher(ports={1}, resolve=always([LOOPBACK]), also_allowed=[LOOPBACK_NET])

    refused(fetched(f"http://{HOST}:1/", fetcher=fetcher), 502, "fetch_failed")

    def hang_up(handler: BaseHTTPRequestHandler) -> None:
        handler.close_connection = True

    site.answers["/silent"] = hang_up
    refused(from_site(site, site.url("/silent")), 502, "fetch_failed")


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A self-signed certificate of HOST and its key, in one file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, HOST)])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(HOST)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    file = tmp_path_factory.mktemp("tls") / "host.pem"
    file.write_bytes(
        certificate.public_bytes(serialization.Encoding.PEM)
        + key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return file


def test_the_certificate_must_match_the_name(site: Site, authority: Path) -> None:
    names: list[str | None] = []
    server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    server.load_cert_chain(authority)
    server.sni_callback = lambda _socket, name, _context: names.append(name)
    site.socket = server.wrap_socket(site.socket, server_side=True)
    path = site.put("/a.png").partition(f":{site.server_port}")[2]

    def through(host: str, trusted: Path | None) -> Fetched | EdgeError:
        def fetcher() -> Fetcher:
            return Fetcher(
                ports={site.server_port},
                resolve=always([LOOPBACK]),
                also_allowed=[LOOPBACK_NET],
                tls=ssl.create_default_context(cafile=trusted) if trusted else None,
            )

        return fetched(f"https://{host}:{site.server_port}{path}", fetcher=fetcher)

    assert isinstance(through(HOST, authority), Fetched)
    assert names == [HOST]
    refused(through("other.example.test", authority), 502, "fetch_failed")
    refused(through(LOOPBACK, authority), 502, "fetch_failed")
    refused(through(HOST, None), 502, "fetch_failed")
    assert len(site.requests) == 1
