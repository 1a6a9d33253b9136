"""Learning: quizzes, two students of the course `free`, their certificates, a student-teacher, gates and notes."""

from tests.security.worlds import Builder
from tests.security.worlds.catalog import COURSES

STUDENTS = ("student", "suspended")
"""Those who take the course `free`."""


def build(builder: Builder) -> None:
    """Add the quizzes, the enrolments and what students and teachers do in a course."""
    for course, (owner, _, _) in COURSES.items():
        quiz = builder.run(
            "insert into public.quizzes (course_id, title) values (%s, 'Quiz') returning id", builder.ids[course]
        )
        builder.act(owner, "select public.save_quiz_question(%s, 'true_false', 'True?', 'true')", quiz)
    for student in STUDENTS:
        _complete_course(builder, student)
    for verb in ("revoke_certificate(c.id, 'A mistake')", "reinstate_certificate(c.id, 'None')"):
        builder.act(
            "admin",
            f"select public.{verb} from public.certificates as c where c.student_id = %s",  # noqa: S608
            builder.ids["suspended"],
        )
    for student in STUDENTS:
        builder.act(student, "select public.review_course(%s, 5::smallint, 'Good')", builder.ids["free"])
    _regrade(builder)
    _add_gate_and_timed_quiz(builder)
    _add_student_teachers(builder)
    _add_invitations(builder)
    for student in STUDENTS:
        builder.run(
            "update public.certificates set holder_name = 'Misspelt' where student_id = %s", builder.ids[student]
        )
    builder.act(
        "student",
        "select public.request_certificate_reissue(c.id, 'Misspelt') from public.certificates as c"
        " where c.student_id = %s",
        builder.ids["student"],
    )
    for student in STUDENTS:
        builder.act(
            "creator",
            "insert into public.enrolment_notes (enrolment_id, body, is_at_risk)"
            " select e.id, 'Noted', %s from public.enrolments as e where e.student_id = %s and e.course_id = %s",
            student == "suspended",
            builder.ids[student],
            builder.ids["free"],
        )


def _complete_course(builder: Builder, student: str) -> None:
    course = builder.ids["free"]
    builder.act(student, "select public.enrol(%s)", course)
    for lesson in builder.run("select array_agg(id) from public.lessons where course_id = %s", course):
        builder.act(student, "select public.record_progress(%s, 10, true)", lesson)
    builder.act(
        student,
        "select public.submit_quiz(q.quiz_id, jsonb_build_object(q.id, true)) from public.quiz_questions as q"
        " where q.course_id = %s",
        course,
    )


def _add_gate_and_timed_quiz(builder: Builder) -> None:
    """In `free`, a lesson that its students cannot read yet, and a timed quiz that the student has begun."""
    course = builder.ids["free"]
    lesson = builder.run(
        "insert into public.lessons (module_id, title) select m.id, 'Locked' from public.modules as m"
        " where m.course_id = %s returning id",
        course,
    )
    builder.run("insert into public.lesson_contents (lesson_id, body) values (%s, 'Not yet to be read')", lesson)
    quiz = builder.run(
        "insert into public.quizzes (course_id, title, is_certifying, time_limit_seconds)"
        " values (%s, 'Timed', false, 86400) returning id",
        course,
    )
    builder.act("creator", "select public.save_quiz_question(%s, 'true_false', 'False?', 'false')", quiz)
    builder.act(
        "creator",
        "insert into public.lesson_gates (lesson_id, after_days, after_quiz_id) values (%s, 30, %s)",
        lesson,
        quiz,
    )
    builder.act("student", "select public.start_quiz(%s)", quiz)
    # Another lesson without content, so that content can be moved to it.
    builder.run(
        "insert into public.lessons (module_id, title) select m.id, 'Bare' from public.modules as m"
        " where m.course_id = %s",
        course,
    )


def _add_student_teachers(builder: Builder) -> None:
    """Of the course `free`: the student is one and helps the suspended student, who has applied to become one."""
    for person in STUDENTS:
        builder.act(person, "select public.apply_as_student_teacher(%s, 'To pass it on')", builder.ids["free"])
    builder.act(
        "creator",
        "select public.decide_student_teacher(t.id, true, 'Welcome') from public.student_teachers as t"
        " where t.user_id = %s",
        builder.ids["student"],
    )
    # A student-teacher is not assigned to a completed course, so the assignment is written as if it were older.
    builder.run(
        "update public.enrolments as e set student_teacher_id = t.id from public.student_teachers as t"
        " where e.student_id = %s and t.user_id = %s",
        builder.ids["suspended"],
        builder.ids["student"],
    )


def _regrade(builder: Builder) -> None:
    """Of the certifying quiz of `free`: everybody got the points of its question, and all passed before."""
    builder.run(
        "update public.quiz_attempts as a set points = 0 from public.quizzes as q"
        " where q.id = a.quiz_id and q.is_certifying and q.course_id = %s",
        builder.ids["free"],
    )
    builder.act(
        "creator",
        "select public.regrade_question(q.quiz_id, q.id, 'Both are right', true) from public.quiz_questions as q"
        " join public.quizzes as z on z.id = q.quiz_id and z.is_certifying where q.course_id = %s",
        builder.ids["free"],
    )
    for _ in range(3):
        builder.run("select private.regrade_next_attempt(r.id) from public.quiz_regrades as r")


def _add_invitations(builder: Builder) -> None:
    """To `free`: the stranger, by id."""
    builder.act(
        "creator",
        "select count(*) from public.enrol_list(%s, array[%s])",
        builder.ids["free"],
        builder.ids["stranger"],
    )
