"""`./guildhall new`: the files of a new table, as stubs that fail until somebody has decided what they leave open."""

import re
from collections.abc import Iterator
from pathlib import Path

from stack.errors import StackError
from stack.tools.reference.domains import read_domains

MARK = "DECIDE"
"""Begins each decision that a stub leaves open. `undecided` lists them, and a test fails while there are any."""
NAME = re.compile(r"[a-z][a-z0-9]*(?:_[a-z0-9]+)*")
LONGEST_NAME = 40
"""Postgres cuts names after 63 bytes, and constraints append to this one."""
VERSION = re.compile(r"(\d{14})_([a-z]+)_\w+\.sql")
STEP = 10
"""Between the versions of migrations, so that others fit in."""

MIGRATION = """\
-- {Domain}: DECIDE what {name} are, in a few words.

create table public.{name} (
    id uuid default gen_random_uuid() constraint {name}_pkey primary key,
    -- DECIDE whose a row is, and what happens to it when that person is deleted.
    owner_id uuid not null
    constraint {name}_owner_id_fkey references public.profiles (id) on delete cascade,
    -- DECIDE the columns, each with a bound.
    title text not null constraint {name}_title_check check (char_length(title) between 1 and 200),
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now()
);
comment on table public.{name} is
'DECIDE what a row is, who reads it, and what writes it.';
comment on column public.{name}.owner_id is 'DECIDE whom a row belongs to.';
comment on column public.{name}.title is 'DECIDE what the title says, and where it is shown.';
alter table public.{name} enable row level security;
revoke all on public.{name} from anon, authenticated, service_role;
create index {name}_owner_id_idx on public.{name} (owner_id, created_at);
comment on index public.{name}_owner_id_idx is 'DECIDE the query: owner_id=eq.&order=created_at; the foreign key';
create trigger _200_set_updated_at before update on public.{name}
for each row execute function private.tg__set_updated_at();
"""
POLICY = """\
select private.close_table('public.{name}');

-- DECIDE who reads a row.
create policy {name}_select_owner on public.{name} for select to authenticated
using (owner_id = (select auth.uid()));

-- DECIDE who inserts, updates and deletes: a policy and a grant of columns for each, or a line that says why not.

grant select on public.{name} to authenticated;
grant select on public.{name} to service_role;
"""
TEST = '''\
"""DECIDE what {name} are."""

import pytest

from tests.people import Academy


def test_owner_does_what_the_table_is_for(academy: Academy) -> None:
    owner = academy.member()
    answer = academy.call(owner, "GET", f"/rest/v1/{name}?owner_id=eq.{{owner.id}}")
    assert answer.status_code == 200, answer.text
    pytest.fail("DECIDE what the owner of {name} does, and check answers and rows")


def test_strangers_are_refused(academy: Academy) -> None:
    answer = academy.call(None, "GET", "/rest/v1/{name}")
    assert answer.status_code == 401, answer.text
    pytest.fail("DECIDE what strangers try with {name}: each call is refused")
'''
PRIVILEGES = "table public.{name} authenticated: DECIDE which verbs and columns"
ACCESS_MATRIX = "{name} select members: DECIDE whose rows they see"
NOT_STUBS = ("20991231235959_policies_sealed.sql", "test_new.py")
NEXT_STEPS = """\
./guildhall policies                # compile policies/ into the last migration
./guildhall reset                   # remake the database of the running stack
./guildhall reference               # write the generated pages
./guildhall test tests/security/test_privileges.py tests/security/test_access_matrix.py --update
./guildhall test tests/{domain}/test_{name}.py"""
"""The commands that follow the decisions."""
LISTS = {
    "tests/security/privileges": PRIVILEGES,
    "tests/security/access_matrix": ACCESS_MATRIX,
}
"""The reviewed lists with one file for each domain, and the line that a table adds to each."""


def new_table(root: Path, name: str, domain: str) -> list[Path]:
    """Write the stubs of a table; returns the files written, relative to the project.

    Args:
        root: the project.
        name: the table's name, plural, without its schema.
        domain: one of those that have migrations.

    Raises:
        StackError: the name or the domain will not do, or a file of the table is there already.
    """
    domains = read_domains(root / "supabase" / "migrations", root / "policies")
    if domain not in domains.names:
        raise StackError(f"there is no domain {domain!r}: the domains are {', '.join(domains.names)}")
    if not NAME.fullmatch(name) or len(name) > LONGEST_NAME:
        raise StackError(f"{name!r} is no name of a table: lower case, plural, at most {LONGEST_NAME} letters")
    if domains.of(f"public.{name}") is not None or domains.of(f"private.{name}") is not None:
        raise StackError(f"there is a table, view or function named {name} already")
    words = {"name": name, "Domain": domain.capitalize()}
    files = {
        f"supabase/migrations/{_next_version(root, domain)}_{domain}_{name}.sql": MIGRATION,
        f"policies/{domain}/{name}.sql": POLICY,
        f"tests/{domain}/test_{name}.py": TEST,
    }
    taken = [path for path in files if (root / path).exists()]
    if taken:
        raise StackError(f"{taken[0]} is there already")
    for path, template in files.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(template.format(**words))
    lists = {f"{folder}/{domain}.txt": line for folder, line in LISTS.items()}
    for path, line in lists.items():
        with (root / path).open("a") as file:
            file.write(f"\n{line.format(**words)}\n")
    return [Path(path) for path in (*files, *lists)]


def _next_version(root: Path, domain: str) -> str:
    """A version after the domain's last migration and before the next domain's first."""
    versions = sorted(
        (int(found[1]), found[2])
        for found in map(VERSION.fullmatch, (file.name for file in (root / "supabase" / "migrations").glob("*.sql")))
        if found is not None
    )
    last = max(version for version, owner in versions if owner == domain)
    following = [version for version, _ in versions if version > last]
    for version in (last + STEP, last + 1):
        if not following or version < following[0]:
            return str(version)
    raise StackError(f"there is no room for a migration after {last}: rename it, before 1.0 migrations change in place")


def undecided(root: Path) -> list[str]:
    """Every line of the project that a stub left open, as `file:line: text`. The test of the stubs is left out."""
    return [
        f"{file.relative_to(root)}:{number}: {line.strip()}"
        for file in _files(root)
        for number, line in enumerate(file.read_text().splitlines(), start=1)
        if f"{MARK} " in line
    ]


def _files(root: Path) -> Iterator[Path]:
    for folder, pattern in (("supabase", "*.sql"), ("policies", "*.sql"), ("tests", "*.txt"), ("tests", "test_*.py")):
        yield from sorted(file for file in (root / folder).rglob(pattern) if file.name not in NOT_STUBS)
