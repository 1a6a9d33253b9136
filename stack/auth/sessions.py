"""Sessions: a sign-in begins one, single-use refresh tokens continue it, a sign-out or a token's reuse ends it."""

import secrets
import time
from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

import msgspec

from stack.auth import audit, hook, known_networks, users
from stack.auth.client import Client
from stack.auth.database import Connection
from stack.auth.errors import AuthError
from stack.auth.settings import Settings
from stack.auth.signing import Signer
from stack.auth.users import User

AAL2 = "aal2"
"""The authenticator assurance level of a session that has used a second factor. Others have `aal1`."""


class Session(msgspec.Struct, frozen=True, kw_only=True):
    """One sign-in on one device."""

    id: UUID
    user_id: UUID
    aal: str
    created_at: datetime | None


class Sessions:
    """Begins, refreshes and describes sessions. Each method works inside the caller's transaction."""

    def __init__(self, *, settings: Settings, signer: Signer) -> None:
        """Issue tokens with the issuer and lifetime of the settings, signed by `signer`."""
        self._settings = settings
        self._signer = signer

    async def begin(self, connection: Connection, user: User, *, method: str, client: Client) -> dict[str, Any]:
        """A new session for a user who has just signed in, in the form for the client.

        Args:
            connection: in a transaction.
            user: the user.
            method: `password`, `otp`, `anonymous` or a PKCE flow's.
            client: the user's client.
        """
        session_id = uuid4()
        await connection.execute(
            """
            insert into auth.sessions (id, user_id, created_at, updated_at, aal, user_agent, ip)
            values (%s, %s, now(), now(), 'aal1', %s, %s)
            """,
            [session_id, user.id, client.user_agent, client.ip],
        )
        await connection.execute(
            """
            insert into auth.mfa_amr_claims (id, session_id, created_at, updated_at, authentication_method)
            values (%s, %s, now(), now(), %s)
            """,
            [uuid4(), session_id, method],
        )
        await connection.execute(
            "update auth.users set last_sign_in_at = now(), updated_at = now() where id = %s", [user.id]
        )
        await known_networks.remember(connection, user.id, client)
        refresh_token = await _new_token(connection, user.id, session_id, parent=None)
        user = await users.existing(connection, user.id)
        return await self._answer(connection, user, session_id, refresh_token=refresh_token, method=method)

    async def refresh(self, connection: Connection, token: str, *, client: Client) -> dict[str, Any] | AuthError:
        """Continue a session by a refresh token, with a new token in its place.

        A used token gets the session's active token again in two cases: it is that one's parent (our answer may have
        been lost), or it was used within the reuse interval (two tabs may refresh at once). Any other reuse counts as
        theft and ends the session.

        Returns:
            The session; or the refusal of a stolen token, which must be committed, for it ends the session.

        Raises:
            AuthError: any other refusal.
        """
        session_id = await _session_of(connection, token)
        # Concurrent refreshes of this session wait here, and each sees what the one before it did.
        session = await (
            await connection.execute(
                """
                select id, user_id, not_after is not null and not_after <= now() as is_over
                from auth.sessions where id = %s for update
                """,
                [session_id],
            )
        ).fetchone()
        used = await (
            await connection.execute(
                """
                select revoked, coalesce(updated_at, created_at) + make_interval(secs => %s) >= now() as is_recent
                from auth.refresh_tokens where token = %s
                """,
                [self._settings.refresh_reuse_interval, token],
            )
        ).fetchone()
        user = await users.by_id(connection, session["user_id"]) if session else None
        if session is None or used is None or user is None:
            raise AuthError(400, "refresh_token_not_found", "Invalid Refresh Token: Refresh Token Not Found")
        if user.is_banned:
            raise AuthError(400, "user_banned", "Invalid Refresh Token: User Banned")
        if used["revoked"]:
            active = await _active_token(connection, session["id"])
            if session["is_over"] or active is None or not (active["parent"] == token or used["is_recent"]):
                await _end(connection, session["id"])
                return AuthError(400, "refresh_token_already_used", "Invalid Refresh Token: Already Used")
            refresh_token = active["token"]
        else:
            if session["is_over"]:
                raise AuthError(400, "session_expired", "Invalid Refresh Token: Session Expired")
            await audit.record(connection, "token_revoked", actor=user, ip=client.ip)
            await connection.execute(
                "update auth.refresh_tokens set revoked = true, updated_at = now() where token = %s", [token]
            )
            refresh_token = await _new_token(connection, user.id, session["id"], parent=token)
        await connection.execute(
            """
            update auth.sessions
            set refreshed_at = now() at time zone 'utc', updated_at = now(), user_agent = %s, ip = %s
            where id = %s
            """,
            [client.user_agent, client.ip, session["id"]],
        )
        await audit.record(connection, "token_refreshed", actor=user, ip=client.ip)
        return await self._answer(connection, user, session["id"], refresh_token=refresh_token, method="token_refresh")

    async def raise_level(
        self, connection: Connection, session: Session, *, factor_id: UUID, method: str
    ) -> dict[str, Any]:
        """Continue a session whose user has just used a second factor, at level `aal2`.

        The user's sessions below that level end. So do the session's refresh tokens, which somebody may have who knows
        the first factor only.

        Args:
            connection: in a transaction.
            session: the session.
            factor_id: the factor that was used.
            method: its kind, for the claim `amr`.
        """
        await connection.execute(
            """
            insert into auth.mfa_amr_claims (id, session_id, created_at, updated_at, authentication_method)
            values (%s, %s, now(), now(), %s)
            on conflict (session_id, authentication_method) do update set updated_at = excluded.updated_at
            """,
            [uuid4(), session.id, method],
        )
        await connection.execute(
            "update auth.sessions set aal = 'aal2', factor_id = %s, updated_at = now() where id = %s",
            [factor_id, session.id],
        )
        await connection.execute(
            "delete from auth.sessions where user_id = %s and coalesce(aal, 'aal1') < 'aal2'", [session.user_id]
        )
        await connection.execute("delete from auth.refresh_tokens where session_id = %s", [session.id])
        refresh_token = await _new_token(connection, session.user_id, session.id, parent=None)
        user = await users.existing(connection, session.user_id)
        return await self._answer(connection, user, session.id, refresh_token=refresh_token, method=method)

    async def _answer(
        self, connection: Connection, user: User, session_id: UUID, *, refresh_token: str, method: str
    ) -> dict[str, Any]:
        now = int(time.time())
        session = await find(connection, session_id)
        claims: dict[str, Any] = {
            "iss": self._settings.external_url,
            "sub": str(user.id),
            "aud": user.aud,
            "exp": now + self._settings.jwt_expiry,
            "iat": now,
            "email": user.email or "",
            "phone": user.phone or "",
            "app_metadata": user.app_metadata,
            "user_metadata": user.user_metadata,
            "role": user.role,
            "aal": session.aal if session else "aal1",
            "amr": await _methods(connection, session_id),
            "session_id": str(session_id),
            "is_anonymous": user.is_anonymous,
        }
        if self._settings.hook_access_token is not None:
            claims = await hook.custom_access_token(
                connection, self._settings.hook_access_token, user_id=user.id, claims=claims, method=method
            )
        return {
            "access_token": self._signer.sign(claims),
            "token_type": "bearer",
            "expires_in": self._settings.jwt_expiry,
            "expires_at": now + self._settings.jwt_expiry,
            "refresh_token": refresh_token,
            "user": user.view(),
        }


async def find(connection: Connection, session_id: UUID) -> Session | None:
    """A session that has not ended."""
    row = await (
        await connection.execute(
            """
            select id, user_id, coalesce(aal, 'aal1') as aal, created_at from auth.sessions
            where id = %s and (not_after is null or not_after > now())
            """,
            [session_id],
        )
    ).fetchone()
    return None if row is None else msgspec.convert(row, Session)


async def has_second_factor_from(connection: Connection, user_id: UUID, client: Client) -> bool:
    """Whether a session of the user that has used a second factor comes from the client's network."""
    row = await (
        await connection.execute(
            """
            select exists (
                select from auth.sessions where user_id = %s and aal >= 'aal2' and ip <<= %s::cidr
            ) as is_known
            """,
            [user_id, client.network],
        )
    ).fetchone()
    return row is not None and row["is_known"] is True


async def end_by_scope(connection: Connection, *, user_id: UUID, session_id: UUID | None, scope: str) -> None:
    """Sign a user out: of this session (`local`), of all but this (`others`), or of all (`global`)."""
    if scope == "local" and session_id is not None:
        await connection.execute("delete from auth.sessions where id = %s", [session_id])
    elif scope == "others" and session_id is not None:
        await connection.execute("delete from auth.sessions where user_id = %s and id <> %s", [user_id, session_id])
    else:
        await connection.execute("delete from auth.sessions where user_id = %s", [user_id])


async def _session_of(connection: Connection, token: str) -> UUID:
    row = await (
        await connection.execute("select session_id from auth.refresh_tokens where token = %s", [token])
    ).fetchone()
    if row is None or row["session_id"] is None:
        raise AuthError(400, "refresh_token_not_found", "Invalid Refresh Token: Refresh Token Not Found")
    session_id: UUID = row["session_id"]
    return session_id


async def _new_token(connection: Connection, user_id: UUID, session_id: UUID, *, parent: str | None) -> str:
    token = secrets.token_urlsafe(24)
    await connection.execute(
        """
        insert into auth.refresh_tokens (
            instance_id, token, user_id, parent, session_id, revoked, created_at, updated_at
        )
        values (%s, %s, %s, %s, %s, false, now(), now())
        """,
        [users.NO_INSTANCE, token, str(user_id), parent, session_id],
    )
    return token


async def _active_token(connection: Connection, session_id: UUID) -> dict[str, Any] | None:
    return await (
        await connection.execute(
            """
            select token, parent from auth.refresh_tokens
            where session_id = %s and not revoked
            order by id desc
            limit 1
            """,
            [session_id],
        )
    ).fetchone()


async def _end(connection: Connection, session_id: UUID) -> None:
    """End a session and keep its rows, which show what happened."""
    await connection.execute(
        "update auth.refresh_tokens set revoked = true, updated_at = now() where session_id = %s and not revoked",
        [session_id],
    )
    await connection.execute(
        "update auth.sessions set not_after = least(not_after, now()), updated_at = now() where id = %s", [session_id]
    )


async def _methods(connection: Connection, session_id: UUID) -> list[dict[str, Any]]:
    """The claim `amr`, the latest method first."""
    rows = await connection.execute(
        """
        select authentication_method as method, floor(extract(epoch from updated_at))::bigint as timestamp
        from auth.mfa_amr_claims
        where session_id = %s
        order by updated_at desc, authentication_method
        """,
        [session_id],
    )
    return [dict(row) async for row in rows]
