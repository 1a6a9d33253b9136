"""Second factors by TOTP (RFC 6238): their rows, the challenges, and the check of a code.

A code is valid for the time step in which its clock shows it and one on either side. It is accepted once: a code of the
same step or an earlier one than the last that was accepted is refused, so that nobody who sees a code can use it again.
"""

import base64
import hmac
import io
import secrets
import time
from typing import Any
from uuid import UUID, uuid4

import msgspec
import segno
from cryptography.hazmat.primitives.hashes import SHA1
from cryptography.hazmat.primitives.twofactor.totp import TOTP

from stack.auth.client import Client
from stack.auth.database import Connection
from stack.auth.errors import AuthError, factor_not_found
from stack.auth.users import Factor, User

KIND = "totp"
SECRET_BYTES = 20
DIGITS = 6
STEP = 30
"""Seconds for which a code is shown."""
UNVERIFIED_EXPIRY = 300
"""Seconds after which a factor that nobody has challenged is removed."""
CHALLENGE_EXPIRY = 300
NO_ADDRESS = "0.0.0.0"  # noqa: S104 (the column has no null)


class Enrolled(msgspec.Struct, frozen=True, kw_only=True):
    """A new factor, with what an authenticator app needs."""

    id: UUID
    secret: str
    uri: str
    qr_code: str
    """The uri as an SVG image."""


class Challenge(msgspec.Struct, frozen=True, kw_only=True):
    """A challenge that was accepted for checking."""

    id: UUID
    secret: str


def owned(user: User, factor_id: str) -> Factor:
    """A factor of the user.

    Raises:
        AuthError: `mfa_factor_not_found`, also for a factor of somebody else.
    """
    try:
        wanted = UUID(factor_id)
    except ValueError as error:
        raise AuthError(404, "validation_failed", "factor_id must be an UUID") from error
    found = next((factor for factor in user.factors or () if factor.id == wanted), None)
    if found is None:
        raise factor_not_found()
    return found


async def enrol(connection: Connection, user: User, *, name: str, issuer: str, limit: int) -> Enrolled:
    """Add a factor that the user has yet to verify.

    Args:
        connection: in a transaction that has locked the user.
        user: the user.
        name: by which the user knows the factor.
        issuer: the name of the service that the app shows.
        limit: how many factors a user may have.

    Raises:
        AuthError: `mfa_factor_name_conflict`, `too_many_enrolled_mfa_factors`.
    """
    rows = await connection.execute(
        """
        delete from auth.mfa_factors as f
        where f.user_id = %s and f.status = 'unverified' and f.created_at < now() - make_interval(secs => %s)
            and not exists (select from auth.mfa_challenges as c where c.factor_id = f.id)
        returning f.id
        """,
        [user.id, UNVERIFIED_EXPIRY],
    )
    expired = {row["id"] async for row in rows}
    kept = [factor for factor in user.factors or () if factor.id not in expired]
    if any((factor.friendly_name or "") == name for factor in kept):
        raise name_conflict(name)
    if len(kept) >= limit:
        message = "Maximum number of verified factors reached, unenroll to continue"
        raise AuthError(422, "too_many_enrolled_mfa_factors", message)
    factor_id, secret = uuid4(), base64.b32encode(secrets.token_bytes(SECRET_BYTES)).decode()
    await connection.execute(
        """
        insert into auth.mfa_factors (id, user_id, friendly_name, factor_type, status, secret, created_at, updated_at)
        values (%s, %s, %s, 'totp', 'unverified', %s, now(), now())
        """,
        [factor_id, user.id, name, secret],
    )
    uri = _totp(secret).get_provisioning_uri(user.email or str(user.id), issuer)
    return Enrolled(id=factor_id, secret=secret, uri=uri, qr_code=_image(uri))


def name_conflict(name: str) -> AuthError:
    """Another factor of the user has the name."""
    message = f'A factor with the friendly name "{name}" for this user already exists'
    return AuthError(422, "mfa_factor_name_conflict", message)


def _totp(secret: str) -> TOTP:
    return TOTP(base64.b32decode(secret), DIGITS, SHA1(), STEP)  # noqa: S303 (what authenticator apps support)


def _image(uri: str) -> str:
    drawn = io.BytesIO()
    segno.make_qr(uri).save(drawn, kind="svg", scale=3, light="white", xmldecl=False, nl=False)
    # The clients write the image into a data URI, which a number sign would end.
    return drawn.getvalue().decode().replace("#000", "black").replace("#fff", "white")


async def challenge(connection: Connection, factor: Factor, client: Client) -> dict[str, Any]:
    """Begin a challenge, in the form for the client. Challenges that have expired are removed."""
    await connection.execute(
        "delete from auth.mfa_challenges where factor_id = %s and created_at < now() - make_interval(secs => %s)",
        [factor.id, CHALLENGE_EXPIRY],
    )
    challenge_id = uuid4()
    await connection.execute(
        "insert into auth.mfa_challenges (id, factor_id, created_at, ip_address) values (%s, %s, now(), %s)",
        [challenge_id, factor.id, client.ip or NO_ADDRESS],
    )
    await connection.execute(
        "update auth.mfa_factors set last_challenged_at = clock_timestamp() where id = %s", [factor.id]
    )
    return {"id": challenge_id, "type": factor.factor_type, "expires_at": int(time.time()) + CHALLENGE_EXPIRY}


async def find_challenge(connection: Connection, factor: Factor, challenge_id: str | None, client: Client) -> Challenge:
    """A challenge of this factor that waits for its code.

    Raises:
        AuthError: `mfa_factor_not_found`, `mfa_ip_address_mismatch`, `mfa_challenge_expired`.
    """
    try:
        wanted = UUID(challenge_id or "")
    except ValueError as error:
        raise AuthError(400, "validation_failed", "challenge_id must be an UUID") from error
    row = await (
        await connection.execute(
            """
            select
                c.ip_address = %s::inet and c.verified_at is null as is_usable,
                c.created_at < now() - make_interval(secs => %s) as is_expired,
                f.secret
            from auth.mfa_challenges as c join auth.mfa_factors as f on f.id = c.factor_id
            where c.id = %s and c.factor_id = %s
            """,
            [client.ip or NO_ADDRESS, CHALLENGE_EXPIRY, wanted, factor.id],
        )
    ).fetchone()
    if row is None:
        raise AuthError(422, "mfa_factor_not_found", "MFA factor with the provided challenge ID not found")
    if not row["is_usable"]:
        raise AuthError(422, "mfa_ip_address_mismatch", "Challenge and verify IP addresses mismatch.")
    if row["is_expired"]:
        message = f"MFA challenge {wanted} has expired, verify against another challenge or create a new challenge."
        raise AuthError(422, "mfa_challenge_expired", message)
    return Challenge(id=wanted, secret=row["secret"])


async def accept(connection: Connection, user: User, factor: Factor, answered: Challenge, code: str) -> None:
    """Check a code and use it up, with its challenge. The factor is verified then.

    Raises:
        AuthError: `mfa_verification_failed`, for a wrong code and for one that was used.
    """
    step = _step_of(answered.secret, code.strip())
    used = (
        await connection.execute(
            """
        insert into auth.totp_steps as t (factor_id, last_step) values (%(factor)s, %(step)s)
        on conflict (factor_id) do update set last_step = excluded.last_step where t.last_step < excluded.last_step
        """,
            {"factor": factor.id, "step": step},
        )
        if step is not None
        else None
    )
    if used is None or used.rowcount == 0:
        raise AuthError(422, "mfa_verification_failed", "Invalid TOTP code entered")
    await connection.execute("update auth.mfa_challenges set verified_at = now() where id = %s", [answered.id])
    await connection.execute(
        "update auth.mfa_factors set status = 'verified', updated_at = now() where id = %s and status <> 'verified'",
        [factor.id],
    )
    await connection.execute(
        "delete from auth.mfa_factors where user_id = %s and status = 'unverified' and factor_type = 'totp'", [user.id]
    )


def _step_of(secret: str, code: str) -> int | None:
    """The time step, around now, whose code this is."""
    totp, now = _totp(secret), int(time.time()) // STEP
    matching = [
        step for step in (now - 1, now, now + 1) if hmac.compare_digest(totp.generate(step * STEP), code.encode())
    ]
    return matching[-1] if matching else None


async def remove(connection: Connection, factor: Factor) -> None:
    """Remove a factor. Sessions that used it go on without a second factor."""
    await connection.execute(
        """
        delete from auth.mfa_amr_claims as a using auth.sessions as s
        where s.id = a.session_id and s.factor_id = %s and a.authentication_method = %s
        """,
        [factor.id, factor.factor_type],
    )
    await connection.execute(
        "update auth.sessions set aal = 'aal1', factor_id = null, updated_at = now() where factor_id = %s", [factor.id]
    )
    await connection.execute("delete from auth.mfa_factors where id = %s", [factor.id])
