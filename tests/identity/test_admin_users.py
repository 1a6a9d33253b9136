"""The list of users: filters, order, search, single users, changes and the export."""

import csv
import io
import uuid
from typing import Any

import httpx
import psycopg
import pytest

from tests.live.test_sessions import on, schedule
from tests.people import Academy, Person, refused, rows

HEADER = [
    "user_id",
    "email",
    "handle",
    "display_name",
    "roles",
    "status",
    "status_reason",
    "suspended_until",
    "email_confirmed_at",
    "last_sign_in_at",
    "is_anonymous",
    "is_public",
    "created_at",
]
EPOCH = "2001-02-{day:02}T00:00:00+00:00"
"""When the users of a test were created: in a month without any other."""


@pytest.fixture(scope="module")
def crowd(academy: Academy) -> list[Person]:
    """Five users, created on five days: a teacher, a moderator who teaches, two students and a suspended one."""
    people = [
        academy.member("teacher", name="Zoë Quick"),
        academy.member("teacher", "moderator"),
        academy.member(),
        academy.member(name="Zoe Quickly"),
        academy.member(),
    ]
    for day, person in enumerate(people, 1):
        academy.sql("update public.accounts set created_at = %s where user_id = %s", EPOCH.format(day=day), person.id)
    academy.suspend(people[4])
    return people


def listed(academy: Academy, who: Person | None, query: str, path: str = "user_accounts") -> httpx.Response:
    """The list of users created in February 2001."""
    days = "created_at=gte.2001-02-01&created_at=lt.2001-03-01"
    joint = "&" if "?" in path else "?"
    return academy.call(who, "GET", f"/rest/v1/{path}{joint}{days}&{query}")


FILTERS: list[tuple[str, list[int]]] = [
    ("", [4, 3, 2, 1, 0]),
    ("roles=cs.{teacher}", [1, 0]),
    ("roles=cs.{teacher,moderator}", [1]),
    ("roles=eq.{}", [4, 3, 2]),
    ("role=eq.student", [4, 3, 2]),
    ("role=eq.teacher", [0]),
    ("role=eq.moderator", [1]),
    ("role=in.(student,teacher)&limit=2", [4, 3]),
    ("role=eq.student&status=eq.active", [3, 2]),
    ("role=eq.admin", []),
    ("status=eq.suspended", [4]),
    ("status=eq.active&roles=eq.{}", [3, 2]),
    ("created_at=gte.2001-02-02&created_at=lt.2001-02-04", [2, 1]),
    ("limit=2&offset=1", [3, 2]),
    ("is_anonymous=is.true", []),
]


@pytest.mark.route("PL-126", call="GET /rest/v1/user_accounts?created_at=gte.{from}&order=created_at.desc")
@pytest.mark.parametrize("role", ["admin", "moderator"])
def test_admins_list_users(academy: Academy, crowd: list[Person], stranger: Person, role: str) -> None:
    reader = academy.member(role)
    for query, expected in FILTERS:
        found = rows(listed(academy, reader, f"order=created_at.desc&{query}"))
        assert [row["user_id"] for row in found] == [crowd[place].id for place in expected], query
    assert {row["email"] for row in found} <= {person.email for person in crowd}
    counted = rows(
        listed(academy, reader, "order=created_at&limit=1&select=enrolments(count),taken:sessions!student_id(count)")
    )
    assert counted == [{"enrolments": [{"count": 0}], "taken": [{"count": 0}]}]
    answer = academy.call(
        reader, "GET", "/rest/v1/user_accounts?created_at=lt.2001-02-06&created_at=gte.2001-02-01&limit=1",
        prefer="count=exact",
    )  # fmt: skip
    assert answer.headers["content-range"] == "0-0/5"

    assert rows(listed(academy, stranger, "order=created_at.desc")) == []
    assert rows(listed(academy, crowd[0], "order=created_at.desc&select=user_id")) == [{"user_id": crowd[0].id}]
    assert rows(listed(academy, crowd[4], "order=created_at.desc&select=user_id")) == [{"user_id": crowd[4].id}]
    assert listed(academy, None, "").status_code == 401


@pytest.mark.route("PL-126", call="GET /rest/v1/rpc/search_accounts?q={q}")
def test_admins_search_users(academy: Academy, crowd: list[Person], admin: Person, stranger: Person) -> None:
    def found(q: str, query: str = "") -> set[str]:
        return {row["user_id"] for row in rows(listed(academy, admin, query, f"rpc/search_accounts?q={q}"))}

    zoe, moderator, student, quickly, _ = crowd
    assert found("zoe%20quick") == {zoe.id, quickly.id}
    assert found("zoe%20quick", "roles=cs.{teacher}&order=created_at&limit=5") == {zoe.id}
    assert found("quickyl") == {quickly.id}
    assert found("zoe%20quick", "role=eq.student") == {quickly.id}
    assert found(student.email) == found(student.email[:20].upper()) == {student.id}
    assert found(moderator.email, "status=eq.suspended") == set()
    assert found("") == found("%20") == found("%25") == found("_") == set()
    embedded = academy.call(
        admin, "GET", f"/rest/v1/rpc/search_accounts?q={zoe.email}&select=email,user_roles(role),enrolments(id)"
    )
    assert rows(embedded) == [{"email": zoe.email, "user_roles": [{"role": "teacher"}], "enrolments": []}]
    for who in (stranger, academy.member("teacher")):
        refused(academy.call(who, "GET", "/rest/v1/rpc/search_accounts?q=zoe"), 403, "role_required")
    refused(academy.call(crowd[4], "GET", "/rest/v1/rpc/search_accounts?q=zoe"), 403, "account_inactive")
    assert academy.call(None, "GET", "/rest/v1/rpc/search_accounts?q=zoe").status_code == 401


DETAIL = (
    "select=*,user_roles(role,granted_at),enrolments(id,status,courses(title)),certificates(id,status),"
    "sessions!student_id(id,status),hosted:sessions!host_id(id),orders!buyer_id(id,status)"
)


@pytest.mark.route(
    "PL-127", call="GET /rest/v1/user_accounts?user_id=eq.{user_id}&select=*,user_roles{roles},enrolments{more}"
)
@pytest.mark.route("PL-127", call="GET /rest/v1/audit_log?target_id=eq.{user_id}")
def test_admins_read_one_user(academy: Academy, admin: Person, stranger: Person) -> None:
    teacher, student = academy.member("teacher"), academy.member(name="Omar Haddad")
    course = academy.course(teacher)
    enrolment = academy.enrol(student, course)
    passed = academy.rpc(student, "submit_quiz", quiz_id=course.quiz_id, answers=course.correct_answers)
    assert passed.status_code == 200
    assert academy.rpc(admin, "grant_role", user_id=student.id, role="teacher").status_code == 204
    session = schedule(academy, teacher, enrolment, on(2))["id"]
    paid = academy.course(teacher, price_amount=900)
    order = academy.rpc(student, "place_order", course_id=paid.id)
    assert order.status_code == 200, order.text

    path = f"/rest/v1/user_accounts?user_id=eq.{student.id}&{DETAIL}"
    (user,) = rows(academy.call(admin, "GET", path))
    assert (user["email"], user["display_name"], user["roles"]) == (student.email, "Omar Haddad", ["teacher"])
    assert [row["role"] for row in user["user_roles"]] == ["teacher"]
    assert [row["id"] for row in user["enrolments"]] == [enrolment]
    assert user["enrolments"][0]["status"] == "active"
    assert [row["status"] for row in user["certificates"]] == ["issued"]
    assert (user["sessions"], user["hosted"]) == ([{"id": session, "status": "scheduled"}], [])
    assert user["orders"] == [{"id": order.json()["id"], "status": "pending"}]
    log = f"/rest/v1/audit_log?target_id=eq.{student.id}"
    assert [row["action"] for row in rows(academy.call(admin, "GET", log))] == ["role.grant"]
    for who in (stranger, teacher):
        assert rows(academy.call(who, "GET", path)) == []
        assert rows(academy.call(who, "GET", log)) == []
    assert academy.call(None, "GET", path).status_code == 401


@pytest.mark.route("PL-129", call="PATCH /rest/v1/profiles?id=eq.{user_id}")
def test_admins_change_a_profile_and_the_audit_log_records_it(
    academy: Academy, admin: Person, moderator: Person, stranger: Person
) -> None:
    person = academy.member()
    path = f"/rest/v1/profiles?id=eq.{person.id}"
    shown = {"prefer": "return=representation"}
    suspended = academy.member("admin")
    academy.suspend(suspended)
    for who in (moderator, stranger, suspended):
        assert rows(academy.call(who, "PATCH", path, {"bio": "Taken over"}, **shown)) == []
    assert academy.call(None, "PATCH", path, {"bio": "Taken over"}).status_code == 401
    change = {"display_name": "Somebody", "bio": None, "is_public": False}
    (changed,) = rows(academy.call(admin, "PATCH", path, change, **shown))
    assert {name: changed[name] for name in change} == change
    assert academy.call(person, "PATCH", path, {"bio": "My own words"}).status_code == 204

    (entry,) = rows(academy.call(admin, "GET", f"/rest/v1/audit_log?target_id=eq.{person.id}"))
    assert (entry["actor_id"], entry["action"]) == (admin.id, "profile.update")
    assert entry["before"] == {"display_name": "Test Person", "is_public": True}
    assert entry["after"] == {"display_name": "Somebody", "is_public": False}


def test_the_audit_log_forgets_the_words_of_a_deleted_user(academy: Academy, admin: Person) -> None:
    person, other = academy.member(name="Words Of Mine"), academy.member(name="Words Of Mine")
    for who in (person, other):
        path = f"/rest/v1/profiles?id=eq.{who.id}"
        assert academy.call(admin, "PATCH", path, {"headline": "Words of an admin"}).status_code == 204
    assert academy.rpc(admin, "delete_user", user_id=person.id).status_code == 204

    def entry(who: Person) -> tuple[Any, ...]:
        log = f"/rest/v1/audit_log?target_id=eq.{who.id}&action=eq.profile.update"
        (found,) = rows(academy.call(admin, "GET", log))
        return found["actor_id"], found["before"], found["after"]

    assert entry(person) == (admin.id, {"headline": None}, {"headline": None})
    assert entry(other) == (admin.id, {"headline": None}, {"headline": "Words of an admin"})


@pytest.mark.parametrize(
    "change",
    ["after = '{}'", "after = null", "after = '{\"headline\": null}', actor_id = null", "action = 'a.b', after = null"],
)
def test_the_audit_log_is_changed_by_nothing_else(academy: Academy, admin: Person, change: str) -> None:
    """Not even by the owner of the table."""
    person = academy.member()
    path = f"/rest/v1/profiles?id=eq.{person.id}"
    assert academy.call(admin, "PATCH", path, {"headline": "Words"}).status_code == 204
    for statement in (
        f"update public.audit_log set {change} where target_id = %s",  # noqa: S608 - from the list above
        "delete from public.audit_log where target_id = %s",
    ):
        with pytest.raises(psycopg.Error) as refusal:
            academy.sql(statement, person.id)
        assert refusal.value.diag.message_primary == "append_only"


# Export


def export(academy: Academy, who: Person | None, **arguments: Any) -> httpx.Response:
    """The answer to an export."""
    return academy.call(who, "POST", "/rest/v1/rpc/export_user_accounts", arguments, accept="text/csv")


def table(answer: httpx.Response) -> dict[str, dict[str, str]]:
    """The rows of an export, by user id."""
    assert answer.status_code == 200, answer.text
    lines = list(csv.reader(io.StringIO(answer.content.decode("utf-8-sig"), newline=""), strict=True))
    assert lines[0] == HEADER
    assert {len(line) for line in lines} == {len(HEADER)}
    return {line[0]: dict(zip(HEADER, line, strict=True)) for line in lines[1:]}


@pytest.mark.route("PL-135", call="POST /rest/v1/rpc/export_user_accounts")
def test_admins_export_users(
    academy: Academy, crowd: list[Person], admin: Person, moderator: Person, stranger: Person
) -> None:
    february = {"created_from": "2001-02-01", "created_to": "2001-03-01"}
    answer = export(academy, admin, **february)
    assert answer.headers["content-type"].startswith("text/csv")
    assert answer.content.startswith(b"\xef\xbb\xbfuser_id,")
    assert answer.content.endswith(b"\r\n")
    named = answer.headers["content-disposition"]
    assert named.startswith('attachment; filename="users-20')
    assert named.endswith('.csv"')
    assert answer.headers["cache-control"] == "no-store"

    found = table(answer)
    assert list(found) == [person.id for person in crowd]
    first = found[crowd[0].id]
    assert (first["email"], first["display_name"], first["roles"]) == (crowd[0].email, "Zoë Quick", "teacher")
    assert (first["is_public"], first["created_at"]) == ("true", "2001-02-01T00:00:00Z")
    assert found[crowd[1].id]["roles"] == "teacher moderator"

    for filters, expected in (
        ({"role": "teacher"}, [0, 1]),
        ({"role": "student"}, [2, 3, 4]),
        ({"status": "suspended"}, [4]),
        ({"q": "zoe quick"}, [0, 3]),
        ({"q": "zoe quick", "role": "teacher"}, [0]),
        ({"q": "nobody is called so"}, []),
    ):
        assert list(table(export(academy, admin, **february, **filters))) == [crowd[place].id for place in expected]
    last = "/rest/v1/audit_log?action=eq.account.export&order=id.desc&limit=1"
    (entry,) = rows(academy.call(admin, "GET", f"{last}&actor_id=eq.{admin.id}"))
    assert (entry["after"]["q"], entry["after"]["users"]) == ("nobody is called so", 0)

    for who in (moderator, stranger, academy.member("teacher")):
        refused(export(academy, who), 403, "role_required")
    refused(export(academy, crowd[4]), 403, "account_inactive")
    assert export(academy, None).status_code == 401


TYPED = [
    ("=1+1", "'=1+1"),
    ("+1", "'+1"),
    ("-1", "'-1"),
    ("@SUM(A1)", "'@SUM(A1)"),
    ("\t=1", "'\t'=1"),
    ("\r=1", "'\r'=1"),
    ("  =1", "'  =1"),
    ('"=1', "'\"=1"),
    ("'=1", "''=1"),
    ("\u00a0=1", "'\u00a0=1"),
    ("\ufeff=1", "'\ufeff=1"),
    ("\u3000\uff1d1", "'\u3000\uff1d1"),
    ("\uff0b1", "'\uff0b1"),
    ("\uff0d1", "'\uff0d1"),
    ("\uff20x", "'\uff20x"),
    ("x;=1", "x;'=1"),
    ('x";=1', "x\";'=1"),
    ("x\n=1", "x\n'=1"),
    ("x|-1", "x|'-1"),
    ("a-b", "a-b"),
    ("1+1=2", "1+1=2"),
    ('Say "hi", please', 'Say "hi", please'),
    ("two\r\nlines", "two\r\nlines"),
    ("Zoë \U0001f600", "Zoë \U0001f600"),
]
"""Typed text, and the cell in the export."""


def test_typed_text_cannot_become_a_formula(academy: Academy, admin: Person) -> None:
    people = {}
    for number, (typed, expected) in enumerate(TYPED):
        person = academy.member(name='=HYPERLINK("//example.com")')
        academy.sql(
            "update public.accounts set email = %s, status_reason = %s, created_at = '1999-01-01' where user_id = %s",
            f"={number}@example.com",
            typed,
            person.id,
        )
        people[person.id] = (f"'={number}@example.com", '\'=HYPERLINK("//example.com")', expected)
    found = table(export(academy, admin, created_from="1999-01-01", created_to="1999-01-02"))
    assert {
        user_id: (row["email"], row["display_name"], row["status_reason"]) for user_id, row in found.items()
    } == people


def test_an_export_has_every_row(academy: Academy, admin: Person) -> None:
    """The maximum of rows that PostgREST returns."""
    academy.sql(
        "insert into auth.users (id, aud, role, email, created_at)"
        " select gen_random_uuid(), 'authenticated', 'authenticated', gen_random_uuid() || '@example.com', now()"
        " from generate_series(1, 1200)"
    )
    [(total,)] = academy.sql("select count(*) from public.accounts")
    assert len(rows(academy.call(admin, "GET", "/rest/v1/user_accounts?select=user_id"))) == 1000
    assert len(table(export(academy, admin))) >= total


def test_the_list_is_read_only(academy: Academy, admin: Person) -> None:
    path = f"/rest/v1/user_accounts?user_id=eq.{admin.id}"
    assert academy.call(admin, "PATCH", path, {"email": "x"}).status_code == 403
    assert academy.call(admin, "DELETE", path).status_code == 403
    assert academy.call(admin, "POST", "/rest/v1/user_accounts", {"user_id": str(uuid.uuid4())}).status_code == 403
