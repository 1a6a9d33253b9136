"""Supabase's advisors (the splinter lints) find nothing in the running stack, and find every planted violation."""

from pathlib import Path

import psycopg
import pytest

from tests.conftest import Stack
from tests.databases import Databases
from tests.supabase_cli import supabase_json

NOT_APPLICABLE = {"unused_index"}
"""Every index of a database without traffic is unused."""

CANARIES = {
    "rls_disabled_in_public": "create table public.canary (id int primary key); grant select on public.canary to anon",
    "policy_exists_rls_disabled": "alter table public.categories disable row level security",
    "rls_enabled_no_policy": (
        "create table public.canary (id int primary key); alter table public.canary enable row level security"
    ),
    "rls_policy_always_true": "create policy canary on public.courses for update to authenticated using (true)",
    "multiple_permissive_policies": "create policy canary on public.courses for select to anon using (is_featured)",
    "auth_rls_initplan": "create policy canary on public.user_roles for update to anon using (user_id = auth.uid())",
    "rls_references_user_metadata": (
        "create policy canary on public.user_roles for update to anon"
        " using ((select auth.jwt()) -> 'user_metadata' ->> 'role' = 'admin')"
    ),
    "security_definer_view": (
        "create view public.canary as select * from public.accounts; grant select on public.canary to anon"
    ),
    "auth_users_exposed": (
        "create view public.canary as select id, email from auth.users; grant select on public.canary to anon"
    ),
    "sensitive_columns_exposed": (
        "create table public.canary (id int primary key, password text); grant select on public.canary to anon"
    ),
    "materialized_view_in_api": (
        "create materialized view public.canary as select 1 as one; grant select on public.canary to anon"
    ),
    "function_search_path_mutable": "create function public.canary() returns int language sql return 1",
    "unindexed_foreign_keys": (
        "alter table public.courses add constraint canary foreign key (language) references public.categories (slug)"
    ),
    "duplicate_index": "create index canary on public.courses (category_id)",
    "no_primary_key": "create table public.canary (id int)",
    "extension_in_public": "create extension hstore schema public",
}
"""SQL that violates each lint. Together they show that the advisors check the database at all."""


def found(url: str, home: Path) -> dict[str, list[str]]:
    """The findings of every level: details by the name of the lint."""
    results = supabase_json("db", "advisors", "--type", "all", "--level", "info", url=url, home=home)["results"]
    details: dict[str, list[str]] = {}
    for result in results:
        details.setdefault(result["name"], []).append(result["detail"])
    return details


def test_exposed_schemas_are_known(live: psycopg.Connection, databases: Databases) -> None:
    """Without this setting the lints about exposed objects find nothing."""
    assert live.execute("show pgrst.db_schemas").fetchone() == ("public",)
    with databases.cloned() as clone, psycopg.connect(databases.url(clone)) as connection:
        assert connection.execute("show pgrst.db_schemas").fetchone() == ("public",)


def test_advisors_find_nothing(stack: Stack, tmp_path: Path) -> None:
    findings = {name: details for name, details in found(stack.db_url, tmp_path).items() if name not in NOT_APPLICABLE}
    assert not findings, "\n".join(f"{name}: {each}" for name, details in findings.items() for each in details)


@pytest.fixture(scope="session")
def of_canaries(databases: Databases, tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[str]]:
    """The findings in a database with all canaries, each under a name of its own."""
    with databases.cloned() as clone:
        with psycopg.connect(databases.url(clone), autocommit=True) as connection:
            connection.execute("set search_path = ''")
            for number, planted in enumerate(CANARIES.values()):
                connection.execute(planted.replace("canary", f"canary_{number}").encode())
        return found(databases.url(clone, "postgres"), tmp_path_factory.mktemp("advisors"))


@pytest.mark.parametrize("lint", CANARIES)
def test_canary_is_caught(of_canaries: dict[str, list[str]], lint: str) -> None:
    assert lint in of_canaries
