"""docs/errors.md lists every token that anybody raises, with its status, and none that nobody does."""

import ast
import re
from collections import defaultdict
from pathlib import Path

import psycopg

from edge import errors as edge_errors
from stack.project import ROOT

RAISE = re.compile(
    r"raise\s+sqlstate\s+'(?:PGRST'\s+using\s+message\s*=\s*json_build_object\(\s*'code',\s*')?PT(\d{3})'"
    r"(?:\s+using\s+message\s*=|,\s*'message',)\s*'([a-z_]+)'",
    re.IGNORECASE,
)
ROW = re.compile(r"\| (\d{3}) \| `([a-z_]+)` \|(.*)\|$")
Token = tuple[int, str]


def listed(section: str) -> dict[Token, str]:
    """The rows of the table below a heading: status and token, and the rest of the row."""
    document = (ROOT / "docs" / "errors.md").read_text()
    text = document.split(f"\n## {section}\n")[1].split("\n## ")[0]
    found = [ROW.fullmatch(line) for line in text.splitlines()]
    rows = [(int(row[1]), row[2], row[3]) for row in found if row]
    assert len(rows) == len({(status, token) for status, token, _ in rows}), f"a token stands twice in {section}"
    return {(status, token): rest for status, token, rest in rows}


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


def sources(connection: psycopg.Connection) -> dict[str, str]:
    """Every function of ours that is no trigger's, and its source."""
    return dict(
        connection.execute(
            "select format('%s.%s', n.nspname, p.proname), p.prosrc from pg_catalog.pg_proc as p"
            " join pg_catalog.pg_namespace as n on n.oid = p.pronamespace"
            " where n.nspname in ('public', 'private') and p.prorettype <> 'trigger'::regtype"
        ).fetchall()
    )


def raised_by_function(functions: dict[str, str]) -> dict[Token, set[str]]:
    """The public functions that can end in each token, by themselves or through those that they call."""
    calls = {
        name: {other for other in functions if re.search(rf"\b{re.escape(other)}\(", source)}
        for name, source in functions.items()
    }
    found = defaultdict(set)
    for name in functions:
        reached, new = {name}, {name}
        while new:
            new = {called for caller in new for called in calls[caller]} - reached
            reached |= new
        if name.startswith("public."):
            for called in reached:
                for status, token in RAISE.findall(functions[called]):
                    found[int(status), token].add(name.removeprefix("public."))
    return found


def test_every_token_of_the_database_is_listed(live: psycopg.Connection) -> None:
    sql = live.execute(
        "select string_agg(prosrc, ' ') from pg_catalog.pg_proc"
        " where pronamespace in ('public'::regnamespace, 'private'::regnamespace)"
    ).fetchone()
    assert sql is not None
    raised = {(int(status), token) for status, token in RAISE.findall(sql[0])}
    assert len(raised) > 10
    assert set(listed("The database")) == raised


def test_functions_that_raise_a_token_are_named(live: psycopg.Connection) -> None:
    """Where the list names functions, it names all that can end so."""
    able = raised_by_function(sources(live))
    assert able
    for token, rest in listed("The database").items():
        who = rest.split("|")[-1]
        named = set(re.findall(r"`([a-z_]+)`", who.partition("trigger on")[0]))
        if "every" not in who.partition("trigger on")[0]:
            assert named == able.get(token, set()), token


def test_documented_errors_of_functions_are_those_they_raise(live: psycopg.Connection) -> None:
    """The comment of a public function, which OpenAPI shows, names the tokens that its callers must expect."""
    able = raised_by_function(sources(live))
    comments: dict[str, str] = dict(
        live.execute(
            "select proname, obj_description(oid, 'pg_proc') from pg_catalog.pg_proc"
            " where pronamespace = 'public'::regnamespace"
        ).fetchall()
    )
    common = {"sign_in_required", "account_inactive", "setting_missing"}
    for name, comment in comments.items():
        raised = {token for (_, token), functions in able.items() if name in functions} - common
        missing = {token for token in raised if token not in comment}
        assert not missing, f"the comment of {name} does not name {sorted(missing)}"


def test_every_token_of_the_edge_is_listed() -> None:
    raised = constructed("edge", "EdgeError") | set(edge_errors.TOKENS.items())
    assert set(listed("The edge")) == raised


def test_every_code_of_the_gateway_is_listed() -> None:
    assert set(listed("The gateway")) == constructed("stack/gateway", "GatewayError")


def test_token_that_nobody_listed_is_found(plot: psycopg.Connection) -> None:
    plot.execute(
        """
        create function private.planted() returns void language plpgsql set search_path = '' as $$
        begin
            raise sqlstate 'PT418' using message = 'teapot';
        end
        $$;
        create function public.planted() returns void language sql set search_path = ''
        as $$ select private.planted() $$
        """
    )
    assert raised_by_function(sources(plot))[418, "teapot"] == {"planted"}
