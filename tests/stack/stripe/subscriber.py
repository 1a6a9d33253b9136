"""A subscriber in tests of the double."""

from datetime import datetime
from typing import Any

from tests.stack.stripe.support import day, open_session
from tests.stripe_double import OwnDouble, Receiver


class Subscriber:
    """A customer on a test clock of their own, with an open session for a monthly subscription."""

    def __init__(
        self,
        double: OwnDouble,
        start: datetime,
        *,
        session: dict[str, Any] | None = None,
        amount: int = 1000,
        **subscription_data: Any,
    ) -> None:
        self.double, self.v1 = double, double.v1
        self.clock = self.v1.test_helpers.test_clocks.create({"frozen_time": int(start.timestamp())}).id
        self.id = self.v1.customers.create({"email": "sub@example.com", "test_clock": self.clock}).id
        price = {"currency": "eur", "unit_amount": amount, "recurring": {"interval": "month"}}
        product = {"product_data": {"name": "Membership"}}
        self.session = open_session(
            double,
            customer=self.id,
            mode="subscription",
            line_items=[{"price_data": price | product, "quantity": 1}],
            subscription_data={"metadata": {"plan": "p"}, **subscription_data},
            **(session or {}),
        )

    def subscribe(self, outcome: str = "paid") -> Any:
        """Pay the session; returns the subscription."""
        self.subscription_id = self.double.pay(self.session.id, outcome)["subscription"]
        return self.subscription()

    def subscription(self) -> Any:
        """The subscription as it is."""
        return self.v1.subscriptions.retrieve(self.subscription_id)

    def period(self) -> tuple[str, str]:
        """The current period, as dates."""
        item = self.subscription()["items"].data[0]
        return day(item.current_period_start), day(item.current_period_end)

    def advance(self, to: datetime) -> None:
        """Advance the clock."""
        self.v1.test_helpers.test_clocks.advance(self.clock, {"frozen_time": int(to.timestamp())})

    def invoice(self) -> Any:
        """The newest invoice."""
        return self.v1.invoices.retrieve(self.subscription().latest_invoice)

    def intent(self) -> Any:
        """The payment intent of the newest invoice."""
        [payment] = self.v1.invoice_payments.list({"invoice": self.invoice().id}).data
        return self.v1.payment_intents.retrieve(payment.payment.payment_intent)

    def types(self, receiver: Receiver) -> list[str]:
        """The types of the customer's events, in the order of arrival."""
        self.double.wait_for_deliveries(self.id)
        return receiver.types(self.id)

    def invoices(self, receiver: Receiver) -> list[tuple[str, int, str]]:
        """Date, amount and reason of each invoice that was paid, oldest first."""
        self.double.wait_for_deliveries(self.id)
        events = [event for event in receiver.taken if event.type == "invoice.paid" and self.id in str(event)]
        found: list[Any] = sorted((event.data.object for event in events), key=lambda each: each["created"])
        return [(day(each["created"]), each["amount_paid"], each["billing_reason"]) for each in found]
