"""`expand[]`: ids replaced by the objects that they name, and fields that are shown only on request."""

from collections.abc import Callable
from typing import Any

from stack.doubles.stripe.errors import Object, StripeError
from stack.doubles.stripe.params import Params
from stack.doubles.stripe.unit_of_work import UnitOfWork, as_list

DEEPEST = 4


def _payments(work: UnitOfWork, invoice: Object) -> Object:
    return as_list(work.all("invoice_payment", invoice=invoice["id"])[::-1], "/v1/invoice_payments")


HIDDEN: dict[tuple[str, str], Callable[[UnitOfWork, Object], Object]] = {("invoice", "payments"): _payments}
"""Fields that an object has only where they are expanded, by the object's kind."""


def expand(work: UnitOfWork, params: Params, answer: Object) -> Object:
    """The answer with everything expanded that the parameters name.

    Raises:
        StripeError: 400, something cannot be expanded.
    """
    for path in params.texts("expand"):
        steps = path.split(".")
        if len(steps) > DEEPEST:
            raise StripeError(f"You cannot expand more than {DEEPEST} levels of a property ({path}).", param="expand")
        if (steps[0] == "data") != (answer.get("object") == "list"):
            raise _not_expandable(path)
        answer = _expanded(work, answer, steps, path)
    return answer


def _expanded(work: UnitOfWork, value: Any, steps: list[str], path: str) -> Any:
    if isinstance(value, list):
        return [_expanded(work, each, steps, path) for each in value]
    if isinstance(value, str):
        found = work.find(value)
        if found is None:
            raise _not_expandable(path)
        value = found
    if not steps or value is None:
        return value
    if not isinstance(value, dict):
        raise _not_expandable(path)
    step, *rest = steps
    hidden = HIDDEN.get((value.get("object", ""), step))
    if hidden is not None and step not in value:
        value = value | {step: hidden(work, value)}
    if step not in value:
        raise _not_expandable(path)
    return value | {step: _expanded(work, value[step], rest, path)}


def _not_expandable(path: str) -> StripeError:
    return StripeError(f"This property cannot be expanded ({path}).", param="expand")
