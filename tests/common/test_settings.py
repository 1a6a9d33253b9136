"""The reader of settings, for a process of one part and for one of several."""

from pathlib import Path
from typing import Annotated

import pytest

from common.settings import (
    BaseSettings,
    DatabaseUrl,
    FunctionName,
    HttpUrl,
    Networks,
    Port,
    ProcessSettings,
    PublishableKey,
    Secret,
    SettingsError,
    Texts,
    between,
    one_of,
)


class Server(BaseSettings, frozen=True, kw_only=True):
    """A part with a field of each kind."""

    prefix = "X_"
    port: Port
    folder: Path = Path("/nowhere")
    name: str = "unnamed"
    names: Texts = ()
    number: int = 7
    small: Annotated[int, between(0, 9)] = 3
    pause: float = 0.5
    is_open: bool = False
    url: HttpUrl | None = None
    database: DatabaseUrl | None = None
    hook: FunctionName | None = None
    proxies: Networks = ()
    key: PublishableKey | None = None
    secret: Secret | None = None
    word: Annotated[str, one_of("red", "blue")] = "red"


class Client(BaseSettings, frozen=True, kw_only=True):
    """Another part, which shares a variable with the first."""

    name: str = "unnamed"
    token: Secret


def test_values_have_their_types() -> None:
    values = {
        "X_PORT": " 80 ",
        "X_FOLDER": "/tmp/x",
        "X_NAMES": " a, b ,,",
        "X_NUMBER": "8",
        "X_SMALL": "0",
        "X_PAUSE": "1.5",
        "X_IS_OPEN": "true",
        "X_URL": "https://example.test/a/",
        "X_DATABASE": "postgresql:///postgres?host=/run/postgresql",
        "X_HOOK": "private.hook",
        "X_PROXIES": "10.0.0.0/8,::1",
        "X_WORD": "blue",
        "OTHER": "ignored",
    }
    settings = Server.from_mapping(values)
    assert (settings.port, settings.folder, settings.name) == (80, Path("/tmp/x"), "unnamed")
    assert (settings.names, settings.number, settings.small, settings.pause) == (("a", "b"), 8, 0, 1.5)
    assert (settings.is_open, settings.url, settings.hook) == (True, "https://example.test/a", ("private", "hook"))
    assert settings.database == values["X_DATABASE"]
    assert [str(network) for network in settings.proxies] == ["10.0.0.0/8", "::1/128"]
    assert settings.word == "blue"


@pytest.mark.parametrize("value", ["", "  "])
def test_an_empty_variable_is_not_set(value: str) -> None:
    assert Server.from_mapping({"X_PORT": "1", "X_NUMBER": value}).number == 7
    with pytest.raises(SettingsError, match=r"^X_PORT is not set$"):
        Server.from_mapping({"X_PORT": value})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PORT", "0"),
        ("NUMBER", "-1"),
        ("NUMBER", "1.5"),
        ("NUMBER", "9" * 30),
        ("SMALL", "10"),
        ("PAUSE", "-1"),
        ("PAUSE", "inf"),
        ("PAUSE", "1s"),
        ("IS_OPEN", "yes"),
        ("URL", "example.test"),
        ("URL", "https://"),
        ("DATABASE", "mysql://db/x"),
        ("DATABASE", "host=db dbname=x"),
        ("HOOK", "nothing"),
        ("HOOK", "private.hook; drop table x"),
        ("PROXIES", "10.0.0.1/8"),
        ("KEY", "sb_secret_x"),
        ("KEY", "a.b.c"),
        ("SECRET", "sb_publishable_x"),
        ("WORD", "green"),
    ],
)
def test_a_wrong_value_is_named_and_not_shown(name: str, value: str) -> None:
    with pytest.raises(SettingsError) as refusal:
        Server.from_mapping({"X_PORT": "1", f"X_{name}": value})
    message = str(refusal.value)
    assert message.startswith(f"X_{name} must be ")
    assert value not in message.removeprefix(f"X_{name} must be ")


def test_several_parts_are_read_at_once() -> None:
    values = {"X_PORT": "1", "X_NAME": "both", "X_TOKEN": "t"}
    settings = ProcessSettings.read(values, "X_", [Server, Client], refuse_unknown=True)
    assert (settings[Server].name, settings[Client].name, settings[Client].token) == ("both", "both", "t")


def test_every_fault_of_every_part_is_in_one_line() -> None:
    values = {"X_PORT": "x", "X_IS_OPEN": "x", "X_TOKENS": "x", "X_EMPTY": " ", "Y_OTHER": "x"}
    with pytest.raises(SettingsError) as refusal:
        ProcessSettings.read(values, "X_", [Server, Client], refuse_unknown=True)
    assert str(refusal.value).split("; ") == [
        "X_TOKENS is unknown (is it X_TOKEN?)",
        "X_PORT must be a whole number from 1 to 65535",
        "X_IS_OPEN must be true or false",
        "X_TOKEN is not set",
    ]


def test_unknown_names_are_ignored_where_the_prefix_is_not_ours_alone() -> None:
    assert Server.from_mapping({"X_PORT": "1", "X_OTHER": "of another program"}).port == 1


def test_settings_are_safe_to_log() -> None:
    settings = ProcessSettings.read({"X_PORT": "1", "X_TOKEN": "hidden"}, "X_", [Server, Client])
    assert "hidden" not in f"{settings} {settings[Client]!r}"
