"""Settings of the edge and of the worker: one line names every fault, no value is shown, docs/deploy.md lists them."""

import itertools
import os
import re
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from common.settings import BaseSettings, Network, ProcessSettings, SettingsError
from edge import packages
from edge.errors import EdgeError
from edge.identities.settings import IdentitySettings
from edge.mail.settings import MailSettings
from edge.settings import EdgeSettings, read_settings, required_setting
from edge.worker.settings import WorkerSettings
from edge.worker.settings import read_settings as read_worker_settings
from stack.keys import Keys
from stack.paths import ROOT
from tests.edge.processes import worker_environment
from tests.edge.support import NOWHERE, ORIGIN, settings_for

SECRET = "a-value-that-must-not-be-shown"
ROW = re.compile(r"\| `((?:EDGE|WORKER)_[A-Z_]+)` \| ([^|]+) \| [^|]+ \|")


def edge(**changes: str) -> ProcessSettings:
    """The settings of an edge."""
    return settings_for(NOWHERE, **changes)


def worker(**changes: str) -> ProcessSettings:
    """The settings of a worker."""
    return read_worker_settings(worker_environment(**changes))


def reader_of(name: str) -> Callable[..., ProcessSettings]:
    return edge if name.startswith("EDGE_") else worker


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("EDGE_PORT", "65536"),
        ("EDGE_PORT", "-1"),
        ("EDGE_PORT", "http"),
        ("EDGE_PORT", "٨٠"),
        ("EDGE_DB_URL", "127.0.0.1:5432"),
        ("EDGE_DB_URL", "https://db.example.test/postgres"),
        ("EDGE_DB_URL", "postgresql:///postgres"),
        ("EDGE_DB_URL", "postgresql://edge:secret@db.example.test:x/postgres"),
        ("EDGE_REST_URL", "127.0.0.1:1"),
        ("EDGE_JWKS_URL", "file:///etc/passwd"),
        ("EDGE_PUBLIC_URL", "javascript:alert(1)"),
        ("EDGE_CORS_ORIGINS", "https://*.example.test"),
        ("EDGE_CORS_ORIGINS", f"*,{ORIGIN}"),
        ("EDGE_CORS_ORIGINS", f"{ORIGIN}/path"),
        ("EDGE_CORS_ORIGINS", f"{ORIGIN}/"),
        ("EDGE_CORS_ORIGINS", f"{ORIGIN}:443"),
        ("EDGE_CORS_ORIGINS", f"{ORIGIN}:x"),
        ("EDGE_CORS_ORIGINS", ORIGIN.upper()),
        ("EDGE_CORS_ORIGINS", "https://user@app.example.test"),
        ("EDGE_CORS_ORIGINS", "example.test"),
        ("EDGE_CORS_ORIGINS", "null"),
        ("EDGE_TRUSTED_PROXIES", "*"),
        ("EDGE_TRUSTED_PROXIES", "127.0.0.1, proxy.example.test"),
        ("EDGE_TRUSTED_PROXIES", "10.0.0.1/8"),
        ("EDGE_DRAIN_SECONDS", "soon"),
        ("EDGE_DRAIN_SECONDS", "nan"),
        ("EDGE_GRACE_SECONDS", "-1"),
        ("EDGE_GRACE_SECONDS", "inf"),
        ("EDGE_GRACE_SECONDS", "nan"),
        ("EDGE_MAX_REQUESTS", "0"),
        ("EDGE_FETCH_PORTS", "80,443,0"),
        ("EDGE_CLERK_WEBHOOK_SECRET", "whsec_x"),
        ("EDGE_CLERK_WEBHOOK_SECRET", "whsec_=="),
        ("EDGE_CLERK_WEBHOOK_SECRET", "whsec_c2VjcmV0,whsec_c2VjcmV0"),
        ("EDGE_STRIPE_WEBHOOK_SECRET", ","),
        ("EDGE_STRIPE_WEBHOOK_SECRET", "whsec_x,whsec_"),
        ("EDGE_STRIPE_WEBHOOK_SECRET", "whsec_x,"),
        ("WORKER_PORT", "65536"),
        ("WORKER_DB_URL", "db.example.test"),
        ("WORKER_AUTH_URL", "file:///etc/passwd"),
        ("WORKER_PUBLIC_URL", "javascript:alert(1)"),
        ("WORKER_MAIL_FROM", "nobody"),
        ("WORKER_MAIL_FROM", "a@example.com, b@example.com"),
        ("WORKER_MAIL_FROM", "Guild <guild>"),
        ("WORKER_SMTP_PORT", "smtp"),
        ("WORKER_SMTP_SECURITY", "ssl"),
        ("WORKER_CONCURRENCY", "0"),
        ("WORKER_HEARTBEAT", "20"),
    ],
)
def test_a_wrong_setting_is_named(name: str, value: str) -> None:
    with pytest.raises(SettingsError) as refusal:
        reader_of(name)(**{name: value})
    assert str(refusal.value).startswith(f"{name} must be ")
    assert ";" not in str(refusal.value)


KEYS = Keys.generate()
OTHER_KEYS = {
    "sb_publishable": KEYS.publishable,
    "sb_secret": KEYS.secret,
    "anon": KEYS.anon,
    "service_role": KEYS.service_role,
}
"""Keys of an installation, which are new at each run, by a name for the test."""


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *itertools.product(
            ("EDGE_PUBLISHABLE_KEY", "WORKER_PUBLISHABLE_KEY"),
            ("sb_secret", "service_role", "sk_test_x", "postgresql://edge:x@db/postgres"),
        ),
        *itertools.product(
            ("EDGE_METRICS_TOKEN", "EDGE_STRIPE_API_KEY", "WORKER_STRIPE_API_KEY", "WORKER_SMTP_PASSWORD"),
            ("sb_publishable", "anon", "pk_test_x"),
        ),
        *itertools.product(
            ("EDGE_STRIPE_WEBHOOK_SECRET", "EDGE_CLERK_WEBHOOK_SECRET"),
            ("sb_publishable", "pk_test_x", "sk_test_x", "whsec_"),
        ),
        ("EDGE_STRIPE_API_KEY", "whsec_x"),
    ],
)
def test_a_key_in_the_place_of_another_is_refused_and_not_shown(name: str, value: str) -> None:
    value = OTHER_KEYS.get(value, value)
    with pytest.raises(SettingsError) as refusal:
        reader_of(name)(**{name: value})
    assert name in str(refusal.value)
    assert value not in str(refusal.value).replace("whsec_...", "")


@pytest.mark.parametrize("key", ["sb_publishable", "anon"])
def test_both_forms_of_a_publishable_key_are_accepted(key: str) -> None:
    assert edge(EDGE_PUBLISHABLE_KEY=OTHER_KEYS[key])[EdgeSettings].publishable_key == OTHER_KEYS[key]


def test_all_faults_are_in_one_line_without_any_value() -> None:
    values = {
        "EDGE_PORT": "1",
        "EDGE_DB_URL": " ",
        "EDGE_API_URL": SECRET,
        "EDGE_PUBLISHABLE_KEY": SECRET,
        "EDGE_STRIPE_API_KEY": SECRET,
        "EDGE_STRIPE_APIKEY": SECRET,
        "EDGE_NONSENSE": SECRET,
        "EDGE_EMPTY": "",
        "PATH": SECRET,
    }
    with pytest.raises(SettingsError) as refusal:
        read_settings(values)
    message = str(refusal.value)
    assert SECRET not in message
    assert "\n" not in message
    required = {f"EDGE_{field.name.upper()}" for field in msgspec.structs.fields(EdgeSettings) if field.required}
    named = set(re.findall(r"EDGE_[A-Z_]+", message.replace("(is it EDGE_STRIPE_API_KEY?)", "")))
    assert named == (required - {"EDGE_PORT"}) | {"EDGE_STRIPE_API_KEY", "EDGE_STRIPE_APIKEY", "EDGE_NONSENSE"}
    assert "EDGE_DB_URL is not set" in message
    assert "EDGE_STRIPE_APIKEY is unknown (is it EDGE_STRIPE_API_KEY?)" in message


@pytest.mark.parametrize(("module", "prefix"), [("edge", "EDGE"), ("edge.worker", "WORKER")])
def test_a_process_with_wrong_settings_says_so_in_one_line(module: str, prefix: str) -> None:
    wrong = {"PATH": os.environ["PATH"], f"{prefix}_PORT": "1", f"{prefix}_DB_URL": SECRET, f"{prefix}_PROT": SECRET}
    done = subprocess.run(
        [sys.executable, "-m", module], cwd=ROOT, env=wrong, capture_output=True, text=True, check=False
    )
    assert done.returncode == os.EX_CONFIG
    [line] = done.stderr.splitlines()
    for name in ("DB_URL must be", "PUBLIC_URL is not set", f"PROT is unknown (is it {prefix}_PORT?)"):
        assert f"{prefix}_{name}" in line
    assert f"{prefix}_PORT must" not in line
    assert SECRET not in line


def test_settings_show_no_secret() -> None:
    settings = edge(
        EDGE_METRICS_TOKEN=SECRET,
        EDGE_STRIPE_API_KEY=f"sk_{SECRET}",
        EDGE_STRIPE_WEBHOOK_SECRET=f"whsec_{SECRET}",
        EDGE_DB_URL=f"postgresql://edge:{SECRET}@db.example.test/postgres",
    )
    own = worker(WORKER_SMTP_PASSWORD=SECRET)
    smtp = own[MailSettings].smtp
    assert smtp is not None
    assert smtp.password == SECRET
    for shown in (settings, settings[EdgeSettings], own, own[WorkerSettings], own[MailSettings], smtp):
        assert SECRET not in f"{shown!r} {shown}"


def test_lists_are_read() -> None:
    settings = edge(
        EDGE_CORS_ORIGINS=f" {ORIGIN} , http://localhost:3000,",
        EDGE_TRUSTED_PROXIES="127.0.0.1, 10.0.0.0/8,::1",
        EDGE_FETCH_PORTS="443",
    )[EdgeSettings]
    assert settings.cors_origins == (ORIGIN, "http://localhost:3000")
    assert [str(network) for network in settings.trusted_proxies] == ["127.0.0.1/32", "10.0.0.0/8", "::1/128"]
    assert settings.fetch_ports == (443,)
    assert edge(EDGE_CORS_ORIGINS="*")[EdgeSettings].cors_origins == ("*",)


def test_urls_lose_the_slash_at_their_end() -> None:
    assert settings_for(f"{NOWHERE}/")[EdgeSettings].api_url == NOWHERE
    assert worker()[MailSettings].sender.site == "https://guild.example.test"


@pytest.mark.parametrize(("security", "port"), [("", 587), ("starttls", 587), ("tls", 465), ("none", 25)])
def test_the_port_of_a_mail_server_follows_its_security(security: str, port: int) -> None:
    smtp = worker(WORKER_SMTP_SECURITY=security, WORKER_SMTP_PORT="")[MailSettings].smtp
    assert smtp is not None
    assert smtp.port == port


@pytest.mark.parametrize("value", ["", " "])
def test_a_provider_without_its_key_is_a_503_that_names_the_setting(value: str) -> None:
    settings = edge(EDGE_CLERK_WEBHOOK_SECRET=value)
    with pytest.raises(EdgeError) as refusal:
        required_setting(settings[IdentitySettings], "clerk_webhook_secret")
    assert (refusal.value.status, refusal.value.body.message) == (503, "provider_not_configured")
    assert "EDGE_CLERK_WEBHOOK_SECRET" in refusal.value.body.details
    secret = "whsec_c2VjcmV0"
    settings = edge(EDGE_CLERK_WEBHOOK_SECRET=secret)
    assert required_setting(settings[IdentitySettings], "clerk_webhook_secret") == secret


# The documentation


def written(default: Any) -> str:
    """A default as docs/deploy.md writes it."""
    match default:
        case None:
            return "none"
        case tuple():
            return f"`{','.join(text_of(each) for each in default)}`"
        case bool():
            return f"`{str(default).lower()}`"
        case float():
            return f"`{default:g}`"
        case _:
            return f"`{default}`"


def text_of(value: object) -> str:
    """One value of a list: an address is a network of one."""
    return str(value.network_address) if isinstance(value, Network) and value.num_addresses == 1 else str(value)


def declared(prefix: str, parts: list[type[BaseSettings]]) -> dict[str, str]:
    """The settings of a process, and their defaults as the documentation writes them."""
    return {
        f"{prefix}{field.name.upper()}": "required" if field.required else written(field.default)
        for part in parts
        for field in msgspec.structs.fields(part)
    }


def test_docs_list_every_setting_with_its_default() -> None:
    document = (ROOT / "docs" / "deploy.md").read_text()
    listed = [(row[1], row[2].strip()) for row in map(ROW.match, document.splitlines()) if row]
    assert len(listed) == len(dict(listed))
    http = [each.settings for each in packages.http_packages() if each.settings is not None]
    tasks = [each.settings for each in packages.worker_packages() if each.settings is not None]
    known = declared("EDGE_", [EdgeSettings, *http]) | declared("WORKER_", [WorkerSettings, *tasks])
    # The default depends on another setting.
    known["WORKER_SMTP_PORT"] = "by security"
    assert dict(listed) == known
