"""Auth's OpenAPI document describes every route, and every answer to the requests that Schemathesis generates."""

import ast
import inspect
import time
from typing import Any

import pytest
from schemathesis.schemas import APIOperation

from stack.auth.app import ROUTES
from stack.auth.openapi import DESCRIPTIONS, PATH, document
from tests.openapi_fuzz import attack, operations
from tests.stack.auth.support import AuthServer, bearer

OPERATIONS = operations(document(ROUTES, "http://auth.test"))


def test_the_document_is_served(auth: AuthServer) -> None:
    answer = auth.http.get(PATH)
    assert answer.status_code == 200
    assert answer.json() == document(ROUTES, auth.url)


def test_every_route_is_described() -> None:
    served = {
        f"{method} {path.replace(':str}', '}')}"
        for handler in ROUTES
        for path in handler.paths
        for method in handler.http_methods
    }
    assert set(OPERATIONS) == served
    assert set(DESCRIPTIONS) == set(ROUTES)


@pytest.mark.parametrize("handler", ROUTES, ids=lambda handler: handler.fn.__name__)
def test_described_bodies_are_those_that_the_route_reads(handler: Any) -> None:
    """A route reads a body itself or in a function of its module that it calls."""
    functions = {
        node.name: node
        for node in ast.walk(ast.parse(inspect.getsource(inspect.getmodule(handler.fn) or ast)))
        if isinstance(node, ast.AsyncFunctionDef | ast.FunctionDef)
    }
    reached, new = set(), {handler.fn.__name__}
    kinds = set()
    while new:
        reached |= new
        calls = [node for name in new for node in ast.walk(functions[name]) if isinstance(node, ast.Call)]
        for call in calls:
            if isinstance(call.func, ast.Name) and call.func.id == "read" and isinstance(call.args[1], ast.Name):
                kinds.add(call.args[1].id)
        called = {call.func.id for call in calls if isinstance(call.func, ast.Name)}
        new = (called & set(functions)) - reached
    assert kinds == {kind.__name__ for kind in DESCRIPTIONS[handler].body}


@pytest.mark.parametrize("label", OPERATIONS)
def test_answers_are_as_described(label: str, auth: AuthServer) -> None:
    user = auth.create_user()
    # Without a session, which one of the requests would end.
    claims = {"iss": auth.url, "sub": user["id"], "aud": "authenticated", "role": "authenticated"}
    tokens = {"user": auth.keys.sign({**claims, "exp": int(time.time()) + 600}), "service": auth.keys.service_role}

    def headers(operation: APIOperation[Any, Any, Any, Any]) -> dict[str, str]:
        [scheme] = next(iter(operation.definition.raw.get("security", [{"": []}])))
        return bearer(tokens[scheme]) if scheme else {}

    operation = OPERATIONS[label]
    statuses = attack(operation, auth.url, headers)
    if "user_id" in label:
        statuses += attack(operation, auth.url, headers, path_parameters={"user_id": user["id"]})
    assert statuses.total() > 0
    if "security" in operation.definition.raw:
        assert attack(operation, auth.url, lambda _operation: {}, examples=1)[401] > 0


def test_an_undescribed_status_is_found(auth: AuthServer) -> None:
    described = document(ROUTES, auth.url)
    del described["paths"]["/admin/users/{user_id}"]["get"]["responses"]["404"]
    operation = operations(described)["GET /admin/users/{user_id}"]
    with pytest.raises(BaseException, match="Undocumented status code"):
        attack(operation, auth.url, lambda _operation: auth.admin)
