"""Recorded sign-ins, and who reads them."""

from typing import Any

import httpx

from tests.people import PASSWORD, Academy, Person, rows
from tests.waiting import wait_until

AGENT = "Test browser/1.0"


def token(academy: Academy, grant: str, **body: Any) -> httpx.Response:
    """Ask auth for a token, with the User-Agent of a browser."""
    headers = {"apikey": academy.publishable_key, "user-agent": body.pop("agent", AGENT)}
    return academy.http.post(f"/auth/v1/token?grant_type={grant}", json=body, headers=headers)


def events(academy: Academy, reader: Person, person: Person) -> list[tuple[str, str | None, str]]:
    """The events of an account that a user reads, oldest first."""
    found = rows(academy.call(reader, "GET", f"/rest/v1/auth_events?user_id=eq.{person.id}&order=id"))
    return [(event["kind"], event["address"], event["user_agent"]) for event in found]


def test_sign_ins_refreshes_and_failures_are_recorded(
    academy: Academy, admin: Person, moderator: Person, stranger: Person
) -> None:
    person = academy.person()
    academy.sql("delete from public.auth_events where user_id = %s", person.id)
    signed_in = token(academy, "password", email=person.email, password=PASSWORD)
    assert signed_in.status_code == 200
    refreshed = token(academy, "refresh_token", refresh_token=signed_in.json()["refresh_token"], agent="x" * 5000)
    assert refreshed.status_code == 200
    assert token(academy, "password", email=person.email.upper(), password="wrong").status_code == 400
    wait_until(lambda: len(events(academy, person, person)) == 3)

    expected = [("sign_in", "127.0.0.1", AGENT), ("refresh", "127.0.0.1", "x" * 500), ("failure", "127.0.0.1", AGENT)]
    assert events(academy, person, person) == events(academy, admin, person) == expected
    assert events(academy, stranger, person) == events(academy, moderator, person) == []
    assert academy.call(None, "GET", "/rest/v1/auth_events").status_code == 401
    suspended = academy.member("admin")
    academy.suspend(suspended)
    assert events(academy, suspended, person) == []

    path = f"/rest/v1/auth_events?user_id=eq.{person.id}"
    for who in (person, admin):
        assert academy.call(who, "PATCH", path, {"kind": "refresh"}).status_code == 403
        assert academy.call(who, "DELETE", path).status_code == 403
        assert academy.call(who, "POST", "/rest/v1/auth_events", {"user_id": who.id}).status_code == 403


def test_a_missing_user_gets_no_event(academy: Academy) -> None:
    [(before,)] = academy.sql("select count(*) from public.auth_events where kind = 'failure'")
    assert token(academy, "password", email="nobody@nowhere.example", password="wrong").status_code == 400
    person = academy.person()
    assert token(academy, "password", email=person.email, password="wrong").status_code == 400
    wait_until(lambda: [kind for kind, _, _ in events(academy, person, person)] == ["sign_in", "failure"])
    [(after,)] = academy.sql("select count(*) from public.auth_events where kind = 'failure'")
    assert after == before + 1


def test_the_hook_accepts_malformed_events(academy: Academy) -> None:
    person = academy.member()
    for event in (
        "{}",
        "null",
        '{"valid": false}',
        '{"valid": false, "user_id": "nobody"}',
        '{"valid": false, "user_id": "00000000-0000-4000-8000-000000000000"}',
        f'{{"valid": false, "user_id": "{person.id}", "metadata": {{"ip_address": "nowhere", "user_agent": 1}}}}',
        f'{{"valid": true, "user_id": "{person.id}"}}',
    ):
        [(answer,)] = academy.sql("select private.password_verification_attempt(%s::jsonb)", event)
        assert answer == {"decision": "continue"}
    assert events(academy, person, person) == [("failure", None, "1")]


def test_old_events_are_deleted(academy: Academy) -> None:
    person = academy.member()
    academy.sql(
        "insert into public.auth_events (user_id, kind, created_at)"
        " select %s, 'sign_in', now() - make_interval(days => d) from unnest(array[1, 179, 181, 400]) as d",
        person.id,
    )
    academy.sql("select private.purge__auth_events()")
    assert len(events(academy, person, person)) == 2


def test_events_are_deleted_with_the_user(academy: Academy) -> None:
    for statement in ("delete from auth.users where id = %s", "update auth.users set deleted_at = now() where id = %s"):
        person = academy.person()
        assert len(events(academy, person, person)) == 1
        academy.sql(statement, person.id)
        assert academy.sql("select from public.auth_events where user_id = %s", person.id) == []
