"""Who takes his data along takes all: a table made later is in it without anybody's remembering."""

import psycopg
import pytest

from tests.databases import Databases
from tests.security.siege import Field
from tests.security.world import PEOPLE

NOT_TAKEN = {
    "audit_log": "what one did for the academy, or the academy to one; it names others, and admins read it",
    "balances": "shows ledger_accounts, which are taken",
    "statement": "shows ledger_lines, which are taken",
    "creators": "shows profiles, which are taken",
    "course_students": "shows enrolments, which are taken, and to creators the progress of others",
    "module_progress": "shows lesson_progress, which is taken",
    "pending_approvals": "shows student_teachers and certificates, which are taken",
    "user_accounts": "shows accounts and profiles, which are taken",
}
"""Tables and views of the API whose rows name a person who may read them, and are not taken along; and why."""
COPIES = {("enrolments", "creator_id"): "says whose the course is, which is taken; the row is its student's"}
"""Columns that name a person, and make the row no part of what is his; and why."""
PRIVATE = {
    "commitments": "of hosts, whose sessions are taken",
    "course_search": "made of courses, which are taken",
    "external_identities": "taken along in the part about auth",
    "payments": "of orders, which are taken",
    "quiz_answer_keys": "of courses, whose creators read them by quiz_answer_keys",
    "quiz_attempt_points": "of attempts, which are taken; whom the quiz lets know, attempt_feedback tells",
    "search_terms": "made of the profile, which is taken",
}
"""Closed tables whose rows refer to people, and why nobody takes them along. What is private is to have no more."""

REFERRING = """
with recursive refers as (
    select 'public.accounts'::regclass::oid as id
    union
    select o.conrelid from refers as r join pg_catalog.pg_constraint as o on o.confrelid = r.id and o.contype = 'f'
)
select c.relname from refers as r join pg_catalog.pg_class as c on c.oid = r.id
where c.relnamespace = 'private'::regnamespace
"""


@pytest.mark.parametrize("person", PEOPLE)
def test_every_row_that_names_its_reader_is_taken_along(field: Field, person: str) -> None:
    headers = {"Authorization": f"Bearer {field.tokens[person]}"}
    answer = field.wire.ask("POST", "/rpc/export_my_data", body={}, headers=headers)
    assert answer.status == 200, answer.text
    data = answer.json()
    me = field.world.ids[person]
    missing = []
    for name in sorted(field.tables.keys() - NOT_TAKEN.keys()):
        shown = field.wire.ask("GET", f"/{name}", headers=headers).json()
        mine = [
            row
            for row in shown
            if isinstance(row, dict)
            and me in {str(value) for column, value in row.items() if (name, column) not in COPIES}
        ]
        missing += [f"{name}: {row}" for row in mine if row not in data.get(name, [])]
    assert missing == [], "give it a foreign key that leads to profiles, or a reason in NOT_TAKEN"
    assert set(data) - {"auth", "exported_at"} <= field.tables.keys() - NOT_TAKEN.keys()


def test_closed_tables_that_refer_to_people_are_known(live: psycopg.Connection) -> None:
    assert {name for (name,) in live.execute(REFERRING)} == PRIVATE.keys()


def test_a_new_table_is_taken_along(databases: Databases, field: Field) -> None:
    me = field.world.ids["student"]
    with psycopg.connect(databases.url(field.database)) as connection:
        connection.execute(
            "create table public.planted (id int primary key, owner_id uuid references public.profiles (id));"
            "create table public.planted_deeper (id int references public.planted (id), owner_id uuid,"
            " foreign key (owner_id) references public.profiles (id));"
            "grant select on public.planted, public.planted_deeper to authenticated"
        )
        connection.execute("insert into public.planted values (1, %s)", [me])
        connection.execute("insert into public.planted_deeper values (1, %s)", [me])
        found = field.world.act(connection, "student", "select public.export_my_data()")
        assert found["planted"] == found["planted_deeper"] == [{"id": 1, "owner_id": me}]
        connection.rollback()
