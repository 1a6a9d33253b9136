"""The story: a course from its first line to a student who teaches it on, an hour sold, and what nobody gets."""

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from stack.demo.stage import Actor, Stage

STRANGER = Actor(name="A stranger")
PEOPLE = {
    "Ines": "teacher@example.com",
    "Amara": "student@example.com",
    "Yuki": "yuki@example.com",
    "Ruth": "admin@example.com",
}
ROLES = {"Ines": "teacher", "Amara": "student", "Yuki": "student", "Ruth": "admin"}


PAGE_OF_DOUBLE = "/pay/cs_"
"""In the address of a page on which no money is needed."""


class Course(msgspec.Struct, frozen=True, kw_only=True):
    """What Ines wrote."""

    id: str
    slug: str
    lessons: tuple[str, ...]
    quiz: str
    right: dict[str, Any]
    """The answers that pass."""


def play(stage: Stage, password: str) -> None:
    """Play it all. Each time it is another course, so that it can be played again.

    Args:
        stage: where it is played and shown.
        password: of the academy's people.

    Raises:
        StackError: a call was answered otherwise than the story needs.
    """
    _look_around(stage)
    stage.chapter("Four people sign in")
    ines, amara, yuki, ruth = (
        stage.sign_in(f"{name}, {ROLES[name]}", email, password) for name, email in PEOPLE.items()
    )
    course = _write(stage, ines)
    _learn(stage, amara, course)
    certificate = _pass(stage, amara, course)
    _verify(stage, amara, certificate)
    _teach_on(stage, ines, amara, yuki, course)
    _look_after(stage, ines, yuki, course)
    _sell(stage, ines, amara, ruth)
    _try_what_is_forbidden(stage, yuki, course)
    _run_the_guild(stage, ruth, certificate)
    stage.remark(f"{stage.calls} calls, and each was answered as it should be.")


def _look_around(stage: Stage) -> None:
    stage.chapter("A stranger looks around")
    stage.call(
        STRANGER, "GET", "/rest/v1/courses?select=title,level,price_amount,creator:profiles(display_name)&limit=3"
    )
    stage.remark("Slips of the finger are forgiven:")
    stage.call(STRANGER, "GET", "/rest/v1/rpc/search_courses?q=glase%20chemstry&select=title,subtitle")
    stage.remark("So are other scripts:")
    stage.call(STRANGER, "GET", "/rest/v1/rpc/search_courses?q=%D8%A7%D9%84%D8%AE%D8%B7&select=title,language")


def _write(stage: Stage, ines: Actor) -> Course:
    stage.chapter("Ines writes a course")
    course = stage.insert(
        ines,
        "courses",
        title="Raku in a bucket",
        description="Pull a glowing pot out of the kiln, and bury it in sawdust. Outdoors, please.",
        level="intermediate",
    )
    module = stage.insert(ines, "modules", course_id=course["id"], title="Fire")
    lessons = [
        stage.insert(ines, "lessons", module_id=module["id"], title=title, is_intro=is_intro)["id"]
        for title, is_intro in (("Why it crackles", True), ("Tongs, gloves, water", False), ("The bucket", False))
    ]
    for lesson, body in zip(lessons, ("Glaze shrinks faster than clay.", "Stand upwind. Long tongs."), strict=False):
        stage.insert(ines, "lesson_contents", lesson_id=lesson, body=body)
    quiz = stage.insert(ines, "quizzes", course_id=course["id"], title="Safe with fire?", feedback="answers")
    stage.remark("It is not ready, and the database says what is missing:")
    stage.call(ines, "GET", f"/rest/v1/rpc/publication_checklist?course_id={course['id']}")
    stage.rpc(ines, "publish_course", 422, course_id=course["id"])
    stage.insert(ines, "lesson_contents", lesson_id=lessons[2], body="Sawdust to the brim, lid within reach.")
    right = {}
    for kind, answer, more in (
        ("true_false", False, {"prompt": "Raku is fired indoors.", "explanation": "The smoke is poison."}),
        (
            "numeric",
            {"value": 1000, "tolerance": 50},
            {"prompt": "At how many degrees is the pot pulled?", "points": 2},
        ),
    ):
        question = stage.rpc(ines, "save_quiz_question", quiz_id=quiz["id"], kind=kind, answer=answer, **more)
        right[question["id"]] = 980 if kind == "numeric" else answer
    stage.remark("Nobody comes to the bucket without having read about tongs:")
    stage.insert(ines, "lesson_gates", lesson_id=lessons[2], after_lesson_id=lessons[1])
    stage.rpc(ines, "publish_course", course_id=course["id"])
    return Course(id=course["id"], slug=course["slug"], lessons=tuple(lessons), quiz=quiz["id"], right=right)


def _learn(stage: Stage, amara: Actor, course: Course) -> None:
    stage.chapter("Amara takes it")
    stage.call(amara, "GET", f"/rest/v1/rpc/course_access?course_id={course.id}")
    stage.rpc(amara, "enrol", course_id=course.id)
    contents = f"/rest/v1/lessons?course_id=eq.{course.id}&select=title,lesson_contents(body)&order=position"
    stage.remark("The last lesson is still closed: its title is there, its content is not.")
    stage.call(amara, "GET", contents)
    stage.rpc(amara, "record_progress", 403, lesson_id=course.lessons[2], is_completed=True)
    for lesson in course.lessons:
        stage.rpc(amara, "record_progress", lesson_id=lesson, is_completed=True)
    stage.remark("Now it is open.")
    stage.call(amara, "GET", contents)


def _pass(stage: Stage, amara: Actor, course: Course) -> dict[str, Any]:
    stage.chapter("The quiz, once wrong and once right")
    wrong = dict.fromkeys(course.right, 3)
    stage.rpc(amara, "submit_quiz", quiz_id=course.quiz, answers=wrong)
    attempt = stage.rpc(amara, "submit_quiz", quiz_id=course.quiz, answers=course.right)
    stage.remark("It is passed, so she may see what was right:")
    stage.call(amara, "GET", f"/rest/v1/rpc/attempt_feedback?attempt_id={attempt['id']}")
    stage.call(amara, "GET", f"/rest/v1/enrolments?course_id=eq.{course.id}&select=status,completed_at")
    certificate: dict[str, Any] = attempt["certificate"]
    return certificate


def _verify(stage: Stage, amara: Actor, certificate: dict[str, Any]) -> None:
    stage.chapter("Anybody with the code verifies the certificate, and she prints it")
    stage.call(STRANGER, "GET", f"/rest/v1/rpc/verify_certificate?code={certificate['code']}")
    stage.call(amara, "GET", f"/functions/v1/certificates/{certificate['id']}/pdf", accept="application/pdf")


def _teach_on(stage: Stage, ines: Actor, amara: Actor, yuki: Actor, course: Course) -> None:
    stage.chapter("Amara teaches it on")
    applied = stage.rpc(
        amara, "apply_as_student_teacher", course_id=course.id, statement="I burnt my sleeve, so that others need not."
    )
    stage.rpc(ines, "decide_student_teacher", student_teacher_id=applied["id"], is_approved=True)
    stage.call(
        STRANGER,
        "GET",
        f"/rest/v1/student_teachers?course_id=eq.{course.id}&is_available=is.true"
        "&select=statement,person:profiles(display_name)",
    )
    enrolment = stage.rpc(yuki, "enrol", course_id=course.id)
    stage.rpc(yuki, "choose_student_teacher", student_teacher_id=applied["id"])
    soon = (datetime.now(UTC) + timedelta(days=3)).replace(minute=0, second=0, microsecond=0)
    session = stage.rpc(amara, "schedule_session", enrolment_id=enrolment["id"], starts_at=soon.isoformat())
    stage.remark("The same hour twice is refused:")
    stage.rpc(amara, "schedule_session", 409, enrolment_id=enrolment["id"], starts_at=soon.isoformat())
    stage.rpc(yuki, "cancel_session", session_id=session["id"], reason="茶碗を割ってしまいました")
    stage.rpc(amara, "recommend_certificate", enrolment_id=enrolment["id"], note="She pulled three pots, none cracked.")
    stage.call(amara, "GET", "/rest/v1/rpc/student_teacher_dashboard")


def _look_after(stage: Stage, ines: Actor, yuki: Actor, course: Course) -> None:
    stage.chapter("Ines looks after her students")
    (pending,) = stage.call(
        ines, "GET", f"/rest/v1/certificates?course_id=eq.{course.id}&status=eq.pending&select=id,holder_name"
    )
    stage.rpc(ines, "issue_certificate", certificate_id=pending["id"])
    stage.call(ines, "GET", f"/rest/v1/course_students?course_id=eq.{course.id}&order=enrolled_at", accept="text/csv")
    stage.call(ines, "GET", "/rest/v1/rpc/creator_dashboard")
    stage.call(yuki, "GET", f"/rest/v1/certificates?course_id=eq.{course.id}&select=holder_name,status,code")


def _sell(stage: Stage, ines: Actor, amara: Actor, ruth: Actor) -> None:
    stage.chapter("Ines sells an hour, and Amara pays by card")
    offer = stage.insert(
        ines, "offers", kind="coaching", title="An hour at the wheel", price_amount=4500, duration_minutes=60
    )
    stage.rpc(ines, "publish_offer", offer_id=offer["id"])
    stage.call(STRANGER, "GET", f"/rest/v1/offers?id=eq.{offer['id']}&select=title,price_amount,price_currency")
    wish = {"starts_at": "next Tuesday at six, if you can"}
    begun = stage.call(amara, "POST", "/functions/v1/checkout", {"offer_id": offer["id"], "details": wish})
    if PAGE_OF_DOUBLE not in begun["url"]:
        stage.remark(f"Stripe itself takes the money here. Pay, if you like, on {begun['url']}")
        return
    stage.click(amara, begun["url"], "pay")
    stage.remark("Back in the shop. Whether Stripe has told it already or not, it is paid now, and once:")
    stage.call(amara, "POST", "/functions/v1/checkout/verify", {"session_id": begun["session_id"]})
    order = f"order_id=eq.{begun['order_id']}"
    stage.call(ines, "GET", f"/rest/v1/fulfilments?{order}&select=status,buyer:profiles!buyer_id(display_name)")
    stage.remark("Of 45 euros Ines earns 85 percent; the ledger says so, and it sums to zero:")
    stage.call(ines, "GET", f"/rest/v1/statement?{order}&select=kind,amount,currency")
    stage.rpc(ines, "deliver_order", order_id=begun["order_id"], note="Bring an apron.")
    stage.remark("It took a third less time than that, so Ruth gives a third back:")
    stage.rpc(ruth, "refund_order", order_id=begun["order_id"], amount=1500, reason="Forty minutes were enough.")
    stage.call(amara, "GET", f"/functions/v1/orders/{begun['order_id']}/invoice.pdf", accept="application/pdf")


def _try_what_is_forbidden(stage: Stage, yuki: Actor, course: Course) -> None:
    stage.chapter("What nobody gets by asking")
    stage.remark("An intro is everybody's. The rest is not, not even its length:")
    stage.call(STRANGER, "GET", f"/rest/v1/lesson_contents?course_id=eq.{course.id}&select=lesson_id,body")
    stage.remark("The answer key has no address, and a score is no student's to write:")
    stage.call(STRANGER, "GET", "/rest/v1/quiz_answer_keys", expect=404)
    stage.call(yuki, "PATCH", f"/rest/v1/quiz_attempts?quiz_id=eq.{course.quiz}", {"points": 3}, expect=403)
    stage.call(yuki, "PATCH", f"/rest/v1/enrolments?course_id=eq.{course.id}", {"status": "completed"}, expect=403)
    stage.remark("A paid course is bought, not taken:")
    (paid,) = stage.call(yuki, "GET", "/rest/v1/courses?slug=eq.glaze-chemistry-without-tears&select=id,price_amount")
    stage.rpc(yuki, "enrol", 402, course_id=paid["id"])
    stage.remark("And one's own progress is one's own:")
    stage.call(yuki, "GET", f"/rest/v1/lesson_progress?course_id=eq.{course.id}")


def _run_the_guild(stage: Stage, ruth: Actor, certificate: dict[str, Any]) -> None:
    stage.chapter("Ruth runs the guild")
    stage.rpc(ruth, "revoke_certificate", certificate_id=certificate["id"], reason="Issued by mistake.")
    stage.call(STRANGER, "GET", f"/rest/v1/rpc/verify_certificate?code={certificate['code']}")
    stage.rpc(ruth, "reinstate_certificate", certificate_id=certificate["id"], note="It was no mistake.")
    stage.remark("What she did, is written down:")
    stage.call(
        ruth,
        "GET",
        f"/rest/v1/audit_log?target_id=eq.{certificate['id']}&order=id.desc&limit=2&select=action,before,after,created_at",
    )
