"""Admins change enrolments, moderators only read them, and the audit log records every change."""

import csv
import io
import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from tests.live.test_sessions import on, schedule
from tests.people import Academy, Course, Person, concurrently, refused, rows

DAY = "2001-03-{day:02}T00:00:00+00:00"
"""The month in which the students of these tests enrolled, and nobody else."""


@pytest.fixture(scope="module")
def admin(academy: Academy) -> Person:
    """An admin."""
    return academy.member("admin")


@pytest.fixture(scope="module")
def enrolments(academy: Academy, course: Course) -> list[tuple[str, Person]]:
    """Three enrolments of March 2001: active, completed, cancelled; the first has a student-teacher."""
    found = []
    for day, name in enumerate(("Zoë Quick", "Omar Haddad", "Zoe Quickly"), 1):
        student = academy.member(name=name)
        found.append((academy.enrol(student, course), student))
        academy.sql("update public.enrolments set enrolled_at = %s where id = %s", DAY.format(day=day), found[-1][0])
    academy.sql("update public.enrolments set status = 'completed' where id = %s", found[1][0])
    academy.sql("update public.enrolments set status = 'cancelled' where id = %s", found[2][0])
    helper = academy.member()
    academy.sql(
        "with helper as (insert into public.student_teachers (course_id, user_id, status, statement, decided_at)"
        " values (%s, %s, 'approved', 'Gladly', now()) returning id)"
        " update public.enrolments as e set student_teacher_id = h.id from helper as h where e.id = %s",
        course.id,
        helper.id,
        found[0][0],
    )
    return found


def log(academy: Academy, enrolment_id: str) -> list[tuple[str, str]]:
    """The actors and actions about an enrolment in the audit log."""
    return [
        (action, str(actor))
        for action, actor in academy.sql(
            "select action, actor_id from public.audit_log where target_table = 'enrolments' and target_id = %s"
            " order by id",
            enrolment_id,
        )
    ]


def none_but_admins(academy: Academy, name: str, **arguments: Any) -> None:
    """Everybody else is refused, whatever their part in the enrolment."""
    for role in ("moderator", "teacher"):
        refused(academy.rpc(academy.member(role), name, **arguments), 403, "role_required")
    refused(academy.rpc(academy.member(), name, **arguments), 403, "role_required")
    suspended = academy.member("admin")
    academy.suspend(suspended)
    refused(academy.rpc(suspended, name, **arguments), 403, "account_inactive")
    assert academy.rpc(None, name, **arguments).status_code == 401


MARCH = "enrolled_at=gte.2001-03-01&enrolled_at=lt.2001-04-01"
FILTERS: list[tuple[str, list[int]]] = [
    ("", [2, 1, 0]),
    ("status=eq.active", [0]),
    ("status=eq.cancelled", [2]),
    ("student_teacher_id=not.is.null", [0]),
    ("student_teacher_id=is.null", [2, 1]),
    ("enrolled_at=gte.2001-03-02&enrolled_at=lt.2001-03-03", [1]),
    ("limit=1&offset=1", [1]),
]


@pytest.mark.route(
    "PL-145", call="GET /rest/v1/course_students?enrolled_at=gte.{from}&order=enrolled_at.desc,enrolment_id"
)
@pytest.mark.route("PL-145", call="GET /rest/v1/rpc/search_students?q={q}&enrolled_at=gte.{from}")
@pytest.mark.parametrize("role", ["admin", "moderator"])
def test_admins_list_enrolments(
    academy: Academy, course: Course, enrolments: list[tuple[str, Person]], role: str, stranger: Person
) -> None:
    reader = academy.member(role)

    def listed(who: Person | None, query: str, path: str = "course_students?") -> httpx.Response:
        return academy.call(who, "GET", f"/rest/v1/{path}{MARCH}&{query}")

    for query, expected in FILTERS:
        found = rows(listed(reader, f"order=enrolled_at.desc&course_id=eq.{course.id}&{query}"))
        assert [row["enrolment_id"] for row in found] == [enrolments[place][0] for place in expected], query
    first = rows(listed(reader, "order=enrolled_at.desc,enrolment_id&limit=1"))
    assert [row["student_name"] for row in first] == ["Zoe Quickly"]
    answer = academy.call(reader, "GET", f"/rest/v1/course_students?{MARCH}&limit=1", prefer="count=exact")
    assert answer.headers["content-range"] == "0-0/3"

    search = "rpc/search_students?q={}&"
    for q, expected in (("zoe%20quick", [0, 2]), (enrolments[1][1].email, [1])):
        found = rows(listed(reader, "order=enrolled_at", search.format(q)))
        assert [row["enrolment_id"] for row in found] == [enrolments[place][0] for place in expected]

    assert rows(listed(stranger, "order=enrolled_at.desc,enrolment_id&limit=1")) == []
    assert listed(None, "").status_code == 401
    refused(listed(enrolments[0][1], "order=enrolled_at", search.format("zoe")), 403, "role_required")


DETAIL = (
    "select=*,course:courses(title,creator:profiles(display_name)),student:user_accounts(email,display_name),"
    "sessions(status,starts_at,host:profiles!host_id(display_name)),"
    "buyer:profiles!student_id(orders!buyer_id(status,course_id,amount,currency)),"
    "certificates(status,code),quiz_attempts(is_passed),student_teacher:student_teachers!enrolments_student_teacher_id_fkey(id),"
    "enrolment_notes(body)"
)


@pytest.mark.route("PL-146", call="GET /rest/v1/enrolments?id=eq.{enrolment_id}&select=*{more}")
@pytest.mark.route("PL-146", call="GET /rest/v1/module_progress?enrolment_id=eq.{enrolment_id}")
def test_admins_read_one_enrolment(
    academy: Academy, course: Course, enrolments: list[tuple[str, Person]], admin: Person, stranger: Person
) -> None:
    enrolment_id, student = enrolments[0]
    path = f"/rest/v1/enrolments?id=eq.{enrolment_id}&{DETAIL}"
    modules = f"/rest/v1/module_progress?enrolment_id=eq.{enrolment_id}"
    path += f"&buyer.orders.course_id=eq.{course.id}"
    schedule(academy, course.teacher, enrolment_id, on(3))
    for who in (admin, academy.member("moderator")):
        (row,) = rows(academy.call(who, "GET", path))
        assert (row["student"]["email"], row["course"]["creator"]["display_name"]) == (student.email, "Ines")
        assert row["student_teacher"]["id"] == row["student_teacher_id"]
        (session,) = row["sessions"]
        assert (session["status"], session["host"]) == ("scheduled", {"display_name": "Ines"})
        assert row["buyer"] == {"orders": []}  # it was free
        assert [row["lesson_count"] for row in rows(academy.call(who, "GET", modules))] == [2]
    assert rows(academy.call(stranger, "GET", path)) == rows(academy.call(stranger, "GET", modules)) == []
    assert academy.call(None, "GET", path).status_code == 401


@pytest.mark.route("PL-147", call="POST /rest/v1/rpc/enrol_student_manually")
def test_admins_enrol_a_student(academy: Academy, admin: Person, teacher: Person) -> None:
    paid, draft = academy.course(teacher, price_amount=4900), academy.course(teacher, published=False)
    student = academy.member()
    until = (datetime.now(UTC) + timedelta(days=9)).isoformat()
    about = {"user_id": student.id, "course_id": paid.id}
    none_but_admins(academy, "enrol_student_manually", **about)
    refused(academy.rpc(teacher, "enrol_student_manually", **about), 403, "role_required")  # its creator, too

    made = academy.rpc(admin, "enrol_student_manually", **about, access_until=until)
    assert made.status_code == 200, made.text
    row = made.json()
    assert (row["source"], row["status"], row["student_id"]) == ("manual", "active", student.id)
    assert datetime.fromisoformat(row["access_until"]) == datetime.fromisoformat(until)
    assert log(academy, row["id"]) == [("enrolment.create", admin.id)]
    assert len(rows(academy.call(student, "GET", f"/rest/v1/lesson_contents?course_id=eq.{paid.id}"))) == 2
    mails = academy.sql(
        "select template, params ->> 'access_until' from private.mail_outbox where user_id = %s", student.id
    )
    assert [(template, bool(instant)) for template, instant in mails] == [("enrolment_confirmed", True)]
    refused(academy.rpc(admin, "enrol_student_manually", **about), 409, "already_enrolled")
    assert academy.rpc(admin, "enrol_student_manually", user_id=student.id, course_id=draft.id).status_code == 200

    refused(academy.rpc(admin, "enrol_student_manually", user_id=teacher.id, course_id=paid.id), 409, "own_course")
    nobody = str(uuid.uuid4())
    refused(academy.rpc(admin, "enrol_student_manually", user_id=nobody, course_id=paid.id), 404, "user_not_found")
    refused(academy.rpc(admin, "enrol_student_manually", user_id=student.id, course_id=nobody), 404, "course_not_found")
    academy.sql("update public.courses set status = 'suspended' where id = %s", paid.id)
    someone = academy.member()
    refused(academy.rpc(admin, "enrol_student_manually", user_id=someone.id, course_id=paid.id), 409, "course_closed")


def test_concurrent_enrolments_by_admins_are_one(academy: Academy, course: Course) -> None:
    admins, student = [academy.member("admin") for _ in range(6)], academy.member()
    answers = concurrently(
        6, lambda n: academy.rpc(admins[n], "enrol_student_manually", user_id=student.id, course_id=course.id)
    )
    assert {answer.status_code for answer in answers} <= {200, 409}
    assert len({answer.json()["id"] for answer in answers if answer.status_code == 200}) == 1
    assert academy.sql("select enrolment_count from public.user_stats where user_id = %s", student.id) == [(1,)]


@pytest.mark.route("PL-148", call="POST /rest/v1/rpc/update_enrolment")
def test_admins_change_when_access_ends(academy: Academy, admin: Person, course: Course, enrolled: Person) -> None:
    [(enrolment_id,)] = academy.sql("select id::text from public.enrolments where student_id = %s", enrolled.id)
    past = (datetime.now(UTC) - timedelta(days=1)).isoformat()
    none_but_admins(academy, "update_enrolment", enrolment_id=enrolment_id, access_until=past)
    for until in (past, past, None):
        answer = academy.rpc(admin, "update_enrolment", enrolment_id=enrolment_id, access_until=until)
        assert answer.status_code == 200, answer.text
        is_open = academy.rpc(enrolled, "record_progress", lesson_id=course.lesson_ids[0]).status_code == 200
        assert is_open == (until is None)
    assert log(academy, enrolment_id) == [("enrolment.update", admin.id)] * 2
    nobody = str(uuid.uuid4())
    refused(academy.rpc(admin, "update_enrolment", enrolment_id=nobody, access_until=None), 404, "enrolment_not_found")


@pytest.mark.route("PL-151", call="POST /rest/v1/rpc/cancel_enrolment")
def test_admins_cancel_with_a_reason(academy: Academy, admin: Person, course: Course, enrolled: Person) -> None:
    [(enrolment_id,)] = academy.sql("select id::text from public.enrolments where student_id = %s", enrolled.id)
    about = {"enrolment_id": enrolment_id, "reason": "Copied the answers."}
    none_but_admins(academy, "cancel_enrolment", **about)
    for reason in ("", " \n", None):
        refused(academy.rpc(admin, "cancel_enrolment", **{**about, "reason": reason}), 422, "reason_missing")
    refused(
        academy.rpc(admin, "cancel_enrolment", **{**about, "enrolment_id": str(uuid.uuid4())}),
        404,
        "enrolment_not_found",
    )
    # A student who left, and whom an admin cancels then, does not come back.
    assert academy.rpc(enrolled, "leave_course", course_id=course.id).status_code == 200
    for _ in range(2):
        done = academy.rpc(admin, "cancel_enrolment", **about).json()
        assert (done["status"], done["cancelled_by"], done["cancellation_reason"]) == (
            "cancelled", admin.id, "Copied the answers.",
        )  # fmt: skip
    refused(academy.rpc(enrolled, "enrol", course_id=course.id), 403, "enrolment_cancelled")
    refused(academy.rpc(enrolled, "record_progress", lesson_id=course.lesson_ids[0]), 403, "not_enrolled")
    assert log(academy, enrolment_id) == [("enrolment.cancel", admin.id)]
    mails = academy.sql(
        "select params ->> 'reason' from private.mail_outbox where user_id = %s and template = %s",
        enrolled.id,
        "enrolment_cancelled",
    )
    assert mails == [("Copied the answers.",)]
    again = academy.rpc(admin, "enrol_student_manually", user_id=enrolled.id, course_id=course.id).json()
    assert (again["id"], again["status"], again["cancelled_by"], again["cancellation_reason"]) == (
        enrolment_id, "active", None, None,
    )  # fmt: skip


@pytest.mark.route("PL-153", call="POST /rest/v1/rpc/force_complete_enrolment")
def test_admins_complete_by_force(academy: Academy, admin: Person, enrolled: Person) -> None:
    [(enrolment_id,)] = academy.sql("select id::text from public.enrolments where student_id = %s", enrolled.id)
    none_but_admins(academy, "force_complete_enrolment", enrolment_id=enrolment_id)
    refused(academy.rpc(enrolled, "force_complete_enrolment", enrolment_id=enrolment_id), 403, "role_required")
    for _ in range(2):
        done = academy.rpc(admin, "force_complete_enrolment", enrolment_id=enrolment_id).json()
        assert (done["status"], done["completed_at"] is None, done["completed_lesson_count"]) == ("completed", False, 0)
    assert log(academy, enrolment_id) == [("enrolment.force_complete", admin.id)]
    # No certificate follows: none was earned.
    assert rows(academy.call(enrolled, "GET", f"/rest/v1/certificates?student_id=eq.{enrolled.id}")) == []
    assert academy.rpc(admin, "cancel_enrolment", enrolment_id=enrolment_id, reason="A mistake").status_code == 200
    refused(academy.rpc(admin, "force_complete_enrolment", enrolment_id=enrolment_id), 409, "illegal_transition")
    nobody = str(uuid.uuid4())
    refused(academy.rpc(admin, "force_complete_enrolment", enrolment_id=nobody), 404, "enrolment_not_found")


@pytest.mark.route("PL-149", call="POST /rest/v1/rpc/delete_enrolment")
def test_admins_delete_an_enrolment(academy: Academy, admin: Person, course: Course, enrolled: Person) -> None:
    [(enrolment_id,)] = academy.sql("select id::text from public.enrolments where student_id = %s", enrolled.id)
    academy.rpc(enrolled, "record_progress", lesson_id=course.lesson_ids[0], is_completed=True)
    academy.rpc(enrolled, "submit_quiz", quiz_id=course.quiz_id, answers={})
    academy.insert(course.teacher, "enrolment_notes", enrolment_id=enrolment_id, body="Shy")
    none_but_admins(academy, "delete_enrolment", enrolment_id=enrolment_id)
    assert academy.rpc(admin, "delete_enrolment", enrolment_id=enrolment_id).status_code == 204
    for table in ("enrolments", "lesson_progress", "quiz_attempts", "enrolment_notes"):
        assert rows(academy.call(admin, "GET", f"/rest/v1/{table}?student_id=eq.{enrolled.id}")) == []
    assert academy.sql("select enrolment_count from public.user_stats where user_id = %s", enrolled.id) == [(0,)]
    assert log(academy, enrolment_id) == [("enrolment.delete", admin.id)]
    refused(academy.rpc(admin, "delete_enrolment", enrolment_id=enrolment_id), 404, "enrolment_not_found")

    certified = academy.member()
    enrolment_id = academy.enrol(certified, course)
    academy.rpc(certified, "submit_quiz", quiz_id=course.quiz_id, answers=course.correct_answers)
    refused(academy.rpc(admin, "delete_enrolment", enrolment_id=enrolment_id), 409, "enrolment_in_use")
    assert log(academy, enrolment_id) == []


@pytest.mark.route("PL-154", call="POST /rest/v1/rpc/export_enrolments")
def test_admins_export_enrolments(
    academy: Academy, course: Course, enrolments: list[tuple[str, Person]], admin: Person
) -> None:
    march = {"enrolled_from": "2001-03-01", "enrolled_to": "2001-04-01"}

    def export(who: Person | None, **arguments: Any) -> httpx.Response:
        return academy.call(who, "POST", "/rest/v1/rpc/export_enrolments", arguments, accept="text/csv")

    for filters, expected in (
        ({}, [0, 1, 2]),
        ({"status": "completed"}, [1]),
        ({"is_assigned": True}, [0]),
        ({"is_assigned": False}, [1, 2]),
        ({"q": "zoe quick"}, [0, 2]),
        ({"course_id": course.id, "q": enrolments[1][1].email}, [1]),
        ({"course_id": str(uuid.uuid4())}, []),
    ):
        answer = export(admin, **march, **filters)
        assert answer.status_code == 200, answer.text
        lines = list(csv.DictReader(io.StringIO(answer.content.decode("utf-8-sig"), newline=""), strict=True))
        assert [line["enrolment_id"] for line in lines] == [enrolments[place][0] for place in expected], filters
        assert [line["email"] for line in lines] == [enrolments[place][1].email for place in expected]
    assert answer.headers["content-disposition"].startswith('attachment; filename="enrolments-20')
    entries = academy.sql(
        "select after -> 'enrolments' from public.audit_log where action = 'enrolment.export' and actor_id = %s"
        " order by id",
        admin.id,
    )
    assert [count for (count,) in entries] == [3, 1, 1, 2, 2, 1, 0]
    none_but_admins(academy, "export_enrolments")
    assert export(None).status_code == 401


def test_a_course_that_an_admin_closed_stays_closed(academy: Academy, admin: Person, course: Course) -> None:
    student = academy.member()
    enrolment_id = academy.enrol(student, course)
    past = (datetime.now(UTC) - timedelta(hours=1)).isoformat()
    closed = academy.rpc(admin, "update_enrolment", enrolment_id=enrolment_id, access_until=past)
    assert closed.json()["access_decided_by"] == admin.id, closed.text
    refused(academy.rpc(student, "enrol", course_id=course.id), 403, "enrolment_cancelled")
    assert academy.rpc(student, "course_access", course_id=course.id).json()["can_enrol"] is False
    none_but_admins(academy, "lift_enrolment_bar", enrolment_id=enrolment_id)
    assert academy.rpc(admin, "lift_enrolment_bar", enrolment_id=enrolment_id).status_code == 200
    refused(academy.rpc(admin, "lift_enrolment_bar", enrolment_id=enrolment_id), 409, "enrolment_not_barred")
    assert academy.rpc(student, "enrol", course_id=course.id).json()["access_until"] is None
