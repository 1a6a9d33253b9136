"""The networks from which users have signed in. There, an attack from elsewhere does not lock them out."""

from uuid import UUID

from stack.auth.client import Client
from stack.auth.database import Connection

KEPT_DAYS = 90


async def is_known(connection: Connection, email: str, client: Client) -> bool:
    """Whether the user of this address has signed in from the client's network; False where there is no such user."""
    if client.network is None:
        return False
    row = await (
        await connection.execute(
            """
            select exists (
                select from auth.users as u join auth.known_networks as f on f.user_id = u.id
                where lower(u.email) = %s and not u.is_sso_user and f.network = %s
            ) as is_known
            """,
            [email, client.network],
        )
    ).fetchone()
    return row is not None and row["is_known"]


async def remember(connection: Connection, user_id: UUID, client: Client) -> None:
    """Record a sign-in from the client's network, and forget networks that were not used for long."""
    if client.network is None:
        return
    await connection.execute(
        """
        with forgotten as (
            delete from auth.known_networks
            where user_id = %(user_id)s and network <> %(network)s
                and last_used_at < now() - make_interval(days => %(days)s)
        )
        insert into auth.known_networks (user_id, network, last_used_at) values (%(user_id)s, %(network)s, now())
        on conflict (user_id, network) do update set last_used_at = excluded.last_used_at
        """,
        {"user_id": user_id, "network": client.network, "days": KEPT_DAYS},
    )
