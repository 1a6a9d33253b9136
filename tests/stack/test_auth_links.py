"""Links and codes by mail: confirmation, recovery, magic link, change of address, nonce, PKCE, and where links lead."""

import base64
import hashlib
import secrets
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import httpx
import pytest

from tests.stack.auth_server import (
    PASSWORD,
    SITE,
    AuthServer,
    Database,
    Letter,
    Mailbox,
    Rig,
    auth_fixture,  # noqa: F401
    auto_fixture,  # noqa: F401
    bearer,
    database_fixture,  # noqa: F401
    fragment,
    mailbox_fixture,  # noqa: F401
    new_address,
    refused,
    rig_fixture,  # noqa: F401
    session,
)

OUTSIDE = [
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


def follow(auth: AuthServer, letter: Letter) -> str:
    """The place to which the link of a mail leads."""
    answer = auth.http.get(letter.link)
    assert answer.status_code == 303, answer.text
    return answer.headers["location"]


def pkce() -> tuple[str, dict[str, str]]:
    """A verifier, and what a request for a mail brings of it."""
    verifier = secrets.token_urlsafe(48)
    challenge = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()
    return verifier, {"code_challenge": challenge, "code_challenge_method": "s256"}


def exchange(auth: AuthServer, code: str, verifier: str) -> httpx.Response:
    return auth.post("/token?grant_type=pkce", auth_code=code, code_verifier=verifier)


def test_a_link_signs_in_once(auth: AuthServer, mailbox: Mailbox) -> None:
    email = new_address()
    auth.post("/signup?redirect_to=http://localhost:3000/welcome?a=1", email=email, password=PASSWORD)
    letter = mailbox.to(email)
    assert auth.http.head(letter.link).status_code == 405
    place = follow(auth, letter)
    assert place.startswith("http://localhost:3000/welcome?a=1#")
    values = fragment(place)
    assert (values["type"], values["token_type"], values["expires_in"]) == ("signup", "bearer", "3600")
    user = auth.http.get("/user", headers=bearer(values["access_token"])).json()
    assert user["email"] == email
    session(auth.post("/token?grant_type=refresh_token", refresh_token=values["refresh_token"]))

    again = fragment(follow(auth, letter))
    assert (again["error"], again["error_code"]) == ("access_denied", "otp_expired")
    assert again["error_description"]
    refused(auth.post("/verify", type="signup", email=email, token=letter.otp), 403, "otp_expired")


def test_a_token_hash_signs_in(auth: AuthServer, mailbox: Mailbox) -> None:
    email = new_address()
    auth.post("/signup", email=email, password=PASSWORD)
    token_hash = mailbox.to(email).parameters["token"]
    refused(auth.post("/verify", type="recovery", token_hash=token_hash), 403, "otp_expired")
    refused(auth.post("/verify", type="email", token_hash=token_hash, email=email), 400, "validation_failed")
    session(auth.post("/verify", type="email", token_hash=token_hash))
    refused(auth.post("/verify", type="email", token_hash=token_hash), 403, "otp_expired")


def test_codes_are_refused_alike_whether_wrong_or_of_nobody(auth: AuthServer, mailbox: Mailbox) -> None:
    email, other = new_address(), new_address()
    auth.post("/signup", email=email, password=PASSWORD)
    otp = mailbox.to(email).otp
    wrong = f"{(int(otp) + 1) % 10**6:06}"
    answers = [
        auth.post("/verify", type="signup", email=address, token=token)
        for address, token in ((email, wrong), (other, otp), (email, ""), (email, "9" * 600))
        if token
    ]
    for answer in answers:
        refused(answer, 403, "otp_expired")
        assert answer.content == answers[0].content
    refused(auth.post("/verify", type="signup", email=email), 400, "validation_failed")
    refused(auth.post("/verify", type="moon", email=email, token=otp), 400, "validation_failed")
    refused(auth.post("/verify", email=email, token=otp), 400, "validation_failed")
    refused(auth.post("/verify", type="sms", phone="+4912345678", token=otp), 400, "phone_provider_disabled")
    refused(auth.http.get("/verify"), 400, "validation_failed")


def test_links_and_codes_expire(auth: AuthServer, mailbox: Mailbox, database: Database) -> None:
    email = auth.create_user()["email"]
    auth.post("/recover", email=email)
    letter = mailbox.to(email)
    database.query(
        "update auth.one_time_tokens set created_at = created_at - interval '2 hours' where relates_to = %s", email
    )
    refused(auth.post("/verify", type="recovery", email=email, token=letter.otp), 403, "otp_expired")
    assert fragment(follow(auth, letter))["error_code"] == "otp_expired"


def test_a_new_mail_makes_the_last_one_void(auth: AuthServer, mailbox: Mailbox) -> None:
    email = new_address()
    auth.post("/signup", email=email, password=PASSWORD)
    first = mailbox.to(email)
    assert auth.post("/resend", type="signup", email=email).json() == {}
    second = mailbox.to(email, count=2)
    refused(auth.post("/verify", type="signup", token_hash=first.parameters["token"]), 403, "otp_expired")
    session(auth.post("/verify", type="signup", email=email, token=second.otp))


def test_a_forgotten_password_is_reset(auth: AuthServer, mailbox: Mailbox) -> None:
    email = auth.create_user()["email"]
    device = auth.sign_in(email)
    assert auth.post("/recover", email=email).json() == {}
    letter = mailbox.to(email)
    assert letter.parameters["type"] == "recovery"
    recovered = session(auth.post("/verify", type="recovery", email=email, token=letter.otp))
    headers = bearer(recovered["access_token"])
    refused(auth.http.put("/user", json={"password": PASSWORD}, headers=headers), 422, "same_password")
    refused(auth.http.put("/user", json={"password": "short"}, headers=headers), 422, "weak_password")
    changed = auth.http.put("/user", json={"password": "battery-staple"}, headers=headers)
    assert changed.status_code == 200
    auth.sign_in(email, "battery-staple")
    refused(auth.post("/token?grant_type=password", email=email, password=PASSWORD), 400, "invalid_credentials")
    # Whoever was signed in elsewhere, perhaps the thief, is not any more; this session is.
    refused(auth.http.get("/user", headers=bearer(device["access_token"])), 403, "session_not_found")
    assert auth.http.get("/user", headers=headers).status_code == 200


def test_otp_signs_in_and_signs_up(auth: AuthServer, mailbox: Mailbox, database: Database) -> None:
    known, new, unwanted = auth.create_user()["email"], new_address(), new_address()
    assert auth.post("/otp", email=known).json() == {}
    letter = mailbox.to(known)
    assert letter.parameters["type"] == "magiclink"
    session(auth.post("/verify", type="email", email=known, token=letter.otp))

    assert auth.post("/otp", email=new, data={"name": "Ada"}).json() == {}
    made = session(auth.post("/verify", type="email", email=new, token=mailbox.to(new).otp))["user"]
    assert made["user_metadata"]["name"] == "Ada"

    assert auth.post("/otp", email=unwanted, create_user=False).json() == {}
    assert auth.post("/magiclink", email=known).json() == {}
    mailbox.to(known, count=2)  # so that what was asked for before is done, too
    assert mailbox.count(unwanted) == 0
    assert database.query("select count(*) from auth.users where email = %s", unwanted) == [(0,)]
    refused(auth.post("/otp", phone="+4912345678"), 400, "phone_provider_disabled")
    refused(auth.post("/otp"), 400, "validation_failed")
    refused(auth.post("/resend", type="moon", email=known), 400, "validation_failed")


def test_with_autoconfirm_otp_signs_up_by_a_magic_link(auto: AuthServer, mailbox: Mailbox) -> None:
    email = new_address()
    assert auto.post("/otp", email=email).json() == {}
    letter = mailbox.to(email)
    assert letter.parameters["type"] == "magiclink"
    session(auto.post("/verify", type="magiclink", email=email, token=letter.otp))


def test_strangers_learn_nothing_from_mails_that_are_not_sent(auth: AuthServer, mailbox: Mailbox) -> None:
    known, nobody = auth.create_user()["email"], new_address()
    for path, body in (("/recover", {}), ("/otp", {"create_user": False}), ("/resend", {"type": "signup"})):
        answers = [auth.post(path, email=email, **body) for email in (known, nobody)]
        assert [(answer.status_code, answer.json()) for answer in answers] == [(200, {})] * 2
    mailbox.to(known, count=2)
    assert mailbox.count(nobody) == 0


def test_mails_to_one_address_have_a_rate(rig: Rig, mailbox: Mailbox) -> None:
    server = rig.server(AUTH_MAX_FREQUENCY="30")
    known, nobody = server.create_user()["email"], new_address()
    for path, body in (("/recover", {}), ("/signup", {"password": PASSWORD})):
        for email in (known, nobody):
            assert server.post(path, email=email, **body).status_code == 200
            again = server.post(path, email=email, **body)
            refused(again, 429, "over_email_send_rate_limit")
            assert 0 < int(again.headers["retry-after"]) <= 30
    mailbox.to(known, count=2)
    server.close()


def test_a_change_of_address_needs_both_addresses(auth: AuthServer, mailbox: Mailbox) -> None:
    old, new = auth.create_user()["email"], new_address()
    signed_in = auth.sign_in(old)
    headers = bearer(signed_in["access_token"])
    answer = auth.http.put("/user", json={"email": new.upper()}, headers=headers)
    assert answer.status_code == 200, answer.text
    assert (answer.json()["email"], answer.json()["new_email"]) == (old, new)
    assert mailbox.to(old).parameters["type"] == "email_change"

    first = auth.post("/verify", type="email_change", email=new, token=mailbox.to(new).otp)
    assert (first.status_code, first.json()["code"]) == (200, "200")
    refused(auth.post("/verify", type="email_change", email=new, token=mailbox.to(new).otp), 403, "otp_expired")
    assert auth.http.get("/user", headers=headers).json()["email"] == old
    values = fragment(follow(auth, mailbox.to(old)))
    assert values["type"] == "email_change"
    user = auth.http.get("/user", headers=bearer(values["access_token"])).json()
    assert user["email"] == new
    assert "new_email" not in user
    assert user["identities"][0]["identity_data"]["email"] == new
    auth.sign_in(new)
    refused(auth.post("/token?grant_type=password", email=old, password=PASSWORD), 400, "invalid_credentials")


def test_the_first_of_two_links_says_so(auth: AuthServer, mailbox: Mailbox) -> None:
    old, new = auth.create_user()["email"], new_address()
    headers = bearer(auth.sign_in(old)["access_token"])
    auth.http.put("/user", json={"email": new}, headers=headers)
    auth.post("/resend", type="email_change", email=old)
    mailbox.to(old, count=2)
    values = fragment(follow(auth, mailbox.to(new, count=2)))
    assert values.keys() == {"message"}
    assert fragment(follow(auth, mailbox.to(old)))["access_token"]


def test_an_address_is_not_taken_over(auth: AuthServer, mailbox: Mailbox) -> None:
    taken, mine, wanted = auth.create_user()["email"], auth.create_user()["email"], new_address()
    headers = bearer(auth.sign_in(mine)["access_token"])
    refused(auth.http.put("/user", json={"email": taken}, headers=headers), 422, "email_exists")
    auth.http.put("/user", json={"email": wanted}, headers=headers)
    letters = [mailbox.to(mine), mailbox.to(wanted)]
    auth.create_user(wanted)
    follow(auth, letters[0])
    assert fragment(follow(auth, letters[1]))["error_code"] == "email_exists"


def test_a_nonce_is_checked(auth: AuthServer, mailbox: Mailbox) -> None:
    email = auth.create_user()["email"]
    headers = bearer(auth.sign_in(email)["access_token"])
    assert auth.http.get("/reauthenticate", headers=headers).json() == {}
    nonce = mailbox.to(email).otp
    wrong = {"password": "battery-staple", "nonce": f"{(int(nonce) + 1) % 10**6:06}"}
    refused(auth.http.put("/user", json=wrong, headers=headers), 422, "reauthentication_not_valid")
    right = {"password": "battery-staple", "nonce": nonce}
    assert auth.http.put("/user", json=right, headers=headers).status_code == 200
    again = {"password": "another-staple", "nonce": nonce}
    refused(auth.http.put("/user", json=again, headers=headers), 422, "reauthentication_not_valid")
    guess = {"password": "another-staple", "current_password": "wrong-horse"}
    refused(auth.http.put("/user", json=guess, headers=headers), 400, "invalid_credentials")
    auth.sign_in(email, "battery-staple")
    guest = session(auth.post("/signup"))
    refused(auth.http.get("/reauthenticate", headers=bearer(guest["access_token"])), 400, "validation_failed")


@pytest.mark.parametrize("errand", ["signup", "recover", "otp", "email_change"])
def test_pkce(auth: AuthServer, mailbox: Mailbox, errand: str) -> None:
    verifier, challenge = pkce()
    email = new_address() if errand == "signup" else auth.create_user()["email"]
    if errand == "email_change":
        headers, email = bearer(auth.sign_in(email)["access_token"]), new_address()
        answer = auth.http.put("/user", json={"email": email, **challenge}, headers=headers)
        old = answer.json()["email"]
        assert dict(parse_qsl(urlsplit(follow(auth, mailbox.to(old))).query)).keys() == {"message"}
    else:
        auth.post(f"/{errand}", email=email, password=PASSWORD, **challenge)
    letter = mailbox.to(email)
    assert letter.parameters["token"].startswith("pkce_")
    place = follow(auth, letter)
    code = dict(parse_qsl(urlsplit(place).query))["code"]
    assert "access_token" not in place
    refused(exchange(auth, code, secrets.token_urlsafe(48)), 400, "bad_code_verifier")
    signed_in = session(exchange(auth, code, verifier))
    assert signed_in["user"]["email"] == email
    refused(exchange(auth, code, verifier), 404, "flow_state_not_found")
    values = fragment(follow(auth, letter))
    assert values["error_code"] == "otp_expired"


def test_pkce_codes_expire_and_codes_by_hand_work(auth: AuthServer, mailbox: Mailbox, database: Database) -> None:
    verifier, challenge = pkce()
    email = auth.create_user()["email"]
    auth.post("/otp", email=email, **challenge)
    code = dict(parse_qsl(urlsplit(follow(auth, mailbox.to(email))).query))["code"]
    late = "update auth.flow_state set auth_code_issued_at = now() - interval '6 minutes' where auth_code = %s"
    database.query(late, code)
    refused(exchange(auth, code, verifier), 422, "flow_state_expired")
    auth.post("/otp", email=email, **challenge)
    session(auth.post("/verify", type="email", email=email, token=mailbox.to(email, count=2).otp))


def test_half_a_challenge_is_refused(auth: AuthServer) -> None:
    _, challenge = pkce()
    for broken in (
        {"code_challenge": challenge["code_challenge"]},
        {"code_challenge_method": "s256"},
        {**challenge, "code_challenge_method": "md5"},
        {**challenge, "code_challenge": "short"},
        {**challenge, "code_challenge": "ü" * 50},
    ):
        refused(auth.post("/recover", email=new_address(), **broken), 400, "validation_failed")
    refused(exchange(auth, "", ""), 400, "validation_failed")


@pytest.mark.parametrize("place", OUTSIDE)
def test_links_do_not_lead_outside(auth: AuthServer, place: str) -> None:
    made = auth.http.post(
        "/admin/generate_link",
        json={"type": "signup", "email": new_address(), "redirect_to": place},
        headers=auth.admin,
    ).json()
    assert made["redirect_to"] == SITE
    # Nor does somebody get there by writing the link himself.
    link = {"token": made["hashed_token"], "type": "signup", "redirect_to": place}
    landed = auth.http.get("/verify", params=link).headers["location"]
    assert landed.startswith(f"{SITE}#access_token=")


@pytest.mark.parametrize(
    "place",
    [
        SITE,
        f"{SITE}/",
        f"{SITE}/a/b.c?d=e",
        "http://localhost:3000/",
        "http://localhost:3000/a/b.c?d=e",
        "guildhall://callback",
    ],
)
def test_links_lead_to_allowed_places(auth: AuthServer, place: str) -> None:
    body = {"type": "signup", "email": new_address()}
    made = auth.http.post(
        "/admin/generate_link", params={"redirect_to": f"{place}#top"}, json=body, headers=auth.admin
    ).json()
    assert made["redirect_to"] == place


def test_a_banned_users_link_is_refused(auth: AuthServer, mailbox: Mailbox) -> None:
    user = auth.create_user(ban_duration="24h")
    auth.post("/recover", email=user["email"])
    letter = mailbox.to(user["email"])
    assert fragment(follow(auth, letter))["error_code"] == "user_banned"
    refused(auth.post("/verify", type="recovery", email=user["email"], token=letter.otp), 403, "user_banned")


def test_metadata_is_merged(auth: AuthServer) -> None:
    signed_in = auth.sign_in(auth.create_user(user_metadata={"a": 1, "b": 2})["email"])
    headers = bearer(signed_in["access_token"])
    body: dict[str, Any] = {"data": {"b": None, "c": {"d": ["ä", 1.5, None]}}}
    user = auth.http.put("/user", json=body, headers=headers).json()
    assert {name: user["user_metadata"].get(name) for name in "abc"} == {
        "a": 1,
        "b": None,
        "c": {"d": ["ä", 1.5, None]},
    }
    refused(auth.http.put("/user", json={"app_metadata": {"role": "admin"}}, headers=headers), 403, "not_admin")
    refused(auth.http.put("/user", json={"phone": "+4912345678"}, headers=headers), 400, "phone_provider_disabled")
    assert auth.http.put("/user", json={"role": "service_role"}, headers=headers).json()["role"] == "authenticated"
