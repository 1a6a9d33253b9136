"""Deleting courses, and actions of moderators and admins on them: mailed to the creator, and audited."""

from collections.abc import Callable
from typing import Any

import httpx
import pytest

from tests.people import Academy, Course, Person, concurrently, refused, rows

SHOWN = {"prefer": "return=representation"}


@pytest.fixture(scope="module")
def moderator(academy: Academy) -> Person:
    """A moderator."""
    return academy.member("moderator")


def record(academy: Academy, action: str, course_id: str) -> tuple[str, Any, Any]:
    """The actor, before and after of this action in the audit log; fails unless it is there once."""
    found = academy.sql(
        "select actor_id::text, before, after from public.audit_log"
        " where target_table = 'courses' and target_id = %s and action = %s",
        course_id,
        action,
    )
    assert len(found) == 1, found
    return found[0]


def records(academy: Academy, course_id: str) -> int:
    """The number of rows about a course in the audit log."""
    [(count,)] = academy.sql("select count(*) from public.audit_log where target_id = %s", course_id)
    return int(count)


def mails(academy: Academy, person: Person, template: str) -> list[Any]:
    """The mails to somebody."""
    statement = "select params from private.mail_outbox where user_id = %s and template = %s"
    return [params for (params,) in academy.sql(statement, person.id, template)]


def sees(academy: Academy, who: Person | None, course: Course) -> bool:
    """Whether somebody reads the course, and its content."""
    found = {
        bool(rows(academy.call(who, "GET", f"/rest/v1/{table}?{column}=eq.{course.id}")))
        for table, column in (("courses", "id"), ("modules", "course_id"), ("lessons", "course_id"))
    }
    assert len(found) == 1
    return found.pop()


@pytest.mark.route("PL-034", "PL-139", "WC-148", call="POST /rest/v1/rpc/delete_course")
def test_a_course_without_students_is_deleted(
    academy: Academy, teacher: Person, stranger: Person, student: Person, admin: Person
) -> None:
    course, other = academy.course(teacher), academy.course(teacher)
    for who in (stranger, student):
        refused(academy.rpc(who, "delete_course", course_id=course.id), 404, "course_not_found")
    assert academy.rpc(None, "delete_course", course_id=course.id).status_code == 401
    assert academy.rpc(teacher, "delete_course", course_id=course.id).json() is True
    assert academy.sql("select from public.courses where id = %s", course.id) == []
    assert records(academy, course.id) == 0
    refused(academy.rpc(teacher, "delete_course", course_id=course.id), 404, "course_not_found")

    assert academy.rpc(admin, "delete_course", course_id=other.id).json() is True
    actor, before, after = record(academy, "course.delete", other.id)
    assert (actor, before["slug"], before["creator_id"], after) == (admin.id, other.slug, teacher.id, None)


def test_a_course_with_students_disappears_for_all_others(
    academy: Academy, teacher: Person, stranger: Person, admin: Person, moderator: Person
) -> None:
    course, student = academy.course(teacher), academy.member()
    academy.enrol(student, course)
    assert academy.rpc(admin, "feature_course", course_id=course.id).status_code == 200
    assert academy.rpc(teacher, "delete_course", course_id=course.id).json() is False
    for who, expected in (
        (None, False), (stranger, False), (teacher, False), (student, True), (moderator, True), (admin, True)
    ):  # fmt: skip
        assert sees(academy, who, course) is expected
    contents = f"/rest/v1/lesson_contents?course_id=eq.{course.id}"
    assert len(rows(academy.call(student, "GET", contents))) == 2
    assert rows(academy.call(teacher, "GET", contents)) == []
    assert academy.rpc(student, "record_progress", lesson_id=course.lesson_ids[0], is_completed=True).status_code == 200
    refused(academy.rpc(stranger, "enrol", course_id=course.id), 404, "course_not_found")

    path = f"/rest/v1/courses?id=eq.{course.id}"
    assert rows(academy.call(teacher, "PATCH", path, {"title": "Back"}, **SHOWN)) == []
    for call in ("publish_course", "unpublish_course", "archive_course", "delete_course", "publication_checklist"):
        refused(academy.rpc(teacher, call, course_id=course.id), 404, "course_not_found")
    lesson = {"module_id": course.module_id, "title": "One more"}
    assert academy.call(teacher, "POST", "/rest/v1/lessons", lesson).status_code == 403
    for call in ("publish_course", "archive_course"):
        refused(academy.rpc(admin, call, course_id=course.id), 409, "illegal_transition")
    listed = f"/rest/v1/courses?status=eq.deleted&id=eq.{course.id}&select=status,is_featured"
    for who in (moderator, admin):
        assert rows(academy.call(who, "GET", listed)) == [{"status": "deleted", "is_featured": False}]


def test_a_student_who_enrols_during_deletion_is_enrolled_or_refused(academy: Academy, teacher: Person) -> None:
    for _ in range(5):
        course, students = academy.course(teacher), [academy.member() for _ in range(3)]

        def act(number: int, course: Course = course, students: list[Person] = students) -> tuple[int, Any]:
            if number == 0:
                answer = academy.rpc(teacher, "delete_course", course_id=course.id)
            else:
                answer = academy.rpc(students[number - 1], "enrol", course_id=course.id)
            return answer.status_code, answer.json()

        (status, is_gone), *enrolled = concurrently(4, act)
        assert status == 200
        assert {status for status, _ in enrolled} <= {200, 404}
        assert is_gone is not any(status == 200 for status, _ in enrolled)


def test_an_archived_course_stays_with_its_students(
    academy: Academy, teacher: Person, student: Person, stranger: Person
) -> None:
    course = academy.course(teacher)
    academy.enrol(student, course)
    refused(academy.rpc(stranger, "archive_course", course_id=course.id), 404, "course_not_found")
    for _ in range(2):
        assert academy.rpc(teacher, "archive_course", course_id=course.id).json()["status"] == "archived"
    assert [sees(academy, who, course) for who in (None, stranger, student, teacher)] == [False, False, True, True]
    assert academy.rpc(teacher, "publish_course", course_id=course.id).json()["status"] == "published"
    draft = academy.course(teacher, published=False)
    refused(academy.rpc(teacher, "archive_course", course_id=draft.id), 409, "illegal_transition")


def test_the_checklist_lists_what_publishing_requires(
    academy: Academy, teacher: Person, stranger: Person, admin: Person
) -> None:
    course_id = academy.insert(teacher, "courses", title="Begun")["id"]
    path = f"/rest/v1/rpc/publication_checklist?course_id={course_id}"

    def checklist(who: Person = teacher) -> dict[str, tuple[bool, bool, int]]:
        return {
            row["item"]: (row["is_required"], row["is_done"], row["missing_count"])
            for row in rows(academy.call(who, "GET", path))
        }

    refused(academy.call(stranger, "GET", path), 404, "course_not_found")
    assert academy.call(None, "GET", path).status_code == 401
    empty = checklist()
    assert empty == checklist(admin)
    required = ("description", "module", "lesson", "lesson_content", "quiz_question")
    assert [empty[item] for item in required] == [
        (True, False, 1), (True, False, 1), (True, False, 1), (True, True, 0), (True, True, 0)
    ]  # fmt: skip
    wanted = ("category", "subtitle", "objectives", "thumbnail", "intro_lesson")
    assert empty == {item: empty[item] for item in required} | dict.fromkeys(wanted, (False, False, 1))

    module = academy.insert(teacher, "modules", course_id=course_id, title="One")
    for _ in range(2):
        academy.insert(teacher, "lessons", module_id=module["id"], title="Bare", is_intro=True)
    academy.insert(teacher, "quizzes", course_id=course_id, title="Quiz")
    assert academy.call(teacher, "PATCH", f"/rest/v1/courses?id=eq.{course_id}", {"subtitle": "Now"}).status_code == 204
    begun = checklist()
    assert (begun["module"], begun["lesson"]) == ((True, True, 0), (True, True, 0))
    assert (begun["lesson_content"], begun["quiz_question"]) == ((True, False, 2), (True, False, 1))
    assert (begun["subtitle"], begun["intro_lesson"]) == ((False, True, 0), (False, True, 0))
    answer = academy.rpc(teacher, "publish_course", course_id=course_id)
    refused(answer, 422, "course_incomplete")
    lacking = {item for item, (is_required, is_done, _) in begun.items() if is_required and not is_done}
    assert set(answer.json()["details"].rstrip(".").partition(": ")[2].split(", ")) == lacking


@pytest.mark.route("PL-138", call="PATCH /rest/v1/courses?id=eq.{course_id}")
def test_changes_by_admins_are_audited(academy: Academy, admin: Person, moderator: Person, teacher: Person) -> None:
    course = academy.course(teacher)
    path = f"/rest/v1/courses?id=eq.{course.id}"
    change = {"title": "Made right", "tags": ["clay"], "level": "all"}
    for who in (moderator, academy.member("teacher")):
        assert rows(academy.call(who, "PATCH", path, change, **SHOWN)) == []
    before = rows(academy.call(admin, "GET", path))[0]
    assert rows(academy.call(admin, "PATCH", path, change, **SHOWN))[0]["title"] == "Made right"
    assert record(academy, "course.update", course.id) == (
        admin.id,
        {"title": before["title"], "tags": []},
        {"title": "Made right", "tags": ["clay"]},
    )
    assert academy.call(admin, "PATCH", path, {"creator_id": admin.id}).status_code == 403
    assert academy.call(teacher, "PATCH", path, {"title": "Its creator's again"}).status_code == 204
    assert records(academy, course.id) == 1


def test_actions_of_admins_on_courses_of_others_are_audited(academy: Academy, admin: Person, draft: Course) -> None:
    assert academy.rpc(admin, "publish_course", course_id=draft.id).status_code == 200
    actor, before, after = record(academy, "course.publish", draft.id)
    assert (actor, before["status"], after["status"]) == (admin.id, "draft", "published")


@pytest.mark.route("PL-140", call="POST /rest/v1/rpc/feature_course")
@pytest.mark.route("PL-141", call="POST /rest/v1/rpc/unfeature_course")
def test_admins_feature_a_course(
    academy: Academy, admin: Person, moderator: Person, teacher: Person, draft: Course
) -> None:
    course = academy.course(teacher)
    for call, expected in (("feature_course", True), ("unfeature_course", False)):
        for who in (moderator, teacher):
            refused(academy.rpc(who, call, course_id=course.id), 403, "role_required")
        for _ in range(2):
            answer = academy.rpc(admin, call, course_id=course.id)
            assert (answer.status_code, answer.json()["is_featured"]) == (200, expected), answer.text
        action = call.replace("_course", "").replace("feature", "course.feature").replace("uncourse.", "course.un")
        assert record(academy, action, course.id) == (
            admin.id, {"is_featured": not expected}, {"is_featured": expected}
        )  # fmt: skip
    refused(academy.rpc(admin, "feature_course", course_id=draft.id), 409, "course_not_published")
    refused(academy.rpc(admin, "feature_course", course_id=admin.id), 404, "course_not_found")


@pytest.mark.route("PL-142", call="POST /rest/v1/rpc/suspend_course")
@pytest.mark.route("PL-143", call="POST /rest/v1/rpc/unsuspend_course")
def test_moderators_suspend_and_unsuspend_a_course(
    academy: Academy, moderator: Person, admin: Person, student: Person, stranger: Person
) -> None:
    creator = academy.member("teacher")
    course = academy.course(creator)
    academy.enrol(student, course)
    asked: dict[str, Any] = {"course_id": course.id, "reason": "The pictures are another's."}
    for who in (creator, stranger, student):
        refused(academy.rpc(who, "suspend_course", **asked), 403, "role_required")
        refused(academy.rpc(who, "unsuspend_course", course_id=course.id), 403, "role_required")
    refused(academy.rpc(moderator, "suspend_course", **asked | {"reason": " "}), 422, "reason_missing")
    refused(academy.rpc(moderator, "unsuspend_course", course_id=course.id), 409, "illegal_transition")
    suspended = academy.rpc(moderator, "suspend_course", **asked).json()
    assert (suspended["status"], suspended["status_reason"]) == ("suspended", asked["reason"])
    assert [sees(academy, who, course) for who in (None, stranger, creator, admin)] == [False, False, True, True]
    refused(academy.rpc(moderator, "suspend_course", **asked), 409, "illegal_transition")
    for call in ("publish_course", "delete_course"):
        refused(academy.rpc(creator, call, course_id=course.id), 409, "illegal_transition")
    assert mails(academy, creator, "course_suspended") == [
        {"course_title": suspended["title"], "reason": asked["reason"]}
    ]
    assert record(academy, "course.suspend", course.id) == (
        moderator.id,
        {"status": "published", "reason": None},
        {"status": "suspended", "reason": asked["reason"]},
    )

    freed = academy.rpc(admin, "unsuspend_course", course_id=course.id).json()
    assert (freed["status"], freed["status_reason"]) == ("published", None)
    assert mails(academy, creator, "course_unsuspended") == [{"course_title": suspended["title"], "is_published": True}]
    assert record(academy, "course.unsuspend", course.id)[0] == admin.id
    assert sees(academy, student, course)
    assert academy.rpc(creator, "publish_course", course_id=course.id).status_code == 200


@pytest.mark.parametrize("status", ["draft", "published", "archived"])
def test_a_suspended_course_returns_to_its_status(academy: Academy, moderator: Person, status: str) -> None:
    """Seen: unsuspending a published course left it a draft."""
    creator = academy.member("teacher")
    course = academy.course(creator, published=status != "draft")
    if status == "archived":
        assert academy.rpc(creator, "archive_course", course_id=course.id).status_code == 200
    suspended = academy.rpc(moderator, "suspend_course", course_id=course.id, reason="Copied").json()
    assert suspended["suspended_from"] == status
    freed = academy.rpc(moderator, "unsuspend_course", course_id=course.id).json()
    assert (freed["status"], freed["suspended_from"]) == (status, None)


def test_a_suspended_course_is_not_published_by_its_creator(academy: Academy, moderator: Person, admin: Person) -> None:
    creator = academy.member("teacher")
    course = academy.course(creator)
    academy.rpc(moderator, "suspend_course", course_id=course.id, reason="Copied")
    for word in ("publish_course", "unpublish_course", "archive_course"):
        for who in (creator, admin):
            refused(academy.rpc(who, word, course_id=course.id), 409, "illegal_transition")
    for word in ("suspended", "active"):
        academy.rpc(admin, "set_account_status", user_id=creator.id, status=word)
        assert academy.sql("select status::text from public.courses where id = %s", course.id) == [("suspended",)]


@pytest.mark.parametrize("order", ["course first", "creator first"])
def test_a_course_that_is_unsuspended_while_its_creator_is_suspended_waits(
    academy: Academy, moderator: Person, order: str
) -> None:
    creator = academy.member("teacher")
    course = academy.course(creator)
    steps: list[Callable[[], httpx.Response]] = [
        lambda: academy.rpc(moderator, "suspend_course", course_id=course.id, reason="Copied"),
        lambda: academy.rpc(moderator, "set_account_status", user_id=creator.id, status="suspended"),
    ]
    for step in steps if order == "course first" else reversed(steps):
        assert step().is_success
    freed = academy.rpc(moderator, "unsuspend_course", course_id=course.id)
    assert freed.json()["status"] == "paused", freed.text
    assert academy.rpc(moderator, "set_account_status", user_id=creator.id, status="active").status_code == 204
    assert academy.sql("select status::text from public.courses where id = %s", course.id) == [("published",)]


def test_moderators_cannot_suspend_their_own_course(academy: Academy) -> None:
    both = academy.member("teacher", "moderator")
    course = academy.course(both)
    refused(academy.rpc(both, "suspend_course", course_id=course.id, reason="None"), 403, "target_protected")
    academy.sql("update public.courses set status = 'suspended' where id = %s", course.id)
    refused(academy.rpc(both, "unsuspend_course", course_id=course.id), 403, "target_protected")


@pytest.mark.route("PL-144", call="POST /rest/v1/rpc/transfer_course")
def test_admins_transfer_a_course(academy: Academy, admin: Person, student: Person) -> None:
    giver, taker = academy.member("teacher"), academy.member("teacher")
    course = academy.course(giver)
    academy.enrol(student, course)
    asked = {"course_id": course.id, "creator_id": taker.id}
    for who in (giver, taker):
        refused(academy.rpc(who, "transfer_course", **asked), 403, "role_required")
    for nobody in (student.id, course.id):
        refused(academy.rpc(admin, "transfer_course", **asked | {"creator_id": nobody}), 422, "teacher_required")
    refused(academy.rpc(admin, "transfer_course", **asked | {"course_id": taker.id}), 404, "course_not_found")
    for _ in range(2):
        assert academy.rpc(admin, "transfer_course", **asked).json()["creator_id"] == taker.id
    assert record(academy, "course.transfer", course.id) == (
        admin.id, {"creator_id": giver.id}, {"creator_id": taker.id}
    )  # fmt: skip
    path = f"/rest/v1/courses?id=eq.{course.id}"
    assert rows(academy.call(giver, "PATCH", path, {"title": "Still mine"}, **SHOWN)) == []
    assert len(rows(academy.call(taker, "PATCH", path, {"title": "Mine now"}, **SHOWN))) == 1
    students = "/rest/v1/course_students?creator_id=eq."
    assert rows(academy.call(giver, "GET", students + giver.id)) == []
    assert [row["student_id"] for row in rows(academy.call(taker, "GET", students + taker.id))] == [student.id]
    figures = "select published_course_count, student_count from public.user_stats where user_id = %s"
    assert (academy.sql(figures, giver.id), academy.sql(figures, taker.id)) == ([(0, 0)], [(1, 1)])


def test_a_student_of_the_course_cannot_become_its_creator(academy: Academy, admin: Person, teacher: Person) -> None:
    learner, course = academy.member("teacher"), academy.course(teacher)
    academy.enrol(learner, course)
    refused(academy.rpc(admin, "transfer_course", course_id=course.id, creator_id=learner.id), 409, "own_course")


@pytest.mark.route(
    "PL-137",
    call="GET /rest/v1/courses?id=eq.{course_id}&select=*,creator:profiles(*),enrolments(count),{more}",
)
def test_admins_read_everything_of_a_course(
    academy: Academy, admin: Person, stranger: Person, student: Person, teacher: Person
) -> None:
    course = academy.course(teacher)
    academy.enrol(student, course)
    assert academy.rpc(teacher, "archive_course", course_id=course.id).status_code == 200
    helper = academy.member(name="Helper")
    academy.sql(
        "insert into public.student_teachers (course_id, user_id, status, statement, decided_at)"
        " values (%s, %s, 'approved', 'Gladly', now())",
        course.id,
        helper.id,
    )
    path = (
        f"/rest/v1/courses?id=eq.{course.id}&select=*,creator:profiles(*),enrolments(count),"
        "student_teachers(status,profiles(display_name)),orders!course_id(status,amount)"
    )
    (found,) = rows(academy.call(admin, "GET", path))
    assert found["creator"]["id"] == teacher.id
    assert (found["enrolments"], found["orders"]) == ([{"count": 1}], [])
    assert found["student_teachers"] == [{"status": "approved", "profiles": {"display_name": "Helper"}}]
    assert rows(academy.call(stranger, "GET", path)) == []
