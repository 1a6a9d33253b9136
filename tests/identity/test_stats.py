"""The counts of each user: kept by triggers, and equal to counting anew, also after concurrent changes."""

from itertools import pairwise
from typing import Any

import psycopg
import pytest

from tests.live.test_sessions import on, schedule
from tests.people import Academy, Course, Person, concurrently, rows

ROW = "select to_jsonb(s) from public.user_stats as s where s.user_id = %s"
FIGURES = (
    "follower_count", "following_count", "published_course_count", "student_count", "enrolment_count",
    "completed_course_count", "certificate_count", "verified_qualification_count", "session_count",
)  # fmt: skip


def figures(academy: Academy, person: Person) -> dict[str, int]:
    """The counts of a user that are not 0, which must equal counting anew."""
    with psycopg.connect(academy.admin_db_url) as connection:
        before = connection.execute(ROW, [person.id]).fetchone()
        connection.execute("select private.recount_user_stats(%s)", [person.id])
        after = connection.execute(ROW, [person.id]).fetchone()
        connection.rollback()
    assert before is not None
    assert before == after
    return {name: before[0][name] for name in FIGURES if before[0][name]}


def finish(academy: Academy, student: Person, course: Course) -> None:
    """Complete a course."""
    for lesson in course.lesson_ids:
        done = academy.rpc(student, "record_progress", lesson_id=lesson, is_completed=True)
        assert done.status_code == 200, done.text
    passed = academy.rpc(student, "submit_quiz", quiz_id=course.quiz_id, answers=course.correct_answers)
    assert passed.status_code == 200, passed.text


@pytest.fixture
def creator(academy: Academy) -> Person:
    """A teacher with counts of the test's own."""
    return academy.member("teacher")


def test_a_course_counts_while_it_is_published(academy: Academy, creator: Person) -> None:
    course = academy.course(creator)
    academy.course(creator, published=False)
    assert figures(academy, creator) == {"published_course_count": 1}
    academy.rpc(creator, "unpublish_course", course_id=course.id)
    assert figures(academy, creator) == {}
    academy.rpc(creator, "publish_course", course_id=course.id)
    academy.sql("update public.courses set status = 'suspended' where id = %s", course.id)
    assert figures(academy, creator) == {}


def test_students_count_once_however_many_courses_they_take(academy: Academy, creator: Person) -> None:
    courses = [academy.course(creator) for _ in range(2)]
    student = academy.member()
    for course in courses:
        academy.enrol(student, course)
        academy.enrol(student, course)
    assert figures(academy, creator) == {"published_course_count": 2, "student_count": 1}
    assert figures(academy, student) == {"enrolment_count": 2}
    cancel = "update public.enrolments set status = 'cancelled' where student_id = %s and course_id = %s"
    academy.sql(cancel, student.id, courses[0].id)
    assert figures(academy, creator) == {"published_course_count": 2, "student_count": 1}
    academy.sql(cancel, student.id, courses[1].id)
    assert figures(academy, creator) == {"published_course_count": 2}
    assert figures(academy, student) == {}
    academy.enrol(student, courses[1])
    assert figures(academy, creator) == {"published_course_count": 2, "student_count": 1}


def test_completed_courses_and_certificates_are_counted(academy: Academy, creator: Person) -> None:
    course, student = academy.course(creator), academy.member()
    academy.enrol(student, course)
    finish(academy, student, course)
    assert figures(academy, student) == {"enrolment_count": 1, "completed_course_count": 1, "certificate_count": 1}
    academy.sql(
        "update public.certificates set status = 'revoked', revoked_at = now() where student_id = %s", student.id
    )
    academy.sql(
        "update public.enrolments set status = 'cancelled', completed_at = null where student_id = %s", student.id
    )
    assert figures(academy, student) == {}
    assert figures(academy, creator) == {"published_course_count": 1}


def test_a_course_that_changes_hands_is_counted_anew(academy: Academy, creator: Person) -> None:
    other, student = academy.member("teacher"), academy.member()
    given, kept = academy.course(creator), academy.course(creator)
    for course in (given, kept):
        academy.enrol(student, course)
    academy.sql("update public.courses set creator_id = %s where id = %s", other.id, given.id)
    for person in (creator, other):
        assert figures(academy, person) == {"published_course_count": 1, "student_count": 1}


def test_concurrent_changes_keep_the_counts_right(academy: Academy, creator: Person) -> None:
    """Users who are each other's creators, students and followers enrol, complete and follow concurrently."""
    other = academy.member("teacher")
    courses = [academy.course(who) for who in (creator, other, creator)]
    students = [academy.member() for _ in range(6)]
    people = [*students, creator, other]

    def live(number: int) -> set[int]:
        person = people[number]
        made: list[Any] = []
        for course in courses[number % 2 :] + courses[: number % 2]:
            if course.teacher is not person:
                made.append(academy.rpc(person, "enrol", course_id=course.id))
                if number % 3 == 0:
                    finish(academy, person, course)
        made += [
            academy.call(person, "POST", "/rest/v1/follows", {"followee_id": people[(number + step) % len(people)].id})
            for step in (1, 3, 5)
        ]
        made.append(
            academy.call(person, "DELETE", f"/rest/v1/follows?follower_id=eq.{person.id}&limit=1&order=created_at")
        )
        return {answer.status_code for answer in made}

    statuses = set[int]().union(*concurrently(len(people), live))
    assert statuses == {200, 201, 204}
    students_of = {person.id: figures(academy, person).get("student_count", 0) for person in people}
    assert students_of[creator.id] == students_of[other.id] == len(people) - 1
    assert figures(academy, students[0])["certificate_count"] == len(courses)


def test_concurrent_lists_of_follows_are_counted(academy: Academy, admin_db_url: str) -> None:
    """Concurrent lists with the same users in opposite orders: rows are locked in one order, without deadlock."""
    people = [academy.member() for _ in range(12)]
    chains = [list(pairwise(people)), [(b, a) for a, b in pairwise(people)][::-1]] * 2

    def follow_all(number: int) -> str | None:
        with psycopg.connect(admin_db_url, autocommit=True) as connection:
            try:
                for _ in range(5):
                    pairs = [[one.id, other.id] for one, other in chains[number]]
                    connection.execute(
                        "insert into public.follows (follower_id, followee_id)"
                        " select (p ->> 0)::uuid, (p ->> 1)::uuid from jsonb_array_elements(%s::text::jsonb) as p"
                        " on conflict do nothing",
                        [str(pairs).replace("'", '"')],
                    )
            except psycopg.Error as error:
                return f"{error.sqlstate}: {error}"
        return None

    assert [problem for problem in concurrently(len(chains), follow_all) if problem] == []
    for person in people:
        figures(academy, person)


@pytest.mark.route("PL-011", call="GET /rest/v1/user_stats?user_id=eq.{user_id}", public=True)
def test_everybody_reads_the_counts_and_nobody_writes_them(academy: Academy, stranger: Person) -> None:
    person = academy.member()
    path = f"/rest/v1/user_stats?user_id=eq.{person.id}"
    for who in (None, stranger, person):
        (shown,) = rows(academy.call(who, "GET", path))
        assert {name: shown[name] for name in FIGURES} == dict.fromkeys(FIGURES, 0)
    for who, status, code in ((None, 401, "PT401"), (person, 403, "42501")):
        for method, body in (
            ("PATCH", {"follower_count": 1_000_000}), ("POST", {"user_id": person.id}), ("DELETE", None),
        ):  # fmt: skip
            answer = academy.call(who, method, path, body)
            assert (answer.status_code, answer.json()["code"]) == (status, code), answer.text


def test_completed_sessions_are_counted_for_both(academy: Academy) -> None:
    teacher, student = academy.member("teacher"), academy.member()
    enrolment_id = academy.enrol(student, academy.course(teacher))
    for day, was_attended in ((1, True), (2, False), (3, True)):
        session = schedule(academy, teacher, enrolment_id, on(day))["id"]
        academy.sql(
            "update public.sessions set starts_at = now() - interval '1 hour', ends_at = now() where id = %s", session
        )
        done = academy.rpc(teacher, "complete_session", session_id=session, was_attended=was_attended)
        assert done.status_code == 200, done.text
    schedule(academy, teacher, enrolment_id, on(4))
    assert figures(academy, student) == {"enrolment_count": 1, "session_count": 2}
    assert figures(academy, teacher) == {"published_course_count": 1, "student_count": 1, "session_count": 2}
