"""Sign-up, and conversion of an anonymous user."""

import threading
from uuid import UUID

from tests.stack.auth.support import (
    PASSWORD,
    AuthServer,
    Database,
    Mailbox,
    Rig,
    assert_refused,
    bearer,
    new_email,
    session,
)


def test_sign_up_needs_confirmation_of_the_email_address(auth: AuthServer, mailbox: Mailbox) -> None:
    email = new_email()
    answer = auth.post("/signup", email=email.upper(), password=PASSWORD, data={"full_name": "Ada"})
    assert answer.status_code == 200
    user = answer.json()
    assert "access_token" not in user
    assert user["email"] == email
    assert user["user_metadata"]["full_name"] == "Ada"
    assert_refused(auth.post("/token?grant_type=password", email=email, password=PASSWORD), 400, "email_not_confirmed")

    mail = mailbox.to(email)
    assert mail.parameters["type"] == "signup"
    assert mail.link in mail.html.replace("&amp;", "&")
    confirmed = session(auth.post("/verify", type="signup", email=email, token=mail.otp))
    assert confirmed["user"]["id"] == user["id"]
    assert confirmed["user"]["email_confirmed_at"]
    assert confirmed["user"]["user_metadata"]["email_verified"] is True
    identity = confirmed["user"]["identities"][0]
    assert identity["id"] == identity["user_id"] == user["id"]
    assert identity["provider"] == "email"
    assert identity["identity_data"]["email_verified"] is True
    assert identity["identity_id"] != identity["id"]
    assert auth.sign_in(email)["user"]["id"] == user["id"]


def test_sign_up_with_autoconfirm_returns_a_session_and_refuses_a_known_address(auto: AuthServer) -> None:
    email = new_email()
    made = session(auto.post("/signup", email=email, password=PASSWORD))
    assert made["user"]["email_confirmed_at"]
    assert_refused(auto.post("/signup", email=email, password=PASSWORD), 422, "user_already_exists")


def test_a_known_address_gets_the_same_answer_as_a_new_one(auth: AuthServer, mailbox: Mailbox) -> None:
    known = auth.create_user(user_metadata={"secret": "of the first"})
    pending, fresh = new_email(), new_email()
    auth.post("/signup", email=pending, password=PASSWORD, data={"secret": "of the second"})

    answers = {
        email: auth.post("/signup", email=email, password=PASSWORD, data={"name": "x"})
        for email in (known["email"], pending, fresh)
    }
    assert {answer.status_code for answer in answers.values()} == {200}
    for email, answer in answers.items():
        body = answer.json()
        [identity] = body["identities"]
        assert identity["user_id"] == body["id"]
        assert identity["identity_data"]["email"] == email
        assert identity.keys() == answers[fresh].json()["identities"][0].keys()
        assert body.keys() == answers[fresh].json().keys()
        assert "secret" not in answer.text
        assert body["user_metadata"].keys() == answers[fresh].json()["user_metadata"].keys()
        assert UUID(body["id"]).version == 4
        assert body["email"] == email
    assert answers[known["email"]].json()["id"] != known["id"]
    # Each address gets a mail, so only its holder learns of an existing account.
    assert "code:" not in mailbox.to(known["email"]).text
    assert mailbox.to(pending, count=2).otp
    assert mailbox.to(fresh).otp


def test_concurrent_sign_ups_of_one_address_create_one_user(
    auth: AuthServer, mailbox: Mailbox, database: Database
) -> None:
    email = new_email()
    statuses: list[int] = []

    def sign_up() -> None:
        statuses.append(auth.post("/signup", email=email, password=PASSWORD).status_code)

    callers = [threading.Thread(target=sign_up) for _ in range(8)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    assert statuses == [200] * 8
    assert mailbox.to(email, count=8)
    assert database.query("select count(*) from auth.users where email = %s", email) == [(1,)]
    assert database.query("select count(*) from auth.identities where email = %s", email) == [(1,)]


def test_a_sign_up_is_validated(auth: AuthServer) -> None:
    assert_refused(auth.post("/signup", email=new_email()), 400, "validation_failed")
    assert_refused(auth.post("/signup", email="nobody", password=PASSWORD), 400, "validation_failed")
    assert_refused(auth.post("/signup", email="a" * 250 + "@b.co", password=PASSWORD), 400, "validation_failed")
    assert_refused(auth.post("/signup", email="a@b.co\r\nBcc: c@d.co", password=PASSWORD), 400, "validation_failed")
    assert_refused(auth.post("/signup", email=new_email(), password="x" * 73), 400, "validation_failed")
    assert_refused(
        auth.post("/signup", email=new_email(), phone="+4912345678", password=PASSWORD), 400, "validation_failed"
    )
    assert_refused(auth.post("/signup", phone="+4912345678", password=PASSWORD), 400, "phone_provider_disabled")
    weak = auth.post("/signup", email=new_email(), password="short")
    assert_refused(weak, 422, "weak_password")
    assert weak.json()["weak_password"] == {"reasons": ["length"]}


def test_sign_up_can_be_disabled(rig: Rig) -> None:
    closed = rig.server(AUTH_SIGNUP="false", AUTH_ANONYMOUS="false")
    assert_refused(closed.post("/signup", email=new_email(), password=PASSWORD), 422, "signup_disabled")
    assert_refused(closed.post("/signup"), 422, "anonymous_provider_disabled")
    email = new_email()
    assert_refused(closed.post("/otp", email=email), 422, "signup_disabled")
    users = rig.database.query("select count(*) from auth.users where email = %s", email)
    assert users == [(0,)]
    closed.close()


def test_an_anonymous_user_becomes_a_permanent_one(auth: AuthServer, mailbox: Mailbox) -> None:
    guest = session(auth.post("/signup", data={"from": "landing"}))
    assert guest["user"]["is_anonymous"] is True
    assert guest["user"]["email"] == ""
    assert guest["user"]["identities"] == []
    headers = bearer(guest["access_token"])
    assert_refused(auth.http.put("/user", json={"password": PASSWORD}, headers=headers), 400, "validation_failed")

    email = new_email()
    changed = auth.http.put("/user", json={"email": email, "password": PASSWORD}, headers=headers)
    assert changed.status_code == 200, changed.text
    assert changed.json()["new_email"] == email
    assert changed.json()["is_anonymous"] is True
    after = session(auth.post("/verify", type="email_change", email=email, token=mailbox.to(email).otp))["user"]
    assert (after["id"], after["email"], after["is_anonymous"]) == (guest["user"]["id"], email, False)
    assert after["app_metadata"] == {"provider": "email", "providers": ["email"]}
    assert after["user_metadata"]["from"] == "landing"
    assert auth.sign_in(email)["user"]["id"] == guest["user"]["id"]


def test_with_autoconfirm_an_anonymous_user_converts_at_once(auto: AuthServer) -> None:
    guest = session(auto.post("/signup"))
    email = new_email()
    body = {"email": email, "password": PASSWORD}
    changed = auto.http.put("/user", json=body, headers=bearer(guest["access_token"])).json()
    assert (changed["email"], changed["is_anonymous"]) == (email, False)
    assert [identity["provider"] for identity in changed["identities"]] == ["email"]
    assert auto.sign_in(email)["user"]["id"] == guest["user"]["id"]
