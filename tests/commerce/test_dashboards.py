"""The dashboards of creators and student-teachers carry money and the next sessions in one answer."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.commerce.payouts import ready_account, requested
from tests.commerce.stripe_events import deliver, event, offer, pay, placed, refund
from tests.people import Academy, Person


def in_days(days: int) -> str:
    return (datetime.now(UTC) + timedelta(days=days)).isoformat()


def money(academy: Academy, who: Person, dashboard: str = "creator_dashboard") -> dict[str, dict[str, Any]]:
    """The money on a dashboard, by currency."""
    answer = academy.call(who, "GET", f"/rest/v1/rpc/{dashboard}")
    assert answer.status_code == 200, answer.text
    return {each["currency"]: each for each in answer.json()["money"]}


@pytest.mark.route("PL-066", call="GET /rest/v1/rpc/creator_dashboard")
def test_a_creator_sees_money_and_sessions(academy: Academy) -> None:
    creator, buyer = academy.member("teacher", name="Ines"), academy.member(name="Amara")
    empty = academy.call(creator, "GET", "/rest/v1/rpc/creator_dashboard").json()
    assert (empty["money"], empty["next_sessions"]) == ([], [])
    ready_account(academy, creator)
    course = academy.course(creator, price_amount=2000)
    order = placed(academy, buyer, course_id=course.id)
    pay(academy, order)
    dollars = offer(academy, creator, "service", price_amount=3000, price_currency="USD")
    pay(academy, placed(academy, buyer, offer_id=dollars["id"]))
    old = placed(academy, academy.member(), course_id=course.id)
    payment = pay(academy, old)
    academy.sql(
        "update public.payment_splits set available_at = now(), created_at = now() - interval '40 days'"
        " where order_id = %s",
        old["id"],
    )
    found = money(academy, creator)
    euros = {
        "currency": "EUR", "month_amount": 1700, "lifetime_amount": 3400, "pending_amount": 1700, "sale_count": 2,
        "balance_amount": 3400, "in_transit_amount": 0,
    }  # fmt: skip
    assert euros.items() <= found["EUR"].items()
    assert (found["USD"]["lifetime_amount"], found["USD"]["sale_count"]) == (2550, 1)
    next_payout = found["EUR"]["next_payout"]
    assert (next_payout["status"], next_payout["amount"], next_payout["payout_id"]) == ("payable", 1700, None)
    # All dollars are pending: they can be paid out at the date when they become available.
    [(available_at,)] = academy.sql(
        "select available_at from public.payment_splits where user_id = %s and currency = 'USD'", creator.id
    )
    waiting = found["USD"]["next_payout"]
    assert (waiting["amount"], datetime.fromisoformat(waiting["at"])) == (2550, available_at)

    payout = requested(academy, creator)
    found = money(academy, creator)
    opened = found["EUR"]["next_payout"]
    assert (opened["payout_id"], opened["status"], opened["amount"]) == (payout["id"], "requested", 1700)
    assert opened["at"] == payout["created_at"]
    assert (found["EUR"]["balance_amount"], found["EUR"]["in_transit_amount"]) == (1700, 1700)
    deliver(academy, event("refund.created", refund(payment, 2000)))
    euros = {"lifetime_amount": 1700, "month_amount": 1700, "sale_count": 1}
    assert euros.items() <= money(academy, creator)["EUR"].items()

    [(enrolment,)] = academy.sql("select id::text from public.enrolments where student_id = %s", buyer.id)
    made = [
        academy.rpc(creator, "schedule_session", enrolment_id=enrolment, starts_at=in_days(days), topic=f"In {days}")
        for days in (3, 1, 2)
    ]
    assert academy.rpc(creator, "cancel_session", session_id=made[2].json()["id"]).status_code == 200
    sessions = academy.call(creator, "GET", "/rest/v1/rpc/creator_dashboard").json()["next_sessions"]
    assert [each["topic"] for each in sessions] == ["In 1", "In 3"]
    first = sessions[0]
    assert (first["session_id"], first["course_title"][:6]) == (made[1].json()["id"], "Course")
    assert (first["student_id"], first["student_name"]) == (buyer.id, "Amara")
    assert (first["host_id"], first["host_name"]) == (creator.id, "Ines")
    assert first["starts_at"] < first["ends_at"]
    other = academy.call(academy.member("teacher"), "GET", "/rest/v1/rpc/creator_dashboard").json()
    assert (other["money"], other["next_sessions"]) == ([], [])
    assert academy.call(buyer, "GET", "/rest/v1/rpc/creator_dashboard").status_code == 403


@pytest.mark.route("PL-057", call="GET /rest/v1/rpc/student_teacher_dashboard")
def test_a_student_teacher_sees_money_and_sessions(academy: Academy) -> None:
    creator, helper, buyer = academy.member("teacher"), academy.member(name="Kofi"), academy.member(name="Amara")
    course = academy.course(creator, price_amount=10000)
    pay(academy, placed(academy, helper, course_id=course.id))
    academy.sql(
        "insert into public.student_teachers (course_id, user_id, is_public, status, statement, decided_at)"
        " values (%s, %s, true, 'approved', 'I can', now())",
        course.id, helper.id,
    )  # fmt: skip
    [(place,)] = academy.sql("select id::text from public.student_teachers where user_id = %s", helper.id)
    assert academy.call(helper, "GET", "/rest/v1/rpc/student_teacher_dashboard").json()["money"] == []
    pay(academy, placed(academy, buyer, course_id=course.id, student_teacher_id=place))
    [(enrolment,)] = academy.sql("select id::text from public.enrolments where student_id = %s", buyer.id)
    made = academy.rpc(helper, "schedule_session", enrolment_id=enrolment, starts_at=in_days(1))
    assert made.status_code == 200, made.text

    answer = academy.call(helper, "GET", "/rest/v1/rpc/student_teacher_dashboard").json()
    [euros] = answer["money"]
    assert (euros["month_amount"], euros["lifetime_amount"], euros["pending_amount"]) == (7000, 7000, 7000)
    assert (euros["sale_count"], euros["next_payout"]["amount"]) == (1, 7000)
    [session] = answer["next_sessions"]
    assert (session["session_id"], session["host_name"], session["student_name"]) == (
        made.json()["id"],
        "Kofi",
        "Amara",
    )
    # The creator's part of the same sale, and the session in the course.
    board = academy.call(creator, "GET", "/rest/v1/rpc/creator_dashboard").json()
    assert board["money"][0]["lifetime_amount"] == 8500 + 1500
    assert [each["session_id"] for each in board["next_sessions"]] == [made.json()["id"]]
    assert academy.call(buyer, "GET", "/rest/v1/rpc/student_teacher_dashboard").status_code == 403


def test_a_dashboard_tells_nobody_about_others(academy: Academy) -> None:
    """The function behind it takes no user, and clients cannot call what domains registered."""
    for role in ("anon", "authenticated", "edge", "worker"):
        for function in (
            "dashboard__400_next_sessions(uuid, text)",
            "dashboard__600_money(uuid, text)",
            "next_payout(uuid, text)",
        ):
            may = academy.sql("select has_function_privilege(%s, %s, 'execute')", role, f"private.{function}")
            assert may == [(False,)], (role, function)
