"""Whatever a student does in whatever order, completion and certificate follow from lessons and attempts alone."""

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
    """One student in one course, beside a model of what should be so."""

    academy: Academy
    course: Course

    @initialize()
    def begin(self) -> None:
        """Somebody new."""
        self.student: Person = self.academy.member()
        self.enrolled = self.cancelled = self.completed = self.certified = False
        self.finished: set[str] = set()
        self.attempts: list[bool] = []

    @property
    def open(self) -> bool:
        """Whether the course is open to the student."""
        return self.enrolled and not self.cancelled

    def settle(self) -> None:
        """Conclude what the database should conclude."""
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
        """An operator's hand, which bars nobody from coming back."""
        self.academy.sql("update public.enrolments set status = 'cancelled' where student_id = %s", self.student.id)
        self.cancelled, self.completed = True, False

    @precondition(lambda self: self.enrolled)
    @rule()
    def leave(self) -> None:
        """Leave, unless it is done."""
        answer = self.academy.rpc(self.student, "leave_course", course_id=self.course.id)
        if self.cancelled:
            refused(answer, 403, "not_enrolled")
        elif self.completed:
            refused(answer, 409, "enrolment_completed")
        else:
            assert answer.status_code == 200, answer.text
            self.cancelled = True

    @rule(lesson=st.integers(0, 1), is_completed=st.booleans())
    def learn(self, lesson: int, is_completed: bool) -> None:
        """Open a lesson, perhaps to its end."""
        lesson_id = self.course.lesson_ids[lesson]
        answer = self.academy.rpc(self.student, "record_progress", lesson_id=lesson_id, is_completed=is_completed)
        if not self.open:
            refused(answer, 403, "not_enrolled")
            return
        assert answer.status_code == 200, answer.text
        if is_completed:
            self.finished.add(lesson_id)
        self.settle()

    @rule(right=st.booleans())
    def hand_in(self, right: bool) -> None:
        """Hand in the quiz, right or wrong."""
        answers: dict[str, Any] = self.course.right_answers if right else {}
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
        """What the student reads is what the model says."""
        expected = "cancelled" if self.cancelled else "completed" if self.completed else "active"
        read = f"/rest/v1/enrolments?student_id=eq.{self.student.id}&select=status,certificates(status)"
        certificates = [{"status": "issued"}] if self.certified else []
        assert rows(self.academy.call(self.student, "GET", read)) == (
            [{"status": expected, "certificates": certificates}] if self.enrolled else []
        )


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
