"""Refusals in Stripe's words: HTTP status, type, code, param and message."""

from typing import Any

Object = dict[str, Any]
"""Anything of Stripe's, as it stands in JSON."""

INVALID = "invalid_request_error"


class StripeError(Exception):
    """A refusal as Stripe's API writes it."""

    def __init__(
        self,
        message: str,
        *,
        status: int = 400,
        kind: str = INVALID,
        code: str | None = None,
        param: str | None = None,
        is_done: bool = False,
    ) -> None:
        """Make a refusal.

        Args:
            message: the sentence.
            status: of HTTP.
            kind: Stripe's `type`.
            code: the stable token.
            param: the parameter that is wrong.
            is_done: whether the request was sound and its work had begun: what was done stays, and the idempotency key
                remembers the refusal. Else it is as if nobody had asked.
        """
        super().__init__(message)
        self.message = message
        self.status = status
        self.kind = kind
        self.code = code
        self.param = param
        self.is_done = is_done

    def body(self) -> Object:
        """The answer's JSON."""
        error = {"type": self.kind, "code": self.code, "param": self.param, "message": self.message}
        return {"error": {name: value for name, value in error.items() if value is not None}}


def missing_param(param: str) -> StripeError:
    """A parameter that must be given is not."""
    return StripeError(f"Missing required param: {param}.", code="parameter_missing", param=param)


def invalid(param: str, message: str, code: str | None = None) -> StripeError:
    """A parameter's value cannot be taken."""
    return StripeError(message, code=code, param=param)


def unknown_id(kind: str, name: str, param: str = "id") -> StripeError:
    """There is no such object: 404 where the path names it, 400 where a parameter does."""
    words = kind.rpartition(".")[2].replace("_", " ")
    return StripeError(
        f"No such {words}: '{name}'", status=404 if param == "id" else 400, code="resource_missing", param=param
    )
