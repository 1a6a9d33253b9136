"""Enrolling a list: an admin enrols, a teacher invites and learns of nobody's account."""

import uuid
from typing import Any

import pytest

from tests.people import Academy, Course, Person, concurrently, refused, rows


def enrol_list(academy: Academy, who: Person, course: Course, *recipients: str, **more: Any) -> dict[str, str]:
    """Enrol a list, and return each outcome."""
    answer = academy.rpc(who, "enrol_list", course_id=course.id, recipients=list(recipients), **more)
    return {row["recipient"]: row["outcome"] for row in rows(answer)}


def has_course(academy: Academy, who: Person, course: Course) -> bool:
    """Whether somebody has an open enrolment."""
    return bool(
        academy.sql("select from private.open_enrolments where student_id = %s and course_id = %s", who.id, course.id)
    )


def invited_mails(academy: Academy, who: Person) -> int:
    """How many invitations were mailed to somebody."""
    ((count,),) = academy.sql(
        "select count(*) from private.mail_outbox where user_id = %s and template = 'course_invitation'", who.id
    )
    return int(count)


@pytest.fixture
def unknown() -> str:
    """An address without an account."""
    return f"{uuid.uuid4().hex}@example.com"


def test_an_admin_enrols_a_list(academy: Academy, teacher: Person, unknown: str) -> None:
    course = academy.course(teacher, price_amount=4000)
    admin, known, by_id, barred, already, unproven = (academy.member(*roles) for roles in (["admin"], *[[]] * 5))
    academy.sql("update auth.users set email_confirmed_at = null where id = %s", unproven.id)
    for who in (barred, already):
        assert academy.rpc(admin, "enrol_student_manually", user_id=who.id, course_id=course.id).status_code == 200
    enrolment = academy.sql("select id::text from public.enrolments where student_id = %s", barred.id)[0][0]
    assert academy.rpc(admin, "cancel_enrolment", enrolment_id=enrolment, reason="Fraud").status_code == 200
    nobody = str(uuid.uuid4())
    people = (
        known.email.upper(), by_id.id, barred.email, already.email, teacher.email, unknown, unproven.email, nobody, "?",
        f" {known.email} ",
    )  # fmt: skip
    expected = {
        known.email: "enrolled", by_id.id: "enrolled", barred.email: "barred", already.email: "already_enrolled",
        teacher.email: "own_course", unknown: "invited", unproven.email: "invited", nobody: "not_found", "?": "invalid",
    }  # fmt: skip
    assert enrol_list(academy, admin, course, *people) == expected
    assert [has_course(academy, who, course) for who in (known, by_id, barred, unproven)] == [True, True, False, False]
    (row,) = rows(academy.call(known, "GET", f"/rest/v1/enrolments?student_id=eq.{known.id}"))
    assert (row["source"], row["access_decided_by"]) == ("manual", admin.id)
    again = {name: "already_enrolled" if outcome == "enrolled" else outcome for name, outcome in expected.items()}
    assert enrol_list(academy, admin, course, *people) == again

    # The others come when they have proved the address, to a paid course too.
    refused(academy.rpc(unproven, "accept_course_invitation", course_id=course.id), 404, "invitation_not_found")
    academy.sql("update auth.users set email_confirmed_at = now() where id = %s", unproven.id)
    accepted = academy.rpc(unproven, "accept_course_invitation", course_id=course.id)
    assert (accepted.status_code, accepted.json()["source"]) == (200, "manual"), accepted.text
    assert accepted.json()["access_decided_by"] == admin.id


def test_a_teacher_learns_of_no_account(academy: Academy, teacher: Person, stranger: Person, unknown: str) -> None:
    course = academy.course(teacher)
    known, suspended = academy.member(), academy.member()
    academy.suspend(suspended)
    people = (known.email, unknown, suspended.email, known.id, str(uuid.uuid4()))
    for _ in range(2):
        assert enrol_list(academy, teacher, course, *people) == dict.fromkeys(people, "invited")
    assert not has_course(academy, known, course)
    assert rows(academy.call(teacher, "GET", f"/rest/v1/enrolments?course_id=eq.{course.id}")) == []
    shown = rows(academy.call(teacher, "GET", f"/rest/v1/course_invitations?course_id=eq.{course.id}"))
    assert {row["recipient"] for row in shown} == set(people)
    assert len({(row["accepted_at"], row["access_until"], row["invited_by"]) for row in shown}) == 1
    assert invited_mails(academy, known) == 1

    # Only who is invited reads and accepts it.
    for other in (stranger, academy.member(), academy.member("teacher")):
        assert rows(academy.call(other, "GET", "/rest/v1/course_invitations")) == []
        refused(academy.rpc(other, "accept_course_invitation", course_id=course.id), 404, "invitation_not_found")
        assert (
            rows(
                academy.call(
                    other, "DELETE", "/rest/v1/course_invitations?id=not.is.null", prefer="return=representation"
                )
            )
            == []
        )
    assert {row["recipient"] for row in rows(academy.call(known, "GET", "/rest/v1/course_invitations"))} == {
        known.email,
        known.id,
    }
    refused(academy.rpc(suspended, "accept_course_invitation", course_id=course.id), 403, "account_inactive")
    answers = concurrently(4, lambda _: academy.rpc(known, "accept_course_invitation", course_id=course.id))
    assert sorted(answer.status_code for answer in answers) == [200, 404, 404, 404]
    assert has_course(academy, known, course)


def test_addresses_that_an_admin_invited_are_hidden_from_the_teacher(
    academy: Academy, teacher: Person, unknown: str
) -> None:
    course, admin = academy.course(teacher), academy.member("admin")
    assert enrol_list(academy, admin, course, unknown) == {unknown: "invited"}
    invitations = f"/rest/v1/course_invitations?course_id=eq.{course.id}"
    assert [row["recipient"] for row in rows(academy.call(admin, "GET", invitations))] == [unknown]
    for who in (teacher, academy.member("moderator")):
        assert rows(academy.call(who, "GET", invitations)) == []
        assert rows(academy.call(who, "DELETE", invitations, prefer="return=representation")) == []


def test_a_teacher_gives_away_no_paid_course(academy: Academy, teacher: Person, student: Person) -> None:
    paid, free = academy.course(teacher, price_amount=4000), academy.course(teacher)
    call = {"course_id": paid.id, "recipients": [student.email]}
    refused(academy.rpc(teacher, "enrol_list", **call), 422, "course_not_free")
    for other in (student, academy.member("teacher"), academy.member("moderator")):
        refused(academy.rpc(other, "enrol_list", **call), 404, "course_not_found")
    enrol_list(academy, teacher, free, student.email)
    path = f"/rest/v1/courses?id=eq.{free.id}"
    assert academy.call(teacher, "PATCH", path, {"price_amount": 4000}).status_code == 204
    refused(academy.rpc(student, "accept_course_invitation", course_id=free.id), 402, "payment_required")
    assert not has_course(academy, student, free)


@pytest.mark.parametrize("end", ["demoted", "transferred", "expired", "withdrawn", "declined"])
def test_an_invitation_is_asked_again_when_it_is_accepted(academy: Academy, student: Person, end: str) -> None:
    teacher = academy.member("teacher")
    course = academy.course(teacher)
    enrol_list(academy, teacher, course, student.email)
    match end:
        case "demoted":
            academy.sql("delete from public.user_roles where user_id = %s", teacher.id)
            academy.sql("update public.courses set status = 'published' where id = %s", course.id)
        case "transferred":
            heir, admin = academy.member("teacher"), academy.member("admin")
            moved = academy.rpc(admin, "transfer_course", course_id=course.id, creator_id=heir.id)
            assert moved.status_code == 200, moved.text
        case "expired":
            academy.sql("update public.course_invitations set expires_at = now() where course_id = %s", course.id)
        case _:
            who = teacher if end == "withdrawn" else student
            path = f"/rest/v1/course_invitations?course_id=eq.{course.id}"
            assert academy.call(who, "DELETE", path).status_code == 204
    refused(academy.rpc(student, "accept_course_invitation", course_id=course.id), 404, "invitation_not_found")
    assert not has_course(academy, student, course)


def test_what_a_former_admin_granted_is_no_grant(academy: Academy, teacher: Person) -> None:
    course, admin, student = academy.course(teacher, price_amount=4000), academy.member("admin"), academy.member()
    academy.sql("update auth.users set email_confirmed_at = null where id = %s", student.id)
    assert enrol_list(academy, admin, course, student.email) == {student.email: "invited"}
    academy.sql("update auth.users set email_confirmed_at = now() where id = %s", student.id)
    academy.sql("delete from public.user_roles where user_id = %s", admin.id)
    refused(academy.rpc(student, "accept_course_invitation", course_id=course.id), 404, "invitation_not_found")


def test_lists_and_mails_are_bounded(academy: Academy, teacher: Person, student: Person) -> None:
    course = academy.course(teacher)
    for wrong in ([], [" "], [f"a{number}@example.com" for number in range(501)]):
        answer = academy.rpc(teacher, "enrol_list", course_id=course.id, recipients=wrong)
        refused(answer, 422, "list_too_long")
    bad = ("a@b", "x" * 250 + "@example.com", "two words@example.com", "@example.com")
    assert set(enrol_list(academy, teacher, course, *bad).values()) == {"invalid"}
    for _ in range(4):
        inviter = academy.member("teacher")
        enrol_list(academy, inviter, academy.course(inviter), student.email, student.id)
    assert invited_mails(academy, student) == 3


def test_lists_at_once(academy: Academy, teacher: Person) -> None:
    course = academy.course(teacher, price_amount=100)
    students = [academy.member() for _ in range(6)]
    admins = [academy.member("admin") for _ in range(3)]

    def act(number: int) -> Any:
        emails = [who.email for who in students]
        emails = emails if number % 2 else emails[::-1]
        return academy.rpc(admins[number], "enrol_list", course_id=course.id, recipients=emails)

    answers = concurrently(3, act)
    assert [answer.status_code for answer in answers] == [200] * 3, [answer.text for answer in answers]
    outcomes = [row["outcome"] for answer in answers for row in answer.json()]
    assert sorted(outcomes) == ["already_enrolled"] * 12 + ["enrolled"] * 6
    assert academy.sql("select enrolment_count from public.user_stats where user_id = %s", students[0].id) == [(1,)]
