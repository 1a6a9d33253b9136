"""Certificates: earned once, verified by anyone with the code, and outliving the account."""

import re
import uuid

import pytest

from tests.people import Academy, Course, Person, refused, rows


@pytest.fixture
def certificate(academy: Academy, enrolled: Person, course: Course) -> dict[str, str]:
    """The certificate of the enrolled student."""
    answer = academy.rpc(enrolled, "submit_quiz", quiz_id=course.quiz_id, answers=course.correct_answers)
    assert answer.status_code == 200, answer.text
    issued: dict[str, str] = answer.json()["certificate"]
    return issued


@pytest.mark.route("PL-087", call="GET /rest/v1/certificates?student_id=eq.{user_id}")
@pytest.mark.route("PL-175", call="GET /rest/v1/certificates?id=eq.{certificate_id}")
def test_a_certificate_of_a_hidden_profile_is_for_the_holder_the_creator_and_moderators(
    academy: Academy, enrolled: Person, stranger: Person, course: Course, certificate: dict[str, str]
) -> None:
    academy.sql("update public.profiles set is_public = false where id = %s", enrolled.id)
    columns = "&select=code,status,holder_name,course_title,creator_name,...quiz_attempts(score_percent)"
    path = f"/rest/v1/certificates?student_id=eq.{enrolled.id}{columns},course:courses(slug)"
    (read,) = rows(academy.call(enrolled, "GET", path))
    assert read == {
        "code": certificate["code"],
        "status": "issued",
        "holder_name": "Amara",
        "course_title": read["course_title"],
        "creator_name": "Ines",
        "score_percent": 100,
        "course": {"slug": course.slug},
    }
    assert re.fullmatch(r"([0-9A-F]{4}-){4}[0-9A-F]{4}", certificate["code"])
    for who in (course.teacher, academy.member("moderator")):
        assert rows(academy.call(who, "GET", path)) == [read]
    for who in (stranger, academy.member()):
        assert rows(academy.call(who, "GET", path)) == []
    assert rows(academy.call(None, "GET", f"/rest/v1/certificates?student_id=eq.{enrolled.id}")) == []

    detail = f"/rest/v1/certificates?id=eq.{certificate['id']}&select=*,student:profiles(handle),course:courses(slug)"
    (seen,) = rows(academy.call(academy.member("admin"), "GET", detail))
    assert seen["student"]["handle"].startswith("member-")
    assert rows(academy.call(stranger, "GET", detail)) == []


@pytest.mark.route("PL-012", call="GET /rest/v1/certificates?holder.handle=eq.{handle}&select={columns}", public=True)
def test_everybody_reads_a_certificate_of_a_public_profile_without_the_score(
    academy: Academy, enrolled: Person, stranger: Person, course: Course, certificate: dict[str, str]
) -> None:
    [(handle,)] = academy.sql("select handle from public.profiles where id = %s", enrolled.id)
    columns = (
        "code,course_title,holder:profiles!inner(handle),course:courses(slug),attempt:quiz_attempts(score_percent)"
    )
    path = f"/rest/v1/certificates?holder.handle=eq.{handle}&select={columns}"
    by_id = f"/rest/v1/certificates?student_id=eq.{enrolled.id}"
    shown = {
        "code": certificate["code"],
        "course_title": rows(academy.call(enrolled, "GET", by_id))[0]["course_title"],
        "holder": {"handle": handle},
        "course": {"slug": course.slug},
    }
    assert rows(academy.call(enrolled, "GET", path)) == [shown | {"attempt": {"score_percent": 100}}]
    assert rows(academy.call(stranger, "GET", path)) == [shown | {"attempt": None}]
    assert academy.call(None, "GET", path).status_code == 401  # attempts are for members only
    anonymously = path.replace(",attempt:quiz_attempts(score_percent)", "")
    assert rows(academy.call(None, "GET", anonymously)) == [shown]
    (row,) = rows(academy.call(None, "GET", by_id))
    assert not [column for column in row if "score" in column or "point" in column]
    # Revoked certificates, and those of a hidden profile, are hidden from others.
    for statement in (
        "update public.certificates set status = 'revoked', revoked_at = now() where student_id = %s",
        "update public.certificates set status = 'issued', revoked_at = null where student_id = %s",
        "update public.profiles set is_public = false where id = %s",
    ):
        academy.sql(statement, enrolled.id)
        expected = 1 if "'issued'" in statement else 0
        for who in (None, stranger):
            assert len(rows(academy.call(who, "GET", by_id))) == expected
    assert academy.rpc(None, "verify_certificate", code=certificate["code"]).json()["is_valid"]


def test_passing_again_issues_no_second_certificate(
    academy: Academy, enrolled: Person, course: Course, certificate: dict[str, str]
) -> None:
    again = academy.rpc(enrolled, "submit_quiz", quiz_id=course.quiz_id, answers=course.correct_answers)
    assert (again.json()["attempt_number"], again.json()["certificate"]) == (2, certificate)
    counted = "select count(*) from public.certificates where student_id = %s"
    assert academy.sql(counted, enrolled.id) == [(1,)]
    mails = academy.sql(
        "select template, params ->> 'certificate_id' from private.mail_outbox"
        " where user_id = %s and template = 'certificate_issued'",
        enrolled.id,
    )
    assert mails == [("certificate_issued", certificate["id"])]


def test_failing_issues_no_certificate(academy: Academy, enrolled: Person, course: Course) -> None:
    wrong = dict.fromkeys(course.correct_answers, "c")
    attempt = academy.rpc(enrolled, "submit_quiz", quiz_id=course.quiz_id, answers=wrong).json()
    assert (attempt["points"], attempt["is_passed"], attempt["certificate"]) == (0, False, None)
    mails = academy.sql("select template from private.mail_outbox where user_id = %s", enrolled.id)
    assert mails == [("enrolment_confirmed",)]


def test_the_score_is_rounded_down(academy: Academy, enrolled: Person, course: Course) -> None:
    multiple = list(course.correct_answers)[1]  # two points of three
    answers = {multiple: course.correct_answers[multiple]}
    attempt = academy.rpc(enrolled, "submit_quiz", quiz_id=course.quiz_id, answers=answers).json()
    assert attempt["is_passed"]
    assert attempt["score_percent"] == 66
    scored = f"/rest/v1/certificates?student_id=eq.{enrolled.id}&select=...quiz_attempts(score_percent)"
    assert rows(academy.call(enrolled, "GET", scored)) == [{"score_percent": 66}]


def test_anybody_with_the_code_verifies_a_certificate(
    academy: Academy, stranger: Person, course: Course, certificate: dict[str, str]
) -> None:
    code = certificate["code"]
    for who in (None, stranger):
        for written in (code, code.lower(), f"  {code.title()}\n".replace("\n", " ")):
            found = academy.rpc(who, "verify_certificate", code=written)
            assert found.status_code == 200, found.text
            assert found.json() == {
                "code": code,
                "is_valid": True,
                "status": "issued",
                "holder_name": "Amara",
                "course_title": found.json()["course_title"],
                "creator_name": "Ines",
                "issued_at": found.json()["issued_at"],
                "reissued_at": None,
                "revoked_at": None,
                "course_slug": course.slug,
                "creator_handle": found.json()["creator_handle"],
            }
            assert found.json()["creator_handle"].startswith("member-")
    get = academy.call(None, "GET", f"/rest/v1/rpc/verify_certificate?code={code}")
    assert (get.status_code, get.json()["is_valid"]) == (200, True)


def test_verifying_shows_no_hidden_profile(academy: Academy, student: Person) -> None:
    teacher = academy.member("teacher")
    course = academy.course(teacher)
    academy.enrol(student, course)
    passed = academy.rpc(student, "submit_quiz", quiz_id=course.quiz_id, answers=course.correct_answers).json()

    def shown() -> tuple[str | None, str | None]:
        found = academy.rpc(None, "verify_certificate", code=passed["certificate"]["code"]).json()
        return found["course_slug"], found["creator_handle"]

    assert None not in shown()
    academy.sql("update public.profiles set is_public = false where id = %s", teacher.id)
    assert shown() == (course.slug, None)
    assert academy.rpc(teacher, "unpublish_course", course_id=course.id).status_code == 200
    assert shown() == (None, None)


@pytest.mark.parametrize("code", ["0000-0000-0000-0000-0000", "", "%", "____-____-____-____-____", None])
def test_an_unknown_code_verifies_nothing(academy: Academy, code: str | None) -> None:
    refused(academy.rpc(None, "verify_certificate", code=code), 404, "certificate_not_found")


def test_a_revoked_certificate_verifies_as_invalid(
    academy: Academy, enrolled: Person, course: Course, certificate: dict[str, str]
) -> None:
    academy.sql(
        "update public.certificates set status = 'revoked', revoked_at = now() where id = %s", certificate["id"]
    )
    found = academy.rpc(None, "verify_certificate", code=certificate["code"]).json()
    assert (found["is_valid"], found["status"]) == (False, "revoked")
    # Passing again does not overrule a revocation.
    again = academy.rpc(enrolled, "submit_quiz", quiz_id=course.quiz_id, answers=course.correct_answers).json()
    assert (again["is_passed"], again["certificate"]["status"]) == (True, "revoked")


def test_passing_issues_a_pending_certificate(academy: Academy, enrolled: Person, course: Course) -> None:
    [(code,)] = academy.sql(
        "insert into public.certificates"
        " (code, course_id, student_id, enrolment_id, holder_name, course_title, creator_name)"
        " select private.new_code(), course_id, student_id, id, 'A', 'B', 'C' from public.enrolments"
        " where student_id = %s returning code",
        enrolled.id,
    )
    refused(academy.rpc(None, "verify_certificate", code=code), 404, "certificate_not_found")
    passed = academy.rpc(enrolled, "submit_quiz", quiz_id=course.quiz_id, answers=course.correct_answers).json()
    assert (passed["certificate"]["code"], passed["certificate"]["status"]) == (code, "issued")
    assert academy.rpc(None, "verify_certificate", code=code).json()["holder_name"] == "Amara"


def test_a_certificate_keeps_the_names_of_its_issue(academy: Academy, student: Person) -> None:
    teacher = academy.member("teacher", name="Before")
    course = academy.course(teacher)
    academy.enrol(student, course)
    issued = academy.rpc(student, "submit_quiz", quiz_id=course.quiz_id, answers=course.correct_answers).json()
    before = academy.rpc(None, "verify_certificate", code=issued["certificate"]["code"]).json()
    for who, path, change in (
        (teacher, f"courses?id=eq.{course.id}", {"title": "Renamed"}),
        (teacher, f"profiles?id=eq.{teacher.id}", {"display_name": "After"}),
        (student, f"profiles?id=eq.{student.id}", {"display_name": "After"}),
    ):
        assert academy.call(who, "PATCH", f"/rest/v1/{path}", change).status_code == 204
    assert academy.rpc(None, "verify_certificate", code=before["code"]).json() == before


@pytest.mark.parametrize("soft", [False, True])
def test_a_deleted_user_keeps_an_anonymous_certificate(
    academy: Academy, student: Person, course: Course, soft: bool
) -> None:
    academy.sql("insert into public.user_roles (user_id, role) values (%s, 'teacher')", student.id)
    own = f"/rest/v1/profiles?id=eq.{student.id}"
    handle = f"gone_{uuid.uuid4().hex[:8]}"
    assert academy.call(student, "PATCH", own, {"handle": handle, "bio": "Me"}).status_code == 204
    academy.enrol(student, course)
    issued = academy.rpc(student, "submit_quiz", quiz_id=course.quiz_id, answers=course.correct_answers).json()

    deleted = academy.http.request(
        "DELETE",
        f"/auth/v1/admin/users/{student.id}",
        json={"should_soft_delete": soft},
        headers={"apikey": academy.secret_key},
    )
    assert deleted.status_code == 200, deleted.text

    (tombstone,) = rows(academy.call(academy.member("moderator"), "GET", own))
    kept = {"display_name": "Deleted member", "bio": None, "is_public": False}
    assert {name: tombstone[name] for name in kept} == kept
    assert handle not in tombstone["handle"]
    assert rows(academy.call(None, "GET", own)) == []
    assert academy.sql("select count(*) from public.user_roles where user_id = %s", student.id) == [(0,)]

    found = academy.rpc(None, "verify_certificate", code=issued["certificate"]["code"]).json()
    assert (found["is_valid"], found["holder_name"]) == (True, "Deleted member")
    certificates = f"/rest/v1/certificates?student_id=eq.{student.id}"
    assert len(rows(academy.call(course.teacher, "GET", certificates))) == 1
    assert rows(academy.call(None, "GET", certificates)) == []
    # The token is still valid, and of no use.
    refused(academy.rpc(student, "enrol", course_id=course.id), 403, "account_inactive")
    assert rows(academy.call(student, "PATCH", own, {"bio": "back"}, prefer="return=representation")) == []


@pytest.mark.parametrize("keeps_name", [True, False, None])
def test_a_holder_chooses_whether_the_name_stays(
    academy: Academy, student: Person, course: Course, keeps_name: bool | None
) -> None:
    academy.enrol(student, course)
    issued = academy.rpc(student, "submit_quiz", quiz_id=course.quiz_id, answers=course.correct_answers).json()
    chosen = {} if keeps_name is None else {"keeps_name": keeps_name}
    refused(academy.rpc(student, "delete_account", keeps_name=None), 422, "decision_missing")
    assert academy.rpc(student, "delete_account", **chosen).status_code == 204
    found = academy.rpc(None, "verify_certificate", code=issued["certificate"]["code"]).json()
    assert (found["is_valid"], found["holder_name"]) == (True, "Amara" if keeps_name else "Deleted member")
    # Nobody finds it without the code, whatever was chosen.
    assert rows(academy.call(None, "GET", f"/rest/v1/certificates?student_id=eq.{student.id}")) == []


def test_the_choice_reaches_the_database_through_the_edge(academy: Academy, student: Person, course: Course) -> None:
    academy.enrol(student, course)
    issued = academy.rpc(student, "submit_quiz", quiz_id=course.quiz_id, answers=course.correct_answers).json()
    gone = academy.call(student, "DELETE", f"/functions/v1/users/{student.id}?keeps_name=true")
    assert gone.status_code == 204, gone.text
    found = academy.rpc(None, "verify_certificate", code=issued["certificate"]["code"]).json()
    assert found["holder_name"] == "Amara"


UNPRINTABLE = "\N{CUNEIFORM SIGN A} Amara"


def test_a_name_that_no_font_has_waits_for_its_certificate(academy: Academy, student: Person, course: Course) -> None:
    profile = f"/rest/v1/profiles?id=eq.{student.id}"
    assert academy.call(student, "PATCH", profile, {"display_name": UNPRINTABLE}).status_code == 204
    academy.enrol(student, course)
    passed = academy.rpc(student, "submit_quiz", quiz_id=course.quiz_id, answers=course.correct_answers).json()
    assert (passed["is_passed"], passed["certificate"]["status"]) == (True, "pending")
    certificate = passed["certificate"]["id"]
    answer = academy.rpc(course.teacher, "issue_certificate", certificate_id=certificate)
    refused(answer, 422, "certificate_unprintable")
    assert "\N{CUNEIFORM SIGN A}" in answer.json()["details"]
    assert academy.call(student, "PATCH", profile, {"display_name": "འཇིགས་མེད"}).status_code == 204
    issued = academy.rpc(course.teacher, "issue_certificate", certificate_id=certificate)
    assert (issued.status_code, issued.json()["holder_name"]) == (200, "འཇིགས་མེད"), issued.text
