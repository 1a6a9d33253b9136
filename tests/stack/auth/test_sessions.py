"""Sign-in, claims of tokens, refresh with reuse detection, sign-out, bans and rotated keys."""

import threading
import time
from typing import Any
from uuid import uuid4

import bcrypt
import jwt
import pytest

from tests.stack.auth.support import (
    PASSWORD,
    AuthServer,
    Database,
    assert_refused,
    bearer,
    claims_of,
    new_email,
    session,
)


def refresh(auth: AuthServer, token: str) -> Any:
    return auth.post("/token?grant_type=refresh_token", refresh_token=token)


def age_refresh_tokens(database: Database, session_id: str) -> None:
    database.query(
        "update auth.refresh_tokens set updated_at = updated_at - interval '1 minute' where session_id = %s", session_id
    )


def test_the_claims_of_an_access_token(auth: AuthServer) -> None:
    user = auth.create_user(user_metadata={"full_name": "Ada"}, app_metadata={"plan": "guild"})
    signed_in = auth.sign_in(user["email"])
    jwks = auth.http.get("/.well-known/jwks.json").json()
    key = jwt.PyJWK(jwks["keys"][0])
    assert "d" not in jwks["keys"][0]
    claims = jwt.decode(signed_in["access_token"], key, algorithms=["ES256"], audience="authenticated")
    assert jwt.get_unverified_header(signed_in["access_token"])["kid"] == key.key_id
    assert claims["aud"] == "authenticated"
    assert claims["iss"] == auth.url
    assert claims["sub"] == user["id"]
    assert (claims["email"], claims["phone"], claims["role"]) == (user["email"], "", "authenticated")
    assert claims["aal"] == "aal1"
    assert [entry["method"] for entry in claims["amr"]] == ["password"]
    assert abs(claims["amr"][0]["timestamp"] - time.time()) < 10
    assert claims["exp"] - claims["iat"] == signed_in["expires_in"] == 3600
    assert claims["exp"] == signed_in["expires_at"]
    assert claims["app_metadata"] == {"provider": "email", "providers": ["email"], "plan": "guild"}
    assert claims["user_metadata"]["full_name"] == "Ada"
    assert claims["is_anonymous"] is False
    assert claims["session_id"]


def test_wrong_passwords_and_unknown_addresses_get_the_same_answer(auth: AuthServer) -> None:
    email = auth.create_user()["email"]
    wrong = auth.post("/token?grant_type=password", email=email, password="wrong-horse")
    unknown = auth.post("/token?grant_type=password", email=new_email(), password="wrong-horse")
    assert_refused(wrong, 400, "invalid_credentials")
    assert wrong.json() == unknown.json()
    assert_refused(auth.post("/token?grant_type=password", email=email), 400, "invalid_credentials")
    assert_refused(
        auth.post("/token?grant_type=password", email=email, password=PASSWORD * 9), 400, "invalid_credentials"
    )
    assert_refused(auth.post("/token?grant_type=password", password=PASSWORD), 400, "validation_failed")
    assert_refused(auth.post("/token?grant_type=magic"), 400, "unsupported_grant_type")
    auth.sign_in(email.upper())


def test_a_password_with_a_nul_is_compared_completely(auth: AuthServer) -> None:
    email = auth.create_user(password="abcdefgh\0one")["email"]
    assert_refused(
        auth.post("/token?grant_type=password", email=email, password="abcdefgh\0two"), 400, "invalid_credentials"
    )
    auth.sign_in(email, "abcdefgh\0one")


def test_a_seeded_user_signs_in_and_gets_a_hash_of_the_set_cost(auth: AuthServer, database: Database) -> None:
    email = new_email()
    cheap = bcrypt.hashpw(PASSWORD.encode(), bcrypt.gensalt(5, prefix=b"2a")).decode()
    # As seeds insert users: without columns that the server writes, and with capitals in the address.
    database.query(
        "insert into auth.users (id, email, encrypted_password, email_confirmed_at) values (%s, %s, %s, now())",
        uuid4(),
        email.capitalize(),
        cheap,
    )
    user = auth.sign_in(email)["user"]
    assert (user["aud"], user["role"]) == ("authenticated", "authenticated")
    assert (user["app_metadata"], user["user_metadata"]) == ({}, {})
    assert user["created_at"]
    [(rehashed,)] = database.query("select encrypted_password from auth.users where id = %s", user["id"])
    assert rehashed.startswith("$2b$04$")
    auth.sign_in(email)


def test_refresh_rotates_the_token_and_keeps_the_session(auth: AuthServer) -> None:
    first = auth.sign_in_new_user()
    second = session(refresh(auth, first["refresh_token"]))
    assert second["refresh_token"] != first["refresh_token"]
    before, after = claims_of(first["access_token"]), claims_of(second["access_token"])
    assert after["session_id"] == before["session_id"]
    assert after["amr"] == before["amr"]
    assert_refused(refresh(auth, "no-such-token"), 400, "refresh_token_not_found")
    assert_refused(auth.post("/token?grant_type=refresh_token"), 400, "validation_failed")


def test_a_used_refresh_token_works_within_the_reuse_interval(auth: AuthServer) -> None:
    first = auth.sign_in_new_user()
    second = session(refresh(auth, first["refresh_token"]))
    third = session(refresh(auth, second["refresh_token"]))
    # Two generations old, as in concurrent tabs: the answer has the active token.
    assert session(refresh(auth, first["refresh_token"]))["refresh_token"] == third["refresh_token"]


def test_the_parent_of_the_active_refresh_token_always_works(auth: AuthServer, database: Database) -> None:
    first = auth.sign_in_new_user()
    second = session(refresh(auth, first["refresh_token"]))
    age_refresh_tokens(database, claims_of(first["access_token"])["session_id"])
    again = session(refresh(auth, first["refresh_token"]))
    assert again["refresh_token"] == second["refresh_token"]


def test_reuse_of_an_old_refresh_token_ends_the_session(auth: AuthServer, database: Database) -> None:
    first = auth.sign_in_new_user()
    other_device = auth.sign_in(first["user"]["email"])
    second = session(refresh(auth, first["refresh_token"]))
    third = session(refresh(auth, second["refresh_token"]))
    session_id = claims_of(first["access_token"])["session_id"]
    age_refresh_tokens(database, session_id)

    assert_refused(refresh(auth, first["refresh_token"]), 400, "refresh_token_already_used")
    # Committed although the answer is an error.
    assert database.query("select bool_and(revoked) from auth.refresh_tokens where session_id = %s", session_id) == [
        (True,)
    ]
    assert_refused(refresh(auth, third["refresh_token"]), 400, "refresh_token_already_used")
    assert_refused(auth.http.get("/user", headers=bearer(third["access_token"])), 403, "session_not_found")
    session(refresh(auth, other_device["refresh_token"]))


def test_twenty_concurrent_refreshes_get_the_same_session(auth: AuthServer, database: Database) -> None:
    for _ in range(3):  # in the first round the server has few connections, so little is concurrent
        first = auth.sign_in_new_user()
        start = threading.Barrier(20)
        answers: list[Any] = []

        def refresh_with_others(token: str, start: threading.Barrier, answers: list[Any]) -> None:
            start.wait()
            answers.append(refresh(auth, token))

        callers = [
            threading.Thread(target=refresh_with_others, args=(first["refresh_token"], start, answers))
            for _ in range(20)
        ]
        for caller in callers:
            caller.start()
        for caller in callers:
            caller.join()
        sessions = [session(answer) for answer in answers]
        assert len({each["refresh_token"] for each in sessions}) == 1
        session_id = claims_of(first["access_token"])["session_id"]
        active = "select count(*) from auth.refresh_tokens where session_id = %s and not revoked"
        assert database.query(active, session_id) == [(1,)]
        assert auth.http.get("/user", headers=bearer(sessions[7]["access_token"])).status_code == 200
        session(refresh(auth, sessions[0]["refresh_token"]))


def test_sign_out_ends_the_sessions_of_its_scope(auth: AuthServer) -> None:
    email = auth.create_user()["email"]
    one, two, three = (auth.sign_in(email) for _ in range(3))

    def works(signed_in: dict[str, Any]) -> bool:
        return auth.http.get("/user", headers=bearer(signed_in["access_token"])).status_code == 200

    def sign_out(signed_in: dict[str, Any], query: str) -> None:
        answer = auth.http.post(f"/logout{query}", headers=bearer(signed_in["access_token"]))
        assert (answer.status_code, answer.content) == (204, b"")

    sign_out(one, "?scope=local")
    assert [works(each) for each in (one, two, three)] == [False, True, True]
    assert_refused(refresh(auth, one["refresh_token"]), 400, "refresh_token_not_found")
    assert_refused(auth.http.post("/logout", headers=bearer(one["access_token"])), 403, "session_not_found")
    sign_out(two, "?scope=others")
    assert [works(each) for each in (two, three)] == [True, False]
    four = auth.sign_in(email)
    assert_refused(auth.http.post("/logout?scope=moon", headers=bearer(two["access_token"])), 400, "validation_failed")
    sign_out(two, "")
    assert [works(each) for each in (two, four)] == [False, False]


def test_a_banned_user_neither_signs_in_nor_refreshes(auth: AuthServer) -> None:
    user = auth.create_user()
    signed_in = auth.sign_in(user["email"])
    path = f"/admin/users/{user['id']}"
    banned = auth.http.put(path, json={"ban_duration": "1h30m"}, headers=auth.admin).json()
    assert banned["banned_until"]
    assert_refused(auth.post("/token?grant_type=password", email=user["email"], password=PASSWORD), 400, "user_banned")
    assert_refused(refresh(auth, signed_in["refresh_token"]), 400, "user_banned")
    # Only a correct password shows the ban.
    wrong = auth.post("/token?grant_type=password", email=user["email"], password="wrong-horse")
    assert_refused(wrong, 400, "invalid_credentials")
    auth.http.put(path, json={"ban_duration": "none"}, headers=auth.admin)
    session(refresh(auth, signed_in["refresh_token"]))


def test_forged_tokens_are_refused(auth: AuthServer) -> None:
    good = claims_of(auth.sign_in_new_user()["access_token"])
    keys = auth.keys
    other_keys = type(keys).generate()
    public = keys.current.private().public_key()
    unsigned = jwt.encode(good, "", algorithm="none", headers={"kid": keys.current.kid})
    no_user = auth.http.get("/user", headers=bearer(keys.sign({**good, "sub": "nobody"})))
    assert_refused(no_user, 400, "bad_jwt")
    assert no_user.json()["message"] == "invalid claim: sub claim must be a UUID"
    forged = {
        "unsigned": unsigned,
        "another key": other_keys.sign(good),
        "another key with the id of the current one": jwt.encode(
            good, other_keys.current.private(), algorithm="ES256", headers={"kid": keys.current.kid}
        ),
        "a public key as a secret": jwt.encode(
            good, str(public.public_numbers().x), algorithm="HS256", headers={"kid": keys.current.kid}
        ),
        "no kid": jwt.encode(good, keys.current.private(), algorithm="ES256"),
        "expired": keys.sign({**good, "exp": int(time.time()) - 1}),
        "no expiry": keys.sign({name: value for name, value in good.items() if name != "exp"}),
        "another audience": keys.sign({**good, "aud": "another"}),
        "another issuer": keys.sign({**good, "iss": "https://elsewhere.example"}),
        "no session": keys.sign({**good, "session_id": "none"}),
        "the service key": keys.service_role,
        "garbage": "a.b.c",
    }
    for name, token in forged.items():
        answer = auth.http.get("/user", headers=bearer(token))
        assert (name, answer.status_code, answer.json()["code"]) == (name, 403, "bad_jwt")
    assert_refused(auth.http.get("/user"), 401, "no_authorization")
    unknown = keys.sign({**good, "sub": str(uuid4())})
    assert_refused(auth.http.get("/user", headers=bearer(unknown)), 403, "user_not_found")
    other = claims_of(auth.sign_in_new_user()["access_token"])["session_id"]
    assert_refused(
        auth.http.get("/user", headers=bearer(keys.sign({**good, "session_id": other}))), 403, "session_not_found"
    )


def test_a_refusal_of_a_token_says_what_is_wrong(auth: AuthServer) -> None:
    good = claims_of(auth.sign_in_new_user()["access_token"])
    keys = auth.keys
    for token, flaw in (
        ("a.b", "token is malformed: token contains an invalid number of segments"),
        ("a.b.c", "token is malformed: "),
        (keys.sign({**good, "exp": int(time.time()) - 1}), "token has invalid claims: token is expired"),
        (keys.sign({**good, "nbf": int(time.time()) + 60}), "token has invalid claims: token is not valid yet"),
        (f"{keys.sign(good)[:-80]}{'A' * 80}", "token signature is invalid: "),
        (type(keys).generate().sign(good), "token is unverifiable: error while executing keyfunc: "),
    ):
        message = auth.http.get("/user", headers=bearer(token)).json()["message"]
        assert message.startswith(f"invalid JWT: unable to parse or verify signature, {flaw}"), message
    message = auth.http.get("/user", headers=bearer(keys.service_role)).json()["message"]
    assert message == "invalid claim: missing sub claim"


@pytest.mark.parametrize("role", ["service_role", "supabase_admin"])
def test_tokens_of_servers_need_neither_an_audience_nor_an_end(auth: AuthServer, role: str) -> None:
    """As the official clients' own suites make them: `{"role": "service_role"}`, signed."""
    keys = auth.keys
    bare = keys.sign({"role": role})
    assert auth.http.get("/admin/users", headers=bearer(bare)).status_code == 200
    for claims in (
        {"role": role, "exp": int(time.time()) - 1},
        {"role": role, "aud": "another"},
        {"role": "authenticated"},
        {"role": "postgres"},
        {},
    ):
        refused = auth.http.get("/admin/users", headers=bearer(keys.sign(claims)))
        assert (claims, refused.status_code) == (claims, 403)


def test_tokens_of_users_need_an_audience_and_an_end(auth: AuthServer) -> None:
    good = claims_of(auth.sign_in_new_user()["access_token"])
    for claim in ("aud", "exp"):
        token = auth.keys.sign({name: value for name, value in good.items() if name != claim})
        assert_refused(auth.http.get("/user", headers=bearer(token)), 403, "bad_jwt")


def test_rotated_keys_are_used_without_a_restart(auth: AuthServer) -> None:
    before = auth.sign_in_new_user()
    old_admin = auth.admin
    auth.keys.rotated().save(auth.keys_file)
    after = auth.sign_in_new_user()
    kids = [jwt.get_unverified_header(each["access_token"])["kid"] for each in (after, before)]
    assert [key["kid"] for key in auth.http.get("/.well-known/jwks.json").json()["keys"]] == kids
    for each in (before, after):
        assert auth.http.get("/user", headers=bearer(each["access_token"])).status_code == 200
    assert auth.http.get("/admin/users", headers=old_admin).status_code == 200

    auth.keys.revoked().save(auth.keys_file)
    assert_refused(auth.http.get("/user", headers=bearer(before["access_token"])), 403, "bad_jwt")
    assert_refused(auth.http.get("/admin/users", headers=old_admin), 403, "bad_jwt")
    assert auth.http.get("/user", headers=bearer(after["access_token"])).status_code == 200
    session(refresh(auth, before["refresh_token"]))


def test_a_session_records_the_client_address_that_the_gateway_set(auth: AuthServer, database: Database) -> None:
    headers = {"X-Forwarded-For": "203.0.113.1, 198.51.100.7", "User-Agent": "test/1"}
    body = {"email": auth.create_user()["email"], "password": PASSWORD}
    signed_in = session(auth.http.post("/token?grant_type=password", json=body, headers=headers))
    [row] = database.query(
        "select host(ip), user_agent, aal::text from auth.sessions where id = %s",
        claims_of(signed_in["access_token"])["session_id"],
    )
    assert row == ("198.51.100.7", "test/1", "aal1")


def test_the_audit_log_records_actions_without_secrets(auth: AuthServer, database: Database) -> None:
    signed_in = auth.sign_in_new_user()
    again = session(refresh(auth, signed_in["refresh_token"]))
    auth.http.post("/logout", headers=bearer(again["access_token"]))
    rows = database.query(
        "select payload ->> 'action', payload::text, ip_address from auth.audit_log_entries "
        "where payload ->> 'actor_id' = %s order by created_at, payload ->> 'action'",
        signed_in["user"]["id"],
    )
    assert {action for action, _, _ in rows} == {"login", "token_revoked", "token_refreshed", "logout"}
    assert {ip for _, _, ip in rows} == {"127.0.0.1"}
    payloads = "".join(payload for _, payload, _ in rows)
    assert signed_in["refresh_token"] not in payloads
    assert PASSWORD not in payloads
