"""The catalogue of errors: every error of the code is a row of it, every row is raised, and frontends can read it."""

import ast
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from edge.errors import ErrorDefinition, catalogue, database_errors, error, find_definition
from edge.http.errors import FRAMEWORK_TOKENS
from edge.http.webhooks import ERRORS
from stack.paths import ROOT
from tests.conftest import Stack


def raised() -> Iterator[tuple[Path, str]]:
    """The tokens that the code of the edge passes to `error`, and where."""
    for file in sorted((ROOT / "edge").rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text())):
            match node:
                case ast.Call(func=ast.Name(id="error"), args=[ast.IfExp(body=first, orelse=second), *_]):
                    yield from ((file, str(each.value)) for each in (first, second) if isinstance(each, ast.Constant))
                case ast.Call(func=ast.Name(id="error"), args=[ast.Constant(value=str(token)), *_]):
                    yield file, token


def named() -> set[str]:
    """The texts in the code, outside of definitions: a token may be raised at once, or passed on and raised later."""
    files = [file for file in (ROOT / "edge").rglob("*.py") if file.name != "errors.py"]
    nodes = [node for file in files for node in ast.walk(ast.parse(file.read_text()))]
    return {node.value for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str)}


def test_every_error_of_the_code_is_defined() -> None:
    found = list(raised())
    assert len(found) > 30
    known = set(catalogue()) | set(database_errors().errors)
    unknown = [f"{file}: {token}" for file, token in found if token not in known]
    assert not unknown, "\n".join(unknown)


def test_every_definition_is_used() -> None:
    unused = set(catalogue()) - named() - set(FRAMEWORK_TOKENS.values())
    assert not unused


def test_a_token_of_both_catalogues_has_one_status() -> None:
    shared = set(catalogue()) & set(database_errors().errors)
    assert shared >= {"rate_limited", "certificate_not_found", "sign_in_required"}
    for token in shared:
        assert catalogue()[token].status == database_errors().errors[token]["status"], token


@pytest.mark.parametrize("definition", catalogue().values(), ids=lambda definition: definition.token)
def test_a_definition_is_two_sentences_for_people(definition: ErrorDefinition) -> None:
    assert 400 <= definition.status < 600
    for sentence in (definition.meaning, definition.hint):
        assert sentence[0].isupper() or sentence.startswith("`")
        assert sentence.endswith(".")
        assert len(sentence) <= 300
    if definition.detail is not None:
        assert "%s" in definition.detail


def test_an_error_is_filled_in_from_its_definition() -> None:
    plain, filled = error("subscription_ended"), error("url_foreign", "cancel_url")
    assert plain.body.details == find_definition("subscription_ended").meaning
    assert filled.body.details == "cancel_url is not a URL of this installation."
    assert (filled.status, filled.body.code, filled.body.message) == (422, "PT422", "url_foreign")
    of_database = error("order_not_found")
    assert (of_database.status, of_database.body.hint) == (404, find_definition("order_not_found").hint)


def test_an_unknown_token_raises_key_error() -> None:
    with pytest.raises(KeyError):
        error("no_such_token")


def test_frontends_read_the_catalogue(stack: Stack) -> None:
    answer = httpx.get(f"{stack.api_url}/functions/v1/errors")
    assert answer.status_code == 200, answer.text
    assert {row["token"]: row["status"] for row in answer.json()} == {
        token: each.status for token, each in catalogue().items()
    }
    assert all(set(row) == {"token", "status", "meaning", "hint"} for row in answer.json())
    assert set(ERRORS) <= {row["token"] for row in answer.json()}
