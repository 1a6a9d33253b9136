"""Stripe's errors: HTTP status, type, code, param and message."""

from typing import Any

Object = dict[str, Any]
"""An object of Stripe's API, as JSON."""

INVALID = "invalid_request_error"


class StripeError(Exception):
    """An error of Stripe's API."""

    def __init__(
        self,
        message: str,
        *,
        status: int = 400,
        kind: str = INVALID,
        code: str | None = None,
        param: str | None = None,
        is_remembered: bool = False,
    ) -> None:
        """Make an error.

        Args:
            message: the sentence.
            status: of HTTP.
            kind: Stripe's `type`.
            code: the stable token.
            param: the parameter that is wrong.
            is_remembered: whether the request was valid and failed in execution. Its effects stay, and the idempotency
                key remembers the error. Otherwise the request leaves no trace.
        """
        super().__init__(message)
        self.message = message
        self.status = status
        self.kind = kind
        self.code = code
        self.param = param
        self.is_remembered = is_remembered

    def body(self) -> Object:
        """The JSON of the answer."""
        error = {"type": self.kind, "code": self.code, "param": self.param, "message": self.message}
        return {"error": {name: value for name, value in error.items() if value is not None}}


def missing_param(param: str) -> StripeError:
    """A required parameter is missing."""
    return StripeError(f"Missing required param: {param}.", code="parameter_missing", param=param)


def invalid(param: str, message: str, code: str | None = None) -> StripeError:
    """A parameter has a wrong value."""
    return StripeError(message, code=code, param=param)


def unknown_id(kind: str, object_id: str, param: str = "id") -> StripeError:
    """No object has this id: 404 where the path names it, 400 where a parameter does."""
    name = kind.rpartition(".")[2].replace("_", " ")
    status = 404 if param == "id" else 400
    return StripeError(f"No such {name}: '{object_id}'", status=status, code="resource_missing", param=param)
