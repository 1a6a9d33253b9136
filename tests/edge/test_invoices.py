"""Invoices and contracts as PDF: who may print them, and what they contain; and the events of billing."""

import asyncio
import io
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any
from urllib.parse import unquote
from uuid import uuid4

import httpx
import msgspec
import pypdf
import pytest

from edge.documents.client import Document, Printer
from edge.documents.formatting import money
from edge.documents.order_documents import compose_contract, compose_invoice
from edge.documents.types import Licence, Order, Refund
from edge.errors import EdgeError
from tests.commerce.goods import Beat, beat, mark_paid
from tests.commerce.stripe_events import deliver, dispute, event, invoice, offer, pay, placed, subscription
from tests.edge.pdfs import fonts_of, links_of, pdf_of, unset, words_of
from tests.edge.support import CODE, PUBLIC_URL
from tests.people import Academy, Person, rows
from tests.people import refused as is_refused

SPACE = "\N{NO-BREAK SPACE}"
PAID_AT = datetime(2026, 11, 14, 23, 30, tzinfo=UTC)
LICENCE = Licence(
    product_title="Midnight in Osu",
    tier="premium",
    file_types=["wav", "mp3", "stems"],
    copies=5000,
    streams=None,
    videos=1,
    performances=0,
    is_credit_required=True,
    term_years=10,
)
ORDER = Order(
    id=uuid4(),
    number=1042,
    kind_label="Beat licence",
    title="Midnight in Osu: premium",
    is_order_in_force=True,
    buyer_name="Ada Lovelace",
    seller_name="Kofi Mensah",
    quantity=1,
    unit_amount=4900,
    discount_amount=490,
    coupon="OSU10",
    amount=4410,
    trial_days=0,
    paid_amount=4410,
    tax_amount=0,
    currency="EUR",
    decimals=2,
    paid_at=PAID_AT,
    period_starts_at=None,
    period_ends_at=None,
    ended_at=None,
    licence=LICENCE,
    licence_code=CODE,
    refunds=[],
)


@pytest.fixture(scope="module")
def printer() -> Iterator[Printer]:
    printer = Printer(PUBLIC_URL)
    yield printer
    printer.close()


@pytest.fixture(scope="module")
def admin(academy: Academy) -> Person:
    """An admin, whom no test changes."""
    return academy.member("admin")


@pytest.fixture(scope="module")
def sold(academy: Academy, teacher: Person) -> Beat:
    """A beat on sale, whose exclusive licence no test buys."""
    return beat(academy, teacher)


def printed(printer: Printer, document: Document) -> pypdf.PdfReader:
    return pypdf.PdfReader(io.BytesIO(asyncio.run(printer.render(document))))


def order_with(**changes: Any) -> Order:
    return msgspec.structs.replace(ORDER, **changes)


@pytest.mark.parametrize(
    ("amount", "decimals", "currency", "shown"),
    [
        (123456, 2, "EUR", f"1,234.56{SPACE}EUR"),
        (5, 2, "USD", f"0.05{SPACE}USD"),
        (1234567, 0, "JPY", f"1,234,567{SPACE}JPY"),
        (15500, 3, "KWD", f"15.500{SPACE}KWD"),
        (-490, 2, "EUR", f"\N{MINUS SIGN}4.90{SPACE}EUR"),
        (0, 3, "KWD", f"0.000{SPACE}KWD"),
    ],
)
def test_amounts_have_the_decimals_of_their_currency(amount: int, decimals: int, currency: str, shown: str) -> None:
    assert money(amount, decimals, currency) == shown


def test_an_invoice_prints_parties_title_and_amounts(printer: Printer) -> None:
    document = printed(printer, compose_invoice(printer, ORDER))
    words = words_of(document)
    for expected in (
        "1042", "14 November 2026", "Kofi Mensah", "Ada Lovelace", "Midnight in Osu: premium", "Beat licence, premium",
        "49.00 EUR", "coupon OSU10", "\N{MINUS SIGN}4.90 EUR", "44.10 EUR",
    ):  # fmt: skip
        assert expected in words.replace(SPACE, " ")
    assert "Refunded" not in words
    [page] = document.pages
    assert [round(float(side)) for side in page.mediabox[2:]] == [595, 842]
    assert document.metadata is not None
    assert document.metadata.title == "Invoice 1042 \N{EN DASH} Midnight in Osu: premium"
    assert document.metadata.creation_date == PAID_AT


def test_an_invoice_prints_refunds(printer: Printer) -> None:
    parts = [Refund(amount=amount, completed_at=datetime(2026, 12, day, tzinfo=UTC)) for amount, day in ((410, 1),)]
    words = words_of(printed(printer, compose_invoice(printer, order_with(refunds=parts)))).replace(SPACE, " ")
    assert "Refunded on 1 December 2026 \N{MINUS SIGN}4.10 EUR" in words
    assert "Kept 40.00 EUR" in words
    parts.append(Refund(amount=4000, completed_at=datetime(2026, 12, 2, tzinfo=UTC)))
    words = words_of(printed(printer, compose_invoice(printer, order_with(refunds=parts)))).replace(SPACE, " ")
    assert "Kept 0.00 EUR" in words


def test_an_invoice_of_a_period_a_trial_and_the_platform(printer: Printer) -> None:
    ends_at = datetime(2026, 12, 14, tzinfo=UTC)
    plan = order_with(
        kind_label="Pro plan", licence=None, licence_code=None, seller_name=None, currency="JPY", decimals=0,
        paid_amount=0, trial_days=14, unit_amount=1200, discount_amount=0, coupon=None, amount=1200,
        period_starts_at=PAID_AT, period_ends_at=ends_at,
    )  # fmt: skip
    words = words_of(printed(printer, compose_invoice(printer, plan))).replace(SPACE, " ")
    for expected in ("guild.example.test", "14 November 2026 to 14 December 2026", "Pro plan", "1,200 JPY", "0 JPY"):
        assert expected in words
    assert "Trial \N{MINUS SIGN}1,200 JPY" in words


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"paid_amount": 5336, "tax_amount": 926}, "Tax 9.26 EUR Total paid 53.36 EUR"),
        (
            {"paid_amount": 5036, "tax_amount": 926},
            "Tax 9.26 EUR Balance \N{MINUS SIGN}3.00 EUR Total paid 50.36 EUR",
        ),
        ({"tax_amount": 765}, "Total paid 44.10 EUR Tax included 7.65 EUR"),
        ({"paid_amount": 4000}, "Balance \N{MINUS SIGN}4.10 EUR Total paid 40.00 EUR"),
        ({}, "No tax was charged."),
    ],
)
def test_an_invoice_prints_tax_and_balance(printer: Printer, changes: dict[str, int], expected: str) -> None:
    words = words_of(printed(printer, compose_invoice(printer, order_with(**changes)))).replace(SPACE, " ")
    assert expected in words


def test_a_contract_prints_the_terms_of_the_licence(printer: Printer) -> None:
    document = printed(printer, compose_contract(printer, ORDER))
    words = words_of(document).replace(SPACE, " ")
    for expected in (
        "Kofi Mensah", "Ada Lovelace", "Midnight in Osu", "14 November 2026", "up to 5,000", "Streams unlimited",
        "Music videos up to 1", "Paid performances none", "MP3, WAV and stems", "Credit to the licensor required",
        "Term 10 years", "44.10 EUR", "non-exclusive right", "Produced by Kofi Mensah.", CODE, "Order 1042",
    ):  # fmt: skip
        assert expected in words, expected
    assert "ended" not in words
    [page] = document.pages
    assert links_of(page) == {f"{PUBLIC_URL}/licences/{CODE}"}


def test_a_contract_of_an_exclusive_licence_that_ended(printer: Printer) -> None:
    exclusive = msgspec.structs.replace(LICENCE, tier="exclusive", term_years=None, is_credit_required=False)
    ended = order_with(licence=exclusive, is_order_in_force=False, ended_at=datetime(2026, 12, 1, tzinfo=UTC))
    words = words_of(printed(printer, compose_contract(printer, ended)))
    for expected in ("exclusive right", "licenses the beat to nobody else", "for ever", "not required"):
        assert expected in words
    assert "This licence ended on 1 December 2026" in words


def test_an_order_without_a_licence_has_no_contract(printer: Printer) -> None:
    with pytest.raises(EdgeError) as refusal:
        compose_contract(printer, order_with(licence=None, licence_code=None))
    assert (refusal.value.status, refusal.value.body.message) == (409, "order_without_licence")


NAMES = {
    "Arabic": ("محمد بن موسى الخوارزمي", "NotoSansArabic"),
    "Hebrew": ("אליעזר בן־יהודה", "LibertinusSerif"),
    "Devanagari": ("क्षत्रिय श्रीमती लक्ष्मी त्रिपाठी", "NotoSansDevanagari"),
    "Thai": ("สมชาย ใจดีพงศ์พิพัฒน์", "NotoSansThai"),
    "Japanese": ("山田 太郎 ひらがな カタカナ", "NotoSansCJKjp"),
    "long": ("W" * 160, "LibertinusSerif"),
    "many words": ("Maria Magdalena " * 10, "LibertinusSerif"),
    "source": ('#read("house.typ") $x$ *b* ] } <label> @ref', "LibertinusSerif"),
}


@pytest.mark.parametrize("script", NAMES)
def test_a_name_is_printed_in_its_script(script: str, printer: Printer) -> None:
    name, font = NAMES[script]
    licence = msgspec.structs.replace(LICENCE, product_title=name, file_types=["mp3", "wav", "stems", "trackouts"])
    order = order_with(seller_name=name, buyer_name=name, title=name, licence=licence)
    for document in (compose_invoice(printer, order), compose_contract(printer, order)):
        paper = printed(printer, document)
        [_page] = paper.pages
        assert unset(paper) == 0
        assert any(known.startswith(font) for known in fonts_of(paper)), fonts_of(paper)
        if script == "source":
            assert words_of(paper).replace(" ", "").count(name.replace(" ", "")) >= 2


def paper_of(academy: Academy, who: Person | None, order: dict[str, Any], name: str, **headers: str) -> httpx.Response:
    return academy.call(who, "GET", f"/functions/v1/orders/{order['id']}/{name}.pdf", **headers)


@pytest.mark.route("CM-008", call="GET /functions/v1/orders/{order_id}/contract.pdf")
def test_buyer_and_seller_get_the_contract(academy: Academy, sold: Beat, stranger: Person, admin: Person) -> None:
    buyer, other = academy.member(name="佐藤 由紀"), academy.member()
    waiting = placed(academy, buyer, offer_id=sold.offers["premium"])
    for name in ("contract", "invoice"):
        is_refused(paper_of(academy, buyer, waiting, name), 409, "order_unpaid")
        is_refused(paper_of(academy, sold.creator, waiting, name), 404, "order_not_found")
    order = mark_paid(academy, admin, waiting)
    for name in ("contract", "invoice"):
        for who in (other, stranger, academy.member("moderator")):
            is_refused(paper_of(academy, who, order, name), 404, "order_not_found")
        assert paper_of(academy, None, order, name).status_code == 401
        is_refused(paper_of(academy, buyer, {"id": buyer.id}, name), 404, "order_not_found")
        for who in (buyer, sold.creator, admin):
            words = words_of(pdf_of(paper_of(academy, who, order, name)))
            for expected in ("佐藤 由紀", "Ines", "Midnight in Osu", str(order["number"]), "50.00"):
                assert expected in words
    assert order["licence_code"] in words_of(pdf_of(paper_of(academy, buyer, order, "contract")))

    first = paper_of(academy, buyer, order, "contract")
    assert unquote(first.headers["content-disposition"].rpartition("''")[2]) == (
        f"Midnight in Osu: premium - licence-{order['number']}.pdf"
    )
    assert first.headers["cache-control"] == "private, no-cache"
    kept = paper_of(academy, buyer, order, "contract", if_none_match=first.headers["etag"])
    assert (kept.status_code, kept.content) == (304, b"")

    # The terms stay those of the order; a refund shows.
    terms = f"/rest/v1/licence_terms?offer_id=eq.{sold.offers['premium']}"
    academy.call(sold.creator, "PATCH", terms, {"maximum_copies": 7})
    assert paper_of(academy, buyer, order, "contract").headers["etag"] == first.headers["etag"]
    academy.rpc(admin, "refund_order", order_id=order["id"])
    ended = paper_of(academy, buyer, order, "contract", if_none_match=first.headers["etag"])
    assert "This licence ended on" in words_of(pdf_of(ended))
    assert "Kept 0.00" in words_of(pdf_of(paper_of(academy, buyer, order, "invoice")))


def test_a_suspended_buyer_still_reads_documents(academy: Academy, sold: Beat, admin: Person) -> None:
    buyer = academy.member()
    order = mark_paid(academy, admin, placed(academy, buyer, offer_id=sold.offers["basic"]))
    academy.suspend(buyer)
    assert pdf_of(paper_of(academy, buyer, order, "contract"))


@pytest.mark.parametrize(("currency", "amount", "shown"), [("JPY", 1500, "1,500 JPY"), ("KWD", 1500, "1.500 KWD")])
def test_an_invoice_prints_the_decimals_of_its_currency(
    *, currency: str, amount: int, shown: str, academy: Academy, teacher: Person, admin: Person
) -> None:
    buyer = academy.member()
    made = offer(academy, teacher, "coaching", price_amount=amount, price_currency=currency, maximum_quantity=3)
    coupon = academy.insert(teacher, "coupons", code=f"HALF-{buyer.id[:8]}", percent_off=50, offer_id=made["id"])
    order = mark_paid(academy, admin, placed(academy, buyer, offer_id=made["id"], quantity=2, coupon=coupon["code"]))
    words = words_of(pdf_of(paper_of(academy, buyer, order, "invoice"))).replace(SPACE, " ")
    assert words.count(shown) == 3  # of one, the discount, and the total
    assert f"coupon {coupon['code']}" in words
    is_refused(paper_of(academy, buyer, order, "contract"), 409, "order_without_licence")


def test_billing_events_show_each_party_its_own(
    academy: Academy, teacher: Person, stranger: Person, admin: Person
) -> None:
    buyer = academy.member()
    order = placed(academy, buyer, offer_id=offer(academy, teacher, "service", title="A critique")["id"])
    payment = pay(academy, order)
    assert deliver(academy, event("charge.dispute.created", dispute(payment, 400))) == "applied"
    other = mark_paid(academy, admin, placed(academy, buyer, offer_id=offer(academy, teacher, "service")["id"]))
    academy.rpc(admin, "refund_order", order_id=other["id"], amount=300)

    def log(who: Person) -> list[tuple[str, int | None]]:
        path = f"/rest/v1/billing_events?user_id=eq.{buyer.id}&order=occurred_at.desc"
        return [(row["event"], row["amount"]) for row in reversed(rows(academy.call(who, "GET", path)))]

    seen = [("order_placed", 1000), ("order_paid", 1000), ("order_placed", 1000), ("order_paid", 1000),
            ("order_refunded", 300)]  # fmt: skip
    assert log(buyer) == seen
    assert [entry for entry in log(admin) if entry not in seen] == [("dispute_opened", 400)]
    for who in (teacher, stranger, academy.member("moderator")):
        assert log(who) == []
    assert academy.call(None, "GET", "/rest/v1/billing_events").status_code == 401


def test_billing_events_include_periods(academy: Academy, teacher: Person) -> None:
    buyer = academy.member()
    made = offer(academy, teacher, "membership", billing_interval="month")
    order = placed(academy, buyer, offer_id=made["id"])
    now = 1_800_000_000
    about = subscription(order, now + 100)
    assert deliver(academy, event("customer.subscription.created", about)) == "applied"
    assert deliver(academy, event("invoice.paid", invoice(about, 1000, now, now + 100))) == "applied"
    renewal = invoice(about, 1000, now + 100, now + 200, reason="subscription_cycle")
    assert deliver(academy, event("invoice.paid", renewal)) == "applied"
    path = f"/rest/v1/billing_events?user_id=eq.{buyer.id}&order=occurred_at"
    events = [row["event"] for row in rows(academy.call(buyer, "GET", path))]
    assert sorted(events) == ["order_paid", "order_placed", "period_paid", "subscription_started"]
    [(renewed,)] = academy.sql(
        "select id::text from public.orders where buyer_id = %s and id <> %s", buyer.id, order["id"]
    )
    words = words_of(pdf_of(paper_of(academy, buyer, {"id": renewed}, "invoice")))
    assert " to " in words
    assert "10.00" in words
