"""What the holder of the service key may do, and nobody else."""

import re
from typing import Any
from uuid import uuid4

import bcrypt
import httpx
import psycopg
import pytest

from tests.stack.auth_server import (
    PASSWORD,
    AuthServer,
    Database,
    Mailbox,
    auth_fixture,  # noqa: F401
    bearer,
    database_fixture,  # noqa: F401
    mailbox_fixture,  # noqa: F401
    new_address,
    refused,
    rig_fixture,  # noqa: F401
    session,
)

NOBODY = "00000000-0000-4000-8000-000000000000"

ADMIN_ERRANDS = [
    ("GET", "/admin/users"),
    ("POST", "/admin/users"),
    ("GET", f"/admin/users/{NOBODY}"),
    ("PUT", f"/admin/users/{NOBODY}"),
    ("DELETE", f"/admin/users/{NOBODY}"),
    ("GET", f"/admin/users/{NOBODY}/factors"),
    ("POST", "/admin/generate_link"),
    ("GET", "/admin/audit"),
    ("POST", "/invite"),
]


def put(auth: AuthServer, user: dict[str, Any], **body: Any) -> httpx.Response:
    return auth.http.put(f"/admin/users/{user['id']}", json=body, headers=auth.admin)


@pytest.mark.parametrize(("method", "path"), ADMIN_ERRANDS)
def test_only_the_service_key_opens(auth: AuthServer, method: str, path: str) -> None:
    refused(auth.http.request(method, path), 401, "no_authorization")
    for token in (auth.signed_in()["access_token"], auth.keys.anon):
        refused(auth.http.request(method, path, headers=bearer(token)), 403, "not_admin")
    refused(auth.http.request(method, path, headers=bearer("a.b.c")), 403, "bad_jwt")


def test_create(auth: AuthServer) -> None:
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
    refused(auth.post_as_admin("/admin/users", email=user["email"]), 422, "email_exists")
    refused(auth.post_as_admin("/admin/users", email=new_address(), id=wanted), 422, "user_already_exists")
    refused(auth.post_as_admin("/admin/users", phone="+4912345678"), 422, "phone_exists")
    for broken in (
        {},
        {"email": "nobody"},
        {"email": new_address(), "id": "1"},
        {"email": new_address(), "id": "00000000-0000-0000-0000-000000000000"},
        {"email": new_address(), "ban_duration": "forever"},
        {"email": new_address(), "ban_duration": "99999999h"},
        {"email": new_address(), "password": "x" * 73},
        {"email": new_address(), "password_hash": "md5"},
        {"email": new_address(), "password": PASSWORD, "password_hash": "x"},
    ):
        refused(auth.post_as_admin("/admin/users", **broken), 400, "validation_failed")


def test_create_with_a_hash(auth: AuthServer) -> None:
    hashed = bcrypt.hashpw(b"battery-staple", bcrypt.gensalt(4)).decode()
    email = new_address()
    made = auth.post_as_admin("/admin/users", email=email, password_hash=hashed, email_confirm=True)
    assert made.status_code == 200, made.text
    assert "battery" not in made.text
    assert hashed not in made.text
    auth.sign_in(email, "battery-staple")


def test_an_unconfirmed_user_is_made_and_confirmed(auth: AuthServer) -> None:
    user = auth.create_user(email_confirm=False)
    assert "email_confirmed_at" not in user
    refused(auth.post("/token?grant_type=password", email=user["email"], password=PASSWORD), 400, "email_not_confirmed")
    assert put(auth, user, email_confirm=True).json()["email_confirmed_at"]
    auth.sign_in(user["email"])


def test_list_pages(auth: AuthServer) -> None:
    made = [auth.create_user(user_metadata={"full_name": f"Zoë_{n}"})["id"] for n in range(3)]
    first = auth.http.get("/admin/users", params={"page": "", "per_page": 2}, headers=auth.admin)
    assert first.json()["aud"] == "authenticated"
    assert [user["id"] for user in first.json()["users"]] == made[::-1][:2]
    total = int(first.headers["x-total-count"])
    assert total >= 3
    links = dict(re.findall(r'<(\S+)>; rel="(\w+)"', first.headers["link"]))
    assert set(links.values()) == {"next", "last"}
    # The clients take the character behind the first equals sign of each link for its page.
    assert first.headers["link"].split(";")[0].split("=")[1][0] == "2"
    assert all("?page=" in link for link in links)
    second = auth.http.get("/admin/users", params={"page": 2, "per_page": 2}, headers=auth.admin).json()
    assert second["users"][0]["id"] == made[0]
    past = auth.http.get("/admin/users", params={"page": 10**6}, headers=auth.admin)
    assert past.json()["users"] == []
    assert "next" not in past.headers["link"]
    found = auth.http.get("/admin/users", params={"filter": "zoë_1"}, headers=auth.admin)
    assert [user["id"] for user in found.json()["users"]] == [made[1]]
    assert found.headers["x-total-count"] == "1"
    for broken in ({"page": "x"}, {"page": "0"}, {"per_page": "-1"}):
        refused(auth.http.get("/admin/users", params=broken, headers=auth.admin), 400, "validation_failed")


def test_update(auth: AuthServer) -> None:
    user = auth.create_user(app_metadata={"a": 1})
    device = auth.sign_in(user["email"])
    email = new_address()
    changed = put(
        auth, user, email=email, password="battery-staple", app_metadata={"a": None, "b": 2}, user_metadata={"c": 3}
    ).json()
    assert changed["email"] == email
    assert changed["app_metadata"] == {"provider": "email", "providers": ["email"], "b": 2}
    assert changed["user_metadata"]["c"] == 3
    assert changed["identities"][0]["identity_data"]["email"] == email
    refused(auth.http.get("/user", headers=bearer(device["access_token"])), 403, "session_not_found")
    auth.sign_in(email, "battery-staple")
    refused(put(auth, user, email=auth.create_user()["email"]), 422, "email_exists")
    refused(put(auth, user, password="short"), 422, "weak_password")
    refused(put(auth, {"id": str(uuid4())}, role="x"), 404, "user_not_found")
    refused(put(auth, {"id": "me"}, role="x"), 404, "validation_failed")
    fetched = auth.http.get(f"/admin/users/{user['id']}", headers=auth.admin).json()
    assert fetched["email"] == email


def test_delete(auth: AuthServer, database: Database) -> None:
    user = auth.create_user()
    token = auth.sign_in(user["email"])["access_token"]
    path = f"/admin/users/{user['id']}"
    assert auth.http.delete(path, headers=auth.admin).json() == {}
    assert database.query("select count(*) from auth.sessions where user_id = %s", user["id"]) == [(0,)]
    refused(auth.http.get("/user", headers=bearer(token)), 403, "user_not_found")
    refused(auth.http.delete(path, headers=auth.admin), 404, "user_not_found")
    auth.create_user(user["email"])


def test_soft_delete_leaves_nobody_to_recognise(auth: AuthServer) -> None:
    user = auth.create_user(user_metadata={"full_name": "Ada"}, phone="+4955512345")
    token = auth.sign_in(user["email"])["access_token"]
    path = f"/admin/users/{user['id']}"
    for _ in range(2):
        body = {"should_soft_delete": True}
        assert auth.http.request("DELETE", path, json=body, headers=auth.admin).json() == {}
    refused(auth.http.get("/user", headers=bearer(token)), 403, "session_not_found")
    refused(auth.post("/token?grant_type=password", email=user["email"], password=PASSWORD), 400, "invalid_credentials")
    kept = auth.http.get(path, headers=auth.admin)
    assert kept.json()["deleted_at"]
    assert "Ada" not in kept.text
    assert user["email"] not in kept.text
    assert user["phone"] not in kept.text
    auth.create_user(user["email"], phone="+4955512345")


def test_a_user_on_whom_rows_depend_is_a_conflict(auth: AuthServer, database: Database) -> None:
    user = auth.create_user()
    database.query("create table public.depends (user_id uuid references auth.users (id) on delete restrict)")
    try:
        database.query("insert into public.depends values (%s)", user["id"])
        answer = auth.http.delete(f"/admin/users/{user['id']}", headers=auth.admin)
        refused(answer, 409, "conflict")
        assert user["id"] not in answer.text
    finally:
        database.query("drop table public.depends")


def test_invite(auth: AuthServer, mailbox: Mailbox) -> None:
    email = new_address()
    invited = auth.post_as_admin("/invite", email=email, data={"team": "red"}).json()
    assert invited["invited_at"]
    letter = mailbox.to(email)
    assert letter.parameters["type"] == "invite"
    token = session(auth.post("/verify", type="invite", email=email, token=letter.otp))["access_token"]
    user = auth.http.put("/user", json={"password": PASSWORD}, headers=bearer(token)).json()
    assert user["user_metadata"]["team"] == "red"
    auth.sign_in(email)
    refused(auth.post_as_admin("/invite", email=email), 422, "email_exists")


@pytest.mark.parametrize("kind", ["signup", "invite", "magiclink", "recovery"])
def test_generated_links_sign_in(auth: AuthServer, mailbox: Mailbox, kind: str) -> None:
    email = new_address() if kind in {"signup", "invite"} else auth.create_user()["email"]
    made = auth.post_as_admin("/admin/generate_link", type=kind, email=email, password=PASSWORD).json()
    assert made["verification_type"] == kind
    assert made["email"] == email
    assert made["action_link"].startswith(f"{auth.url}/verify?token={made['hashed_token']}")
    session(auth.post("/verify", type=kind, email=email, token=made["email_otp"]))
    assert mailbox.count(email) == 0


def test_generated_links_change_an_address(auth: AuthServer) -> None:
    old, new = auth.create_user()["email"], new_address()
    codes = {}
    for kind, address in (("email_change_current", old), ("email_change_new", new)):
        made = auth.post_as_admin("/admin/generate_link", type=kind, email=old, new_email=new).json()
        assert made["verification_type"] == kind
        codes[address] = made["email_otp"]
    half = auth.post("/verify", type="email_change", email=old, token=codes[old])
    assert (half.status_code, half.json().keys()) == (200, {"msg", "code"})
    whole = session(auth.post("/verify", type="email_change", email=new, token=codes[new]))
    assert whole["user"]["email"] == new
    unknown = {"type": "recovery", "email": new_address()}
    refused(auth.post_as_admin("/admin/generate_link", **unknown), 404, "user_not_found")
    nonsense = {"type": "moon", "email": new_address()}
    refused(auth.post_as_admin("/admin/generate_link", **nonsense), 400, "validation_failed")
    stranger = auth.post_as_admin("/admin/generate_link", type="magiclink", email=new_address()).json()
    assert stranger["verification_type"] == "signup"


def test_audit_is_listed(auth: AuthServer) -> None:
    user = auth.create_user()
    listed = auth.http.get("/admin/audit", params={"per_page": 1}, headers=auth.admin)
    assert int(listed.headers["x-total-count"]) >= 1
    assert listed.json()[0]["payload"]["action"] == "user_signedup"
    assert listed.json()[0]["payload"]["traits"]["user_id"] == user["id"]


def test_a_trigger_speaks_to_the_caller(auth: AuthServer, database: Database) -> None:
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
        refused(auth.post("/signup", email=f"taken-{new_address()}", password=PASSWORD), 409, "handle_taken")
        refused(auth.post("/signup", email=f"bare-{new_address()}", password=PASSWORD), 400, "unexpected_failure")
        broken = auth.post("/signup", email=f"broken-{new_address()}", password=PASSWORD)
        assert broken.status_code in {400, 500}
        assert database.query("select count(*) from auth.users where email ~ '^(taken|bare|broken)-'") == [(0,)]
    finally:
        with psycopg.connect(database.url("supabase_auth_admin"), autocommit=True) as owner:
            owner.execute("drop trigger refuse on auth.users")
        database.query("drop function public.tg_refuse()")
