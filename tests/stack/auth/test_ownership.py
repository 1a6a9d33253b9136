"""What somebody sets on an account before its address is proved is void when the holder of the address proves it."""

import secrets
from collections.abc import Callable
from typing import Any

import pytest

from tests.stack.auth.support import (
    PASSWORD,
    AuthServer,
    Database,
    Mailbox,
    assert_refused,
    bearer,
    claims_of,
    fragment,
    new_email,
    session,
)
from tests.stack.auth.test_links import exchange, follow, pkce

THEIRS = "password-of-a-stranger"
PLANTED = {"full_name": "A stranger", "role": "planted"}

Prove = Callable[[AuthServer, Mailbox, str], dict[str, Any]]


def plant(auth: AuthServer, mailbox: Mailbox, email: str) -> None:
    """A stranger signs up with an address that they do not hold."""
    assert auth.post("/signup", email=email, password=THEIRS, data=PLANTED).status_code == 200
    mailbox.to(email)


def by_sign_up(auth: AuthServer, mailbox: Mailbox, email: str) -> dict[str, Any]:
    auth.post("/signup", email=email, password=PASSWORD, data={"full_name": "Ada"})
    return session(auth.post("/verify", type="signup", email=email, token=mailbox.to(email, count=2).otp))


def by_code(auth: AuthServer, mailbox: Mailbox, email: str) -> dict[str, Any]:
    auth.post("/otp", email=email)
    return session(auth.post("/verify", type="email", email=email, token=mailbox.to(email, count=2).otp))


def by_code_without_sign_up(auth: AuthServer, mailbox: Mailbox, email: str) -> dict[str, Any]:
    auth.post("/otp", email=email, create_user=False)
    return session(auth.post("/verify", type="email", email=email, token=mailbox.to(email, count=2).otp))


def by_magic_link(auth: AuthServer, mailbox: Mailbox, email: str) -> dict[str, Any]:
    auth.post("/magiclink", email=email)
    return fragment(follow(auth, mailbox.to(email, count=2)))


def by_pkce(auth: AuthServer, mailbox: Mailbox, email: str) -> dict[str, Any]:
    verifier, challenge = pkce()
    auth.post("/otp", email=email, **challenge)
    target = follow(auth, mailbox.to(email, count=2))
    return session(exchange(auth, target.partition("code=")[2], verifier))


def by_recovery(auth: AuthServer, mailbox: Mailbox, email: str) -> dict[str, Any]:
    auth.post("/recover", email=email)
    return session(auth.post("/verify", type="recovery", email=email, token=mailbox.to(email, count=2).otp))


def by_invitation(auth: AuthServer, mailbox: Mailbox, email: str) -> dict[str, Any]:
    assert auth.post_as_admin("/invite", email=email, data={"full_name": "Ada"}).status_code == 200
    return fragment(follow(auth, mailbox.to(email, count=2)))


def by_generated_link(kind: str) -> Prove:
    def prove(auth: AuthServer, _mailbox: Mailbox, email: str) -> dict[str, Any]:
        made = auth.post_as_admin("/admin/generate_link", type=kind, email=email)
        assert made.status_code == 200, made.text
        token = made.json()["hashed_token"]
        return session(auth.post("/verify", type=made.json()["verification_type"], token_hash=token))

    return prove


PROOFS: dict[str, Prove] = {
    "a sign-up of their own": by_sign_up,
    "a mailed code": by_code,
    "a mailed code for users only": by_code_without_sign_up,
    "a magic link": by_magic_link,
    "a magic link by PKCE": by_pkce,
    "a forgotten password": by_recovery,
    "an invitation": by_invitation,
    "a generated sign-up link": by_generated_link("signup"),
    "a generated invitation": by_generated_link("invite"),
    "a generated magic link": by_generated_link("magiclink"),
    "a generated recovery link": by_generated_link("recovery"),
}


@pytest.mark.parametrize("how", PROOFS)
def test_a_strangers_sign_up_is_void(auth: AuthServer, mailbox: Mailbox, how: str) -> None:
    email = new_email()
    plant(auth, mailbox, email)
    planted = mailbox.to(email)

    proved = PROOFS[how](auth, mailbox, email)

    user = auth.http.get("/user", headers=bearer(proved["access_token"])).json()
    assert user["email"] == email
    assert user["email_confirmed_at"]
    assert user["user_metadata"].get("full_name") != "A stranger"
    assert "role" not in user["user_metadata"]
    assert user["user_metadata"]["email_verified"] is True
    assert user["user_metadata"]["sub"] == user["id"]
    assert user["app_metadata"] == {"provider": "email", "providers": ["email"]}
    assert_refused(auth.post("/token?grant_type=password", email=email, password=THEIRS), 400, "invalid_credentials")
    assert_refused(auth.post("/verify", type="signup", email=email, token=planted.otp), 403, "otp_expired")
    if how == "a sign-up of their own":
        assert auth.sign_in(email)["user"]["user_metadata"]["full_name"] == "Ada"
    else:
        change = auth.http.put("/user", json={"password": PASSWORD}, headers=bearer(proved["access_token"]))
        assert change.status_code == 200, change.text
        auth.sign_in(email)


def test_a_code_that_somebody_requests_does_not_undo_a_sign_up(auth: AuthServer, mailbox: Mailbox) -> None:
    email = new_email()
    auth.post("/signup", email=email, password=PASSWORD, data={"full_name": "Ada"})
    own = mailbox.to(email)
    auth.post("/otp", email=email)
    mailbox.to(email, count=2)
    auth.post("/recover", email=email)
    mailbox.to(email, count=3)
    user = session(auth.post("/verify", type="signup", email=email, token=own.otp))["user"]
    assert user["user_metadata"]["full_name"] == "Ada"
    auth.sign_in(email)


def test_a_confirmation_that_is_sent_again_keeps_the_sign_up(auth: AuthServer, mailbox: Mailbox) -> None:
    email = new_email()
    auth.post("/signup", email=email, password=PASSWORD)
    auth.post("/resend", type="signup", email=email)
    follow(auth, mailbox.to(email, count=2))
    auth.sign_in(email)


def test_the_mail_says_who_chose_the_password(auth: AuthServer, mailbox: Mailbox) -> None:
    email = new_email()
    plant(auth, mailbox, email)
    first = mailbox.to(email)
    assert "somebody else chose the password" in first.text
    assert "is void" not in first.text
    auth.post("/signup", email=email, password=PASSWORD)
    assert "is void" in mailbox.to(email, count=2).text


def test_a_code_for_a_new_user_has_the_data_of_the_last_request(auth: AuthServer, mailbox: Mailbox) -> None:
    email = new_email()
    auth.post("/otp", email=email, data=PLANTED)
    mailbox.to(email)
    auth.post("/otp", email=email, data={"full_name": "Ada"})
    user = session(auth.post("/verify", type="email", email=email, token=mailbox.to(email, count=2).otp))["user"]
    assert user["user_metadata"]["full_name"] == "Ada"
    assert "role" not in user["user_metadata"]


@pytest.mark.parametrize("how", ["a mailed code", "a forgotten password", "an invitation"])
def test_the_data_of_an_invitation_stays(auth: AuthServer, mailbox: Mailbox, how: str) -> None:
    email = new_email()
    assert auth.post_as_admin("/invite", email=email, data={"full_name": "Ada", "team": "north"}).status_code == 200
    mailbox.to(email)
    proved = PROOFS[how](auth, mailbox, email)
    user = auth.http.get("/user", headers=bearer(proved["access_token"])).json()
    assert (user["user_metadata"]["full_name"], user["user_metadata"]["team"]) == ("Ada", "north")


def test_what_an_admin_set_up_stays_when_the_address_is_proved(auth: AuthServer, mailbox: Mailbox) -> None:
    phone = f"49{secrets.randbelow(10**10):010}"
    email = auth.create_user(email_confirm=False, phone=phone, user_metadata={"full_name": "Ada"})["email"]
    auth.post("/recover", email=email)
    user = session(auth.post("/verify", type="recovery", email=email, token=mailbox.to(email).otp))["user"]
    assert (user["phone"], user["user_metadata"]["full_name"]) == (phone, "Ada")
    assert sorted(identity["provider"] for identity in user["identities"]) == ["email", "phone"]
    auth.sign_in(email)


@pytest.mark.parametrize("before", ["nothing", "resend", "otp"])
@pytest.mark.parametrize("how", ["a link", "a mailed code", "a forgotten password"])
def test_a_sign_up_takes_over_no_account_that_an_admin_set_up(
    auth: AuthServer, mailbox: Mailbox, how: str, before: str
) -> None:
    email = auth.create_user(email_confirm=False, password="", user_metadata={"full_name": "Ada"})["email"]
    mails = 0
    if before != "nothing":
        auth.post(f"/{before}", email=email, type="signup", data=PLANTED)
        mailbox.to(email)
        mails = 1
    answer = auth.post("/signup", email=email, password=THEIRS, data=PLANTED)
    assert answer.json()["user_metadata"]["full_name"] == "A stranger"
    invitation = mailbox.to(email, count=mails + 1)
    assert invitation.subject == "You have been invited"
    if how == "a link":
        token = fragment(follow(auth, invitation))["access_token"]
    else:
        path, kind = ("/otp", "email") if how == "a mailed code" else ("/recover", "recovery")
        auth.post(path, email=email)
        otp = mailbox.to(email, count=mails + 2).otp
        token = session(auth.post("/verify", type=kind, email=email, token=otp))["access_token"]
    user = auth.http.get("/user", headers=bearer(token)).json()
    assert user["user_metadata"]["full_name"] == "Ada"
    assert "role" not in user["user_metadata"]
    assert_refused(auth.post("/token?grant_type=password", email=email, password=THEIRS), 400, "invalid_credentials")


def test_everything_else_on_an_unproved_account_is_void(auth: AuthServer, mailbox: Mailbox, database: Database) -> None:
    email = new_email()
    plant(auth, mailbox, email)
    [(user_id,)] = database.query("select id from auth.users where email = %s", email)
    database.query(
        """
        with
        linked as (
            insert into auth.identities (provider_id, user_id, provider, identity_data)
            values (%(id)s::text || 'x', %(id)s, 'github', '{"sub": "1"}')
        ),
        opened as (
            insert into auth.sessions (id, user_id, aal, created_at) values (gen_random_uuid(), %(id)s, 'aal1', now())
        ),
        enrolled as (
            insert into auth.mfa_factors (id, user_id, factor_type, status, created_at, updated_at, secret)
            values (gen_random_uuid(), %(id)s, 'totp', 'verified', now(), now(), 'AAAA')
        )
        update auth.users
        set phone = %(phone)s, email_change = 'stranger@example.com', email_change_confirm_status = 1,
            raw_app_meta_data = raw_app_meta_data || '{"providers": ["email", "github"], "plan": "team"}'
        where id = %(id)s
        """.replace("%(id)s", f"'{user_id}'").replace("%(phone)s", f"'49{user_id.int % 10**10}'")
    )
    proved = by_recovery(auth, mailbox, email)
    user = auth.http.get("/user", headers=bearer(proved["access_token"])).json()
    assert [identity["provider"] for identity in user["identities"]] == ["email"]
    assert user["app_metadata"] == {"provider": "email", "providers": ["email"], "plan": "team"}
    assert user["phone"] == ""
    assert "new_email" not in user
    assert "factors" not in user
    sessions = database.query("select id::text from auth.sessions where user_id = %s", user_id)
    assert sessions == [(claims_of(proved["access_token"])["session_id"],)]


def test_sessions_of_an_anonymous_user_end_when_an_address_is_proved(auth: AuthServer, mailbox: Mailbox) -> None:
    stranger = session(auth.post("/signup"))
    email = new_email()
    auth.http.put("/user", json={"email": email}, headers=bearer(stranger["access_token"]))
    proved = session(auth.post("/verify", type="email_change", email=email, token=mailbox.to(email).otp))
    assert proved["user"]["id"] == stranger["user"]["id"]
    assert_refused(auth.http.get("/user", headers=bearer(stranger["access_token"])), 403, "session_not_found")
    assert_refused(
        auth.post("/token?grant_type=refresh_token", refresh_token=stranger["refresh_token"]),
        400,
        "refresh_token_not_found",
    )


def test_an_anonymous_users_password_belongs_to_the_address_it_was_sent_with(
    auth: AuthServer, mailbox: Mailbox
) -> None:
    stranger = session(auth.post("/signup"))
    headers = bearer(stranger["access_token"])
    assert auth.http.put("/user", json={"email": new_email(), "password": THEIRS}, headers=headers).status_code == 200
    email = new_email()
    assert auth.http.put("/user", json={"email": email}, headers=headers).status_code == 200
    proved = session(auth.post("/verify", type="email_change", email=email, token=mailbox.to(email).otp))
    assert proved["user"]["id"] == stranger["user"]["id"]
    assert_refused(auth.post("/token?grant_type=password", email=email, password=THEIRS), 400, "invalid_credentials")


def test_a_pending_change_of_address_ends_with_a_new_password(auth: AuthServer, mailbox: Mailbox) -> None:
    email, strangers = auth.create_user()["email"], new_email()
    stranger = auth.sign_in(email)
    auth.http.put("/user", json={"email": strangers}, headers=bearer(stranger["access_token"]))
    pending = mailbox.to(strangers)
    mailbox.to(email)
    auth.post("/recover", email=email)
    recovery = mailbox.to(email, count=2)
    owner = session(auth.post("/verify", type="recovery", email=email, token=recovery.otp))
    headers = bearer(owner["access_token"])
    assert "new_email" not in auth.http.get("/user", headers=headers).json()
    auth.http.put("/user", json={"password": "battery-staple"}, headers=headers)
    # Anybody can ask to send the links of a pending change again.
    auth.post("/resend", type="email_change", email=email)
    auth.post("/recover", email=email)
    mailbox.to(email, count=3)
    assert mailbox.count(strangers) == 1
    assert_refused(auth.post("/verify", type="email_change", email=strangers, token=pending.otp), 403, "otp_expired")


def test_a_change_to_an_address_that_was_proved_meanwhile_is_refused(auth: AuthServer, mailbox: Mailbox) -> None:
    email, own = new_email(), auth.create_user()["email"]
    stranger = bearer(auth.sign_in(own)["access_token"])
    auth.http.put("/user", json={"email": email}, headers=stranger)
    pending = mailbox.to(email)
    follow(auth, mailbox.to(own))
    owner = by_sign_up(auth, mailbox, email)["user"]
    assert fragment(follow(auth, pending))["error_code"] == "email_exists"
    assert auth.sign_in(email)["user"]["id"] == owner["id"]
    assert auth.http.get("/user", headers=stranger).json()["email"] == own
