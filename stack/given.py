"""Reading a part's settings from the environment: named strings, with their types, and one line for a wrong one."""

import ipaddress
import re
from collections.abc import Mapping
from pathlib import Path

from stack.errors import StackError

Network = ipaddress.IPv4Network | ipaddress.IPv6Network

BOOLEANS = {"true": True, "false": False}
FUNCTION_NAME = re.compile(r"(?P<schema>[A-Za-z_][\w$]*)\.(?P<name>[A-Za-z_][\w$]*)")


class Given:
    """What a part is told. Each method raises StackError, naming the value that is missing or cannot be read."""

    def __init__(self, values: Mapping[str, str]) -> None:
        """Read from names and strings such as the environment."""
        self._values = values

    def text(self, name: str, default: str | None = None) -> str:
        """A string."""
        value = self._values.get(name, default)
        if value is None:
            raise StackError(f"{name} is not set")
        return value

    def path(self, name: str) -> Path:
        """A place on disk."""
        return Path(self.text(name))

    def address(self, name: str) -> str:
        """A URL, without a slash at its end."""
        return self.text(name).rstrip("/")

    def integer(self, name: str, default: int | None = None, *, low: int = 1, high: int = 2**31 - 1) -> int:
        """A whole number within bounds."""
        text = self.text(name, None if default is None else str(default))
        if not re.fullmatch(r"\d{1,19}", text) or not low <= int(text) <= high:
            raise StackError(f"{name} must be a whole number from {low} to {high}, not {text!r}")
        return int(text)

    def seconds(self, name: str, default: float) -> float:
        """A length of time."""
        text = self.text(name, str(default))
        if not re.fullmatch(r"\d{1,9}(\.\d{1,6})?", text):
            raise StackError(f"{name} must be a number of seconds, not {text!r}")
        return float(text)

    def boolean(self, name: str, *, default: bool) -> bool:
        """True or false."""
        text = self.text(name, str(default).lower())
        if text not in BOOLEANS:
            raise StackError(f"{name} must be true or false, not {text!r}")
        return BOOLEANS[text]

    def networks(self, name: str) -> tuple[Network, ...]:
        """Addresses and networks, separated by commas; none where it is empty or missing."""
        try:
            return tuple(
                ipaddress.ip_network(network.strip()) for network in self.text(name, "").split(",") if network.strip()
            )
        except ValueError as error:
            raise StackError(f"{name} must be addresses and networks such as 10.0.0.0/8: {error}") from error

    def function(self, name: str) -> tuple[str, str] | None:
        """Schema and name of a function; None where it is empty or missing."""
        text = self.text(name, "")
        if not text:
            return None
        named = FUNCTION_NAME.fullmatch(text)
        if named is None:
            raise StackError(f"{name} must be schema.function, not {text!r}")
        return named["schema"], named["name"]
