"""The recipes of docs/extending.md: a function is one statement and one line, an offer kind and a mail are rows.

`tests/security/test_new.py` tests the recipe of a table.
"""

import psycopg
import pytest

from edge.mail.rendering import TEMPLATES, templates


def test_a_private_function_and_one_line_are_a_function_of_the_api(scratch: psycopg.Connection) -> None:
    scratch.execute("set local role postgres")  # whose default privileges give nobody EXECUTE
    scratch.execute(
        """
        create function private.double_number(p_number integer default 2) returns integer
        language sql immutable set search_path = '' as $$ select p_number * 2 $$;
        comment on function private.double_number(integer) is 'Twice a number.';
        """
    )
    scratch.execute("select private.expose('private.double_number(integer)', '{authenticated}', 'generous')")
    made = scratch.execute(
        "select pg_get_function_arguments(oid), obj_description(oid, 'pg_proc'),"
        " has_function_privilege('authenticated', oid, 'execute'), has_function_privilege('anon', oid, 'execute')"
        " from pg_catalog.pg_proc where proname = 'double_number' and pronamespace = 'public'::regnamespace"
    ).fetchall()
    assert made == [("number integer DEFAULT 2", "Twice a number.", True, False)]
    scratch.execute("set local role authenticated")
    row = scratch.execute("select public.double_number(number => 21), public.double_number()").fetchone()
    assert row == (42, 4)


def test_an_offer_kind_is_a_row(scratch: psycopg.Connection) -> None:
    referring = scratch.execute(
        """
        select t.typname from pg_catalog.pg_type as t
        where t.typtype = 'e' and exists (
            select from pg_catalog.pg_enum as e where e.enumtypid = t.oid and e.enumlabel = 'mixing_service'
        )
        """
    ).fetchall()
    assert referring == [], "a type lists the kinds of offers again"
    named = scratch.execute(
        "select p.oid::regprocedure::text from pg_catalog.pg_proc as p"
        " where p.pronamespace in ('public'::regnamespace, 'private'::regnamespace)"
        " and p.prosrc ~ '\\m(mixing_service|playlist_submission|pro_plan|creator_plan|digital_product)\\M'"
    ).fetchall()
    assert named == [], "a function names kinds of offers, which are rows of offer_kinds"


def test_a_mail_is_a_row_and_a_file() -> None:
    assert {entry.name for entry in TEMPLATES.iterdir()} == {f"{name}.jinja" for name in templates()} | {"_layouts"}


@pytest.mark.parametrize(
    "point", ["account_ended", "mail_recipient", "personal_buckets", "publication_items", "purge", "recount_user_stats"]
)
def test_the_shared_points_of_the_docs_exist(scratch: psycopg.Connection, point: str) -> None:
    registered = scratch.execute("select private.registered_functions(%s)", [point]).fetchall()
    assert registered, f"no domain registers a function at {point}"
    owners = scratch.execute(
        "select proname from pg_catalog.pg_proc"
        " where prosrc like '%%registered_functions(' || quote_literal(%s) || ')%%'",
        [point],
    ).fetchall()
    assert owners, f"nothing calls the functions that are registered at {point}"
