"""Completion and certificate follow from lessons and attempts alone, whatever the order of actions."""

from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from tests.people import Academy, Course, Person, refused, rows


class Journey(RuleBasedStateMachine):
    """A student in a course, and a model of the expected state."""

    academy: Academy
    course: Course

    @initialize()
    def begin(self) -> None:
        """A new student."""
        self.student: Person = self.academy.member()
        self.enrolled = self.cancelled = self.completed = self.certified = False
        self.finished: set[str] = set()
        self.attempts: list[bool] = []

    @property
    def open(self) -> bool:
        """Whether the course is open to the student."""
        return self.enrolled and not self.cancelled

    def settle(self) -> None:
        """Derive what the database should derive."""
        if len(self.finished) == len(self.course.lesson_ids) and any(self.attempts):
            self.completed = True

    @rule()
    def enrol(self) -> None:
        """Enrol, perhaps again, perhaps after a cancellation."""
        answer = self.academy.rpc(self.student, "enrol", course_id=self.course.id)
        assert answer.status_code == 200, answer.text
        if self.cancelled:
            self.settle()
        self.enrolled, self.cancelled = True, False

    @precondition(lambda self: self.open)
    @rule()
    def cancel(self) -> None:
        """Cancel as an operator, after which the student can enrol again."""
        self.academy.sql("update public.enrolments set status = 'cancelled' where student_id = %s", self.student.id)
        self.cancelled, self.completed = True, False

    @precondition(lambda self: self.enrolled)
    @rule()
    def leave(self) -> None:
        """Leave, unless the course is completed."""
        answer = self.academy.rpc(self.student, "leave_course", course_id=self.course.id)
        if self.cancelled:
            refused(answer, 403, "not_enrolled")
        elif self.completed:
            refused(answer, 409, "enrolment_completed")
        else:
            assert answer.status_code == 200, answer.text
            self.cancelled = True

    @rule(lesson=st.integers(0, 1), is_completed=st.sampled_from((None, True, True, False)))
    def learn(self, lesson: int, is_completed: bool | None) -> None:
        """Record progress in a lesson, perhaps to its end, or take its end back."""
        lesson_id = self.course.lesson_ids[lesson]
        answer = self.academy.rpc(self.student, "record_progress", lesson_id=lesson_id, is_completed=is_completed)
        if not self.open:
            refused(answer, 403, "not_enrolled")
            return
        assert answer.status_code == 200, answer.text
        if is_completed:
            self.finished.add(lesson_id)
        elif is_completed is False:
            self.finished.discard(lesson_id)
        self.settle()

    @rule(right=st.booleans())
    def hand_in(self, right: bool) -> None:
        """Submit the quiz, with correct or wrong answers."""
        answers: dict[str, Any] = self.course.correct_answers if right else {}
        answer = self.academy.rpc(self.student, "submit_quiz", quiz_id=self.course.quiz_id, answers=answers)
        if not self.open:
            refused(answer, 403, "not_enrolled")
            return
        attempt = answer.json()
        self.attempts.append(right)
        assert (attempt["attempt_number"], attempt["is_passed"]) == (len(self.attempts), right)
        self.certified = self.certified or right
        assert (attempt["certificate"] is not None) == self.certified
        if right:
            self.settle()

    @invariant()
    def holds(self) -> None:
        """The student reads the state of the model."""
        expected = {
            "status": "cancelled" if self.cancelled else "completed" if self.completed else "active",
            "completed_lesson_count": len(self.finished),
            "certificates": [{"status": "issued"}] if self.certified else [],
        }
        read = f"/rest/v1/enrolments?student_id=eq.{self.student.id}&select={','.join(expected)}(status)"
        assert rows(self.academy.call(self.student, "GET", read)) == ([expected] if self.enrolled else [])


def test_the_journey(academy: Academy, course: Course) -> None:
    class Here(Journey):
        pass

    Here.academy, Here.course = academy, course
    run_state_machine_as_test(
        Here,
        settings=settings(
            max_examples=20,
            stateful_step_count=12,
            deadline=None,
            derandomize=True,
            database=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
