"""Every rule holds in the live catalog, and every rule's query finds the violation that is planted for it."""

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
    assert violations(live, rule) == []


@pytest.mark.parametrize("rule", RULES, ids=named)
def test_violation_is_found(plot: psycopg.Connection, rule: Rule) -> None:
    plot.execute(rule.planted.encode())
    assert [line for line in violations(plot, rule) if line.startswith(rule.found)]
