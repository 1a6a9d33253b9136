"""Sessions: of a host with one student, never two at once, seen by those who take part."""

from datetime import UTC, datetime, timedelta

import pytest

from tests.conftest import Stack, wait_for_mail
from tests.people import Academy, Course, Person, refused, rows, together


def on(day: int, hour: int = 10) -> str:
    """An instant so many days from now, at this hour."""
    return (datetime.now(UTC) + timedelta(days=day)).replace(hour=hour, minute=0, second=0, microsecond=0).isoformat()


def schedule(academy: Academy, host: Person, enrolment: str, starts_at: str, minutes: int = 60) -> dict[str, str]:
    answer = academy.rpc(
        host, "schedule_session", enrolment_id=enrolment, starts_at=starts_at, duration_minutes=minutes
    )
    assert answer.status_code == 200, answer.text
    session: dict[str, str] = answer.json()
    return session


def begin(academy: Academy, session: dict[str, str]) -> None:
    """Let time pass until the session is under way."""
    academy.sql(
        "update public.sessions set starts_at = now() - interval '1 minute', ends_at = now() + interval '1 hour'"
        " where id = %s",
        session["id"],
    )


@pytest.mark.route("PL-046", call="GET /rest/v1/sessions?enrolment_id=eq.{enrolment_id}")
@pytest.mark.route("PL-058", call="GET /rest/v1/sessions?host_id=eq.{user_id}")
def test_those_who_take_part_read_it(
    academy: Academy, course: Course, student: Person, stranger: Person, enrolment: str
) -> None:
    teacher = course.teacher
    session = schedule(academy, teacher, enrolment, on(3))
    embed = "&select=id,status,time_zone,student:profiles!sessions_student_id_fkey(display_name),course:courses(slug)"
    for path in (
        f"/rest/v1/sessions?enrolment_id=eq.{enrolment}",
        f"/rest/v1/sessions?host_id=eq.{teacher.id}&enrolment_id=eq.{enrolment}",
    ):
        for who in (student, teacher, academy.member("moderator")):
            assert rows(academy.call(who, "GET", path)) == [session]
        for who in (stranger, academy.member()):
            assert rows(academy.call(who, "GET", path)) == []
        assert academy.call(None, "GET", path).status_code == 401
    (embedded,) = rows(academy.call(teacher, "GET", f"/rest/v1/sessions?id=eq.{session['id']}{embed}"))
    assert embedded["course"] == {"slug": course.slug}
    assert (embedded["status"], embedded["time_zone"]) == ("scheduled", "UTC")


def test_the_student_is_told(academy: Academy, course: Course, student: Person, enrolment: str, stack: Stack) -> None:
    schedule(academy, course.teacher, enrolment, on(12))
    assert "Ines" in str(wait_for_mail(stack, student.email, "Session on")["text"])


def test_nobody_writes_it_directly(academy: Academy, course: Course, student: Person, enrolment: str) -> None:
    session = schedule(academy, course.teacher, enrolment, on(4))
    path = f"/rest/v1/sessions?id=eq.{session['id']}"
    for who in (student, course.teacher):
        assert academy.call(who, "PATCH", path, {"status": "completed"}).status_code == 403
        assert academy.call(who, "DELETE", path).status_code == 403
        assert academy.call(who, "POST", "/rest/v1/sessions", {"enrolment_id": enrolment}).status_code == 403


def test_only_who_teaches_the_enrolment_schedules(
    academy: Academy, student: Person, stranger: Person, enrolment: str
) -> None:
    for who in (student, stranger, academy.member("admin")):
        refused(
            academy.rpc(who, "schedule_session", enrolment_id=enrolment, starts_at=on(5)), 404, "enrolment_not_found"
        )
    assert academy.rpc(None, "schedule_session", enrolment_id=enrolment, starts_at=on(5)).status_code == 401


def test_times_that_cannot_be_are_refused(academy: Academy, course: Course, enrolment: str) -> None:
    for starts_at, minutes in ((on(-1), 60), (on(400), 60), (on(6), 9), (on(6), 481), ("infinity", 60)):
        answer = academy.rpc(
            course.teacher,
            "schedule_session",
            enrolment_id=enrolment, starts_at=starts_at, duration_minutes=minutes,
        )  # fmt: skip
        refused(answer, 422, "session_time_invalid")
    for zone in ("CET", "Nowhere/Place", "UTC+3"):
        answer = academy.rpc(
            course.teacher, "schedule_session", enrolment_id=enrolment, starts_at=on(6), time_zone=zone
        )
        refused(answer, 422, "time_zone_invalid")
    kept = academy.rpc(
        course.teacher, "schedule_session", enrolment_id=enrolment, starts_at=on(6), time_zone="Pacific/Chatham"
    )
    assert kept.json()["time_zone"] == "Pacific/Chatham"


def test_of_many_at_once_one_gets_the_hour(academy: Academy, student: Person) -> None:
    host = academy.member("teacher")
    enrolment = academy.enrol(student, academy.course(host))
    starts_at = on(7)
    answers = together(
        10,
        lambda number: academy.rpc(
            host,
            "schedule_session",
            enrolment_id=enrolment,
            starts_at=(datetime.fromisoformat(starts_at) + timedelta(minutes=5 * number)).isoformat(),
        ),
    )
    won = [answer for answer in answers if answer.status_code == 200]
    assert len(won) == 1
    for answer in answers:
        if answer is not won[0]:
            refused(answer, 409, "host_busy")
    # One ends, the next begins; and what is called off frees the time.
    schedule(academy, host, enrolment, (datetime.fromisoformat(won[0].json()["ends_at"])).isoformat())
    assert academy.rpc(student, "cancel_session", session_id=won[0].json()["id"]).status_code == 200
    schedule(academy, host, enrolment, won[0].json()["starts_at"], minutes=30)


def test_whoever_takes_part_cancels_once(
    academy: Academy, course: Course, student: Person, enrolment: str, stack: Stack
) -> None:
    session = schedule(academy, course.teacher, enrolment, on(8))
    refused(
        academy.rpc(academy.member("teacher"), "cancel_session", session_id=session["id"]), 404, "session_not_found"
    )
    done = academy.rpc(student, "cancel_session", session_id=session["id"], reason="A cold")
    assert (done.json()["status"], done.json()["cancellation_reason"]) == ("cancelled", "A cold")
    again = academy.rpc(course.teacher, "cancel_session", session_id=session["id"], reason="Another")
    assert again.json() == done.json()
    assert "A cold" in str(wait_for_mail(stack, course.teacher.email, "Cancelled")["text"])


def test_the_host_says_how_it_went(academy: Academy, course: Course, student: Person, enrolment: str) -> None:
    held, missed = (schedule(academy, course.teacher, enrolment, on(day)) for day in (9, 10))
    refused(academy.rpc(course.teacher, "complete_session", session_id=held["id"]), 409, "session_not_begun")
    for session in (held, missed):
        begin(academy, session)
        refused(academy.rpc(student, "complete_session", session_id=session["id"]), 403, "host_required")
    assert academy.rpc(course.teacher, "complete_session", session_id=held["id"]).json()["status"] == "completed"
    done = academy.rpc(course.teacher, "complete_session", session_id=missed["id"], was_attended=False)
    assert done.json()["status"] == "missed"
    refused(academy.rpc(student, "cancel_session", session_id=held["id"]), 409, "illegal_transition")


def test_a_suspended_host_schedules_nothing(academy: Academy, student: Person) -> None:
    host = academy.member("teacher")
    enrolment = academy.enrol(student, academy.course(host))
    academy.suspend(host)
    refused(academy.rpc(host, "schedule_session", enrolment_id=enrolment, starts_at=on(11)), 403, "account_inactive")
