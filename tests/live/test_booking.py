"""Introductory sessions, sessions that move, hosts who do not come, and credits for it."""

from datetime import datetime, timedelta

import pytest

from tests.conftest import Stack, wait_for_mail
from tests.live.test_schedules import made, slots, tomorrow
from tests.live.test_sessions import begin, on, schedule
from tests.people import Academy, Course, Person, concurrently, refused, rows


@pytest.fixture
def host(academy: Academy) -> Person:
    """A teacher without commitments."""
    return academy.member("teacher")


@pytest.fixture
def own_course(academy: Academy, host: Person) -> Course:
    """A course of the host."""
    return academy.course(host)


def ask(academy: Academy, who: Person, course: Course, starts_at: str) -> dict[str, str]:
    answer = academy.rpc(who, "request_intro_session", course_id=course.id, starts_at=starts_at)
    assert answer.status_code == 200, answer.text
    session: dict[str, str] = answer.json()
    return session


def is_live(academy: Academy, session_id: str) -> bool:
    ((live,),) = academy.sql(
        "select c.is_live from private.commitments as c join public.sessions as s on s.commitment_id = c.id"
        " where s.id = %s",
        session_id,
    )
    return bool(live)


@pytest.mark.route("PL-052", call="POST /rest/v1/rpc/accept_session")
def test_a_host_accepts_an_introductory_session(
    academy: Academy, own_course: Course, student: Person, stranger: Person
) -> None:
    session = ask(academy, student, own_course, on(3))
    assert (session["status"], session["kind"], session["host_id"]) == ("requested", "intro", own_course.teacher.id)
    refused(
        academy.rpc(student, "request_intro_session", course_id=own_course.id, starts_at=on(4)),
        409,
        "intro_session_exists",
    )
    refused(academy.rpc(stranger, "request_intro_session", course_id=own_course.id, starts_at=on(3)), 409, "host_busy")
    refused(academy.rpc(student, "accept_session", session_id=session["id"]), 403, "host_required")
    refused(academy.rpc(stranger, "accept_session", session_id=session["id"]), 404, "session_not_found")
    accepted = academy.rpc(own_course.teacher, "accept_session", session_id=session["id"])
    assert accepted.json()["status"] == "scheduled", accepted.text
    refused(academy.rpc(own_course.teacher, "accept_session", session_id=session["id"]), 409, "illegal_transition")


def test_a_declined_time_is_free_again(academy: Academy, own_course: Course, student: Person) -> None:
    session = ask(academy, student, own_course, on(3))
    refused(academy.rpc(student, "decline_session", session_id=session["id"]), 403, "host_required")
    declined = academy.rpc(own_course.teacher, "decline_session", session_id=session["id"], reason="Fully booked")
    assert (declined.json()["status"], declined.json()["cancellation_reason"]) == ("declined", "Fully booked")
    assert not is_live(academy, session["id"])
    ask(academy, student, own_course, on(3))


def test_who_is_enrolled_asks_for_no_introduction(academy: Academy, course: Course, student: Person) -> None:
    academy.enrol(student, course)
    refused(
        academy.rpc(student, "request_intro_session", course_id=course.id, starts_at=on(3)),
        409,
        "intro_session_exists",
    )
    refused(
        academy.rpc(student, "request_intro_session", course_id=course.id, starts_at=on(3), host_id=student.id),
        404,
        "host_not_found",
    )


def test_of_fifty_for_overlapping_times_one_gets_it(academy: Academy, own_course: Course, host: Person) -> None:
    people = [academy.member() for _ in range(10)]
    answers = concurrently(
        50,
        lambda number: academy.rpc(
            people[number % 10],
            "request_intro_session",
            course_id=own_course.id,
            starts_at=on(5).replace(":00:00", f":{number % 25:02}:00"),
        ),
    )
    assert sorted(a.status_code for a in answers) == [200] + [409] * 49
    ((count,),) = academy.sql(
        "select count(*) from private.commitments as c where c.host_id = %s and c.is_live", host.id
    )
    assert count == 1


def test_a_request_that_nobody_answers_expires(academy: Academy, own_course: Course, student: Person) -> None:
    session = ask(academy, student, own_course, on(3))
    begin(academy, session)
    academy.sql("select private.lapse__session_requests()")
    ((status,),) = academy.sql("select s.status::text from public.sessions as s where s.id = %s", session["id"])
    assert status == "expired"
    assert not is_live(academy, session["id"])


def test_a_session_moves_and_keeps_its_history(
    academy: Academy, own_course: Course, student: Person, stranger: Person
) -> None:
    session = schedule(academy, own_course.teacher, academy.enrol(student, own_course), on(3))
    schedule(academy, own_course.teacher, session["enrolment_id"], on(4))
    refused(
        academy.rpc(own_course.teacher, "reschedule_session", session_id=session["id"], starts_at=on(4)),
        409,
        "host_busy",
    )
    refused(academy.rpc(student, "reschedule_session", session_id=session["id"], starts_at=on(5)), 403, "host_required")
    moved = academy.rpc(own_course.teacher, "reschedule_session", session_id=session["id"], starts_at=on(5)).json()
    assert (moved["status"], moved["ics_sequence"]) == ("scheduled", 1)
    path = f"/rest/v1/session_reschedules?session_id=eq.{session['id']}"
    for who in (student, own_course.teacher):
        (former,) = rows(academy.call(who, "GET", path))
        assert former["former_starts_at"] == session["starts_at"]
    assert rows(academy.call(stranger, "GET", path)) == []
    schedule(academy, own_course.teacher, session["enrolment_id"], on(3))


@pytest.mark.parametrize(("notice_hours", "returned"), [(24, 100), (96, 60)])
def test_what_a_cancellation_costs_is_known_before(
    academy: Academy, own_course: Course, student: Person, *, stranger: Person, notice_hours: int, returned: int
) -> None:
    session = schedule(academy, own_course.teacher, academy.enrol(student, own_course), on(3))
    academy.sql(
        "update public.sessions set cancellation_notice_hours = %s, late_cancellation_percent = 40 where id = %s",
        notice_hours,
        session["id"],
    )
    refused(academy.rpc(stranger, "session_cancellation_terms", session_id=session["id"]), 404, "session_not_found")
    for who, percent in ((own_course.teacher, 100), (student, returned)):
        terms = academy.rpc(who, "session_cancellation_terms", session_id=session["id"]).json()
        assert (terms["can_cancel"], terms["returned_percent"]) == (True, percent)
    cancelled = academy.rpc(student, "cancel_session", session_id=session["id"]).json()
    assert (cancelled["status"], cancelled["returned_percent"]) == ("cancelled", returned)
    assert not is_live(academy, session["id"])


@pytest.mark.route("PL-160", call="POST /rest/v1/rpc/credit_session")
def test_an_admin_credits_a_session_that_the_host_missed(
    academy: Academy, own_course: Course, student: Person, stranger: Person
) -> None:
    session = schedule(academy, own_course.teacher, academy.enrol(student, own_course), on(3))
    refused(academy.rpc(student, "report_host_missed", session_id=session["id"]), 409, "session_not_begun")
    begin(academy, session)
    refused(academy.rpc(own_course.teacher, "report_host_missed", session_id=session["id"]), 404, "session_not_found")
    missed = academy.rpc(student, "report_host_missed", session_id=session["id"]).json()
    assert (missed["status"], missed["returned_percent"]) == ("host_missed", 100)
    admin = academy.member("admin")
    for who in (student, own_course.teacher):
        refused(academy.rpc(who, "credit_session", session_id=session["id"]), 403, "role_required")
    credit = academy.rpc(admin, "credit_session", session_id=session["id"], reason="Host absent").json()
    assert (credit["student_id"], credit["host_id"], credit["granted_by"]) == (
        student.id,
        own_course.teacher.id,
        admin.id,
    )
    refused(academy.rpc(admin, "credit_session", session_id=session["id"]), 409, "session_credited")
    path = f"/rest/v1/session_credits?session_id=eq.{session['id']}"
    assert rows(academy.call(student, "GET", path)) == [credit]
    assert rows(academy.call(stranger, "GET", path)) == []


@pytest.mark.route(
    "PL-049",
    call="GET /rest/v1/sessions?id=eq.{id}&select={columns}",
)
def test_a_participant_reads_a_session_with_people_and_course(
    academy: Academy, own_course: Course, student: Person, stranger: Person
) -> None:
    session = ask(academy, student, own_course, on(3))
    path = (
        f"/rest/v1/sessions?id=eq.{session['id']}&select=*,student:profiles!sessions_student_id_fkey(display_name),"
        "host:profiles!sessions_host_id_fkey(display_name),course:courses(id)"
    )
    for who in (student, own_course.teacher):
        (read,) = rows(academy.call(who, "GET", path))
        assert read["course"] == {"id": own_course.id}
        assert read["host"] is not None
    assert rows(academy.call(stranger, "GET", path)) == []


@pytest.mark.parametrize("event", ["ban", "delete"])
def test_requests_of_who_is_gone_are_cancelled(
    academy: Academy, own_course: Course, student: Person, event: str
) -> None:
    session = ask(academy, student, own_course, on(3))
    status = "banned" if event == "ban" else "deleted"
    academy.sql("select private.account_stopped__400_sessions(%s, %s::public.account_status)", student.id, status)
    ((now,),) = academy.sql("select s.status::text from public.sessions as s where s.id = %s", session["id"])
    assert now == "cancelled"
    assert not is_live(academy, session["id"])


@pytest.mark.route("PL-050", call="POST /rest/v1/rpc/book_session")
def test_a_student_books_a_free_slot(
    academy: Academy, own_course: Course, host: Person, student: Person, *, stranger: Person, stack: Stack
) -> None:
    made(academy, host, buffer_after_minutes=30, cancellation_notice_hours=12, late_cancellation_percent=40)
    enrolment = academy.enrol(student, own_course)
    day = tomorrow(3)
    nine = day.replace(hour=9)
    asked = {"enrolment_id": enrolment, "starts_at": nine.isoformat(), "topic": "Kilns"}
    refused(academy.rpc(stranger, "book_session", **asked), 404, "enrolment_not_found")
    booked = academy.rpc(student, "book_session", **asked)
    assert booked.status_code == 200, booked.text
    session = booked.json()
    assert (session["status"], session["host_id"], session["topic"]) == ("scheduled", host.id, "Kilns")
    assert (session["cancellation_notice_hours"], session["late_cancellation_percent"]) == (12, 40)
    assert datetime.fromisoformat(session["ends_at"]) == nine + timedelta(hours=1)
    assert "Kilns" in str(wait_for_mail(stack, host.email, "Session on")["text"])
    # The buffer after it takes the slot at ten, too.
    assert slots(academy, student, host, day, zone="Europe/Lisbon") == ["11:00"]
    for at, status, token in (
        (nine, 409, "slot_unavailable"),
        (day.replace(hour=8), 409, "slot_unavailable"),
        (nine + timedelta(minutes=7), 409, "slot_unavailable"),
    ):
        refused(academy.rpc(student, "book_session", **asked | {"starts_at": at.isoformat()}), status, token)
    refused(academy.rpc(student, "book_session", **asked, duration_minutes=45), 422, "slot_minutes_invalid")
    # What was agreed stays when the schedule changes.
    academy.call(host, "PATCH", f"/rest/v1/schedules?host_id=eq.{host.id}", {"late_cancellation_percent": 100})
    terms = academy.rpc(student, "session_cancellation_terms", session_id=session["id"]).json()
    assert terms["returned_percent"] == 100
    academy.rpc(student, "cancel_session", session_id=session["id"])
    assert slots(academy, student, host, day, zone="Europe/Lisbon") == ["09:00", "10:00", "11:00"]


def test_a_host_may_want_to_accept_each_booking(
    academy: Academy, own_course: Course, host: Person, student: Person
) -> None:
    made(academy, host, requires_acceptance=True)
    enrolment = academy.enrol(student, own_course)
    start = tomorrow(3).replace(hour=10)
    session = academy.rpc(student, "book_session", enrolment_id=enrolment, starts_at=start.isoformat()).json()
    assert session["status"] == "requested"
    assert "10:00" not in slots(academy, student, host, tomorrow(3), zone="Europe/Lisbon")
    assert academy.rpc(host, "accept_session", session_id=session["id"]).json()["status"] == "scheduled"


def test_of_many_students_one_gets_a_slot(academy: Academy, own_course: Course, host: Person) -> None:
    made(academy, host)
    enrolments = [(person, academy.enrol(person, own_course)) for person in (academy.member() for _ in range(8))]
    start = tomorrow(4).replace(hour=9).isoformat()
    answers = concurrently(
        8, lambda number: academy.rpc(
            enrolments[number][0], "book_session", enrolment_id=enrolments[number][1], starts_at=start
        )
    )  # fmt: skip
    assert sorted(answer.status_code for answer in answers) == [200] + [409] * 7
    assert {answer.json()["message"] for answer in answers if answer.status_code == 409} <= {
        "host_busy", "slot_unavailable"
    }  # fmt: skip


def test_bookings_at_once_keep_the_limit_of_a_day(academy: Academy, own_course: Course, host: Person) -> None:
    made(academy, host, maximum_per_day=1)
    enrolments = [(person, academy.enrol(person, own_course)) for person in (academy.member() for _ in range(3))]
    answers = concurrently(
        3,
        lambda number: academy.rpc(
            enrolments[number][0],
            "book_session",
            enrolment_id=enrolments[number][1],
            starts_at=tomorrow(4).replace(hour=9 + number).isoformat(),
        ),
    )
    assert sorted(answer.status_code for answer in answers) == [200, 409, 409]


def test_who_lost_the_course_books_nothing(academy: Academy, own_course: Course, host: Person, student: Person) -> None:
    made(academy, host)
    enrolment = academy.enrol(student, own_course)
    academy.sql("update public.enrolments set status = 'cancelled' where id = %s", enrolment)
    start = tomorrow(3).replace(hour=9).isoformat()
    refused(academy.rpc(student, "book_session", enrolment_id=enrolment, starts_at=start), 409, "enrolment_closed")
    academy.suspend(student)
    refused(academy.rpc(student, "book_session", enrolment_id=enrolment, starts_at=start), 403, "account_inactive")
