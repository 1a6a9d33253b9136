"""The connection pool against a Postgres whose sessions die."""

import asyncio

import psycopg

from common.pool import Pool

NAME = "pool of this test"
END_ALL = "select count(pg_terminate_backend(pid, 5000)) from pg_stat_activity where application_name = %s"


async def _ask(pool: Pool[psycopg.AsyncConnection]) -> int:
    async with pool.connection() as connection:
        row = await (await connection.execute("select 1")).fetchone()
    assert row is not None
    number: int = row[0]
    return number


def test_whoever_comes_first_after_all_sessions_died_is_served(admin_db_url: str) -> None:
    async def story() -> None:
        kwargs = {"autocommit": True, "application_name": NAME}
        pool: Pool[psycopg.AsyncConnection] = Pool(admin_db_url, timeout=2, min_size=8, max_size=8, kwargs=kwargs)
        await pool.open(wait=True)
        try:
            async with await psycopg.AsyncConnection.connect(admin_db_url, autocommit=True) as admin:
                for callers in (1, 20, 1, 20):
                    ended = await (await admin.execute(END_ALL, [NAME])).fetchone()
                    assert ended == (8,)
                    assert await asyncio.gather(*(_ask(pool) for _ in range(callers))) == [1] * callers
                    while pool.get_stats()["pool_available"] < 8:  # noqa: ASYNC110 - the pool says it no other way
                        await asyncio.sleep(0.01)
        finally:
            await pool.close()

    asyncio.run(asyncio.wait_for(story(), 60))
