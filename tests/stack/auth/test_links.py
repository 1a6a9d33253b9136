"""Mailed links and codes: confirmation, recovery, magic link, change of email, nonce, PKCE, and redirects."""

import base64
import hashlib
import secrets
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import httpx
import pytest

from tests.stack.auth.support import (
    PASSWORD,
    SITE,
    AuthServer,
    Database,
    Mailbox,
    ReceivedMail,
    Rig,
    assert_refused,
    bearer,
    fragment,
    new_email,
    session,
)

FORBIDDEN_TARGETS = [
    "//evil.example",
    "https://evil.example",
    f"{SITE}.evil.example",
    f"{SITE}@evil.example",
    f"{SITE}:pw@evil.example/",
    f"{SITE}\\@evil.example",
    "http:\\\\evil.example",
    "http://user:pw@127.0.0.1:3000/",
    "http://127.0.0.1:3001/",
    "https://127.0.0.1:3000/",
    "http://2130706433:3000/",
    "http://localhost:3000.evil.example/",
    "http://localhost:3000@evil.example/",
    "http://localhost:3000",
    "javascript:alert(1)//localhost:3000/",
    "guildhall://callback/further",
    "/welcome",
    f"{SITE}/a b",
    f"{SITE}/\tx",
    f"{SITE}/ä",
    "http://[::1",
    "http://localhost:99999/",
]


def follow(auth: AuthServer, mail: ReceivedMail) -> str:
    """Open the link of a mail; returns the URL that it redirects to."""
    answer = auth.http.get(mail.link)
    assert answer.status_code == 303, answer.text
    return answer.headers["location"]


def pkce() -> tuple[str, dict[str, str]]:
    """A verifier, and the parameters of its challenge."""
    verifier = secrets.token_urlsafe(48)
    challenge = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()
    return verifier, {"code_challenge": challenge, "code_challenge_method": "s256"}


def exchange(auth: AuthServer, code: str, verifier: str) -> httpx.Response:
    return auth.post("/token?grant_type=pkce", auth_code=code, code_verifier=verifier)


def test_a_link_signs_in_once(auth: AuthServer, mailbox: Mailbox) -> None:
    email = new_email()
    auth.post("/signup?redirect_to=http://localhost:3000/welcome?a=1", email=email, password=PASSWORD)
    mail = mailbox.to(email)
    assert auth.http.head(mail.link).status_code == 405
    target = follow(auth, mail)
    assert target.startswith("http://localhost:3000/welcome?a=1#")
    values = fragment(target)
    assert (values["type"], values["token_type"], values["expires_in"]) == ("signup", "bearer", "3600")
    user = auth.http.get("/user", headers=bearer(values["access_token"])).json()
    assert user["email"] == email
    session(auth.post("/token?grant_type=refresh_token", refresh_token=values["refresh_token"]))

    again = fragment(follow(auth, mail))
    assert (again["error"], again["error_code"]) == ("access_denied", "otp_expired")
    assert again["error_description"]
    assert_refused(auth.post("/verify", type="signup", email=email, token=mail.otp), 403, "otp_expired")


def test_a_token_hash_signs_in(auth: AuthServer, mailbox: Mailbox) -> None:
    email = new_email()
    auth.post("/signup", email=email, password=PASSWORD)
    token_hash = mailbox.to(email).parameters["token"]
    assert_refused(auth.post("/verify", type="recovery", token_hash=token_hash), 403, "otp_expired")
    assert_refused(auth.post("/verify", type="email", token_hash=token_hash, email=email), 400, "validation_failed")
    session(auth.post("/verify", type="email", token_hash=token_hash))
    assert_refused(auth.post("/verify", type="email", token_hash=token_hash), 403, "otp_expired")


def test_wrong_codes_and_unknown_addresses_get_the_same_answer(auth: AuthServer, mailbox: Mailbox) -> None:
    email, other = new_email(), new_email()
    auth.post("/signup", email=email, password=PASSWORD)
    otp = mailbox.to(email).otp
    wrong = f"{(int(otp) + 1) % 10**6:06}"
    answers = [
        auth.post("/verify", type="signup", email=address, token=token)
        for address, token in ((email, wrong), (other, otp), (email, ""), (email, "9" * 600))
        if token
    ]
    for answer in answers:
        assert_refused(answer, 403, "otp_expired")
        assert answer.json()["message"] == "Token has expired or is invalid"
        assert answer.content == answers[0].content
    used = auth.post("/verify", type="signup", token_hash="0" * 56)
    assert_refused(used, 403, "otp_expired")
    assert used.json()["message"] == "Email link is invalid or has expired"
    assert_refused(auth.post("/verify", type="signup", email=email), 400, "validation_failed")
    assert_refused(auth.post("/verify", type="moon", email=email, token=otp), 400, "validation_failed")
    assert_refused(auth.post("/verify", email=email, token=otp), 400, "validation_failed")
    assert_refused(auth.http.get("/verify"), 400, "validation_failed")
    session(auth.post("/verify", type="signup", email=email, token=f"{otp[:3]}-{otp[3:]}"))


@pytest.mark.parametrize(
    ("path", "body", "status", "code", "message"),
    [
        ("/signup", {"password": PASSWORD}, 400, "phone_provider_disabled", "Phone signups are disabled"),
        ("/token?grant_type=password", {"password": PASSWORD}, 400, "phone_provider_disabled", None),
        ("/otp", {}, 400, "phone_provider_disabled", "Unsupported phone provider"),
        ("/verify", {"type": "sms", "token": "123456"}, 403, "otp_expired", "Token has expired or is invalid"),
        ("/verify", {"type": "email", "token": "123456"}, 400, "validation_failed", "Invalid sms verification type"),
        ("/verify", {"type": "sms", "token": "123456", "email": "a@example.com"}, 400, "validation_failed", None),
        ("/verify", {"type": "sms", "token": "123456", "phone": "+1-23"}, 400, "validation_failed", None),
    ],
)
def test_phones_are_answered_as_where_no_message_was_ever_sent(
    auth: AuthServer, path: str, body: dict[str, str], *, status: int, code: str, message: str | None
) -> None:
    answer = auth.post(path, **{"phone": "+4912345678", **body})
    assert_refused(answer, status, code)
    assert message is None or answer.json()["message"] == message


def test_links_and_codes_expire(auth: AuthServer, mailbox: Mailbox, database: Database) -> None:
    email = auth.create_user()["email"]
    auth.post("/recover", email=email)
    mail = mailbox.to(email)
    database.query(
        "update auth.one_time_tokens set created_at = created_at - interval '2 hours' where relates_to = %s", email
    )
    assert_refused(auth.post("/verify", type="recovery", email=email, token=mail.otp), 403, "otp_expired")
    assert fragment(follow(auth, mail))["error_code"] == "otp_expired"


def test_a_new_mail_invalidates_the_previous_one(auth: AuthServer, mailbox: Mailbox) -> None:
    email = new_email()
    auth.post("/signup", email=email, password=PASSWORD)
    first = mailbox.to(email)
    assert auth.post("/resend", type="signup", email=email).json() == {}
    second = mailbox.to(email, count=2)
    assert_refused(auth.post("/verify", type="signup", token_hash=first.parameters["token"]), 403, "otp_expired")
    session(auth.post("/verify", type="signup", email=email, token=second.otp))


def test_a_forgotten_password_is_reset(auth: AuthServer, mailbox: Mailbox) -> None:
    email = auth.create_user()["email"]
    device = auth.sign_in(email)
    assert auth.post("/recover", email=email).json() == {}
    mail = mailbox.to(email)
    assert mail.parameters["type"] == "recovery"
    recovered = session(auth.post("/verify", type="recovery", email=email, token=mail.otp))
    headers = bearer(recovered["access_token"])
    assert_refused(auth.http.put("/user", json={"password": PASSWORD}, headers=headers), 422, "same_password")
    assert_refused(auth.http.put("/user", json={"password": "short"}, headers=headers), 422, "weak_password")
    changed = auth.http.put("/user", json={"password": "battery-staple"}, headers=headers)
    assert changed.status_code == 200
    auth.sign_in(email, "battery-staple")
    assert_refused(auth.post("/token?grant_type=password", email=email, password=PASSWORD), 400, "invalid_credentials")
    # Other sessions, which may be an attacker's, have ended; this one has not.
    assert_refused(auth.http.get("/user", headers=bearer(device["access_token"])), 403, "session_not_found")
    assert auth.http.get("/user", headers=headers).status_code == 200


def test_otp_signs_in_and_signs_up(auth: AuthServer, mailbox: Mailbox) -> None:
    known, new = auth.create_user()["email"], new_email()
    assert auth.post("/otp", email=known).json() == {}
    mail = mailbox.to(known)
    assert mail.parameters["type"] == "magiclink"
    session(auth.post("/verify", type="email", email=known, token=mail.otp))

    assert auth.post("/otp", email=new, data={"name": "Ada"}).json() == {}
    made = session(auth.post("/verify", type="email", email=new, token=mailbox.to(new).otp))["user"]
    assert made["user_metadata"]["name"] == "Ada"

    assert auth.post("/magiclink", email=known).json() == {}
    mailbox.to(known, count=2)
    assert_refused(auth.post("/otp"), 400, "validation_failed")
    assert_refused(auth.post("/resend", type="moon", email=known), 400, "validation_failed")


def test_otp_that_may_make_no_user_is_refused_for_an_unknown_address(
    rig: Rig, auth: AuthServer, mailbox: Mailbox, database: Database
) -> None:
    known, unknown = auth.create_user()["email"], new_email()
    assert auth.post("/otp", email=known.upper(), create_user=False).json() == {}
    mail = mailbox.to(known)
    refused = auth.post("/otp", email=unknown, create_user=False)
    assert_refused(refused, 422, "otp_disabled")
    assert refused.json()["message"] == "Signups not allowed for otp"
    session(auth.post("/verify", type="email", email=known, token=mail.otp))

    closed = rig.server(AUTH_SIGNUP="false")
    assert closed.post("/otp", email=known).json() == {}
    for path, body, code in (
        ("/otp", {}, "signup_disabled"),
        ("/magiclink", {}, "signup_disabled"),
        ("/otp", {"create_user": False}, "otp_disabled"),
    ):
        assert_refused(closed.post(path, email=unknown, **body), 422, code)
    closed.close()
    mailbox.to(known, count=2)  # mails are sent in order
    assert mailbox.count(unknown) == 0
    assert database.query("select count(*) from auth.users where email = %s", unknown) == [(0,)]


def test_few_addresses_can_be_probed_by_otp(rig: Rig) -> None:
    server = rig.server(limited=True)
    client = {"X-Forwarded-For": "203.0.113.77"}
    codes = [
        server.http.post("/otp", json={"email": new_email(), "create_user": False}, headers=client).json()["code"]
        for _ in range(35)
    ]
    assert set(codes) == {"otp_disabled", "over_request_rate_limit"}
    assert codes.count("otp_disabled") <= 30
    server.close()


def test_with_autoconfirm_otp_signs_up_by_a_magic_link(auto: AuthServer, mailbox: Mailbox) -> None:
    email = new_email()
    assert auto.post("/otp", email=email).json() == {}
    mail = mailbox.to(email)
    assert mail.parameters["type"] == "magiclink"
    session(auto.post("/verify", type="magiclink", email=email, token=mail.otp))


def test_an_answer_does_not_show_whether_a_mail_was_sent(auth: AuthServer, mailbox: Mailbox) -> None:
    known, unknown = auth.create_user()["email"], new_email()
    for path, body in (("/recover", {}), ("/resend", {"type": "signup"})):
        answers = [auth.post(path, email=email, **body) for email in (known, unknown)]
        assert [(answer.status_code, answer.json()) for answer in answers] == [(200, {})] * 2
    mailbox.to(known)
    assert mailbox.count(unknown) == 0


def test_mails_to_one_address_are_limited(rig: Rig, mailbox: Mailbox) -> None:
    server = rig.server(AUTH_MAX_FREQUENCY="30")
    known, unknown = server.create_user()["email"], new_email()
    for path, body in (("/recover", {}), ("/signup", {"password": PASSWORD})):
        for email in (known, unknown):
            assert server.post(path, email=email, **body).status_code == 200
            again = server.post(path, email=email, **body)
            assert_refused(again, 429, "over_email_send_rate_limit")
            assert 0 < int(again.headers["retry-after"]) <= 30
    mailbox.to(known, count=2)
    server.close()


def test_a_change_of_email_needs_both_addresses(auth: AuthServer, mailbox: Mailbox) -> None:
    old, new = auth.create_user()["email"], new_email()
    signed_in = auth.sign_in(old)
    headers = bearer(signed_in["access_token"])
    answer = auth.http.put("/user", json={"email": new.upper()}, headers=headers)
    assert answer.status_code == 200, answer.text
    assert (answer.json()["email"], answer.json()["new_email"]) == (old, new)
    assert mailbox.to(old).parameters["type"] == "email_change"

    first = auth.post("/verify", type="email_change", email=new, token=mailbox.to(new).otp)
    assert (first.status_code, first.json()["code"]) == (200, "200")
    assert_refused(auth.post("/verify", type="email_change", email=new, token=mailbox.to(new).otp), 403, "otp_expired")
    assert auth.http.get("/user", headers=headers).json()["email"] == old
    values = fragment(follow(auth, mailbox.to(old)))
    assert values["type"] == "email_change"
    user = auth.http.get("/user", headers=bearer(values["access_token"])).json()
    assert user["email"] == new
    assert "new_email" not in user
    assert user["identities"][0]["identity_data"]["email"] == new
    auth.sign_in(new)
    assert_refused(auth.post("/token?grant_type=password", email=old, password=PASSWORD), 400, "invalid_credentials")


def test_the_first_of_two_links_redirects_with_a_message(auth: AuthServer, mailbox: Mailbox) -> None:
    old, new = auth.create_user()["email"], new_email()
    headers = bearer(auth.sign_in(old)["access_token"])
    auth.http.put("/user", json={"email": new}, headers=headers)
    auth.post("/resend", type="email_change", email=old)
    mailbox.to(old, count=2)
    values = fragment(follow(auth, mailbox.to(new, count=2)))
    assert values.keys() == {"message"}
    assert fragment(follow(auth, mailbox.to(old)))["access_token"]


@pytest.mark.parametrize("kind", ["a user", "an anonymous user"])
def test_a_change_of_email_does_not_show_whether_the_new_address_has_an_account(
    auth: AuthServer, mailbox: Mailbox, kind: str
) -> None:
    known, unconfirmed, free = auth.create_user()["email"], new_email(), new_email()
    auth.post("/signup", email=unconfirmed, password=PASSWORD)
    mailbox.to(unconfirmed)
    seen: list[tuple[Any, ...]] = []
    for new, mails in ((known, 1), (unconfirmed, 2), (free, 1)):
        signed_in = auth.sign_in_new_user() if kind == "a user" else session(auth.post("/signup"))
        headers, old = bearer(signed_in["access_token"]), signed_in["user"]["email"]
        answer = auth.http.put("/user", json={"email": new}, headers=headers)
        body = answer.json()
        user = auth.http.get("/user", headers=headers).json()
        seen.append((answer.status_code, body.pop("new_email") == new, sorted(body), sorted(user)))
        assert ("code:" in mailbox.to(new, count=mails).text) == (new == free)
        if old:
            # The holder of the old address learns nothing either.
            first = auth.post("/verify", type="email_change", email=old, token=mailbox.to(old).otp)
            seen[-1] += (first.status_code, first.text)
    assert seen == [seen[-1]] * 3
    assert seen[0][:2] == (200, True)


def test_an_email_of_another_user_cannot_be_taken(auth: AuthServer, mailbox: Mailbox) -> None:
    own, wanted = auth.create_user()["email"], new_email()
    headers = bearer(auth.sign_in(own)["access_token"])
    auth.http.put("/user", json={"email": wanted}, headers=headers)
    mail = [mailbox.to(own), mailbox.to(wanted)]
    auth.create_user(wanted)
    follow(auth, mail[0])
    assert fragment(follow(auth, mail[1]))["error_code"] == "email_exists"


def test_a_nonce_is_checked(auth: AuthServer, mailbox: Mailbox) -> None:
    email = auth.create_user()["email"]
    headers = bearer(auth.sign_in(email)["access_token"])
    assert auth.http.get("/reauthenticate", headers=headers).json() == {}
    nonce = mailbox.to(email).otp
    wrong = {"password": "battery-staple", "nonce": f"{(int(nonce) + 1) % 10**6:06}"}
    assert_refused(auth.http.put("/user", json=wrong, headers=headers), 422, "reauthentication_not_valid")
    right = {"password": "battery-staple", "nonce": nonce}
    assert auth.http.put("/user", json=right, headers=headers).status_code == 200
    again = {"password": "another-staple", "nonce": nonce}
    assert_refused(auth.http.put("/user", json=again, headers=headers), 422, "reauthentication_not_valid")
    guess = {"password": "another-staple", "current_password": "wrong-horse"}
    assert_refused(auth.http.put("/user", json=guess, headers=headers), 400, "invalid_credentials")
    auth.sign_in(email, "battery-staple")
    guest = session(auth.post("/signup"))
    assert_refused(auth.http.get("/reauthenticate", headers=bearer(guest["access_token"])), 400, "validation_failed")


@pytest.mark.parametrize("kind", ["signup", "recover", "otp", "email_change"])
def test_pkce_exchanges_a_code(auth: AuthServer, mailbox: Mailbox, kind: str) -> None:
    verifier, challenge = pkce()
    email = new_email() if kind == "signup" else auth.create_user()["email"]
    if kind == "email_change":
        headers, email = bearer(auth.sign_in(email)["access_token"]), new_email()
        answer = auth.http.put("/user", json={"email": email, **challenge}, headers=headers)
        old = answer.json()["email"]
        assert dict(parse_qsl(urlsplit(follow(auth, mailbox.to(old))).query)).keys() == {"message"}
    else:
        auth.post(f"/{kind}", email=email, password=PASSWORD, **challenge)
    mail = mailbox.to(email)
    assert mail.parameters["token"].startswith("pkce_")
    target = follow(auth, mail)
    code = dict(parse_qsl(urlsplit(target).query))["code"]
    assert "access_token" not in target
    assert_refused(exchange(auth, code, secrets.token_urlsafe(48)), 400, "bad_code_verifier")
    signed_in = session(exchange(auth, code, verifier))
    assert signed_in["user"]["email"] == email
    assert_refused(exchange(auth, code, verifier), 404, "flow_state_not_found")
    values = fragment(follow(auth, mail))
    assert values["error_code"] == "otp_expired"


def test_pkce_codes_expire_and_typed_codes_work(auth: AuthServer, mailbox: Mailbox, database: Database) -> None:
    verifier, challenge = pkce()
    email = auth.create_user()["email"]
    auth.post("/otp", email=email, **challenge)
    code = dict(parse_qsl(urlsplit(follow(auth, mailbox.to(email))).query))["code"]
    late = "update auth.flow_state set auth_code_issued_at = now() - interval '6 minutes' where auth_code = %s"
    database.query(late, code)
    assert_refused(exchange(auth, code, verifier), 422, "flow_state_expired")
    auth.post("/otp", email=email, **challenge)
    session(auth.post("/verify", type="email", email=email, token=mailbox.to(email, count=2).otp))


def test_an_incomplete_challenge_is_refused(auth: AuthServer) -> None:
    _, challenge = pkce()
    for broken in (
        {"code_challenge": challenge["code_challenge"]},
        {"code_challenge_method": "s256"},
        {**challenge, "code_challenge_method": "md5"},
        {**challenge, "code_challenge": "short"},
        {**challenge, "code_challenge": "ü" * 50},
    ):
        assert_refused(auth.post("/recover", email=new_email(), **broken), 400, "validation_failed")
    assert_refused(exchange(auth, "", ""), 400, "validation_failed")


@pytest.mark.parametrize("target", FORBIDDEN_TARGETS)
def test_links_do_not_redirect_to_forbidden_targets(auth: AuthServer, target: str) -> None:
    made = auth.http.post(
        "/admin/generate_link",
        json={"type": "signup", "email": new_email(), "redirect_to": target},
        headers=auth.admin,
    ).json()
    assert made["redirect_to"] == SITE
    # A link that someone else composes does not, either.
    link = {"token": made["hashed_token"], "type": "signup", "redirect_to": target}
    landed = auth.http.get("/verify", params=link).headers["location"]
    assert landed.startswith(f"{SITE}#access_token=")


@pytest.mark.parametrize(
    "target",
    [
        SITE,
        f"{SITE}/",
        f"{SITE}/a/b.c?d=e",
        "http://localhost:3000/",
        "http://localhost:3000/a/b.c?d=e",
        "guildhall://callback",
    ],
)
def test_links_redirect_to_allowed_targets(auth: AuthServer, target: str) -> None:
    body = {"type": "signup", "email": new_email()}
    made = auth.http.post(
        "/admin/generate_link", params={"redirect_to": f"{target}#top"}, json=body, headers=auth.admin
    ).json()
    assert made["redirect_to"] == target


def test_a_banned_users_link_is_refused(auth: AuthServer, mailbox: Mailbox) -> None:
    user = auth.create_user(ban_duration="24h")
    auth.post("/recover", email=user["email"])
    mail = mailbox.to(user["email"])
    assert fragment(follow(auth, mail))["error_code"] == "user_banned"
    assert_refused(auth.post("/verify", type="recovery", email=user["email"], token=mail.otp), 403, "user_banned")


def test_user_metadata_is_merged(auth: AuthServer) -> None:
    signed_in = auth.sign_in(auth.create_user(user_metadata={"a": 1, "b": 2})["email"])
    headers = bearer(signed_in["access_token"])
    body: dict[str, Any] = {"data": {"b": None, "c": {"d": ["ä", 1.5, None]}}}
    user = auth.http.put("/user", json=body, headers=headers).json()
    assert {name: user["user_metadata"].get(name) for name in "abc"} == {
        "a": 1,
        "b": None,
        "c": {"d": ["ä", 1.5, None]},
    }
    assert_refused(auth.http.put("/user", json={"app_metadata": {"role": "admin"}}, headers=headers), 403, "not_admin")
    assert_refused(
        auth.http.put("/user", json={"phone": "+4912345678"}, headers=headers), 400, "phone_provider_disabled"
    )
    assert auth.http.put("/user", json={"role": "service_role"}, headers=headers).json()["role"] == "authenticated"
