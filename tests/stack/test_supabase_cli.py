"""Supabase's command line tool accepts the project unchanged, without Docker, network or account."""

from pathlib import Path

import psycopg
import pytest

from stack.database import migrate
from stack.paths import ROOT
from stack.tools.project import GUILDHALL
from tests.conftest import Stack
from tests.databases import Databases
from tests.security.catalog import shape
from tests.supabase_cli import supabase, supabase_json

VERSIONS = sorted(file.name.partition("_")[0] for file in GUILDHALL.migrations.glob("*.sql"))


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A folder with our supabase/ only, to which the tool adds its own files."""
    (tmp_path / "supabase").mkdir()
    for name in ("config.toml", "migrations", "seed.sql"):
        (tmp_path / "supabase" / name).symlink_to(ROOT / "supabase" / name)
    return tmp_path


def versions(url: str, project: Path) -> list[tuple[str, str]]:
    """The local and remote versions that `migration list` prints."""
    listed = supabase_json("migration", "list", url=url, home=project)["migrations"]
    return [(one["local"], one["remote"]) for one in listed]


def test_push_creates_the_same_database(databases: Databases, project: Path, live: psycopg.Connection) -> None:
    """A bootstrapped database takes the place of a new Supabase project."""
    with databases.bootstrapped() as name:
        url = databases.url(name, "postgres")
        assert versions(url, project) == [(version, "") for version in VERSIONS]
        supabase("db", "push", url=url, home=project)
        assert versions(url, project) == [(version, version) for version in VERSIONS]
        with psycopg.connect(databases.url(name)) as pushed:
            assert sorted(shape(pushed) ^ shape(live)) == []
        # Each accepts what the other applied.
        assert migrate(GUILDHALL.migrations, url) == []
        assert "up to date" in supabase("db", "push", url=url, home=project)


def test_push_has_nothing_to_add_to_the_running_stack(stack: Stack, project: Path) -> None:
    assert versions(stack.db_url, project) == [(version, version) for version in VERSIONS]
    assert "up to date" in supabase("db", "push", "--dry-run", url=stack.db_url, home=project)


def test_typescript_types_are_generated(stack: Stack, project: Path, live: psycopg.Connection) -> None:
    types = supabase("gen", "types", "typescript", "--schema", "public", url=stack.db_url, home=project)
    names = live.execute(
        "select relname from pg_catalog.pg_class where relnamespace = 'public'::regnamespace and relkind in ('r', 'v')"
        " union select proname from pg_catalog.pg_proc where pronamespace = 'public'::regnamespace"
        " union select typname from pg_catalog.pg_type where typnamespace = 'public'::regnamespace and typtype = 'e'"
    ).fetchall()
    assert len(names) > 20
    assert [name for (name,) in names if f'"{name}"' not in types] == []
    assert "is_passed" in types
    assert "mail_outbox" not in types
