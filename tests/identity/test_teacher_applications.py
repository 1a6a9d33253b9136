"""Applications to teach, and the admins' decisions."""

from typing import Any

import pytest

from tests.identity.test_accounts import can_teach, history, mails
from tests.people import Academy, Person, concurrently, refused, rows


def apply(academy: Academy, person: Person) -> str:
    """Apply to teach; returns the application's id."""
    answer = academy.rpc(person, "apply_to_teach", motivation="I have thrown pots for ten years.")
    assert answer.status_code == 200, answer.text
    application_id: str = answer.json()["id"]
    return application_id


@pytest.mark.route(
    "WC-003", call="GET /rest/v1/teacher_applications?status=eq.pending&select=*,profiles{fields}&order=created_at"
)
def test_admins_read_applications(academy: Academy, admin: Person, moderator: Person, stranger: Person) -> None:
    person = academy.member(name="Nadia Rahman")
    links = ["https://example.com/pots", "http://example.com/?a=b"]
    answer = academy.rpc(person, "apply_to_teach", motivation="To pass it on.", links=links)
    assert (answer.status_code, answer.json()["status"]) == (200, "pending"), answer.text
    path = (
        "/rest/v1/teacher_applications?status=eq.pending&select=*,profiles(display_name)&order=created_at"
        f"&user_id=eq.{person.id}"
    )
    for who in (admin, moderator, person):
        (row,) = rows(academy.call(who, "GET", path))
        assert (row["motivation"], row["links"]) == ("To pass it on.", links)
        assert row["profiles"] == {"display_name": "Nadia Rahman"}
    assert rows(academy.call(stranger, "GET", path)) == []
    assert academy.call(None, "GET", path).status_code == 401
    for who in (person, admin):
        assert academy.call(who, "PATCH", path, {"status": "approved"}).status_code == 403
        assert academy.call(who, "DELETE", path).status_code == 403
        row = {"user_id": who.id, "motivation": "Now", "status": "approved"}
        assert academy.call(who, "POST", "/rest/v1/teacher_applications", row).status_code == 403


@pytest.mark.route("WC-004", "WC-005", call="POST /rest/v1/rpc/decide_teacher_application")
def test_an_approved_applicant_teaches(academy: Academy, admin: Person, moderator: Person, stranger: Person) -> None:
    person, teacher = academy.member(), academy.member("teacher")
    application_id = apply(academy, person)
    decision = {"application_id": application_id, "is_approved": True, "note": "Welcome."}
    for who in (stranger, person, teacher, moderator):
        refused(academy.rpc(who, "decide_teacher_application", **decision), 403, "role_required")
    assert academy.rpc(None, "decide_teacher_application", **decision).status_code == 401
    assert not can_teach(academy, person)

    answer = academy.rpc(admin, "decide_teacher_application", **decision)
    assert answer.status_code == 200, answer.text
    decided = answer.json()
    assert (decided["status"], decided["decided_by"], decided["decision_note"]) == ("approved", admin.id, "Welcome.")
    assert can_teach(academy, person)
    refused(academy.rpc(admin, "decide_teacher_application", **decision), 409, "application_decided")
    refused(academy.rpc(person, "apply_to_teach", motivation="Again"), 409, "already_teacher")

    assert [entry["action"] for entry in history(academy, admin, person)] == ["role.grant"]
    path = f"/rest/v1/audit_log?target_id=eq.{application_id}"
    (entry,) = rows(academy.call(admin, "GET", path))
    assert (entry["action"], entry["actor_id"]) == ("teacher_application.approve", admin.id)
    assert mails(academy, person) == [("teacher_application_approved", {"note": "Welcome."})]


@pytest.mark.route("WC-006", "WC-007", call="POST /rest/v1/rpc/decide_teacher_application")
def test_a_rejected_applicant_waits(academy: Academy, admin: Person, stranger: Person) -> None:
    person = academy.member()
    decision = {"application_id": apply(academy, person), "is_approved": False}
    refused(academy.rpc(stranger, "decide_teacher_application", **decision), 403, "role_required")
    answer = academy.rpc(admin, "decide_teacher_application", **decision)
    assert (answer.status_code, answer.json()["status"]) == (200, "rejected"), answer.text
    assert not can_teach(academy, person)
    assert mails(academy, person) == [("teacher_application_rejected", {"note": None})]

    refused(academy.rpc(person, "apply_to_teach", motivation="Please"), 409, "application_too_soon")
    academy.sql(
        "update public.teacher_applications set decided_at = now() - interval '31 days' where user_id = %s", person.id
    )
    again = apply(academy, person)
    assert academy.rpc(admin, "decide_teacher_application", application_id=again, is_approved=True).status_code == 200
    assert can_teach(academy, person)


def test_one_application_at_a_time(academy: Academy) -> None:
    person = academy.member()
    answers = concurrently(6, lambda _: academy.rpc(person, "apply_to_teach", motivation="Six times at once"))
    assert sorted(answer.status_code for answer in answers) == [200, *[409] * 5]
    refused(academy.rpc(person, "apply_to_teach", motivation="Once more"), 409, "application_pending")
    withdrawn = academy.rpc(person, "withdraw_teacher_application")
    assert (withdrawn.status_code, withdrawn.json()["status"]) == (200, "withdrawn")
    refused(academy.rpc(person, "withdraw_teacher_application"), 404, "application_not_found")
    apply(academy, person)


def test_one_of_two_concurrent_admins_decides(academy: Academy) -> None:
    admins = [academy.member("admin") for _ in range(2)]
    for _ in range(5):
        person = academy.member()
        application_id = apply(academy, person)
        answers = concurrently(
            2,
            lambda number: academy.rpc(
                admins[number],
                "decide_teacher_application",
                application_id=application_id,  # noqa: B023
                is_approved=number == 0,
            ),
        )
        assert sorted(answer.status_code for answer in answers) == [200, 409]
        won = next(number for number, answer in enumerate(answers) if answer.status_code == 200)
        assert can_teach(academy, person) is (won == 0)


def test_a_concurrent_withdrawal_and_decision_have_one_result(academy: Academy, admin: Person) -> None:
    for _ in range(5):
        person = academy.member()
        application_id = apply(academy, person)
        calls: list[tuple[Person, str, dict[str, Any]]] = [
            (admin, "decide_teacher_application", {"application_id": application_id, "is_approved": True}),
            (person, "withdraw_teacher_application", {}),
        ]
        answers = concurrently(2, lambda number: academy.rpc(*calls[number][:2], **calls[number][2]))  # noqa: B023
        assert sorted(answer.status_code for answer in answers) in ([200, 404], [200, 409])
        [(status,)] = academy.sql("select status from public.teacher_applications where id = %s", application_id)
        assert can_teach(academy, person) is (status == "approved")


def test_a_former_teacher_may_apply_again(academy: Academy, admin: Person) -> None:
    person = academy.member()
    for _ in range(2):
        application_id = apply(academy, person)
        answer = academy.rpc(admin, "decide_teacher_application", application_id=application_id, is_approved=True)
        assert answer.status_code == 200
        assert can_teach(academy, person)
        assert academy.rpc(admin, "revoke_role", user_id=person.id, role="teacher").status_code == 204
        assert not can_teach(academy, person)


def test_users_who_may_not_apply(academy: Academy) -> None:
    suspended, unconfirmed = academy.member(), academy.member()
    academy.suspend(suspended)
    academy.sql("update auth.users set email_confirmed_at = null where id = %s", unconfirmed.id)
    refused(academy.rpc(suspended, "apply_to_teach", motivation="Please"), 403, "account_inactive")
    refused(academy.rpc(unconfirmed, "apply_to_teach", motivation="Please"), 403, "email_not_confirmed")
    assert academy.rpc(None, "apply_to_teach", motivation="Please").status_code == 401


@pytest.mark.parametrize(
    ("arguments", "constraint"),
    [
        ({"motivation": " \n "}, "motivation"),
        ({"motivation": "x" * 4001}, "motivation"),
        ({"motivation": "x", "links": ["javascript:alert(1)"]}, "links"),
        ({"motivation": "x", "links": ["https://example.com", "nowhere"]}, "links"),
        ({"motivation": "x", "links": ["https://example.com/"] * 11}, "links"),
        ({"motivation": "x", "links": ["https://example.com/" + "x" * 5000]}, "links"),
        ({"motivation": "x", "links": [None]}, "links"),
    ],
    ids=["blank", "long", "script", "no link", "many", "long link", "null"],
)
def test_an_application_out_of_bounds_names_the_constraint(
    academy: Academy, stranger: Person, arguments: dict[str, object], constraint: str
) -> None:
    answer = academy.rpc(stranger, "apply_to_teach", **arguments)
    assert (answer.status_code, answer.json()["code"]) == (400, "23514"), answer.text
    assert f"teacher_applications_{constraint}_check" in answer.json()["message"]


def test_a_missing_decision_is_refused(academy: Academy, admin: Person, stranger: Person) -> None:
    missing = {"application_id": stranger.id, "is_approved": True}
    refused(academy.rpc(admin, "decide_teacher_application", **missing), 404, "application_not_found")
    application_id = apply(academy, academy.member())
    undecided = {"application_id": application_id, "is_approved": None}
    refused(academy.rpc(admin, "decide_teacher_application", **undecided), 422, "decision_missing")
