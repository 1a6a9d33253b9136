"""Roles and standing: who gives them, and that they hold at the next request, whatever the token says."""

import json
import uuid
from typing import Any

import httpx
import psycopg
import pytest

from tests.people import Academy, Course, Person, refused, rows, together

SHOWN = {"prefer": "return=representation"}
AN_ID = str(uuid.uuid4())


def set_status(academy: Academy, who: Person | None, user_id: str, status: str, **more: Any) -> httpx.Response:
    """Call set_account_status as somebody."""
    return academy.rpc(who, "set_account_status", user_id=user_id, status=status, **more)


def history(academy: Academy, reader: Person, target: Person) -> list[dict[str, Any]]:
    """What the audit log tells somebody of a person, oldest first."""
    return rows(academy.call(reader, "GET", f"/rest/v1/audit_log?target_id=eq.{target.id}&order=id"))


def can_write(academy: Academy, person: Person) -> bool:
    """Whether a person can change the own profile."""
    own = f"/rest/v1/profiles?id=eq.{person.id}"
    return len(rows(academy.call(person, "PATCH", own, {"bio": uuid.uuid4().hex}, **SHOWN))) == 1


def can_teach(academy: Academy, person: Person) -> bool:
    """Whether a person can begin a course."""
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


def test_standing_changes_along_its_transitions(academy: Academy, moderator: Person) -> None:
    person = academy.member()
    assert set_status(academy, moderator, person.id, "banned").status_code == 204
    refused(set_status(academy, moderator, person.id, "suspended"), 409, "illegal_transition")
    refused(set_status(academy, moderator, person.id, "deleted"), 422, "status_invalid")
    refused(set_status(academy, moderator, AN_ID, "banned"), 404, "user_not_found")
    assert not can_write(academy, person)
    assert set_status(academy, moderator, person.id, "active").status_code == 204
    assert can_write(academy, person)


def test_moderators_do_not_judge_each_other_or_themselves(academy: Academy, moderator: Person, admin: Person) -> None:
    superadmin = academy.member("superadmin")
    colleague = academy.member("moderator")
    for target in (colleague, admin, superadmin, moderator):
        refused(set_status(academy, moderator, target.id, "suspended"), 403, "target_protected")
    refused(set_status(academy, admin, moderator.id, "suspended"), 403, "target_protected")
    refused(set_status(academy, superadmin, superadmin.id, "suspended"), 403, "target_protected")
    assert set_status(academy, superadmin, colleague.id, "suspended").status_code == 204
    refused(set_status(academy, colleague, AN_ID, "suspended"), 403, "account_inactive")


def test_a_suspended_teacher_loses_every_write_and_keeps_reads(academy: Academy) -> None:
    teacher = academy.member("teacher", "superadmin")  # whatever else he is
    course: Course = academy.course(teacher)
    draft = academy.course(teacher, published=False)
    student, other = academy.member(), academy.course(academy.member("teacher"))
    academy.enrol(student, course)
    category = academy.insert(teacher, "categories", name="Shelf", slug=f"shelf-{uuid.uuid4().hex[:8]}")
    question = next(iter(course.right_answers))
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

    calls: dict[str, dict[str, Any]] = {
        "grant_role": {"user_id": student.id, "role": "teacher"},
        "revoke_role": {"user_id": student.id, "role": "teacher"},
        "set_account_status": {"user_id": student.id, "status": "banned"},
        "publish_course": {"course_id": draft.id},
        "unpublish_course": {"course_id": course.id},
        "enrol": {"course_id": other.id},
        "record_progress": {"lesson_id": course.lesson_ids[0], "is_completed": True},
        "save_quiz_question": {"quiz_id": course.quiz_id, "kind": "true_false", "prompt": "So?", "answer": True},
        "submit_quiz": {"quiz_id": course.quiz_id, "answers": {}},
    }
    writing = academy.sql(
        "select distinct proname from pg_proc where pronamespace = 'public'::regnamespace and provolatile = 'v'"
        " and prokind = 'f' and has_function_privilege('authenticated', oid, 'execute')"
    )
    assert {name for (name,) in writing} == calls.keys(), "every function that writes belongs in this test"
    for name, arguments in calls.items():
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


def test_a_moderator_who_is_none_any_more_reads_no_more_than_others(academy: Academy, admin: Person) -> None:
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


def test_an_admin_makes_no_admins(academy: Academy, admin: Person) -> None:
    superadmin, person = academy.member("superadmin"), academy.member()
    for role in ("admin", "superadmin"):
        refused(academy.rpc(admin, "grant_role", user_id=person.id, role=role), 403, "role_required")
        refused(academy.rpc(admin, "grant_role", user_id=admin.id, role=role), 403, "role_required")
    refused(academy.rpc(admin, "revoke_role", user_id=superadmin.id, role="superadmin"), 403, "role_required")
    assert academy.rpc(superadmin, "grant_role", user_id=person.id, role="admin").status_code == 204
    assert academy.rpc(person, "grant_role", user_id=superadmin.id, role="teacher").status_code == 204


def test_roles_that_cannot_be_given(academy: Academy, admin: Person, stranger: Person) -> None:
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


def test_the_last_superadmin_stays(academy: Academy, db: psycopg.Connection) -> None:
    last = academy.member("superadmin")
    suspended = academy.member("superadmin")
    academy.suspend(suspended)
    # Only inside this transaction, which is rolled back, is he the last who may act.
    db.execute(
        "delete from public.user_roles where role = 'superadmin' and user_id <> all (%s)", [[last.id, suspended.id]]
    )
    claims = json.dumps({"sub": last.id, "role": "authenticated", "aud": "authenticated"})
    db.execute("select set_config('request.jwt.claims', %s, true)", [claims])
    db.execute("set local role authenticated")
    with pytest.raises(psycopg.Error) as error:
        db.execute("select public.revoke_role(%s, 'superadmin')", [last.id])
    assert (error.value.sqlstate, error.value.diag.message_primary) == ("PT409", "last_superadmin")


def test_two_superadmins_who_suspend_each_other_at_once_do_not_both_succeed(academy: Academy) -> None:
    for _ in range(5):
        pair = academy.member("superadmin"), academy.member("superadmin")
        answers = together(2, lambda number: set_status(academy, pair[number], pair[1 - number].id, "suspended"))  # noqa: B023
        assert sorted(answer.status_code for answer in answers) == [204, 403]


def test_a_teacher_who_is_none_any_more_writes_nothing(academy: Academy, admin: Person) -> None:
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


def test_the_audit_log_is_for_admins_to_read_and_for_nobody_to_write(
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
