"""Payouts after they were made: transfers that Stripe takes back, banks that refuse, accounts that are closed."""

import itertools
import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
import pytest
from psycopg.types.json import Jsonb

from tests.commerce.payouts import (
    account_object,
    balance,
    payable_seller,
    processed,
    ready_account,
    requested,
)
from tests.commerce.stripe_events import (
    Event,
    Object,
    deliver,
    event,
    imbalance,
    stripe_id,
    this_second,
)
from tests.people import Academy, Person, refused, rows


@pytest.fixture
def seller(academy: Academy) -> Person:
    """A seller with a payout account and 85 euros that can be paid out."""
    return payable_seller(academy)


def transfer(payout: Object, *, reversed_amount: int = 0, transfer_id: str) -> Object:
    """The transfer of a payout, after so much of it was reversed."""
    return {
        "id": transfer_id,
        "object": "transfer",
        "amount": payout["amount"],
        "amount_reversed": reversed_amount,
        "reversed": reversed_amount == payout["amount"],
        "currency": "eur",
        "metadata": {"payout_id": payout["id"]},
    }


def processing(academy: Academy, admin: Person, seller: Person, **arguments: Any) -> Object:
    """A payout that is being transferred."""
    payout = requested(academy, seller, **arguments)
    assert academy.rpc(admin, "approve_payouts", payout_ids=[payout["id"]]).status_code == 200
    assert processed(academy, admin, [payout["id"]]) == 1
    return payout


def read(academy: Academy, seller: Person, payout: Object) -> Object:
    """A payout as the person reads it."""
    (row,) = rows(academy.call(seller, "GET", f"/rest/v1/payouts?id=eq.{payout['id']}"))
    return row


def mails(academy: Academy, person: Person, template: str) -> list[Object]:
    """The parameters of a person's mails of a template, the oldest first."""
    found = academy.sql(
        "select params from private.mail_outbox where user_id = %s and template = %s order by id", person.id, template
    )
    return [params for (params,) in found]


def account_of(academy: Academy, person: Person) -> str | None:
    """The account of a person at Stripe."""
    ((account,),) = academy.sql("select private.stripe_id_of('account', %s)", person.id)
    assert account is None or isinstance(account, str)
    return account


def reversal_events(payout: Object) -> list[Event]:
    """A transfer, a part of which is taken back, then the rest."""
    name = stripe_id("tr")
    return [
        event("transfer.created", transfer(payout, transfer_id=name)),
        event("transfer.reversed", transfer(payout, reversed_amount=3000, transfer_id=name)),
        event("transfer.reversed", transfer(payout, reversed_amount=8500, transfer_id=name)),
    ]


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
def test_a_reversed_transfer_returns_to_the_balance_in_whatever_order_it_is_told(
    academy: Academy, seller: Person, admin: Person, order: tuple[int, ...]
) -> None:
    payout = processing(academy, admin, seller)
    events = reversal_events(payout)
    for number in order:
        for _ in range(2):
            assert deliver(academy, events[number]) in {"applied", "ignored"}
    found = read(academy, seller, payout)
    assert (found["status"], found["returned_amount"]) == ("returned", 8500)
    assert balance(academy, seller) == {"balance": 8500, "pending": 0, "in_transit": 0}
    assert requested(academy, seller)["amount"] == 8500
    assert imbalance(academy) == []


def test_a_part_of_a_transfer_is_taken_back(academy: Academy, seller: Person, admin: Person) -> None:
    payout = processing(academy, admin, seller)
    created, partial, _ = reversal_events(payout)
    # The reversal arrives before the transfer itself.
    assert [deliver(academy, each) for each in (partial, partial, created)] == ["applied", "applied", "ignored"]
    found = read(academy, seller, payout)
    assert (found["status"], found["returned_amount"], found["amount"]) == ("paid", 3000, 8500)
    assert balance(academy, seller) == {"balance": 3000, "pending": 0, "in_transit": 0}
    statement = f"/rest/v1/account_statement?user_id=eq.{seller.id}&account_kind=eq.payable&order=id.desc&limit=2"
    assert [(row["kind"], row["amount"]) for row in rows(academy.call(seller, "GET", statement))] == [
        ("payout_returned", 3000), ("payout", -8500),
    ]  # fmt: skip
    assert mails(academy, seller, "payout_returned") == [{"amount": "30.00 EUR"}]
    assert academy.call(admin, "GET", f"/rest/v1/reconciliation?payout_id=eq.{payout['id']}").json() == [
        {
            "id": payout["id"], "currency": "EUR", "order_id": None, "payout_id": payout["id"], "source": None,
            "ledger_amount": -5500, "provider_amount": 0, "reason": "unknown_to_provider",
        }
    ]  # fmt: skip
    reversal = {"id": stripe_id("trr"), "object": "transfer_reversal", "amount": 3000, "currency": "eur"}
    transactions = [
        {"type": "transfer", "amount": -8500, "source": created.object},
        {"type": "transfer_refund", "amount": 3000, "source": reversal | {"transfer": created.object["id"]}},
    ]
    keep(academy, transactions)
    assert academy.call(admin, "GET", f"/rest/v1/reconciliation?payout_id=eq.{payout['id']}").json() == []
    refused(academy.rpc(admin, "cancel_payout", payout_id=payout["id"]), 409, "illegal_transition")


def keep(academy: Academy, transactions: list[Object]) -> None:
    """Store balance transactions as the worker does."""
    whole = [
        {"id": stripe_id("txn"), "object": "balance_transaction", "fee": 0, "currency": "eur", "created": 1} | each
        for each in transactions
    ]
    academy.sql("select private.upsert_balance_transactions(%s)", Jsonb(whole))


def test_the_reversal_of_another_transfer_than_the_recorded_one_moves_nothing(
    academy: Academy, seller: Person, admin: Person
) -> None:
    payout = processing(academy, admin, seller)
    created, _, reversed_whole = reversal_events(payout)
    other = event("transfer.reversed", reversed_whole.object | {"id": stripe_id("tr")})
    assert [deliver(academy, each) for each in (created, other)] == ["applied", "ignored"]
    assert read(academy, seller, payout)["status"] == "paid"
    assert balance(academy, seller)["balance"] == 0


def test_a_transfer_that_is_told_after_the_payout_was_cancelled_is_paid_out_of_the_balance(
    academy: Academy, seller: Person, admin: Person
) -> None:
    payout = processing(academy, admin, seller)
    academy.sql("select private.record_payout_result(%s, 'stripe', null, 'timeout')", payout["id"])
    assert academy.rpc(admin, "cancel_payout", payout_id=payout["id"]).json()["status"] == "cancelled"
    assert balance(academy, seller)["balance"] == 8500
    created, partial, _ = reversal_events(payout)
    assert [deliver(academy, each) for each in (created, created, partial)] == ["applied"] * 3
    assert read(academy, seller, payout)["status"] == "paid"
    assert balance(academy, seller) == {"balance": 3000, "pending": 0, "in_transit": 0}
    assert imbalance(academy) == []


def bank_failure(academy: Academy, account: str, created: int, message: str = "The bank account is closed.") -> str:
    """Report a payout from an account to its bank that failed; returns the status of the event."""
    payout = {
        "id": stripe_id("po"), "object": "payout", "amount": 8500, "currency": "eur", "status": "failed",
        "failure_code": "account_closed", "failure_message": message,
    }  # fmt: skip
    return connected(academy, "payout.failed", payout, account, created)


def connected(academy: Academy, kind: str, object_: Object, account: str, created: int | None = None) -> str:
    """Deliver an event of a connected account; returns its status."""
    payload = {
        "id": stripe_id("evt"), "type": kind, "created": created or this_second(), "account": account,
        "data": {"object": object_},
    }  # fmt: skip
    ((status,),) = academy.sql(
        "select private.receive_webhook('stripe', %s, %s, %s)::text", payload["id"], kind, json.dumps(payload)
    )
    assert isinstance(status, str)
    return status


def test_a_person_is_told_that_the_bank_refused_the_money(academy: Academy, seller: Person, student: Person) -> None:
    account, now = account_of(academy, seller), this_second()
    assert account is not None
    assert bank_failure(academy, account, now) == "applied"
    assert bank_failure(academy, account, now - 60, "An older failure.") == "applied"
    path = f"/rest/v1/payout_accounts?user_id=eq.{seller.id}"
    (row,) = rows(academy.call(seller, "GET", path))
    assert (row["bank_failure"], row["can_receive"]) == ("The bank account is closed.", True)
    assert rows(academy.call(student, "GET", path)) == []
    assert mails(academy, seller, "bank_payout_failed")[0] == {
        "amount": "85.00 EUR", "reason": "The bank account is closed.",
    }  # fmt: skip
    # Stripe then asks for another bank account, and pays out again once it has one.
    asked = account_object(account, payouts_enabled=False, requirements={"currently_due": ["external_account"]})
    assert deliver(academy, event("account.updated", asked, created=now + 1)) == "applied"
    (row,) = rows(academy.call(seller, "GET", path))
    assert (row["bank_failure"], row["missing"]) == ("The bank account is closed.", ["external_account"])
    assert deliver(academy, event("account.updated", account_object(account), created=now + 2)) == "applied"
    assert rows(academy.call(seller, "GET", path))[0]["bank_failure"] is None
    assert bank_failure(academy, stripe_id("acct"), now) == "foreign"


@pytest.mark.parametrize("status", ["requested", "approved", "failed"])
def test_a_closed_account_gives_open_payouts_back_and_can_be_replaced(
    academy: Academy, seller: Person, admin: Person, status: str
) -> None:
    account = account_of(academy, seller)
    assert account is not None
    payout = requested(academy, seller) if status == "requested" else None
    if status == "approved":
        payout = requested(academy, seller)
        academy.rpc(admin, "approve_payouts", payout_ids=[payout["id"]])
    elif payout is None:
        payout = processing(academy, admin, seller)
        academy.sql("select private.record_payout_result(%s, 'stripe', null, 'insufficient')", payout["id"])
    assert read(academy, seller, payout)["status"] == status
    application = {"id": "ca_1", "object": "application"}
    assert [connected(academy, "account.application.deauthorized", application, account) for _ in range(2)] == [
        "applied", "ignored",
    ]  # fmt: skip
    assert read(academy, seller, payout)["status"] == "cancelled"
    assert balance(academy, seller) == {"balance": 8500, "pending": 0, "in_transit": 0}
    assert (len(mails(academy, seller, "payout_cancelled")), len(mails(academy, seller, "payout_account_closed"))) == (
        1, 1,
    )  # fmt: skip
    refused(academy.rpc(seller, "request_payout", currency="EUR"), 409, "payout_account_missing")
    # A late report about the closed account opens nothing.
    later = event("account.updated", account_object(account), created=this_second() + 60)
    assert deliver(academy, later) == "ignored"
    assert account_of(academy, seller) is None
    fresh = ready_account(academy, seller)
    assert account_of(academy, seller) == fresh
    assert requested(academy, seller)["amount"] == 8500
    assert imbalance(academy) == []


def test_a_payout_whose_account_closes_during_the_transfer_returns(
    academy: Academy, seller: Person, admin: Person
) -> None:
    account = account_of(academy, seller)
    assert account is not None
    payout, other = processing(academy, admin, seller, amount=4000), requested(academy, seller, amount=2000)
    academy.sql("select private.drop_stripe_id('account', %s)", account)
    assert read(academy, seller, payout)["status"] == "processing"
    academy.sql("select private.record_payout_result(%s, 'stripe', null, 'No such destination')", payout["id"])
    assert {read(academy, seller, each)["status"] for each in (payout, other)} == {"cancelled"}
    assert read(academy, seller, payout)["failure"] == "No such destination"
    assert balance(academy, seller)["balance"] == 8500


def test_an_admin_cannot_process_a_payout_without_an_account(academy: Academy, seller: Person, admin: Person) -> None:
    payout = requested(academy, seller)
    academy.rpc(admin, "approve_payouts", payout_ids=[payout["id"]])
    academy.sql(
        "update private.provider_references set ended_at = now() where object = 'account' and row_id = %s", seller.id
    )
    refused(academy.rpc(admin, "process_payouts", payout_ids=[payout["id"]]), 409, "payout_account_missing")


@pytest.mark.parametrize(
    ("capability", "can_receive"), [("active", True), ("inactive", False), ("pending", False), (None, False)]
)
def test_an_account_receives_by_its_capability_and_not_by_its_bank(
    academy: Academy, capability: str | None, can_receive: bool
) -> None:
    seller = academy.member("teacher")
    account = ready_account(academy, seller)
    capabilities = {} if capability is None else {"transfers": capability}
    state = account_object(account, capabilities=capabilities, payouts_enabled=not can_receive)
    assert deliver(academy, event("account.updated", state, created=this_second() + 1)) == "applied"
    (row,) = rows(academy.call(seller, "GET", f"/rest/v1/payout_accounts?user_id=eq.{seller.id}"))
    assert (row["can_receive"], row["country"]) == (can_receive, "DE")


@contextmanager
def with_only_dollars(academy: Academy, who: Person) -> Iterator[psycopg.Connection]:
    """A transaction of a person in which the platform is known to hold only dollars; rolled back at the end."""
    with psycopg.connect(academy.admin_db_url) as connection:
        claims = json.dumps({"sub": who.id, "role": "authenticated"})
        connection.execute("select set_config('request.jwt.claims', %s, true)", [claims])
        balances = Jsonb({"object": "balance", "available": [{"currency": "usd", "amount": 5}]})
        connection.execute("select private.record_stripe_balance(%s)", [balances])
        yield connection
        connection.rollback()


def test_a_payout_in_a_currency_without_balance_is_refused(academy: Academy, seller: Person, admin: Person) -> None:
    with with_only_dollars(academy, seller) as connection:
        with pytest.raises(psycopg.Error) as refusal:
            connection.execute("select public.request_payout('EUR')")
        assert (refusal.value.sqlstate, refusal.value.diag.message_primary) == ("PT409", "currency_not_paid_out")
    # It was promised while no balance was known; an admin cannot approve it, and gives it back.
    payout = requested(academy, seller)
    with with_only_dollars(academy, admin) as connection:
        with pytest.raises(psycopg.Error) as refusal:
            connection.execute("select public.approve_payouts(%s::uuid[])", [[payout["id"]]])
        assert (refusal.value.sqlstate, refusal.value.diag.message_primary) == ("PT409", "currency_not_paid_out")
    assert academy.rpc(admin, "cancel_payout", payout_id=payout["id"]).status_code == 200
    assert balance(academy, seller) == {"balance": 8500, "pending": 0, "in_transit": 0}


def test_the_balance_is_read_where_it_is_unknown(academy: Academy, seller: Person) -> None:
    with psycopg.connect(academy.admin_db_url) as connection:
        connection.execute("delete from private.provider_balances")
        connection.execute("select private.require_currency_paid_out(%s, 'EUR')", [seller.id])
        jobs = connection.execute(
            "select count(*) from procrastinate.procrastinate_jobs where task_name = 'sync_balance' and status = 'todo'"
        ).fetchone()
        assert jobs == (1,)
        connection.rollback()
