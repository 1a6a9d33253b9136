"""Second factors by TOTP: enrolment, challenges, levels of sessions, limits, and the admin API."""

import base64
import re
import threading
import time
from typing import Any
from uuid import uuid4
from xml.etree import ElementTree as ET

import httpx
import msgspec
import pytest

from stack.auth.factors import _totp
from tests.stack.auth.support import (
    PASSWORD,
    AuthServer,
    Database,
    Mailbox,
    Rig,
    assert_refused,
    bearer,
    claims_of,
    code_of,
    new_email,
    session,
)


class Device(msgspec.Struct, kw_only=True):
    """A user's authenticator app and browser."""

    auth: AuthServer
    email: str
    session: dict[str, Any]
    factor_id: str = ""
    secret: str = ""

    @property
    def headers(self) -> dict[str, str]:
        """The header with the access token."""
        return bearer(self.session["access_token"])

    @property
    def claims(self) -> dict[str, Any]:
        """The claims of the access token."""
        return claims_of(self.session["access_token"])

    @classmethod
    def signed_in(cls, auth: AuthServer, email: str | None = None) -> "Device":
        """A device on which a user has signed in with a password."""
        email = email or auth.create_user()["email"]
        return cls(auth=auth, email=email, session=auth.sign_in(email))

    @classmethod
    def protected(cls, auth: AuthServer) -> "Device":
        """A device of a new user with a verified factor, at level aal2. The code of the step before is used up."""
        device = cls.signed_in(auth)
        device.enrol()
        device.pass_challenge(-1)
        return device

    def again(self) -> "Device":
        """Another device of the user, signed in with the password only."""
        other = Device.signed_in(self.auth, self.email)
        other.factor_id, other.secret = self.factor_id, self.secret
        return other

    def post(self, path: str, **body: Any) -> httpx.Response:
        """POST as the user."""
        return self.auth.http.post(path, json=body, headers=self.headers)

    def get_user(self) -> dict[str, Any]:
        """The user as auth sees them now."""
        user: dict[str, Any] = self.auth.http.get("/user", headers=self.headers).json()
        return user

    def enrol(self, **body: Any) -> dict[str, Any]:
        """Enrol a factor, which this device has from now on."""
        answer = self.post("/factors", factor_type="totp", **body)
        assert answer.status_code == 200, answer.text
        made: dict[str, Any] = answer.json()
        self.factor_id, self.secret = made["id"], made["totp"]["secret"]
        return made

    def code(self, offset: int = 0) -> str:
        """The code of this time step, or of one before or after it."""
        return code_of(self.secret, offset)

    def challenge(self) -> str:
        """The id of a new challenge."""
        answer = self.post(f"/factors/{self.factor_id}/challenge")
        assert answer.status_code == 200, answer.text
        return str(answer.json()["id"])

    def verify(self, code: str, challenge_id: str | None = None) -> httpx.Response:
        """Answer a challenge."""
        challenge_id = challenge_id or self.challenge()
        return self.post(f"/factors/{self.factor_id}/verify", challenge_id=challenge_id, code=code)

    def pass_challenge(self, offset: int = 0) -> None:
        """Use the factor."""
        self.session = session(self.verify(self.code(offset)))


def test_codes_are_those_of_the_standard() -> None:
    # RFC 6238, appendix B: the last six of its eight digits.
    secret = base64.b32encode(b"12345678901234567890").decode()
    assert [_totp(secret).generate(when) for when in (59, 1111111109, 20000000000)] == [b"287082", b"081804", b"353130"]


def test_a_factor_is_enrolled(auth: AuthServer) -> None:
    device = Device.signed_in(auth)
    made = device.enrol(friendly_name="phone", issuer="Guild & Hall")
    assert (made["type"], made["friendly_name"]) == ("totp", "phone")
    uri = httpx.URL(made["totp"]["uri"])
    assert (uri.scheme, uri.host) == ("otpauth", "totp")
    assert uri.path == f"/Guild & Hall:{device.email}"
    assert dict(uri.params) == {
        "secret": made["totp"]["secret"], "issuer": "Guild & Hall", "algorithm": "SHA1", "digits": "6", "period": "30"
    }  # fmt: skip
    assert len(base64.b32decode(made["totp"]["secret"])) == 20
    assert ET.fromstring(made["totp"]["qr_code"]).tag == "{http://www.w3.org/2000/svg}svg"  # noqa: S314
    # The official clients put it into a data URI as it is.
    assert "#" not in made["totp"]["qr_code"]
    [factor] = device.get_user()["factors"]
    assert (factor["id"], factor["status"], factor["factor_type"]) == (made["id"], "unverified", "totp")
    assert "secret" not in factor
    # An unverified factor is asked of nobody.
    assert device.again().claims["aal"] == "aal1"
    assert auth.http.put("/user", json={"password": "battery-staple"}, headers=device.headers).status_code == 200


def test_a_code_raises_the_level_of_the_session(auth: AuthServer) -> None:
    device = Device.signed_in(auth)
    before, other = device.session, device.again()
    assert "factors" not in device.get_user()
    device.enrol()
    challenge = device.post(f"/factors/{device.factor_id}/challenge").json()
    assert challenge["type"] == "totp"
    assert 290 < challenge["expires_at"] - time.time() <= 300
    device.session = session(device.verify(device.code(), challenge["id"]))

    assert device.claims["aal"] == "aal2"
    assert device.claims["session_id"] == claims_of(before["access_token"])["session_id"]
    assert [entry["method"] for entry in device.claims["amr"]] == ["totp", "password"]
    assert [factor["status"] for factor in device.session["user"]["factors"]] == ["verified"]
    # A session of the first factor only has ended, and so have the refresh tokens from before.
    assert_refused(auth.http.get("/user", headers=other.headers), 403, "session_not_found")
    for token in (before["refresh_token"], other.session["refresh_token"]):
        assert_refused(
            auth.post("/token?grant_type=refresh_token", refresh_token=token), 400, "refresh_token_not_found"
        )
    # A refresh keeps the level.
    refreshed = session(auth.post("/token?grant_type=refresh_token", refresh_token=device.session["refresh_token"]))
    assert claims_of(refreshed["access_token"])["aal"] == "aal2"
    assert [entry["method"] for entry in claims_of(refreshed["access_token"])["amr"]] == ["totp", "password"]
    # The next sign-in begins below it again.
    assert device.again().claims["aal"] == "aal1"


def test_a_code_is_accepted_once(auth: AuthServer) -> None:
    device = Device.protected(auth)
    thief = device.again()
    code = device.code(0)
    session(device.verify(code))
    thief = thief.again()
    for used in (code, device.code(-1)):
        assert_refused(thief.verify(used), 422, "mfa_verification_failed")
    session(thief.verify(device.code(1)))


def test_of_two_who_use_a_code_at_once_one_succeeds(auth: AuthServer) -> None:
    device = Device.protected(auth)
    code, challenges = device.code(0), [device.challenge() for _ in range(6)]
    statuses: list[int] = []
    callers = [
        threading.Thread(target=lambda each=each: statuses.append(device.verify(code, each).status_code))
        for each in challenges
    ]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    assert sorted(statuses) == [200] + [422] * 5


def test_wrong_codes_and_challenges_are_refused(auth: AuthServer, database: Database) -> None:
    device, stranger = Device.protected(auth), Device.protected(auth)
    wrong = f"{(int(device.code(0)) + 1) % 10**6:06}"
    for code in (
        wrong,
        "1",
        "abcdef",
        "\u0661\u0662\u0663\u0664\u0665\u0666",
        "0" * 5000,
        device.code(3),
        device.code(-3),
    ):
        assert_refused(device.verify(code), 422, "mfa_verification_failed")
    assert_refused(device.verify(""), 400, "validation_failed")
    assert_refused(device.verify(device.code(), "moon"), 400, "validation_failed")
    assert_refused(device.verify(device.code(), str(uuid4())), 422, "mfa_factor_not_found")
    assert_refused(device.verify(device.code(), stranger.challenge()), 422, "mfa_factor_not_found")
    old = device.challenge()
    database.query("update auth.mfa_challenges set created_at = now() - interval '6 minutes' where id = %s", old)
    assert_refused(device.verify(device.code(), old), 422, "mfa_challenge_expired")
    elsewhere = device.challenge()
    database.query("update auth.mfa_challenges set ip_address = '192.0.2.1' where id = %s", elsewhere)
    assert_refused(device.verify(device.code(), elsewhere), 422, "mfa_ip_address_mismatch")
    used = device.challenge()
    session(device.verify(device.code(0), used))
    assert_refused(device.verify(device.code(1), used), 422, "mfa_ip_address_mismatch")
    # Spaces, as apps show them around a code, do no harm.
    session(device.verify(f" {device.code(1)} "))


def test_a_factor_of_somebody_else_is_not_found(auth: AuthServer, database: Database) -> None:
    device, stranger = Device.protected(auth), Device.protected(auth)
    path = f"/factors/{device.factor_id}"
    for answer in (
        stranger.post(f"{path}/challenge"),
        stranger.post(f"{path}/verify", challenge_id=device.challenge(), code=device.code()),
        auth.http.delete(path, headers=stranger.headers),
        stranger.post(f"/factors/{uuid4()}/challenge"),
    ):
        assert_refused(answer, 404, "mfa_factor_not_found")
    assert_refused(auth.http.delete("/factors/moon", headers=stranger.headers), 404, "validation_failed")
    assert database.query("select status::text from auth.mfa_factors where id = %s", device.factor_id) == [
        ("verified",)
    ]


def test_below_the_level_nothing_that_protects_the_account_changes(
    auth: AuthServer, mailbox: Mailbox, database: Database
) -> None:
    device = Device.protected(auth)
    thief, email = device.again(), device.email
    auth.post("/recover", email=email)
    recovered = Device(
        auth=auth,
        email=email,
        session=session(auth.post("/verify", type="recovery", email=email, token=mailbox.to(email).otp)),
    )
    for each in (thief, recovered):
        assert each.claims["aal"] == "aal1"
        for body in ({"password": "battery-staple"}, {"email": new_email()}, {"phone": "+4912345678"}):
            assert_refused(auth.http.put("/user", json=body, headers=each.headers), 401, "insufficient_aal")
        assert_refused(each.post("/factors", factor_type="totp", friendly_name="mine"), 403, "insufficient_aal")
        assert_refused(auth.http.delete(f"/factors/{device.factor_id}", headers=each.headers), 422, "insufficient_aal")
        assert auth.http.put("/user", json={"data": {"a": 1}}, headers=each.headers).status_code == 200
    # The level is the session's, not the token's.
    database.query("update auth.sessions set aal = 'aal1' where id = %s", device.claims["session_id"])
    body = {"password": "battery-staple"}
    assert_refused(auth.http.put("/user", json=body, headers=device.headers), 401, "insufficient_aal")
    device.pass_challenge()
    assert auth.http.put("/user", json=body, headers=device.headers).status_code == 200


def test_a_factor_is_removed(auth: AuthServer) -> None:
    device = Device.protected(auth)
    removed = auth.http.delete(f"/factors/{device.factor_id}", headers=device.headers)
    assert (removed.status_code, removed.json()) == (200, {"id": device.factor_id})
    assert "factors" not in device.get_user()
    refreshed = session(auth.post("/token?grant_type=refresh_token", refresh_token=device.session["refresh_token"]))
    claims = claims_of(refreshed["access_token"])
    assert (claims["aal"], [entry["method"] for entry in claims["amr"]]) == ("aal1", ["password"])
    other = device.again()
    other.enrol()
    assert auth.http.delete(f"/factors/{other.factor_id}", headers=other.headers).status_code == 200


def test_names_and_numbers_of_factors_are_limited(rig: Rig, database: Database) -> None:
    server = rig.server(AUTH_MFA_MAX_ENROLLED_FACTORS="2")
    device = Device.signed_in(server)
    device.enrol()
    assert_refused(device.post("/factors", factor_type="totp"), 422, "mfa_factor_name_conflict")
    device.enrol(friendly_name="second")
    too_many = device.post("/factors", factor_type="totp", friendly_name="third")
    assert_refused(too_many, 422, "too_many_enrolled_mfa_factors")
    assert_refused(device.post("/factors", factor_type="totp", friendly_name="x" * 101), 400, "validation_failed")
    assert_refused(device.post("/factors", factor_type="totp", issuer="x" * 101), 400, "validation_failed")
    assert_refused(device.post("/factors", factor_type="phone", phone="1"), 422, "mfa_phone_enroll_not_enabled")
    assert_refused(device.post("/factors", factor_type="moon"), 400, "validation_failed")
    # What nobody has challenged goes after five minutes, and what is unverified goes with the first verification.
    database.query(
        "update auth.mfa_factors set created_at = now() - interval '6 minutes' where friendly_name = 'second'"
    )
    device.enrol(friendly_name="third")
    device.pass_challenge()
    assert [factor["friendly_name"] for factor in device.get_user()["factors"]] == ["third"]
    server.close()


def test_factors_can_be_disabled(rig: Rig) -> None:
    server = rig.server(AUTH_MFA_TOTP_ENROLL="false", AUTH_MFA_TOTP_VERIFY="false")
    device = Device.protected(rig.auth)
    assert_refused(Device.signed_in(server).post("/factors", factor_type="totp"), 422, "mfa_totp_enroll_not_enabled")
    device = Device(auth=server, email=device.email, session=server.sign_in(device.email), factor_id=device.factor_id)
    assert_refused(device.post(f"/factors/{device.factor_id}/challenge"), 422, "mfa_totp_verify_not_enabled")
    assert_refused(device.post(f"/factors/{device.factor_id}/verify"), 422, "mfa_totp_verify_not_enabled")
    server.close()


def test_an_anonymous_user_has_no_factors(auth: AuthServer) -> None:
    guest = session(auth.post("/signup"))
    answer = auth.http.post("/factors", json={"factor_type": "totp"}, headers=bearer(guest["access_token"]))
    assert_refused(answer, 403, "no_authorization")


def test_wrong_codes_are_counted(rig: Rig) -> None:
    server = rig.server(limited=True, AUTH_MFA_REQUESTS="1000000")
    device = Device.protected(server)
    thief, wrong = device.again(), f"{(int(device.code(0)) + 1) % 10**6:06}"
    for _ in range(5):
        assert_refused(thief.verify(wrong), 422, "mfa_verification_failed")
    limited = thief.verify(device.code(0))
    assert_refused(limited, 429, "over_request_rate_limit")
    assert int(limited.headers["retry-after"]) > 0
    # Correct ones are not.
    other = Device.protected(server)
    for _ in range(8):
        challenge = other.challenge()
        assert other.post(f"/factors/{other.factor_id}/challenge").status_code == 200
        assert_refused(other.verify("", challenge), 400, "validation_failed")
    session(other.verify(other.code(0)))
    server.close()


def test_more_networks_give_a_thief_no_more_codes(rig: Rig) -> None:
    server = rig.server(limited=True, AUTH_MFA_REQUESTS="1000000")
    device = Device.protected(server)
    thief, wrong = device.again(), f"{(int(device.code(0)) + 1) % 10**6:06}"

    def guess(address: str, code: str) -> httpx.Response:
        # The thief knows the password, so a sign-in makes any network known to auth.
        headers = {"X-Forwarded-For": address}
        body = {"email": device.email, "password": PASSWORD}
        signed_in = session(server.http.post("/token?grant_type=password", json=body, headers=headers))
        headers |= bearer(signed_in["access_token"])
        path = f"/factors/{device.factor_id}"
        challenge = server.http.post(f"{path}/challenge", headers=headers).json()["id"]
        return server.http.post(f"{path}/verify", json={"challenge_id": challenge, "code": code}, headers=headers)

    answers = [guess(f"198.51.{number}.1", wrong).status_code for number in range(14)]
    assert answers == [422] * 10 + [429] * 4
    # The owner is not locked out where a session has used the factor.
    session(thief.verify(device.code(0)))
    server.close()


def test_requests_about_factors_are_limited(rig: Rig) -> None:
    server = rig.server(limited=True)
    device = Device.signed_in(server)
    device.enrol()
    answers = [device.post(f"/factors/{device.factor_id}/challenge") for _ in range(30)]
    assert [answer.status_code for answer in answers] == [200] * 29 + [429]
    assert_refused(answers[-1], 429, "over_request_rate_limit")
    server.close()


def test_an_admin_lists_renames_and_removes_factors(auth: AuthServer) -> None:
    device = Device.protected(auth)
    device.enrol(friendly_name="spare")
    spare, user_id = device.factor_id, device.session["user"]["id"]
    path = f"/admin/users/{user_id}/factors"
    listed = auth.http.get(path, headers=auth.admin).json()
    assert [factor["status"] for factor in listed] == ["verified", "unverified"]
    assert all("secret" not in factor for factor in listed)
    renamed = auth.http.put(f"{path}/{spare}", json={"friendly_name": "tablet"}, headers=auth.admin)
    assert (renamed.status_code, renamed.json()["friendly_name"]) == (200, "tablet")
    auth.http.put(f"{path}/{listed[0]['id']}", json={"friendly_name": "phone"}, headers=auth.admin)
    clash = auth.http.put(f"{path}/{spare}", json={"friendly_name": "phone"}, headers=auth.admin)
    assert_refused(clash, 422, "mfa_factor_name_conflict")

    removed = auth.http.delete(f"{path}/{listed[0]['id']}", headers=auth.admin)
    assert (removed.status_code, removed.json()["id"]) == (200, listed[0]["id"])
    refreshed = session(auth.post("/token?grant_type=refresh_token", refresh_token=device.session["refresh_token"]))
    assert claims_of(refreshed["access_token"])["aal"] == "aal1"
    assert_refused(auth.http.delete(f"{path}/{listed[0]['id']}", headers=auth.admin), 404, "mfa_factor_not_found")
    assert_refused(auth.http.get(f"/admin/users/{uuid4()}/factors", headers=auth.admin), 404, "user_not_found")
    for method in ("GET", "PUT", "DELETE"):
        suffix = "" if method == "GET" else f"/{spare}"
        answer = auth.http.request(method, f"{path}{suffix}", headers=device.headers)
        assert_refused(answer, 403, "not_admin")


def test_actions_are_recorded_without_secrets(auth: AuthServer, database: Database) -> None:
    device = Device.protected(auth)
    auth.http.delete(f"/factors/{device.factor_id}", headers=device.headers)
    rows = database.query(
        "select payload ->> 'action', payload::text from auth.audit_log_entries"
        " where payload ->> 'actor_id' = %s and payload ->> 'log_type' = 'factor' order by created_at",
        device.session["user"]["id"],
    )
    assert [action for action, _ in rows] == [
        "factor_in_progress", "challenge_created", "verification_attempted", "factor_unenrolled"
    ]  # fmt: skip
    assert not any(re.search(device.secret, payload) for _, payload in rows)


@pytest.mark.parametrize("path", ["/factors/{}/challenge", "/factors/{}/verify"])
def test_a_token_without_a_session_uses_no_factor(auth: AuthServer, path: str) -> None:
    device = Device.protected(auth)
    claims = {name: value for name, value in device.claims.items() if name != "session_id"}
    loose = Device(auth=auth, email=device.email, session={"access_token": auth.keys.sign(claims)})
    loose.factor_id, loose.secret = device.factor_id, device.secret
    if "verify" in path:
        assert_refused(loose.verify(device.code(0)), 403, "session_not_found")
    else:
        body = {"password": "battery-staple"}
        assert_refused(auth.http.put("/user", json=body, headers=loose.headers), 401, "insufficient_aal")
