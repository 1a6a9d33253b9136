"""The OpenAPI document is true and complete, and its page loads nothing from other hosts."""

from collections.abc import Iterator
from html.parser import HTMLParser
from typing import Any

import httpx
import pytest
from litestar.handlers import HTTPRouteHandler

from edge.app import create_app
from edge.errors import find_definition
from edge.http.openapi.page import ASSETS
from tests.conftest import Stack
from tests.edge.code_paths import reached_by
from tests.edge.support import NOWHERE, settings_for

ERROR = {"$ref": "#/components/schemas/ErrorBody"}
OF_EVERY_ROUTE = {"not_found", "method_not_allowed", "invalid_request", "request_timeout", "headers_too_large"}
"""What the server below the application may answer to every request, which the document says once."""
OF_SERVER = {"internal_error", "overloaded", "stopping"}
"""What the middleware may answer for every route."""
OF_FRAMEWORK = {"invalid_request", "not_found", "request_timeout", "payload_too_large"}
"""What the framework refuses before a handler runs: parameters, paths and bodies."""
OF_VALUES = {"invalid_request"}
"""What the database answers to values that it cannot hold: only bodies and parameters contain any."""
BY_TRIGGERS = {"last_superadmin"}
"""What only a trigger raises, which the functions of the catalogue do not name."""


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


def stated(operation: dict[str, Any]) -> set[tuple[int, str]]:
    """The errors that an operation declares: status and token."""
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


def test_every_route_declares_exactly_the_errors_that_it_can_end_in(document: dict[str, Any]) -> None:
    described = operations(document)
    assert all(token in document["info"]["description"] for token in OF_EVERY_ROUTE)
    wrong = []
    for name, handler in handlers():
        declared = {token for _status, token in stated(described[name])}
        reached = reached_by(handler, name.partition(" ")[0]).errors() | OF_SERVER
        wrong += [f"{name} does not declare {token}" for token in sorted(reached - declared - OF_VALUES)]
        wrong += [f"{name} never answers {token}" for token in sorted(declared - reached - OF_FRAMEWORK - BY_TRIGGERS)]
    assert not wrong, "\n".join(wrong)


def test_every_declared_error_has_the_status_of_its_definition(document: dict[str, Any]) -> None:
    for name, operation in operations(document).items():
        for status, token in stated(operation):
            assert find_definition(token).status == status, name


def test_paths_through_modules_methods_and_helpers_are_followed() -> None:
    reached = {name: reached_by(handler, name.partition(" ")[0]) for name, handler in handlers()}
    checkout = reached["POST /checkout"]
    assert {"place_order", "checkout_payload", "bind_session"} <= checkout.calls
    # By a method, a dependency, a translator of exceptions, a guard, and the database.
    assert {"url_foreign", "provider_not_configured", "payment_provider_refused", "sign_in_required"} <= checkout.tokens
    assert "licence_exclusive" in checkout.errors()
    assert "receive_webhook" in reached["POST /webhooks/stripe"].calls
    assert "url_foreign" not in reached["POST /checkout/verify"].tokens


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


def test_the_document_names_the_gateway_and_the_security_schemes(document: dict[str, Any], edge: httpx.Client) -> None:
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
    """What a page loads, and its inline scripts and styles, which the policy forbids."""

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
def test_the_page_loads_only_its_own_files(path: str, edge: httpx.Client) -> None:
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
def test_no_other_file_of_the_package_is_served(name: str, edge: httpx.Client) -> None:
    url = edge.base_url.copy_with(raw_path=f"/schema/{name}".encode())
    assert edge.get(url).json()["message"] == "not_found"


def test_the_page_works_through_the_gateway(stack: Stack) -> None:
    with httpx.Client(base_url=f"{stack.api_url}/functions/v1") as stranger:
        assert "page.js" in stranger.get("/schema").text
        assert stranger.get("/schema/page.js").status_code == 200
        document = stranger.get("/schema/openapi.json").json()
        assert document["servers"][0]["url"] == f"{stack.api_url}/functions/v1"
