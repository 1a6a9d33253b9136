"""Test clocks: the time of the customers that are attached to them, and of whatever is theirs."""

from stack.doubles.stripe import timeline
from stack.doubles.stripe.book import Book, new_id
from stack.doubles.stripe.errors import Object, invalid, missing_param
from stack.doubles.stripe.params import Params

KIND = "test_helpers.test_clock"
LIFE = 30 * 24 * 3600
"""Seconds after which Stripe deletes a clock. Here it stays."""


def create(book: Book, params: Params) -> Object:
    """POST /v1/test_helpers/test_clocks."""
    frozen_time = params.integer("frozen_time")
    if frozen_time is None:
        raise missing_param("frozen_time")
    clock: Object = {
        "id": new_id("clock_"),
        "object": KIND,
        "created": book.now,
        "deletes_after": book.now + LIFE,
        "frozen_time": frozen_time,
        "livemode": False,
        "name": params.text("name", longest=300),
        "status": "ready",
        "status_details": {},
    }
    book.insert(clock)
    book.emit("test_helpers.test_clock.created", clock)
    return clock


def retrieve(book: Book, _params: Params, name: str) -> Object:
    """GET /v1/test_helpers/test_clocks/{id}."""
    return book.get(KIND, name)


def list_all(book: Book, params: Params) -> Object:
    """GET /v1/test_helpers/test_clocks."""
    return book.page(params, KIND, "/v1/test_helpers/test_clocks")


def advance(book: Book, params: Params, name: str) -> Object:
    """POST /v1/test_helpers/test_clocks/{id}/advance: all that the time brings has happened when this answers."""
    clock = book.get(KIND, name)
    target = params.integer("frozen_time")
    if target is None:
        raise missing_param("frozen_time")
    if target <= clock["frozen_time"]:
        raise invalid("frozen_time", "The new frozen time must be after the current one.")
    book.emit("test_helpers.test_clock.advancing", clock)
    timeline.run(book, clock=name, until=target)
    book.emit("test_helpers.test_clock.ready", clock)
    return clock


def delete(book: Book, _params: Params, name: str) -> Object:
    """DELETE /v1/test_helpers/test_clocks/{id}: with its customers, and nothing more happens to what was theirs."""
    clock = book.get(KIND, name)
    for customer in book.all("customer", test_clock=name):
        book.save({"id": customer["id"], "object": "customer", "deleted": True})
    book.connection.execute("delete from agenda where clock = ?", (name,))
    book.remove(name)
    book.emit("test_helpers.test_clock.deleted", clock)
    return {"id": name, "object": KIND, "deleted": True}
