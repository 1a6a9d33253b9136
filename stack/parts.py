"""The processes of a stack: Supabase's own parts, and those that the project adds."""

import os
import signal
import sys
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import msgspec

from stack import postgrest
from stack.config import Auth, Config, duration, size
from stack.keys import Keys
from stack.paths import ROOT
from stack.ports import LOOPBACK, Ports
from stack.postgres import Cluster, run_as
from stack.project import Double, ExtraPart, Project
from stack.state import Folder, State

POSTGRES = "postgres"
POSTGREST = "postgrest"
FUNCTIONS_PART = "edge"
"""The project's part of this name serves /functions/v1."""
FORM_BYTES = 2**20
"""What an upload may have beside its file."""


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """One process of the stack."""

    name: str
    command: tuple[str, ...]
    environment: dict[str, str]
    wave: int
    """Parts of a higher wave depend on parts of a lower one, and stop before them."""
    working_folder: Path = ROOT
    run_as: dict[str, Any] = {}
    """`subprocess` arguments that choose the user."""
    restartable_error: str = ""
    """An exit with this text in the last line of its log does not count as a failure to stay up."""
    stop_signal: signal.Signals = signal.SIGTERM
    stop_seconds: float = 8
    """How long it may take to end after `stop_signal`."""
    kill_signal: signal.Signals = signal.SIGKILL
    """What ends it at once: sent when `stop_seconds` are over, and by Linux when the supervisor dies."""


class Probe(msgspec.Struct, frozen=True):
    """The port and path that answer 200 when a part is ready."""

    port: int
    path: str


def postgres_part(cluster: Cluster) -> Part:
    """The process of a cluster."""
    return Part(
        name=POSTGRES,
        command=tuple(cluster.command()),
        environment={"PATH": os.environ.get("PATH", os.defpath), "TZ": "UTC", "LC_ALL": "C"},
        wave=0,
        working_folder=Path("/"),
        run_as=dict(run_as()),
        # It refuses to start while children of a killed server finish their last statement.
        restartable_error="pre-existing shared memory block",
        stop_signal=signal.SIGINT,  # ends sessions and writes a checkpoint; SIGTERM would wait for the sessions
        stop_seconds=30,
        kill_signal=signal.SIGQUIT,  # ends its children too, without a checkpoint
    )


def parts(project: Project, folder: Folder, state: State, keys: Keys) -> list[Part]:
    """Every part beside Postgres, in the order in which to start them; writes PostgREST's configuration file.

    Args:
        project: what the stack runs.
        folder: the stack's data folder.
        state: its ports and passwords.
        keys: its API keys.

    Raises:
        StackError: a setting cannot be read, or PostgREST is not installed.
    """
    doubles = running_doubles(project)
    return [
        *_supabase_parts(project, folder, state),
        *(_double_part(project, double, folder, state, keys) for double in doubles),
        *(_project_part(project, part, doubles, state, keys) for part in project.parts),
    ]


def running_doubles(project: Project, environment: Mapping[str, str] = os.environ) -> list[Double]:
    """The doubles to run: those whose provider has no key in the environment."""
    return [
        double for double in project.doubles if not any(environment.get(name, "").strip() for name in double.real_keys)
    ]


def probes(project: Project, base: int, running: Collection[str]) -> dict[str, Probe]:
    """The probe of each part other than Postgres.

    Args:
        project: what the stack runs.
        base: the stack's first port.
        running: the names of the parts that run. Doubles that do not run are left out.
    """
    ports = Ports(base=base)
    doubles = [double for double in project.doubles if double.name in running]
    return {
        "mailbox": Probe(ports.mail, "/health"),
        "auth": Probe(ports.auth, "/ready"),
        "storage": Probe(ports.storage, "/ready"),
        POSTGREST: Probe(ports.rest_admin, "/ready"),
        "gateway": Probe(ports.api, "/health"),
        **{part.name: Probe(base + part.port_offset, part.health_path) for part in (*project.parts, *doubles)},
    }


def base_url(port: int) -> str:
    """The address of a server on loopback."""
    return f"http://{LOOPBACK}:{port}"


def jwks_url(api_port: int) -> str:
    """Where clients fetch the public keys of a stack."""
    return f"{base_url(api_port)}/auth/v1/.well-known/jwks.json"


def variables(config: Config, state: State, keys: Keys) -> dict[str, str]:
    """The names that the templates of every extra part may use."""
    api_url = base_url(state.ports.api)
    return {
        "api_url": api_url,
        "auth_url": f"{api_url}/auth/v1",
        "functions_url": f"{api_url}/functions/v1",
        "storage_url": f"{api_url}/storage/v1",
        "rest_url": base_url(state.ports.rest),
        "jwks_url": jwks_url(state.ports.api),
        "publishable_key": keys.publishable,
        "site_url": config.auth.site_url,
        "site_origins": ",".join(config.auth.origins()),
        "mail_from": config.mail_from,
        "smtp_host": LOOPBACK,
        "smtp_port": str(state.ports.smtp),
    }


def _supabase_parts(project: Project, folder: Folder, state: State) -> list[Part]:
    ports, config = state.ports, project.config
    rest_settings = folder.path / "postgrest.conf"
    postgrest.write_settings(rest_settings, state=state, folder=folder, api=config.api)
    serves_functions = any(part.name == FUNCTIONS_PART for part in project.parts)
    return [
        _service(
            "mailbox",
            {
                "MAILBOX_WEB_PORT": ports.mail,
                "MAILBOX_SMTP_PORT": ports.smtp,
                "MAILBOX_FOLDER": folder.mailbox,
            },
        ),
        _service("auth", _auth_settings(config, folder, state)),
        _service(
            "storage",
            {
                "STORAGE_PORT": ports.storage,
                "STORAGE_DB_URL": state.database_url("supabase_storage_admin"),
                "STORAGE_KEYS_FILE": folder.keys_file,
                "STORAGE_EXTRA_ROLES": ",".join(project.token_roles()),
                "STORAGE_FILES": folder.storage,
                "STORAGE_FILE_SIZE_LIMIT": size(config.storage.file_size_limit),
            },
        ),
        Part(
            name=POSTGREST,
            command=(str(postgrest.binary()), str(rest_settings)),
            # Without our environment: its own PGRST_ and libpq's PG variables would override the file. A larger
            # allocation area of its garbage collector saves 6 to 9 % of CPU a request, for 33 MB.
            environment={"PATH": os.environ.get("PATH", os.defpath), "LANG": "C.UTF-8", "GHCRTS": "-A16m"},
            wave=1,
        ),
        _service(
            "gateway",
            {
                "GATEWAY_PORT": ports.api,
                "GATEWAY_KEYS_FILE": folder.keys_file,
                "GATEWAY_REST_URL": base_url(ports.rest),
                "GATEWAY_AUTH_URL": base_url(ports.auth),
                "GATEWAY_STORAGE_URL": base_url(ports.storage),
                "GATEWAY_STORAGE_BODY": size(config.storage.file_size_limit) + FORM_BYTES,
                "GATEWAY_EDGE_URL": base_url(project.port(state.port, FUNCTIONS_PART)) if serves_functions else "",
            },
            wave=3,
        ),
    ]


def _auth_settings(config: Config, folder: Folder, state: State) -> Mapping[str, str | int | Path]:
    auth: Auth = config.auth
    return {
        "AUTH_PORT": state.ports.auth,
        "AUTH_DB_URL": state.database_url("supabase_auth_admin"),
        "AUTH_KEYS_FILE": folder.keys_file,
        "AUTH_EXTERNAL_URL": f"{base_url(state.ports.api)}/auth/v1",
        "AUTH_SITE_URL": auth.site_url,
        "AUTH_REDIRECT_URLS": ",".join(auth.additional_redirect_urls),
        "AUTH_JWT_EXPIRY": auth.jwt_expiry,
        "AUTH_AUTOCONFIRM": not auth.email.enable_confirmations,
        "AUTH_MIN_PASSWORD_LENGTH": auth.minimum_password_length,
        "AUTH_ANONYMOUS": auth.enable_anonymous_sign_ins,
        "AUTH_SIGNUP": auth.enable_signup and auth.email.enable_signup,
        "AUTH_REFRESH_REUSE_INTERVAL": auth.refresh_token_reuse_interval,
        "AUTH_OTP_EXPIRY": auth.email.otp_expiry,
        "AUTH_HOOK_ACCESS_TOKEN": auth.hook.custom_access_token.function(),
        "AUTH_HOOK_PASSWORD_ATTEMPT": auth.hook.password_verification_attempt.function(),
        "AUTH_MFA_TOTP_ENROLL": auth.mfa.totp.enroll_enabled,
        "AUTH_MFA_TOTP_VERIFY": auth.mfa.totp.verify_enabled,
        "AUTH_MFA_MAX_ENROLLED_FACTORS": auth.mfa.max_enrolled_factors,
        "AUTH_SMTP_HOST": LOOPBACK,
        "AUTH_SMTP_PORT": state.ports.smtp,
        "AUTH_MAIL_FROM": config.mail_from,
        "AUTH_MAX_FREQUENCY": f"{duration(auth.email.max_frequency):g}",
        # The environment takes precedence: a load test must not have to edit the project.
        **{
            name: os.environ.get(name, limit)
            for name, limit in (
                (f"AUTH_{field.upper()}", limit) for field, limit in msgspec.structs.asdict(auth.rate_limit).items()
            )
        },
    }


def _service(name: str, settings: Mapping[str, str | int | Path], *, wave: int = 1) -> Part:
    """A part of Supabase's that the stack implements. It inherits the environment; its settings take precedence."""
    own = {key: str(value).lower() if isinstance(value, bool) else str(value) for key, value in settings.items()}
    return Part(
        name=name,
        command=(sys.executable, "-m", f"stack.{name}"),
        environment={**os.environ, **own},
        wave=wave,
    )


def _project_part(project: Project, part: ExtraPart, doubles: list[Double], state: State, keys: Keys) -> Part:
    names = variables(project.config, state, keys)
    if part.database_role is not None:
        names["database_url"] = state.database_url(part.database_role)
    if part.token_role is not None:
        names["token"] = keys.api_token(part.token_role)
    environment = _filled(part.environment, names | _own_variables(part, state))
    for double in project.doubles:
        if double in doubles:
            templates = double.callers.get(part.name, {})
            environment |= _filled(templates, names | _own_variables(double, state) | _double_keys(double, state))
        else:
            environment |= _real_values(double.real_callers.get(part.name, {}))
    return _extra_part(project, part, environment)


def _double_part(project: Project, double: Double, folder: Folder, state: State, keys: Keys) -> Part:
    names = variables(project.config, state, keys) | _own_variables(double, state) | _double_keys(double, state)
    return _extra_part(
        project, double, _filled(double.environment, names | {"folder": str(folder.double(double.name))})
    )


def _extra_part(project: Project, part: ExtraPart, environment: dict[str, str]) -> Part:
    return Part(
        name=part.name,
        command=(sys.executable, "-m", part.module),
        environment={**_inherited(project), **environment},
        wave=part.wave,
        working_folder=project.folder,
    )


def _inherited(project: Project) -> dict[str, str]:
    """Our environment without the addresses that `status --env` sets in a shell: they are no settings of a part."""
    addresses = {part.address_name for part in project.extra_parts()}
    return {name: value for name, value in os.environ.items() if name not in addresses}


def _own_variables(part: ExtraPart, state: State) -> dict[str, str]:
    port = state.port + part.port_offset
    return {"port": str(port), "url": base_url(port)}


def _double_keys(double: Double, state: State) -> dict[str, str]:
    return {key: state.double_keys[double.key_name(key)] for key in double.keys}


def _filled(templates: Mapping[str, str], names: Mapping[str, str]) -> dict[str, str]:
    return {variable: template.format_map(names) for variable, template in templates.items()}


def _real_values(sources: Mapping[str, tuple[str, ...]]) -> dict[str, str]:
    """The variables of which one of the sources is set."""
    found = {}
    for variable, names in sources.items():
        value = next((text for name in names if (text := os.environ.get(name, "").strip())), "")
        if value:
            found[variable] = value
    return found
