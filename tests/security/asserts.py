"""Assertions about refused requests."""

from typing import Any

import httpx

from tests.people import Academy


def denied(answer: httpx.Response) -> None:
    """Assert that the privilege or the policy is missing."""
    assert (answer.status_code, answer.json()["code"]) == (403, "42501"), answer.text


def untouched(academy: Academy, table: str, row_id: str, **columns: Any) -> None:
    """Assert that a row has these values."""
    found = academy.sql(f"select to_jsonb(t) from public.{table} as t where t.id = %s", row_id)  # noqa: S608
    assert {name: found[0][0][name] for name in columns} == columns
