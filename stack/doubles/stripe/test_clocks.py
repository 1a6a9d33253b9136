"""Test clocks: the time of the customers that are attached to them, and of everything that belongs to these."""

from stack.doubles.stripe import timeline
from stack.doubles.stripe.errors import Object, invalid, missing_param
from stack.doubles.stripe.params import Params
from stack.doubles.stripe.unit_of_work import UnitOfWork, new_id

KIND = "test_helpers.test_clock"
LIFE = 30 * 24 * 3600
"""Seconds after which Stripe deletes a clock. The double keeps it."""


def create(work: UnitOfWork, params: Params) -> Object:
    """POST /v1/test_helpers/test_clocks."""
    frozen_time = params.integer("frozen_time")
    if frozen_time is None:
        raise missing_param("frozen_time")
    clock: Object = {
        "id": new_id("clock_"),
        "object": KIND,
        "created": work.now,
        "deletes_after": work.now + LIFE,
        "frozen_time": frozen_time,
        "livemode": False,
        "name": None,
        "status": "ready",
        "status_details": {},
    }
    return work.insert(clock)


def retrieve(work: UnitOfWork, _params: Params, clock_id: str) -> Object:
    """GET /v1/test_helpers/test_clocks/{id}."""
    return work.get(KIND, clock_id)


def advance(work: UnitOfWork, params: Params, clock_id: str) -> Object:
    """POST /v1/test_helpers/test_clocks/{id}/advance: everything that becomes due has happened when this answers."""
    clock = work.get(KIND, clock_id)
    target = params.integer("frozen_time")
    if target is None:
        raise missing_param("frozen_time")
    if target <= clock["frozen_time"]:
        raise invalid("frozen_time", "The new frozen time must be after the current one.")
    timeline.run(work, clock=clock_id, until=target)
    return clock
