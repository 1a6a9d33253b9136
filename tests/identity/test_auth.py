"""Accounts by mail and password, with the real mailbox. tests/stack tests every answer of auth."""

import re
import uuid
from typing import Any

import httpx
import jwt
import pytest

from tests.conftest import Stack, wait_for_mail
from tests.people import PASSWORD, Academy, Person

NEW_PASSWORD = "a different long secret"


def auth(academy: Academy, path: str, who: Person | None = None, method: str = "POST", **body: Any) -> httpx.Response:
    """One call of auth."""
    return academy.call(who, method, f"/auth/v1{path}", body)


def mailed_token(stack: Stack, address: str) -> str:
    """The token in the link of the newest mail to an address."""
    found = re.search(r"token=([^&\s]+)", str(wait_for_mail(stack, address)["text"]))
    assert found
    return found[1]


def events(academy: Academy, who: Person) -> list[str]:
    """What auth_events records of somebody, oldest first."""
    found = academy.call(who, "GET", f"/rest/v1/auth_events?user_id=eq.{who.id}&order=id")
    return [event["kind"] for event in found.json()]


def error(answer: httpx.Response) -> tuple[int, str]:
    """The status and the stable code of auth's refusal."""
    return answer.status_code, answer.headers["x-sb-error-code"]


@pytest.mark.route("PL-001", "WC-017", "WC-041", call="POST /auth/v1/signup", public=True)
@pytest.mark.route("PL-006", call="POST /auth/v1/verify", public=True)
def test_a_stranger_signs_up_and_confirms_by_mail(stack: Stack, academy: Academy) -> None:
    email = f"{uuid.uuid4().hex}@example.com"
    made = auth(academy, "/signup", email=email, password=PASSWORD, data={"display_name": "Ada", "role": "admin"})
    assert made.status_code == 200, made.text
    assert "access_token" not in made.json()
    assert error(auth(academy, "/token?grant_type=password", email=email, password=PASSWORD)) == (
        400,
        "email_not_confirmed",
    )

    assert error(auth(academy, "/verify", type="signup", token_hash="f" * 56)) == (403, "otp_expired")
    token = mailed_token(stack, email)
    confirmed = auth(academy, "/verify", type="signup", token_hash=token)
    assert confirmed.status_code == 200, confirmed.text
    session = confirmed.json()
    assert session["user"]["email_confirmed_at"]
    assert error(auth(academy, "/verify", type="signup", token_hash=token)) == (403, "otp_expired")

    # A new user has a profile with the given name, and only the role student, whatever the request asked for.
    me = Person(id=session["user"]["id"], email=email, token=session["access_token"])
    profile = academy.call(me, "GET", f"/rest/v1/profiles?id=eq.{me.id}&select=display_name").json()
    assert profile == [{"display_name": "Ada"}]
    assert academy.call(me, "GET", "/rest/v1/user_roles").json() == []
    counts = f"/rest/v1/profiles?id=eq.{me.id}&select=user_settings(locale),user_stats(enrolment_count)"
    assert academy.call(me, "GET", counts).json() == [
        {"user_settings": {"locale": "en"}, "user_stats": {"enrolment_count": 0}}
    ]
    assert events(academy, me) == ["sign_in"]


@pytest.mark.route("PL-002", "WC-018", "WC-042", call="POST /auth/v1/token?grant_type=password", public=True)
@pytest.mark.route("WC-019", "WC-045", call="POST /auth/v1/token?grant_type=refresh_token", public=True)
@pytest.mark.route("GS-103", call="POST /auth/v1/logout")
def test_a_member_signs_in_stays_signed_in_and_signs_out(academy: Academy) -> None:
    person = academy.person("teacher")
    assert error(auth(academy, "/token?grant_type=password", email=person.email, password="wrong")) == (
        400,
        "invalid_credentials",
    )
    first = auth(academy, "/token?grant_type=password", email=person.email, password=PASSWORD).json()
    assert first["user"]["id"] == person.id

    refreshed = auth(academy, "/token?grant_type=refresh_token", refresh_token=first["refresh_token"])
    assert refreshed.status_code == 200, refreshed.text
    second = refreshed.json()
    assert second["refresh_token"] != first["refresh_token"]
    assert error(auth(academy, "/token?grant_type=refresh_token", refresh_token="unknown")) == (
        400,
        "refresh_token_not_found",
    )

    claims = jwt.decode(first["access_token"], options={"verify_signature": False})
    assert (claims["user_role"], first["token_type"], first["expires_in"] > 0) == ("teacher", "bearer", True)

    assert error(auth(academy, "/logout?scope=local")) == (403, "bad_jwt")
    me = Person(id=person.id, email=person.email, token=second["access_token"])
    assert events(academy, me) == ["sign_in", "failure", "sign_in", "refresh"]
    assert auth(academy, "/logout?scope=local", me).status_code == 204
    assert error(auth(academy, "/token?grant_type=refresh_token", refresh_token=second["refresh_token"])) == (
        400,
        "refresh_token_not_found",
    )


@pytest.mark.route("PL-003", "WC-043", call="POST /auth/v1/recover", public=True)
@pytest.mark.route("PL-004", call="POST /auth/v1/verify", public=True)
@pytest.mark.route("PL-005", "WC-044", call="PUT /auth/v1/user")
def test_a_forgotten_password_is_replaced_by_mail(stack: Stack, academy: Academy) -> None:
    person = academy.person()
    unknown = auth(academy, "/recover", email=f"{uuid.uuid4().hex}@example.com")
    asked = auth(academy, "/recover", email=person.email)
    assert (asked.status_code, asked.json()) == (unknown.status_code, unknown.json()) == (200, {})

    assert error(auth(academy, "/verify", type="recovery", token_hash="f" * 56)) == (403, "otp_expired")
    verified = auth(academy, "/verify", type="recovery", token_hash=mailed_token(stack, person.email))
    assert verified.status_code == 200, verified.text
    me = Person(id=person.id, email=person.email, token=verified.json()["access_token"])

    assert error(auth(academy, "/user", method="PUT", password=NEW_PASSWORD)) == (403, "bad_jwt")
    assert auth(academy, "/user", me, method="PUT", password=NEW_PASSWORD).status_code == 200
    assert auth(academy, "/token?grant_type=password", email=person.email, password=PASSWORD).status_code == 400
    assert auth(academy, "/token?grant_type=password", email=person.email, password=NEW_PASSWORD).status_code == 200


def test_the_token_shows_the_highest_role_to_frontends(academy: Academy) -> None:
    person = academy.person("teacher", "moderator")
    claims = jwt.decode(person.token, options={"verify_signature": False})
    assert (claims["user_role"], claims["role"]) == ("moderator", "authenticated")


@pytest.mark.parametrize("flaw", [{"exp": None}, {"sub": None}, {"aud": "elsewhere"}, {"aud": None}])
def test_a_token_that_only_looks_right_is_refused(academy: Academy, flaw: dict[str, Any]) -> None:
    person = academy.member()
    claims = {"sub": person.id, "aud": "authenticated", "role": "authenticated", "exp": 4_000_000_000} | flaw
    token = academy.keys.sign({name: value for name, value in claims.items() if value is not None})
    answer = academy.call(Person(id=person.id, email="", token=token), "GET", "/rest/v1/profiles?limit=1")
    assert answer.status_code == 401, answer.text
