"""Decisions of people about certificates: recommended, issued, rejected, revoked, reinstated."""

from collections.abc import Callable
from typing import Any

import pytest

from tests.identity.test_accounts import mails
from tests.learning.test_student_teachers import approved, certified
from tests.people import Academy, Course, Person, concurrently, refused, rows


@pytest.fixture
def admin(academy: Academy) -> Person:
    """An admin."""
    return academy.member("admin")


@pytest.fixture
def helper(academy: Academy, course: Course) -> Person:
    """A student-teacher of the course."""
    return certified(academy, course)


@pytest.fixture
def enrolment(academy: Academy, student: Person, course: Course, helper: Person) -> str:
    """The enrolment of the student, with the student-teacher assigned."""
    row = approved(academy, course, helper)
    identifier = academy.enrol(student, course)
    assert academy.rpc(student, "choose_student_teacher", student_teacher_id=row["id"]).status_code == 200
    return identifier


@pytest.fixture
def pending(academy: Academy, helper: Person, enrolment: str) -> dict[str, Any]:
    """The student's certificate, recommended."""
    answer = academy.rpc(helper, "recommend_certificate", enrolment_id=enrolment, note="Ready.")
    assert answer.status_code == 200, answer.text
    row: dict[str, Any] = answer.json()
    return row


def status_of(academy: Academy, certificate: dict[str, Any]) -> str:
    [(status,)] = academy.sql("select status::text from public.certificates where id = %s", certificate["id"])
    return str(status)


def count_of(academy: Academy, person: Person) -> int:
    [(count,)] = academy.sql("select certificate_count from public.user_stats where user_id = %s", person.id)
    return int(count)


def audited(academy: Academy, certificate: dict[str, Any]) -> list[tuple[Any, ...]]:
    return academy.sql(
        "select action, actor_id::text from public.audit_log where target_id = %s order by id", certificate["id"]
    )


@pytest.mark.route("PL-088", call="POST /rest/v1/rpc/recommend_certificate")
def test_a_student_teacher_recommends_a_student(
    academy: Academy,
    student: Person,
    stranger: Person,
    course: Course,
    helper: Person,
    *,
    enrolment: str,
) -> None:
    recommendation = {"enrolment_id": enrolment, "note": "Ready."}
    other = certified(academy, course)
    approved(academy, course, other)  # of the course, but not of this student
    for who in (student, stranger, other, academy.member("moderator")):
        refused(academy.rpc(who, "recommend_certificate", **recommendation), 404, "enrolment_not_found")
    assert academy.rpc(None, "recommend_certificate", **recommendation).status_code == 401
    own = {"enrolment_id": academy.sql("select id::text from public.enrolments where student_id = %s", helper.id)[0][0]}
    refused(academy.rpc(helper, "recommend_certificate", **own), 404, "enrolment_not_found")
    too_long = recommendation | {"note": "x" * 2001}
    assert academy.rpc(helper, "recommend_certificate", **too_long).status_code == 400

    answers = concurrently(4, lambda _: academy.rpc(helper, "recommend_certificate", **recommendation))
    assert sorted(answer.status_code for answer in answers) == [200, *[409] * 3]
    refused(academy.rpc(helper, "recommend_certificate", **recommendation), 409, "certificate_exists")
    [certificate] = [answer.json() for answer in answers if answer.status_code == 200]
    assert (certificate["status"], certificate["issued_at"]) == ("pending", None)
    refused(academy.rpc(None, "verify_certificate", code=certificate["code"]), 404, "certificate_not_found")
    assert (count_of(academy, student), mails(academy, student)[1:]) == (0, [])
    # The student reads that it is pending, but not the note.
    for path in (
        f"/rest/v1/certificate_decisions?certificate_id=eq.{certificate['id']}&select=outcome,note",
        f"/rest/v1/certificates?id=eq.{certificate['id']}&select=status,certificate_decisions(outcome,note)",
    ):
        seen: list[dict[str, Any]] = [{"outcome": "pending", "note": "Ready."}]
        if "certificates?" in path:
            seen = [{"status": "pending", "certificate_decisions": seen}]
        for who in (helper, course.teacher, academy.member("moderator")):
            assert rows(academy.call(who, "GET", path)) == seen
        for who in (stranger, other):
            assert rows(academy.call(who, "GET", path)) == []
        hidden = [] if "_decisions?" in path else [{"status": "pending", "certificate_decisions": []}]
        assert rows(academy.call(student, "GET", path)) == hidden


@pytest.mark.route("PL-089", "PL-177", call="POST /rest/v1/rpc/issue_certificate")
def test_the_creator_or_an_admin_issues_a_recommended_certificate(
    academy: Academy,
    student: Person,
    stranger: Person,
    course: Course,
    helper: Person,
    *,
    admin: Person,
    pending: dict[str, Any],
) -> None:
    issue = {"certificate_id": pending["id"]}
    for who in (student, stranger, helper, academy.member("moderator")):
        refused(academy.rpc(who, "issue_certificate", **issue), 404, "certificate_not_found")
    assert academy.rpc(None, "issue_certificate", **issue).status_code == 401
    academy.call(student, "PATCH", f"/rest/v1/profiles?id=eq.{student.id}", {"display_name": "Amara Diallo"})
    both = [course.teacher, admin]
    answers = concurrently(2, lambda number: academy.rpc(both[number], "issue_certificate", **issue))
    assert sorted(answer.status_code for answer in answers) == [200, 409]
    [issued] = [answer.json() for answer in answers if answer.status_code == 200]
    assert (issued["status"], issued["holder_name"]) == ("issued", "Amara Diallo")
    refused(academy.rpc(admin, "issue_certificate", **issue), 409, "illegal_transition")
    assert academy.rpc(None, "verify_certificate", code=pending["code"]).json()["is_valid"]
    assert count_of(academy, student) == 1
    assert [template for template, _ in mails(academy, student)][1:] == ["certificate_issued"]
    assert [action for action, _ in audited(academy, pending)] == ["certificate.issue"]


def test_a_quiz_passed_while_it_is_issued_is_one_certificate_and_one_mail(
    academy: Academy, course: Course, helper: Person
) -> None:
    row = approved(academy, course, helper)
    for _ in range(5):
        student = academy.member()
        enrolment = academy.enrol(student, course)
        academy.rpc(student, "choose_student_teacher", student_teacher_id=row["id"])
        certificate = academy.rpc(helper, "recommend_certificate", enrolment_id=enrolment).json()
        ways: list[Callable[[], Any]] = [
            lambda: academy.rpc(course.teacher, "issue_certificate", certificate_id=certificate["id"]),  # noqa: B023
            lambda: academy.rpc(student, "submit_quiz", quiz_id=course.quiz_id, answers=course.correct_answers),  # noqa: B023
        ]
        answers = concurrently(2, lambda number: ways[number]())  # noqa: B023
        assert answers[0].status_code in {200, 409}
        assert answers[1].status_code == 200
        assert status_of(academy, certificate) == "issued"
        assert [template for template, _ in mails(academy, student)][1:] == ["certificate_issued"]
        academy.sql("update public.enrolments set status = 'cancelled' where id = %s", enrolment)  # frees the place


@pytest.mark.route("PL-178", call="POST /rest/v1/rpc/reject_certificate")
def test_a_rejected_certificate_can_be_recommended_again(
    academy: Academy,
    student: Person,
    stranger: Person,
    course: Course,
    helper: Person,
    *,
    admin: Person,
    enrolment: str,
    pending: dict[str, Any],
) -> None:
    rejection = {"certificate_id": pending["id"], "reason": "The last bowl is missing."}
    for who in (student, stranger, helper):
        refused(academy.rpc(who, "reject_certificate", **rejection), 404, "certificate_not_found")
    refused(academy.rpc(admin, "reject_certificate", **rejection | {"reason": " \n"}), 422, "reason_missing")
    assert academy.rpc(admin, "reject_certificate", **rejection).json()["status"] == "rejected"
    refused(academy.rpc(course.teacher, "reject_certificate", **rejection), 409, "illegal_transition")
    refused(academy.rpc(admin, "issue_certificate", certificate_id=pending["id"]), 409, "illegal_transition")
    [(template, params)] = mails(academy, student)[1:]
    assert (template, params["note"]) == ("certificate_rejected", "The last bowl is missing.")
    reasons = f"/rest/v1/certificate_decisions?certificate_id=eq.{pending['id']}&select=note"
    assert rows(academy.call(student, "GET", reasons)) == [{"note": "The last bowl is missing."}]
    assert rows(academy.call(stranger, "GET", reasons)) == []
    # Passing the quiz does not overrule people.
    passed = academy.rpc(student, "submit_quiz", quiz_id=course.quiz_id, answers=course.correct_answers).json()
    assert passed["certificate"]["status"] == "rejected"

    again = academy.rpc(helper, "recommend_certificate", enrolment_id=enrolment)
    assert (again.json()["id"], again.json()["status"]) == (pending["id"], "pending")
    assert academy.rpc(course.teacher, "issue_certificate", certificate_id=pending["id"]).status_code == 200
    assert [template for template, _ in mails(academy, student)][1:] == ["certificate_rejected", "certificate_issued"]
    assert audited(academy, pending) == [
        ("certificate.reject", admin.id), ("certificate.issue", course.teacher.id)
    ]  # fmt: skip


@pytest.mark.route("PL-179", call="POST /rest/v1/rpc/revoke_certificate")
@pytest.mark.route("PL-180", call="POST /rest/v1/rpc/reinstate_certificate")
def test_an_admin_revokes_and_reinstates(
    academy: Academy, stranger: Person, course: Course, helper: Person, admin: Person
) -> None:
    [(identifier, code, issued_at)] = academy.sql(
        "select id::text, code, issued_at from public.certificates where student_id = %s", helper.id
    )
    certificate = {"id": identifier}
    revocation = {"certificate_id": identifier, "reason": "The bowls were bought."}
    for who in (helper, stranger, course.teacher, academy.member("moderator")):
        refused(academy.rpc(who, "revoke_certificate", **revocation), 403, "role_required")
        refused(academy.rpc(who, "reinstate_certificate", certificate_id=identifier), 403, "role_required")
    refused(academy.rpc(admin, "revoke_certificate", **revocation | {"reason": ""}), 422, "reason_missing")
    unknown = revocation | {"certificate_id": "00000000-0000-4000-8000-000000000000"}
    refused(academy.rpc(admin, "revoke_certificate", **unknown), 404, "certificate_not_found")
    refused(academy.rpc(admin, "reinstate_certificate", certificate_id=identifier), 409, "illegal_transition")

    answers = concurrently(2, lambda _: academy.rpc(admin, "revoke_certificate", **revocation))
    assert sorted(answer.status_code for answer in answers) == [200, 409]
    found = academy.rpc(None, "verify_certificate", code=code)
    assert (found.json()["is_valid"], found.json()["status"]) == (False, "revoked")
    assert found.json()["revoked_at"] is not None
    assert "bought" not in found.text  # the reason is not public
    public = f"/rest/v1/certificates?id=eq.{identifier}&select=*,certificate_decisions(*)"
    assert [len(rows(academy.call(who, "GET", public))) for who in (stranger, helper, course.teacher)] == [0, 1, 1]
    assert count_of(academy, helper) == 0

    assert academy.rpc(admin, "reinstate_certificate", certificate_id=identifier, note="It was not so.").json()[
        "status"
    ] == "issued"  # fmt: skip
    found = academy.rpc(None, "verify_certificate", code=code)
    assert (found.json()["is_valid"], found.json()["revoked_at"]) == (True, None)
    assert academy.sql("select issued_at from public.certificates where id = %s", identifier) == [(issued_at,)]
    assert count_of(academy, helper) == 1
    # Everybody reads it again, without the revocation.
    (row,) = rows(academy.call(stranger, "GET", public))
    assert (row["revoked_at"], row["certificate_decisions"]) == (None, [])
    assert "bought" not in str(row)
    assert [template for template, _ in mails(academy, helper)][1:] == [
        "certificate_issued", "certificate_revoked", "certificate_reinstated"
    ]  # fmt: skip
    assert audited(academy, certificate) == [("certificate.revoke", admin.id), ("certificate.reinstate", admin.id)]


@pytest.mark.route("PL-176", call="POST /rest/v1/rpc/award_certificate")
def test_an_admin_awards_a_certificate(
    academy: Academy, enrolled: Person, stranger: Person, course: Course, admin: Person
) -> None:
    [(enrolment,)] = academy.sql("select id::text from public.enrolments where student_id = %s", enrolled.id)
    for who in (enrolled, stranger, course.teacher, academy.member("moderator")):
        refused(academy.rpc(who, "award_certificate", enrolment_id=enrolment), 403, "role_required")
    unknown = "00000000-0000-4000-8000-000000000000"
    refused(academy.rpc(admin, "award_certificate", enrolment_id=unknown), 404, "enrolment_not_found")
    answers = concurrently(
        4, lambda _: academy.rpc(admin, "award_certificate", enrolment_id=enrolment, note="For years.")
    )
    assert sorted(answer.status_code for answer in answers) == [200, *[409] * 3]
    [certificate] = [answer.json() for answer in answers if answer.status_code == 200]
    assert certificate["status"] == "issued"
    assert academy.rpc(None, "verify_certificate", code=certificate["code"]).json()["holder_name"] == "Amara"
    assert [template for template, _ in mails(academy, enrolled)][1:] == ["certificate_issued"]
    assert audited(academy, certificate) == [("certificate.award", admin.id)]
    refused(academy.rpc(admin, "award_certificate", enrolment_id=enrolment), 409, "certificate_exists")


def test_an_admin_awards_a_recommended_or_rejected_certificate(
    academy: Academy, admin: Person, course: Course, enrolment: str, pending: dict[str, Any]
) -> None:
    rejection = {"certificate_id": pending["id"], "reason": "No."}
    assert academy.rpc(course.teacher, "reject_certificate", **rejection).status_code == 200
    awarded = academy.rpc(admin, "award_certificate", enrolment_id=enrolment)
    assert (awarded.json()["id"], awarded.json()["status"]) == (pending["id"], "issued"), awarded.text
    second = academy.member()
    other = academy.enrol(second, course)
    assert academy.rpc(course.teacher, "recommend_certificate", enrolment_id=other).json()["status"] == "pending"
    assert academy.rpc(admin, "award_certificate", enrolment_id=other).json()["status"] == "issued"
    academy.sql("update public.enrolments set status = 'cancelled' where id = %s", other)
    third = academy.enrol(academy.member(), course)
    academy.sql("update public.enrolments set status = 'cancelled' where id = %s", third)
    refused(academy.rpc(admin, "award_certificate", enrolment_id=third), 404, "enrolment_not_found")


@pytest.mark.route("PL-173", call="GET /rest/v1/rpc/search_certificates?q={name}&course_id=eq.{id}&status=eq.pending")
@pytest.mark.route("PL-174", call="GET /rest/v1/certificates?status=eq.pending&order=created_at,id")
@pytest.mark.route("PL-175", call="GET /rest/v1/certificates?id=eq.{certificate_id}&select={fields}")
def test_admins_list_and_search_certificates(
    academy: Academy,
    student: Person,
    stranger: Person,
    course: Course,
    admin: Person,
    *,
    pending: dict[str, Any],
) -> None:
    academy.call(student, "PATCH", f"/rest/v1/profiles?id=eq.{student.id}", {"display_name": "Ximena Quispe"})
    since, until = "created_at=gte.2020-01-01", "created_at=lt.2100-01-01"
    for word in ("ximena", "Quispe Xim", pending["code"].lower()):
        path = (
            f"/rest/v1/rpc/search_certificates?q={word}&course_id=eq.{course.id}&status=eq.pending&{since}&{until}"
            "&select=*,holder:profiles(display_name),course:courses(title)&order=created_at.desc&limit=20&offset=0"
        )
        (row,) = rows(academy.call(admin, "GET", path))
        assert (row["id"], row["holder"]) == (pending["id"], {"display_name": "Ximena Quispe"})
        for who in (student, stranger, course.teacher):
            refused(academy.call(who, "GET", path), 403, "role_required")
        assert academy.call(None, "GET", path).status_code == 401
    for wrong in (f"q=ximena&course_id=eq.{student.id}", "q=ximena&status=eq.revoked", "q=", "q=nobodyhasthisname"):
        assert rows(academy.call(admin, "GET", f"/rest/v1/rpc/search_certificates?{wrong}")) == []

    waiting = f"/rest/v1/certificates?status=eq.pending&order=created_at,id&course_id=eq.{course.id}&limit=1000"
    assert pending["id"] in {row["id"] for row in rows(academy.call(admin, "GET", waiting))}
    for nobody in (None, stranger):
        assert rows(academy.call(nobody, "GET", waiting)) == []
    detail = (
        f"/rest/v1/certificates?id=eq.{pending['id']}"
        "&select=*,holder:profiles(handle),course:courses(slug),certificate_decisions(outcome,note,decided_by,created_at)"
    )
    (row,) = rows(academy.call(admin, "GET", detail))
    assert [decision["note"] for decision in row["certificate_decisions"]] == ["Ready."]
    assert rows(academy.call(stranger, "GET", detail)) == []


def test_nobody_writes_decisions(
    academy: Academy, student: Person, course: Course, admin: Person, pending: dict[str, Any]
) -> None:
    certificate, decisions = f"/rest/v1/certificates?id=eq.{pending['id']}", "/rest/v1/certificate_decisions"
    forged = {"certificate_id": pending["id"], "course_id": course.id, "student_id": student.id, "outcome": "issued"}
    for who in (student, course.teacher, admin):
        assert academy.call(who, "PATCH", certificate, {"status": "issued"}).status_code == 403
        assert academy.call(who, "POST", decisions, forged | {"decided_by": admin.id}).status_code == 403
        assert academy.call(who, "PATCH", f"{decisions}?student_id=eq.{student.id}", {"note": "x"}).status_code == 403
        assert academy.call(who, "DELETE", f"{decisions}?student_id=eq.{student.id}").status_code == 403
    assert status_of(academy, pending) == "pending"
