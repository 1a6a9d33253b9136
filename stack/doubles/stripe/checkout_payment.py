"""What buyers and their banks do with a checkout session."""

from stack.doubles.stripe import billing, payment_intents, subscriptions
from stack.doubles.stripe.checkout import EXPIRE, KIND
from stack.doubles.stripe.errors import Object, StripeError
from stack.doubles.stripe.payment_intents import Outcome
from stack.doubles.stripe.unit_of_work import UnitOfWork

GUEST = "guest@example.com"
"""The buyer's address where the session names no customer: the page does not ask for one."""


def pay(work: UnitOfWork, session_id: str, outcome: Outcome) -> Object:
    """Pay a session as its buyer does on the page. One that is declined, or waits for 3-D Secure, stays open.

    Raises:
        StripeError: the session is not open, or there is none.
    """
    session = work.get(KIND, session_id)
    if session["status"] != "open":
        raise StripeError(f"This Checkout Session is {session['status']}.", code="checkout_session_not_open")
    work.follow_customer(session["customer"])
    is_free = session["amount_total"] == 0
    if outcome in {"declined", "requires_action"} and not is_free:
        intent = _intent(work, session)
        work.update(session, **_intent_field(session, intent))
        payment_intents.attempt(work, intent, outcome)
        return session
    _identify(work, session)
    if session["mode"] == "subscription":
        charge = subscriptions.begin(work, session, outcome)
    elif is_free:
        charge = None
    else:
        intent = _intent(work, session)
        work.update(session, payment_intent=intent["id"])
        charge = payment_intents.attempt(work, intent, outcome)
    status = "no_payment_required" if charge is None else "paid" if charge["status"] == "succeeded" else "unpaid"
    work.update(session, status="complete", payment_status=status, url=None)
    work.unschedule(EXPIRE, session_id)
    work.emit("checkout.session.completed", session)
    return session


def settle(work: UnitOfWork, session_id: str, *, succeeded: bool) -> Object:
    """Let the bank decide an async payment of a session.

    Raises:
        StripeError: no payment of it is pending.
    """
    session = work.get(KIND, session_id)
    intent_id = session["payment_intent"] or session["_pending_intent"]
    intent = work.find(intent_id) if intent_id else None
    if intent is None or intent["status"] != "processing":
        raise StripeError(f"No payment of the Checkout Session {session_id} is pending.")
    work.follow_customer(session["customer"])
    payment_intents.decide(work, intent, succeeded=succeeded)
    if session["invoice"]:
        billing.record_result(work, work.get("invoice", session["invoice"]), intent, succeeded=succeeded)
    if succeeded:
        work.update(session, payment_status="paid")
        work.emit("checkout.session.async_payment_succeeded", session)
    else:
        work.emit("checkout.session.async_payment_failed", session)
    return session


def _identify(work: UnitOfWork, session: Object) -> None:
    """Record who pays: the customer, or a guest."""
    customer = work.find(session["customer"]) if session["customer"] else None
    details: Object = {
        "address": {"city": None, "country": "US", "line1": None, "line2": None, "postal_code": None, "state": None},
        "business_name": None,
        "email": (customer and customer["email"]) or GUEST,
        "individual_name": None,
        "name": customer and customer["name"],
        "phone": None,
        "tax_exempt": "none",
        "tax_ids": [],
    }
    work.update(session, customer_details=details)


def _intent(work: UnitOfWork, session: Object) -> Object:
    """The payment intent of a session: the one that was declined before, or a new one."""
    intent_id = session["payment_intent"] or session["_pending_intent"]
    if intent_id is not None:
        return work.get("payment_intent", intent_id)
    return payment_intents.add(
        work,
        amount=session["amount_total"],
        currency=session["currency"],
        customer=session["customer"],
        **session["_intent_data"],
    )


def _intent_field(session: Object, intent: Object) -> Object:
    """The field that names the intent. Stripe shows it for one-time payments only."""
    return {"payment_intent" if session["mode"] == "payment" else "_pending_intent": intent["id"]}
