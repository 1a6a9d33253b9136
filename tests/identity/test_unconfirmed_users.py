"""Nobody sees a user who has not proved an address, and nothing that was chosen before the proof outlives it."""

import time
import uuid
from typing import Any

import httpx
import pytest

from tests.conftest import Stack, wait_for_mail
from tests.people import PASSWORD, Academy, Person, refused, rows


def auth(academy: Academy, path: str, **body: Any) -> httpx.Response:
    return academy.http.post(f"/auth/v1{path}", json=body, headers={"apikey": academy.publishable_key})


def sign_up(academy: Academy, email: str, name: str, password: str = PASSWORD) -> str:
    """Sign up without confirming the address; returns the user's id."""
    assert auth(academy, "/signup", email=email, password=password, data={"full_name": name}).status_code == 200
    [(user_id,)] = academy.sql("select id::text from auth.users where email = %s", email)
    return str(user_id)


def follow_link(stack: Stack, email: str, subject: str) -> None:
    """Open the link of the newest mail with this subject."""
    text = str(wait_for_mail(stack, email, subject)["text"])
    answer = httpx.get(next(word for word in text.split() if word.startswith("http")))
    assert (answer.status_code, "error" in answer.headers["location"]) == (303, False)


def is_shown(academy: Academy, user_id: str, name: str, stranger: Person) -> set[bool]:
    """Whether strangers see the user, as the answers of every list and search say."""
    found = set()
    for who in (None, stranger):
        found.add(rows(academy.call(who, "GET", f"/rest/v1/profiles?id=eq.{user_id}")) != [])
        found.add(rows(academy.call(who, "GET", f"/rest/v1/profiles?display_name=eq.{name}")) != [])
        found.add(rows(academy.call(who, "GET", f"/rest/v1/user_stats?user_id=eq.{user_id}")) != [])
        counted = academy.call(who, "GET", f"/rest/v1/profiles?display_name=eq.{name}", prefer="count=exact")
        found.add(counted.headers["content-range"] != "*/0")
    answer = academy.call(stranger, "POST", "/rest/v1/rpc/search_users", {"q": name})
    assert answer.status_code == 200, answer.text
    found.add(user_id in answer.text)
    return found


def test_a_user_is_shown_from_the_confirmation_on(
    stack: Stack, academy: Academy, stranger: Person, moderator: Person
) -> None:
    email, name = f"{uuid.uuid4().hex}@example.com", f"Zz{uuid.uuid4().hex[:12]}"
    user_id = sign_up(academy, email, name)
    assert is_shown(academy, user_id, name, stranger) == {False}
    [profile] = rows(academy.call(moderator, "GET", f"/rest/v1/profiles?id=eq.{user_id}"))
    assert profile["is_public"] is False
    follow = academy.call(stranger, "POST", "/rest/v1/follows", {"followee_id": user_id})
    assert follow.status_code in {403, 404, 409}, follow.text

    follow_link(stack, email, "Confirm")
    assert is_shown(academy, user_id, name, stranger) == {True}
    # What its owner hides stays hidden, whatever auth changes later.
    owner = Person(id=user_id, email=email, token=academy.token(user_id, email))
    assert academy.call(owner, "PATCH", f"/rest/v1/profiles?id=eq.{user_id}", {"is_public": False}).status_code == 204
    academy.sql("update auth.users set email = %s, email_confirmed_at = now() where id = %s", f"x{email}", user_id)
    assert is_shown(academy, user_id, name, stranger) == {False}


@pytest.mark.parametrize("is_public", [True, False])
def test_an_account_in_use_stays_as_it_is_when_another_address_is_proved(
    stack: Stack, academy: Academy, stranger: Person, is_public: bool
) -> None:
    old, email, name = (
        f"{uuid.uuid4().hex}@example.com",
        f"{uuid.uuid4().hex}@example.com",
        f"Zz{uuid.uuid4().hex}"[:14],
    )
    user_id = sign_up(academy, old, name)
    follow_link(stack, old, "Confirm")
    owner = Person(id=user_id, email=old, token=academy.token(user_id, old))
    path = f"/rest/v1/profiles?id=eq.{user_id}"
    assert academy.call(owner, "PATCH", path, {"is_public": is_public}).status_code == 204
    academy.sql("update auth.users set email = %s, email_confirmed_at = null where id = %s", email, user_id)
    assert is_shown(academy, user_id, name, stranger) == {is_public}

    # A stranger signs up with the new address, before its holder proves it.
    sign_up(academy, email, "A stranger", "password of a stranger")
    assert auth(academy, "/recover", email=email).status_code == 200
    follow_link(stack, email, "Reset")
    [(metadata, hashed)] = academy.sql(
        "select raw_user_meta_data, encrypted_password from auth.users where id = %s", user_id
    )
    assert metadata["full_name"] == name
    strangers = auth(academy, "/token?grant_type=password", email=email, password="password of a stranger")
    assert (strangers.status_code, hashed != "") == (400, True)
    assert auth(academy, "/token?grant_type=password", email=email, password=PASSWORD).status_code == 200
    assert is_shown(academy, user_id, name, stranger) == {is_public}


def test_a_guest_is_hidden_until_they_prove_an_address(stack: Stack, academy: Academy, stranger: Person) -> None:
    guest = auth(academy, "/signup", data={"full_name": "A guest"}).json()
    me = Person(id=guest["user"]["id"], email="", token=guest["access_token"])
    name, path = f"Zz{uuid.uuid4().hex[:12]}", f"/rest/v1/profiles?id=eq.{me.id}"
    assert academy.call(me, "PATCH", path, {"display_name": name}).status_code == 204
    refused(academy.call(me, "PATCH", path, {"is_public": True}), 403, "profile_unconfirmed")
    assert is_shown(academy, me.id, name, stranger) == {False}

    email = f"{uuid.uuid4().hex}@example.com"
    assert academy.call(me, "PUT", "/auth/v1/user", {"email": email}).status_code == 200
    assert is_shown(academy, me.id, name, stranger) == {False}
    follow_link(stack, email, "Confirm your new email address")
    assert is_shown(academy, me.id, name, stranger) == {True}


@pytest.mark.parametrize(
    ("path", "subject", "name"),
    [
        ("/signup", "Confirm", "Ada Lovelace"),
        ("/otp", "sign-in link", "New member"),
        ("/recover", "Reset", "New member"),
    ],
)
def test_the_name_of_a_profile_is_not_that_of_a_strangers_sign_up(
    stack: Stack, academy: Academy, path: str, subject: str, name: str
) -> None:
    email = f"{uuid.uuid4().hex}@example.com"
    user_id = sign_up(academy, email, "A stranger", "password of a stranger")
    wait_for_mail(stack, email)
    body = {"password": PASSWORD, "data": {"full_name": name}} if path == "/signup" else {}
    time.sleep(1)  # between two mails of a kind to one address
    assert auth(academy, path, email=email, **body).status_code == 200
    if path == "/signup":
        assert "Somebody signed up with it before" in str(wait_for_mail(stack, email, subject)["text"])
    follow_link(stack, email, subject)
    assert academy.sql("select display_name, is_public from public.profiles where id = %s", user_id) == [(name, True)]


def test_a_name_that_an_admin_gave_stays(stack: Stack, academy: Academy, admin: Person) -> None:
    email = f"{uuid.uuid4().hex}@example.com"
    user_id = sign_up(academy, email, "A stranger")
    path = f"/rest/v1/profiles?id=eq.{user_id}"
    refused(academy.call(admin, "PATCH", path, {"is_public": True}), 403, "profile_unconfirmed")
    assert academy.call(admin, "PATCH", path, {"display_name": "Ada"}).status_code == 204
    auth(academy, "/recover", email=email)
    follow_link(stack, email, "Reset")
    assert academy.sql("select display_name from public.profiles where id = %s", user_id) == [("Ada",)]
    # Nobody signs up over an account that an admin made.
    made = academy.rpc(admin, "create_user", email=f"x{email}", display_name="Grace", role="teacher")
    assert made.status_code == 200, made.text
    sign_up(academy, f"x{email}", "A stranger", "password of a stranger")
    follow_link(stack, f"x{email}", "invited")
    [(name, password)] = academy.sql(
        "select p.display_name, u.encrypted_password from public.profiles as p join auth.users as u on u.id = p.id"
        " where u.email = %s",
        f"x{email}",
    )
    assert (name, password) == ("Grace", "")
