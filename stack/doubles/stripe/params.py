"""Parameters as Stripe's clients encode them: `line_items[0][price_data][currency]=eur`, read with their types.

A parameter that no handler reads is one that the double does not support: it refuses the request.
"""

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from stack.doubles.stripe.errors import StripeError, invalid, missing_param

MAX_METADATA = 50
MAX_KEY_LENGTH, MAX_VALUE_LENGTH = 40, 500
LARGEST_INTEGER = 2**53

Tree = dict[str, Any]


def decode(form: str) -> Tree:
    """The tree that a form's bracketed names describe; its leaves are strings.

    Raises:
        StripeError: a name cannot be read, or stands both for a value and for names below it.
    """
    tree: Tree = {}
    for name, value in parse_qsl(form, keep_blank_values=True):
        head, *rest = name.split("[")
        if not head or not all(part.endswith("]") and part.count("]") == 1 for part in rest):
            raise invalid(name, f"Invalid parameter name: {name}")
        node = tree
        steps = [head, *(part[:-1] for part in rest)]
        for step in steps[:-1]:
            inner = node.setdefault(step or str(len(node)), {})
            if not isinstance(inner, dict):
                raise invalid(head, f"Invalid {head}: it is given both as a value and as an object")
            node = inner
        node[steps[-1] or str(len(node))] = value
    return tree


class Params:
    """The parameters of one request, or those below one of them. Each method raises StripeError, naming the wrong one.

    As at Stripe, an empty string is no value; with `has`, callers distinguish it from a missing one to unset a field.
    """

    def __init__(self, values: Mapping[str, Any], path: str = "") -> None:
        """Read from a tree; `path` is the name of the parameter that holds it."""
        self._values = values
        self._path = path
        self._read: dict[str, list[Params]] = {}

    def name(self, field: str) -> str:
        """The full name of a field."""
        return f"{self._path}[{field}]" if self._path else field

    def has(self, field: str) -> bool:
        """Whether it was given, even empty."""
        return field in self._values

    def text(self, field: str, *, longest: int = 5000) -> str | None:
        """A string."""
        value = self._take(field)
        if isinstance(value, dict):
            raise invalid(self.name(field), f"Invalid string: {self.name(field)}")
        if value and len(value) > longest:
            raise invalid(self.name(field), f"Invalid string: {self.name(field)} must be at most {longest} characters")
        return value or None

    def require(self, field: str) -> str:
        """A required string."""
        value = self.text(field)
        if value is None:
            raise missing_param(self.name(field))
        return value

    def integer(self, field: str, *, low: int = 0, high: int = LARGEST_INTEGER) -> int | None:
        """A whole number within bounds."""
        text = self.text(field)
        if text is None:
            return None
        if not re.fullmatch(r"-?[0-9]{1,18}", text):
            raise invalid(self.name(field), f"Invalid integer: {text}", "parameter_invalid_integer")
        if not low <= int(text) <= high:
            bound = f"greater than or equal to {low}" if int(text) < low else f"less than or equal to {high}"
            raise invalid(self.name(field), f"This value must be {bound}.", "parameter_invalid_integer")
        return int(text)

    def boolean(self, field: str) -> bool | None:
        """True or false."""
        text = self.text(field)
        if text not in {None, "true", "false"}:
            raise invalid(self.name(field), f"Invalid boolean: {text}")
        return None if text is None else text == "true"

    def choice(self, field: str, *allowed: str) -> str | None:
        """One of some words."""
        text = self.text(field)
        if text is not None and text not in allowed:
            raise invalid(self.name(field), f"Invalid {self.name(field)}: must be one of {', '.join(allowed)}")
        return text

    def url(self, field: str) -> str | None:
        """A web address."""
        text = self.text(field)
        if text is not None:
            parts = urlsplit(text)
            if parts.scheme not in {"http", "https"} or not parts.netloc:
                raise invalid(self.name(field), "Not a valid URL", "url_invalid")
        return text

    def nested(self, field: str) -> "Params | None":
        """The parameters below one; None where it is missing or empty."""
        value = self._take(field)
        if not value:
            return None
        if not isinstance(value, dict):
            raise invalid(self.name(field), f"Invalid object: {self.name(field)}")
        if not self._read[field]:
            self._read[field].append(Params(value, self.name(field)))
        return self._read[field][0]

    def each(self, field: str) -> "list[Params]":
        """The objects of a list."""
        found = []
        for index, value in self._list(field):
            if not isinstance(value, dict):
                raise invalid(f"{self.name(field)}[{index}]", f"Invalid object: {self.name(field)}[{index}]")
            inner = Params(value, f"{self.name(field)}[{index}]")
            self._read[field].append(inner)
            found.append(inner)
        return found

    def texts(self, field: str) -> list[str]:
        """The strings of a list."""
        values = [value for _, value in self._list(field)]
        if any(isinstance(value, dict) for value in values):
            raise invalid(self.name(field), f"Invalid array: {self.name(field)}")
        return values

    def metadata(self) -> dict[str, str]:
        """The metadata of a new object."""
        value = self._take("metadata")
        if not value:
            return {}
        if not isinstance(value, dict):
            raise invalid(self.name("metadata"), "Invalid metadata: it must be an object of strings")
        for key, text in value.items():
            if isinstance(text, dict) or len(key) > MAX_KEY_LENGTH or len(text) > MAX_VALUE_LENGTH:
                message = (
                    f"Metadata keys can have up to {MAX_KEY_LENGTH} characters and values, which are strings, "
                    f"up to {MAX_VALUE_LENGTH} characters."
                )
                raise invalid(f"{self.name('metadata')}[{key}]", message)
        if len(value) > MAX_METADATA:
            raise invalid(self.name("metadata"), f"You can only have {MAX_METADATA} metadata keys.")
        return {key: text for key, text in value.items() if text}

    def merged_metadata(self, known: Mapping[str, str]) -> dict[str, str]:
        """The metadata of an object after an update: keys that are given replace, empty ones remove."""
        given = self._take("metadata")
        kept = {key: text for key, text in known.items() if not isinstance(given, dict) or key not in given}
        return (kept if given else {}) | self.metadata()

    def ignore(self, field: str) -> None:
        """Accept a field that changes nothing here."""
        self._read.setdefault(field, [])

    def unread(self) -> str | None:
        """The full name of a field that no handler has read."""
        for field, value in self._values.items():
            if field not in self._read:
                return self.name(field)
            if isinstance(value, dict):
                for inner in self._read[field]:
                    found = inner.unread()
                    if found is not None:
                        return found
        return None

    def _take(self, field: str) -> Any:
        self._read.setdefault(field, [])
        return self._values.get(field)

    def _list(self, field: str) -> list[tuple[int, Any]]:
        value = self._take(field)
        if not value:
            return []
        if not isinstance(value, dict) or not all(key.isascii() and key.isdecimal() for key in value):
            raise invalid(self.name(field), f"Invalid array: {self.name(field)}")
        return sorted((int(key), inner) for key, inner in value.items())


def refuse_unread(params: Params) -> None:
    """Check that every parameter was read.

    Raises:
        StripeError: 400 `parameter_unknown`.
    """
    name = params.unread()
    if name is not None:
        raise StripeError(
            f"Received unknown parameter: {name} (Stripe may know it; this double does not support it)",
            code="parameter_unknown",
            param=name,
        )
