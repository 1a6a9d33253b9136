"""Payouts at Stripe's double: accounts, their onboarding, and transfers that happen once."""

from typing import Any

import pytest

from tests.commerce.stripe_events import imbalance, offer
from tests.edge.shop import Object, Shop, json_of
from tests.people import Academy, Person, concurrently, refused, rows
from tests.waiting import wait_until

ACCOUNT = "/functions/v1/payout-account"
ONBOARDING = f"{ACCOUNT}/onboarding"


def account_of(academy: Academy, person: Person) -> str:
    """The account of a person at Stripe."""
    ((name,),) = academy.sql("select private.stripe_id_of('account', %s)", person.id)
    assert isinstance(name, str)
    return name


@pytest.mark.route("CM-064", call=f"POST {ACCOUNT}")
def test_an_account_is_made_once(academy: Academy, shop: Shop) -> None:
    earner = academy.member("teacher")
    refused(academy.call(None, "POST", ACCOUNT, {}), 401, "sign_in_required")
    answers = concurrently(6, lambda _: academy.call(earner, "POST", ACCOUNT, {}))
    assert {answer.status_code for answer in answers} == {200}, answers[0].text
    answer = answers[0].json()
    assert (answer["is_submitted"], answer["can_receive"]) == (False, False)
    assert academy.sql(
        "select count(*) from private.provider_references where object = 'account' and row_id = %s", earner.id
    ) == [(1,)]
    account = shop.double.client.v1.accounts.retrieve(account_of(academy, earner))
    assert (account.type, account.email, json_of(account)["metadata"]) == (
        "express",
        earner.email,
        {"user_id": earner.id},
    )


def test_the_country_of_an_account_can_be_changed_until_it_is_complete(academy: Academy, shop: Shop) -> None:
    earner = academy.member("teacher")
    assert academy.call(earner, "POST", ACCOUNT, {"country": "DE"}).json()["country"] == "DE"
    first = account_of(academy, earner)
    assert academy.call(earner, "POST", ACCOUNT, {}).json()["country"] == "DE"
    assert account_of(academy, earner) == first
    assert academy.call(earner, "POST", ACCOUNT, {"country": "FR"}).json()["country"] == "FR"
    second = account_of(academy, earner)
    assert second != first
    assert shop.double.client.v1.accounts.retrieve(second).country == "FR"
    shop.double.post(f"accounts/{second}/complete")
    academy.call(earner, "GET", ACCOUNT)
    refused(academy.call(earner, "POST", ACCOUNT, {"country": "DE"}), 409, "payout_country_fixed")
    assert academy.call(earner, "POST", ACCOUNT, {"country": "FR"}).status_code == 200
    assert account_of(academy, earner) == second
    mails = "select from private.mail_outbox where user_id = %s and template = 'payout_account_closed'"
    assert academy.sql(mails, earner.id) == []


def test_a_country_that_stripe_does_not_serve_is_422(academy: Academy, shop: Shop) -> None:
    earner = academy.member("teacher")
    fault = {"status": 400, "type": "invalid_request_error", "code": "country_unsupported"}
    shop.double.post("faults", path="/v1/accounts", method="POST", contains=earner.id, **fault)
    refused(academy.call(earner, "POST", ACCOUNT, {"country": "XX"}), 422, "payout_country_unsupported")
    assert academy.call(earner, "POST", ACCOUNT, {"country": "DE"}).status_code == 200


def test_a_suspended_person_makes_no_account(academy: Academy) -> None:
    earner = academy.member("teacher")
    academy.suspend(earner)
    refused(academy.call(earner, "POST", ACCOUNT, {}), 403, "account_inactive")
    refused(academy.call(earner, "POST", ONBOARDING, {}), 403, "account_inactive")


@pytest.mark.route("CM-066", "WC-074", call=f"POST {ONBOARDING}")
@pytest.mark.route("CM-065", "WC-075", call=f"GET {ACCOUNT}")
def test_the_onboarding_makes_payouts_possible(academy: Academy, shop: Shop, stranger: Person) -> None:
    earner = academy.member("teacher")
    refused(academy.call(stranger, "GET", ACCOUNT), 404, "payout_account_not_found")
    refused(academy.call(stranger, "POST", ONBOARDING, {}), 404, "payout_account_not_found")
    academy.call(earner, "POST", ACCOUNT, {})
    for field in ("return_url", "refresh_url"):
        answer = academy.call(earner, "POST", ONBOARDING, {field: "https://evil.example.test"})
        refused(answer, 422, "url_foreign")
    link = academy.call(earner, "POST", ONBOARDING, {"return_url": "http://127.0.0.1:3000/me"})
    assert link.status_code == 200, link.text
    assert link.json()["url"].startswith(shop.double.url)
    begun = academy.call(earner, "GET", ACCOUNT).json()
    assert begun["can_receive"] is False
    assert begun["missing"]
    account = account_of(academy, earner)
    shop.double.post("webhooks/drop", contains=account)
    shop.double.post(f"accounts/{account}/complete")
    assert academy.call(earner, "GET", ACCOUNT).json() == {
        "is_submitted": True, "can_receive": True, "missing": [], "country": "US", "bank_failure": None,
    }  # fmt: skip
    assert rows(academy.call(earner, "GET", "/rest/v1/payout_accounts"))[0]["can_receive"] is True
    shop.double.post(f"accounts/{account}/complete", outcome="restricted")
    assert academy.call(earner, "GET", ACCOUNT).json()["can_receive"] is False


def test_the_webhook_reports_the_onboarding(academy: Academy, shop: Shop) -> None:
    earner = academy.member("teacher")
    academy.call(earner, "POST", ACCOUNT, {})
    account = account_of(academy, earner)
    shop.double.post(f"accounts/{account}/complete")
    shop.delivered(account)
    assert rows(academy.call(earner, "GET", "/rest/v1/payout_accounts"))[0]["can_receive"] is True


@pytest.fixture
def earner(academy: Academy, shop: Shop) -> Person:
    """A teacher with a ready account and earnings of 17.00."""
    seller = academy.member("teacher")
    academy.call(seller, "POST", ACCOUNT, {})
    shop.double.post(f"accounts/{account_of(academy, seller)}/complete")
    academy.call(seller, "GET", ACCOUNT)
    shop.buy(academy.member(), offer_id=offer(academy, seller, "playlist_submission", price_amount=2000)["id"])
    academy.sql("update public.payment_splits set available_at = now() where user_id = %s", seller.id)
    shop.double.post("balance", amount=100_000, currency="eur")
    return seller


def requested(academy: Academy, admin: Person, earner: Person) -> str:
    """The id of an approved payout."""
    payout = academy.rpc(earner, "request_payout", currency="EUR")
    assert payout.status_code == 200, payout.text
    assert academy.rpc(admin, "approve_payouts", payout_ids=[payout.json()["id"]]).status_code == 200
    payout_id: str = payout.json()["id"]
    return payout_id


def process(academy: Academy, admin: Person, payout_id: str) -> None:
    """Transfer it."""
    answer = academy.rpc(admin, "process_payouts", payout_ids=[payout_id])
    assert answer.status_code == 200, answer.text


def payout(academy: Academy, earner: Person, payout_id: str) -> Object:
    """A payout as the person reads it."""
    (row,) = rows(academy.call(earner, "GET", f"/rest/v1/payouts?id=eq.{payout_id}"))
    return row


def transfers(shop: Shop, payout_id: str) -> list[Any]:
    """The transfers of a payout at Stripe."""
    return list(shop.double.client.v1.transfers.list({"transfer_group": f"payout:{payout_id}"}).data)


@pytest.mark.route("PL-172", call="POST /rest/v1/rpc/process_payouts")
def test_a_payout_is_transferred_once(academy: Academy, shop: Shop, admin: Person, earner: Person) -> None:
    payout_id = requested(academy, admin, earner)
    refused(academy.rpc(earner, "process_payouts", payout_ids=[payout_id]), 403, "role_required")
    process(academy, admin, payout_id)
    wait_until(lambda: payout(academy, earner, payout_id)["status"] == "paid")
    (transfer,) = transfers(shop, payout_id)
    assert (transfer.amount, transfer.currency, transfer.destination) == (1700, "eur", account_of(academy, earner))
    shop.delivered(transfer.id)
    assert (
        len(academy.sql("select from public.ledger_journals where idempotency_key = %s", f"payout:{payout_id}:paid"))
        == 1
    )
    assert imbalance(academy) == []


def test_a_transfer_that_stripe_refuses_can_be_retried(
    academy: Academy, shop: Shop, admin: Person, earner: Person
) -> None:
    payout_id = requested(academy, admin, earner)
    shop.double.post("next", on="transfer", outcome="error", contains=payout_id, code="balance_insufficient")
    process(academy, admin, payout_id)
    wait_until(lambda: payout(academy, earner, payout_id)["status"] == "failed")
    assert "A rule of the double refuses" in payout(academy, earner, payout_id)["failure"]
    assert transfers(shop, payout_id) == []
    process(academy, admin, payout_id)
    wait_until(lambda: payout(academy, earner, payout_id)["status"] == "paid")
    assert (payout(academy, earner, payout_id)["attempts"], len(transfers(shop, payout_id))) == (2, 1)


@pytest.mark.parametrize("status", [0, 500, 503, 409, 429, 401])
def test_a_transfer_whose_answer_was_lost_is_made_once(
    academy: Academy, shop: Shop, admin: Person, earner: Person, status: int
) -> None:
    payout_id = requested(academy, admin, earner)
    fault: dict[str, Any] = {"status": status} if status else {"seconds": 12}
    # As many as the attempts of one job: the next job finds the transfer.
    times = 3 if status in {500, 503} else 1
    shop.double.post(
        "faults", path="/v1/transfers", method="POST", contains=payout_id, when="after", times=times, **fault
    )
    process(academy, admin, payout_id)
    wait_until(lambda: payout(academy, earner, payout_id)["status"] == "paid", seconds=40)
    assert len(transfers(shop, payout_id)) == 1


def test_a_transfer_that_exists_is_not_made_again(academy: Academy, shop: Shop, admin: Person, earner: Person) -> None:
    """Stripe had made the transfer, and nothing recorded it: the next attempt finds it."""
    payout_id = requested(academy, admin, earner)
    shop.double.client.v1.transfers.create(
        {
            "amount": 1700,
            "currency": "eur",
            "destination": account_of(academy, earner),
            "transfer_group": f"payout:{payout_id}",
        }
    )
    process(academy, admin, payout_id)
    wait_until(lambda: payout(academy, earner, payout_id)["status"] == "paid")
    assert len(transfers(shop, payout_id)) == 1
