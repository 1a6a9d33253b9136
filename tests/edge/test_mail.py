"""Mails: their text and headers, refusals of servers, and the way from an event to a mailbox."""

import asyncio
import email
import email.policy
from email.message import EmailMessage
from typing import Any

import httpx
import jinja2
import msgspec
import psycopg
import pytest

from common.errors import PermanentError, TransientError
from edge.mail.client import Security, Smtp, send
from edge.mail.rendering import compose, render, settings_url, templates
from edge.mail.types import OutgoingMail, Sender
from stack.ports import LOOPBACK
from tests.conftest import Stack, wait_for_mail
from tests.edge.mail_server import MailServer, running_mail_server
from tests.edge.processes import SITE
from tests.people import Academy, Person, rows
from tests.waiting import wait_until

PLACE = {
    "title": "Glazes & kilns",
    "host_name": "Ines",
    "local_time": "1 May 2030, 14:00",
    "time_zone": "Europe/Lisbon",
}
SESSION = {
    "course_title": "Wheel throwing",
    "other_name": "Ines",
    "local_time": "3 Dec 2026, 18:00",
    "time_zone": "Europe/Lisbon",
}
MEMBERSHIP = {"title": "Clay & fire", "seller_name": "Ines", "ends_at": "2026-05-01T10:00:00+00:00"}
SAMPLES: dict[str, list[dict[str, Any]]] = {
    "account_banned": [{"reason": "Advertising.\nTwice."}, {"reason": None}],
    "account_created": [{}],
    "account_reinstated": [{"reason": "It was a mistake.", "until": None}, {"reason": None, "until": None}],
    "account_suspended": [
        {"reason": "Advertising.\nTwice.", "until": "2026-12-03T10:00:00.123456+01:00"},
        {"reason": None, "until": None},
    ],
    "bank_payout_failed": [{"amount": "12.34 EUR", "reason": "The bank account has been closed."}],
    "certificate_issued": [
        {"certificate_id": "0", "code": "7F3A-92C0-44D1-0B6E-A1F9", "course_title": "Wheel throwing"}
    ],
    "certificate_reinstated": [
        {"code": "7F3A-92C0-44D1-0B6E-A1F9", "course_title": "Wheel throwing", "note": "It was our mistake."},
        {"code": "7F3A-92C0-44D1-0B6E-A1F9", "course_title": "Wheel throwing", "note": None},
    ],
    "certificate_reissue_rejected": [
        {"course_title": "Wheel throwing", "code": "1A2B-3C4D-5E6F-7A8B-9C0D", "note": "Send a document first."}
    ],
    "certificate_reissued": [{"course_title": "Wheel throwing", "code": "1A2B-3C4D-5E6F-7A8B-9C0D", "note": None}],
    "certificate_rejected": [{"course_title": "Wheel throwing", "note": "The last bowl is missing."}],
    "certificate_revoked": [{"course_title": "Wheel throwing", "note": "The bowls were bought."}],
    "course_invitation": [
        {"course_title": "Wheel throwing", "course_slug": "wheel-throwing", "inviter_name": "Ines"},
    ],
    "course_suspended": [{"course_title": "Wheel throwing", "reason": "The pictures are another's."}],
    "course_unsuspended": [
        {"course_title": "Wheel throwing", "is_published": True},
        {"course_title": "Wheel throwing", "is_published": False},
    ],
    "enrolment_cancelled": [{"course_title": "Wheel throwing", "reason": "Copied.\nTwice."}],
    "enrolment_confirmed": [
        {"course_title": "Wheel throwing", "course_slug": "wheel", "creator_name": "Ines", "access_until": None},
        {
            "course_title": "Wheel throwing",
            "course_slug": "wheel",
            "creator_name": "Ines",
            "access_until": "2026-12-03T10:00:00.123456+01:00",
        },
    ],
    "payout_account_closed": [{}],
    "payout_cancelled": [{"amount": "12.34 EUR"}],
    "payout_returned": [{"amount": "12.34 EUR"}],
    "email_changed": [
        {"is_former": True},
        {"is_former": False, "is_confirmed": True},
        {"is_former": False, "is_confirmed": False},
    ],
    "role_changed": [{"role": "moderator", "granted": True}, {"role": "teacher", "granted": False}],
    "membership_ending": [MEMBERSHIP],
    "order_paid": [
        {"number": 7, "title": "Clay & fire", "amount": "12.34 EUR", "order_id": "00000000-0000-4000-8000-000000000001"}
    ],
    "order_refunded": [{"number": 7, "title": "Clay & fire", "amount": "1.230 KWD"}],
    "renewals_paused": [MEMBERSHIP],
    "renewals_resumed": [MEMBERSHIP],
    "payment_returned": [
        {"number": 7, "title": "Clay & fire", "amount": "12.34 EUR", "reason_token": reason}
        for reason in (
            "order_paid",
            "already_enrolled",
            "licence_exclusive",
            "amount_mismatch",
            "offer_not_found",
            "seller_unavailable",
            "courses_unavailable",
            "subscription_ended",
            "account_inactive",
        )
    ],
    "place_confirmed": [PLACE],
    "place_moved_up": [PLACE],
    "place_time_changed": [PLACE],
    "place_waiting": [PLACE],
    "place_cancelled": [{**PLACE, "reason": "A cold.\nNext week?"}, {**PLACE, "reason": None}],
    "seminar_host_invited": [
        {"title": "Glazes", "host_name": "Ines", "seminar_id": "00000000-0000-4000-8000-000000000001"}
    ],
    "session_cancelled": [
        {**SESSION, "reason": "A cold.\nNext week?"},
        {**SESSION, "reason": None},
    ],
    "session_declined": [{**SESSION, "reason": "Fully booked"}, {**SESSION, "reason": None}],
    "session_moved": [{**SESSION, "topic": "Pulling a wall"}, {**SESSION, "topic": None}],
    "session_requested": [{**SESSION, "topic": "Pulling a wall"}, {**SESSION, "topic": None}],
    "session_scheduled": [{**SESSION, "topic": "Pulling a wall"}, {**SESSION, "topic": None}],
    "student_teacher_unassigned": [{"number": 7, "title": "Wheel throwing", "course_slug": "wheel"}],
    "student_teacher_approved": [
        {"course_title": "Wheel throwing", "note": "Welcome."},
        {"course_title": "Wheel throwing", "note": None},
    ],
    "student_teacher_rejected": [
        {"course_title": "Wheel throwing", "note": "Practise first."},
        {"course_title": "Wheel throwing", "note": None},
    ],
    "student_teacher_revoked": [{"course_title": "Wheel throwing", "note": "Nobody was helped."}],
    "teacher_application_approved": [{"note": "Welcome.\n\nBegin small."}, {"note": None}],
    "teacher_application_rejected": [{"note": "Show your own work."}, {"note": None}],
}
"""The parameters of each template, in every combination that gives another text."""
CASES = [
    pytest.param(name, params, id=f"{name}-{n}") for name, all_ in SAMPLES.items() for n, params in enumerate(all_)
]
SENDER = Sender(name="Gïld & Sons", address="guild@example.test", site=SITE)


def letter(template: str, params: dict[str, Any], **changes: Any) -> OutgoingMail:
    written = OutgoingMail(
        address="nadia@example.com",
        display_name="Nadia Rahman",
        template=template,
        params=params,
        topic="learning",
        is_mandatory=False,
        attempts=0,
        message_id="0123abcd",
    )
    return msgspec.structs.replace(written, **changes)


def parsed(message: EmailMessage) -> EmailMessage:
    """A message as it arrives."""
    return email.message_from_bytes(message.as_bytes(policy=email.policy.SMTP), policy=email.policy.default)


def test_every_template_has_its_row_and_its_folder(live: psycopg.Connection) -> None:
    known = {name for (name,) in live.execute("select template from private.mail_templates")}
    assert known == templates() == set(SAMPLES)


@pytest.mark.parametrize(("template", "params"), CASES)
@pytest.mark.parametrize("is_mandatory", [True, False])
def test_a_template_renders_a_whole_mail_in_both_forms(
    template: str, params: dict[str, Any], is_mandatory: bool
) -> None:
    written = letter(template, params, is_mandatory=is_mandatory)
    message = parsed(compose(written, SENDER))
    assert message.get_content_type() == "multipart/alternative"
    text, html = (part.get_content() for part in message.iter_parts())
    for form in (text, html):
        assert "Nadia Rahman" in form
        assert "{" not in form.replace("{ margin", "").replace("{ color", "")
        assert "None" not in form
        assert (settings_url(written, SENDER) in form) is not is_mandatory
    assert html.startswith("<!doctype html>")
    assert "<" not in text
    assert ("List-Unsubscribe" in message) is not is_mandatory
    said = [
        value
        for key, value in params.items()
        if isinstance(value, str) and "T" not in value and value != "0" and not key.endswith("_token")
    ]
    assert [word for value in said for word in value.split() if word not in text or word not in html] == []


@pytest.mark.parametrize(("template", "params"), CASES)
def test_a_missing_parameter_is_an_error(template: str, params: dict[str, Any]) -> None:
    unused = {"account_reinstated": {"until"}, "account_banned": {"until"}}.get(template, set())
    for name in set(params) - {"certificate_id"} - unused:
        with pytest.raises(jinja2.UndefinedError):
            render(letter(template, {key: value for key, value in params.items() if key != name}), SENDER)


def test_an_instant_is_rendered_for_people() -> None:
    words = render(letter("account_suspended", SAMPLES["account_suspended"][0]), SENDER)
    assert "until 3 December 2026, 09:00 UTC" in words.text


NASTY = "Eve\r\nBcc: all@example.com\r\n\r\n<script>alert(1)</script>\u202e {{ 7 * 7 }} \x00"


def test_names_and_titles_inject_no_headers_and_no_markup() -> None:
    params = SAMPLES["certificate_issued"][0] | {"course_title": NASTY}
    message = parsed(compose(letter("certificate_issued", params, display_name=NASTY), SENDER))
    assert sorted(message.keys()) == sorted(
        [
            *("From", "To", "Subject", "Date", "Message-ID", "Auto-Submitted", "List-Unsubscribe"),
            *("MIME-Version", "Content-Type"),
        ]
    )
    [to] = message["To"].addresses
    assert (to.addr_spec, len(message["To"].addresses)) == ("nadia@example.com", 1)
    assert message["Subject"].startswith("Your certificate for Eve Bcc: all@example.com")
    text, html = (part.get_content() for part in message.iter_parts())
    assert "<script>" not in html
    assert "&lt;script&gt;" in html
    for form in (text, html):
        assert "Eve Bcc:" in form
        assert "{{ 7 * 7 }}" in form
        assert "\u202e" not in form


@pytest.mark.parametrize(
    "name", ["Ægir Þórsson", "渡辺 ちひろ", "نادية", '"quoted" <x@y.z>', "a@b.example", "", "x" * 300]
)
def test_a_name_arrives_as_it_is(name: str) -> None:
    message = parsed(compose(letter("account_created", {}, display_name=name), SENDER))
    [to] = message["To"].addresses
    assert (to.display_name, to.addr_spec) == (name, "nadia@example.com")
    assert message["From"].addresses[0].display_name == "Gïld & Sons"


def test_a_mail_has_the_same_id_each_time() -> None:
    one, again = (compose(letter("account_created", {}), SENDER)["Message-ID"] for _ in range(2))
    assert one == again == "<0123abcd@example.test>"


# Answers of mail servers


def hand_over(mail_server: MailServer, **changes: Any) -> None:
    smtp = Smtp(host=LOOPBACK, port=mail_server.port, user=None, password=None, security=Security.NONE)
    message = compose(letter("account_created", {}), SENDER)
    asyncio.run(send(msgspec.structs.replace(smtp, **changes), message))


def test_a_mail_is_accepted() -> None:
    with running_mail_server() as mail_server:
        hand_over(mail_server)
        [mail] = mail_server.mails
    assert mail["Subject"] == "Welcome to Gïld & Sons"


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        ("550 5.1.1 nadia@example.com is not here", PermanentError),
        ("552 5.2.2 full", PermanentError),
        ("450 4.2.0 greylisted", TransientError),
        ("421 4.3.2 going down", TransientError),
    ],
)
def test_a_refused_recipient_is_permanent_or_transient(
    answer: str, error: type[PermanentError | TransientError]
) -> None:
    with running_mail_server() as mail_server:
        mail_server.refusals = [answer]
        with pytest.raises(error) as refused:
            hand_over(mail_server)
    assert "nadia" not in f"{refused.value}"
    assert answer[:3] in f"{refused.value}"


def test_a_refused_content_is_permanent() -> None:
    with running_mail_server() as mail_server:
        mail_server.refuses_content = "554 5.7.1 spam"
        with pytest.raises(PermanentError):
            hand_over(mail_server)


def test_a_fault_of_the_setup_is_transient() -> None:
    """A wrong password, a server without STARTTLS, or no server: the mail waits until the setup is corrected."""
    with running_mail_server() as mail_server:
        for changes in (
            {"user": "guild", "password": "wrong"},
            {"security": Security.STARTTLS},
            {"security": Security.TLS},
            {"port": 1},
            {"host": "nowhere.invalid"},
        ):
            with pytest.raises(TransientError) as failure:
                hand_over(mail_server, **changes)
            assert type(failure.value) is TransientError, changes
            assert "wrong" not in f"{failure.value}"


# From the event to the mailbox


def test_a_passed_quiz_mails_the_certificate(stack: Stack, academy: Academy, teacher: Person) -> None:
    course = academy.course(teacher)
    student = academy.member(name="Nadia <b>Rahman</b>")
    academy.enrol(student, course)
    passed = academy.rpc(student, "submit_quiz", quiz_id=course.quiz_id, answers=course.correct_answers)
    code = passed.json()["certificate"]["code"]
    mail = wait_for_mail(stack, student.email, "certificate")
    [title] = academy.sql("select title from public.courses where id = %s", course.id)[0]
    assert mail["subject"] == f"Your certificate for {title}"
    for form in ("text", "html"):
        assert code in str(mail[form])
    assert "Nadia &lt;b&gt;Rahman&lt;/b&gt;" in str(mail["html"])
    [verify, *_] = [link for link in mail["links"] if "/verify/" in link]  # type: ignore[attr-defined]
    assert verify.endswith(f"/verify/{code}")
    settled = "select status::text, attempts, last_error, sent_at is null from private.mail_outbox where user_id = %s"
    # The mail of the enrolment, and this one.
    wait_until(lambda: academy.sql(settled, student.id) == [("sent", 1, None, False)] * 2)


def test_a_disabled_topic_sends_no_mail(stack: Stack, academy: Academy, teacher: Person) -> None:
    course = academy.course(teacher)
    student = academy.member()
    academy.insert(student, "notification_preferences", topic="learning", by_email=False)
    academy.enrol(student, course)
    assert academy.rpc(student, "submit_quiz", quiz_id=course.quiz_id, answers=course.correct_answers).is_success
    academy.sql("select private.enqueue_mail(%s, 'account_created', '{}', %s)", student.id, student.id)
    settled = "select template, status::text from private.mail_outbox where user_id = %s order by id"
    wait_until(
        lambda: (
            academy.sql(settled, student.id)
            == [("enrolment_confirmed", "skipped"), ("certificate_issued", "skipped"), ("account_created", "sent")]
        )
    )
    [mail] = httpx.get(f"{stack.mail_url}/api/messages", params={"to": student.email}).json()
    assert mail["subject"].startswith("Welcome")
    assert rows(academy.call(student, "GET", "/rest/v1/certificates"))


def test_a_password_link_is_mailed_by_auth(stack: Stack, academy: Academy) -> None:
    person = academy.person()
    academy.sql("select private.defer_job('send_password_link', jsonb_build_object('user_id', %s::text))", person.id)
    mail = wait_for_mail(stack, person.email, "password")
    assert [link for link in mail["links"] if "type=recovery" in link]  # type: ignore[attr-defined]
