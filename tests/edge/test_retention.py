"""What the worker ends each minute because its time is up."""

import asyncio

import psycopg
import pytest

from common.errors import TransientError
from edge.database import Database
from edge.errors import EdgeError
from edge.retention.tasks import RetentionTasks
from tests.databases import Databases

PLANTED = """
create table private.planted (number integer not null);
insert into private.planted select generate_series(1, 250);
create function private.lapse__planted() returns bigint
language plpgsql
security definer
set search_path = ''
as $$
declare
    v_number integer;
begin
    delete from private.planted as p
    where p.number = (select q.number from private.planted as q order by random() limit 1)
    returning p.number into v_number;
    if v_number = 0 then
        raise exception 'stuck';
    end if;
    return (v_number is not null)::integer;
end
$$;
"""
"""A registered function that ends one of many things at a time, and cannot end the one with the number 0."""


async def end_lapsed(url: str) -> None:
    """Run the task once, as the worker."""
    database = Database(url, name="worker", max_connections=1)
    await database.open()
    try:
        await RetentionTasks(database).end_lapsed(timestamp=0)
    finally:
        await database.aclose()


def test_all_that_is_over_ends_in_one_run(databases: Databases) -> None:
    with databases.cloned() as name, psycopg.connect(databases.url(name), autocommit=True) as connection:
        connection.execute(PLANTED.encode())
        for _ in range(2):  # the second run finds nothing more
            asyncio.run(end_lapsed(databases.url(name, "worker")))
        assert connection.execute("select number from private.planted").fetchall() == []


def test_one_that_cannot_be_ended_does_not_keep_the_others(databases: Databases) -> None:
    with databases.cloned() as name, psycopg.connect(databases.url(name), autocommit=True) as connection:
        connection.execute(PLANTED.encode())
        connection.execute("insert into private.planted values (0)")
        for _ in range(3):
            with pytest.raises((TransientError, EdgeError)):
                asyncio.run(end_lapsed(databases.url(name, "worker")))
        assert connection.execute("select number from private.planted").fetchall() == [(0,)]


def test_a_suspension_ends_when_its_time_is_up(databases: Databases) -> None:
    with databases.cloned() as name, psycopg.connect(databases.url(name), autocommit=True) as connection:
        for email in ("over@example.com", "going-on@example.com"):
            connection.execute("insert into auth.users (id, email) values (gen_random_uuid(), %s)", [email])
        connection.execute(
            "update public.accounts set status = 'suspended',"
            " suspended_until = now() + case when email like 'over%' then '-1 second' else '1 hour' end::interval"
        )
        asyncio.run(end_lapsed(databases.url(name, "worker")))
        accounts = connection.execute("select email, status::text from public.accounts order by email").fetchall()
        assert accounts == [("going-on@example.com", "suspended"), ("over@example.com", "active")]
