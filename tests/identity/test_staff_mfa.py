"""The setting that asks moderators and admins for a second factor."""

import json
from typing import Any

import psycopg
import pytest

from tests.people import Academy, Person

STAFF = ("moderator", "admin", "superadmin")


def act(db: psycopg.Connection, person: Person, statement: str, **claims: Any) -> list[tuple[Any, ...]]:
    """Run a statement as a person, with further claims in the token, as PostgREST does."""
    token = {"sub": person.id, "role": "authenticated", **claims}
    with db.transaction(force_rollback=True):
        db.execute("select set_config('request.jwt.claims', %s, true)", [json.dumps(token)])
        db.execute("set local role authenticated")
        return db.execute(statement.encode()).fetchall()


def refusal(db: psycopg.Connection, person: Person, statement: str, **claims: Any) -> tuple[str | None, str | None]:
    """The status and the token with which a statement is refused."""
    with pytest.raises(psycopg.Error) as error, db.transaction():
        act(db, person, statement, **claims)
    return error.value.sqlstate, error.value.diag.message_primary


def ask_for_mfa(db: psycopg.Connection, value: str = "true") -> None:
    db.execute("update private.app_config set value = %s::jsonb where key = 'staff_needs_mfa'", [value])


@pytest.mark.parametrize("role", STAFF)
def test_a_role_counts_with_a_second_factor_only(db: psycopg.Connection, academy: Academy, role: str) -> None:
    person, other = academy.member(role), academy.member()
    # By a function that refuses, and by a policy that hides.
    suspend = f"select private.set_account_status('{other.id}', 'suspended', 'why')"
    read = f"select status from public.accounts where user_id = '{other.id}'"  # noqa: S608
    enough: list[dict[str, Any]] = [{"aal": "aal2"}, {"aal": "aal3"}]
    too_little: list[dict[str, Any]] = [
        {},
        {"aal": None},
        {"aal": "aal1"},
        {"aal": "aal9"},
        {"aal": ["aal2"]},
        {"amr": [{"method": "totp"}]},
    ]
    for claims in [*too_little, *enough]:
        assert act(db, person, suspend, **claims)
        assert act(db, person, read, **claims) == [("active",)]
    ask_for_mfa(db)
    for claims in too_little:
        assert refusal(db, person, suspend, **claims) == ("PT403", "mfa_required")
        assert act(db, person, read, **claims) == []
        assert act(db, person, f"select private.has_role('{role}')", **claims) == [(False,)]
    for claims in enough:
        assert act(db, person, suspend, **claims)
        assert act(db, person, read, **claims) == [("active",)]


def test_nobody_else_is_asked(db: psycopg.Connection, academy: Academy) -> None:
    teacher, student = academy.member("teacher"), academy.member()
    both = academy.member("teacher", "admin")
    ask_for_mfa(db)
    for person in (teacher, both):
        assert act(db, person, "select private.has_role('teacher')") == [(True,)]
    # Who lacks the role learns of no second factor, and a second factor gives no role.
    suspend = f"select private.set_account_status('{teacher.id}', 'suspended', 'why')"
    for aal in ("aal1", "aal2"):
        assert refusal(db, student, suspend, aal=aal) == ("PT403", "role_required")
    own = f"select user_id::text from public.accounts where user_id = '{both.id}'"  # noqa: S608
    assert act(db, both, own) == [(both.id,)]


@pytest.mark.parametrize("value", ["true", "0", '"false"', "{}", "[]", '""', None])
def test_anything_but_false_asks(db: psycopg.Connection, academy: Academy, value: str | None) -> None:
    admin = academy.member("admin")
    if value is None:
        db.execute("delete from private.app_config where key = 'staff_needs_mfa'")
    else:
        ask_for_mfa(db, value)
    assert act(db, admin, "select private.has_role('admin')") == [(False,)]
    assert act(db, admin, "select private.has_role('admin')", aal="aal2") == [(True,)]
    # Others go on.
    assert act(db, academy.member("teacher"), "select private.has_role('teacher')") == [(True,)]


def test_an_admin_without_a_factor_can_enrol_one(db: psycopg.Connection, academy: Academy) -> None:
    admin = academy.person("admin")
    ask_for_mfa(db)
    answer = academy.call(admin, "POST", "/auth/v1/factors", {"factor_type": "totp"})
    assert answer.status_code == 200, answer.text
