"""What people, and their banks, do with a checkout session."""

from stack.doubles.stripe import billing, customers, payments, subscriptions
from stack.doubles.stripe.book import Book
from stack.doubles.stripe.checkout import EXPIRE, KIND
from stack.doubles.stripe.errors import Object, StripeError
from stack.doubles.stripe.payments import Outcome

GUEST = "guest@example.com"
"""Who pays where nobody said who it is: the page does not ask."""


def pay(book: Book, name: str, outcome: Outcome) -> Object:
    """What a person does on the page: pay, have the card declined, or pay by something slow.

    A declined session stays open. One that costs nothing now is completed whatever the card would have said.

    Raises:
        StripeError: the session is not open, or there is none.
    """
    session = book.get(KIND, name)
    if session["status"] != "open":
        raise StripeError(f"This Checkout Session is {session['status']}.", code="checkout_session_not_open")
    book.follow_customer(session["customer"])
    if outcome != "declined" or session["amount_total"] == 0:
        _identify(book, session)
    if session["mode"] == "subscription":
        charge = subscriptions.begin(book, session, outcome)
    elif session["amount_total"] == 0:
        charge = None
    else:
        intent = _intent(book, session)
        book.update(session, payment_intent=intent["id"])
        charge = payments.attempt(book, intent, outcome)
    if charge is not None and charge["status"] == "failed":
        return session
    status = "no_payment_required" if charge is None else "paid" if charge["status"] == "succeeded" else "unpaid"
    book.update(session, status="complete", payment_status=status, url=None)
    book.unschedule(EXPIRE, name)
    book.emit("checkout.session.completed", session)
    return session


def settle(book: Book, name: str, *, succeeded: bool) -> Object:
    """The bank's word on a session that was paid by something slow.

    Raises:
        StripeError: nothing is awaited for it.
    """
    session = book.get(KIND, name)
    intent_name = session["payment_intent"] or session["_awaited"]
    intent = book.find(intent_name) if intent_name else None
    if intent is None or intent["status"] != "processing":
        raise StripeError(f"No payment is awaited for the Checkout Session {name}.")
    book.follow_customer(session["customer"])
    charge = book.get("charge", intent["latest_charge"])
    if succeeded:
        payments.settle(book, intent, charge)
    else:
        payments.fail(book, intent, charge)
    if session["invoice"]:
        billing.settled(book, session["invoice"], intent, succeeded=succeeded)
    if succeeded:
        book.update(session, payment_status="paid")
        book.emit("checkout.session.async_payment_succeeded", session)
    else:
        book.emit("checkout.session.async_payment_failed", session)
    return session


def _identify(book: Book, session: Object) -> None:
    """Say who pays: the customer, one made for the purpose, or a guest."""
    customer = book.find(session["customer"]) if session["customer"] else None
    email = (customer and customer["email"]) or session["customer_email"] or GUEST
    if customer is None and session["customer_creation"] == "always":
        customer = customers.blank(book) | {"email": email}
        customers.add(book, customer)
    details: Object = {
        "address": {"city": None, "country": "US", "line1": None, "line2": None, "postal_code": None, "state": None},
        "business_name": None,
        "email": email,
        "individual_name": None,
        "name": customer and customer["name"],
        "phone": None,
        "tax_exempt": "none",
        "tax_ids": [],
    }
    book.update(session, customer=customer and customer["id"], customer_details=details)


def _intent(book: Book, session: Object) -> Object:
    """The payment intent of a session: the one that was declined before, or a new one."""
    if session["payment_intent"] is not None:
        intent = book.get("payment_intent", session["payment_intent"])
        book.update(intent, customer=session["customer"])
        return intent
    return payments.add_intent(
        book,
        amount=session["amount_total"],
        currency=session["currency"],
        customer=session["customer"],
        email=session["customer_email"] or (session["customer_details"] or {}).get("email"),
        **session["_intent_data"],
    )
