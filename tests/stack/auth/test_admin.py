"""The admin API, which needs the service key."""

import re
from typing import Any
from uuid import uuid4

import bcrypt
import httpx
import psycopg
import pytest

from tests.stack.auth.support import (
    PASSWORD,
    AuthServer,
    Database,
    Mailbox,
    assert_refused,
    bearer,
    new_email,
    session,
)

UNKNOWN_ID = "00000000-0000-4000-8000-000000000000"

ADMIN_ROUTES = [
    ("GET", "/admin/users"),
    ("POST", "/admin/users"),
    ("GET", f"/admin/users/{UNKNOWN_ID}"),
    ("PUT", f"/admin/users/{UNKNOWN_ID}"),
    ("DELETE", f"/admin/users/{UNKNOWN_ID}"),
    ("GET", f"/admin/users/{UNKNOWN_ID}/factors"),
    ("POST", "/admin/generate_link"),
    ("GET", "/admin/audit"),
    ("POST", "/invite"),
]


def put(auth: AuthServer, user: dict[str, Any], **body: Any) -> httpx.Response:
    return auth.http.put(f"/admin/users/{user['id']}", json=body, headers=auth.admin)


@pytest.mark.parametrize(("method", "path"), ADMIN_ROUTES)
def test_admin_routes_need_the_service_key(auth: AuthServer, method: str, path: str) -> None:
    assert_refused(auth.http.request(method, path), 401, "no_authorization")
    for token in (auth.sign_in_new_user()["access_token"], auth.keys.anon):
        assert_refused(auth.http.request(method, path, headers=bearer(token)), 403, "not_admin")
    assert_refused(auth.http.request(method, path, headers=bearer("a.b.c")), 403, "bad_jwt")


def test_a_user_is_created(auth: AuthServer) -> None:
    wanted = str(uuid4())
    user = auth.create_user(
        id=wanted, user_metadata={"a": 1}, app_metadata={"b": 2}, role="authenticated", phone="+49 1234 5678"
    )
    assert user["id"] == wanted
    assert user["user_metadata"]["a"] == 1
    assert user["app_metadata"] == {"provider": "email", "providers": ["email", "phone"], "b": 2}
    assert user["phone"] == "4912345678"
    assert user["email_confirmed_at"]
    assert {identity["provider"] for identity in user["identities"]} == {"email", "phone"}
    auth.sign_in(user["email"])
    assert_refused(auth.post_as_admin("/admin/users", email=user["email"]), 422, "email_exists")
    assert_refused(auth.post_as_admin("/admin/users", email=new_email(), id=wanted), 422, "user_already_exists")
    assert_refused(auth.post_as_admin("/admin/users", phone="+4912345678"), 422, "phone_exists")
    for broken in (
        {},
        {"email": "nobody"},
        {"email": new_email(), "id": "1"},
        {"email": new_email(), "id": "00000000-0000-0000-0000-000000000000"},
        {"email": new_email(), "ban_duration": "forever"},
        {"email": new_email(), "ban_duration": "99999999h"},
        {"email": new_email(), "password": "x" * 73},
        {"email": new_email(), "password_hash": "md5"},
        {"email": new_email(), "password": PASSWORD, "password_hash": "x"},
    ):
        assert_refused(auth.post_as_admin("/admin/users", **broken), 400, "validation_failed")


def test_a_user_is_created_with_a_password_hash(auth: AuthServer) -> None:
    hashed = bcrypt.hashpw(b"battery-staple", bcrypt.gensalt(4)).decode()
    email = new_email()
    made = auth.post_as_admin("/admin/users", email=email, password_hash=hashed, email_confirm=True)
    assert made.status_code == 200, made.text
    assert "battery" not in made.text
    assert hashed not in made.text
    auth.sign_in(email, "battery-staple")


def test_an_unconfirmed_user_is_created_and_confirmed(auth: AuthServer) -> None:
    user = auth.create_user(email_confirm=False)
    assert "email_confirmed_at" not in user
    assert_refused(
        auth.post("/token?grant_type=password", email=user["email"], password=PASSWORD), 400, "email_not_confirmed"
    )
    assert put(auth, user, email_confirm=True).json()["email_confirmed_at"]
    auth.sign_in(user["email"])


def test_users_are_listed_in_pages(auth: AuthServer) -> None:
    made = [auth.create_user(user_metadata={"full_name": f"Zoë_{n}"})["id"] for n in range(3)]
    first = auth.http.get("/admin/users", params={"page": "", "per_page": 2}, headers=auth.admin)
    assert first.json()["aud"] == "authenticated"
    assert [user["id"] for user in first.json()["users"]] == made[::-1][:2]
    total = int(first.headers["x-total-count"])
    assert total >= 3
    links = dict(re.findall(r'<(\S+)>; rel="(\w+)"', first.headers["link"]))
    assert set(links.values()) == {"next", "last"}
    # The clients read the number of a page from the character after the first equals sign of its link.
    assert first.headers["link"].split(";")[0].split("=")[1][0] == "2"
    assert all("?page=" in link for link in links)
    second = auth.http.get("/admin/users", params={"page": 2, "per_page": 2}, headers=auth.admin).json()
    assert second["users"][0]["id"] == made[0]
    after_last = auth.http.get("/admin/users", params={"page": 10**6}, headers=auth.admin)
    assert after_last.json()["users"] == []
    assert "next" not in after_last.headers["link"]
    found = auth.http.get("/admin/users", params={"filter": "zoë_1"}, headers=auth.admin)
    assert [user["id"] for user in found.json()["users"]] == [made[1]]
    assert found.headers["x-total-count"] == "1"
    for broken in ({"page": "x"}, {"page": "0"}, {"per_page": "-1"}):
        assert_refused(auth.http.get("/admin/users", params=broken, headers=auth.admin), 400, "validation_failed")


def test_a_user_is_updated(auth: AuthServer) -> None:
    user = auth.create_user(app_metadata={"a": 1})
    device = auth.sign_in(user["email"])
    email = new_email()
    changed = put(
        auth, user, email=email, password="battery-staple", app_metadata={"a": None, "b": 2}, user_metadata={"c": 3}
    ).json()
    assert changed["email"] == email
    assert changed["app_metadata"] == {"provider": "email", "providers": ["email"], "b": 2}
    assert changed["user_metadata"]["c"] == 3
    assert changed["identities"][0]["identity_data"]["email"] == email
    assert_refused(auth.http.get("/user", headers=bearer(device["access_token"])), 403, "session_not_found")
    auth.sign_in(email, "battery-staple")
    assert_refused(put(auth, user, email=auth.create_user()["email"]), 422, "email_exists")
    assert_refused(put(auth, user, password="short"), 422, "weak_password")
    assert_refused(put(auth, {"id": str(uuid4())}, role="x"), 404, "user_not_found")
    assert_refused(put(auth, {"id": "me"}, role="x"), 404, "validation_failed")
    fetched = auth.http.get(f"/admin/users/{user['id']}", headers=auth.admin).json()
    assert fetched["email"] == email


def test_a_user_is_deleted(auth: AuthServer, database: Database) -> None:
    user = auth.create_user()
    token = auth.sign_in(user["email"])["access_token"]
    path = f"/admin/users/{user['id']}"
    assert auth.http.delete(path, headers=auth.admin).json() == {}
    assert database.query("select count(*) from auth.sessions where user_id = %s", user["id"]) == [(0,)]
    assert_refused(auth.http.get("/user", headers=bearer(token)), 403, "user_not_found")
    assert_refused(auth.http.delete(path, headers=auth.admin), 404, "user_not_found")
    auth.create_user(user["email"])


def test_a_soft_deletion_removes_personal_data(auth: AuthServer) -> None:
    user = auth.create_user(user_metadata={"full_name": "Ada"}, phone="+4955512345")
    token = auth.sign_in(user["email"])["access_token"]
    path = f"/admin/users/{user['id']}"
    for _ in range(2):
        body = {"should_soft_delete": True}
        assert auth.http.request("DELETE", path, json=body, headers=auth.admin).json() == {}
    assert_refused(auth.http.get("/user", headers=bearer(token)), 403, "session_not_found")
    assert_refused(
        auth.post("/token?grant_type=password", email=user["email"], password=PASSWORD), 400, "invalid_credentials"
    )
    kept = auth.http.get(path, headers=auth.admin)
    assert kept.json()["deleted_at"]
    assert "Ada" not in kept.text
    assert user["email"] not in kept.text
    assert user["phone"] not in kept.text
    auth.create_user(user["email"], phone="+4955512345")


def test_deleting_a_user_that_rows_reference_is_a_conflict(auth: AuthServer, database: Database) -> None:
    user = auth.create_user()
    database.query("create table public.depends (user_id uuid references auth.users (id) on delete restrict)")
    try:
        database.query("insert into public.depends values (%s)", user["id"])
        answer = auth.http.delete(f"/admin/users/{user['id']}", headers=auth.admin)
        assert_refused(answer, 409, "conflict")
        assert user["id"] not in answer.text
    finally:
        database.query("drop table public.depends")


def test_a_user_is_invited(auth: AuthServer, mailbox: Mailbox) -> None:
    email = new_email()
    invited = auth.post_as_admin("/invite", email=email, data={"team": "red"}).json()
    assert invited["invited_at"]
    mail = mailbox.to(email)
    assert mail.parameters["type"] == "invite"
    token = session(auth.post("/verify", type="invite", email=email, token=mail.otp))["access_token"]
    user = auth.http.put("/user", json={"password": PASSWORD}, headers=bearer(token)).json()
    assert user["user_metadata"]["team"] == "red"
    auth.sign_in(email)
    assert_refused(auth.post_as_admin("/invite", email=email), 422, "email_exists")


@pytest.mark.parametrize("kind", ["signup", "invite", "magiclink", "recovery"])
def test_generated_links_sign_in(auth: AuthServer, mailbox: Mailbox, kind: str) -> None:
    email = new_email() if kind in {"signup", "invite"} else auth.create_user()["email"]
    made = auth.post_as_admin("/admin/generate_link", type=kind, email=email, password=PASSWORD).json()
    assert made["verification_type"] == kind
    assert made["email"] == email
    assert made["action_link"].startswith(f"{auth.url}/verify?token={made['hashed_token']}")
    session(auth.post("/verify", type=kind, email=email, token=made["email_otp"]))
    assert mailbox.count(email) == 0


@pytest.mark.parametrize("kind", ["signup", "invite"])
def test_a_user_made_by_an_admin_has_just_the_metadata_given(auth: AuthServer, kind: str) -> None:
    email = new_email()
    made = auth.post_as_admin(
        "/admin/generate_link", type=kind, email=email, password=PASSWORD, data={"status": "alpha"}
    ).json()
    assert made["user_metadata"] == {"status": "alpha"}
    identity = made["identities"][0]["identity_data"]
    assert (identity["email"], identity["sub"]) == (email, made["id"])
    invited = auth.post_as_admin("/invite", email=new_email(), data={"status": "alpha"}).json()
    assert invited["user_metadata"] == {"status": "alpha"}


def test_a_second_sign_up_link_adds_its_metadata(auth: AuthServer) -> None:
    email = new_email()
    first, second = (
        auth.post_as_admin("/admin/generate_link", type="signup", email=email, password=PASSWORD, data=data).json()
        for data in ({"status": "alpha", "a": 1}, {"status": "beta"})
    )
    assert second["id"] == first["id"]
    assert second["user_metadata"]["status"] == "beta"


def test_a_generated_link_shows_where_it_leads(auth: AuthServer) -> None:
    made = auth.post_as_admin(
        "/admin/generate_link",
        type="signup",
        email=new_email(),
        password=PASSWORD,
        redirect_to="http://localhost:3000/welcome?a=1",
    ).json()
    assert made["redirect_to"] == "http://localhost:3000/welcome?a=1"
    assert "redirect_to=http://localhost:3000/welcome?a%3D1" in made["action_link"]
    answer = auth.http.get(made["action_link"])
    assert answer.headers["location"].startswith("http://localhost:3000/welcome?a=1#")


def test_generated_links_change_an_email_address(auth: AuthServer) -> None:
    old, new = auth.create_user()["email"], new_email()
    codes = {}
    for kind, address in (("email_change_current", old), ("email_change_new", new)):
        made = auth.post_as_admin("/admin/generate_link", type=kind, email=old, new_email=new).json()
        assert made["verification_type"] == kind
        codes[address] = made["email_otp"]
    half = auth.post("/verify", type="email_change", email=old, token=codes[old])
    assert (half.status_code, half.json().keys()) == (200, {"msg", "code"})
    whole = session(auth.post("/verify", type="email_change", email=new, token=codes[new]))
    assert whole["user"]["email"] == new
    unknown = {"type": "recovery", "email": new_email()}
    assert_refused(auth.post_as_admin("/admin/generate_link", **unknown), 404, "user_not_found")
    unknown_type = {"type": "moon", "email": new_email()}
    assert_refused(auth.post_as_admin("/admin/generate_link", **unknown_type), 400, "validation_failed")
    newcomer = auth.post_as_admin("/admin/generate_link", type="magiclink", email=new_email()).json()
    assert newcomer["verification_type"] == "signup"


def test_the_audit_log_is_listed(auth: AuthServer) -> None:
    user = auth.create_user()
    listed = auth.http.get("/admin/audit", params={"per_page": 1}, headers=auth.admin)
    assert int(listed.headers["x-total-count"]) >= 1
    assert listed.json()[0]["payload"]["action"] == "user_signedup"
    assert listed.json()[0]["payload"]["traits"]["user_id"] == user["id"]


def test_a_trigger_refuses_a_sign_up_with_its_own_code(auth: AuthServer, database: Database) -> None:
    database.query(
        """
        create function public.tg_refuse() returns trigger
        language plpgsql
        as $$
        begin
            if new.email like 'taken%' then
                raise sqlstate 'PT409' using message = 'handle_taken', detail = 'That handle is taken.';
            elsif new.email like 'bare%' then
                raise exception 'no such thing';
            elsif new.email like 'broken%' then
                execute 'select 1/0';
            end if;
            return new;
        end
        $$;
        create trigger refuse after insert on auth.users for each row execute function public.tg_refuse()
        """
    )
    try:
        assert_refused(auth.post("/signup", email=f"taken-{new_email()}", password=PASSWORD), 409, "handle_taken")
        assert_refused(auth.post("/signup", email=f"bare-{new_email()}", password=PASSWORD), 400, "unexpected_failure")
        broken = auth.post("/signup", email=f"broken-{new_email()}", password=PASSWORD)
        assert broken.status_code in {400, 500}
        assert database.query("select count(*) from auth.users where email ~ '^(taken|bare|broken)-'") == [(0,)]
    finally:
        with psycopg.connect(database.url("supabase_auth_admin"), autocommit=True) as owner:
            owner.execute("drop trigger refuse on auth.users")
        database.query("drop function public.tg_refuse()")
