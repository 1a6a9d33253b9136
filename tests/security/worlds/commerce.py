"""Commerce: products and offers of two sellers, orders, a refund, a dispute, a payout, a licence and a membership."""

from typing import Any

from psycopg.types.json import Jsonb

from tests.security.worlds import Builder

SELLERS = ("creator", "rival")


def build(builder: Builder) -> None:
    """Add what is sold and what was bought."""
    builder.act("student", "select public.place_order(course_id => %s)", builder.ids["paid"])
    for seller in SELLERS:
        _add_products(builder, seller)
    for seller in SELLERS:
        _add_offers(builder, seller)
    builder.act(
        "creator",
        "insert into public.offer_courses (offer_id, course_id)"
        " select o.id, %s from public.offers as o where o.seller_id = %s and o.kind = 'bundle'",
        builder.ids["paid"],
        builder.ids["creator"],
    )
    for seller in SELLERS:
        builder.act(
            seller,
            "select public.publish_offer(o.id) from public.offers as o where o.seller_id = %s and o.kind = 'service'",
            builder.ids[seller],
        )
    for buyer in ("student", "stranger"):
        order_id = _buy_service(builder, buyer)
        if buyer == "stranger":
            _refund_and_dispute(builder, order_id)
            # Nobody needs this payment: it is surplus.
            _pay(builder, order_id, buyer, "again")
    _pay_out(builder)
    _add_membership(builder)
    # This one fails, because its amount is not a number.
    receive_stripe_event(
        builder, "refund.created", {"object": "refund", "id": "re_x", "payment_intent": "pi_x", "amount": "one"}
    )
    charge = {
        "id": "txn_x",
        "type": "charge",
        "source": "ch_x",
        "amount": 1,
        "fee": 1,
        "currency": "eur",
        "created": 1,
    }
    builder.run("select private.upsert_balance_transactions(%s)", Jsonb([charge]))
    # The beat licence costs nothing, so it needs no payment.
    builder.act(
        "retired",
        "select public.place_order(offer_id => o.id) from public.offers as o"
        " where o.seller_id = %s and o.kind = 'beat_licence'",
        builder.ids["creator"],
    )
    amount = builder.run("select price_amount from public.offers where course_id = %s", builder.ids["paid"])
    price = {
        "id": "price_secret", "product": {"id": "prod_secret", "active": True}, "active": True, "type": "one_time",
        "billing_scheme": "per_unit", "unit_amount": amount, "currency": "eur",
    }  # fmt: skip
    builder.run("select private.record_stripe_price(%s)", Jsonb(price))
    builder.act("admin", "select public.bind_course_price(%s, 'price_secret', 'prod_secret')", builder.ids["paid"])


def receive_stripe_event(builder: Builder, kind: str, object_: dict[str, Any]) -> None:
    """Deliver an event of Stripe about one object."""
    payload = {"created": 1700000000, "data": {"object": object_}}
    builder.run("select private.receive_webhook('stripe', %s, %s, %s)", f"evt_{object_['id']}", kind, Jsonb(payload))


def _add_products(builder: Builder, seller: str) -> None:
    """A published beat with its files and a licence for it, and a draft of a digital product."""
    beat = builder.act(seller, "insert into public.products (kind, title) values ('beat', 'A beat') returning id")
    builder.act(seller, "insert into public.products (kind, title) values ('digital_product', 'A draft')")
    for file_type in ("mp3", "stems"):
        builder.act(
            seller,
            "insert into public.product_files (product_id, file_type, path) values (%s, %s, %s)",
            beat,
            file_type,
            f"{beat}/secret.{file_type}",
        )
        # As if it were uploaded: an offer without its files is not sold.
        builder.run(
            "insert into storage.objects (bucket_id, name) values ('products', %s)", f"{beat}/secret.{file_type}"
        )
    builder.act(seller, "select public.publish_product(%s)", beat)
    offer = builder.act(
        seller,
        "insert into public.offers (kind, title, product_id) values ('beat_licence', 'A licence', %s) returning id",
        beat,
    )
    builder.act(
        seller,
        "insert into public.licence_terms (offer_id, tier, file_types, is_credit_required)"
        " values (%s, 'basic', '{mp3}', true)",
        offer,
    )
    builder.act(seller, "select public.publish_offer(%s)", offer)


def _add_offers(builder: Builder, seller: str) -> None:
    builder.act(
        seller,
        "insert into public.offers (kind, title, description, price_amount)"
        " values ('service', 'A critique', 'An hour of it', 900), ('bundle', 'Everything', null, 5000)",
    )
    builder.act(seller, "insert into public.coupons (code, percent_off) values (%s, 10)", seller.upper())
    builder.run("select private.bind_payout_account(%s, %s)", builder.ids[seller], f"acct_{seller}")


def _buy_service(builder: Builder, buyer: str) -> Any:
    """Order and pay the creator's service; returns the order's id."""
    order_id = builder.act(
        buyer,
        "select (public.place_order(offer_id => o.id)).id from public.offers as o"
        " where o.seller_id = %s and o.kind = 'service'",
        builder.ids["creator"],
    )
    _pay(builder, order_id, buyer, buyer)
    return order_id


def _pay(builder: Builder, order_id: Any, buyer: str, payment: str) -> None:
    session = {
        "object": "checkout.session",
        "id": f"cs_{payment}",
        "mode": "payment",
        "status": "complete",
        "payment_status": "paid",
        "payment_intent": f"pi_{payment}",
        "amount_total": 900,
        "currency": "eur",
        "customer": f"cus_{buyer}",
        "metadata": {"order_id": str(order_id)},
    }
    receive_stripe_event(builder, "checkout.session.completed", session)


def _refund_and_dispute(builder: Builder, order_id: Any) -> None:
    """The stranger gets part of the price back and disputes the rest."""
    builder.act("admin", "select public.refund_order(%s, 300)", order_id)
    dispute = {
        "object": "dispute",
        "id": "du_stranger",
        "payment_intent": "pi_stranger",
        "amount": 500,
        "reason": "fraudulent",
        "status": "needs_response",
    }
    receive_stripe_event(builder, "charge.dispute.created", dispute)


def _pay_out(builder: Builder) -> None:
    builder.run("update public.payment_splits set available_at = now()")
    builder.run("update public.payout_accounts set can_receive = true where user_id = %s", builder.ids["creator"])
    builder.run("update private.app_config set value = '{\"default\": 100}' where key = 'payout_minimum'")
    builder.act("creator", "select public.request_payout('EUR', 200)")


def _add_membership(builder: Builder) -> None:
    """The student is a member of the academy."""
    offer_id = builder.act(
        "admin",
        "insert into public.offers (seller_id, kind, title, price_amount, billing_interval)"
        " values (null, 'membership', 'Member', 1000, 'month') returning id",
    )
    builder.act("admin", "select public.publish_offer(%s)", offer_id)
    order_id = builder.act("student", "select (public.place_order(offer_id => %s)).id", offer_id)
    invoice = {
        "object": "invoice",
        "id": "in_student",
        "status": "paid",
        "amount_paid": 1000,
        "currency": "eur",
        "billing_reason": "subscription_create",
        "parent": {"subscription_details": {"subscription": "sub_student", "metadata": {"order_id": str(order_id)}}},
        "lines": {"data": [{"period": {"start": 1700000000, "end": 4000000000}}]},
    }
    receive_stripe_event(builder, "invoice.paid", invoice)
