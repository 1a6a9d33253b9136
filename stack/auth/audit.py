"""The audit log of accounts and sessions: `auth.audit_log_entries`, written in the transaction of the action."""

from typing import Any
from uuid import UUID, uuid4

import msgspec
from psycopg.types.json import Json

from stack.auth.database import Connection
from stack.auth.users import User

LOG_TYPES = {
    "login": "account",
    "logout": "account",
    "user_signedup": "team",
    "user_invited": "team",
    "user_deleted": "team",
    "token_revoked": "token",
    "token_refreshed": "token",
    "user_modified": "user",
    "user_recovery_requested": "user",
    "user_reauthenticate_requested": "user",
    "user_confirmation_requested": "user",
    "user_repeated_signup": "user",
    "user_updated_password": "user",
    "factor_in_progress": "factor",
    "challenge_created": "factor",
    "verification_attempted": "factor",
    "factor_unenrolled": "factor",
    "factor_updated": "factor",
    "factor_deleted": "factor",
}
NOBODY = UUID(int=0)


async def record(
    connection: Connection, action: str, *, actor: User | None, ip: str | None, traits: dict[str, Any] | None = None
) -> None:
    """Record one action.

    Args:
        connection: in the transaction of the action.
        action: one of LOG_TYPES.
        actor: the user who acted; None for the holder of the service key.
        ip: the client's address.
        traits: further facts, never a secret.
    """
    payload: dict[str, Any] = {
        "actor_id": actor.id if actor else NOBODY,
        "actor_username": (actor.phone or actor.email or "") if actor else "service_role",
        "actor_via_sso": actor.is_sso_user if actor else False,
        "action": action,
        "log_type": LOG_TYPES[action],
    }
    if actor and "full_name" in actor.user_metadata:
        payload["actor_name"] = actor.user_metadata["full_name"]
    if traits:
        payload["traits"] = traits
    await connection.execute(
        """
        insert into auth.audit_log_entries (instance_id, id, payload, created_at, ip_address)
        values (%s, %s, %s, now(), %s)
        """,
        [NOBODY, uuid4(), Json(payload, dumps=msgspec.json.encode), ip or ""],
    )
