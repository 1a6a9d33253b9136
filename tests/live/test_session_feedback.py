"""Student and host of a session rate each other; creators and admins find sessions, and count them."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.live.test_sessions import begin, on, schedule
from tests.people import Academy, Course, Person, concurrently, refused, rows


@pytest.fixture
def creator(academy: Academy) -> Person:
    """A teacher of one test."""
    return academy.member("teacher")


@pytest.fixture
def own_course(academy: Academy, creator: Person) -> Course:
    """A course of one test."""
    return academy.course(creator)


def completed(academy: Academy, course: Course, student: Person, day: int = 3) -> str:
    """Schedule and complete a session; returns its id."""
    session = schedule(academy, course.teacher, academy.enrol(student, course), on(day))
    begin(academy, session)
    assert academy.rpc(course.teacher, "complete_session", session_id=session["id"]).status_code == 200
    return session["id"]


def rate(academy: Academy, who: Person | None, session_id: str, rating: int, comment: str | None = None) -> Any:
    """Give feedback on the session."""
    return academy.rpc(who, "give_session_feedback", session_id=session_id, rating=rating, comment=comment)


def rating_of(academy: Academy, person: Person) -> tuple[int, float | None]:
    """The rating as a host that everybody reads."""
    (row,) = rows(
        academy.call(person, "GET", f"/rest/v1/user_stats?user_id=eq.{person.id}&select=rating_count,rating_average")
    )
    return row["rating_count"], row["rating_average"]


@pytest.mark.route("PL-051", call="POST /rest/v1/rpc/give_session_feedback")
def test_both_rate_each_other_once(academy: Academy, own_course: Course, student: Person) -> None:
    """Only the rating of the host counts; one of several calls at once wins."""
    creator = own_course.teacher
    session_id = completed(academy, own_course, student)
    answers = concurrently(4, lambda _: rate(academy, student, session_id, 4, "Clear"))
    (won,) = [answer.json() for answer in answers if answer.status_code == 200]
    assert (won["subject_id"], won["is_about_host"], won["rating"], won["comment"]) == (creator.id, True, 4, "Clear")
    for answer in answers:
        if answer.status_code != 200:
            refused(answer, 409, "feedback_given")
    about_student = rate(academy, creator, session_id, 1).json()
    assert (about_student["subject_id"], about_student["is_about_host"]) == (student.id, False)
    assert rating_of(academy, creator) == (1, 4)
    assert rating_of(academy, student) == (0, None)
    refused(rate(academy, academy.member(), session_id, 1), 404, "session_not_found")
    path = f"/rest/v1/session_feedback?session_id=eq.{session_id}"
    for who in (student, creator, academy.member("moderator")):
        assert len(rows(academy.call(who, "GET", path))) == 2
    for who in (academy.member(), academy.member("teacher")):
        assert rows(academy.call(who, "GET", path)) == []
    assert academy.call(None, "GET", path).status_code == 401
    assert academy.call(student, "PATCH", path, {"rating": 5}).status_code == 403
    academy.sql("update public.user_stats set rating_sum = 0, rating_count = 0 where user_id = %s", creator.id)
    academy.sql("select private.recount_user_stats(%s)::text", creator.id)
    assert rating_of(academy, creator) == (1, 4)


def test_ratings_at_once_all_count(academy: Academy, own_course: Course) -> None:
    """The ratings of several students of one host do not overwrite each other."""
    students = [academy.member() for _ in range(4)]
    sessions = [completed(academy, own_course, person, day) for day, person in enumerate(students, 3)]
    answers = concurrently(4, lambda n: rate(academy, students[n], sessions[n], n + 2))
    assert {answer.status_code for answer in answers} == {200}
    assert rating_of(academy, own_course.teacher) == (4, 3.5)


def test_who_may_not_rate(academy: Academy, own_course: Course, student: Person) -> None:
    """Neither strangers, nor of sessions that did not take place or ended long ago, nor the suspended."""
    session = schedule(academy, own_course.teacher, academy.enrol(student, own_course), on(3))
    refused(rate(academy, student, session["id"], 5), 409, "feedback_closed")
    begin(academy, session)
    done = academy.rpc(own_course.teacher, "complete_session", session_id=session["id"])
    assert done.status_code == 200
    refused(rate(academy, academy.member(), session["id"], 1), 404, "session_not_found")
    refused(rate(academy, academy.member("admin"), session["id"], 1), 404, "session_not_found")
    assert rate(academy, None, session["id"], 1).status_code == 401
    out_of_range = rate(academy, student, session["id"], 6)
    assert (out_of_range.status_code, out_of_range.json()["code"]) == (400, "23514")
    move = (
        "update public.sessions set starts_at = starts_at - %s * interval '1 day',"
        " ends_at = ends_at - %s * interval '1 day' where id = %s"
    )
    academy.sql(move, 15, 15, session["id"])
    refused(rate(academy, student, session["id"], 1), 409, "feedback_closed")
    academy.sql(move, -15, -15, session["id"])
    academy.suspend(student)
    refused(rate(academy, student, session["id"], 1), 403, "account_inactive")
    assert rating_of(academy, own_course.teacher) == (0, None)


DETAILS = (
    "select=id,status,starts_at,student:profiles!sessions_student_id_fkey(id,display_name),"
    "host:profiles!sessions_host_id_fkey(id,display_name),course:courses(id,title),"
    "feedback:session_feedback(rating,comment,is_about_host)"
)


@pytest.mark.route("PL-071", call="GET /rest/v1/sessions?course_id=eq.{course_id}&host_id=eq.{user_id}")
@pytest.mark.route("PL-072", call="GET /rest/v1/sessions?id=eq.{session_id}")
@pytest.mark.route("PL-155", call="GET /rest/v1/sessions?course_id=eq.{course_id}&status=eq.completed")
@pytest.mark.route("PL-156", call="GET /rest/v1/sessions?id=eq.{session_id}")
@pytest.mark.route("PL-162", call="GET /rest/v1/sessions?status=eq.scheduled&starts_at=gte.{now}&order=starts_at")
def test_creators_and_admins_find_sessions(academy: Academy, own_course: Course, student: Person) -> None:
    """By course, host, status, time, name and low rating, with the people and the feedback."""
    creator, admin = own_course.teacher, academy.member("admin")
    session_id = completed(academy, own_course, student)
    assert rate(academy, student, session_id, 2, "Late").status_code == 200
    ahead = schedule(academy, creator, academy.enrol(academy.member(), own_course), on(5))["id"]
    path = f"/rest/v1/sessions?course_id=eq.{own_course.id}&host_id=eq.{creator.id}&order=starts_at"
    now = (datetime.now(UTC) + timedelta(minutes=1)).strftime("%Y-%m-%dT%H:%M:%SZ")
    filters = {
        "": [session_id, ahead],
        "&limit=1&offset=1": [ahead],
        "&status=eq.completed": [session_id],
        f"&status=eq.scheduled&starts_at=gte.{now}": [ahead],
        f"&starts_at=lt.{now}": [session_id],
        "&select=id,low:session_feedback!inner(rating)&low.rating=lte.2": [session_id],
        "&select=id,low:session_feedback!inner(rating)&low.rating=lte.1": [],
        "&select=id,student:profiles!sessions_student_id_fkey!inner(id)&student.display_name=ilike.*amar*": [
            session_id
        ],
    }
    for who in (creator, admin):
        for query, found in filters.items():
            assert [row["id"] for row in rows(academy.call(who, "GET", path + query))] == found, query
        (row,) = rows(academy.call(who, "GET", f"/rest/v1/sessions?id=eq.{session_id}&{DETAILS}"))
        assert (row["student"]["id"], row["host"]["id"]) == (student.id, creator.id)
        assert row["course"]["id"] == own_course.id
        assert row["feedback"] == [{"rating": 2, "comment": "Late", "is_about_host": True}]
    for who in (academy.member("teacher"), academy.member()):
        for query in filters:
            assert rows(academy.call(who, "GET", path + query)) == []
        assert rows(academy.call(who, "GET", f"/rest/v1/sessions?id=eq.{session_id}&{DETAILS}")) == []
        assert rows(academy.call(who, "GET", f"{path}&status=eq.scheduled&starts_at=gte.{now}")) == []


@pytest.mark.route("PL-073", call="POST /rest/v1/rpc/session_stats")
@pytest.mark.route("PL-084", call="POST /rest/v1/rpc/session_stats")
@pytest.mark.route("PL-163", call="POST /rest/v1/rpc/session_stats")
def test_creators_and_admins_count_sessions(academy: Academy, own_course: Course, student: Person) -> None:
    """A creator those of the own courses, an admin those of everybody; nobody else."""
    creator, admin = own_course.teacher, academy.member("admin")
    session_id = completed(academy, own_course, student)
    assert rate(academy, student, session_id, 2).status_code == 200
    assert rate(academy, creator, session_id, 5).status_code == 200
    schedule(academy, creator, academy.enrol(academy.member(), own_course), on(5))
    expected = {
        "session_count": 2, "scheduled_count": 1, "completed_count": 1, "missed_count": 0, "host_missed_count": 0,
        "cancelled_count": 0,
        "completed_minutes": 61, "student_count": 2, "host_count": 1,
        "rating_count": 1, "rating_average": 2, "low_rating_count": 1,
    }  # fmt: skip
    assert academy.rpc(creator, "session_stats").json() == expected
    assert academy.rpc(creator, "session_stats", course_id=own_course.id).json() == expected
    assert academy.rpc(admin, "session_stats", creator_id=creator.id).json() == expected
    assert academy.rpc(admin, "session_stats").json()["session_count"] >= 2
    assert academy.rpc(creator, "session_stats", **{"from": on(4, 0)}).json()["session_count"] == 1
    other = academy.member("teacher")
    assert academy.rpc(other, "session_stats", course_id=own_course.id).json()["session_count"] == 0
    refused(academy.rpc(other, "session_stats", creator_id=creator.id), 403, "role_required")
    refused(academy.rpc(student, "session_stats"), 403, "role_required")
    assert academy.rpc(None, "session_stats").status_code == 401
