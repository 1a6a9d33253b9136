"""Students review courses that they took; catalogues show the average, and hidden reviews do not count."""

from typing import Any

import pytest

from tests.people import Academy, Course, Person, concurrently, refused, rows


@pytest.fixture
def reviewed(academy: Academy, teacher: Person) -> Course:
    """A course of one test."""
    return academy.course(teacher)


def learner(academy: Academy, course: Course) -> Person:
    """A student who finished a lesson."""
    student = academy.member()
    academy.enrol(student, course)
    done = academy.rpc(
        student, "record_progress", lesson_id=course.lesson_ids[0], position_seconds=10, is_completed=True
    )
    assert done.status_code == 200, done.text
    return student


def review(academy: Academy, who: Person | None, course: Course, rating: int) -> Any:
    """Review the course."""
    return academy.rpc(who, "review_course", course_id=course.id, rating=rating, body="So it is")


def stats(academy: Academy, course: Course) -> tuple[int, float | None]:
    """The ratings that everybody reads."""
    (row,) = rows(
        academy.call(None, "GET", f"/rest/v1/course_stats?course_id=eq.{course.id}&select=rating_count,rating_average")
    )
    return row["rating_count"], row["rating_average"]


def test_ratings_are_counted_and_edited(academy: Academy, reviewed: Course) -> None:
    """Each student counts once, at once with others, and a second review replaces the first."""
    students = [learner(academy, reviewed) for _ in range(3)]
    answers = concurrently(6, lambda n: review(academy, students[n % 3], reviewed, 5))
    assert {answer.status_code for answer in answers} == {200}
    assert stats(academy, reviewed) == (3, 5)
    edited = review(academy, students[0], reviewed, 2).json()
    assert edited["edited_at"]
    assert edited["rating"] == 2
    assert stats(academy, reviewed) == (3, 4)
    out_of_range = review(academy, students[1], reviewed, 6)
    assert (out_of_range.status_code, out_of_range.json()["code"]) == (400, "23514")
    assert stats(academy, reviewed) == (3, 4)


def test_who_may_review(academy: Academy, reviewed: Course) -> None:
    """Neither creators, strangers, those who did nothing, those who left, nor the suspended."""
    refused(review(academy, reviewed.teacher, reviewed, 5), 409, "own_course")
    refused(review(academy, academy.member(), reviewed, 1), 403, "not_enrolled")
    idle = academy.member()
    academy.enrol(idle, reviewed)
    refused(review(academy, idle, reviewed, 1), 403, "review_not_allowed")
    leaver = learner(academy, reviewed)
    academy.rpc(leaver, "leave_course", course_id=reviewed.id)
    refused(review(academy, leaver, reviewed, 1), 403, "review_not_allowed")
    suspended = learner(academy, reviewed)
    academy.suspend(suspended)
    refused(review(academy, suspended, reviewed, 1), 403, "account_inactive")
    assert review(academy, None, reviewed, 1).status_code == 401
    assert stats(academy, reviewed) == (0, None)


def test_replies_and_hiding(academy: Academy, reviewed: Course) -> None:
    """The creator replies; a moderator hides a review, which then counts for nobody and cannot be changed."""
    author = learner(academy, reviewed)
    review_id = review(academy, author, reviewed, 1).json()["id"]
    refused(academy.rpc(author, "reply_to_review", review_id=review_id, reply="Hm"), 404, "review_not_found")
    replied = academy.rpc(reviewed.teacher, "reply_to_review", review_id=review_id, reply="Thanks")
    assert replied.json()["reply"] == "Thanks"
    refused(academy.rpc(reviewed.teacher, "hide_review", review_id=review_id, reason="Bad"), 403, "role_required")
    hidden = academy.rpc(academy.member("moderator"), "hide_review", review_id=review_id, reason="Abuse")
    assert hidden.status_code == 200, hidden.text
    assert stats(academy, reviewed) == (0, None)
    path = f"/rest/v1/course_reviews?id=eq.{review_id}"
    assert rows(academy.call(None, "GET", path)) == []
    assert rows(academy.call(author, "GET", path))[0]["hidden_reason"] == "Abuse"
    refused(review(academy, author, reviewed, 5), 409, "review_hidden")


def test_reviews_of_the_banned_do_not_count(academy: Academy, reviewed: Course) -> None:
    """While an author is banned; suspended authors' reviews stay."""
    author, admin = learner(academy, reviewed), academy.member("admin")
    review_id = review(academy, author, reviewed, 4).json()["id"]
    for status, number in (("suspended", 1), ("banned", 0), ("active", 1)):
        assert academy.rpc(admin, "set_account_status", user_id=author.id, status=status).status_code == 204
        assert stats(academy, reviewed)[0] == number
        assert len(rows(academy.call(None, "GET", f"/rest/v1/course_reviews?id=eq.{review_id}"))) == number


def test_student_teachers_do_not_review(academy: Academy, reviewed: Course) -> None:
    """A student who teaches the course may not rate it."""
    person = learner(academy, reviewed)
    academy.sql(
        "insert into public.student_teachers (course_id, user_id, statement, status, decided_at)"
        " values (%s, %s, 'I help.', 'approved', now())",
        reviewed.id,
        person.id,
    )
    refused(review(academy, person, reviewed, 5), 403, "review_not_allowed")
    assert stats(academy, reviewed) == (0, None)
