"""Settings: what is missing or wrong is named before anything starts, and docs/deploy.md lists them all."""

import re
from typing import Any

import msgspec
import pytest

from edge.errors import EdgeError
from edge.settings import Settings, SettingsError, variable
from stack.project import ROOT
from tests.edge.support import NOWHERE, ORIGIN, settings_for

ROW = re.compile(r"\| `(EDGE_[A-Z_]+)` \| ([^|]+) \| [^|]+ \|")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("EDGE_PORT", "65536"),
        ("EDGE_PORT", "-1"),
        ("EDGE_PORT", "http"),
        ("EDGE_PORT", "٨٠"),
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
        ("EDGE_GRACE_SECONDS", "-1"),
        ("EDGE_GRACE_SECONDS", "inf"),
        ("EDGE_GRACE_SECONDS", "nan"),
        ("EDGE_MAX_REQUESTS", "0"),
        ("EDGE_FETCH_PORTS", "80,443,0"),
    ],
)
def test_a_wrong_setting_is_named(name: str, value: str) -> None:
    with pytest.raises(SettingsError, match=name):
        settings_for(NOWHERE, **{name: value})


def test_every_missing_setting_is_named() -> None:
    with pytest.raises(SettingsError) as missing:
        Settings.from_mapping({"EDGE_PORT": "1", "EDGE_DB_URL": " "})
    required = {variable(field.name) for field in msgspec.structs.fields(Settings) if field.required}
    assert set(re.findall(r"EDGE_[A-Z_]+", str(missing.value))) == required - {"EDGE_PORT"}


def test_settings_show_no_secret() -> None:
    settings = settings_for(f"{NOWHERE}/", EDGE_METRICS_TOKEN="secret", EDGE_CLERK_WEBHOOK_SECRET="secret")
    assert "secret" not in repr(settings)
    assert settings.api_url == NOWHERE


def test_lists_are_read() -> None:
    settings = settings_for(
        NOWHERE,
        EDGE_CORS_ORIGINS=f" {ORIGIN} , http://localhost:3000,",
        EDGE_TRUSTED_PROXIES="127.0.0.1, 10.0.0.0/8,::1",
        EDGE_FETCH_PORTS="443",
    )
    assert settings.cors_origins == (ORIGIN, "http://localhost:3000")
    assert settings.trusted_proxies == ("127.0.0.1", "10.0.0.0/8", "::1")
    assert settings.fetch_ports == (443,)
    assert settings_for(NOWHERE, EDGE_CORS_ORIGINS="*").cors_origins == ("*",)


@pytest.mark.parametrize("value", ["", " "])
def test_a_provider_without_its_key_is_a_503_that_names_it(value: str) -> None:
    settings = settings_for(NOWHERE, EDGE_CLERK_WEBHOOK_SECRET=value)
    with pytest.raises(EdgeError) as refusal:
        settings.provider("clerk_webhook_secret")
    assert (refusal.value.status, refusal.value.body.message) == (503, "provider_not_configured")
    assert "EDGE_CLERK_WEBHOOK_SECRET" in refusal.value.body.details
    assert settings_for(NOWHERE, EDGE_CLERK_WEBHOOK_SECRET="whsec_x").provider("clerk_webhook_secret") == "whsec_x"


def written(default: Any) -> str:
    """A default as docs/deploy.md writes it."""
    if default is None:
        return "none"
    if isinstance(default, tuple):
        default = ",".join(map(str, default))
    return f"`{default:g}`" if isinstance(default, float) else f"`{default}`"


def test_docs_list_every_setting_with_its_default() -> None:
    document = (ROOT / "docs" / "deploy.md").read_text()
    listed = [(row[1], row[2].strip()) for row in map(ROW.match, document.splitlines()) if row]
    known = [
        (variable(field.name), "required" if field.required else written(field.default))
        for field in msgspec.structs.fields(Settings)
    ]
    assert listed == known
