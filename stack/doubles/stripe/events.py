"""Events, as the API lists them."""

from stack.doubles.stripe.book import Book
from stack.doubles.stripe.errors import Object
from stack.doubles.stripe.params import Params

UNDELIVERED = "(select event from deliveries where state <> 'delivered')"


def retrieve(book: Book, _params: Params, name: str) -> Object:
    """GET /v1/events/{id}."""
    return book.get("event", name)


def list_all(book: Book, params: Params) -> Object:
    """GET /v1/events: also by type, by several, and by whether the webhook was told."""
    types = params.texts("types") or [kind for kind in [params.text("type")] if kind]
    params.ignore("type")
    also, values = "", []
    if types:
        matches = []
        for kind in types:
            matches.append("json_extract(body, '$.type') glob ?")
            values.append(kind)
        also = f"and ({' or '.join(matches)})"
    delivered = params.boolean("delivery_success")
    if delivered is not None:
        also += f" and id {'not in' if delivered else 'in'} {UNDELIVERED}"
    return book.page(params, "event", "/v1/events", also=also, values=tuple(values))
