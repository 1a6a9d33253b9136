"""What creators see of their students, and their private notes."""

import csv
import io
import uuid
from typing import Any

import httpx
import pytest

from tests.live.test_sessions import on, schedule
from tests.people import Academy, Course, Person, concurrently, refused, rows


@pytest.fixture(scope="module")
def creator(academy: Academy) -> Person:
    """A teacher with no other courses."""
    return academy.member("teacher", name="Ines")


@pytest.fixture(scope="module")
def courses(academy: Academy, creator: Person) -> tuple[Course, Course]:
    """Two published courses."""
    return academy.course(creator), academy.course(creator)


@pytest.fixture(scope="module")
def students(academy: Academy, courses: tuple[Course, Course]) -> list[Person]:
    """Zoë is half through the first course, Omar has completed it, Li left it; Zoë takes the second, too."""
    zoe, omar, li = academy.member(name="Zoë Quick"), academy.member(name="Omar Haddad"), academy.member(name="李 雷")
    first, second = courses
    for student in (zoe, omar, li):
        academy.enrol(student, first)
    academy.enrol(zoe, second)
    academy.rpc(zoe, "record_progress", lesson_id=first.lesson_ids[0], is_completed=True)
    for lesson in first.lesson_ids:
        academy.rpc(omar, "record_progress", lesson_id=lesson, is_completed=True)
    assert academy.rpc(omar, "submit_quiz", quiz_id=first.quiz_id, answers=first.correct_answers).json()["is_passed"]
    assert academy.rpc(li, "leave_course", course_id=first.id).status_code == 200
    return [zoe, omar, li]


def enrolment_id(academy: Academy, student: Person, course: Course) -> str:
    [(found,)] = academy.sql(
        "select id::text from public.enrolments where student_id = %s and course_id = %s", student.id, course.id
    )
    return str(found)


@pytest.mark.route("PL-067", call="GET /rest/v1/courses?creator_id=eq.{user_id}&status=eq.draft")
def test_a_creator_lists_their_courses(academy: Academy, creator: Person, stranger: Person) -> None:
    draft = academy.course(creator, published=False)
    path = f"/rest/v1/courses?creator_id=eq.{creator.id}&status=eq.draft&order=created_at.desc&select=id,lesson_count"
    assert rows(academy.call(creator, "GET", path)) == [{"id": draft.id, "lesson_count": 2}]
    assert rows(academy.call(stranger, "GET", path)) == []
    assert rows(academy.call(None, "GET", path)) == []
    academy.rpc(creator, "delete_course", course_id=draft.id)


@pytest.mark.route("PL-068", call="GET /rest/v1/course_students?creator_id=eq.{user_id}")
def test_a_creator_lists_their_students(
    academy: Academy, creator: Person, courses: tuple[Course, Course], students: list[Person], stranger: Person
) -> None:
    zoe, omar, li = students
    first, second = courses
    base = f"/rest/v1/course_students?creator_id=eq.{creator.id}"

    def listed(query: str) -> list[tuple[str, str]]:
        found = rows(academy.call(creator, "GET", f"{base}&{query}"))
        return [(row["student_id"], row["course_id"]) for row in found]

    every = [(zoe.id, second.id), (li.id, first.id), (omar.id, first.id), (zoe.id, first.id)]
    assert listed("order=enrolled_at.desc") == every
    assert listed("order=enrolled_at.desc&limit=2&offset=1") == every[1:3]
    assert listed(f"course_id=eq.{first.id}&order=enrolled_at.desc") == every[1:]
    assert listed("status=eq.completed") == [(omar.id, first.id)]
    assert listed("status=eq.cancelled") == [(li.id, first.id)]
    assert listed(f"course_id=eq.{first.id}&order=progress_percent.desc&status=neq.cancelled") == [
        (omar.id, first.id), (zoe.id, first.id),
    ]  # fmt: skip
    (row,) = rows(academy.call(creator, "GET", f"{base}&student_id=eq.{zoe.id}&course_id=eq.{first.id}"))
    assert (row["student_name"], row["progress_percent"], row["lesson_count"]) == ("Zoë Quick", 50, 2)
    assert (row["is_at_risk"], row["at_risk_reason"]) == (False, None)
    embedded = f"{base}&student_id=eq.{li.id}&select=student_name,sessions(status),enrolment_notes(body)"
    assert rows(academy.call(creator, "GET", embedded)) == [
        {"student_name": "李 雷", "sessions": [], "enrolment_notes": None}
    ]
    counted = academy.call(creator, "GET", f"{base}&limit=1", prefer="count=exact")
    assert counted.headers["content-range"] == "0-0/4"

    assert rows(academy.call(stranger, "GET", base)) == rows(academy.call(academy.member("teacher"), "GET", base)) == []
    assert academy.call(None, "GET", base).status_code == 401
    assert {row["student_id"] for row in rows(academy.call(zoe, "GET", base))} == {zoe.id}
    assert academy.call(creator, "PATCH", base, {"status": "completed"}).status_code == 403


@pytest.mark.route("PL-068", call="GET /rest/v1/rpc/search_students?q={q}")
def test_a_creator_searches_their_students(
    academy: Academy, creator: Person, courses: tuple[Course, Course], students: list[Person], stranger: Person
) -> None:
    zoe, omar, li = students

    def found(who: Person, q: str, query: str = "") -> list[str]:
        answer = academy.call(who, "GET", f"/rest/v1/rpc/search_students?q={q}&order=enrolled_at&{query}")
        return [row["student_id"] for row in rows(answer)]

    assert found(creator, "zoe") == found(creator, "quick zo") == [zoe.id, zoe.id]
    assert found(creator, "zoe", f"course_id=eq.{courses[1].id}") == [zoe.id]
    assert found(creator, "had oma") == [omar.id]
    assert found(creator, "李") == [li.id]
    assert found(creator, "zoe haddad") == found(creator, "") == found(creator, "%25") == []
    assert found(creator, zoe.email) == []  # addresses are not for creators
    assert found(academy.member("teacher"), "zoe") == []
    assert found(academy.member("moderator"), zoe.email) == [zoe.id, zoe.id]
    assert found(stranger, "zoe") == []
    refused(academy.call(zoe, "GET", "/rest/v1/rpc/search_students?q=zoe"), 403, "role_required")
    assert academy.call(None, "GET", "/rest/v1/rpc/search_students?q=zoe").status_code == 401


def test_only_the_name_of_a_hidden_profile_is_listed(academy: Academy, creator: Person) -> None:
    course, student = academy.course(creator), academy.member(name="Hidden Person")
    academy.enrol(student, course)
    handle = f"veiled-{student.id[:8]}"
    hidden = {"is_public": False, "handle": handle, "display_name": "Shady Figure"}
    assert academy.call(student, "PATCH", f"/rest/v1/profiles?id=eq.{student.id}", hidden).status_code == 204
    (row,) = rows(academy.call(creator, "GET", f"/rest/v1/course_students?course_id=eq.{course.id}"))
    assert (row["student_id"], row["student_name"]) == (student.id, "Shady Figure")
    assert (row["handle"], row["avatar_path"]) == (None, None)
    search = "/rest/v1/rpc/search_students?select=student_name&q="
    assert rows(academy.call(creator, "GET", search + "shady")) == [{"student_name": "Shady Figure"}]
    assert rows(academy.call(creator, "GET", search + "veiled")) == []
    assert "Shady Figure" in export(academy, creator, course_id=course.id).text
    assert handle not in export(academy, creator, course_id=course.id).text
    assert "Shady Figure" in academy.call(creator, "GET", "/rest/v1/rpc/creator_dashboard").text
    assert "Shady" not in academy.call(academy.member("teacher"), "GET", "/rest/v1/course_students").text
    academy.rpc(student, "leave_course", course_id=course.id)
    academy.rpc(creator, "delete_course", course_id=course.id)


DETAIL = (
    "select=*,course:courses(title),student:profiles(display_name,handle),certificates(status),"
    "quiz_attempts(attempt_number,score_percent,is_passed),lesson_progress(lesson_id,completed_at),"
    "enrolment_notes(body,is_at_risk),sessions(status,ends_at)"
)


@pytest.mark.route("PL-069", call="GET /rest/v1/enrolments?student_id=eq.{student_id}&select=*{more}")
@pytest.mark.route("PL-069", call="GET /rest/v1/module_progress?student_id=eq.{student_id}")
def test_a_creator_reads_one_student(
    academy: Academy, creator: Person, courses: tuple[Course, Course], students: list[Person], stranger: Person
) -> None:
    omar = students[1]
    schedule(academy, creator, enrolment_id(academy, omar, courses[0]), on(2))
    path = f"/rest/v1/enrolments?student_id=eq.{omar.id}&{DETAIL}"
    (row,) = rows(academy.call(creator, "GET", path))
    assert row["student"]["display_name"] == "Omar Haddad"
    assert row["certificates"] == [{"status": "issued"}]
    assert [(attempt["attempt_number"], attempt["is_passed"]) for attempt in row["quiz_attempts"]] == [(1, True)]
    assert len(row["lesson_progress"]) == 2
    assert [session["status"] for session in row["sessions"]] == ["scheduled"]
    modules = f"/rest/v1/module_progress?student_id=eq.{omar.id}"
    assert [row["completed_lesson_count"] for row in rows(academy.call(creator, "GET", modules))] == [2]
    for who in (stranger, academy.member("teacher")):
        assert rows(academy.call(who, "GET", path)) == rows(academy.call(who, "GET", modules)) == []
    assert academy.call(None, "GET", path).status_code == 401


@pytest.mark.route("PL-066", call="GET /rest/v1/rpc/creator_dashboard")
def test_the_dashboard_is_one_call(
    academy: Academy, creator: Person, courses: tuple[Course, Course], students: list[Person], stranger: Person
) -> None:
    zoe, omar, _ = students
    note = {"enrolment_id": enrolment_id(academy, zoe, courses[0]), "is_at_risk": True, "at_risk_reason": "Silent"}
    academy.insert(creator, "enrolment_notes", **note)
    assert academy.rpc(
        omar, "apply_as_student_teacher", course_id=courses[0].id, statement="I should like to"
    ).is_success
    answer = academy.call(creator, "GET", "/rest/v1/rpc/creator_dashboard")
    assert answer.status_code == 200, answer.text
    board = answer.json()
    assert board["courses"] == {"draft": 0, "published": 2, "paused": 0, "archived": 0, "suspended": 0}
    assert {name: value for name, value in board.items() if name.endswith(("_count", "_percent"))} == {
        "student_count": 2, "active_count": 2, "completed_count": 1, "cancelled_count": 1, "ended_count": 0,
        "refunded_count": 0, "completion_percent": 33, "at_risk_count": 1, "pending_approval_count": 1,
    }  # fmt: skip
    recent = board["recent_enrolments"]
    assert [(row["student_id"], row["course_id"]) for row in recent] == [
        (zoe.id, courses[1].id), (omar.id, courses[0].id), (zoe.id, courses[0].id),
    ]  # fmt: skip
    empty = academy.call(stranger, "GET", "/rest/v1/rpc/creator_dashboard").json()
    assert (empty["student_count"], empty["completion_percent"], empty["recent_enrolments"]) == (0, 0, [])
    for who in (zoe, academy.member("admin")):
        refused(academy.call(who, "GET", "/rest/v1/rpc/creator_dashboard"), 403, "role_required")
    assert academy.call(None, "GET", "/rest/v1/rpc/creator_dashboard").status_code == 401


@pytest.mark.route("PL-078", call="GET /rest/v1/pending_approvals?creator_id=eq.{user_id}")
def test_pending_approvals_of_a_creator(academy: Academy, stranger: Person) -> None:
    teacher, helper, student = academy.member("teacher"), academy.member(name="Helper"), academy.member(name="Amara")
    course = academy.course(teacher)
    for person in (helper, student):
        academy.enrol(person, course)
    assert academy.rpc(helper, "submit_quiz", quiz_id=course.quiz_id, answers=course.correct_answers).json()[
        "is_passed"
    ]
    applied = academy.rpc(helper, "apply_as_student_teacher", course_id=course.id, statement="I should like to")
    path = f"/rest/v1/pending_approvals?creator_id=eq.{teacher.id}&order=created_at"
    (asked,) = rows(academy.call(teacher, "GET", path))
    assert (asked["kind"], asked["id"], asked["user_id"]) == ("student_teacher", applied.json()["id"], helper.id)
    assert academy.rpc(teacher, "decide_student_teacher", student_teacher_id=asked["id"], is_approved=True).is_success
    enrolled_as = enrolment_id(academy, student, course)
    assert academy.rpc(
        teacher, "assign_student_teacher", enrolment_id=enrolled_as, student_teacher_id=asked["id"]
    ).is_success
    recommended = academy.rpc(helper, "recommend_certificate", enrolment_id=enrolled_as)
    assert recommended.status_code == 200, recommended.text
    (asked,) = rows(academy.call(teacher, "GET", path))
    assert (asked["kind"], asked["user_id"], asked["user_name"]) == ("certificate", student.id, "Amara")
    for who in (stranger, academy.member("teacher")):
        assert rows(academy.call(who, "GET", path)) == []
    assert academy.call(None, "GET", path).status_code == 401


# The file


def export(academy: Academy, who: Person | None, **arguments: Any) -> httpx.Response:
    return academy.call(who, "POST", "/rest/v1/rpc/export_students", arguments, accept="text/csv")


def table(answer: httpx.Response) -> list[dict[str, str]]:
    assert answer.status_code == 200, answer.text
    return list(csv.DictReader(io.StringIO(answer.content.decode("utf-8-sig"), newline=""), strict=True))


@pytest.mark.route("PL-070", call="POST /rest/v1/rpc/export_students")
def test_a_creator_exports_their_students(
    academy: Academy, creator: Person, courses: tuple[Course, Course], students: list[Person], stranger: Person
) -> None:
    zoe, omar, li = students
    answer = export(academy, creator)
    assert answer.headers["content-type"].startswith("text/csv")
    assert answer.headers["content-disposition"].startswith('attachment; filename="students-20')
    lines = table(answer)
    assert [line["student_id"] for line in lines] == [zoe.id, omar.id, li.id, zoe.id]
    assert [line["access"] for line in lines] == ["open", "open", "ended", "open"]
    # Addresses are for admins.
    assert "email" not in lines[0]
    assert zoe.email not in answer.text
    assert (lines[0]["student_name"], lines[0]["progress_percent"], lines[2]["status"]) == (
        "Zoë Quick",
        "50",
        "cancelled",
    )
    assert [line["student_id"] for line in table(export(academy, creator, course_id=courses[1].id))] == [zoe.id]
    assert [line["student_id"] for line in table(export(academy, creator, status="completed"))] == [omar.id]
    assert table(export(academy, stranger)) == table(export(academy, stranger, course_id=courses[0].id)) == []
    for who in (zoe, academy.member("moderator")):
        refused(export(academy, who), 403, "role_required")
    assert export(academy, None).status_code == 401


def test_the_file_is_complete_and_has_no_formulas(academy: Academy) -> None:
    teacher = academy.member("teacher")
    course = academy.course(teacher)
    academy.sql(
        "with people as (insert into auth.users (id, aud, role, email, raw_user_meta_data)"
        " select gen_random_uuid(), 'authenticated', 'authenticated', gen_random_uuid() || '@example.com',"
        """ '{"name": "=1+1"}' from generate_series(1, 1100) returning id)"""
        " select count(*) from people"
    )
    academy.sql(
        "insert into public.enrolments (course_id, student_id, source)"
        " select %s, p.id, 'free' from public.profiles as p where p.display_name = '=1+1'",
        course.id,
    )
    lines = table(export(academy, teacher))
    assert len(lines) == 1100
    assert {line["student_name"] for line in lines} == {"'=1+1"}
    assert len(rows(academy.call(teacher, "GET", f"/rest/v1/course_students?course_id=eq.{course.id}"))) == 1000


# Private notes


@pytest.mark.route("PL-047", "PL-048", call="POST /rest/v1/enrolment_notes?on_conflict=enrolment_id")
def test_creators_write_notes_and_students_never_read_them(academy: Academy, creator: Person, stranger: Person) -> None:
    student, course = academy.member(), academy.course(academy.member("teacher"))
    teacher = course.teacher
    enrolled_as = academy.enrol(student, course)
    path = "/rest/v1/enrolment_notes?on_conflict=enrolment_id"
    one = f"/rest/v1/enrolment_notes?enrolment_id=eq.{enrolled_as}"
    shown = {"prefer": "return=representation,resolution=merge-duplicates"}
    note = {"enrolment_id": enrolled_as, "body": "Asks good questions."}
    (made,) = rows(academy.call(teacher, "POST", path, note, **shown))
    assert (made["course_id"], made["student_id"], made["is_at_risk"]) == (course.id, student.id, False)
    flag = {"enrolment_id": enrolled_as, "is_at_risk": True, "at_risk_reason": "Two weeks silent"}
    (flagged,) = rows(academy.call(teacher, "POST", path, flag, **shown))
    assert (flagged["flagged_by"], flagged["body"], flagged["flagged_at"] is None) == (
        teacher.id, "Asks good questions.", False,
    )  # fmt: skip
    # The flag needs no note before it.
    other = academy.enrol(academy.member(), course)
    (alone,) = rows(academy.call(teacher, "POST", path, flag | {"enrolment_id": other}, **shown))
    assert (alone["enrolment_id"], alone["is_at_risk"], alone["flagged_by"]) == (other, True, teacher.id)
    (again,) = rows(academy.call(teacher, "POST", path, {**note, "body": "Better."}, **shown))
    assert (again["body"], again["flagged_at"]) == ("Better.", flagged["flagged_at"])

    reader = f"/rest/v1/course_students?enrolment_id=eq.{enrolled_as}"
    (row,) = rows(academy.call(teacher, "GET", reader))
    assert (row["is_at_risk"], row["at_risk_reason"]) == (True, "Two weeks silent")
    assert [row["enrolment_id"] for row in rows(academy.call(teacher, "GET", f"{reader}&is_at_risk=is.true"))] == [
        enrolled_as
    ]
    # The student reads neither notes nor flag in any way.
    assert rows(academy.call(student, "GET", one)) == []
    (row,) = rows(academy.call(student, "GET", reader))
    assert (row["is_at_risk"], row["at_risk_reason"]) == (False, None)
    assert rows(academy.call(student, "GET", f"{reader}&is_at_risk=is.true")) == []
    embedded = f"/rest/v1/enrolments?id=eq.{enrolled_as}&select=id,enrolment_notes(*)"
    assert rows(academy.call(student, "GET", embedded)) == [{"id": enrolled_as, "enrolment_notes": None}]
    taken = academy.rpc(student, "export_my_data").json()
    assert taken["enrolment_notes"] == []
    assert "silent" not in str(taken)
    # Nobody else writes them.
    for who in (student, stranger, creator, academy.member("moderator")):
        for body in (note, {**note, "is_at_risk": False}):
            assert academy.call(who, "POST", path, body, **shown).status_code == 403
        assert rows(academy.call(who, "PATCH", one, {"is_at_risk": False}, **shown)) == []
        assert rows(academy.call(who, "DELETE", one, prefer="return=representation")) == []
    for who in (stranger, creator):
        assert rows(academy.call(who, "GET", one)) == []
    assert academy.call(None, "GET", one).status_code == 401
    for column in ("flagged_by", "flagged_at", "course_id", "student_id"):
        assert academy.call(teacher, "PATCH", one, {column: None}).status_code == 403

    (calm,) = rows(academy.call(teacher, "PATCH", one, {"is_at_risk": False}, **shown))
    assert (calm["at_risk_reason"], calm["flagged_at"], calm["flagged_by"]) == (None, None, None)
    assert academy.sql("select action from public.audit_log where target_id = %s", enrolled_as) == []
    admin = academy.member("admin")
    assert len(rows(academy.call(admin, "PATCH", one, {"is_at_risk": True}, **shown))) == 1
    assert academy.sql("select action, after from public.audit_log where target_id = %s", enrolled_as) == [
        ("enrolment_note.update", {"is_at_risk": True})
    ]
    nowhere = {"enrolment_id": str(uuid.uuid4()), "body": "Nobody"}
    for who in (teacher, admin):
        assert academy.call(who, "POST", path, nowhere).status_code == 403


def test_notes_are_not_moved_to_another_creators_student(academy: Academy, creator: Person) -> None:
    own, other = academy.course(academy.member("teacher")), academy.course(creator)
    mine, theirs = academy.enrol(academy.member(), own), academy.enrol(academy.member(), other)
    academy.insert(own.teacher, "enrolment_notes", enrolment_id=mine, body="Mine")
    moved = academy.call(
        own.teacher, "PATCH", f"/rest/v1/enrolment_notes?enrolment_id=eq.{mine}", {"enrolment_id": theirs}
    )
    assert moved.status_code == 403


def test_the_assigned_student_teacher_reads_the_notes(academy: Academy) -> None:
    teacher, helper, student = academy.member("teacher"), academy.member(), academy.member()
    course = academy.course(teacher)
    for person in (helper, student):
        academy.enrol(person, course)
    academy.rpc(helper, "submit_quiz", quiz_id=course.quiz_id, answers=course.correct_answers)
    asked = academy.rpc(helper, "apply_as_student_teacher", course_id=course.id, statement="Gladly").json()["id"]
    academy.rpc(teacher, "decide_student_teacher", student_teacher_id=asked, is_approved=True)
    enrolled_as = enrolment_id(academy, student, course)
    academy.insert(teacher, "enrolment_notes", enrolment_id=enrolled_as, body="Shy")
    path = f"/rest/v1/enrolment_notes?enrolment_id=eq.{enrolled_as}"
    assert rows(academy.call(helper, "GET", path)) == []
    academy.rpc(teacher, "assign_student_teacher", enrolment_id=enrolled_as, student_teacher_id=asked)
    assert [row["body"] for row in rows(academy.call(helper, "GET", path))] == ["Shy"]
    assert rows(academy.call(helper, "PATCH", path, {"body": "Mine"}, prefer="return=representation")) == []
    listed = f"/rest/v1/course_students?student_teacher_id=eq.{asked}"
    assert [row["enrolment_id"] for row in rows(academy.call(helper, "GET", listed))] == [enrolled_as]


# The mail


@pytest.mark.route("CM-022", call="POST /rest/v1/rpc/send_enrolment_mail")
def test_the_enrolment_mail_is_sent_again(academy: Academy, stranger: Person) -> None:
    teacher, student = academy.member("teacher"), academy.member()
    course = academy.course(teacher)
    academy.enrol(student, course)
    [(title,)] = academy.sql("select title from public.courses where id = %s", course.id)

    def sent() -> int:
        mails = academy.sql("select template, params from private.mail_outbox where user_id = %s", student.id)
        assert {(template, params["course_title"]) for template, params in mails} == {("enrolment_confirmed", title)}
        return len(mails)

    def send(who: Person | None, user_id: str = student.id) -> httpx.Response:
        return academy.rpc(who, "send_enrolment_mail", course_id=course.id, user_id=user_id)

    assert sent() == 1
    assert {answer.status_code for answer in concurrently(4, lambda _: send(teacher))} == {204}
    assert send(academy.member("admin")).status_code == 204
    assert sent() == 2  # once a day
    refused(send(teacher, stranger.id), 404, "enrolment_not_found")
    for who in (student, stranger, academy.member("teacher"), academy.member("moderator")):
        refused(send(who), 404, "course_not_found")
    assert send(None).status_code == 401
    academy.rpc(student, "leave_course", course_id=course.id)
    refused(send(teacher), 404, "enrolment_not_found")
