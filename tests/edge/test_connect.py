"""The terms of people's accounts at Stripe by country, and what becomes of accounts, transfers and charges later."""

import asyncio
import uuid
from collections.abc import Iterator
from typing import Any

import pytest

from common.errors import PermanentError
from edge.payments import client
from edge.payments.connect import account_terms
from edge.payments.settings import PaymentSettings
from edge.payments.types import PayoutAccountPayload
from tests.commerce.stripe_events import imbalance, offer
from tests.edge.shop import Shop
from tests.people import Academy, Person, refused, rows
from tests.stripe_double import OwnDouble
from tests.waiting import wait_until

ACCOUNT = "/functions/v1/payout-account"

CARDS = {"card_payments": {"requested": True}, "transfers": {"requested": True}}
TRANSFERS = {"transfers": {"requested": True}}
RECIPIENT = {"service_agreement": "recipient"}


@pytest.mark.parametrize(
    ("platform", "country", "terms"),
    [
        # In the platform's own country.
        ("US", "US", {"country": "US", "capabilities": CARDS}),
        ("US", None, {"country": "US", "capabilities": CARDS}),
        ("AU", "AU", {"country": "AU", "capabilities": CARDS}),
        (None, "SE", {"country": "SE", "capabilities": CARDS}),
        (None, None, {"country": None, "capabilities": CARDS}),
        # Between the US, the UK, the EEA, Canada and Switzerland.
        ("DE", "FR", {"country": "FR", "capabilities": CARDS}),
        ("GB", "US", {"country": "US", "capabilities": CARDS}),
        ("US", "NO", {"country": "NO", "capabilities": CARDS}),
        ("CA", "CH", {"country": "CH", "capabilities": CARDS}),
        # Elsewhere.
        ("US", "IN", {"country": "IN", "capabilities": TRANSFERS, "tos_acceptance": RECIPIENT}),
        ("US", "AU", {"country": "AU", "capabilities": TRANSFERS, "tos_acceptance": RECIPIENT}),
        ("AU", "NZ", {"country": "NZ", "capabilities": TRANSFERS, "tos_acceptance": RECIPIENT}),
        ("AU", "GB", {"country": "GB", "capabilities": TRANSFERS, "tos_acceptance": RECIPIENT}),
    ],
)
def test_the_terms_depend_on_both_countries(platform: str | None, country: str | None, terms: Any) -> None:
    assert account_terms(PaymentSettings(stripe_country=platform), country) == terms


def test_a_platform_that_stripe_approved_asks_for_transfers_only() -> None:
    settings = PaymentSettings(stripe_country="US", stripe_transfers_only=True)
    assert account_terms(settings, None) == {"country": "US", "capabilities": TRANSFERS}
    assert account_terms(settings, "SE") == {"country": "SE", "capabilities": TRANSFERS}
    assert account_terms(settings, "IN")["tos_acceptance"] == RECIPIENT


@pytest.fixture(scope="module", params=["US", "DE", "AU"])
def strict_double(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[OwnDouble]:
    """A double of a platform in a country that Stripe has not approved for accounts with transfers alone."""
    folder = tmp_path_factory.mktemp("connect") / "stripe"
    double = OwnDouble(folder, "", COUNTRY=request.param, IS_TRANSFERS_ONLY_APPROVED="false")
    double.country = request.param  # type: ignore[attr-defined]
    yield double
    double.stop()


def create(double: OwnDouble, terms: dict[str, Any]) -> dict[str, Any]:
    """Create an account on these terms."""
    person = PayoutAccountPayload(user_id=str(uuid.uuid4()), email=None, country=None, is_submitted=False, account=None)

    async def ask() -> dict[str, Any]:
        provider = client.Stripe(double.key, double.url)
        try:
            return (await provider.create_account(person, terms, 0)).body
        finally:
            await provider.aclose()

    return asyncio.run(ask())


@pytest.mark.parametrize("country", ["US", "DE", "FR", "GB", "CA", "AU", "NZ", "IN", "NG", None])
def test_stripe_accepts_the_terms_of_every_country(strict_double: OwnDouble, country: str | None) -> None:
    platform: str = strict_double.country  # type: ignore[attr-defined]
    account = create(strict_double, account_terms(PaymentSettings(stripe_country=platform), country))
    assert account["country"] == (country or platform)
    assert "transfers" in account["capabilities"]


def test_stripe_refuses_transfers_alone_without_its_approval(strict_double: OwnDouble) -> None:
    settings = PaymentSettings(stripe_country=strict_double.country, stripe_transfers_only=True)  # type: ignore[attr-defined]
    with pytest.raises(PermanentError, match="needs approval"):
        create(strict_double, account_terms(settings, None))


# Later


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


def account_of(academy: Academy, person: Person) -> str | None:
    """The account of a person at Stripe."""
    ((name,),) = academy.sql("select private.stripe_id_of('account', %s)", person.id)
    assert name is None or isinstance(name, str)
    return name


def paid_out(academy: Academy, shop: Shop, admin: Person, earner: Person) -> tuple[str, str]:
    """A payout of all earnings that was transferred: its id, and the transfer."""
    payout = academy.rpc(earner, "request_payout", currency="EUR").json()
    for act in ("approve_payouts", "process_payouts"):
        assert academy.rpc(admin, act, payout_ids=[payout["id"]]).status_code == 200
    wait_until(lambda: payouts(academy, earner)[0]["status"] == "paid")
    (transfer,) = shop.double.client.v1.transfers.list({"transfer_group": f"payout:{payout['id']}"}).data
    return payout["id"], transfer.id


def payouts(academy: Academy, earner: Person) -> list[dict[str, Any]]:
    """A person's payouts, the newest first."""
    return rows(academy.call(earner, "GET", f"/rest/v1/payouts?user_id=eq.{earner.id}&order=created_at.desc"))


def sync_transactions(academy: Academy) -> None:
    """Have the worker fetch Stripe's balance transactions."""
    academy.sql(
        "select private.defer_job('sync_balance_transactions', '{\"timestamp\": 0}', 'sync_balance_transactions')"
    )


def test_a_transfer_that_stripe_takes_back_returns_to_the_balance(
    academy: Academy, shop: Shop, admin: Person, earner: Person
) -> None:
    payout_id, transfer = paid_out(academy, shop, admin, earner)
    shop.double.post(f"transfers/{transfer}/reverse", amount=700)
    shop.delivered(transfer)
    assert (payouts(academy, earner)[0]["status"], payouts(academy, earner)[0]["returned_amount"]) == ("paid", 700)
    shop.double.post(f"transfers/{transfer}/reverse")
    shop.delivered(transfer)
    assert (payouts(academy, earner)[0]["status"], payouts(academy, earner)[0]["returned_amount"]) == ("returned", 1700)
    sync_transactions(academy)
    known = "select sum(amount)::bigint from private.balance_transactions where payout_id = %s"
    wait_until(lambda: academy.sql(known, payout_id) == [(0,)])
    assert academy.call(admin, "GET", f"/rest/v1/reconciliation?payout_id=eq.{payout_id}").json() == []
    # It can be requested again, and is another payout.
    assert paid_out(academy, shop, admin, earner)[0] != payout_id
    assert imbalance(academy) == []


def test_an_account_that_its_holder_disconnects_is_replaced(academy: Academy, shop: Shop, earner: Person) -> None:
    account = account_of(academy, earner)
    shop.double.post(f"accounts/{account}/deauthorize")
    shop.delivered(str(account))
    assert account_of(academy, earner) is None
    refused(academy.call(earner, "GET", ACCOUNT), 404, "payout_account_not_found")
    refused(academy.rpc(earner, "request_payout", currency="EUR"), 409, "payout_account_missing")
    assert academy.call(earner, "POST", ACCOUNT, {}).json()["can_receive"] is False
    assert account_of(academy, earner) not in {None, account}


def test_a_person_reads_why_the_bank_refused_the_money(academy: Academy, shop: Shop, earner: Person) -> None:
    account = account_of(academy, earner)
    shop.double.post(f"accounts/{account}/payout", amount=1700, currency="eur", outcome="failed")
    shop.delivered(str(account))
    answer = academy.call(earner, "GET", ACCOUNT).json()
    assert (answer["bank_failure"], answer["missing"]) == ("The bank account has been closed.", ["external_account"])
    # Transfers to the account are still possible.
    assert answer["can_receive"] is True


def test_an_account_without_the_capability_cannot_receive(academy: Academy, shop: Shop, earner: Person) -> None:
    account = account_of(academy, earner)
    shop.double.post(f"accounts/{account}/capability", capability="transfers", status="inactive")
    shop.delivered(str(account))
    assert rows(academy.call(earner, "GET", "/rest/v1/payout_accounts"))[0]["can_receive"] is False
    refused(academy.rpc(earner, "request_payout", currency="EUR"), 409, "payout_account_missing")


def test_a_charge_that_settles_in_dollars_agrees_with_the_ledger(academy: Academy, shop: Shop, admin: Person) -> None:
    seller, buyer = academy.member("teacher"), academy.member()
    begun = shop.begin(buyer, offer_id=offer(academy, seller, "service", price_amount=2000)["id"])
    rule = {"charged": "eur", "currency": "usd", "exchange_rate": 1.1}
    shop.double.post("settlement", contains=begun["order_id"], **rule)
    shop.double.pay(begun["session_id"])
    assert shop.verify(buyer, begun["session_id"])["status"] == "paid"
    refund = academy.rpc(admin, "refund_order", order_id=begun["order_id"], amount=500).json()
    done = "select status::text from public.refunds where id = %s"
    wait_until(lambda: academy.sql(done, refund["id"]) == [("succeeded",)])
    sync_transactions(academy)
    theirs = "select currency, sum(amount)::bigint from private.balance_transactions where order_id = %s group by 1"
    wait_until(lambda: academy.sql(theirs, begun["order_id"]) == [("USD", 1650)])
    assert academy.call(admin, "GET", f"/rest/v1/reconciliation?order_id=eq.{begun['order_id']}").json() == []
    fees = "select distinct currency from public.ledger_entries where order_id = %s and kind = 'fee'"
    assert academy.sql(fees, begun["order_id"]) == [("USD",)]
    assert imbalance(academy) == []


def test_a_customer_that_is_deleted_at_stripe_is_made_anew(academy: Academy, shop: Shop, teacher: Person) -> None:
    buyer = academy.member()
    shop.buy(buyer, offer_id=offer(academy, teacher, "playlist_submission")["id"])
    ((customer,),) = academy.sql("select private.stripe_id_of('customer', %s)", buyer.id)
    shop.double.post(f"customers/{customer}/delete")
    shop.delivered(customer)
    assert academy.sql("select private.stripe_id_of('customer', %s)", buyer.id) == [(None,)]
    shop.buy(buyer, offer_id=offer(academy, teacher, "playlist_submission")["id"])
    assert academy.sql("select private.stripe_id_of('customer', %s)", buyer.id) != [(customer,)]


@pytest.mark.parametrize("word", ["archive", "remove"])
@pytest.mark.parametrize("kind", ["product", "price"])
def test_what_somebody_archives_or_deletes_at_stripe_is_made_again(
    academy: Academy, shop: Shop, teacher: Person, *, kind: str, word: str
) -> None:
    offer_id = offer(academy, teacher, "playlist_submission")["id"]

    def stored() -> str | None:
        ((name,),) = academy.sql("select private.stripe_id_of(%s, %s)", kind, offer_id)
        assert name is None or isinstance(name, str)
        return name

    def is_active() -> bool:
        objects = shop.double.v1.products if kind == "product" else shop.double.v1.prices
        name = stored()
        return name is not None and bool(objects.retrieve(name).active)

    wait_until(lambda: academy.sql("select private.stripe_id_of('price', %s)", offer_id)[0][0])
    before = stored()
    shop.double.post(f"{kind}s/{before}/{word}")
    if (kind, word) == ("product", "archive"):
        wait_until(is_active)
    else:
        wait_until(lambda: stored() not in {None, before} and is_active())
    shop.buy(academy.member(), offer_id=offer_id)
