"""What of Stripe's API is played, and by which function: each is given the book, the parameters and the path's ids."""

from collections.abc import Callable

from stack.doubles.stripe import balance, catalog, checkout, customers, events, payments, refunds
from stack.doubles.stripe.errors import Object
from stack.doubles.stripe.routing import Table

Handler = Callable[..., Object]

ROUTES: Table[Handler] = Table(
    [
        ("GET /v1/balance", balance.retrieve),
        ("GET /v1/balance_transactions", balance.list_transactions),
        ("GET /v1/balance_transactions/{}", balance.retrieve_transaction),
        ("GET /v1/charges", payments.list_charges),
        ("GET /v1/charges/{}", payments.retrieve_charge),
        ("POST /v1/charges/{}", payments.update_charge),
        ("GET /v1/checkout/sessions", checkout.list_all),
        ("POST /v1/checkout/sessions", checkout.create),
        ("GET /v1/checkout/sessions/{}", checkout.retrieve),
        ("POST /v1/checkout/sessions/{}", checkout.update),
        ("POST /v1/checkout/sessions/{}/expire", checkout.expire),
        ("GET /v1/checkout/sessions/{}/line_items", checkout.list_items),
        ("GET /v1/customers", customers.list_all),
        ("POST /v1/customers", customers.create),
        ("GET /v1/customers/{}", customers.retrieve),
        ("POST /v1/customers/{}", customers.update),
        ("DELETE /v1/customers/{}", customers.delete),
        ("GET /v1/events", events.list_all),
        ("GET /v1/events/{}", events.retrieve),
        ("GET /v1/payment_intents", payments.list_intents),
        ("GET /v1/payment_intents/{}", payments.retrieve_intent),
        ("POST /v1/payment_intents/{}", payments.update_intent),
        ("GET /v1/prices", catalog.list_prices),
        ("POST /v1/prices", catalog.create_price),
        ("GET /v1/prices/{}", catalog.retrieve_price),
        ("POST /v1/prices/{}", catalog.update_price),
        ("GET /v1/products", catalog.list_products),
        ("POST /v1/products", catalog.create_product),
        ("GET /v1/products/{}", catalog.retrieve_product),
        ("POST /v1/products/{}", catalog.update_product),
        ("DELETE /v1/products/{}", catalog.delete_product),
        ("GET /v1/refunds", refunds.list_all),
        ("POST /v1/refunds", refunds.create),
        ("GET /v1/refunds/{}", refunds.retrieve),
        ("POST /v1/refunds/{}", refunds.update),
    ]
)
