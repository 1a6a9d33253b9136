"""The story: a course from its first line to a student who teaches it, a sale, and calls that are refused."""

from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

import msgspec

from stack.ports import LOOPBACK
from stack.tools.demo.client import Caller, DemoClient

VISITOR = Caller(name="A visitor")
PEOPLE = {
    "Ines": "teacher@example.com",
    "Amara": "student@example.com",
    "Yuki": "yuki@example.com",
    "Ruth": "admin@example.com",
}
ROLES = {"Ines": "teacher", "Amara": "student", "Yuki": "student", "Ruth": "admin"}


class Course(msgspec.Struct, frozen=True, kw_only=True):
    """The course that Ines writes."""

    id: str
    slug: str
    lessons: tuple[str, ...]
    quiz: str
    correct_answers: dict[str, Any]


def play(client: DemoClient, password: str) -> None:
    """Play the whole story. Each run makes a new course.

    Args:
        client: makes and prints the calls.
        password: of the academy's people.

    Raises:
        StackError: a call got an unexpected answer.
    """
    _look_around(client)
    client.heading("Four people sign in")
    ines, amara, yuki, ruth = (
        client.sign_in(f"{name}, {ROLES[name]}", email, password) for name, email in PEOPLE.items()
    )
    course = _write(client, ines)
    _learn(client, amara, course)
    certificate = _pass(client, amara, course)
    _verify(client, amara, certificate)
    _teach(client, ines, amara, yuki, course)
    _manage_students(client, ines, yuki, course)
    _sell(client, ines, amara, ruth)
    _show_refusals(client, yuki, course)
    _run_the_guild(client, ruth, certificate)
    client.note(f"{client.calls} calls, and each was answered as it should be.")


def _look_around(client: DemoClient) -> None:
    client.heading("A visitor looks around")
    client.call(
        VISITOR, "GET", "/rest/v1/courses?select=title,level,price_amount,creator:profiles(display_name)&limit=3"
    )
    client.note("The search tolerates misspellings:")
    client.call(VISITOR, "GET", "/rest/v1/rpc/search_courses?q=glase%20chemstry&select=title,subtitle")
    client.note("It reads other scripts:")
    client.call(VISITOR, "GET", "/rest/v1/rpc/search_courses?q=%D8%A7%D9%84%D8%AE%D8%B7&select=title,language")


def _write(client: DemoClient, ines: Caller) -> Course:
    client.heading("Ines writes a course")
    course = client.insert(
        ines,
        "courses",
        title="Raku in a bucket",
        description="Pull a glowing pot out of the kiln, and bury it in sawdust. Outdoors, please.",
        level="intermediate",
    )
    module = client.insert(ines, "modules", course_id=course["id"], title="Fire")
    lessons = [
        client.insert(ines, "lessons", module_id=module["id"], title=title, is_intro=is_intro)["id"]
        for title, is_intro in (("Why it crackles", True), ("Tongs, gloves, water", False), ("The bucket", False))
    ]
    for lesson, body in zip(lessons, ("Glaze shrinks faster than clay.", "Stand upwind. Long tongs."), strict=False):
        client.insert(ines, "lesson_contents", lesson_id=lesson, body=body)
    quiz = client.insert(ines, "quizzes", course_id=course["id"], title="Safe with fire?", feedback="answers")
    client.note("The course is not ready, and the database says what is missing:")
    client.call(ines, "GET", f"/rest/v1/rpc/publication_checklist?course_id={course['id']}")
    client.rpc(ines, "publish_course", 422, course_id=course["id"])
    client.insert(ines, "lesson_contents", lesson_id=lessons[2], body="Sawdust to the brim, lid within reach.")
    answers = {}
    for kind, answer, more in (
        ("true_false", False, {"prompt": "Raku is fired indoors.", "explanation": "The smoke is poison."}),
        (
            "numeric",
            {"value": 1000, "tolerance": 50},
            {"prompt": "At how many degrees is the pot pulled?", "points": 2},
        ),
    ):
        question = client.rpc(ines, "save_quiz_question", quiz_id=quiz["id"], kind=kind, answer=answer, **more)
        answers[question["id"]] = 980 if kind == "numeric" else answer
    client.note("Students must complete the lesson about tongs before the last one:")
    client.insert(ines, "lesson_gates", lesson_id=lessons[2], after_lesson_id=lessons[1])
    client.rpc(ines, "publish_course", course_id=course["id"])
    return Course(
        id=course["id"], slug=course["slug"], lessons=tuple(lessons), quiz=quiz["id"], correct_answers=answers
    )


def _learn(client: DemoClient, amara: Caller, course: Course) -> None:
    client.heading("Amara takes the course")
    client.call(amara, "GET", f"/rest/v1/rpc/course_access?course_id={course.id}")
    client.rpc(amara, "enrol", course_id=course.id)
    contents = f"/rest/v1/lessons?course_id=eq.{course.id}&select=title,lesson_contents(body)&order=position"
    client.note("The last lesson is still locked: its title is visible, its content is not.")
    client.call(amara, "GET", contents)
    client.rpc(amara, "record_progress", 403, lesson_id=course.lessons[2], is_completed=True)
    for lesson in course.lessons:
        client.rpc(amara, "record_progress", lesson_id=lesson, is_completed=True)
    client.note("Now it is unlocked.")
    client.call(amara, "GET", contents)


def _pass(client: DemoClient, amara: Caller, course: Course) -> dict[str, Any]:
    client.heading("The quiz, once wrong and once right")
    wrong = dict.fromkeys(course.correct_answers, 3)
    client.rpc(amara, "submit_quiz", quiz_id=course.quiz, answers=wrong)
    attempt = client.rpc(amara, "submit_quiz", quiz_id=course.quiz, answers=course.correct_answers)
    client.note("Amara has passed, and may see the correct answers:")
    client.call(amara, "GET", f"/rest/v1/rpc/attempt_feedback?attempt_id={attempt['id']}")
    client.call(amara, "GET", f"/rest/v1/enrolments?course_id=eq.{course.id}&select=status,completed_at")
    certificate: dict[str, Any] = attempt["certificate"]
    return certificate


def _verify(client: DemoClient, amara: Caller, certificate: dict[str, Any]) -> None:
    client.heading("Anyone verifies the certificate by its code, and Amara prints it")
    client.call(VISITOR, "GET", f"/rest/v1/rpc/verify_certificate?code={certificate['code']}")
    client.call(amara, "GET", f"/functions/v1/certificates/{certificate['id']}/pdf", accept="application/pdf")


def _teach(client: DemoClient, ines: Caller, amara: Caller, yuki: Caller, course: Course) -> None:
    client.heading("Amara teaches the course")
    applied = client.rpc(
        amara, "apply_as_student_teacher", course_id=course.id, statement="I burnt my sleeve, so that others need not."
    )
    client.rpc(ines, "decide_student_teacher", student_teacher_id=applied["id"], is_approved=True)
    client.call(
        VISITOR,
        "GET",
        f"/rest/v1/student_teachers?course_id=eq.{course.id}&is_available=is.true"
        "&select=statement,person:profiles(display_name)",
    )
    enrolment = client.rpc(yuki, "enrol", course_id=course.id)
    client.rpc(yuki, "choose_student_teacher", student_teacher_id=applied["id"])
    soon = (datetime.now(UTC) + timedelta(days=3)).replace(minute=0, second=0, microsecond=0)
    session = client.rpc(amara, "schedule_session", enrolment_id=enrolment["id"], starts_at=soon.isoformat())
    client.note("A second session in the same hour is refused:")
    client.rpc(amara, "schedule_session", 409, enrolment_id=enrolment["id"], starts_at=soon.isoformat())
    client.rpc(yuki, "cancel_session", session_id=session["id"], reason="茶碗を割ってしまいました")
    client.rpc(
        amara, "recommend_certificate", enrolment_id=enrolment["id"], note="She pulled three pots, none cracked."
    )
    client.call(amara, "GET", "/rest/v1/rpc/student_teacher_dashboard")


def _manage_students(client: DemoClient, ines: Caller, yuki: Caller, course: Course) -> None:
    client.heading("Ines manages the students of a course")
    (pending,) = client.call(
        ines, "GET", f"/rest/v1/certificates?course_id=eq.{course.id}&status=eq.pending&select=id,holder_name"
    )
    client.rpc(ines, "issue_certificate", certificate_id=pending["id"])
    client.call(ines, "GET", f"/rest/v1/course_students?course_id=eq.{course.id}&order=enrolled_at", accept="text/csv")
    client.call(ines, "GET", "/rest/v1/rpc/creator_dashboard")
    client.call(yuki, "GET", f"/rest/v1/certificates?course_id=eq.{course.id}&select=holder_name,status,code")


def _sell(client: DemoClient, ines: Caller, amara: Caller, ruth: Caller) -> None:
    client.heading("Ines sells an hour, and Amara pays by card")
    offer = client.insert(
        ines, "offers", kind="coaching", title="An hour at the wheel", price_amount=4500, duration_minutes=60
    )
    client.rpc(ines, "publish_offer", offer_id=offer["id"])
    client.call(VISITOR, "GET", f"/rest/v1/offers?id=eq.{offer['id']}&select=title,price_amount,price_currency")
    details = {
        "starts_at": (datetime.now(UTC) + timedelta(days=5)).replace(minute=0, second=0, microsecond=0).isoformat()
    }
    begun = client.call(amara, "POST", "/functions/v1/checkout", {"offer_id": offer["id"], "details": details})
    if urlsplit(begun["url"]).hostname != LOOPBACK:
        client.note(f"A real payment provider takes the money here. You can pay on {begun['url']}")
        return
    client.click(amara, begun["url"], "pay")
    client.note("Back in the shop: the order is paid, once, whether or not the webhook has arrived:")
    client.call(amara, "POST", "/functions/v1/checkout/verify", {"session_id": begun["session_id"]})
    order = f"order_id=eq.{begun['order_id']}"
    client.call(ines, "GET", f"/rest/v1/fulfilments?{order}&select=status,buyer:profiles!buyer_id(display_name)")
    client.note("Ines earns 85 percent of 45 euros. The entries of the ledger sum to zero:")
    client.call(ines, "GET", f"/rest/v1/account_statement?{order}&select=kind,amount,currency")
    client.rpc(ines, "deliver_order", order_id=begun["order_id"], note="Bring an apron.")
    client.note("The hour lasted forty minutes, so Ruth refunds a third:")
    client.rpc(ruth, "refund_order", order_id=begun["order_id"], amount=1500, reason="Forty minutes were enough.")
    client.call(amara, "GET", f"/functions/v1/orders/{begun['order_id']}/invoice.pdf", accept="application/pdf")


def _show_refusals(client: DemoClient, yuki: Caller, course: Course) -> None:
    client.heading("Calls that are refused")
    client.note("Everyone may read the intro, and only students the other lessons:")
    client.call(VISITOR, "GET", f"/rest/v1/lesson_contents?course_id=eq.{course.id}&select=lesson_id,body")
    client.note("The API has no answer keys, and students cannot write their score:")
    client.call(VISITOR, "GET", "/rest/v1/quiz_answer_keys", expect=404)
    client.call(yuki, "PATCH", f"/rest/v1/quiz_attempts?quiz_id=eq.{course.quiz}", {"points": 3}, expect=403)
    client.call(yuki, "PATCH", f"/rest/v1/enrolments?course_id=eq.{course.id}", {"status": "completed"}, expect=403)
    client.note("A paid course must be bought:")
    (paid,) = client.call(yuki, "GET", "/rest/v1/courses?slug=eq.glaze-chemistry-without-tears&select=id,price_amount")
    client.rpc(yuki, "enrol", 402, course_id=paid["id"])
    client.note("Progress is visible to its student only:")
    client.call(yuki, "GET", f"/rest/v1/lesson_progress?course_id=eq.{course.id}")


def _run_the_guild(client: DemoClient, ruth: Caller, certificate: dict[str, Any]) -> None:
    client.heading("Ruth runs the guild")
    client.rpc(ruth, "revoke_certificate", certificate_id=certificate["id"], reason="Issued by mistake.")
    client.call(VISITOR, "GET", f"/rest/v1/rpc/verify_certificate?code={certificate['code']}")
    client.rpc(ruth, "reinstate_certificate", certificate_id=certificate["id"], note="It was no mistake.")
    client.note("The audit log has both:")
    client.call(
        ruth,
        "GET",
        f"/rest/v1/audit_log?target_id=eq.{certificate['id']}&order=id.desc&limit=2&select=action,before,after,created_at",
    )
