"""Signing in, tokens and their claims, refresh with reuse detection, signing out, banned users, rotated keys."""

import threading
import time
from typing import Any
from uuid import uuid4

import bcrypt
import jwt

from tests.stack.auth_server import (
    PASSWORD,
    AuthServer,
    Database,
    auth_fixture,  # noqa: F401
    bearer,
    database_fixture,  # noqa: F401
    mailbox_fixture,  # noqa: F401
    new_address,
    refused,
    rig_fixture,  # noqa: F401
    session,
)


def refresh(auth: AuthServer, token: str) -> Any:
    return auth.post("/token?grant_type=refresh_token", refresh_token=token)


def age_refresh_tokens(database: Database, session_id: str) -> None:
    database.query(
        "update auth.refresh_tokens set updated_at = updated_at - interval '1 minute' where session_id = %s", session_id
    )


def claims_of(token: str) -> dict[str, Any]:
    claims: dict[str, Any] = jwt.decode(token, options={"verify_signature": False})
    return claims


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


def test_wrong_credentials_are_refused_alike(auth: AuthServer) -> None:
    email = auth.create_user()["email"]
    wrong = auth.post("/token?grant_type=password", email=email, password="wrong-horse")
    unknown = auth.post("/token?grant_type=password", email=new_address(), password="wrong-horse")
    refused(wrong, 400, "invalid_credentials")
    assert wrong.json() == unknown.json()
    refused(auth.post("/token?grant_type=password", email=email), 400, "invalid_credentials")
    refused(auth.post("/token?grant_type=password", email=email, password=PASSWORD * 9), 400, "invalid_credentials")
    refused(auth.post("/token?grant_type=password", password=PASSWORD), 400, "validation_failed")
    refused(auth.post("/token?grant_type=magic"), 400, "unsupported_grant_type")
    auth.sign_in(email.upper())


def test_a_password_with_a_nul_is_read_whole(auth: AuthServer) -> None:
    email = auth.create_user(password="abcdefgh\0one")["email"]
    refused(auth.post("/token?grant_type=password", email=email, password="abcdefgh\0two"), 400, "invalid_credentials")
    auth.sign_in(email, "abcdefgh\0one")


def test_a_seeded_user_signs_in_and_gets_a_hash_of_our_cost(auth: AuthServer, database: Database) -> None:
    email = new_address()
    cheap = bcrypt.hashpw(PASSWORD.encode(), bcrypt.gensalt(5, prefix=b"2a")).decode()
    # As seeds do it: columns that the server writes are left out, the address has capitals.
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
    first = auth.signed_in()
    second = session(refresh(auth, first["refresh_token"]))
    assert second["refresh_token"] != first["refresh_token"]
    before, after = claims_of(first["access_token"]), claims_of(second["access_token"])
    assert after["session_id"] == before["session_id"]
    assert after["amr"] == before["amr"]
    refused(refresh(auth, "no-such-token"), 400, "refresh_token_not_found")
    refused(auth.post("/token?grant_type=refresh_token"), 400, "validation_failed")


def test_a_used_token_is_answered_within_the_interval(auth: AuthServer) -> None:
    first = auth.signed_in()
    second = session(refresh(auth, first["refresh_token"]))
    third = session(refresh(auth, second["refresh_token"]))
    # The grandparent, just now: tabs that asked at once. All are brought to the active token.
    assert session(refresh(auth, first["refresh_token"]))["refresh_token"] == third["refresh_token"]


def test_the_parent_of_the_active_token_is_answered_at_any_time(auth: AuthServer, database: Database) -> None:
    first = auth.signed_in()
    second = session(refresh(auth, first["refresh_token"]))
    age_refresh_tokens(database, claims_of(first["access_token"])["session_id"])
    again = session(refresh(auth, first["refresh_token"]))
    assert again["refresh_token"] == second["refresh_token"]


def test_a_stolen_token_ends_the_session_for_everybody(auth: AuthServer, database: Database) -> None:
    first = auth.signed_in()
    other_device = auth.sign_in(first["user"]["email"])
    second = session(refresh(auth, first["refresh_token"]))
    third = session(refresh(auth, second["refresh_token"]))
    session_id = claims_of(first["access_token"])["session_id"]
    age_refresh_tokens(database, session_id)

    refused(refresh(auth, first["refresh_token"]), 400, "refresh_token_already_used")
    # Committed, although the answer was an error.
    assert database.query("select bool_and(revoked) from auth.refresh_tokens where session_id = %s", session_id) == [
        (True,)
    ]
    refused(refresh(auth, third["refresh_token"]), 400, "refresh_token_already_used")
    refused(auth.http.get("/user", headers=bearer(third["access_token"])), 403, "session_not_found")
    session(refresh(auth, other_device["refresh_token"]))


def test_twenty_refreshes_at_once_all_get_the_same_valid_session(auth: AuthServer, database: Database) -> None:
    for _ in range(3):  # the first finds the server's pool of connections small, and so hardly a race
        first = auth.signed_in()
        start = threading.Barrier(20)
        answers: list[Any] = []

        def ask(token: str, start: threading.Barrier, answers: list[Any]) -> None:
            start.wait()
            answers.append(refresh(auth, token))

        callers = [threading.Thread(target=ask, args=(first["refresh_token"], start, answers)) for _ in range(20)]
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


def test_signing_out_by_scope(auth: AuthServer) -> None:
    email = auth.create_user()["email"]
    one, two, three = (auth.sign_in(email) for _ in range(3))

    def works(signed_in: dict[str, Any]) -> bool:
        return auth.http.get("/user", headers=bearer(signed_in["access_token"])).status_code == 200

    def log_out(signed_in: dict[str, Any], query: str) -> None:
        answer = auth.http.post(f"/logout{query}", headers=bearer(signed_in["access_token"]))
        assert (answer.status_code, answer.content) == (204, b"")

    log_out(one, "?scope=local")
    assert [works(each) for each in (one, two, three)] == [False, True, True]
    refused(refresh(auth, one["refresh_token"]), 400, "refresh_token_not_found")
    refused(auth.http.post("/logout", headers=bearer(one["access_token"])), 403, "session_not_found")
    log_out(two, "?scope=others")
    assert [works(each) for each in (two, three)] == [True, False]
    four = auth.sign_in(email)
    refused(auth.http.post("/logout?scope=moon", headers=bearer(two["access_token"])), 400, "validation_failed")
    log_out(two, "")
    assert [works(each) for each in (two, four)] == [False, False]


def test_a_banned_user_neither_signs_in_nor_refreshes(auth: AuthServer) -> None:
    user = auth.create_user()
    signed_in = auth.sign_in(user["email"])
    path = f"/admin/users/{user['id']}"
    banned = auth.http.put(path, json={"ban_duration": "1h30m"}, headers=auth.admin).json()
    assert banned["banned_until"]
    refused(auth.post("/token?grant_type=password", email=user["email"], password=PASSWORD), 400, "user_banned")
    refused(refresh(auth, signed_in["refresh_token"]), 400, "user_banned")
    # Only who knows the password learns of the ban.
    wrong = auth.post("/token?grant_type=password", email=user["email"], password="wrong-horse")
    refused(wrong, 400, "invalid_credentials")
    auth.http.put(path, json={"ban_duration": "none"}, headers=auth.admin)
    session(refresh(auth, signed_in["refresh_token"]))


def test_tokens_that_are_not_ours_are_refused(auth: AuthServer) -> None:
    good = claims_of(auth.signed_in()["access_token"])
    keys = auth.keys
    stranger = type(keys).generate()
    public = keys.current.private().public_key()
    unsigned = jwt.encode(good, "", algorithm="none", headers={"kid": keys.current.kid})
    forged = {
        "unsigned": unsigned,
        "another key": stranger.sign(good),
        "another key under our name": jwt.encode(
            good, stranger.current.private(), algorithm="ES256", headers={"kid": keys.current.kid}
        ),
        "a public key as a secret": jwt.encode(
            good, str(public.public_numbers().x), algorithm="HS256", headers={"kid": keys.current.kid}
        ),
        "no kid": jwt.encode(good, keys.current.private(), algorithm="ES256"),
        "expired": keys.sign({**good, "exp": int(time.time()) - 1}),
        "no expiry": keys.sign({name: value for name, value in good.items() if name != "exp"}),
        "another audience": keys.sign({**good, "aud": "somebody"}),
        "another issuer": keys.sign({**good, "iss": "https://elsewhere.example"}),
        "no user": keys.sign({**good, "sub": "nobody"}),
        "the service key": keys.service_role,
        "garbage": "a.b.c",
    }
    for name, token in forged.items():
        answer = auth.http.get("/user", headers=bearer(token))
        assert (name, answer.status_code, answer.json()["code"]) == (name, 403, "bad_jwt")
    refused(auth.http.get("/user"), 401, "no_authorization")
    unknown = keys.sign({**good, "sub": str(uuid4())})
    refused(auth.http.get("/user", headers=bearer(unknown)), 403, "user_not_found")
    other = claims_of(auth.signed_in()["access_token"])["session_id"]
    refused(auth.http.get("/user", headers=bearer(keys.sign({**good, "session_id": other}))), 403, "session_not_found")


def test_rotated_keys_are_used_without_a_restart(auth: AuthServer) -> None:
    before = auth.signed_in()
    old_admin = auth.admin
    auth.keys.rotated().save(auth.keys_file)
    after = auth.signed_in()
    kids = [jwt.get_unverified_header(each["access_token"])["kid"] for each in (after, before)]
    assert [key["kid"] for key in auth.http.get("/.well-known/jwks.json").json()["keys"]] == kids
    for each in (before, after):
        assert auth.http.get("/user", headers=bearer(each["access_token"])).status_code == 200
    assert auth.http.get("/admin/users", headers=old_admin).status_code == 200

    auth.keys.revoked().save(auth.keys_file)
    refused(auth.http.get("/user", headers=bearer(before["access_token"])), 403, "bad_jwt")
    refused(auth.http.get("/admin/users", headers=old_admin), 403, "bad_jwt")
    assert auth.http.get("/user", headers=bearer(after["access_token"])).status_code == 200
    session(refresh(auth, before["refresh_token"]))


def test_a_session_records_what_our_gateway_saw(auth: AuthServer, database: Database) -> None:
    headers = {"X-Forwarded-For": "203.0.113.1, 198.51.100.7", "User-Agent": "test/1"}
    body = {"email": auth.create_user()["email"], "password": PASSWORD}
    signed_in = session(auth.http.post("/token?grant_type=password", json=body, headers=headers))
    [row] = database.query(
        "select host(ip), user_agent, aal::text from auth.sessions where id = %s",
        claims_of(signed_in["access_token"])["session_id"],
    )
    assert row == ("198.51.100.7", "test/1", "aal1")


def test_acts_are_recorded(auth: AuthServer, database: Database) -> None:
    signed_in = auth.signed_in()
    again = session(refresh(auth, signed_in["refresh_token"]))
    auth.http.post("/logout", headers=bearer(again["access_token"]))
    rows = database.query(
        "select payload ->> 'action', payload::text, ip_address from auth.audit_log_entries "
        "where payload ->> 'actor_id' = %s order by created_at, payload ->> 'action'",
        signed_in["user"]["id"],
    )
    assert {action for action, _, _ in rows} == {"login", "token_revoked", "token_refreshed", "logout"}
    assert {ip for _, _, ip in rows} == {"127.0.0.1"}
    written = "".join(payload for _, payload, _ in rows)
    assert signed_in["refresh_token"] not in written
    assert PASSWORD not in written
