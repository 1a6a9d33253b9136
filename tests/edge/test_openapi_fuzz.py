"""Schemathesis calls every route: each answer is one that the OpenAPI document describes."""

from typing import Any

import pytest
from litestar import get
from litestar.params import FromPath
from schemathesis.schemas import APIOperation

from edge.app import create_app
from edge.http.openapi.document import complete
from tests.conftest import Stack
from tests.edge.support import NOWHERE, serving, settings_for
from tests.openapi_fuzz import attack, operations
from tests.people import Academy

APP = create_app(settings_for(NOWHERE))
OPERATIONS = operations(complete(APP.openapi_schema).to_schema())


def test_every_route_is_described() -> None:
    served = {
        f"{method} {route.path_format}"
        for route in APP.routes
        for handler in getattr(route, "route_handlers", ())
        for method in handler.http_methods - {"OPTIONS", "HEAD"}
        if handler.resolve_include_in_schema()
    }
    assert served
    assert set(OPERATIONS) >= served


@pytest.mark.parametrize("label", OPERATIONS)
def test_answers_are_as_described(label: str, stack: Stack, academy: Academy) -> None:
    person = academy.member()
    token = {"Authorization": f"Bearer {person.token}"}
    operation = OPERATIONS[label]
    statuses = attack(operation, stack.edge_url, lambda _operation: token)
    assert statuses.total() > 0
    if operation.definition.raw.get("security"):
        assert attack(operation, stack.edge_url, lambda _operation: {}, examples=1)[401] > 0


@get("/planted/{number:int}", sync_to_thread=False)
def planted(number: FromPath[int]) -> dict[str, Any]:
    """Fail for some numbers."""
    return {"seats": 10 // (number % 2)}


def test_a_server_error_is_found() -> None:
    app = create_app(settings_for(NOWHERE))
    app.register(planted)
    operation: APIOperation[Any, Any, Any, Any] = operations(complete(app.openapi_schema).to_schema())[
        "GET /planted/{number}"
    ]
    with serving(app) as url, pytest.raises(BaseException, match="Server error"):
        attack(operation, url, lambda _operation: {})
