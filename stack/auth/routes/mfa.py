"""Second factors: /factors for signed-in users, /admin/users/{id}/factors for the holder of the service key."""

from typing import Any
from urllib.parse import urlsplit

from litestar import Request, delete, get, post, put
from psycopg import errors as pg

from stack.auth import audit, factors
from stack.auth.caller import Caller
from stack.auth.client import Client
from stack.auth.database import Connection
from stack.auth.errors import AuthError, insufficient_aal, invalid
from stack.auth.requests import Enrolment, FactorCode, FactorUpdate, read
from stack.auth.routes.admin import load_user
from stack.auth.server import Auth
from stack.auth.users import Factor

KINDS = ("totp", "phone", "webauthn")
MAX_NAME = 100
"""Characters of a factor's name and of an issuer, which must fit into a QR code."""


@post("/factors", status_code=200)
async def enrol_factor(request: Request[Any, Any, Any], auth: Auth) -> dict[str, Any]:
    """Add a second factor, with its secret and a QR code. It counts once a code of it is verified."""
    body = await read(request, Enrolment)
    client = Client.of(request)
    async with auth.transaction() as connection:
        caller = await _caller(auth, request, connection)
        kind = body.factor_type
        if kind not in KINDS:
            raise invalid("factor_type needs to be totp, phone, or webauthn")
        if kind != factors.KIND or not auth.settings.mfa_totp_enroll:
            raise AuthError(422, f"mfa_{kind}_enroll_not_enabled", f"MFA enroll is disabled for {kind}")
        name, issuer = body.friendly_name or "", body.issuer or urlsplit(auth.settings.site_url).netloc
        if max(len(name), len(issuer)) > MAX_NAME:
            raise invalid(f"friendly_name and issuer have at most {MAX_NAME} characters")
        if caller.user.has_second_factor and not caller.has_used_second_factor:
            raise insufficient_aal(403, "AAL2 required to enroll a new factor")
        auth.limits.factors.take(client)
        limit = auth.settings.mfa_max_enrolled_factors
        made = await factors.enrol(connection, caller.user, name=name, issuer=issuer, limit=limit)
        await audit.record(
            connection, "factor_in_progress", actor=caller.user, ip=client.ip, traits={"factor_id": made.id}
        )
    return {
        "id": made.id,
        "type": factors.KIND,
        "friendly_name": name,
        "totp": {"qr_code": made.qr_code, "secret": made.secret, "uri": made.uri},
    }


@post("/factors/{factor_id:str}/challenge", status_code=200)
async def challenge_factor(request: Request[Any, Any, Any], auth: Auth, factor_id: str) -> dict[str, Any]:
    """Begin to use a second factor. The answer has the id of the challenge, which is valid for five minutes."""
    client = Client.of(request)
    async with auth.transaction() as connection:
        caller = await _caller(auth, request, connection)
        factor = _usable(auth, factors.owned(caller.user, factor_id))
        auth.limits.factors.take(client)
        await audit.record(
            connection,
            "challenge_created",
            actor=caller.user,
            ip=client.ip,
            traits={"factor_id": factor.id, "factor_status": factor.status},
        )
        return await factors.challenge(connection, factor, client)


@post("/factors/{factor_id:str}/verify", status_code=200)
async def verify_factor(request: Request[Any, Any, Any], auth: Auth, factor_id: str) -> dict[str, Any]:
    """Answer a challenge with a code: the session has level `aal2` then, and sessions below it end."""
    body = await read(request, FactorCode)
    client = Client.of(request)
    async with auth.transaction() as connection:
        caller = await _caller(auth, request, connection)
        factor = _usable(auth, factors.owned(caller.user, factor_id))
        if not body.code:
            raise invalid("Code needs to be non-empty")
        auth.limits.factors.take(client)
        answered = await factors.find_challenge(connection, factor, body.challenge_id, client)
        guess = await auth.guess_factor(connection, caller.user, client)
        await factors.accept(connection, caller.user, factor, answered, body.code)
        await audit.record(
            connection,
            "verification_attempted",
            actor=caller.user,
            ip=client.ip,
            traits={"factor_id": factor.id, "challenge_id": answered.id, "factor_type": factor.factor_type},
        )
        answer = await auth.sessions.raise_level(
            connection, caller.require_session(), factor_id=factor.id, method=factors.KIND
        )
    guess.give_back()
    return answer


@delete("/factors/{factor_id:str}", status_code=200)
async def remove_factor(request: Request[Any, Any, Any], auth: Auth, factor_id: str) -> dict[str, Any]:
    """Remove a second factor; a verified one only in a session that used a second factor."""
    async with auth.transaction() as connection:
        caller = await _caller(auth, request, connection)
        factor = factors.owned(caller.user, factor_id)
        if factor.is_verified and not caller.has_used_second_factor:
            raise insufficient_aal(422, "AAL2 required to unenroll verified factor")
        await factors.remove(connection, factor)
        await audit.record(
            connection,
            "factor_unenrolled",
            actor=caller.user,
            ip=Client.of(request).ip,
            traits={"factor_id": factor.id, "factor_status": factor.status, "session_id": caller.session_id},
        )
    return {"id": factor.id}


@get("/admin/users/{user_id:str}/factors")
async def list_users_factors(request: Request[Any, Any, Any], auth: Auth, user_id: str) -> list[Factor]:
    """List a user's second factors."""
    auth.admin(request)
    async with auth.pool.connection() as connection:
        return (await load_user(connection, user_id)).factors or []


@put("/admin/users/{user_id:str}/factors/{factor_id:str}")
async def update_users_factor(request: Request[Any, Any, Any], auth: Auth, user_id: str, factor_id: str) -> Factor:
    """Rename a user's second factor."""
    auth.admin(request)
    body = await read(request, FactorUpdate)
    if len(body.friendly_name or "") > MAX_NAME:
        raise invalid(f"friendly_name has at most {MAX_NAME} characters")
    async with auth.transaction() as connection:
        user = await load_user(connection, user_id, lock=True)
        factor = factors.owned(user, factor_id)
        if body.friendly_name:
            try:
                await connection.execute(
                    "update auth.mfa_factors set friendly_name = %s, updated_at = now() where id = %s",
                    [body.friendly_name, factor.id],
                )
            except pg.UniqueViolation as error:
                raise factors.name_conflict(body.friendly_name) from error
        await _record(connection, request, "factor_updated", user_id=user_id, factor=factor)
        return factors.owned(await load_user(connection, user_id), factor_id)


@delete("/admin/users/{user_id:str}/factors/{factor_id:str}", status_code=200)
async def remove_users_factor(request: Request[Any, Any, Any], auth: Auth, user_id: str, factor_id: str) -> Factor:
    """Remove a user's second factor, such as of a lost phone."""
    auth.admin(request)
    async with auth.transaction() as connection:
        factor = factors.owned(await load_user(connection, user_id, lock=True), factor_id)
        await factors.remove(connection, factor)
        await _record(connection, request, "factor_deleted", user_id=user_id, factor=factor)
        return factor


async def _record(
    connection: Connection, request: Request[Any, Any, Any], action: str, *, user_id: str, factor: Factor
) -> None:
    traits = {"user_id": user_id, "factor_id": factor.id, "factor_type": factor.factor_type}
    await audit.record(connection, action, actor=None, ip=Client.of(request).ip, traits=traits)


async def _caller(auth: Auth, request: Request[Any, Any, Any], connection: Connection) -> Caller:
    """The signed-in user, locked, with their session. Raises AuthError."""
    caller = await auth.caller(request, connection, lock=True)
    if caller.user.is_anonymous:
        raise AuthError(403, "no_authorization", "Anonymous user not allowed to perform these actions")
    return caller


def _usable(auth: Auth, factor: Factor) -> Factor:
    if factor.factor_type != factors.KIND or not auth.settings.mfa_totp_verify:
        kind = factor.factor_type
        raise AuthError(422, f"mfa_{kind}_verify_not_enabled", f"MFA verification is disabled for {kind}")
    return factor
