"""Valid and invalid requests that Schemathesis generates from an OpenAPI document, and the checks of the answers."""

import re
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import Case, CheckContext, GenerationMode, Response
from schemathesis.checks import not_a_server_error
from schemathesis.core.result import Ok
from schemathesis.schemas import APIOperation
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

EXAMPLES = 8
"""Valid requests, and as many invalid ones, to each operation."""
INTERNALS = re.compile(
    r"Traceback|\.py\b|/site-packages/|psycopg|postgresql:|\b(?i:select .+ from|insert into|delete from) "
)
"""Internals that no answer may mention."""

Document = Mapping[str, Any]
Headers = Callable[[APIOperation[Any, Any, Any, Any]], dict[str, str]]


def operations(document: Document) -> dict[str, APIOperation[Any, Any, Any, Any]]:
    """Every operation of a document, by its method and path."""
    schema = schemathesis.openapi.from_dict(dict(document))
    results = list(schema.get_all_operations())
    assert all(isinstance(result, Ok) for result in results), results
    return {found.label: found for found in (result.ok() for result in results if isinstance(result, Ok))}


def shows_no_internals(_context: CheckContext, response: Response, _case: Case[Any]) -> None:
    """No error shows a traceback or a statement."""
    found = INTERNALS.search(response.text) if response.status_code >= 400 else None
    assert not found, f"the answer shows {found and found[0]!r}: {response.text[:500]}"


CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
    shows_no_internals,
]


def attack(
    operation: APIOperation[Any, Any, Any, Any],
    url: str,
    headers: Headers,
    *,
    path_parameters: Mapping[str, str] | None = None,
    examples: int = EXAMPLES,
) -> Counter[int]:
    """Send valid and invalid requests to one operation. A failure prints a command line that repeats the request.

    Args:
        operation: of a document.
        url: the address of its server.
        headers: makes the headers of every request to an operation.
        path_parameters: values of the path; the others are generated.
        examples: the number of requests of each kind.

    Returns:
        The number of answers of each status.
    """
    statuses: Counter[int] = Counter()
    known = [parameter.name for parameter in operation.path_parameters]
    fixed = {name: value for name, value in (path_parameters or {}).items() if name in known}
    has_input = any(True for _ in operation.iter_parameters()) or bool(operation.body)
    with requests.Session() as session:

        def send(case: Case[Any]) -> None:
            answer = case.call_and_validate(
                base_url=url, session=session, headers=headers(operation), checks=CHECKS, allow_redirects=False
            )
            statuses[answer.status_code] += 1

        for mode in GenerationMode if has_input else (GenerationMode.POSITIVE,):
            made = operation.as_strategy(mode, path_parameters=fixed or None)
            bounded = settings(
                max_examples=examples,
                derandomize=True,
                database=None,
                deadline=None,
                phases=[Phase.generate],
                suppress_health_check=list(HealthCheck),
            )
            try:
                bounded(given(case=made)(send))()
            except Unsatisfiable:
                # An operation that only describes headers, which take any text, has no invalid request.
                assert mode is GenerationMode.NEGATIVE
    return statuses
