"""What privileges, row level security and functions leave to each person equals the reviewed access matrix."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import psycopg
import pytest

from stack.tools.policies import POLICIES
from tests.databases import Databases
from tests.security import schema
from tests.security.access_probe import Probe, ProbeDatabase, probe_all, probe_as
from tests.security.conftest import Review
from tests.security.domains import domain_of
from tests.security.probe_database import probe_database
from tests.security.reviewed import ACCESS_MATRIX


@pytest.fixture(scope="module")
def outcomes(probed: ProbeDatabase) -> tuple[set[str], list[str]]:
    """The outcomes of trying everything as everybody, and the leaks."""
    return probe_all(probed)


def test_every_table_has_rows_to_probe(probed: ProbeDatabase) -> None:
    # A view may show rows to their owners only, and none to the superuser who counts here.
    empty = [table.name for table in probed.tables.values() if not table.rows and not table.is_view]
    advice = [f"add rows of several people in tests/security/worlds/{domain_of(name)}.py: {name}" for name in empty]
    assert not advice, "\n".join(advice)


def test_outcomes_are_those_reviewed(outcomes: tuple[set[str], list[str]], review: Review) -> None:
    review(ACCESS_MATRIX, outcomes[0])


def test_no_way_shows_more_than_a_select(outcomes: tuple[set[str], list[str]]) -> None:
    assert not outcomes[1], "\n".join(outcomes[1])


@pytest.mark.parametrize("person", ["student", "superadmin"])
def test_functions_bear_anything(probed: ProbeDatabase, person: str) -> None:
    probe = Probe(probed, person)
    for function in probed.functions.values():
        probe.fuzz(function)
    assert not probe.leaks, "\n".join(probe.leaks)


HOLES = {
    "quiz_attempts select": (
        "create policy planted on public.quiz_attempts for select to authenticated using (true)",
        "free.student*2 free.suspended",
    ),
    "certificates update": (
        "grant update on public.certificates to authenticated;"
        " create policy planted on public.certificates for all to authenticated using (true)",
        "free.student free.suspended",
    ),
    "courses update": (
        "create policy planted on public.courses for update to authenticated using (true)",
        "unseen*3",
    ),
    "quizzes delete": (
        "create policy planted on public.quizzes for delete to authenticated using (true)",
        "paid; refused 23503",
    ),
    "enrolments insert": (
        "grant insert on public.enrolments to authenticated;"
        " create policy planted on public.enrolments for insert to authenticated with check (true)",
        "refused 23505",
    ),
    "lesson_contents upsert": (
        "create policy planted on public.lesson_contents for all to authenticated using (true)",
        "draft free old other paid",
    ),
    "courses move": (
        "grant update (creator_id) on public.courses to authenticated;"
        " create policy planted on public.courses for update to authenticated using (true)",
        "free.creator->stranger",
    ),
}
"""SQL that makes a hole, and what the stranger then achieves, by the table and request that find it."""


@contextmanager
def hole_in(target: ProbeDatabase, databases: Databases, table: str, planted: str) -> Iterator[Probe]:
    """The stranger's probe of a database with a hole in one table, after all tables were selected."""
    with psycopg.connect(databases.url(target.database), autocommit=True) as connection:
        connection.execute(planted.encode())
        try:
            probe = Probe(msgspec.structs.replace(target, tables=schema.tables(connection)), "stranger")
            for each in probe.target.tables.values():
                probe.select(each)
            yield probe
        finally:
            connection.execute("set role postgres")
            (file,) = POLICIES.glob(f"*/{table}.sql")
            connection.execute(file.read_bytes())


@pytest.mark.parametrize("hole", HOLES)
def test_hole_is_found(probed: ProbeDatabase, databases: Databases, hole: str) -> None:
    planted, gained = HOLES[hole]
    name, _, request = hole.partition(" ")
    assert gained not in " ".join(line for line in ACCESS_MATRIX.lines() if line.startswith(f"{hole} members"))
    with hole_in(probed, databases, name, planted) as probe:
        outcome = getattr(probe, request)(probe.target.tables[name])
    assert gained in str(outcome)


@pytest.mark.parametrize(
    ("condition", "way"),
    [
        ("(select current_setting('request.path', true)) <> '/quiz_attempts'", "embed"),
        ("(select current_setting('request.headers', true)) like '%count=exact%'", "count"),
        ("(select current_setting('request.headers', true)) like '%text/csv%'", "csv"),
    ],
)
def test_leak_by_another_way_is_found(probed: ProbeDatabase, databases: Databases, condition: str, way: str) -> None:
    planted = f"create policy planted on public.quiz_attempts for select to authenticated using ({condition})"
    with hole_in(probed, databases, "quiz_attempts", planted) as probe:
        probe.read_otherwise(probe.target.tables["quiz_attempts"])
    assert [leak for leak in probe.leaks if leak.startswith(f"quiz_attempts: {way}")]


def test_a_line_that_is_missing_or_wrong_is_shown_with_the_remedy() -> None:
    lines = ACCESS_MATRIX.lines()
    wrong = next(line for line in sorted(lines) if line.startswith("courses "))
    problems = ACCESS_MATRIX.problems(lines - {wrong} | {"planted() call everybody: row"})
    assert f"access_matrix/catalog.txt: no longer true here, remove the line\n    {wrong}" in problems
    assert "access_matrix/foundation.txt: if this is meant, add the line\n    planted() call everybody: row" in problems
    assert "./guildhall test tests/security/test_access_matrix.py --update" in problems


ODD = """
create extension if not exists citext with schema extensions;
create table public.heads (
    id uuid primary key default gen_random_uuid(),
    owner_id uuid not null references public.profiles (id),
    is_open boolean not null,
    n integer not null unique,
    doubled integer generated always as (n * 2) stored,
    address extensions.citext unique,
    ip inet default '192.0.2.1',
    roles public.app_role[] default '{teacher,admin}',
    facts jsonb default '{"a": [1, "two, (three)"]}',
    facts_as_json json default '{"a": 1}',
    span tstzrange default '[2026-01-01,2026-02-01)',
    worth numeric default 1.50,
    raw bytea default '\\x00ff',
    note text default 'a, "b" (c) and\nmore',
    unique (id, is_open)
);
create table public.tails (
    id bigint generated always as identity primary key,
    parent_id bigint references public.tails (id),
    head_id uuid not null,
    is_open boolean not null,
    foreign key (head_id, is_open) references public.heads (id, is_open) on update cascade
);
create view public.seen_heads with (security_invoker = true) as
select h.owner_id, h.note, h.facts from public.heads as h;
create view public.nothing with (security_invoker = true) as select h.* from public.heads as h where false;
create table public.unborn (id uuid primary key);
insert into public.heads (owner_id, is_open, n, address)
select p.id, p.display_name = 'Name of creator', row_number() over (order by p.display_name), p.handle
from public.profiles as p where p.display_name in ('Name of creator', 'Name of rival', 'Name of stranger');
insert into public.tails (head_id, is_open) select h.id, h.is_open from public.heads as h;
update public.tails set parent_id = id;
create materialized view public.counted as select h.owner_id, count(*) as n from public.heads as h group by h.owner_id;
alter table public.heads enable row level security;
alter table public.tails enable row level security;
alter table public.unborn enable row level security;
create policy heads_all on public.heads to authenticated using (owner_id = (select auth.uid()));
create policy tails_all on public.tails to authenticated using (head_id in (select h.id from public.heads as h));
grant all on public.heads, public.tails, public.unborn to authenticated;
grant select on public.seen_heads, public.counted, public.nothing to authenticated;
create function public.open_heads(head_id uuid default null) returns setof public.heads language sql stable
security definer set search_path = '' as $$ select * from public.heads as h where h.is_open $$;
create function public.my_heads(heads uuid[] default null, role public.app_role[] default null)
returns setof public.heads language sql stable set search_path = '' as $$ select * from public.heads $$;
create function public.one_head(address extensions.citext) returns public.heads language sql stable set search_path = ''
as $$ select * from public.heads as h where h.address = one_head.address $$;
create function public.said() returns text language sql volatile set search_path = '' as $$ select 'x' $$;
grant execute on function public.said() to authenticated;
notify pgrst, 'reload schema';
"""
"""Tables, views and functions of every unusual kind, with holes: open_heads shows one head to everybody, tails may
take any tail as parent, and said is volatile and could be called by a link."""


ODD_OUTCOMES = {
    "counted select": "creator rival stranger",
    "seen_heads select": "stranger",
    "nothing select": "nothing",
    "unborn update": "nothing",
    "heads select": "stranger",
    "heads insert": "stranger; refused 42501",
    "heads assign": "stranger*2; refused 42501",
    "heads update": "stranger",
    "heads move": "all->stranger; refused 42501",
    "heads delete": "refused 23503",
    "heads upsert": "stranger*4; refused 42501",
    "tails select": "stranger",
    "tails insert": "stranger; refused 42501",
    "tails move": "all->creator all->rival all->stranger*2 stranger->creator stranger->rival; refused 42501",
    "tails delete": "stranger",
    "my_heads() call": "row",
    "one_head() call": "creator rival stranger",
    "open_heads() call": "creator rival stranger; beyond a select creator*3",
}


def test_unusual_tables_and_functions_are_probed(databases: Databases, stack_data: Path) -> None:
    with probe_database(databases, stack_data, planted=ODD) as target:
        odd = {about.partition(" ")[0].removesuffix("()") for about in ODD_OUTCOMES} | {"said"}
        found, leaks = probe_as(Probe(target, "stranger"), odd)
    outcomes = dict(found)
    assert {about: outcomes[about] for about in ODD_OUTCOMES} == ODD_OUTCOMES
    assert [leak.partition(" and ")[0] for leak in leaks] == ["said() is volatile"]
