"""Settings from the environment: a Struct declares what a process takes, and one line names every fault.

    class Settings(BaseSettings):
        prefix = "MAILBOX_"
        port: Port
        folder: Path
        longest_wait: Annotated[int, between(1, 60)] = 10

    settings = Settings.from_mapping(os.environ)  # MAILBOX_PORT, MAILBOX_FOLDER, MAILBOX_LONGEST_WAIT

An empty variable counts as one that is not set. No message shows a value: each may be a secret in the wrong place.
"""

import base64
import difflib
import ipaddress
import math
import os
import re
import sys
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from types import NoneType
from typing import Annotated, Any, ClassVar, NoReturn, Self, TypeVar, get_args, get_origin
from urllib.parse import urlsplit

import msgspec

Part = TypeVar("Part", bound="BaseSettings")
Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class SettingsError(Exception):
    """Settings are missing, wrong or unknown; the message names each of them and shows no value."""


def exit_for_settings(process: str, error: SettingsError) -> NoReturn:
    """End a process that cannot start with these settings, by the status that says so: a restart would not help."""
    sys.stderr.write(f"{process}: {error}\n")
    sys.exit(os.EX_CONFIG)


class Rule(msgspec.Struct, frozen=True):
    """How the text of a variable becomes a value, as metadata of a field's type."""

    expected: str
    """What the text must be, to follow `<NAME> must be`."""
    read: Callable[[str], Any]
    """Makes the value of the text, without blanks around it. Raises ValueError where it cannot."""


class BaseSettings(msgspec.Struct, frozen=True, kw_only=True):
    """The settings of a process, or of one package in it: each field is a variable of its name in upper case."""

    prefix: ClassVar[str] = ""
    """What the variables begin with, where the process has only these settings."""

    @classmethod
    def from_mapping(cls, values: Mapping[str, str]) -> Self:
        """Read the settings of a process that has no other part. Raises SettingsError."""
        return ProcessSettings.read(values, cls.prefix, [cls])[cls]

    def __repr__(self) -> str:
        # A settings object must be safe to log, and several fields are secrets.
        return f"{type(self).__name__}(...)"


class ProcessSettings:
    """The settings of a process that has several parts: `settings[PaymentSettings]` are those of one."""

    def __init__(self, parts: Iterable[BaseSettings]) -> None:
        self._parts = {type(part): part for part in parts}

    def __getitem__(self, kind: type[Part]) -> Part:
        part = self._parts[kind]
        if not isinstance(part, kind):
            raise TypeError(f"{kind.__name__} expected")
        return part

    def __repr__(self) -> str:
        return f"ProcessSettings({list(self._parts.values())})"

    @classmethod
    def read(
        cls,
        values: Mapping[str, str],
        prefix: str,
        parts: Iterable[type[BaseSettings]],
        *,
        refuse_unknown: bool = False,
    ) -> Self:
        """Read every part.

        Args:
            values: names and texts such as the environment.
            prefix: what all the variables begin with.
            parts: what there is to read; two parts may share a variable.
            refuse_unknown: whether another variable of the prefix is a fault, most likely a misspelt name.

        Raises:
            SettingsError: variables are missing, wrong or unknown; the message names all of them.
        """
        faults: dict[str, str] = {}
        names: set[str] = set()
        found: dict[type[BaseSettings], dict[str, Any]] = {}
        for part in parts:
            fields = found[part] = {}
            for field in msgspec.structs.fields(part):
                name = f"{prefix}{field.name.upper()}"
                names.add(name)
                text = values.get(name, "").strip()
                rule = _rule_of(field.type)
                if text:
                    try:
                        fields[field.name] = rule.read(text)
                    except ValueError:
                        faults[name] = f"{name} must be {rule.expected}"
                elif field.required:
                    faults[name] = f"{name} is not set"
        unknown: dict[str, str] = {}
        if refuse_unknown:
            for name in sorted(
                name for name, text in values.items() if name.startswith(prefix) and name not in names and text.strip()
            ):
                similar = difflib.get_close_matches(name, names, 1, cutoff=0.8)
                unknown[name] = f"{name} is unknown" + (f" (is it {similar[0]}?)" if similar else "")
        # Unknown ones first: a misspelt name explains why another one is not set.
        if faults := unknown | faults:
            raise SettingsError("; ".join(faults.values()))
        return cls(part(**fields) for part, fields in found.items())


def between(low: int, high: int) -> Rule:
    """A whole number within bounds."""
    return Rule(f"a whole number from {low} to {high}", lambda text: _whole(text, low, high))


def one_of(*words: str) -> Rule:
    """One of a few words."""
    return Rule(f"one of {', '.join(words)}", lambda text: words[words.index(text)])


def listed(rule: Rule) -> Rule:
    """Several of a kind, separated by commas."""
    return Rule(
        f"a list, separated by commas, each {rule.expected}",
        lambda text: tuple(rule.read(item.strip()) for item in text.split(",") if item.strip()),
    )


def _whole(text: str, low: int, high: int) -> int:
    if not re.fullmatch(r"[0-9]{1,19}", text) or not low <= int(text) <= high:
        raise ValueError
    return int(text)


def _flag(text: str) -> bool:
    if text not in {"true", "false"}:
        raise ValueError
    return text == "true"


def _seconds(text: str) -> float:
    seconds = float(text)
    if not 0 <= seconds < math.inf:
        raise ValueError
    return seconds


def _http_url(text: str) -> str:
    parts = urlsplit(text)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ValueError
    return text.rstrip("/")


def _database_url(text: str) -> str:
    parts = urlsplit(text)
    # Without a host the query names a folder of sockets: postgresql:///postgres?host=/run/postgresql.
    if parts.scheme not in {"postgresql", "postgres"} or not (parts.hostname or "host=" in parts.query):
        raise ValueError
    _ = parts.port  # raises where it is no number
    return text


def _function(text: str) -> tuple[str, str]:
    named = re.fullmatch(r"([A-Za-z_][\w$]*)\.([A-Za-z_][\w$]*)", text)
    if named is None:
        raise ValueError
    return named[1], named[2]


def _publishable_key(text: str) -> str:
    if not text.startswith("sb_publishable_") and _role_of(text) != "anon":
        raise ValueError
    return text


def _secret(text: str) -> str:
    if text.startswith(("sb_publishable_", "pk_")) or _role_of(text) == "anon":
        raise ValueError
    return text


def _role_of(key: str) -> str | None:
    """The role of a key that is a JSON web token, as Supabase's older keys are; None of any other text."""
    try:
        payload = base64.urlsafe_b64decode(key.split(".")[1] + "==")
        role = msgspec.json.decode(payload, type=dict[str, Any]).get("role")
    except (IndexError, ValueError):
        return None
    return role if isinstance(role, str) else None


TEXT = Rule("a text", str)
PORT = between(1, 65_535)
SECONDS = Rule("a number of seconds", _seconds)
NETWORK = Rule("an address or a network such as 10.0.0.0/8", ipaddress.ip_network)

Port = Annotated[int, PORT]
Texts = Annotated[tuple[str, ...], listed(TEXT)]
Ports = Annotated[tuple[int, ...], listed(PORT)]
HttpUrl = Annotated[str, Rule("an http or https URL", _http_url)]
"""Without a slash at its end."""
DatabaseUrl = Annotated[str, Rule("a URL such as postgresql://user:password@host:5432/database", _database_url)]
Networks = Annotated[tuple[Network, ...], listed(NETWORK)]
FunctionName = Annotated[tuple[str, str], Rule("a function's name such as public.my_hook", _function)]
"""Schema and name."""
PublishableKey = Annotated[str, Rule("a publishable key (sb_publishable_...), never a secret one", _publishable_key)]
Secret = Annotated[str, Rule("a secret, never a publishable key", _secret)]

PLAIN = {
    str: TEXT,
    int: between(1, 2**31 - 1),
    float: SECONDS,
    bool: Rule("true or false", _flag),
    Path: Rule("a path", Path),
}
"""The rules of types that name none."""


def _rule_of(hint: Any) -> Rule:
    """The rule of a field's type, which may be optional."""
    if get_origin(hint) is Annotated:
        [rule] = [each for each in hint.__metadata__ if isinstance(each, Rule)]
        return rule
    if hint in PLAIN:
        return PLAIN[hint]
    [kind] = [each for each in get_args(hint) if each is not NoneType]
    return _rule_of(kind)
