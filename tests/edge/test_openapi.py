"""What the edge says of itself: true and complete, and shown on a page that loads nothing from elsewhere."""

import ast
import sys
from collections import defaultdict
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import httpx
import pytest
from litestar.handlers import HTTPRouteHandler

from edge.app import create_app
from edge.openapi.page import ASSETS
from tests.conftest import Stack
from tests.edge.support import NOWHERE, settings_for
from tests.security.test_errors import Token, listed

ERROR = {"$ref": "#/components/schemas/ErrorBody"}
OF_ANY_CALL = {(404, "not_found"), (405, "method_not_allowed"), (408, "request_timeout"), (431, "headers_too_large")}


@pytest.fixture
def document(edge: httpx.Client) -> dict[str, Any]:
    described: dict[str, Any] = edge.get("/schema/openapi.json").json()
    return described


def operations(document: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Every operation by its method and path."""
    return {
        f"{method.upper()} {path}": operation
        for path, item in document["paths"].items()
        for method, operation in item.items()
    }


def stated(operation: dict[str, Any]) -> set[Token]:
    """The refusals that an operation states."""
    return {
        (int(status), token)
        for status, response in operation["responses"].items()
        if status >= "400"
        for token in response["content"]["application/json"]["examples"]
    }


def handlers() -> Iterator[tuple[str, HTTPRouteHandler]]:
    """Every route that is described, by its method and path."""
    for route in create_app(settings_for(NOWHERE)).routes:
        for handler in getattr(route, "route_handlers", []):
            if handler.resolve_include_in_schema():
                for method in handler.http_methods:
                    yield f"{method} {route.path_format}", handler


def home(handler: HTTPRouteHandler) -> Path:
    """The package that a route belongs to; its module, where it stands in no package."""
    file = Path(str(sys.modules[handler.fn.__module__].__file__))
    return file if file.parent.name == "edge" else file.parent


def raised_in(place: Path) -> set[Token]:
    """The refusals that the code of a package or module makes."""
    files = list(place.glob("*.py")) if place.is_dir() else [place]
    found = set()
    for node in (node for file in files for node in ast.walk(ast.parse(file.read_text()))):
        match node:
            case ast.Call(func=ast.Name(id="EdgeError"), args=[ast.Constant(value=int(status)), ast.Constant(), *_]):
                found.add((status, str(getattr(node.args[1], "value", ""))))
            case ast.Call(func=ast.Attribute(attr="provider")):
                found.add((503, "provider_not_configured"))
    return found


def test_every_route_is_described_for_people(document: dict[str, Any]) -> None:
    described = operations(document)
    assert set(described) == {name for name, _handler in handlers()}
    assert {"GET /health", "GET /ready", "GET /certificates/{certificate_id}/pdf"} <= set(described)
    tags = {tag["name"] for tag in document["tags"]}
    for name, operation in described.items():
        assert operation["summary"], name
        assert operation["description"], name
        assert operation["tags"], name
        assert set(operation["tags"]) <= tags, name
        for parameter in operation.get("parameters", []):
            assert parameter["description"], name


def test_every_route_states_its_errors_and_no_other(document: dict[str, Any]) -> None:
    known = set(listed("The edge")) | set(listed("The database"))
    described = operations(document)
    assert known >= OF_ANY_CALL
    assert all(f"{status} `{token}`" in document["info"]["description"] for status, token in OF_ANY_CALL)
    by_home: dict[Path, set[Token]] = defaultdict(set)
    for name, handler in handlers():
        tokens = stated(described[name])
        by_home[home(handler)] |= tokens
        assert tokens <= known, name
        assert {500, 503} <= {status for status, _token in tokens}, name
        assert ((401, "unauthorized") in tokens) == ("security" in described[name]), name
    for place, tokens in by_home.items():
        assert raised_in(place) <= tokens, place


def test_errors_have_their_one_shape(document: dict[str, Any]) -> None:
    assert set(document["components"]["schemas"]["ErrorBody"]["required"]) == {"code", "message"}
    for operation in operations(document).values():
        for status, response in operation["responses"].items():
            if status >= "400":
                [(media_type, content)] = response["content"].items()
                assert (media_type, content["schema"]) == ("application/json", ERROR)
                for token, example in content["examples"].items():
                    body = example["value"]
                    assert (body["code"], body["message"]) == (f"PT{status}", token)
                    assert body["details"]
                    assert f"`{token}`" in response["description"]


def test_it_names_the_gateway_and_how_to_be_somebody(document: dict[str, Any], edge: httpx.Client) -> None:
    [server] = document["servers"]
    assert server["url"].endswith("/functions/v1")
    assert str(edge.base_url) not in f"{document}"
    assert {scheme["type"] for scheme in document["components"]["securitySchemes"].values()} == {"http", "apiKey"}
    pdf = operations(document)["GET /certificates/{certificate_id}/pdf"]
    assert pdf["security"] == [{"bearer": [], "apikey": []}, {"bearer": []}]
    assert set(pdf["responses"]["200"]["content"]) == {"application/pdf"}
    assert set(pdf["responses"]) == {"200", "304", "400", "401", "404", "409", "429", "500", "503"}
    assert "/metrics" not in document["paths"]


class _Links(HTMLParser):
    """What a page loads, and what stands in it that no policy would let run."""

    def __init__(self) -> None:
        super().__init__()
        self.loaded: list[str] = []
        self.inline: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.loaded += [str(given[name]) for name in ("src", "href") if name in given]
        self.inline += [name for name in given if name == "style" or name.startswith("on")]
        if tag == "style" or (tag == "script" and "src" not in given):
            self.inline.append(tag)


@pytest.mark.parametrize("path", ["/schema", "/schema/"])
def test_the_page_loads_only_what_lies_beside_it(path: str, edge: httpx.Client) -> None:
    answer = edge.get(path)
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/html")
    policy = dict(rule.split(" ", 1) for rule in answer.headers["content-security-policy"].split("; "))
    assert policy["default-src"] == policy["frame-ancestors"] == policy["base-uri"] == "'none'"
    assert policy["script-src"] == policy["style-src"] == policy["connect-src"] == "'self'"
    links = _Links()
    links.feed(answer.text)
    assert links.inline == []
    assert len(links.loaded) == len(ASSETS) + 1
    for link in links.loaded:
        assert "//" not in link
        loaded = edge.get(answer.url.join(link))
        assert loaded.status_code == 200, link
        assert loaded.content
        kind = ASSETS.get(loaded.url.path.rpartition("/")[2], "application/vnd.oai.openapi+json")
        assert loaded.headers["content-type"].startswith(kind)


@pytest.mark.parametrize(
    "name",
    [
        "index.css",
        "swagger-editor.js",
        "oauth2-redirect.html",
        "page.html",
        "page.py",
        "../settings.py",
        "..%2fsettings.py",
        "%2e%2e/__init__.py",
        "swagger",
        "redoc",
        "openapi.yaml",
    ],
)
def test_nothing_else_lies_there(name: str, edge: httpx.Client) -> None:
    url = edge.base_url.copy_with(raw_path=f"/schema/{name}".encode())
    assert edge.get(url).json()["message"] == "not_found"


def test_the_page_is_there_through_the_gateway(stack: Stack) -> None:
    with httpx.Client(base_url=f"{stack.api_url}/functions/v1") as stranger:
        assert "page.js" in stranger.get("/schema").text
        assert stranger.get("/schema/page.js").status_code == 200
        document = stranger.get("/schema/openapi.json").json()
        assert document["servers"][0]["url"] == f"{stack.api_url}/functions/v1"
