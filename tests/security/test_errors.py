"""Errors are rows: every refusal names one, the pages that list them are current, and comments tell what can happen."""

import ast
import re
from pathlib import Path

import psycopg
import pytest

from edge.errors import catalogue
from stack.paths import ROOT
from stack.tools import reference
from stack.tools.reference.errors import EVERYWHERE, REFUSAL, constraints, database_errors, tokens_by_function
from stack.tools.reference.writes import WHOLE_ROW, writers
from tests.people import Academy

ROW = re.compile(r"\| (\d{3}) \| `([a-z0-9_]+)` \|.*\|$")
WORD = re.compile(r"\b[a-z]+(?:_[a-z0-9]+)+\b")
Token = tuple[int, str]


def listed(section: str) -> set[Token]:
    """The statuses and tokens in the table below a heading of docs/errors.md."""
    document = (ROOT / "docs" / "errors.md").read_text()
    text = document.split(f"\n## {section}\n")[1].split("\n## ")[0]
    rows = [(int(row[1]), row[2]) for row in map(ROW.fullmatch, text.splitlines()) if row]
    assert len(rows) == len(set(rows)), f"a token stands twice in {section}"
    return set(rows)


def constructed(folder: str, name: str) -> set[Token]:
    """The status and the token of each exception of this name that Python code makes."""
    found = set()
    for file in sorted(Path(ROOT / folder).rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == name:
                match node.args:
                    case [ast.Constant(value=int(status)), ast.Constant(value=str(token)), *_]:
                        found.add((status, token))
    return found


def stray_errors(connection: psycopg.Connection) -> list[str]:
    """Tokens that are raised and have no row, rows that nothing raises, and functions that raise without a row."""
    sources = connection.execute(
        "select p.oid::regprocedure::text, p.prosrc from pg_catalog.pg_proc as p"
        " where p.pronamespace in ('public'::regnamespace, 'private'::regnamespace)"
    ).fetchall()
    raised = {token for _, source in sources for token in REFUSAL.findall(source)}
    rows = {token for (token,) in connection.execute("select token from private.errors").fetchall()}
    allowed = {"private.refuse(text,text[])", "private.check_request()", "private.await_reference(text)"}
    bare = [f"{name} raises by itself" for name, source in sources if name not in allowed and "raise " in source]
    return sorted(
        [f"{token} has no row in private.errors" for token in raised - rows]
        + [f"nothing raises {token}" for token in rows - raised]
        + bare
    )


def wrong_comments(connection: psycopg.Connection) -> list[str]:
    """Functions of the API whose comment lacks a token that they raise, or names one that they cannot.

    What only a trigger raises may be named; whether it can happen depends on the columns that are written.
    """
    certain, possible = tokens_by_function(connection), tokens_by_function(connection, with_triggers=True)
    tokens = {token for (token,) in connection.execute("select token from private.errors").fetchall()}
    wrong = []
    for name, comment in connection.execute(
        "select 'public.' || proname, obj_description(oid, 'pg_proc') from pg_catalog.pg_proc"
        " where pronamespace = 'public'::regnamespace order by proname"
    ).fetchall():
        named = set(WORD.findall(comment)) & tokens
        declared = set(WORD.findall(comment.partition("Raises ")[2])) & tokens
        wrong += [f"the comment of {name} lacks {token}" for token in sorted(certain[name] - EVERYWHERE - named)]
        wrong += [f"{name} never raises {token}" for token in sorted(declared - possible[name])]
    return wrong


def test_every_error_is_a_row_and_every_row_is_raised(live: psycopg.Connection) -> None:
    strays = stray_errors(live)
    assert not strays, "\n".join(strays)


def test_comments_of_functions_name_what_they_raise(live: psycopg.Connection) -> None:
    wrong = wrong_comments(live)
    assert not wrong, "\n".join(wrong)


def test_generated_pages_are_current(live: psycopg.Connection) -> None:
    stale = [str(path.relative_to(ROOT)) for path, content in reference.generated(live) if path.read_text() != content]
    assert not stale, f"./guildhall reference writes these anew: {stale}"
    assert listed("The database") == {(error.status, error.token) for error in database_errors(live)}


def test_clients_read_the_catalogue(academy: Academy, live: psycopg.Connection) -> None:
    answer = academy.call(None, "GET", "/rest/v1/rpc/error_catalogue")
    assert answer.status_code == 200, answer.text
    errors = {(error.status, error.token, "error") for error in database_errors(live)}
    named = {(status, name, "constraint") for _, name, status, _ in constraints(live)}
    assert {(row["status"], row["token"], row["kind"]) for row in answer.json()} == errors | named
    assert len(answer.json()) == len(errors) + len(named)
    assert all(row["meaning"] and row["hint"] for row in answer.json())


def test_a_broken_constraint_is_in_the_catalogue(academy: Academy) -> None:
    person, other = academy.member(), academy.member()
    refusals = [
        academy.call(person, "PATCH", f"/rest/v1/profiles?id=eq.{person.id}", {"bio": "a" * 4001}),
        academy.call(person, "POST", "/rest/v1/follows", {"followee_id": person.id}),
        academy.call(person, "POST", "/rest/v1/follows", [{"followee_id": other.id}, {"followee_id": other.id}]),
        academy.call(person, "POST", "/rest/v1/notification_preferences", {"topic": "none"}),
    ]
    answer = academy.call(None, "GET", "/rest/v1/rpc/error_catalogue?kind=eq.constraint")
    status = {row["token"]: row["status"] for row in answer.json()}
    broken = [re.findall(r'"(\w+)"', refusal.json()["message"])[-1] for refusal in refusals]
    assert broken == ["profiles_bio_check", "follows_self_check", "follows_pkey", "notification_preferences_topic_fkey"]
    assert [status[name] for name in broken] == [refusal.status_code for refusal in refusals]


def test_a_column_that_a_function_writes_names_it(live: psycopg.Connection) -> None:
    found = {(each.table, column): each.functions for each in writers(live) for column in each.columns}
    assert found["user_qualifications", "is_verified"] == ("verify_qualification",)
    assert found["accounts", "status"] == ("set_account_status",)
    assert found["workspace_members", WHOLE_ROW] == (
        "add_workspace_member", "create_workspace", "remove_workspace_member",
    )  # fmt: skip
    assert ("profiles", "bio") not in found


def test_calls_of_registered_functions_are_followed(live: psycopg.Connection) -> None:
    raised = tokens_by_function(live, with_triggers=True)
    assert "last_superadmin" in raised["public.delete_account"]


def test_every_token_of_the_edge_is_listed() -> None:
    assert listed("The edge") == {(each.status, each.token) for each in catalogue().values()}


def test_every_code_of_the_gateway_is_listed() -> None:
    errors = constructed("stack/gateway", "GatewayError") | constructed("stack/gateway", "BoundError")
    assert listed("The gateway") == errors


@pytest.mark.parametrize(
    ("statement", "found"),
    [
        ("perform private.refuse('teapot');", "teapot has no row in private.errors"),
        ("raise sqlstate 'PT418' using message = 'teapot';", "private.planted() raises by itself"),
    ],
)
def test_a_stray_error_is_found(scratch: psycopg.Connection, statement: str, found: str) -> None:
    scratch.execute(
        "create function private.planted() returns void language plpgsql set search_path = ''"
        f" as $$ begin {statement} end $$".encode()
    )
    assert found in stray_errors(scratch)


def test_a_row_that_nothing_raises_is_found(scratch: psycopg.Connection) -> None:
    scratch.execute(
        "insert into private.errors (token, status, meaning, hint) values ('teapot', 418, 'Tea.', 'Drink it.')"
    )
    assert "nothing raises teapot" in stray_errors(scratch)


def test_a_comment_that_is_wrong_is_found(scratch: psycopg.Connection) -> None:
    scratch.execute(
        """
        create function private.planted() returns void language plpgsql set search_path = '' as $$
        begin perform private.refuse('payout_not_found'); end $$;
        create function public.planted() returns void language sql set search_path = ''
        as $$ select private.planted() $$;
        comment on function public.planted() is 'Plants. Raises order_not_found (404).'
        """
    )
    assert {
        "the comment of public.planted lacks payout_not_found",
        "public.planted never raises order_not_found",
    } <= set(wrong_comments(scratch))
