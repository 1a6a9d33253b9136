"""Sessions of a host with one student: never two at once, and only participants read them."""

from datetime import UTC, datetime, timedelta

import pytest

from tests.conftest import Stack, wait_for_mail
from tests.people import Academy, Course, Person, concurrently, refused, rows


def on(day: int, hour: int = 10) -> str:
    """The instant in so many days, at this hour."""
    return (datetime.now(UTC) + timedelta(days=day)).replace(hour=hour, minute=0, second=0, microsecond=0).isoformat()


def schedule(academy: Academy, host: Person, enrolment: str, starts_at: str, minutes: int = 60) -> dict[str, str]:
    answer = academy.rpc(
        host, "schedule_session", enrolment_id=enrolment, starts_at=starts_at, duration_minutes=minutes
    )
    assert answer.status_code == 200, answer.text
    session: dict[str, str] = answer.json()
    return session


def begin(academy: Academy, session: dict[str, str]) -> None:
    """Move the session so that it has begun."""
    academy.sql(
        "update public.sessions set starts_at = now() - interval '1 minute', ends_at = now() + interval '1 hour'"
        " where id = %s",
        session["id"],
    )


@pytest.mark.route("PL-046", call="GET /rest/v1/sessions?enrolment_id=eq.{enrolment_id}")
@pytest.mark.route("PL-058", call="GET /rest/v1/sessions?host_id=eq.{user_id}")
def test_participants_read_a_session(
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


def test_the_student_gets_a_mail(
    academy: Academy, course: Course, student: Person, enrolment: str, stack: Stack
) -> None:
    schedule(academy, course.teacher, enrolment, on(12))
    assert "Ines" in str(wait_for_mail(stack, student.email, "Session on")["text"])


def test_nobody_writes_sessions_directly(academy: Academy, course: Course, student: Person, enrolment: str) -> None:
    session = schedule(academy, course.teacher, enrolment, on(4))
    path = f"/rest/v1/sessions?id=eq.{session['id']}"
    for who in (student, course.teacher):
        assert academy.call(who, "PATCH", path, {"status": "completed"}).status_code == 403
        assert academy.call(who, "DELETE", path).status_code == 403
        assert academy.call(who, "POST", "/rest/v1/sessions", {"enrolment_id": enrolment}).status_code == 403


def test_only_teachers_of_the_student_schedule(
    academy: Academy, student: Person, stranger: Person, enrolment: str
) -> None:
    for who in (student, stranger, academy.member("admin")):
        refused(
            academy.rpc(who, "schedule_session", enrolment_id=enrolment, starts_at=on(5)), 404, "enrolment_not_found"
        )
    assert academy.rpc(None, "schedule_session", enrolment_id=enrolment, starts_at=on(5)).status_code == 401


def test_invalid_times_are_refused(academy: Academy, course: Course, enrolment: str) -> None:
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


def test_concurrent_sessions_do_not_overlap(academy: Academy, student: Person) -> None:
    host = academy.member("teacher")
    enrolment = academy.enrol(student, academy.course(host))
    starts_at = on(7)
    answers = concurrently(
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
    # The next session begins when one ends; a cancelled one frees the time.
    schedule(academy, host, enrolment, (datetime.fromisoformat(won[0].json()["ends_at"])).isoformat())
    assert academy.rpc(student, "cancel_session", session_id=won[0].json()["id"]).status_code == 200
    schedule(academy, host, enrolment, won[0].json()["starts_at"], minutes=30)


def test_participants_cancel_a_session_once(
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


def test_the_host_completes_a_session(academy: Academy, course: Course, student: Person, enrolment: str) -> None:
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


@pytest.mark.parametrize("how", ["banned", "deleted", "role lost", "suspended"])
def test_a_former_host_has_no_sessions_ahead(academy: Academy, how: str) -> None:
    admin, host, student = academy.member("admin"), academy.member("teacher"), academy.member()
    course = academy.course(host)
    enrolment = academy.enrol(student, course)
    ahead, begun = schedule(academy, host, enrolment, on(3)), schedule(academy, host, enrolment, on(4))
    academy.sql(
        "update public.sessions set starts_at = now() - interval '2 hours', ends_at = now() - interval '1 hour'"
        " where id = %s",
        begun["id"],
    )
    calls = {
        "banned": ("set_account_status", {"status": "banned"}),
        "suspended": ("set_account_status", {"status": "suspended"}),
        "deleted": ("delete_user", {}),
        "role lost": ("revoke_role", {"role": "teacher"}),
    }
    name, arguments = calls[how]
    assert academy.rpc(admin, name, user_id=host.id, **arguments).status_code == 204
    found = dict(academy.sql("select id::text, status::text from public.sessions where host_id = %s", host.id))
    is_cancelled = how != "suspended"
    assert found == {ahead["id"]: "cancelled" if is_cancelled else "scheduled", begun["id"]: "scheduled"}
    mails = academy.sql(
        "select count(*) from private.mail_outbox where user_id = %s and template = 'session_cancelled'", student.id
    )
    assert mails == [(int(is_cancelled),)]


def test_a_former_student_teacher_hosts_no_sessions(academy: Academy) -> None:
    teacher, person, student = academy.member("teacher"), academy.member(), academy.member()
    course = academy.course(teacher)
    ((row_id,),) = academy.sql(
        "insert into public.student_teachers (course_id, user_id, statement, status, decided_at)"
        " values (%s, %s, 'I help.', 'approved', now()) returning id::text",
        course.id,
        person.id,
    )
    enrolment = academy.enrol(student, course)
    assert academy.rpc(student, "choose_student_teacher", student_teacher_id=row_id).status_code == 200
    ahead = schedule(academy, person, enrolment, on(3))
    revoked = academy.rpc(teacher, "revoke_student_teacher", student_teacher_id=row_id, reason="Absent")
    assert revoked.status_code == 200, revoked.text
    assert academy.sql("select status::text from public.sessions where id = %s", ahead["id"]) == [("cancelled",)]


def place_with(academy: Academy, person: Person, course: Course) -> str:
    """Approve a person as student-teacher of a course; returns the row."""
    ((row_id,),) = academy.sql(
        "insert into public.student_teachers (course_id, user_id, statement, status, decided_at)"
        " values (%s, %s, 'I help.', 'approved', now()) returning id::text",
        course.id,
        person.id,
    )
    return str(row_id)


@pytest.mark.parametrize("how", ["transferred", "left", "cancelled", "access ended", "another chosen", "unassigned"])
def test_sessions_end_with_the_place_of_host_or_student(academy: Academy, how: str) -> None:
    admin, teacher, person, student, other = academy.member("admin"), *(academy.member("teacher") for _ in range(4))
    course = academy.course(teacher)
    enrolment = academy.enrol(student, course)
    theirs = schedule(academy, teacher, academy.enrol(other, course), on(5))
    by_creator = schedule(academy, teacher, enrolment, on(3))
    row_id = place_with(academy, person, course)
    assert academy.rpc(student, "choose_student_teacher", student_teacher_id=row_id).status_code == 200
    by_student_teacher = schedule(academy, person, enrolment, on(4))
    answer = {
        "transferred": lambda: academy.rpc(
            admin, "transfer_course", course_id=course.id, creator_id=academy.member("teacher").id
        ),
        "left": lambda: academy.rpc(student, "leave_course", course_id=course.id),
        "cancelled": lambda: academy.rpc(admin, "cancel_enrolment", enrolment_id=enrolment, reason="Unpaid"),
        "access ended": lambda: academy.rpc(
            admin, "update_enrolment", enrolment_id=enrolment, access_until=datetime.now(UTC).isoformat()
        ),
        "another chosen": lambda: academy.rpc(
            student,
            "choose_student_teacher",
            student_teacher_id=place_with(academy, academy.member(), course),
        ),
        "unassigned": lambda: academy.rpc(teacher, "assign_student_teacher", enrolment_id=enrolment),
    }[how]()
    assert answer.status_code in {200, 204}, answer.text
    found = dict(academy.sql("select id::text, status::text from public.sessions where course_id = %s", course.id))
    is_student_gone = how in {"left", "cancelled", "access ended"}
    is_creator_gone = how == "transferred"
    assert found == {
        theirs["id"]: "cancelled" if is_creator_gone else "scheduled",
        by_creator["id"]: "cancelled" if is_student_gone or is_creator_gone else "scheduled",
        by_student_teacher["id"]: "scheduled" if is_creator_gone else "cancelled",
    }
    # The time of the hosts is free again, and both people get a mail.
    lively = academy.sql("select count(*) from private.commitments where is_live and host_id = %s", teacher.id)
    assert lively == [([found[theirs["id"]], found[by_creator["id"]]].count("scheduled"),)]
    mails = "select count(*) from private.mail_outbox where template = 'session_cancelled' and user_id = %s"
    assert academy.sql(mails, student.id) == [(list(found.values()).count("cancelled") - int(is_creator_gone),)]
