"""What every call of the API has: a key, parameters, lists, idempotency, and injected faults."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest
import stripe

from tests.stack.stripe.support import as_dict, assert_refused, intent_of, open_session, paid_charge
from tests.stripe_double import KEY, OwnDouble


def test_a_call_needs_the_key(double: OwnDouble) -> None:
    wrong = stripe.StripeClient("sk_test_wrong", base_addresses={"api": double.url}, max_network_retries=0)
    assert_refused(wrong.v1.events.list, 401, None)
    assert httpx.get(f"{double.url}/v1/events").status_code == 401
    assert httpx.get(f"{double.url}/v1/events", auth=(KEY, "")).status_code == 200, "Basic works too"
    assert httpx.post(f"{double.url}/_double/webhooks/wait").status_code == 401
    unknown = double.http.get("/v1/nothing")
    assert (unknown.status_code, unknown.json()["error"]["type"]) == (404, "invalid_request_error")
    assert unknown.headers["request-id"].startswith("req_")


def test_an_unsupported_parameter_is_refused_and_leaves_nothing(double: OwnDouble) -> None:
    v1 = double.v1
    product = v1.products.create({"name": "Only once"})
    price = {"currency": "eur", "unit_amount": 900, "product": product.id}
    items = [{"price_data": price, "quantity": 1}]
    options = [{"shipping_rate": "x"}]
    assert_refused(
        lambda: open_session(double, line_items=items, shipping_options=options),
        400,
        "parameter_unknown",
        "shipping_options",
    )
    assert v1.prices.list({"product": product.id}).data == []
    inner = {"metadata": {"a": "1"}, "on_behalf_of": "acct_1"}
    name = "payment_intent_data[on_behalf_of]"
    assert_refused(lambda: open_session(double, payment_intent_data=inner), 400, "parameter_unknown", name)
    assert_refused(lambda: open_session(double, expand=["currency"]), 400, None, "expand")
    assert_refused(lambda: open_session(double, success_url="javascript:alert(1)"), 400, "url_invalid", "success_url")
    for form in ("a[b=1", "metadata=x", "email[a]=1", "[a]=1", "a=1&a[b]=2"):
        assert double.http.post("/v1/customers", content=form).status_code == 400, form


def test_objects_are_made_changed_and_listed_in_pages(double: OwnDouble) -> None:
    v1 = double.v1
    product = v1.products.create({"name": "Beats", "description": "Slow", "metadata": {"offer": "1", "_own": "x"}})
    assert as_dict(product.metadata) == {"offer": "1", "_own": "x"}
    changed = v1.products.update(product.id, {"name": "Better beats", "description": "", "active": False})
    assert (changed.name, changed.description, changed.active) == ("Better beats", None, False)
    price = {"product": product.id, "currency": "USD", "recurring": {"interval": "year"}}
    made = [v1.prices.create(price | {"unit_amount": amount}) for amount in (100, 200, 300)]
    assert (made[0].currency, made[0].type, made[0].recurring.interval) == ("usd", "recurring", "year")
    assert v1.prices.update(made[0].id, {"active": False}).active is False
    assert v1.prices.retrieve(made[0].id).active is False
    first = v1.prices.list({"product": product.id, "limit": 2})
    assert ([each.unit_amount for each in first.data], first.has_more) == ([300, 200], True)
    rest = v1.prices.list({"product": product.id, "limit": 2, "starting_after": first.data[-1].id})
    assert ([each.unit_amount for each in rest.data], rest.has_more) == ([100], False)
    assert_refused(lambda: v1.prices.list({"limit": 101}), 400, "parameter_invalid_integer", "limit")
    assert_refused(lambda: v1.prices.list({"starting_after": "price_no"}), 400, "resource_missing", "starting_after")
    assert_refused(lambda: v1.products.create({"description": "x"}), 400, "parameter_missing", "name")
    assert_refused(lambda: v1.prices.create(price), 400, "parameter_missing", "unit_amount")
    unknown = price | {"unit_amount": 1, "currency": "xyz"}
    assert_refused(lambda: v1.prices.create(unknown), 400, None, "currency")
    assert_refused(lambda: v1.products.retrieve("prod_no"), 404, "resource_missing", "id")


def test_an_idempotency_key_has_one_effect(double: OwnDouble) -> None:
    v1 = double.v1
    options: Any = {"idempotency_key": "order-1"}
    first = v1.customers.create({"email": "once@example.com"}, options)
    again = v1.customers.create({"email": "once@example.com"}, options)
    assert first.id == again.id
    assert "idempotent-replayed" not in first.last_response.headers
    assert again.last_response.headers["idempotent-replayed"] == "true"
    with pytest.raises(stripe.IdempotencyError):
        v1.customers.create({"email": "twice@example.com"}, options)
    with pytest.raises(stripe.IdempotencyError):
        v1.products.create({"name": "x"}, options)
    # The key does not remember an invalid request.
    other: Any = {"idempotency_key": "order-2"}
    assert_refused(lambda: v1.products.create({"name": ""}, other), 400, "parameter_missing", "name")
    assert v1.products.create({"name": "Now"}, other).name == "Now"


def test_an_idempotency_key_has_one_effect_for_concurrent_callers(double: OwnDouble) -> None:
    charge = paid_charge(double, 4000)
    params: Any = {"payment_intent": charge.payment_intent, "amount": 1000}

    def refund(_: int) -> str:
        return double.new_client().v1.refunds.create(params, {"idempotency_key": "refund-of-a-race"}).id

    with ThreadPoolExecutor(8) as pool:
        assert len(set(pool.map(refund, range(16)))) == 1
    assert len(double.v1.refunds.list({"payment_intent": charge.payment_intent}).data) == 1


def test_the_control_makes_calls_fail(double: OwnDouble) -> None:
    customers = double.v1.customers
    double.post("faults", contains="fault-1", status=503)
    with pytest.raises(stripe.APIError):
        customers.create({"email": "fault-1@example.com"})
    assert customers.list({"email": "fault-1@example.com"}).data == [], "nothing was done"

    # The work is done, but the answer is lost: the client's own retry, with its key, finds it done.
    double.post("faults", method="POST", contains="fault-2", status=500, when="after")
    patient = double.new_client(retries=2)
    assert patient.v1.customers.create({"email": "fault-2@example.com"}).email == "fault-2@example.com"
    assert len(customers.list({"email": "fault-2@example.com"}).data) == 1

    double.post("faults", path="/v1/customers", contains="fault-3", seconds=1, when="after")
    hasty = double.new_client(timeout=0.3)
    with pytest.raises(stripe.APIConnectionError):
        hasty.v1.customers.create({"email": "fault-3@example.com"})
    assert len(customers.list({"email": "fault-3@example.com"}).data) == 1

    double.post("faults", contains="fault-4", status=429, type="invalid_request_error", code="rate_limit", times=2)
    for _ in range(2):
        with pytest.raises(stripe.RateLimitError):
            customers.list({"email": "fault-4@example.com"})
    assert customers.list({"email": "fault-4@example.com"}).data == []


def test_the_control_refuses_what_it_does_not_know(double: OwnDouble) -> None:
    for path, body, status in (
        ("faults", {"state": 500}, 400),
        ("next", {"on": "transfer", "outcome": "pending"}, 400),
        ("balance", {"amount": 0}, 400),
        ("sessions/cs_none/pay", {}, 404),
        ("nothing", {}, 404),
    ):
        answer = double.http.post(f"/_double/{path}", json=body)
        assert (answer.status_code, answer.json()["error"]["type"]) == (status, "invalid_request_error")


def test_a_session_names_its_payment(double: OwnDouble) -> None:
    session = open_session(double, payment_intent_data={"metadata": {"order": "7"}, "transfer_group": "order-7"})
    double.pay(session.id)
    intent = intent_of(double, session.id)
    assert (as_dict(intent.metadata), intent.latest_charge.transfer_group) == ({"order": "7"}, "order-7")
