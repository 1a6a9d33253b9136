"""Domains add to shared points by functions that are found by their names."""

import psycopg
import pytest

from tests.people import Academy

RECORD = """
    insert into private.planted (user_id, name)
    select p_user_id, '%s ' || a.status from public.accounts as a where a.user_id = p_user_id
"""
FUNCTION = "create function private.{} language sql set search_path = '' as $$ {} $$"


def test_functions_are_found_by_their_point_in_order(db: psycopg.Connection) -> None:
    for name in ("planted__b", "planted__200_c", "planted__100_d", "planted__a", "plantedx__e"):
        db.execute(FUNCTION.format(f"{name}() returns integer", "select 1").encode())
    found = db.execute("select private.registered_functions('planted')").fetchall()
    assert [name for (name,) in found] == ["planted__100_d", "planted__200_c", "planted__a", "planted__b"]


def test_a_new_purge_needs_no_other_change(db: psycopg.Connection) -> None:
    db.execute(FUNCTION.format("purge__planted() returns bigint", "select 7::bigint").encode())
    db.execute("set local role worker")
    assert ("purge__planted",) in db.execute("select private.purges()").fetchall()
    assert db.execute("select private.purge('purge__planted')").fetchone() == (7,)


@pytest.mark.parametrize("function", ["schema_version", "purges", "purge__missing"])
def test_purge_calls_only_registered_functions(db: psycopg.Connection, function: str) -> None:
    db.execute("set local role worker")
    assert db.execute("select private.purge(%s)", [function]).fetchone() == (None,)


def test_a_new_lapse_needs_no_other_change(db: psycopg.Connection) -> None:
    db.execute(FUNCTION.format("lapse__planted() returns bigint", "select 3::bigint").encode())
    db.execute("set local role worker")
    assert ("lapse__planted",) in db.execute("select private.lapses()").fetchall()
    assert db.execute("select private.lapse('lapse__planted')").fetchone() == (3,)
    for function in ("schema_version", "lapses", "lapse__missing", "purge__mail"):
        assert db.execute("select private.lapse(%s)", [function]).fetchone() == (0,)


def test_clients_may_not_purge(academy: Academy) -> None:
    for function in ("purges()", "purge(name)", "purge__mail()"):
        [(allowed,)] = academy.sql(
            "select bool_or(has_function_privilege(r.rolname, %s, 'execute')) from pg_catalog.pg_roles as r"
            " where r.rolname in ('anon', 'authenticated', 'service_role', 'edge')",
            f"private.{function}",
        )
        assert not allowed


def test_the_end_of_an_account_reaches_each_domain_in_order(academy: Academy, db: psycopg.Connection) -> None:
    person = academy.member()
    db.execute("create table private.planted (number integer generated always as identity, user_id uuid, name text)")
    db.execute("grant insert on private.planted to postgres")
    for what in ("900_last", "050_first"):
        db.execute(FUNCTION.format(f"account_ended__{what}(p_user_id uuid) returns void", RECORD % what).encode())
    db.execute("delete from auth.users where id = %s", [person.id])
    found = db.execute("select user_id::text, name from private.planted order by number").fetchall()
    assert found == [(person.id, "050_first active"), (person.id, "900_last deleted")]


def test_a_registered_count_is_recounted(academy: Academy, db: psycopg.Connection) -> None:
    person = academy.member()
    db.execute(
        FUNCTION.format(
            "recount_user_stats__planted(p_user_id uuid) returns void",
            "update public.user_stats set follower_count = follower_count + 3 where user_id = p_user_id",
        ).encode()
    )
    db.execute("select private.recount_user_stats(%s)", [person.id])
    counted = "select follower_count from public.user_stats where user_id = %s"
    assert db.execute(counted, [person.id]).fetchone() == (3,)
