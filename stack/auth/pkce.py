"""PKCE (RFC 7636): the client that requested a link proves by a verifier that it follows the link."""

import base64
import hashlib
import re
import secrets
from typing import Literal
from uuid import UUID, uuid4

import msgspec

from stack.auth.database import Connection
from stack.auth.errors import AuthError, invalid

CHALLENGE = re.compile(r"[A-Za-z0-9._~-]{43,128}")
EXPIRY = 300
"""Seconds from the click on the link to the exchange of the code."""


class Challenge(msgspec.Struct, frozen=True, kw_only=True):
    """The challenge that the client's verifier must match."""

    value: str
    method: Literal["s256", "plain"]


class Flow(msgspec.Struct, frozen=True, kw_only=True):
    """A flow whose code was exchanged."""

    user_id: UUID
    method: str
    """How the user signed in, such as `magiclink`."""


def read_challenge(value: str | None, method: str | None) -> Challenge | None:
    """The challenge of a request; None where there is none.

    Raises:
        AuthError: `validation_failed`, where it is incomplete or malformed.
    """
    if not value and not method:
        return None
    if not value or not method:
        raise invalid("PKCE flow requires code_challenge_method and code_challenge")
    if not CHALLENGE.fullmatch(value):
        raise invalid("code_challenge must be 43 to 128 of the characters A-Z a-z 0-9 . _ ~ -")
    match method.lower():
        case "s256":
            return Challenge(value=value, method="s256")
        case "plain":
            return Challenge(value=value, method="plain")
        case _:
            raise invalid("code_challenge_method must be s256 or plain")


async def begin(connection: Connection, challenge: Challenge, *, user_id: UUID, method: str) -> None:
    """Store a challenge for the link that is about to be sent to a user."""
    await connection.execute(
        """
        insert into auth.flow_state (
            id, user_id, auth_code, code_challenge_method, code_challenge, provider_type, provider_access_token,
            provider_refresh_token, created_at, updated_at, authentication_method
        )
        values (%s, %s, %s, %s::auth.code_challenge_method, %s, %s, '', '', now(), now(), %s)
        """,
        [uuid4(), user_id, str(uuid4()), challenge.method, challenge.value, method, method],
    )


async def issue_code(connection: Connection, *, user_id: UUID, method: str) -> str:
    """The code for a user who followed a link, for the flow that the user began last.

    Raises:
        AuthError: `flow_state_not_found`.
    """
    row = await (
        await connection.execute(
            """
            update auth.flow_state set auth_code_issued_at = now(), updated_at = now()
            where id = (
                select f.id from auth.flow_state as f
                where f.user_id = %s and f.authentication_method = %s
                order by f.created_at desc
                limit 1
            )
            returning auth_code
            """,
            [user_id, method],
        )
    ).fetchone()
    if row is None:
        raise AuthError(422, "flow_state_not_found", "No valid flow state found for user")
    code: str = row["auth_code"]
    return code


async def exchange(connection: Connection, *, code: str, verifier: str) -> Flow:
    """Redeem a code.

    Raises:
        AuthError: `flow_state_not_found`, `flow_state_expired`, `bad_code_verifier`.
    """
    row = await (
        await connection.execute(
            """
            select
                id, user_id, code_challenge, code_challenge_method::text as hashing, authentication_method,
                auth_code_issued_at + make_interval(secs => %s) < now() as is_expired
            from auth.flow_state
            where auth_code = %s and user_id is not null and auth_code_issued_at is not null
            for update
            """,
            [EXPIRY, code],
        )
    ).fetchone()
    if row is None:
        raise AuthError(404, "flow_state_not_found", "invalid flow state, no valid flow state found")
    if row["is_expired"]:
        raise AuthError(422, "flow_state_expired", "invalid flow state, flow state has expired")
    computed = verifier
    if row["hashing"] == "s256":
        computed = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()
    if not secrets.compare_digest(computed.encode(), row["code_challenge"].encode()):
        raise AuthError(400, "bad_code_verifier", "code challenge does not match previously saved code verifier")
    await connection.execute("delete from auth.flow_state where id = %s", [row["id"]])
    return Flow(user_id=row["user_id"], method=row["authentication_method"])
