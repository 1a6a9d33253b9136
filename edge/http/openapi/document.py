"""The OpenAPI document. Routes declare their own errors; those common to many routes are added here."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Final

import msgspec
from litestar.openapi import ResponseSpec
from litestar.openapi.spec import (
    Example,
    OpenAPI,
    OpenAPIMediaType,
    OpenAPIResponse,
    Operation,
    Reference,
)

from edge.errors import JSON, ErrorBody, database_errors, find_definition

BEARER = "bearer"
APIKEY = "apikey"
USERS_SECURITY: Final[Sequence[dict[str, list[str]]]] = ({BEARER: [], APIKEY: []}, {BEARER: []})
"""What routes for signed-in users need: a token; the API key only where a gateway asks for one."""
VERBS = ("get", "put", "post", "delete", "patch")

OF_ALL = ("internal_error", "overloaded", "stopping")
OF_USERS = ("sign_in_required", "rate_limited", "tier_missing", "auth_unavailable", "database_unavailable")
OF_PARAMETERS = ("invalid_request",)
OF_PATHS = ("not_found",)
OF_BODIES = ("invalid_request", "request_timeout", "payload_too_large")
"""The tokens common to routes of a kind."""


def error_responses(*, tokens: Iterable[str] = (), calls: Iterable[str] = ()) -> dict[int, ResponseSpec]:
    """The argument `responses` of a route: its errors beside those common to its kind.

    Args:
        tokens: those that the route raises itself.
        calls: the functions of the database that it calls, of which it passes all errors on.
    """
    functions = database_errors().functions
    found = dict.fromkeys([*tokens, *(token for name in calls for token in functions.get(name, ()))])
    responses: dict[int, list[Example]] = {}
    for token in found:
        responses.setdefault(find_definition(token).status, []).append(_example(token))
    return {
        status: ResponseSpec(ErrorBody, generate_examples=False, examples=examples)
        for status, examples in sorted(responses.items())
    }


def complete(document: OpenAPI) -> OpenAPI:
    """Add to each operation the errors that are common to its kind, and describe each in words."""
    for operation in operations(document):
        # The framework's own shape of a 400, which the edge does not use.
        if operation.responses is not None and not _declared(operation.responses.get("400")):
            operation.responses.pop("400", None)
        for token in _common(operation):
            _declare(operation, token)
        for status, response in (operation.responses or {}).items():
            if isinstance(response, OpenAPIResponse) and status >= "400":
                response.description = "\n\n".join(
                    f"`{token}`: {example.summary}"
                    for token, example in _declared(response).items()
                    if isinstance(example, Example)
                )
    return document


def operations(document: OpenAPI) -> Iterator[Operation]:
    """Every operation of a document."""
    for item in (document.paths or {}).values():
        yield from (operation for verb in VERBS if (operation := getattr(item, verb)) is not None)


def _common(operation: Operation) -> Iterable[str]:
    yield from OF_ALL
    if operation.security:
        yield from OF_USERS
    if operation.request_body is not None:
        yield from OF_BODIES
    places = {getattr(parameter, "param_in", None) for parameter in operation.parameters or ()}
    if "path" in places:
        yield from OF_PATHS
    if places - {"path", None} and operation.request_body is None:
        yield from OF_PARAMETERS


def _declare(operation: Operation, token: str) -> None:
    if operation.responses is None:
        operation.responses = {}
    response = operation.responses.setdefault(
        str(find_definition(token).status),
        OpenAPIResponse(
            description="",
            content={
                JSON: OpenAPIMediaType(schema=Reference(ref=f"#/components/schemas/{ErrorBody.__name__}"), examples={})
            },
        ),
    )
    _declared(response).setdefault(token, _example(token))


def _declared(response: OpenAPIResponse | Reference | None) -> dict[str, Example | Reference]:
    """The errors that a response declares, by token."""
    if not isinstance(response, OpenAPIResponse) or not response.content or JSON not in response.content:
        return {}
    media = response.content[JSON]
    return {} if media.examples is None else media.examples


def _example(token: str) -> Example:
    definition = find_definition(token)
    body = ErrorBody(code=f"PT{definition.status}", message=token, details=definition.meaning, hint=definition.hint)
    return Example(id=token, summary=definition.meaning, value=msgspec.to_builtins(body))
