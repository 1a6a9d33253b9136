"""Mails through outbox, queue and worker to the mailbox, against the same mails sent straight to the mailbox."""

import asyncio
import time

import psycopg

from bench.stack import BenchStack
from edge.mail.client import Security, Smtp, send
from edge.mail.rendering import compose
from edge.mail.types import OutgoingMail, Sender
from stack.ports import LOOPBACK

MAILS = 1000
AT_ONCE = 8
"""Mails that the worker sends at once."""


def measure(stack: BenchStack) -> None:
    """Print mails per second of both, and their ratio."""
    straight, by_job = asyncio.run(_straight(stack.smtp_port)), _by_job(stack.admin_db_url)
    print(f"{MAILS:,} mails, {AT_ONCE} at once, to a mailbox that syncs each to disk")
    print(f"  straight over SMTP       {straight:8.0f} mails/s")
    print(f"  outbox, job and worker   {by_job:8.0f} mails/s")
    print(f"  ratio                    {by_job / straight:8.3f}")


async def _straight(port: int) -> float:
    smtp = Smtp(host=LOOPBACK, port=port, user=None, password=None, security=Security.NONE)
    sender = Sender(name="Guildhall", address="guildhall@example.com", site="https://example.com")
    places = asyncio.Semaphore(AT_ONCE)

    async def one(number: int) -> None:
        letter = OutgoingMail(
            address=f"{number}@bench.example",
            display_name="Somebody",
            template="account_created",
            params={},
            topic="account",
            is_mandatory=True,
            attempts=0,
            message_id=f"{number}",
        )
        async with places:
            await send(smtp, compose(letter, sender))

    began = time.perf_counter()
    await asyncio.gather(*(one(number) for number in range(MAILS)))
    return MAILS / (time.perf_counter() - began)


def _by_job(admin_db_url: str) -> float:
    with psycopg.connect(admin_db_url, autocommit=True) as connection:
        connection.execute(
            "insert into auth.users (id, email, email_confirmed_at)"
            " select gen_random_uuid(), n || '@bench.example', now() from generate_series(1, %s) as n",
            [MAILS],
        )
        began = time.perf_counter()
        connection.execute(
            "select private.enqueue_mail(id, 'account_created', '{}', id::text) from auth.users"
            " where email like '%@bench.example'"
        )
        while connection.execute("select 1 from private.mail_outbox where status = 'unsent' limit 1").fetchone():
            time.sleep(0.02)
        seconds = time.perf_counter() - began
        sent = connection.execute("select count(*) from private.mail_outbox where status = 'sent'").fetchone()
    assert sent == (MAILS,)
    return MAILS / seconds
