"""Requests that Schemathesis makes of an OpenAPI document, right and wrong ones, and what is held of the answers."""

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
"""Requests of each kind to each operation."""
INSIDES = re.compile(
    r"Traceback|\.py\b|/site-packages/|psycopg|postgresql:|\b(?i:select .+ from|insert into|delete from) "
)
"""What no answer tells of."""

Document = Mapping[str, Any]
Headers = Callable[[APIOperation[Any, Any, Any, Any]], dict[str, str]]


def operations(document: Document) -> dict[str, APIOperation[Any, Any, Any, Any]]:
    """Every operation of a document, by its method and path."""
    schema = schemathesis.openapi.from_dict(dict(document))
    results = list(schema.get_all_operations())
    assert all(isinstance(result, Ok) for result in results), results
    return {found.label: found for found in (result.ok() for result in results if isinstance(result, Ok))}


def tells_nothing_of_our_insides(_context: CheckContext, response: Response, _case: Case[Any]) -> None:
    """Neither a trace nor a statement."""
    found = INSIDES.search(response.text) if response.status_code >= 400 else None
    assert not found, f"the answer tells {found and found[0]!r}: {response.text[:500]}"


CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
    tells_nothing_of_our_insides,
]


def attack(
    operation: APIOperation[Any, Any, Any, Any],
    url: str,
    headers: Headers,
    *,
    path_parameters: Mapping[str, str] | None = None,
    examples: int = EXAMPLES,
) -> Counter[int]:
    """Send right and wrong requests to one operation. Raises what a check finds, with a command line that repeats it.

    Args:
        operation: of a document.
        url: where its server is.
        headers: makes what every request to an operation carries.
        path_parameters: what stands in the path; otherwise it is made up.
        examples: how many requests of each kind.

    Returns:
        How often there was which status.
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
                # Where only headers are described, which are any text, nothing is wrong.
                assert mode is GenerationMode.NEGATIVE
    return statuses
