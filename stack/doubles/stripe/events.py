"""Events, as the API lists them."""

from stack.doubles.stripe.errors import Object
from stack.doubles.stripe.params import Params
from stack.doubles.stripe.unit_of_work import UnitOfWork


def list_all(work: UnitOfWork, params: Params) -> Object:
    """GET /v1/events: also those that no endpoint subscribes to."""
    return work.page(params, "event", "/v1/events")
