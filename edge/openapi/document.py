"""The OpenAPI document. Routes state the refusals that are their own; what is common to many is added here."""

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

from edge.errors import JSON, SENTENCES, TOKENS, EdgeError, ErrorBody

BEARER = "bearer"
APIKEY = "apikey"
USERS_SECURITY: Final[Sequence[dict[str, list[str]]]] = ({BEARER: [], APIKEY: []}, {BEARER: []})
"""What routes for signed-in users need: a token, and no API key where no gateway asks for one."""
VERBS = ("get", "put", "post", "delete", "patch")

Refusal = tuple[int, str, str]
"""Status, token, and what it means."""

ALWAYS: tuple[Refusal, ...] = (
    (500, "internal_error", SENTENCES[500]),
    (503, "overloaded", "Too many requests at once. Try again in a moment."),
    (503, "stopping", "This process is being stopped. Try again."),
)
OF_USERS: tuple[Refusal, ...] = (
    (401, TOKENS[401], "No access token, or one that is expired, badly signed, or no user's."),
    (429, TOKENS[429], "Too many calls in a short time. `Retry-After` says how long to wait."),
    (503, "auth_unavailable", "The keys that sign tokens cannot be had just now."),
    (503, "database_unavailable", "Postgres or PostgREST does not answer."),
)
OF_PARAMETERS: tuple[Refusal, ...] = ((400, TOKENS[400], "A parameter is not what this route takes."),)
OF_PATHS: tuple[Refusal, ...] = ((404, TOKENS[404], SENTENCES[404]),)
OF_BODIES: tuple[Refusal, ...] = (
    (400, TOKENS[400], "The body is not what this route takes; `details` says what is wrong."),
    (408, "request_timeout", "The request took too long to arrive."),
    (413, TOKENS[413], SENTENCES[413]),
)


def refusals(*own: Refusal) -> dict[int, ResponseSpec]:
    """The argument `responses` of a route: the refusals that it has beside those common to all of its kind.

    Args:
        own: each with its status, its token, and a sentence on what it means.
    """
    return {
        status: ResponseSpec(ErrorBody, generate_examples=False, examples=[_example(r) for r in own if r[0] == status])
        for status, _token, _meaning in own
    }


def complete(document: OpenAPI) -> OpenAPI:
    """Add to each operation the refusals that are common to all of its kind, and say in words what each one means."""
    for operation in operations(document):
        # The framework's own shape of a 400, which the edge does not use.
        if operation.responses is not None and not _stated(operation.responses.get("400")):
            operation.responses.pop("400", None)
        for refusal in _common(operation):
            _state(operation, refusal)
        for status, response in (operation.responses or {}).items():
            if isinstance(response, OpenAPIResponse) and status >= "400":
                response.description = "\n\n".join(
                    f"`{token}`: {example.summary}"
                    for token, example in _stated(response).items()
                    if isinstance(example, Example)
                )
    return document


def operations(document: OpenAPI) -> Iterator[Operation]:
    """Every operation of a document."""
    for item in (document.paths or {}).values():
        yield from (operation for verb in VERBS if (operation := getattr(item, verb)) is not None)


def _common(operation: Operation) -> Iterable[Refusal]:
    yield from ALWAYS
    if operation.security:
        yield from OF_USERS
    if operation.request_body is not None:
        yield from OF_BODIES
    places = {getattr(parameter, "param_in", None) for parameter in operation.parameters or ()}
    if "path" in places:
        yield from OF_PATHS
    if places - {"path", None} and operation.request_body is None:
        yield from OF_PARAMETERS


def _state(operation: Operation, refusal: Refusal) -> None:
    status, token, _meaning = refusal
    if operation.responses is None:
        operation.responses = {}
    response = operation.responses.setdefault(
        str(status),
        OpenAPIResponse(
            description="",
            content={
                JSON: OpenAPIMediaType(schema=Reference(ref=f"#/components/schemas/{ErrorBody.__name__}"), examples={})
            },
        ),
    )
    _stated(response).setdefault(token, _example(refusal))


def _stated(response: OpenAPIResponse | Reference | None) -> dict[str, Example | Reference]:
    """The refusals that a response of an error states, by token."""
    if not isinstance(response, OpenAPIResponse) or not response.content or JSON not in response.content:
        return {}
    media = response.content[JSON]
    return {} if media.examples is None else media.examples


def _example(refusal: Refusal) -> Example:
    status, token, meaning = refusal
    body = msgspec.to_builtins(EdgeError(status, token, meaning).body)
    return Example(id=token, summary=meaning, value=body)
