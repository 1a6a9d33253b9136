"""export_my_data returns every row about the caller, including those of tables added later."""

import psycopg
import pytest

from tests.databases import Databases
from tests.security.access_probe import ProbeDatabase
from tests.security.worlds import act_as
from tests.security.worlds.identity import PEOPLE

NOT_EXPORTED = {
    "audit_log": "the academy's record of actions; it names others, and admins read it",
    "billing_events": "shows orders, refunds and subscriptions, which are exported",
    "balances": "shows ledger_accounts, which are exported",
    "account_statement": "shows ledger_entries, which are exported",
    "creators": "shows profiles, which are exported",
    "course_students": "shows enrolments, which are exported, and to creators the progress of others",
    "module_progress": "shows lesson_progress, which is exported",
    "offer_problems": "shows offers and offer_courses, which are exported",
    "pending_approvals": "shows student_teachers and certificates, which are exported",
    "user_accounts": "shows accounts and profiles, which are exported",
}
"""Tables and views of the API whose rows name a reader and are not exported, with the reason."""
COPIES = {
    ("enrolments", "creator_id"): "copied from the course, which is exported; the row is the student's",
    ("course_invitations", "recipient"): "what the inviter wrote; the row is theirs, and the recipient reads it",
}
"""Columns that name a person without making the row theirs, with the reason."""
PRIVATE = {
    "commitments": "of hosts, whose sessions are exported",
    "course_slugs": "of courses, which are exported with their present slug",
    "course_search": "derived from courses, which are exported",
    "external_identities": "exported in the part about auth",
    "media_checks": "of media_objects, which are exported",
    "media_links": "open for minutes, to media_objects, which are exported",
    "payments": "of orders, which are exported",
    "quiz_answer_keys": "of courses, whose creators read them by quiz_answer_keys",
    "quiz_attempt_records": "of attempts, which are exported; attempt_feedback shows them where the quiz allows",
    "quiz_question_versions": "of courses, as quiz_questions and quiz_answer_keys",
    "search_terms": "derived from the profile, which is exported",
}
"""Closed tables whose rows refer to people, with the reason why they are not exported."""

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
def test_every_row_that_names_its_reader_is_exported(probed: ProbeDatabase, person: str) -> None:
    headers = {"Authorization": f"Bearer {probed.tokens[person]}"}
    answer = probed.wire.ask("POST", "/rpc/export_my_data", body={}, headers=headers)
    assert answer.status == 200, answer.text
    data = answer.json()
    me = probed.world.ids[person]
    missing = []
    for name in sorted(probed.tables.keys() - NOT_EXPORTED.keys()):
        shown = probed.wire.ask("GET", f"/{name}", headers=headers).json()
        mine = [
            row
            for row in shown
            if isinstance(row, dict)
            and me in {str(value) for column, value in row.items() if (name, column) not in COPIES}
        ]
        missing += [f"{name}: {row}" for row in mine if row not in data.get(name, [])]
    assert not missing, "\n".join(["give each a foreign key to profiles, or a reason in NOT_EXPORTED:", *missing])
    assert set(data) - {"auth", "exported_at"} <= probed.tables.keys() - NOT_EXPORTED.keys()


def test_closed_tables_that_refer_to_people_are_known(live: psycopg.Connection) -> None:
    changed = {name for (name,) in live.execute(REFERRING)} ^ PRIVATE.keys()
    assert not changed, f"add to PRIVATE with a reason, or remove from it: {sorted(changed)}"


def test_a_new_table_is_exported(databases: Databases, probed: ProbeDatabase) -> None:
    me = probed.world.ids["student"]
    with psycopg.connect(databases.url(probed.database)) as connection:
        connection.execute(
            "create table public.planted (id int primary key, owner_id uuid references public.profiles (id));"
            "create table public.planted_deeper (id int references public.planted (id), owner_id uuid,"
            " foreign key (owner_id) references public.profiles (id));"
            "grant select on public.planted, public.planted_deeper to authenticated"
        )
        connection.execute("insert into public.planted values (1, %s)", [me])
        connection.execute("insert into public.planted_deeper values (1, %s)", [me])
        found = act_as(connection, me, "select public.export_my_data()")
        assert found["planted"] == found["planted_deeper"] == [{"id": 1, "owner_id": me}]
        connection.rollback()
