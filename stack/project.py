"""Where things lie in the checkout."""

import tomllib
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
MIGRATIONS = ROOT / "supabase" / "migrations"
SEED = ROOT / "supabase" / "seed.sql"
POLICIES = ROOT / "policies"
BOOTSTRAP = ROOT / "stack" / "bootstrap"
DEFAULT_DATA = ROOT / ".guildhall"


def supabase_config() -> dict[str, Any]:
    """supabase/config.toml, which the stack and the Supabase CLI both obey."""
    with (ROOT / "supabase" / "config.toml").open("rb") as file:
        return tomllib.load(file)
