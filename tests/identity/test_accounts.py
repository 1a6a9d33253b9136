"""Roles and statuses: who changes them, and that changes apply at the next request, whatever the token says."""

import uuid
from collections.abc import Iterator
from typing import Any

import httpx
import psycopg
import pytest

from tests.conftest import Stack, wait_for_mail
from tests.databases import Databases
from tests.people import PASSWORD, Academy, Course, Person, concurrently, refused, rows

SHOWN = {"prefer": "return=representation"}
AN_ID = str(uuid.uuid4())


def set_status(academy: Academy, who: Person | None, user_id: str, status: str, **more: Any) -> httpx.Response:
    """Call set_account_status."""
    return academy.rpc(who, "set_account_status", user_id=user_id, status=status, **more)


def history(academy: Academy, reader: Person, target: Person) -> list[dict[str, Any]]:
    """The entries of the audit log about a user, oldest first."""
    return rows(academy.call(reader, "GET", f"/rest/v1/audit_log?target_id=eq.{target.id}&order=id"))


def can_write(academy: Academy, person: Person) -> bool:
    """Whether a user can change the own profile."""
    own = f"/rest/v1/profiles?id=eq.{person.id}"
    return len(rows(academy.call(person, "PATCH", own, {"bio": uuid.uuid4().hex}, **SHOWN))) == 1


def can_teach(academy: Academy, person: Person) -> bool:
    """Whether a user can create a course."""
    answer = academy.call(person, "POST", "/rest/v1/courses", {"title": f"Begun {uuid.uuid4().hex}"})
    assert answer.status_code in {201, 403}, answer.text
    return answer.status_code == 201


@pytest.mark.route("PL-131", "PL-132", call="POST /rest/v1/rpc/set_account_status")
def test_moderators_suspend_and_reinstate(academy: Academy, moderator: Person, admin: Person, stranger: Person) -> None:
    person = academy.member()
    assert set_status(academy, None, person.id, "suspended").status_code == 401
    refused(set_status(academy, stranger, person.id, "suspended"), 403, "role_required")
    assert can_write(academy, person)

    assert set_status(academy, moderator, person.id, "suspended", reason="Spam").status_code == 204
    assert not can_write(academy, person)
    assert set_status(academy, admin, person.id, "active", reason="Sorry").status_code == 204
    assert can_write(academy, person)

    suspended, reinstated = history(academy, admin, person)
    assert [suspended["actor_id"], reinstated["actor_id"]] == [moderator.id, admin.id]
    assert [suspended["action"], reinstated["action"]] == ["account.suspended", "account.active"]
    assert {suspended["target_table"], reinstated["target_table"]} == {"accounts"}
    assert suspended["before"] == {"status": "active", "reason": None, "until": None}
    assert suspended["after"] == reinstated["before"] == {"status": "suspended", "reason": "Spam", "until": None}
    assert reinstated["after"] == {"status": "active", "reason": "Sorry", "until": None}


@pytest.mark.parametrize(("until", "expected"), [("2000-01-01T00:00:00Z", True), ("2999-01-01T00:00:00Z", False)])
def test_a_suspension_can_end_by_itself(academy: Academy, moderator: Person, until: str, expected: bool) -> None:
    person = academy.member()
    assert set_status(academy, moderator, person.id, "suspended", until=until).status_code == 204
    assert can_write(academy, person) is expected


def test_an_end_without_a_suspension_is_refused(academy: Academy, moderator: Person, stranger: Person) -> None:
    answer = set_status(academy, moderator, stranger.id, "banned", until="2999-01-01T00:00:00Z")
    assert (answer.status_code, answer.json()["code"]) == (400, "23514"), answer.text
    assert "accounts_suspended_until_check" in answer.json()["message"]
    assert can_write(academy, stranger)


def test_status_changes_follow_the_transitions(academy: Academy, moderator: Person) -> None:
    person = academy.member()
    assert set_status(academy, moderator, person.id, "banned").status_code == 204
    refused(set_status(academy, moderator, person.id, "suspended"), 409, "illegal_transition")
    refused(set_status(academy, moderator, person.id, "deleted"), 422, "status_invalid")
    refused(set_status(academy, moderator, AN_ID, "banned"), 404, "user_not_found")
    assert not can_write(academy, person)
    assert set_status(academy, moderator, person.id, "active").status_code == 204
    assert can_write(academy, person)


def test_moderators_do_not_suspend_each_other_or_themselves(academy: Academy, moderator: Person, admin: Person) -> None:
    superadmin = academy.member("superadmin")
    colleague = academy.member("moderator")
    for target in (colleague, admin, superadmin, moderator):
        refused(set_status(academy, moderator, target.id, "suspended"), 403, "target_protected")
    refused(set_status(academy, admin, moderator.id, "suspended"), 403, "target_protected")
    refused(set_status(academy, superadmin, superadmin.id, "suspended"), 403, "target_protected")
    assert set_status(academy, superadmin, colleague.id, "suspended").status_code == 204
    refused(set_status(academy, colleague, AN_ID, "suspended"), 403, "account_inactive")


WRITING = """
select p.proname, coalesce(jsonb_object_agg(a.name, case
    when t.typelem <> 0 and t.typcategory = 'A' then '[]'
    when t.typtype = 'e' then (
        select to_jsonb(e.enumlabel) from pg_enum as e where e.enumtypid = t.oid order by e.enumsortorder limit 1
    )
    when t.typname = 'uuid' then to_jsonb(gen_random_uuid())
    when t.typname = 'bool' then 'true'
    when t.typname ~ '^(int|numeric)' then '1'
    when t.typname = 'jsonb' then '{}'
    when t.typname = 'timestamptz' then to_jsonb(now())
    else '"x"'
end) filter (where a.name is not null), '{}')
from pg_proc as p
left join lateral unnest(p.proargnames, p.proargtypes::oid[]) with ordinality as a (name, type, place)
    on a.place <= p.pronargs - p.pronargdefaults
left join pg_type as t on t.oid = a.type
where p.pronamespace = 'public'::regnamespace and p.provolatile = 'v' and p.prokind = 'f'
    and has_function_privilege('authenticated', p.oid, 'execute')
    -- Suspended users may export their data.
    and p.proname <> 'export_my_data'
group by p.oid, p.proname
"""
"""Every function that may write, and arguments that it takes."""


def test_a_suspended_teacher_loses_every_write_and_keeps_reads(academy: Academy) -> None:
    teacher = academy.member("teacher", "superadmin")  # in addition to another role
    course: Course = academy.course(teacher)
    draft = academy.course(teacher, published=False)
    student = academy.member()
    academy.enrol(student, course)
    category = academy.insert(teacher, "categories", name="Shelf", slug=f"shelf-{uuid.uuid4().hex[:8]}")
    question = next(iter(course.correct_answers))
    academy.suspend(teacher)

    inserts = {
        "courses": {"title": "One more"},
        "modules": {"course_id": course.id, "title": "One more"},
        "lessons": {"module_id": course.module_id, "title": "One more"},
        "lesson_contents": {"lesson_id": course.lesson_ids[0], "body": "Other"},
        "quizzes": {"course_id": draft.id, "title": "One more", "is_certifying": False},
        "categories": {"name": "One more", "slug": "one-more"},
    }
    for table, row in inserts.items():
        answer = academy.call(teacher, "POST", f"/rest/v1/{table}", row)
        assert (answer.status_code, answer.json()["code"]) == (403, "42501"), (table, answer.text)
    updates = {
        f"profiles?id=eq.{teacher.id}": {"bio": "Other"},
        f"courses?id=eq.{course.id}": {"title": "Other"},
        f"modules?id=eq.{course.module_id}": {"title": "Other"},
        f"lessons?id=eq.{course.lesson_ids[0]}": {"title": "Other"},
        f"lesson_contents?lesson_id=eq.{course.lesson_ids[0]}": {"body": "Other"},
        f"quizzes?id=eq.{course.quiz_id}": {"title": "Other"},
        f"categories?id=eq.{category['id']}": {"name": "Other"},
    }
    for path, change in updates.items():
        assert rows(academy.call(teacher, "PATCH", f"/rest/v1/{path}", change, **SHOWN)) == [], path
    deletes = [path.replace(course.id, draft.id) for path in updates if not path.startswith("profiles")]
    for path in (*deletes, f"quiz_questions?id=eq.{question}"):
        assert rows(academy.call(teacher, "DELETE", f"/rest/v1/{path}", **SHOWN)) == [], path

    writing = academy.sql(WRITING)
    assert len(writing) > 50
    for name, arguments in writing:
        refused(academy.rpc(teacher, name, **arguments), 403, "account_inactive")

    assert len(rows(academy.call(teacher, "GET", f"/rest/v1/profiles?id=eq.{teacher.id}"))) == 1
    assert len(rows(academy.call(teacher, "GET", f"/rest/v1/courses?id=in.({course.id},{draft.id})"))) == 2
    assert len(rows(academy.call(teacher, "GET", f"/rest/v1/enrolments?course_id=eq.{course.id}"))) == 1
    assert len(rows(academy.call(teacher, "GET", f"/rest/v1/lesson_contents?course_id=eq.{draft.id}"))) == 2


def test_a_suspended_student_loses_every_write_and_keeps_reads(academy: Academy) -> None:
    student, course = academy.member(), academy.course(academy.member("teacher"))
    academy.enrol(student, course)
    assert academy.rpc(student, "record_progress", lesson_id=course.lesson_ids[0]).status_code == 200
    academy.suspend(student)
    refused(academy.rpc(student, "record_progress", lesson_id=course.lesson_ids[1]), 403, "account_inactive")
    refused(academy.rpc(student, "submit_quiz", quiz_id=course.quiz_id, answers={}), 403, "account_inactive")
    refused(academy.rpc(student, "enrol", course_id=course.id), 403, "account_inactive")
    for table, expected in (("enrolments", 1), ("lesson_progress", 1), ("lesson_contents", 2), ("quiz_questions", 2)):
        assert len(rows(academy.call(student, "GET", f"/rest/v1/{table}?course_id=eq.{course.id}"))) == expected


def test_a_role_holds_from_the_next_request_on(academy: Academy, admin: Person, stranger: Person) -> None:
    person = academy.member()
    assert not can_teach(academy, person)
    assert academy.rpc(admin, "grant_role", user_id=person.id, role="teacher").status_code == 204
    assert can_teach(academy, person)
    assert academy.rpc(admin, "grant_role", user_id=person.id, role="teacher").status_code == 204
    assert academy.rpc(admin, "revoke_role", user_id=person.id, role="teacher").status_code == 204
    assert not can_teach(academy, person)

    granted, revoked = history(academy, admin, person)
    assert [granted["action"], revoked["action"]] == ["role.grant", "role.revoke"]
    assert [granted["before"], granted["after"]] == [None, {"role": "teacher"}]
    assert [revoked["before"], revoked["after"]] == [{"role": "teacher"}, None]
    assert history(academy, stranger, person) == []


def test_a_former_moderator_reads_as_much_as_a_member(academy: Academy, admin: Person) -> None:
    person, hidden = academy.member("moderator"), academy.member()
    academy.sql("update public.profiles set is_public = false where id = %s", hidden.id)
    path = f"/rest/v1/profiles?id=eq.{hidden.id}"
    assert len(rows(academy.call(person, "GET", path))) == 1
    assert academy.rpc(admin, "revoke_role", user_id=person.id, role="moderator").status_code == 204
    assert rows(academy.call(person, "GET", path)) == []


@pytest.mark.parametrize("name", ["grant_role", "revoke_role"])
def test_only_admins_change_roles(academy: Academy, moderator: Person, stranger: Person, name: str) -> None:
    target = academy.member("teacher")
    for who in (stranger, target, moderator):
        refused(academy.rpc(who, name, user_id=target.id, role="teacher"), 403, "role_required")
        refused(academy.rpc(who, name, user_id=who.id, role="superadmin"), 403, "role_required")
    assert academy.rpc(None, name, user_id=target.id, role="teacher").status_code == 401


def test_an_admin_grants_no_admin_role(academy: Academy, admin: Person) -> None:
    superadmin, person = academy.member("superadmin"), academy.member()
    for role in ("admin", "superadmin"):
        refused(academy.rpc(admin, "grant_role", user_id=person.id, role=role), 403, "role_required")
        refused(academy.rpc(admin, "grant_role", user_id=admin.id, role=role), 403, "role_required")
    refused(academy.rpc(admin, "revoke_role", user_id=superadmin.id, role="superadmin"), 403, "role_required")
    assert academy.rpc(superadmin, "grant_role", user_id=person.id, role="admin").status_code == 204
    assert academy.rpc(person, "grant_role", user_id=superadmin.id, role="teacher").status_code == 204


def test_roles_that_cannot_be_granted(academy: Academy, admin: Person, stranger: Person) -> None:
    refused(academy.rpc(admin, "grant_role", user_id=AN_ID, role="teacher"), 404, "user_not_found")
    for nothing in ("student", None):
        refused(academy.rpc(admin, "grant_role", user_id=stranger.id, role=nothing), 422, "role_invalid")
    unknown = academy.rpc(admin, "grant_role", user_id=stranger.id, role="emperor")
    assert (unknown.status_code, unknown.json()["code"]) == (400, "22P02"), unknown.text
    assert history(academy, admin, stranger) == []


def test_roles_are_written_by_functions_only_and_read_by_their_owner(
    academy: Academy, admin: Person, stranger: Person
) -> None:
    person = academy.member("teacher")
    path = f"/rest/v1/user_roles?user_id=eq.{person.id}&select=role"
    for who in (person, admin):
        assert rows(academy.call(who, "GET", path)) == [{"role": "teacher"}]
        assert academy.call(who, "DELETE", path).status_code == 403
        assert academy.call(who, "PATCH", path, {"role": "superadmin"}).status_code == 403
        own = {"user_id": who.id, "role": "superadmin"}
        assert academy.call(who, "POST", "/rest/v1/user_roles", own).status_code == 403
    assert rows(academy.call(stranger, "GET", path)) == []
    assert academy.call(None, "GET", path).status_code == 401


@pytest.fixture
def guild(databases: Databases) -> Iterator[psycopg.Connection]:
    """A migrated database without users, as its superuser."""
    with databases.cloned() as name, psycopg.connect(databases.url(name), autocommit=True) as connection:
        yield connection


def recruit(connection: psycopg.Connection, *roles: str) -> str:
    """A user with these roles, in a database of the test's own."""
    user_id = str(uuid.uuid4())
    connection.execute(
        "insert into auth.users (id, aud, role, email) values (%s, 'authenticated', 'authenticated', %s)",
        [user_id, f"{user_id}@example.com"],
    )
    connection.execute(
        "insert into public.user_roles (user_id, role) select %s, unnest(%s::public.app_role[])", [user_id, list(roles)]
    )
    return user_id


LOSSES = {
    "revoked": "delete from public.user_roles where user_id = %s",
    "suspended": "update public.accounts set status = 'suspended' where user_id = %s",
    "suspended for a while": (
        "update public.accounts set status = 'suspended', suspended_until = now() + '1 hour' where user_id = %s"
    ),
    "banned": "update public.accounts set status = 'banned' where user_id = %s",
    "deleted": "delete from auth.users where id = %s",
    "deleted softly": "update auth.users set deleted_at = now() where id = %s",
}


@pytest.mark.parametrize("loss", LOSSES)
def test_the_last_superadmin_stays(guild: psycopg.Connection, loss: str) -> None:
    recruit(guild)
    idle, first, last = recruit(guild, "superadmin"), recruit(guild, "superadmin"), recruit(guild, "superadmin")
    guild.execute("update public.accounts set status = 'suspended' where user_id = %s", [idle])
    guild.execute(LOSSES[loss].encode(), [first])
    with pytest.raises(psycopg.Error) as error:
        guild.execute(LOSSES[loss].encode(), [last])
    assert (error.value.sqlstate, error.value.diag.message_primary) == ("PT409", "last_superadmin")
    recruit(guild, "superadmin")
    guild.execute(LOSSES[loss].encode(), [last])


def test_the_last_user_of_all_may_be_deleted(guild: psycopg.Connection) -> None:
    recruit(guild, "superadmin")
    recruit(guild)
    guild.execute("delete from auth.users")
    assert guild.execute("select status, email, roles::text from public.accounts").fetchall() == [
        ("deleted", None, "{}"),
        ("deleted", None, "{}"),
    ]


def test_of_two_superadmins_who_leave_at_once_one_stays(databases: Databases, guild: psycopg.Connection) -> None:
    recruit(guild)
    for _ in range(5):
        guild.execute("delete from public.user_roles where role <> 'superadmin'")
        pair = [recruit(guild, "superadmin") for _ in range(2)]
        for other in guild.execute(
            "select user_id from public.user_roles where role = 'superadmin' and user_id <> all(%s::uuid[])", [pair]
        ).fetchall():
            guild.execute("delete from auth.users where id = %s", other)

        def leave(number: int) -> str:
            with psycopg.connect(databases.url(guild.info.dbname)) as connection:
                try:
                    connection.execute("delete from auth.users where id = %s", [pair[number]])  # noqa: B023
                except psycopg.Error as error:
                    return str(error.diag.message_primary)
            return "gone"

        assert sorted(concurrently(2, leave)) == ["gone", "last_superadmin"]


def test_two_superadmins_who_suspend_each_other_at_once_do_not_both_succeed(academy: Academy) -> None:
    for _ in range(5):
        pair = academy.member("superadmin"), academy.member("superadmin")
        answers = concurrently(2, lambda number: set_status(academy, pair[number], pair[1 - number].id, "suspended"))  # noqa: B023
        assert sorted(answer.status_code for answer in answers) == [204, 403]


def test_a_former_teacher_writes_nothing(academy: Academy, admin: Person) -> None:
    teacher = academy.member("teacher")
    course = academy.course(teacher, published=False)
    assert academy.rpc(admin, "revoke_role", user_id=teacher.id, role="teacher").status_code == 204
    tables = {"courses": "id", "modules": "course_id", "lessons": "course_id", "quizzes": "course_id"}
    for table, key in tables.items():
        path = f"/rest/v1/{table}?{key}=eq.{course.id}"
        shown = {"prefer": "return=representation"}
        assert rows(academy.call(teacher, "PATCH", path, {"title": "Mine"}, **shown)) == []
        assert rows(academy.call(teacher, "DELETE", path, **shown)) == []
        assert rows(academy.call(teacher, "GET", path)) != []
    assert academy.call(teacher, "POST", "/rest/v1/courses", {"title": "Another"}).status_code == 403
    refused(academy.rpc(teacher, "publish_course", course_id=course.id), 404, "course_not_found")
    refused(academy.rpc(teacher, "quiz_answer_keys", quiz_id=course.quiz_id), 404, "course_not_found")


def test_admins_read_the_audit_log_and_nobody_writes_it(
    academy: Academy, admin: Person, moderator: Person, stranger: Person
) -> None:
    person = academy.member()
    assert set_status(academy, moderator, person.id, "suspended").status_code == 204
    assert len(history(academy, admin, person)) == 1
    assert history(academy, moderator, person) == history(academy, stranger, person) == []
    assert academy.call(None, "GET", "/rest/v1/audit_log?limit=1").status_code == 401

    entry = {"action": "account.active", "target_table": "accounts", "target_id": person.id}
    path = f"/rest/v1/audit_log?target_id=eq.{person.id}"
    for who in (admin, stranger):
        assert academy.call(who, "POST", "/rest/v1/audit_log", entry).status_code == 403
        assert academy.call(who, "PATCH", path, {"action": "account.active"}).status_code == 403
        assert academy.call(who, "DELETE", path).status_code == 403
    with pytest.raises(psycopg.Error) as error:
        academy.sql("delete from public.audit_log where target_id = %s", person.id)
    assert (error.value.sqlstate, error.value.diag.message_primary) == ("PT409", "append_only")


# The table accounts


def account(academy: Academy, reader: Person, person_id: str) -> dict[str, Any]:
    """An account as another user reads it."""
    (row,) = rows(academy.call(reader, "GET", f"/rest/v1/accounts?user_id=eq.{person_id}"))
    return row


def test_owners_and_moderators_read_an_account_and_nobody_writes_it(
    academy: Academy, moderator: Person, stranger: Person
) -> None:
    person = academy.member("teacher")
    path = f"/rest/v1/accounts?user_id=eq.{person.id}"
    assert account(academy, person, person.id) == account(academy, moderator, person.id)
    assert account(academy, person, person.id)["email"] == person.email
    assert rows(academy.call(stranger, "GET", path)) == []
    assert rows(academy.call(stranger, "GET", f"/rest/v1/accounts?email=eq.{person.email}")) == []
    assert academy.call(None, "GET", path).status_code == 401
    for who in (person, moderator, academy.member("superadmin")):
        assert academy.call(who, "PATCH", path, {"status": "active"}).status_code == 403
        assert academy.call(who, "PATCH", path, {"email": "other@example.com"}).status_code == 403
        assert academy.call(who, "DELETE", path).status_code == 403
        assert academy.call(who, "POST", "/rest/v1/accounts", {"user_id": AN_ID}).status_code == 403


def test_an_account_follows_auth(academy: Academy, moderator: Person) -> None:
    email, other = (f"{uuid.uuid4().hex}@example.com" for _ in range(2))
    secret = {"apikey": academy.secret_key}
    made = academy.http.post(
        "/auth/v1/admin/users", json={"email": email.upper(), "password": PASSWORD}, headers=secret
    )
    user_id = made.json()["id"]
    path = f"/auth/v1/admin/users/{user_id}"
    shown = account(academy, moderator, user_id)
    assert (shown["email"], shown["email_confirmed_at"], shown["last_sign_in_at"]) == (email, None, None)
    assert academy.http.put(path, json={"email_confirm": True}, headers=secret).status_code == 200
    assert account(academy, moderator, user_id)["email_confirmed_at"]
    academy.sign_in(email)
    assert account(academy, moderator, user_id)["last_sign_in_at"]
    assert academy.http.put(path, json={"email": other}, headers=secret).status_code == 200
    assert account(academy, moderator, user_id)["email"] == other
    gone = academy.http.request("DELETE", path, json={"should_soft_delete": True}, headers=secret)
    assert gone.status_code == 200
    shown = account(academy, moderator, user_id)
    assert (shown["status"], shown["email"], shown["last_sign_in_at"]) == ("deleted", None, None)


def test_an_anonymous_user_adds_an_address(stack: Stack, academy: Academy, moderator: Person) -> None:
    key = {"apikey": academy.publishable_key}
    session = academy.http.post("/auth/v1/signup", json={}, headers=key).json()
    me = Person(id=session["user"]["id"], email="", token=session["access_token"])
    shown = account(academy, me, me.id)
    assert (shown["is_anonymous"], shown["email"]) == (True, None)
    refused(academy.rpc(me, "apply_to_teach", motivation="Nobody knows me"), 403, "email_not_confirmed")

    email = f"{uuid.uuid4().hex}@example.com"
    assert academy.call(me, "PUT", "/auth/v1/user", {"email": email}).status_code == 200
    text = str(wait_for_mail(stack, email)["text"])
    link = next(word for word in text.split() if word.startswith("http"))
    assert httpx.get(link).status_code == 303
    shown = account(academy, moderator, me.id)
    assert (shown["is_anonymous"], shown["email"]) == (False, email)
    assert shown["email_confirmed_at"]


def test_roles_are_copied_to_the_account(academy: Academy, admin: Person) -> None:
    person = academy.member()
    for change, expected in (
        (("grant_role", "teacher"), ["teacher"]),
        (("grant_role", "moderator"), ["teacher", "moderator"]),
        (("revoke_role", "teacher"), ["moderator"]),
    ):
        assert academy.rpc(admin, change[0], user_id=person.id, role=change[1]).status_code == 204
        assert account(academy, person, person.id)["roles"] == expected


# Effects of a status in auth, and its mails


def password_grant(academy: Academy, person: Person) -> httpx.Response:
    """Try to sign in."""
    return academy.call(
        None, "POST", "/auth/v1/token?grant_type=password", {"email": person.email, "password": PASSWORD}
    )


def test_a_ban_ends_sessions_and_refuses_sign_in_until_it_is_lifted(academy: Academy, moderator: Person) -> None:
    person = academy.person()
    refresh = password_grant(academy, person).json()["refresh_token"]
    renew = {"refresh_token": refresh}
    assert set_status(academy, moderator, person.id, "banned", reason="Threats").status_code == 204
    assert not can_write(academy, person)
    assert password_grant(academy, person).headers["x-sb-error-code"] == "user_banned"
    path = "/auth/v1/token?grant_type=refresh_token"
    assert academy.call(None, "POST", path, renew).status_code == 400
    assert academy.sql("select from auth.sessions where user_id = %s", person.id) == []

    assert set_status(academy, moderator, person.id, "active").status_code == 204
    assert academy.call(None, "POST", path, renew).status_code == 400
    assert password_grant(academy, person).status_code == 200


def test_a_suspended_user_signs_in_and_reads(academy: Academy, moderator: Person) -> None:
    person = academy.person()
    session = password_grant(academy, person).json()
    assert set_status(academy, moderator, person.id, "suspended", until="infinity").status_code == 204
    renewed = academy.call(
        None, "POST", "/auth/v1/token?grant_type=refresh_token", {"refresh_token": session["refresh_token"]}
    )
    assert renewed.status_code == 200
    assert password_grant(academy, person).status_code == 200
    assert account(academy, person, person.id)["status"] == "suspended"
    assert not can_write(academy, person)


def mails(academy: Academy, person: Person) -> list[tuple[str, dict[str, Any]]]:
    """The mails to a user, oldest first."""
    found = academy.sql("select template, params from private.mail_outbox where user_id = %s order by id", person.id)
    return [(template, params) for template, params in found]


def test_each_change_of_status_is_mailed_once(academy: Academy, moderator: Person, admin: Person) -> None:
    person = academy.member()
    until = "2999-01-01T00:00:00+00:00"
    for _ in range(2):
        assert set_status(academy, moderator, person.id, "suspended", reason="Spam", until=until).status_code == 204
    for status in ("active", "active", "banned"):
        assert set_status(academy, moderator, person.id, status).status_code == 204
    for _ in range(2):
        assert academy.rpc(admin, "grant_role", user_id=person.id, role="teacher").status_code == 204
        assert academy.rpc(admin, "revoke_role", user_id=person.id, role="teacher").status_code == 204
    nothing = {"reason": None}
    assert mails(academy, person) == [
        ("account_suspended", {"reason": "Spam", "until": until}),
        ("account_reinstated", nothing),
        ("account_banned", nothing),
        *[("role_changed", {"role": "teacher", "granted": granted}) for granted in (True, False, True, False)],
    ]
    assert len(history(academy, admin, person)) == 7


def ban_in_auth(academy: Academy, person: Person, duration: str) -> httpx.Response:
    """Ban a person in auth, as a dashboard does, or lift such a ban with `none`."""
    return academy.http.put(
        f"/auth/v1/admin/users/{person.id}",
        json={"ban_duration": duration},
        headers={"apikey": academy.secret_key},
    )


def account_of(academy: Academy, person: Person) -> tuple[str, bool]:
    """The status of an account, and whether it has an end."""
    ((status, has_end),) = academy.sql(
        "select status::text, suspended_until is not null from public.accounts where user_id = %s", person.id
    )
    return status, has_end


def test_a_ban_in_auth_is_a_ban_of_the_account(academy: Academy) -> None:
    """Not only functions of ours ban: the account follows auth, and with it all that ends with the account."""
    person = academy.person("teacher")
    course = academy.course(person)
    assert password_grant(academy, person).status_code == 200
    assert ban_in_auth(academy, person, "876000h").status_code == 200
    assert account_of(academy, person) == ("banned", False)
    assert not can_write(academy, person)
    assert academy.sql("select from auth.sessions where user_id = %s", person.id) == []
    assert academy.sql("select status::text from public.courses where id = %s", course.id) == [("paused",)]
    audited = (
        "select action, actor_id from public.audit_log where target_id = %s and action like 'account.%%' order by id"
    )
    assert academy.sql(audited, person.id) == [("account.banned", None)]

    assert ban_in_auth(academy, person, "none").status_code == 200
    assert account_of(academy, person) == ("active", False)
    assert academy.sql("select status::text from public.courses where id = %s", course.id) == [("published",)]
    assert password_grant(academy, person).status_code == 200


def test_a_ban_in_auth_for_a_time_suspends(academy: Academy, moderator: Person) -> None:
    person = academy.person()
    assert ban_in_auth(academy, person, "24h").status_code == 200
    assert account_of(academy, person) == ("suspended", True)
    assert ban_in_auth(academy, person, "none").status_code == 200
    assert account_of(academy, person) == ("active", False)
    # What a moderator decided stays, shorter or not.
    for status in ("suspended", "banned"):
        decided = academy.person()
        assert set_status(academy, moderator, decided.id, status, reason="Threats").status_code == 204
        assert ban_in_auth(academy, decided, "24h").status_code == 200
        assert account_of(academy, decided) == (status, False)
    # A ban in auth is lifted by a moderator, too.
    other = academy.person()
    assert ban_in_auth(academy, other, "876000h").status_code == 200
    assert set_status(academy, moderator, other.id, "active").status_code == 204
    assert password_grant(academy, other).status_code == 200
