"""Every rule holds in the live catalog, and its query finds the violation that is planted for it."""

import psycopg
import pytest

from tests.security.rules import RULES, Rule


def violations(connection: psycopg.Connection, rule: Rule) -> list[str]:
    connection.execute("set search_path = ''")
    return sorted(line for (line,) in connection.execute(rule.query.encode()))


def named(rule: Rule) -> str:
    return rule.name


@pytest.mark.parametrize("rule", RULES, ids=named)
def test_rule_holds(live: psycopg.Connection, rule: Rule) -> None:
    found = violations(live, rule)
    if found:
        pytest.fail("\n".join([f"Broken: {rule.name}.", *(f"    {line}" for line in found), rule.fix]), pytrace=False)


@pytest.mark.parametrize("rule", RULES, ids=named)
def test_violation_is_found(scratch: psycopg.Connection, rule: Rule) -> None:
    scratch.execute(rule.planted.encode())
    assert [line for line in violations(scratch, rule) if line.startswith(rule.found)]
