"""What row level security leaves of the privileges: everything attacked as everybody, compared with a reviewed list."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import psycopg
import pytest

from stack import policies
from tests.databases import Databases
from tests.security import reviewed, schema, siege
from tests.security.conftest import battlefield
from tests.security.siege import Field, Siege


@pytest.fixture(scope="module")
def besieged(field: Field) -> tuple[set[str], list[str]]:
    """What came of attacking everything as everybody."""
    return siege.lay(field)


def test_every_table_has_rows_to_attack(field: Field) -> None:
    # A view may show rows to their owners only, and none to the superuser who counts here.
    empty = [table.name for table in field.tables.values() if not table.rows and not table.is_view]
    assert not empty, f"make rows of several people in tests/security/world.py: {empty}"


def test_outcomes_are_those_reviewed(besieged: tuple[set[str], list[str]]) -> None:
    wrong = reviewed.differences(besieged[0], "behaviour.txt")
    assert not wrong, "\n".join(wrong)


def test_no_way_shows_more_than_a_select(besieged: tuple[set[str], list[str]]) -> None:
    assert besieged[1] == []


@pytest.mark.parametrize("person", ["student", "superadmin"])
def test_functions_bear_anything(field: Field, person: str) -> None:
    attacker = siege.Siege(field, person)
    for function in field.functions.values():
        attacker.fuzz(function)
    assert attacker.leaks == []


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
"""What a hole gives the stranger, by the table and the attack that finds it."""


@contextmanager
def besieger(field: Field, databases: Databases, planted: str) -> Iterator[Siege]:
    """The stranger, who has looked at everything, before a database with a hole in it."""
    with psycopg.connect(databases.url(field.database), autocommit=True) as connection:
        connection.execute(planted.encode())
        try:
            attacker = Siege(msgspec.structs.replace(field, tables=schema.tables(connection)), "stranger")
            for table in attacker.field.tables.values():
                attacker.select(table)
            yield attacker
        finally:
            connection.execute("set role postgres")
            connection.execute(policies.compiled())


@pytest.mark.parametrize("hole", HOLES)
def test_hole_is_found(field: Field, databases: Databases, hole: str) -> None:
    planted, gained = HOLES[hole]
    name, _, attack = hole.partition(" ")
    assert gained not in " ".join(line for line in reviewed.read("behaviour.txt") if line.startswith(f"{hole} members"))
    with besieger(field, databases, planted) as attacker:
        outcome = getattr(attacker, attack)(attacker.field.tables[name])
    assert gained in str(outcome)


@pytest.mark.parametrize(
    ("condition", "way"),
    [
        ("(select current_setting('request.path', true)) <> '/quiz_attempts'", "embed"),
        ("(select current_setting('request.headers', true)) like '%count=exact%'", "count"),
        ("(select current_setting('request.headers', true)) like '%text/csv%'", "csv"),
    ],
)
def test_leak_by_another_way_is_found(field: Field, databases: Databases, condition: str, way: str) -> None:
    planted = f"create policy planted on public.quiz_attempts for select to authenticated using ({condition})"
    with besieger(field, databases, planted) as attacker:
        attacker.read_otherwise(attacker.field.tables["quiz_attempts"])
    assert [leak for leak in attacker.leaks if leak.startswith(f"quiz_attempts: {way}")]


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
    facts_as_told json default '{"a": 1}',
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
"""Tables, views and functions of every odd kind, with holes: open_heads shows one head to everybody, tails may have
anybody's as parent, and said is called by a link."""


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


def test_siege_bears_whatever_is_added(databases: Databases, stack_data: Path) -> None:
    with battlefield(databases, stack_data, planted=ODD) as field:
        odd = {about.partition(" ")[0].removesuffix("()") for about in ODD_OUTCOMES} | {"said"}
        notes, leaks = siege.attack(Siege(field, "stranger"), odd)
    told = dict(notes)
    assert {about: told[about] for about in ODD_OUTCOMES} == ODD_OUTCOMES
    assert [leak.partition(",")[0] for leak in leaks] == ["said() is volatile"]
