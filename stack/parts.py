"""The parts of the stack beside Postgres: their commands, what they are told, and where they say that they are well."""

import os
import re
import sys
from collections.abc import Collection
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import msgspec

from stack import postgrest
from stack.errors import StackError
from stack.keys import Keys
from stack.ports import LOOPBACK, Ports
from stack.state import Folder, State

POSTGRES = "postgres"
STRIPE = "stripe"
DOUBLES = {STRIPE}
"""Parts that are run only where the environment has no keys of the provider that they play."""
MAIL_FROM = "Guildhall <guildhall@example.com>"
"""Who the local mail is from, where supabase/config.toml names nobody."""
REAL_STRIPE = (
    "STRIPE_API_KEY",
    "STRIPE_WEBHOOK_SECRET",
    "EDGE_STRIPE_API_KEY",
    "EDGE_STRIPE_WEBHOOK_SECRET",
    "JOBS_STRIPE_API_KEY",
)
"""Where the environment may hold what Stripe itself has given."""
EDGE_GRACE_SECONDS = 5
"""What requests under way in the edge get to finish; the supervisor waits a little longer."""
UNITS = {"": 1, "B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "KIB": 2**10, "MIB": 2**20, "GIB": 2**30}
SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """One process of the stack."""

    name: str
    command: tuple[str, ...]
    environment: dict[str, str]
    wave: int
    """Parts of a higher wave depend on those of a lower one, and are stopped before them."""


def parts(folder: Folder, state: State, keys: Keys, config: dict[str, Any]) -> list[Part]:
    """Every part beside Postgres, in the order in which to start them; writes PostgREST's configuration file.

    Args:
        folder: the stack's data folder.
        state: its ports and passwords.
        keys: its API keys.
        config: supabase/config.toml.

    Raises:
        StackError: a setting cannot be read, or PostgREST is not installed.
    """
    ports = state.ports
    api_url = base_url(ports.api)
    auth: dict[str, Any] = config["auth"]
    email: dict[str, Any] = auth["email"]
    stripe_doubled, edge_stripe, worker_stripe = _stripe(state)
    rest_settings = folder.path / "postgrest.conf"
    postgrest.write_settings(rest_settings, state=state, folder=folder, api=config["api"])
    return [
        _service(
            "mailbox",
            MAILBOX_WEB_PORT=ports.mail,
            MAILBOX_SMTP_PORT=ports.smtp,
            MAILBOX_FOLDER=folder.mailbox,
        ),
        _service(
            "auth",
            AUTH_PORT=ports.auth,
            AUTH_DB_URL=state.database_url("supabase_auth_admin"),
            AUTH_KEYS_FILE=folder.keys_file,
            AUTH_EXTERNAL_URL=f"{api_url}/auth/v1",
            AUTH_SITE_URL=auth["site_url"],
            AUTH_REDIRECT_URLS=",".join(auth["additional_redirect_urls"]),
            AUTH_JWT_EXPIRY=auth["jwt_expiry"],
            AUTH_AUTOCONFIRM=not email["enable_confirmations"],
            AUTH_MIN_PASSWORD_LENGTH=auth["minimum_password_length"],
            AUTH_ANONYMOUS=auth["enable_anonymous_sign_ins"],
            AUTH_SIGNUP=auth["enable_signup"] and email["enable_signup"],
            AUTH_REFRESH_REUSE_INTERVAL=auth["refresh_token_reuse_interval"],
            AUTH_OTP_EXPIRY=email["otp_expiry"],
            AUTH_HOOK_ACCESS_TOKEN=_hook(auth.get("hook", {}).get("custom_access_token", {})),
            AUTH_HOOK_PASSWORD_ATTEMPT=_hook(auth.get("hook", {}).get("password_verification_attempt", {})),
            AUTH_SMTP_HOST=LOOPBACK,
            AUTH_SMTP_PORT=ports.smtp,
            AUTH_MAIL_FROM=MAIL_FROM,
            AUTH_MAX_FREQUENCY=f"{duration(email['max_frequency']):g}",
            **_rate_limits(auth["rate_limit"]),
        ),
        _service(
            "storage",
            STORAGE_PORT=ports.storage,
            STORAGE_DB_URL=state.database_url("supabase_storage_admin"),
            STORAGE_KEYS_FILE=folder.keys_file,
            STORAGE_FILES=folder.storage,
            STORAGE_FILE_SIZE_LIMIT=size(config["storage"]["file_size_limit"]),
        ),
        *([_stripe_double(folder, state)] if stripe_doubled else []),
        Part(
            name="postgrest",
            command=(str(postgrest.binary()), str(rest_settings)),
            # Nothing of ours: its own PGRST_ and libpq's PG variables would override the file.
            environment={"PATH": os.environ.get("PATH", os.defpath), "LANG": "C.UTF-8"},
            wave=1,
        ),
        _service(
            "gateway",
            wave=3,
            GATEWAY_PORT=ports.api,
            GATEWAY_KEYS_FILE=folder.keys_file,
            GATEWAY_REST_URL=base_url(ports.rest),
            GATEWAY_AUTH_URL=base_url(ports.auth),
            GATEWAY_STORAGE_URL=base_url(ports.storage),
            GATEWAY_EDGE_URL=base_url(ports.edge),
        ),
        _service(
            "edge",
            module="edge",
            wave=2,
            EDGE_PORT=ports.edge,
            EDGE_DB_URL=state.database_url("edge"),
            EDGE_API_URL=api_url,
            EDGE_REST_URL=base_url(ports.rest),
            EDGE_JWKS_URL=jwks_url(ports.api),
            EDGE_JWT_ISSUER=f"{api_url}/auth/v1",
            EDGE_PUBLISHABLE_KEY=keys.publishable,
            EDGE_CORS_ORIGINS=",".join(_origins(auth)),
            EDGE_PUBLIC_URL=auth["site_url"],
            EDGE_DRAIN_SECONDS=0,
            EDGE_GRACE_SECONDS=EDGE_GRACE_SECONDS,
            **edge_stripe,
        ),
        _service(
            "worker",
            module="edge.jobs",
            wave=2,
            JOBS_PORT=ports.worker,
            JOBS_DB_URL=state.database_url("worker"),
            JOBS_AUTH_URL=f"{api_url}/auth/v1",
            JOBS_PUBLISHABLE_KEY=keys.publishable,
            JOBS_PUBLIC_URL=auth["site_url"],
            JOBS_MAIL_FROM=MAIL_FROM,
            JOBS_SMTP_HOST=LOOPBACK,
            JOBS_SMTP_PORT=ports.smtp,
            JOBS_SMTP_SECURITY="none",
            **worker_stripe,
        ),
    ]


def health(ports: Ports, running: Collection[str]) -> dict[str, tuple[int, str]]:
    """Where each part beside Postgres says whether it can do its work: a port, and a path that answers 200.

    Args:
        ports: of the stack.
        running: the names of the parts that run; doubles are asked only where they do.
    """
    places = {
        "mailbox": (ports.mail, "/health"),
        "auth": (ports.auth, "/ready"),
        "storage": (ports.storage, "/ready"),
        "postgrest": (ports.rest_admin, "/ready"),
        "gateway": (ports.api, "/health"),
        "edge": (ports.edge, "/ready"),
        "worker": (ports.worker, "/ready"),
        STRIPE: (ports.stripe, "/health"),
    }
    return {name: place for name, place in places.items() if name not in DOUBLES or name in running}


def base_url(port: int) -> str:
    """The address of a server on loopback."""
    return f"http://{LOOPBACK}:{port}"


def jwks_url(api_port: int) -> str:
    """Where clients fetch the public keys of a stack."""
    return f"{base_url(api_port)}/auth/v1/.well-known/jwks.json"


def _service(
    name: str,
    *,
    module: str | None = None,
    wave: int = 1,
    **settings: str | int | Path,
) -> Part:
    """A part of ours: it inherits the environment, where providers' keys are, and its own settings come on top."""
    own = {key: str(value).lower() if isinstance(value, bool) else str(value) for key, value in settings.items()}
    return Part(
        name=name,
        command=(sys.executable, "-m", module or f"stack.{name}"),
        environment={**os.environ, **own},
        wave=wave,
    )


def _stripe(state: State) -> tuple[bool, dict[str, str], dict[str, str]]:
    """Whether Stripe is doubled, and what the edge and the worker are told of it.

    Keys in the environment are real ones: of the edge by its own name, or of whatever asks Stripe here.
    """
    given = {name: os.environ.get(name, "").strip() for name in REAL_STRIPE}
    key = given["EDGE_STRIPE_API_KEY"] or given["STRIPE_API_KEY"]
    if key:
        secret = given["EDGE_STRIPE_WEBHOOK_SECRET"] or given["STRIPE_WEBHOOK_SECRET"]
        worker_key = given["JOBS_STRIPE_API_KEY"] or key
        edge = {"EDGE_STRIPE_API_KEY": key} | ({"EDGE_STRIPE_WEBHOOK_SECRET": secret} if secret else {})
        return False, edge, {"JOBS_STRIPE_API_KEY": worker_key}
    key, url = state.double_keys["stripe_api_key"], base_url(state.ports.stripe)
    edge = {
        "EDGE_STRIPE_API_KEY": key,
        "EDGE_STRIPE_API_URL": url,
        "EDGE_STRIPE_WEBHOOK_SECRET": state.double_keys["stripe_webhook_secret"],
    }
    return True, edge, {"JOBS_STRIPE_API_KEY": key, "JOBS_STRIPE_API_URL": url}


def _stripe_double(folder: Folder, state: State) -> Part:
    return _service(
        STRIPE,
        module="stack.doubles.stripe",
        DOUBLE_STRIPE_PORT=state.ports.stripe,
        DOUBLE_STRIPE_FOLDER=folder.stripe,
        DOUBLE_STRIPE_PUBLIC_URL=base_url(state.ports.stripe),
        DOUBLE_STRIPE_API_KEY=state.double_keys["stripe_api_key"],
        DOUBLE_STRIPE_WEBHOOK_SECRET=state.double_keys["stripe_webhook_secret"],
        DOUBLE_STRIPE_WEBHOOK_URL=f"{base_url(state.ports.api)}/functions/v1/webhooks/stripe",
    )


def _rate_limits(settings: dict[str, Any]) -> dict[str, Any]:
    """The limits of auth. The environment's go before the project's: a load test must not need to edit the project."""
    project = {f"AUTH_{name.upper()}": value for name, value in settings.items()}
    return {name: os.environ.get(name, value) for name, value in project.items()}


def _origins(auth: dict[str, Any]) -> list[str]:
    """The sites of the project, from the addresses to which auth may lead; patterns of hosts name no site."""
    found = {}
    for address in (auth["site_url"], *auth["additional_redirect_urls"]):
        url = urlsplit(address)
        if url.scheme in {"http", "https"} and "*" not in url.netloc:
            found[f"{url.scheme}://{url.netloc}"] = True
    return list(found)


def _hook(settings: dict[str, Any]) -> str:
    """The function of an auth hook as `schema.name`; empty where it is not enabled."""
    if not settings.get("enabled"):
        return ""
    named = re.fullmatch(r"pg-functions://[^/]+/(?P<schema>[^/]+)/(?P<name>[^/]+)", settings["uri"])
    if named is None:
        raise StackError("supabase/config.toml: the hook's uri is not pg-functions://postgres/<schema>/<function>")
    return f"{named['schema']}.{named['name']}"


def size(text: str | int) -> int:
    """Bytes, from the way in which supabase/config.toml writes a size: 50MiB.

    Raises:
        StackError: it is no size.
    """
    read = re.fullmatch(r"(\d+)\s*([A-Za-z]*)", str(text).strip())
    if read is None or read[2].upper() not in UNITS:
        raise StackError(f"supabase/config.toml: {text!r} is not a size such as 50MiB")
    return int(read[1]) * UNITS[read[2].upper()]


def duration(text: str) -> float:
    """Seconds, from the way in which supabase/config.toml writes a duration: 1m30s.

    Raises:
        StackError: it is no duration.
    """
    pieces = re.findall(r"(\d+(?:\.\d+)?)(ms|s|m|h)", text)
    if not pieces or "".join(number + unit for number, unit in pieces) != text:
        raise StackError(f"supabase/config.toml: {text!r} is not a duration such as 60s")
    return sum(float(number) * SECONDS[unit] for number, unit in pieces)
