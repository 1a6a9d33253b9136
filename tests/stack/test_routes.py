"""The marker `route` checks what tests claim, and the list of routes shows what is proved."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from stack.errors import StackError
from stack.paths import ROOT
from stack.tools import routes
from stack.tools.routes import Proof

pytest_plugins = ["pytester"]

PROLOGUE = """
import asyncio
import httpx
import pytest

def get(path, who="owner", method="GET"):
    return httpx.request(method, ORIGIN + path, headers={"apikey": "key", "authorization": who})

def get_async(path, who):
    async def main():
        async with httpx.AsyncClient(base_url=ORIGIN) as client:
            await client.get(path, headers={"authorization": who})
    asyncio.run(main())
"""


class Handler(BaseHTTPRequestHandler):
    """Answers others with the status and body in the path /<status>/<body>, and the owner with 200 and [1]."""

    def do_GET(self) -> None:
        """Send the answer."""
        status, body = (200, "[1]") if self.headers["authorization"] == "owner" else self._refusal()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body.encode())

    do_PATCH = do_GET  # noqa: N815

    def _refusal(self) -> tuple[int, str]:
        _, status, name = self.path.partition("?")[0].split("/")
        bodies = {
            "empty": "[]",
            "storage": '{"statusCode": "403"}',
            "single": '{"code": "PGRST116"}',
            "no_function": '{"code": "PGRST202"}',
            "token": '{"message": "not_yours"}',
            "signature": '{"message": "signature_invalid"}',
        }
        return int(status), bodies[name]

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Log nothing."""


@pytest.fixture(scope="module")
def origin() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The path of a separate record; the page of routes is a separate one, too."""
    monkeypatch.setattr(routes, "RECORD", tmp_path / "data" / "routes.json")
    monkeypatch.setattr(routes, "PAGE", tmp_path / "routes.md")
    return routes.RECORD


@pytest.fixture
def suite(pytester: pytest.Pytester, origin: str, record: Path, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    """A separate test suite, whose stack is the server above and whose record is a separate file."""
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    pytester.makeini("[pytest]\ntestpaths = tests\nmarkers = route")
    pytester.makeconftest(f"""
        from pathlib import Path
        from stack.tools import routes
        pytest_plugins = ["tests.route_marker"]
        routes.RECORD = Path({str(record)!r})
        def pytest_configure(config):
            config.pluginmanager.get_plugin("route-marker").origin = {origin!r}
    """)
    pytester.mkdir("tests")
    return pytester


def write(suite: pytest.Pytester, body: str, origin: str) -> None:
    """Write the only test file of the suite."""
    (suite.path / "tests" / "test_it.py").write_text(f"ORIGIN = {origin!r}\n{PROLOGUE}\n{body}")


def run_test(suite: pytest.Pytester, origin: str, marker: str, body: str) -> tuple[dict[str, int], str]:
    """Run one marked test; returns its outcome and what pytest printed."""
    write(suite, f"@pytest.mark.route({marker})\ndef test_it():\n    {body}\n", origin)
    result = suite.runpytest_inprocess("-p", "no:cacheprovider")
    return result.parseoutcomes(), result.stdout.str()


@pytest.mark.parametrize(
    ("marker", "body"),
    [
        ('"WC-099", call="GET /403/token"', 'get("/403/token"); get("/403/token", "other")'),
        ('"WC-099", call="GET /401/token"', 'get("/401/token"); get("/401/token", "other")'),
        ('"WC-099", call="GET /404/token"', 'get("/404/token"); get("/404/token", "other")'),
        ('"WC-099", call="GET /400/storage"', 'get("/400/storage"); get("/400/storage", "other")'),
        ('"WC-099", call="GET /200/empty"', 'get("/200/empty?a=1"); get("/200/empty?a=1", "other")'),
        ('"WC-099", call="GET /406/single"', 'get("/406/single"); get("/406/single", "other")'),
        (
            '"WC-099", call="PATCH /200/empty"',
            'get("/200/empty", method="PATCH"); get("/200/empty", "other", "PATCH")',
        ),
        ('"WC-099", call="GET /{status}/token?id=eq.{id}&x"', 'get("/403/token?x=&id=eq.7"); get("/403/token", "b")'),
        ('"WC-099", call="GET /400/signature"', 'get("/400/signature"); get("/400/signature", "other")'),
        ('"WC-099", call="GET /403/token", public=True', 'get("/403/token")'),
        ('"WC-099", call="GET /410/token", public=True, answers=410', 'get("/410/token", "other")'),
        ('"WC-099", "WC-098", call="GET /403/token", public=True', 'get_async("/403/token", "owner")'),
    ],
)
def test_a_proved_claim_passes(suite: pytest.Pytester, origin: str, marker: str, body: str) -> None:
    outcomes, printed = run_test(suite, origin, marker, body)
    assert outcomes == {"passed": 1}, printed


@pytest.mark.parametrize(
    ("marker", "body"),
    [
        pytest.param('"WC-099", call="GET /403/token", public=True', "pass", id="no call"),
        pytest.param('"WC-099", call="PATCH /403/token", public=True', 'get("/403/token")', id="another method"),
        pytest.param('"WC-099", call="GET /403", public=True', 'get("/403/token")', id="another path"),
        pytest.param('"WC-099", call="GET /403/token?a=1", public=True', 'get("/403/token?a=2")', id="another query"),
        pytest.param('"WC-099", call="GET /403/token", public=True', 'get("/403/token", "x")', id="no success"),
        pytest.param('"WC-099", call="GET /200/empty", public=True', 'get("/200/empty", "x")', id="empty success"),
        pytest.param('"WC-099", call="GET /410/token", public=True, answers=410', 'get("/410/token")', id="no 410"),
        pytest.param('"WC-099", call="GET /403/token"', 'get("/403/token")', id="no refusal"),
        pytest.param(
            '"WC-099", call="GET /409/token"', 'get("/409/token"); get("/409/token", "x")', id="not a refusal"
        ),
        pytest.param(
            '"WC-099", call="GET /404/no_function"',
            'get("/404/no_function"); get("/404/no_function", "x")',
            id="an invalid call",
        ),
        pytest.param(
            '"WC-099", call="GET /200/empty"',
            'get("/200/empty?a=1"); get("/200/empty?a=2", "x")',
            id="empty for another query",
        ),
    ],
)
def test_an_unproved_claim_fails(suite: pytest.Pytester, origin: str, marker: str, body: str) -> None:
    outcomes, printed = run_test(suite, origin, marker, body)
    assert outcomes == {"failed": 1}, printed


def test_calls_to_another_origin_prove_nothing(suite: pytest.Pytester, origin: str) -> None:
    body = 'httpx.get(ORIGIN.replace("127.0.0.1", "localhost") + "/403/token", headers={"authorization": "owner"})'
    outcomes, printed = run_test(suite, origin, '"WC-099", call="GET /403/token", public=True', body)
    assert outcomes == {"failed": 1}, printed


def test_calls_before_the_test_prove_nothing(suite: pytest.Pytester, origin: str) -> None:
    write(
        suite,
        """
@pytest.fixture
def early():
    get("/403/token")

@pytest.mark.route("WC-099", call="GET /403/token", public=True)
def test_it(early):
    pass
""",
        origin,
    )
    assert suite.runpytest_inprocess("-p", "no:cacheprovider").parseoutcomes() == {"failed": 1}


@pytest.mark.parametrize(
    "marker",
    [
        '"WC-999", call="GET /403/token"',
        '"WC-099"',
        'call="GET /403/token"',
        '"WC-099", call="/403/token"',
        '"WC-099", call="GET /403/token", private=True',
        '"WC-099", call="GET /403/token", answers="410"',
    ],
)
def test_an_invalid_marker_stops_the_collection(suite: pytest.Pytester, origin: str, marker: str) -> None:
    outcomes, printed = run_test(suite, origin, marker, "pass")
    assert outcomes == {"errors": 1}, printed


SUITE = """
@pytest.mark.route("WC-099", call="GET /403/{name}", public=True)
@pytest.mark.parametrize("n", [1, 2])
def test_it(n):
    get("/403/token")

@pytest.mark.route("WC-098", call="GET /403/token", public=True)
def test_that_fails():
    get("/403/token")
    raise AssertionError
"""
RECORDED = {"WC-099": [{"call": "GET /403/{name}", "test": "tests/test_it.py::test_it"}]}


def test_only_a_full_run_records_proofs(suite: pytest.Pytester, origin: str, record: Path) -> None:
    write(suite, SUITE, origin)
    for options in (["-k", "it"], ["tests/test_it.py"], ["-x"], ["--co"]):
        suite.runpytest_inprocess("-p", "no:cacheprovider", *options)
        assert not record.exists(), options
    suite.runpytest_inprocess("-p", "no:cacheprovider")
    assert json.loads(record.read_bytes()) == RECORDED
    record.unlink()
    suite.runpytest_inprocess("-p", "no:cacheprovider", "tests")
    assert json.loads(record.read_bytes()) == RECORDED


def test_a_repeated_test_adds_its_proofs(suite: pytest.Pytester, origin: str, record: Path) -> None:
    write(suite, SUITE, origin)
    suite.runpytest_inprocess()
    write(suite, SUITE.replace("raise AssertionError", "pass"), origin)
    suite.runpytest_inprocess("--last-failed", "--last-failed-no-failures=none")
    added = {"WC-098": [{"call": "GET /403/token", "test": "tests/test_it.py::test_that_fails"}]}
    assert json.loads(record.read_bytes()) == RECORDED | added


def test_workers_send_their_proofs_to_the_controller(
    suite: pytest.Pytester, origin: str, record: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(suite, SUITE, origin)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    suite.runpytest_subprocess("-p", "xdist.plugin", "-n", "1", "-p", "no:cacheprovider")
    assert json.loads(record.read_bytes()) == RECORDED


def test_the_page_needs_a_record(record: Path) -> None:
    assert not record.exists()
    with pytest.raises(StackError, match=r"docs/routes\.md.*\./guildhall test"):
        routes.main()


def test_a_damaged_record_is_named(record: Path) -> None:
    record.parent.mkdir()
    record.write_text("{")
    with pytest.raises(StackError, match=r"routes\.json"):
        routes.is_current()


def test_the_page_is_written_and_becomes_outdated(record: Path, capsys: pytest.CaptureFixture[str]) -> None:
    proof = Proof(call="POST /rest/v1/rpc/submit_quiz", test="tests/learning/test_quizzes.py::test_it")
    routes.write_record({"WC-099": [proof, proof]})
    assert record.exists()
    assert not routes.is_current()

    assert routes.main() == 0
    assert routes.is_current()
    printed = capsys.readouterr().out
    assert "WC-099  served   POST /courses/quiz/{quiz_id}/submit" in printed
    assert "WC-098  missing  GET /courses/quiz/{quiz_id}/questions" in printed
    page = routes.PAGE.read_text()
    assert f"`{proof.call}` | `{proof.test}` |" in page
    assert "| learning | 1 | 58 |" in page
    assert "Served: 1 of 577." in page

    routes.write_record({})
    assert not routes.is_current()

    assert routes.main(json=True) == 0
    rows = json.loads(capsys.readouterr().out)
    assert len(rows) == 577
    assert not any(row["is_served"] for row in rows)


def test_the_list_of_endpoints_is_complete() -> None:
    known = routes.endpoints()
    assert len(known) == 577
    assert (
        sum(total for _, _, total in routes.summary([routes.Route(endpoint=row, proofs=()) for row in known.values()]))
        == 577
    )
