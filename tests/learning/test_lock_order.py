"""Transactions that write one course at once wait for each other in one order: none of them deadlocks.

The order is at the head of the migration `catalog_locks`. Each action runs as the API runs it, on a connection of its
own, and is rolled back. A third connection holds one lock, so that two actions queue for it with whatever they locked
before. When it releases the lock, two actions that lock in opposite orders deadlock every time, not once in a thousand
runs.
"""

import json
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import combinations
from typing import Any

import msgspec
import psycopg
import pytest

from tests.people import Academy, Person

Statement = tuple[str, dict[str, Any]]


class World(msgspec.Struct, frozen=True, kw_only=True):
    """A course with everything that writers of courses lock."""

    actions: dict[str, tuple[Person | None, Statement]]
    """By name: who does what; None is the system."""
    about: dict[str, Any]
    """The parameters of statements: the rows of the course."""


class Session:
    """A connection on which one person acts, in transactions that are rolled back."""

    def __init__(self, url: str) -> None:
        self.connection = psycopg.connect(url)
        self.connection.execute("set deadlock_timeout = '20ms'")
        self.connection.execute("set statement_timeout = '20s'")
        self.connection.commit()
        self.pid = self.connection.info.backend_pid

    def act(self, who: Person | None, statement: Statement) -> str | None:
        """Do it and undo it. Returns the SQLSTATE where it fails."""
        try:
            if who is not None:
                claims = json.dumps({"sub": who.id, "role": "authenticated"})
                self.connection.execute(
                    "select set_config('request.jwt.claims', %s, true), set_config('role', 'authenticated', true)",
                    [claims],
                )
            self.connection.execute(statement[0].encode(), statement[1])
        except psycopg.Error as error:
            return error.sqlstate
        else:
            return None
        finally:
            self.connection.rollback()


def prepare(academy: Academy) -> World:
    """Make the course and the people."""
    teacher, heir = academy.member("teacher"), academy.member("teacher")
    admin, moderator = academy.member("admin"), academy.member("moderator")
    student, newcomer, returning, helper, holder, buyer = (academy.member() for _ in range(6))
    course, paid = academy.course(teacher), academy.course(teacher, price_amount=5000)
    draft = academy.course(teacher, published=False)
    category, other = (
        academy.insert(admin, "categories", slug=f"c-{course.id[:8]}-{number}", name="Locks")["id"] for number in (1, 2)
    )
    academy.sql(
        "update public.courses set category_id = %s where id = any(%s::uuid[])", category, [course.id, draft.id]
    )
    enrolment_id = academy.enrol(student, course)
    for someone in (helper, returning, holder):
        academy.enrol(someone, course)
    awarded = {
        someone.id: academy.rpc(
            admin, "award_certificate",
            enrolment_id=academy.sql(
                "select id from public.enrolments where student_id = %s and course_id = %s", someone.id, course.id
            )[0][0].__str__(),
        ).json()["id"]
        for someone in (helper, holder)
    }  # fmt: skip
    helper_id = academy.rpc(helper, "apply_as_student_teacher", course_id=course.id, statement="I help.").json()["id"]
    approved = academy.rpc(teacher, "decide_student_teacher", student_teacher_id=helper_id, is_approved=True)
    assert approved.status_code == 200, approved.text
    applicant_id = academy.rpc(holder, "apply_as_student_teacher", course_id=course.id, statement="So do I.").json()[
        "id"
    ]
    academy.sql("update public.enrolments set student_teacher_id = %s where id = %s", helper_id, enrolment_id)
    assert academy.rpc(returning, "leave_course", course_id=course.id).status_code == 200
    academy.insert(admin, "creator_placements", creator_id=teacher.id, display_priority=5)
    module_id = academy.insert(teacher, "modules", course_id=course.id, title="Second module")["id"]
    # So that the first module is not the last with lessons, which a published course keeps.
    academy.insert(teacher, "lessons", module_id=module_id, title="Third lesson")
    first, *_ = course.correct_answers
    timed = academy.insert(
        teacher, "quizzes", course_id=course.id, title="Timed", time_limit_seconds=60, is_certifying=False
    )["id"]
    academy.rpc(teacher, "save_quiz_question", quiz_id=timed, kind="true_false", prompt="?", answer=True)
    running = academy.rpc(student, "start_quiz", quiz_id=timed).json()["id"]
    overdue = academy.rpc(helper, "start_quiz", quiz_id=timed).json()["id"]
    academy.sql("update public.quiz_attempts set expires_at = now() - interval '1 hour' where id = %s", overdue)
    ((regrade,),) = academy.sql(  # without a job, which would do it at once
        "insert into public.quiz_regrades (quiz_id, course_id, question_id, reason, requested_by)"
        " select q.quiz_id, q.course_id, q.id, 'Two are right', %s from public.quiz_questions as q"
        " where q.quiz_id = %s returning id",
        teacher.id,
        timed,
    )
    academy.sql("update public.certificates set holder_name = 'Misspelt' where id = %s", awarded[holder.id])
    reissue = academy.rpc(holder, "request_certificate_reissue", certificate_id=awarded[holder.id]).json()["id"]
    academy.rpc(teacher, "enrol_list", course_id=course.id, recipients=[newcomer.id])
    order_id = academy.rpc(buyer, "place_order", course_id=paid.id).json()["id"]

    about = {
        "course": course.id, "paid": paid.id, "draft": draft.id, "heir": heir.id, "category": category, "other": other,
        "enrolment": enrolment_id, "helper": helper_id, "applicant": applicant_id, "teacher": teacher.id,
        "student": student.id, "module": course.module_id, "modules": [module_id, course.module_id],
        "lesson": course.lesson_ids[0], "lessons": list(reversed(course.lesson_ids)), "newcomer": newcomer.id,
        "quiz": course.quiz_id, "certificate": awarded[helper.id], "answers": json.dumps(course.correct_answers),
        "first": first, "running": running, "overdue": overdue, "regrade": regrade, "reissue": reissue,
        "returning": returning.id, "order": order_id, "helper_user": helper.id, "buyer": buyer.id,
    }  # fmt: skip
    actions = {
        "archive_course by an admin": (admin, "select public.archive_course(%(course)s)"),
        "unpublish_course": (teacher, "select public.unpublish_course(%(course)s)"),
        "publish_course": (teacher, "select public.publish_course(%(draft)s)"),
        "delete_course": (teacher, "select public.delete_course(%(course)s)"),
        "suspend_course": (moderator, "select public.suspend_course(%(course)s, 'Spam')"),
        "transfer_course": (admin, "select public.transfer_course(%(course)s, %(heir)s)"),
        "edit a course": (
            teacher,
            "update public.courses set title = 'New', category_id = %(other)s where id = %(course)s",
        ),
        "delete a draft": (teacher, "delete from public.courses where id = %(draft)s"),
        "delete a category": (admin, "delete from public.categories where id = %(category)s"),
        "rename a category": (admin, "update public.categories set name = 'New' where id = %(category)s"),
        "merge_categories": (admin, "select public.merge_categories(%(category)s, %(other)s)"),
        "place a creator": (
            admin,
            "insert into public.creator_placements (creator_id, display_priority) values (%(teacher)s, 7)"
            " on conflict (creator_id) do update set display_priority = excluded.display_priority",
        ),
        "move a creator": (
            admin,
            "update public.creator_placements set display_priority = 9 where creator_id = %(teacher)s",
        ),
        "rename and hide the creator": (
            teacher,
            "update public.profiles set display_name = 'New', is_public = not is_public where id = %(teacher)s",
        ),
        "rename and hide the student": (
            student,
            "update public.profiles set display_name = 'New', is_public = not is_public where id = %(student)s",
        ),
        "rename the returning student": (
            returning,
            "update public.profiles set display_name = 'New' where id = %(returning)s",
        ),
        "reorder_modules": (admin, "select public.reorder_modules(%(course)s, %(modules)s::uuid[])"),
        "reorder_lessons": (admin, "select public.reorder_lessons(%(module)s, %(lessons)s::uuid[])"),
        "add a lesson": (teacher, "insert into public.lessons (module_id, title) values (%(module)s, 'New')"),
        "lengthen a lesson": (teacher, "update public.lessons set duration_seconds = 60 where id = %(lesson)s"),
        "delete a lesson": (teacher, "delete from public.lessons where id = %(lesson)s"),
        "delete a module": (teacher, "delete from public.modules where id = %(module)s"),
        "gate a lesson": (
            teacher,
            "insert into public.lesson_gates (lesson_id, after_lesson_id)"
            " select l.id, %(lesson)s from public.lessons as l"
            " where l.module_id = %(module)s and l.id <> %(lesson)s",
        ),
        "save_quiz_question": (
            teacher,
            "select public.save_quiz_question(%(quiz)s, 'true_false', 'True?', 'true')",
        ),
        "delete a question": (
            teacher,
            "delete from public.quiz_questions where quiz_id = %(quiz)s and position = 1",
        ),
        "certify no more": (teacher, "update public.quizzes set is_certifying = false where id = %(quiz)s"),
        "delete a quiz": (teacher, "delete from public.quizzes where id = %(quiz)s"),
        "enrol": (newcomer, "select public.enrol(%(course)s)"),
        "enrol again": (student, "select public.enrol(%(course)s)"),
        "come back": (returning, "select public.enrol(%(course)s)"),
        "leave_course": (student, "select public.leave_course(%(course)s)"),
        "record_progress": (student, "select public.record_progress(%(lesson)s, 5, true)"),
        "take progress back": (student, "select public.record_progress(%(lesson)s, 5, false)"),
        "start_quiz": (student, "select public.start_quiz(%(quiz)s)"),
        "submit_quiz": (student, "select public.submit_quiz(%(quiz)s, %(answers)s::jsonb)"),
        "save_answers": (student, "select public.save_answers(%(running)s, '{}')"),
        "hand in an overdue attempt": (None, "select private.hand_in_overdue_attempt(%(overdue)s)"),
        "regrade_question": (teacher, "select public.regrade_question(%(quiz)s, %(first)s, 'Wrong key')"),
        "regrade an attempt": (None, "select private.regrade_next_attempt(%(regrade)s)"),
        "decide_certificate_reissue": (teacher, "select public.decide_certificate_reissue(%(reissue)s, true)"),
        "copy_course": (teacher, "select public.copy_course(%(course)s)"),
        "enrol_list": (admin, "select count(*) from public.enrol_list(%(course)s, array[%(newcomer)s, %(returning)s])"),
        "accept_course_invitation": (newcomer, "select public.accept_course_invitation(%(course)s)"),
        "enrol_student_manually": (admin, "select public.enrol_student_manually(%(returning)s, %(course)s)"),
        "cancel_enrolment": (admin, "select public.cancel_enrolment(%(enrolment)s, 'Fraud')"),
        "delete_enrolment": (admin, "select public.delete_enrolment(%(enrolment)s)"),
        "force_complete_enrolment": (admin, "select public.force_complete_enrolment(%(enrolment)s)"),
        "recommend_certificate": (teacher, "select public.recommend_certificate(%(enrolment)s)"),
        "revoke_certificate": (admin, "select public.revoke_certificate(%(certificate)s, 'Fraud')"),
        "decide_student_teacher": (teacher, "select public.decide_student_teacher(%(applicant)s, true)"),
        "revoke_student_teacher": (teacher, "select public.revoke_student_teacher(%(helper)s, 'Absent')"),
        "choose_student_teacher": (student, "select public.choose_student_teacher(%(helper)s)"),
        "assign_student_teacher": (admin, "select public.assign_student_teacher(%(enrolment)s)"),
        "place_order": (newcomer, "select public.place_order(course_id => %(paid)s)"),
        "place_order again": (buyer, "select public.place_order(course_id => %(paid)s)"),
        "receive_payment": (
            None,
            "select private.receive_payment(%(order)s, 'manual', 'Transfer ' || gen_random_uuid(), 5000, 'EUR')",
        ),
        "archive the paid course": (admin, "select public.archive_course(%(paid)s)"),
        "transfer the paid course": (admin, "select public.transfer_course(%(paid)s, %(heir)s)"),
        "suspend the teacher": (moderator, "select public.set_account_status(%(teacher)s, 'suspended')"),
        "ban the teacher": (moderator, "select public.set_account_status(%(teacher)s, 'banned')"),
        "revoke the role": (admin, "select public.revoke_role(%(teacher)s, 'teacher')"),
        "delete the teacher": (admin, "select public.delete_user(%(teacher)s)"),
        "ban the student": (moderator, "select public.set_account_status(%(student)s, 'banned')"),
        "ban the student-teacher": (moderator, "select public.set_account_status(%(helper_user)s, 'banned')"),
        "delete the student-teacher": (admin, "select public.delete_user(%(helper_user)s)"),
        "ban the buyer": (moderator, "select public.set_account_status(%(buyer)s, 'banned')"),
    }
    return World(actions={name: (who, (statement, about)) for name, (who, statement) in actions.items()}, about=about)


class Collisions:
    """Has two people act while a third connection holds a lock."""

    def __init__(self, url: str, pool: ThreadPoolExecutor) -> None:
        self.sessions = Session(url), Session(url)
        self.holder = psycopg.connect(url)
        self.observer = psycopg.connect(url, autocommit=True)
        self.pool = pool

    def queue(self, lock: Statement, *acts: tuple[Person | None, Statement]) -> tuple[list[bool], list[str | None]]:
        """Let people act one after another while the lock is held, then release it.

        Returns:
            Whether each waited, and the SQLSTATE with which each failed, if it did.
        """
        self.holder.execute(lock[0].encode(), lock[1])
        waited, running = [], []
        for session, act in zip(self.sessions, acts, strict=False):
            future = self.pool.submit(session.act, *act)
            waited.append(self._waits(session, future))
            running.append(future)
        self.holder.rollback()
        return waited, [future.result() for future in running]

    def _waits(self, session: Session, future: "Future[str | None]") -> bool:
        while not future.done():
            found = self.observer.execute(
                "select from pg_stat_activity where pid = %s and wait_event_type = 'Lock'", [session.pid]
            )
            if found.fetchone() is not None:
                return True
            time.sleep(0.001)
        return False

    def close(self) -> None:
        for connection in (*(session.connection for session in self.sessions), self.holder, self.observer):
            connection.close()


LOCKS = {
    "curriculum": "select private.lock_teacher_curriculum(%(teacher)s)",
    "category": "select from public.categories where id = %(category)s for update",
    "course": "select from public.courses where id = %(course)s for update",
    "paid course": "select from public.courses where id = %(paid)s for update",
    "completion": "select private.lock_course_completion(%(course)s)",
    "lesson": "select from public.lessons where id = %(lesson)s for update",
    "quiz": "select from public.quizzes where id = %(quiz)s for update",
    "profile of the teacher": "select from public.profiles where id = %(teacher)s for update",
    "profile of the student": "select from public.profiles where id = %(student)s for update",
    "enrolment": "select from public.enrolments where id = %(enrolment)s for update",
    "enrolment of the returning student": "select from public.enrolments"
    " where course_id = %(course)s and student_id = %(returning)s for update",
    "student-teacher": "select from public.student_teachers where id = %(helper)s for update",
    "counts of the teacher": "select from public.user_stats where user_id = %(teacher)s for update",
    "counts of the student": "select from public.user_stats where user_id = %(student)s for update",
    "counts of the course": "select from public.course_stats where course_id = %(course)s for update",
    "search index of the course": "select from private.course_search where course_id = %(course)s for update",
    "offer": "select from public.offers where course_id = %(paid)s for update",
    "pending order": "select from public.orders where id = %(order)s for update",
    "account of the teacher": "select from public.accounts where user_id = %(teacher)s for update",
}
"""What the third connection holds, by name."""


@pytest.fixture(scope="module")
def world(academy: Academy) -> World:
    return prepare(academy)


@pytest.fixture
def collisions(admin_db_url: str) -> Iterator[Collisions]:
    with ThreadPoolExecutor(2) as pool:
        made = Collisions(admin_db_url, pool)
        yield made
        made.close()


def test_each_action_works_alone(world: World, collisions: Collisions) -> None:
    """An action that is refused would lock nothing, and prove nothing below."""
    alone = {name: collisions.sessions[0].act(*act) for name, act in world.actions.items()}
    assert {name: failure for name, failure in alone.items() if failure} == {}


@pytest.mark.parametrize("held", LOCKS)
def test_no_two_actions_deadlock(world: World, collisions: Collisions, held: str) -> None:
    """Two actions that take two locks in opposite orders deadlock at one of the two, whichever of them queues first."""
    lock = (LOCKS[held], world.about)
    waiting = [name for name, act in world.actions.items() if collisions.queue(lock, act)[0] == [True]]
    assert waiting, f"no action waits for the lock: {held}"
    deadlocks = [
        f"{one} and {other}"
        for one, other in combinations(waiting, 2)
        if psycopg.errors.DeadlockDetected.sqlstate
        in collisions.queue(lock, world.actions[one], world.actions[other])[1]
    ]
    assert not deadlocks, "these deadlock; catalog_locks has the order of locks:\n" + "\n".join(deadlocks)
