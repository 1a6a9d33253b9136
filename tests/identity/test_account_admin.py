"""Administration, export and erasure of accounts."""

import re
import uuid
from pathlib import Path
from typing import Any

import httpx
import pytest
from psycopg import sql

from tests.conftest import Stack, wait_for_mail
from tests.identity.test_accounts import account, can_teach, can_write, history, mails
from tests.identity.test_profiles import PNG, upload
from tests.people import PASSWORD, Academy, Person, concurrently, refused, rows

NEW_PASSWORD = "a different long secret"


def new_address() -> str:
    """An address without an account."""
    return f"{uuid.uuid4().hex}@example.com"


def grant(academy: Academy, email: str, password: str) -> httpx.Response:
    """Try to sign in."""
    return academy.call(None, "POST", "/auth/v1/token?grant_type=password", {"email": email, "password": password})


def choose_password(stack: Stack, academy: Academy, address: str, password: str) -> None:
    """Follow the link in the newest mail about a password, and choose one."""
    text = str(wait_for_mail(stack, address, "password", seconds=30)["text"])
    found = re.search(r"token=([^&\s]+)", text)
    assert found, text
    verified = academy.call(None, "POST", "/auth/v1/verify", {"type": "recovery", "token_hash": found[1]})
    assert verified.status_code == 200, verified.text
    me = Person(id=verified.json()["user"]["id"], email=address, token=verified.json()["access_token"])
    assert academy.call(me, "PUT", "/auth/v1/user", {"password": password}).status_code == 200


# Creation by admins


@pytest.mark.route("PL-128", call="POST /rest/v1/rpc/create_user")
def test_an_admin_creates_a_user_who_then_chooses_a_password(
    stack: Stack, academy: Academy, admin: Person, moderator: Person, stranger: Person
) -> None:
    email = new_address()
    new = {"email": f" {email.upper()}", "display_name": "Nadia Rahman", "role": "teacher"}
    for who in (stranger, moderator, academy.member("teacher")):
        refused(academy.rpc(who, "create_user", **new), 403, "role_required")
    assert academy.rpc(None, "create_user", **new).status_code == 401

    answer = academy.rpc(admin, "create_user", **new)
    assert answer.status_code == 200, answer.text
    made = answer.json()
    assert (made["email"], made["roles"], made["email_confirmed_at"]) == (email, ["teacher"], None)
    (profile,) = rows(academy.call(admin, "GET", f"/rest/v1/profiles?id=eq.{made['user_id']}"))
    assert profile["display_name"] == "Nadia Rahman"
    person = Person(id=made["user_id"], email=email, token="")
    entries = [(entry["action"], entry["actor_id"]) for entry in history(academy, admin, person)]
    assert entries == [("account.create", admin.id), ("role.grant", admin.id)]

    assert grant(academy, email, "").status_code == grant(academy, email, NEW_PASSWORD).status_code == 400
    choose_password(stack, academy, email, NEW_PASSWORD)
    session = grant(academy, email, NEW_PASSWORD)
    assert session.status_code == 200, session.text
    user = session.json()["user"]
    assert [identity["provider"] for identity in user["identities"]] == ["email"]
    assert can_teach(academy, Person(id=user["id"], email=email, token=session.json()["access_token"]))


def test_an_admin_creates_a_user_with_a_confirmed_address(academy: Academy, admin: Person) -> None:
    made = academy.rpc(admin, "create_user", email=new_address(), is_confirmed=True).json()
    assert made["email_confirmed_at"]
    found = academy.http.get(f"/auth/v1/admin/users/{made['user_id']}", headers={"apikey": academy.secret_key}).json()
    assert found["email_confirmed_at"]
    assert found["identities"][0]["identity_data"]["email_verified"] is True
    assert mails(academy, Person(id=made["user_id"], email="", token="")) == [("account_created", {})]


def test_an_address_belongs_to_one_user(academy: Academy, admin: Person) -> None:
    person = academy.person()
    refused(academy.rpc(admin, "create_user", email=person.email.upper()), 409, "email_taken")
    email = new_address()
    answers = concurrently(4, lambda _: academy.rpc(admin, "create_user", email=email))
    assert sorted(answer.status_code for answer in answers) == [200, 409, 409, 409]


NO_ADDRESSES = {
    "empty": "",
    "bare": "nobody",
    "no dot": "a@b",
    "blank": "a b@example.com",
    "line": "a@exam\nple.com",
    "dash": "a@-example.com",
    "formula": "=1+1",
    "long": f"{'x' * 65}@example.com",
    "null": None,
}


@pytest.mark.parametrize("email", NO_ADDRESSES.values(), ids=NO_ADDRESSES.keys())
def test_an_invalid_address_is_refused(academy: Academy, admin: Person, email: str | None) -> None:
    refused(academy.rpc(admin, "create_user", email=email), 422, "email_invalid")


def test_an_admin_cannot_create_an_admin(academy: Academy, admin: Person) -> None:
    email = new_address()
    for role, status, token in (("admin", 403, "role_required"), ("student", 422, "role_invalid")):
        refused(academy.rpc(admin, "create_user", email=email, role=role), status, token)
    assert academy.sql("select from auth.users where email = %s", email) == []
    answer = academy.rpc(academy.member("superadmin"), "create_user", email=email, role="admin")
    assert (answer.status_code, answer.json()["roles"]) == (200, ["admin"])


@pytest.mark.route("PL-134", call="POST /rest/v1/rpc/verify_email")
def test_an_admin_confirms_an_address(academy: Academy, admin: Person, moderator: Person, stranger: Person) -> None:
    email = new_address()
    made = academy.call(None, "POST", "/auth/v1/signup", {"email": email, "password": PASSWORD}).json()
    person = Person(id=made["id"], email=email, token="")
    for who in (stranger, moderator, academy.member("teacher")):
        refused(academy.rpc(who, "verify_email", user_id=person.id), 403, "role_required")
    assert academy.rpc(None, "verify_email", user_id=person.id).status_code == 401
    assert grant(academy, email, PASSWORD).headers["x-sb-error-code"] == "email_not_confirmed"

    for _ in range(2):
        assert academy.rpc(admin, "verify_email", user_id=person.id).status_code == 204
    assert account(academy, admin, person.id)["email_confirmed_at"]
    session = grant(academy, email, PASSWORD)
    assert session.status_code == 200, session.text
    assert session.json()["user"]["identities"][0]["identity_data"]["email_verified"] is True
    assert [entry["action"] for entry in history(academy, admin, person)] == ["account.verify_email"]


# Addresses


def texts(stack: Stack, address: str, subject: str) -> str:
    """The newest mail of this subject to an address."""
    return str(wait_for_mail(stack, address, subject, seconds=30)["text"])


@pytest.mark.route("PL-129", call="POST /rest/v1/rpc/change_email")
def test_an_admin_changes_an_address(
    stack: Stack, academy: Academy, admin: Person, moderator: Person, stranger: Person
) -> None:
    person, email = academy.person(name="Nadia Rahman"), new_address()
    session = grant(academy, person.email, PASSWORD).json()
    asked = academy.call(person, "PUT", "/auth/v1/user", {"email": new_address()})
    assert asked.status_code == 200, asked.text  # a change of their own is pending
    pending = str(wait_for_mail(stack, person.email, "email")["text"])
    assert academy.call(None, "POST", "/auth/v1/recover", {"email": person.email}).status_code == 200
    recovery = texts(stack, person.email, "password")
    for who in (stranger, moderator, person, academy.member("teacher")):
        refused(academy.rpc(who, "change_email", user_id=person.id, email=email), 403, "role_required")
    assert academy.rpc(None, "change_email", user_id=person.id, email=email).status_code == 401

    answer = academy.rpc(admin, "change_email", user_id=person.id, email=f" {email.upper()} ")
    assert answer.status_code == 200, answer.text
    assert answer.json()["email"] == email
    assert answer.json()["email_confirmed_at"]
    user = academy.http.get(f"/auth/v1/admin/users/{person.id}", headers={"apikey": academy.secret_key}).json()
    assert (user["email"], bool(user["email_confirmed_at"]), user.get("new_email")) == (email, True, None)
    (identity,) = user["identities"]
    assert (identity["email"], identity["identity_data"]["email"]) == (email, email)
    assert identity["identity_data"]["email_verified"] is True
    (entry,) = [entry for entry in history(academy, admin, person) if entry["action"] == "account.change_email"]
    assert (entry["actor_id"], entry["before"], entry["after"]) == (
        admin.id,
        {"email": person.email},
        {"email": email},
    )

    # Both addresses get a mail; the former one does not learn the new one.
    assert email not in texts(stack, person.email, "address of your account was changed")
    assert "Until you follow it" not in texts(stack, email, "address of your account now")
    # No session, link or code from before works on.
    refresh = {"refresh_token": session["refresh_token"]}
    assert academy.call(None, "POST", "/auth/v1/token?grant_type=refresh_token", refresh).status_code == 400
    for text, kind in ((pending, "email_change"), (recovery, "recovery")):
        for token in re.findall(r"token=([^&\s]+)", text):
            used = academy.call(None, "POST", "/auth/v1/verify", {"type": kind, "token_hash": token})
            assert used.status_code == 403, used.text
    assert grant(academy, person.email, PASSWORD).status_code == 400
    assert grant(academy, email, PASSWORD).status_code == 200
    # The former address is free.
    assert academy.rpc(admin, "create_user", email=person.email).status_code == 200


def test_a_changed_address_is_as_confirmed_as_the_former_one(stack: Stack, academy: Academy, admin: Person) -> None:
    """The user of a mistyped address proves the right one, by choosing a password. Nobody's profile is shown by it."""
    hidden, email, mistyped = academy.person(), new_address(), new_address()
    profile = f"/rest/v1/profiles?id=eq.{hidden.id}"
    assert academy.call(hidden, "PATCH", profile, {"is_public": False}).status_code == 204
    for _ in range(2):  # the second time changes nothing
        assert academy.rpc(admin, "change_email", user_id=hidden.id, email=email).status_code == 200
    assert rows(academy.call(admin, "GET", f"{profile}&select=is_public")) == [{"is_public": False}]
    actions = [entry["action"] for entry in history(academy, admin, hidden)]
    assert actions.count("account.change_email") == 1
    assert [template for template, _ in mails(academy, hidden)] == ["email_changed", "email_changed"]

    made = academy.call(None, "POST", "/auth/v1/signup", {"email": mistyped, "password": PASSWORD}).json()
    right = new_address()
    answer = academy.rpc(admin, "change_email", user_id=made["id"], email=right)
    assert (answer.status_code, answer.json()["email_confirmed_at"]) == (200, None)
    assert "Until you follow it" in texts(stack, right, "address of your account now")
    assert grant(academy, right, PASSWORD).status_code == 400
    choose_password(stack, academy, right, NEW_PASSWORD)
    assert grant(academy, right, NEW_PASSWORD).status_code == 200


def test_an_address_of_another_is_not_given(academy: Academy, admin: Person) -> None:
    person, other, email = academy.person(), academy.person(), new_address()
    refused(academy.rpc(admin, "change_email", user_id=person.id, email=other.email.upper()), 409, "email_taken")
    for invalid in NO_ADDRESSES.values():
        refused(academy.rpc(admin, "change_email", user_id=person.id, email=invalid), 422, "email_invalid")
    refused(academy.rpc(admin, "change_email", user_id=str(uuid.uuid4()), email=email), 404, "user_not_found")
    assert academy.sql("select email::text from auth.users where id = %s", person.id) == [(person.email,)]
    people = [person, other, *(academy.member() for _ in range(2))]
    answers = concurrently(4, lambda number: academy.rpc(admin, "change_email", user_id=people[number].id, email=email))
    assert sorted(answer.status_code for answer in answers) == [200, 409, 409, 409]
    assert {answer.json().get("message") for answer in answers} == {None, "email_taken"}


def test_admins_change_no_address_of_staff_or_their_own(academy: Academy, admin: Person, moderator: Person) -> None:
    """The holder of the address can take the account over."""
    superadmin = academy.member("superadmin")
    for target in (moderator, academy.member("admin"), superadmin, admin):
        answer = academy.rpc(admin, "change_email", user_id=target.id, email=new_address())
        refused(answer, 403, "target_protected")
    assert academy.rpc(superadmin, "change_email", user_id=admin.id, email=admin.email).status_code == 200
    anonymous = academy.call(None, "POST", "/auth/v1/signup", {}).json()["user"]["id"]
    refused(academy.rpc(admin, "change_email", user_id=anonymous, email=new_address()), 422, "email_missing")


def test_the_addresses_of_a_deleted_user_are_forgotten(academy: Academy, admin: Person) -> None:
    person, email = academy.person(), new_address()
    assert academy.rpc(admin, "change_email", user_id=person.id, email=email).status_code == 200
    assert academy.rpc(admin, "delete_user", user_id=person.id).status_code == 204
    (entry,) = [entry for entry in history(academy, admin, person) if entry["action"] == "account.change_email"]
    assert (entry["before"]["email"], entry["after"]["email"]) == (None, None)
    left = "select from private.mail_outbox where user_id = %s and (params <> '{}' or address is not null)"
    assert academy.sql(left, person.id) == []


@pytest.mark.route("PL-133", call="POST /rest/v1/rpc/send_password_reset")
def test_an_admin_mails_a_password_link(
    stack: Stack, academy: Academy, admin: Person, moderator: Person, stranger: Person
) -> None:
    person = academy.person()
    for who in (stranger, moderator, person):
        refused(academy.rpc(who, "send_password_reset", user_id=person.id), 403, "role_required")
    assert academy.rpc(None, "send_password_reset", user_id=person.id).status_code == 401
    assert academy.rpc(admin, "send_password_reset", user_id=person.id).status_code == 204
    choose_password(stack, academy, person.email, NEW_PASSWORD)
    assert grant(academy, person.email, PASSWORD).status_code == 400
    assert grant(academy, person.email, NEW_PASSWORD).status_code == 200
    assert [entry["action"] for entry in history(academy, admin, person)] == ["account.send_password_reset"]


@pytest.mark.parametrize("name", ["verify_email", "send_password_reset"])
def test_a_user_without_an_address_gets_no_mail(academy: Academy, admin: Person, name: str) -> None:
    anonymous = academy.http.post("/auth/v1/signup", json={}, headers={"apikey": academy.publishable_key}).json()
    refused(academy.rpc(admin, name, user_id=anonymous["user"]["id"]), 422, "email_missing")
    gone = academy.member()
    academy.sql("delete from auth.users where id = %s", gone.id)
    for user_id in (gone.id, str(uuid.uuid4())):
        refused(academy.rpc(admin, name, user_id=user_id), 404, "user_not_found")


# Erasure


class Traces:
    """A user with data in every table, with a unique word in each."""

    def __init__(self, academy: Academy) -> None:
        self.academy = academy
        self.word = f"trace{uuid.uuid4().hex}"
        self.person = academy.person(name="To Be Forgotten")
        self.content = PNG + self.word.encode()
        academy.sql("update auth.users set email = %s || '@example.com' where id = %s", self.word, self.person.id)
        own = f"/rest/v1/profiles?id=eq.{self.person.id}"
        words = {"handle": self.word[:30], "bio": self.word, "headline": self.word, "location": self.word}
        change = {
            **words,
            "website_url": f"https://example.com/{self.word}",
            "avatar_path": f"{self.person.id}/face.png",
        }
        assert academy.call(self.person, "PATCH", own, change).status_code == 204
        for name in ("face.png", "old/face.png"):
            path = f"avatars/{self.person.id}/{name}"
            assert upload(academy, self.person, path, self.content, "image/png").status_code == 200
        assert academy.rpc(self.person, "apply_to_teach", motivation=self.word, links=[]).status_code == 200

    def tables(self) -> set[str]:
        """The tables that contain the word."""
        found = set()
        for schema, name in self.academy.sql(
            "select n.nspname, c.relname from pg_class as c join pg_namespace as n on n.oid = c.relnamespace"
            " where n.nspname in ('public', 'private', 'auth', 'storage', 'procrastinate') and c.relkind in ('r', 'p')"
        ):
            query = sql.SQL("select from {} as t where strpos(to_jsonb(t)::text, {}) > 0 limit 1").format(
                sql.Identifier(schema, name), sql.Literal(self.word[:20])
            )
            if self.academy.sql(query.as_string()):
                found.add(f"{schema}.{name}")
        return found

    def files(self, folder: Path) -> list[Path]:
        """The files on disk that contain the word."""
        return [path for path in folder.rglob("*") if path.is_file() and self.word.encode() in path.read_bytes()]

    def picture(self) -> httpx.Response:
        """The picture, as strangers fetch it."""
        return self.academy.http.get(f"/storage/v1/object/public/avatars/{self.person.id}/face.png")


REMAINS = {"auth.audit_log_entries"}
"""Auth's own log of sign-ins, which Supabase keeps."""


@pytest.fixture(scope="module")
def disk(stack_data: Path) -> Path:
    """Where storage keeps its files."""
    return stack_data / "storage"


@pytest.mark.route("PL-130", call="DELETE /functions/v1/users/{user_id}")
def test_an_admin_deletes_a_user_and_no_trace_remains(
    academy: Academy, disk: Path, admin: Person, moderator: Person, stranger: Person
) -> None:
    traces = Traces(academy)
    person, path = traces.person, f"/functions/v1/users/{traces.person.id}"
    course = academy.course(academy.member("teacher"))
    academy.enrol(person, course)
    passed = academy.rpc(person, "submit_quiz", quiz_id=course.quiz_id, answers=course.correct_answers)
    code = passed.json()["certificate"]["code"]
    assert traces.tables() >= {"public.profiles", "public.accounts", "public.teacher_applications", "auth.users"}
    assert len(traces.files(disk)) == 2

    for who in (stranger, moderator, academy.member("teacher")):
        refused(academy.call(who, "DELETE", path), 403, "role_required")
    assert academy.call(None, "DELETE", path).status_code == 401
    assert traces.picture().status_code == 200
    assert academy.call(admin, "DELETE", path).status_code == 204

    assert traces.tables() <= REMAINS
    assert traces.files(disk) == []
    assert traces.picture().json()["statusCode"] == "404"
    (profile,) = rows(academy.call(admin, "GET", f"/rest/v1/profiles?id=eq.{person.id}"))
    assert (profile["display_name"], profile["bio"], profile["is_public"]) == ("Deleted member", None, False)
    left = account(academy, moderator, person.id)
    assert (left["status"], left["email"], left["roles"]) == ("deleted", None, [])
    assert academy.rpc(None, "verify_certificate", code=code).json()["is_valid"] is True
    (entry,) = [entry for entry in history(academy, admin, person) if entry["action"] == "account.delete"]
    assert (entry["actor_id"], entry["before"], entry["after"]) == (admin.id, None, None)

    # With the token, which has not expired.
    assert not can_write(academy, person)
    refused(academy.rpc(person, "enrol", course_id=course.id), 403, "account_inactive")
    assert grant(academy, f"{traces.word}@example.com", PASSWORD).status_code == 400
    refused(academy.call(admin, "DELETE", path), 404, "user_not_found")
    refused(academy.call(admin, "DELETE", f"/functions/v1/users/{uuid.uuid4()}"), 404, "user_not_found")


def test_a_user_deletes_the_own_account(academy: Academy, disk: Path) -> None:
    traces = Traces(academy)
    person, path = traces.person, f"/functions/v1/users/{traces.person.id}"
    refused(academy.rpc(person, "delete_account"), 409, "files_remain")
    assert traces.picture().status_code == 200
    assert academy.call(person, "DELETE", path).status_code == 204
    assert traces.tables() <= REMAINS
    assert traces.files(disk) == []
    assert traces.picture().json()["statusCode"] == "404"
    refused(academy.call(person, "DELETE", path), 403, "account_inactive")


def test_supabase_js_can_do_without_the_edge(academy: Academy) -> None:
    """Remove what personal_files names through the Storage API, then call the function."""
    traces = Traces(academy)
    person = traces.person
    found = rows(academy.rpc(person, "personal_files", user_id=person.id))
    assert {file["bucket_id"] for file in found} == {"avatars"}
    names = [file["name"] for file in found]
    assert sorted(names) == [f"{person.id}/face.png", f"{person.id}/old/face.png"]
    removed = academy.call(person, "DELETE", "/storage/v1/object/avatars", {"prefixes": names})
    assert len(removed.json()) == 2
    assert academy.rpc(person, "delete_account").status_code == 204
    assert traces.tables() <= REMAINS


@pytest.mark.parametrize("softly", [False, True], ids=["for good", "softly"])
def test_a_deletion_in_auth_leaves_no_trace(academy: Academy, softly: bool) -> None:
    traces = Traces(academy)
    path = f"/auth/v1/admin/users/{traces.person.id}"
    answer = academy.http.request(
        "DELETE", path, json={"should_soft_delete": softly}, headers={"apikey": academy.secret_key}
    )
    assert answer.status_code == 200, answer.text
    assert traces.tables() <= REMAINS
    # The bytes stay on disk until storage restarts and sweeps, and cannot be fetched.
    assert traces.picture().json()["statusCode"] == "404"


def test_admins_delete_members_and_superadmins_delete_staff(academy: Academy, admin: Person, moderator: Person) -> None:
    superadmin = academy.member("superadmin")
    for target in (moderator, academy.member("admin"), superadmin, admin):
        refused(academy.rpc(admin, "delete_user", user_id=target.id), 403, "target_protected")
    refused(academy.rpc(superadmin, "delete_user", user_id=superadmin.id), 403, "target_protected")
    colleague = academy.member("moderator")
    assert academy.rpc(superadmin, "delete_user", user_id=colleague.id).status_code == 204
    suspended = academy.member()
    academy.suspend(suspended)
    refused(academy.rpc(suspended, "delete_account"), 403, "account_inactive")
    assert academy.rpc(admin, "delete_user", user_id=suspended.id).status_code == 204


def test_a_deletion_and_a_grant_at_once_leave_no_role(academy: Academy, admin: Person) -> None:
    for _ in range(5):
        person = academy.member()
        calls = [("grant_role", {"user_id": person.id, "role": "teacher"}), ("delete_user", {"user_id": person.id})]
        answers = concurrently(2, lambda number: academy.rpc(admin, calls[number][0], **calls[number][1]))  # noqa: B023
        assert answers[1].status_code == 204
        assert answers[0].status_code in {204, 404}
        assert academy.sql("select from public.user_roles where user_id = %s", person.id) == []


def test_moderators_delete_a_picture(academy: Academy, moderator: Person, stranger: Person) -> None:
    person = academy.member()
    path = f"{person.id}/face.png"
    assert upload(academy, person, f"avatars/{path}", PNG, "image/png").status_code == 200
    for who, gone in ((stranger, 0), (moderator, 1)):
        removed = academy.call(who, "DELETE", "/storage/v1/object/avatars", {"prefixes": [path]})
        assert len(removed.json()) == gone
    mine = upload(academy, moderator, f"avatars/{path}", PNG, "image/png")
    assert mine.json()["statusCode"] == "403"


# Export


def test_a_user_exports_all_own_data(academy: Academy, admin: Person) -> None:
    traces = Traces(academy)
    person, other = traces.person, academy.person()
    course = academy.course(academy.member("teacher"))
    for who in (person, other):
        academy.enrol(who, course)
        done = academy.rpc(who, "submit_quiz", quiz_id=course.quiz_id, answers=course.correct_answers)
        assert done.status_code == 200
    assert academy.rpc(person, "record_progress", lesson_id=course.lesson_ids[0]).status_code == 200
    answer = academy.rpc(person, "export_my_data")
    assert answer.status_code == 200, answer.text
    data: dict[str, Any] = answer.json()

    assert data["auth"]["email"] == f"{traces.word}@example.com"
    assert [identity["provider"] for identity in data["auth"]["identities"]] == ["email"]
    assert len(data["auth"]["sessions"]) == 1
    assert sorted(file["name"].split("/")[-1] for file in data["auth"]["files"]) == ["face.png", "face.png"]
    assert data["profiles"][0]["bio"] == data["teacher_applications"][0]["motivation"] == traces.word
    filled = {"accounts", "auth_events", "enrolments", "lesson_progress", "quiz_attempts", "certificates", "profiles"}
    assert {name for name in filled if len(data[name]) != 1} == set()
    assert other.id not in answer.text
    assert other.email not in answer.text
    for secret in ("password", "token", "$2b$", "$2a$"):
        assert secret not in answer.text

    academy.suspend(person)
    assert academy.rpc(person, "export_my_data").status_code == 200
    assert academy.rpc(None, "export_my_data").status_code == 401
    refused(academy.call(person, "GET", "/rest/v1/rpc/export_my_data"), 405, "post_required")
    assert traces.word not in academy.rpc(admin, "export_my_data").text
