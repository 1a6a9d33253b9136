"""Certificates that are issued again, under the same code, with a corrected name or title."""

from typing import Any

import pytest

from tests.people import Academy, Course, Person, concurrently, refused, rows


@pytest.fixture
def own_course(academy: Academy, teacher: Person) -> Course:
    """A course that a test may rename."""
    return academy.course(teacher)


@pytest.fixture
def certificate(academy: Academy, student: Person, own_course: Course) -> dict[str, Any]:
    """The issued certificate of the student."""
    academy.enrol(student, own_course)
    passed = academy.rpc(student, "submit_quiz", quiz_id=own_course.quiz_id, answers=own_course.correct_answers)
    issued: dict[str, Any] = passed.json()["certificate"]
    return issued


def rename(academy: Academy, who: Person, name: str) -> None:
    """Correct the name of a profile."""
    answer = academy.call(who, "PATCH", f"/rest/v1/profiles?id=eq.{who.id}", {"display_name": name})
    assert answer.status_code == 204, answer.text


def request(academy: Academy, who: Person, certificate: dict[str, Any]) -> dict[str, Any]:
    """Request a reissue."""
    answer = academy.rpc(who, "request_certificate_reissue", certificate_id=certificate["id"], note="I married.")
    assert answer.status_code == 200, answer.text
    made: dict[str, Any] = answer.json()
    return made


def verify(academy: Academy, certificate: dict[str, Any]) -> dict[str, Any]:
    """What everybody with the code sees."""
    found: dict[str, Any] = academy.rpc(None, "verify_certificate", code=certificate["code"]).json()
    return found


def test_a_corrected_certificate_keeps_its_code_and_its_former_version(
    academy: Academy, student: Person, stranger: Person, own_course: Course, certificate: dict[str, Any]
) -> None:
    teacher = own_course.teacher
    before = verify(academy, certificate)
    assert before["reissued_at"] is None
    call = {"certificate_id": certificate["id"]}
    refused(academy.rpc(student, "request_certificate_reissue", **call), 409, "certificate_current")
    rename(academy, student, "Amara Diallo")
    path = f"/rest/v1/courses?id=eq.{own_course.id}"
    assert academy.call(teacher, "PATCH", path, {"title": "Counterpoint"}).status_code == 204
    for who in (stranger, teacher, academy.member("admin")):
        refused(academy.rpc(who, "request_certificate_reissue", **call), 404, "certificate_not_found")
    asked = request(academy, student, certificate)
    assert request(academy, student, certificate)["id"] == asked["id"]
    assert verify(academy, certificate) == before

    # What is decided on is what was requested.
    rename(academy, student, "Somebody Else")
    decide = {"reissue_id": asked["id"], "is_approved": True}
    for who in (student, stranger, academy.member("teacher"), academy.member("moderator")):
        refused(academy.rpc(who, "decide_certificate_reissue", **decide), 404, "reissue_not_found")
    refused(
        academy.rpc(teacher, "decide_certificate_reissue", **{**decide, "is_approved": None}), 422, "decision_missing"
    )
    answers = concurrently(4, lambda _: academy.rpc(teacher, "decide_certificate_reissue", **decide))
    assert sorted(answer.status_code for answer in answers) == [200, *[409] * 3]

    after = verify(academy, certificate)
    assert (after["holder_name"], after["course_title"]) == ("Amara Diallo", "Counterpoint")
    assert after["reissued_at"] is not None
    assert {name: after[name] for name in ("code", "issued_at", "is_valid")} == {
        name: before[name] for name in ("code", "issued_at", "is_valid")
    }
    for who in (student, teacher, academy.member("moderator")):
        (kept,) = rows(academy.call(who, "GET", f"/rest/v1/certificate_reissues?certificate_id=eq.{certificate['id']}"))
        assert (kept["holder_name_before"], kept["course_title_before"]) == (
            before["holder_name"],
            before["course_title"],
        )
        assert (kept["status"], kept["decided_by"]) == ("approved", teacher.id)
    for other in (stranger, academy.member("teacher")):
        assert rows(academy.call(other, "GET", "/rest/v1/certificate_reissues")) == []
    logged = academy.sql(
        "select action from public.audit_log where target_id = %s and actor_id = %s", certificate["id"], teacher.id
    )
    assert logged == [("certificate.reissue",)]
    mailed = academy.sql("select template from private.mail_outbox where user_id = %s order by id", student.id)
    assert mailed[-1] == ("certificate_reissued",)


def test_a_rejected_request_changes_nothing(
    academy: Academy, student: Person, own_course: Course, certificate: dict[str, Any]
) -> None:
    before = verify(academy, certificate)
    rename(academy, student, "A Famous Person")
    asked = request(academy, student, certificate)
    admin = academy.member("admin")
    rejected = academy.rpc(
        admin, "decide_certificate_reissue", reissue_id=asked["id"], is_approved=False, note="Not you."
    )
    assert (rejected.status_code, rejected.json()["status"]) == (200, "rejected"), rejected.text
    assert verify(academy, certificate) == before
    assert request(academy, student, certificate)["id"] != asked["id"]
    assert own_course.teacher.id != admin.id


def test_only_a_valid_certificate_is_reissued(
    academy: Academy, student: Person, own_course: Course, certificate: dict[str, Any]
) -> None:
    admin = academy.member("admin")
    rename(academy, student, "Amara Diallo")
    asked = request(academy, student, certificate)
    revoked = academy.rpc(admin, "revoke_certificate", certificate_id=certificate["id"], reason="Bought")
    assert revoked.status_code == 200, revoked.text
    decide = {"reissue_id": asked["id"], "is_approved": True}
    refused(academy.rpc(own_course.teacher, "decide_certificate_reissue", **decide), 409, "illegal_transition")
    refused(
        academy.rpc(student, "request_certificate_reissue", certificate_id=certificate["id"]), 409, "illegal_transition"
    )
    academy.suspend(student)
    refused(
        academy.rpc(student, "request_certificate_reissue", certificate_id=certificate["id"]), 403, "account_inactive"
    )


def test_a_name_that_no_font_has_is_not_requested(
    academy: Academy, student: Person, certificate: dict[str, Any]
) -> None:
    rename(academy, student, "\N{CUNEIFORM SIGN A}")
    refused(
        academy.rpc(student, "request_certificate_reissue", certificate_id=certificate["id"]),
        422,
        "certificate_unprintable",
    )


def test_former_names_go_with_the_account(
    academy: Academy, student: Person, own_course: Course, certificate: dict[str, Any]
) -> None:
    rename(academy, student, "Amara Diallo")
    asked = request(academy, student, certificate)
    done = academy.rpc(own_course.teacher, "decide_certificate_reissue", reissue_id=asked["id"], is_approved=True)
    assert done.status_code == 200, done.text
    rename(academy, student, "Amara Sow")
    request(academy, student, certificate)
    assert academy.rpc(student, "delete_account", keeps_name=True).status_code == 204
    assert verify(academy, certificate)["holder_name"] == "Amara Diallo"
    kept = rows(academy.call(own_course.teacher, "GET", "/rest/v1/certificate_reissues"))
    mine = [row for row in kept if row["certificate_id"] == certificate["id"]]
    assert [(row["holder_name"], row["holder_name_before"], row["note"]) for row in mine] == [
        ("Deleted member", "Deleted member", None)
    ]
