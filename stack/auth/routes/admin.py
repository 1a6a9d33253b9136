"""The routes for the holder of the service key: /admin/users, /admin/audit."""

import re
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlencode
from uuid import UUID, uuid4

import msgspec
from litestar import Request, Response, delete, get, post, put
from psycopg import errors as pg
from psycopg import sql

from stack.auth import audit, users
from stack.auth.client import Client
from stack.auth.database import Connection
from stack.auth.errors import AuthError, email_exists, invalid
from stack.auth.passwords import check_length, check_strength, cost_of
from stack.auth.requests import AdminDelete, AdminUser, read, read_email, read_phone
from stack.auth.routes import email_change
from stack.auth.server import Auth
from stack.auth.users import NewUser, User

FILTER = sql.SQL("""
where %(like)s::text is null or u.email like %(like)s or u.raw_user_meta_data ->> 'full_name' ilike %(like)s
""")
PAGE = sql.SQL("order by u.created_at desc, u.id limit %(limit)s offset %(offset)s")
PER_PAGE = 50
MAX_PER_PAGE = 1000
DURATION = re.compile(r"\+?((\d+(\.\d*)?|\.\d+)(ns|us|µs|ms|s|m|h))+")
DURATION_PART = re.compile(r"(\d+(?:\.\d*)?|\.\d+)(ns|us|µs|ms|s|m|h)")
SECONDS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1, "m": 60, "h": 3600}
MAX_BAN_SECONDS = 290 * 365 * 24 * 3600


@get("/admin/users")
async def list_users(request: Request[Any, Any, Any], auth: Auth) -> Response[dict[str, Any]]:
    """List a page of the users, newest first, with `X-Total-Count` and `Link`."""
    auth.admin(request)
    page, per_page = _page(request)
    literal = re.sub(r"([%_\\])", r"\\\1", request.query_params.get("filter") or "")
    values = {
        "like": f"%{literal}%" if literal else None,
        "limit": per_page,
        "offset": (page - 1) * per_page,
    }
    async with auth.pool.connection() as connection:
        total = await _count(connection, sql.SQL("select count(*) as total from auth.users as u") + FILTER, values)
        rows = await (await connection.execute(users.SELECT + FILTER + PAGE, values)).fetchall()
    listed = [msgspec.convert(row, User).view() for row in rows]
    return Response(
        {"users": listed, "aud": users.AUDIENCE},
        headers=_page_headers("/admin/users", page=page, per_page=per_page, total=total),
    )


@post("/admin/users", status_code=200)
async def create_user(request: Request[Any, Any, Any], auth: Auth) -> dict[str, Any]:
    """Make a user, confirmed or not, without a mail."""
    auth.admin(request)
    body = await read(request, AdminUser)
    if not body.email and not body.phone:
        raise invalid("Cannot create a user without either an email or phone")
    email = read_email(body.email) if body.email else None
    phone = read_phone(body.phone) if body.phone else None
    providers = [name for name, value in (("email", email), ("phone", phone)) if value]
    banned_until = _banned_until(body.ban_duration)
    new = NewUser(
        id=_user_id(body.id),
        email=email,
        phone=phone,
        encrypted_password=await _password_hash(auth, body),
        role=(body.role or "").strip() or users.ROLE,
        app_metadata={"provider": providers[0], "providers": providers},
        user_metadata=body.user_metadata or {},
    )
    try:
        async with auth.transaction() as connection:
            user = await users.insert(connection, new)
            await _record(connection, request, "user_signedup", user)
            if body.app_metadata is not None:
                await users.merge_metadata(connection, user.id, app=body.app_metadata)
            await _confirm(connection, user, body)
            if banned_until is not None:
                await users.change(connection, user.id, {"banned_until": banned_until})
            return (await users.existing(connection, user.id)).view()
    except pg.UniqueViolation as error:
        raise _conflict(error) from error


@get("/admin/users/{user_id:str}")
async def get_user(request: Request[Any, Any, Any], auth: Auth, user_id: str) -> dict[str, Any]:
    """Get one user."""
    auth.admin(request)
    async with auth.pool.connection() as connection:
        return (await load_user(connection, user_id)).view()


@put("/admin/users/{user_id:str}")
async def update_user(request: Request[Any, Any, Any], auth: Auth, user_id: str) -> dict[str, Any]:
    """Change a user at once, without mails. A new password ends all of the user's sessions."""
    auth.admin(request)
    body = await read(request, AdminUser)
    email = read_email(body.email) if body.email else None
    phone = read_phone(body.phone) if body.phone else None
    banned_until = _banned_until(body.ban_duration)
    hashed = None
    if body.password:
        check_strength(body.password, min_length=auth.settings.min_password_length)
        hashed = await auth.hasher.hash(body.password)
    elif body.password_hash:
        hashed = await _password_hash(auth, body)
    try:
        async with auth.transaction() as connection:
            user = await load_user(connection, user_id, lock=True)
            if body.role and body.role.strip():
                await users.change(connection, user.id, {"role": body.role.strip()})
            if hashed is not None:
                await users.set_password(connection, user.id, hashed, keep_session=None)
            if email is not None:
                await email_change.require_free(connection, email, user=user)
                await users.change(connection, user.id, {"email": email})
                await users.set_identity(connection, user.id, "email", verified=bool(body.email_confirm), email=email)
            if phone is not None:
                await users.change(connection, user.id, {"phone": phone})
                await users.set_identity(connection, user.id, "phone", verified=bool(body.phone_confirm), phone=phone)
            await _confirm(connection, user, body)
            await users.merge_metadata(connection, user.id, user=body.user_metadata, app=body.app_metadata)
            if body.ban_duration:
                await users.change(connection, user.id, {"banned_until": banned_until})
            await _record(connection, request, "user_modified", user)
            return (await users.existing(connection, user.id)).view()
    except pg.UniqueViolation as error:
        raise _conflict(error) from error


@delete("/admin/users/{user_id:str}", status_code=200)
async def delete_user(request: Request[Any, Any, Any], auth: Auth, user_id: str) -> dict[str, Any]:
    """Delete a user, or with `should_soft_delete` keep the row without anything that identifies the user."""
    auth.admin(request)
    body = await read(request, AdminDelete, optional=True)
    async with auth.transaction() as connection:
        user = await load_user(connection, user_id, lock=True)
        await _record(connection, request, "user_deleted", user)
        if not body.should_soft_delete:
            await connection.execute("delete from auth.users where id = %s", [user.id])
        elif user.deleted_at is None:
            await users.soft_delete(connection, user.id)
    return {}


@get("/admin/audit")
async def list_audit(request: Request[Any, Any, Any], auth: Auth) -> Response[list[dict[str, Any]]]:
    """List a page of the audit log, latest first."""
    auth.admin(request)
    page, per_page = _page(request)
    async with auth.pool.connection() as connection:
        total = await _count(connection, sql.SQL("select count(*) as total from auth.audit_log_entries"), {})
        rows = await (
            await connection.execute(
                """
                select id, payload, created_at, ip_address from auth.audit_log_entries
                order by created_at desc, id
                limit %s offset %s
                """,
                [per_page, (page - 1) * per_page],
            )
        ).fetchall()
    return Response(rows, headers=_page_headers("/admin/audit", page=page, per_page=per_page, total=total))


async def load_user(connection: Connection, user_id: str, *, lock: bool = False) -> User:
    """The user of an id in a path. Raises AuthError `user_not_found`."""
    try:
        uuid = UUID(user_id)
    except ValueError as error:
        raise AuthError(404, "validation_failed", "user_id must be an UUID") from error
    user = await users.by_id(connection, uuid, lock=lock)
    if user is None:
        raise AuthError(404, "user_not_found", "User not found")
    return user


async def _record(connection: Connection, request: Request[Any, Any, Any], action: str, user: User) -> None:
    await audit.record(
        connection,
        action,
        actor=None,
        ip=Client.of(request).ip,
        traits={"user_id": user.id, "user_email": user.email or "", "user_phone": user.phone or ""},
    )


async def _confirm(connection: Connection, user: User, body: AdminUser) -> None:
    if body.email_confirm:
        await users.confirm_email(connection, user.id)
        if user.is_anonymous and body.email:
            await users.change(connection, user.id, {"is_anonymous": False})
    if body.phone_confirm:
        await users.change(connection, user.id, {"phone_confirmed_at": datetime.now(UTC)})


async def _password_hash(auth: Auth, body: AdminUser) -> str | None:
    if body.password and body.password_hash:
        raise invalid("Only a password or a password hash should be provided")
    if body.password_hash:
        if cost_of(body.password_hash) is None:
            raise invalid("password_hash must be a bcrypt hash of cost 4 to 15")
        return body.password_hash
    if not body.password:
        return None
    check_length(body.password)
    return await auth.hasher.hash(body.password)


def _user_id(text: str | None) -> UUID:
    if not text:
        return uuid4()
    try:
        parsed = UUID(text)
    except ValueError as error:
        raise invalid("ID must conform to the uuid v4 format") from error
    if parsed.int == 0:
        raise invalid("ID cannot be a nil uuid")
    return parsed


def _banned_until(duration: str | None) -> datetime | None:
    """The end of a ban of this length, such as `1h30m`; None for none."""
    if not duration or duration == "none":
        return None
    seconds = sum(float(number) * SECONDS[unit] for number, unit in DURATION_PART.findall(duration))
    if not DURATION.fullmatch(duration) or seconds > MAX_BAN_SECONDS:
        raise invalid('ban_duration must be "none" or a length of time such as "24h" or "1h30m"')
    return datetime.now(UTC) + timedelta(seconds=seconds) if seconds else None


def _conflict(error: pg.UniqueViolation) -> Exception:
    match error.diag.constraint_name:
        case "users_email_partial_key":
            return email_exists()
        case "users_phone_key":
            return AuthError(422, "phone_exists", "Phone number already registered by another user")
        case "users_pkey":
            return AuthError(422, "user_already_exists", "A user with this id exists")
        case _:
            return error


def _page(request: Request[Any, Any, Any]) -> tuple[int, int]:
    return (
        _number(request, "page", 1, largest=10**9),
        _number(request, "per_page", PER_PAGE, largest=MAX_PER_PAGE),
    )


def _number(request: Request[Any, Any, Any], name: str, default: int, *, largest: int) -> int:
    text = request.query_params.get(name) or str(default)
    if not re.fullmatch(r"\d{1,12}", text) or int(text) == 0:
        raise invalid(f"Bad Pagination Parameters: {name} must be a whole number above 0")
    return min(int(text), largest)


async def _count(connection: Connection, query: sql.SQL | sql.Composed, values: dict[str, Any]) -> int:
    row = await (await connection.execute(query, values)).fetchone()
    return int(row["total"]) if row else 0


def _page_headers(path: str, *, page: int, per_page: int, total: int) -> dict[str, str]:
    last = -(-total // per_page)

    def link(number: int, name: str) -> str:
        # Clients read the number after the first equals sign, so `page` stands first.
        return f'<{path}?{urlencode({"page": number, "per_page": per_page})}>; rel="{name}"'

    links = ([link(page + 1, "next")] if page < last else []) + [link(last, "last")]
    return {"X-Total-Count": str(total), "Link": ", ".join(links)}
