"""Users and their identities: the rows, how clients see them, and changes to them."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, LiteralString
from uuid import UUID, uuid4

import msgspec
from psycopg import sql

from stack.auth.database import Connection, jsonb

AUDIENCE = "authenticated"
ROLE = "authenticated"
NO_INSTANCE = UUID(int=0)
ONE_TIME_COLUMNS = (
    "confirmation_token",
    "recovery_token",
    "email_change_token_new",
    "email_change_token_current",
    "reauthentication_token",
    "phone_change_token",
)

# Seeds and migrations insert users too, and leave out columns that the server always writes.
SELECT = sql.SQL("""
select
    u.id,
    coalesce(nullif(u.aud, ''), 'authenticated') as aud,
    coalesce(nullif(u.role, ''), 'authenticated') as role,
    u.email,
    nullif(u.encrypted_password, '') as encrypted_password,
    u.email_confirmed_at,
    u.invited_at,
    u.phone,
    u.phone_confirmed_at,
    u.confirmation_sent_at,
    u.confirmed_at,
    u.recovery_sent_at,
    nullif(u.email_change, '') as new_email,
    u.email_change_sent_at,
    coalesce(u.email_change_confirm_status, 0) as email_change_confirm_status,
    nullif(u.phone_change, '') as new_phone,
    u.phone_change_sent_at,
    u.reauthentication_sent_at,
    u.last_sign_in_at,
    case when jsonb_typeof(u.raw_app_meta_data) = 'object' then u.raw_app_meta_data else '{}' end as app_metadata,
    case when jsonb_typeof(u.raw_user_meta_data) = 'object' then u.raw_user_meta_data else '{}' end as user_metadata,
    coalesce(u.created_at, 'epoch') as created_at,
    coalesce(u.updated_at, u.created_at, 'epoch') as updated_at,
    u.banned_until,
    u.deleted_at,
    u.is_anonymous,
    u.is_sso_user,
    (
        select jsonb_agg(to_jsonb(f) - '{user_id,secret,web_authn_credential}'::text[] order by f.created_at, f.id)
        from auth.mfa_factors as f
        where f.user_id = u.id
    ) as factors,
    coalesce(
        (
            select jsonb_agg(to_jsonb(i) - 'provider_id' || jsonb_build_object('id', i.provider_id, 'identity_id', i.id)
                order by i.created_at, i.id)
            from auth.identities as i
            where i.user_id = u.id
        ),
        '[]'
    ) as identities
from auth.users as u
""")


class Identity(msgspec.Struct, frozen=True, kw_only=True):
    """One way in which a user signs in, as clients see it; `id` is the user's id at the provider."""

    identity_id: UUID
    id: str
    user_id: UUID
    identity_data: dict[str, Any]
    provider: str
    last_sign_in_at: datetime | None = None
    created_at: datetime | None = None
    updated_at: datetime | None = None
    email: str | None = None


class Factor(msgspec.Struct, frozen=True, kw_only=True):
    """A second factor of a user, as clients see it."""

    id: UUID
    friendly_name: str | None = None
    factor_type: str
    status: str
    phone: str | None = None
    last_challenged_at: datetime | None = None
    created_at: datetime
    updated_at: datetime

    @property
    def is_verified(self) -> bool:
        """Whether the user has proved that they have it."""
        return self.status == "verified"


class User(msgspec.Struct, frozen=True, kw_only=True):
    """One user with their identities and second factors."""

    id: UUID
    aud: str
    role: str
    email: str | None
    encrypted_password: str | None
    email_confirmed_at: datetime | None
    invited_at: datetime | None
    phone: str | None
    phone_confirmed_at: datetime | None
    confirmation_sent_at: datetime | None
    confirmed_at: datetime | None
    recovery_sent_at: datetime | None
    new_email: str | None
    email_change_sent_at: datetime | None
    email_change_confirm_status: int
    new_phone: str | None
    phone_change_sent_at: datetime | None
    reauthentication_sent_at: datetime | None
    last_sign_in_at: datetime | None
    app_metadata: dict[str, Any]
    user_metadata: dict[str, Any]
    created_at: datetime
    updated_at: datetime
    banned_until: datetime | None
    deleted_at: datetime | None
    is_anonymous: bool
    is_sso_user: bool
    factors: list[Factor] | None
    """None where there is none."""
    identities: list[Identity]

    @property
    def is_banned(self) -> bool:
        """Whether the user may not sign in now."""
        return self.banned_until is not None and self.banned_until > datetime.now(UTC)

    @property
    def has_second_factor(self) -> bool:
        """Whether a full sign-in needs a second factor."""
        return any(factor.is_verified for factor in self.factors or ())

    @property
    def is_pending_sign_up(self) -> bool:
        """Whether the account is a sign-up that waits for its confirmation, and nothing more.

        An account that an admin set up, or that was in use before it got another address, is none. No sign-up takes it
        over, and a proof of its address leaves it as it is.
        """
        is_used = self.invited_at is not None or self.last_sign_in_at is not None
        return self.email_confirmed_at is None and self.confirmation_sent_at is not None and not is_used

    def view(self) -> dict[str, Any]:
        """The user as clients see it: no secret, null fields absent, metadata always objects."""
        hidden = {"encrypted_password", "email_change_confirm_status", "is_sso_user"}
        fields = msgspec.structs.asdict(self)
        visible = {name: value for name, value in fields.items() if name not in hidden and value is not None}
        return {
            **visible,
            "email": self.email or "",
            "phone": self.phone or "",
            "identities": [_without_none(identity) for identity in self.identities],
            **({"factors": [_without_none(factor) for factor in self.factors]} if self.factors else {}),
        }


class NewUser(msgspec.Struct, frozen=True, kw_only=True):
    """A user to be made."""

    id: UUID
    email: str | None = None
    phone: str | None = None
    encrypted_password: str | None = None
    role: str = ROLE
    app_metadata: dict[str, Any]
    user_metadata: dict[str, Any]
    is_anonymous: bool = False
    invited_at: datetime | None = None

    @classmethod
    def by_email(
        cls, email: str, *, hashed: str | None, data: dict[str, Any] | None, by_admin: bool = False
    ) -> "NewUser":
        """A user with an address.

        Args:
            email: the address.
            hashed: the password's hash.
            data: the metadata that they, or an admin, chose.
            by_admin: whether an admin makes them: as on Supabase, their metadata is just `data` then.
        """
        new_id = uuid4()
        return cls(
            id=new_id,
            email=email,
            encrypted_password=hashed,
            app_metadata={"provider": "email", "providers": ["email"]},
            user_metadata={**(data or {}), **({} if by_admin else identity_claims(new_id, email=email))},
        )


def identity_claims(user_id: UUID, **contact: str) -> dict[str, Any]:
    """The claims of a new identity. Nothing of it is confirmed yet."""
    return {"sub": str(user_id), **contact, "email_verified": False, "phone_verified": False}


def _without_none(part: Identity | Factor) -> dict[str, Any]:
    return {name: value for name, value in msgspec.structs.asdict(part).items() if value is not None}


async def by_id(connection: Connection, user_id: UUID, *, lock: bool = False) -> User | None:
    """The user of this id; with `lock`, locked against changes until the transaction ends."""
    return await _one(connection, "where u.id = %s", user_id, lock=lock)


async def by_email(connection: Connection, email: str, *, lock: bool = False) -> User | None:
    """The user of this address, in lower case."""
    return await _one(connection, "where lower(u.email) = %s and not u.is_sso_user", email, lock=lock)


async def _one(connection: Connection, condition: LiteralString, value: UUID | str, *, lock: bool) -> User | None:
    locking = sql.SQL(" for no key update of u" if lock else "")
    row = await (await connection.execute(SELECT + sql.SQL(condition) + locking, [value])).fetchone()
    return None if row is None else msgspec.convert(row, User)


async def existing(connection: Connection, user_id: UUID) -> User:
    """The user of this id, who was found earlier in this transaction."""
    user = await by_id(connection, user_id)
    if user is None:
        raise LookupError("the user vanished within the transaction")
    return user


async def insert(connection: Connection, new: NewUser) -> User:
    """Make a user, with an identity for the address and one for the phone number.

    Raises:
        psycopg.errors.UniqueViolation: another user has the address, where `errors.is_taken_email` is true.
    """
    await connection.execute(
        """
        insert into auth.users (
            instance_id, id, aud, role, email, phone, encrypted_password, raw_app_meta_data, raw_user_meta_data,
            is_anonymous, invited_at, created_at, updated_at,
            confirmation_token, recovery_token, email_change_token_new, email_change
        )
        values (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, now(), now(), '', '', '', '')
        """,
        [
            NO_INSTANCE,
            new.id,
            AUDIENCE,
            new.role,
            new.email,
            new.phone,
            new.encrypted_password or "",
            jsonb(new.app_metadata),
            jsonb(new.user_metadata),
            new.is_anonymous,
            new.invited_at,
        ],
    )
    if new.email is not None:
        await add_identity(connection, new.id, "email", email=new.email)
    if new.phone is not None:
        await add_identity(connection, new.id, "phone", phone=new.phone)
    # Triggers may have changed what was inserted.
    return await existing(connection, new.id)


async def add_identity(connection: Connection, user_id: UUID, provider: str, **contact: str) -> None:
    """Add an identity of this address or number to a user."""
    await connection.execute(
        """
        insert into auth.identities (
            id, provider_id, user_id, identity_data, provider, last_sign_in_at, created_at, updated_at
        )
        values (%s, %s, %s, %s, %s, now(), now(), now())
        """,
        [uuid4(), str(user_id), user_id, jsonb(identity_claims(user_id, **contact)), provider],
    )


async def set_identity(connection: Connection, user_id: UUID, provider: str, *, verified: bool, **contact: str) -> None:
    """Change a user's identity at a provider; made where there is none."""
    found = await connection.execute(
        """
        update auth.identities set identity_data = identity_data || %s, updated_at = now()
        where user_id = %s and provider = %s
        """,
        [jsonb({**contact, f"{provider}_verified": verified}), user_id, provider],
    )
    if found.rowcount == 0:
        await add_identity(connection, user_id, provider, **contact)
        await set_identity(connection, user_id, provider, verified=verified, **contact)
        providers = await _providers(connection, user_id)
        await merge_metadata(connection, user_id, app={"provider": providers[0], "providers": providers})


async def _providers(connection: Connection, user_id: UUID) -> list[str]:
    rows = await connection.execute(
        "select provider from auth.identities where user_id = %s order by created_at, id", [user_id]
    )
    return list(dict.fromkeys([row["provider"] async for row in rows]))


async def change(connection: Connection, user_id: UUID, columns: Mapping[str, Any]) -> None:
    """Set some columns of a user."""
    assignments = sql.SQL(", ").join(
        sql.SQL("{} = {}").format(sql.Identifier(name), sql.Placeholder()) for name in columns
    )
    await connection.execute(
        sql.SQL("update auth.users set {}, updated_at = now() where id = {}").format(assignments, sql.Placeholder()),
        [*columns.values(), user_id],
    )


async def merge_metadata(
    connection: Connection, user_id: UUID, *, user: dict[str, Any] | None = None, app: dict[str, Any] | None = None
) -> None:
    """Add to a user's metadata. A null removes its key."""
    for column, updates in (("raw_user_meta_data", user), ("raw_app_meta_data", app)):
        if updates is None:
            continue
        changed = {name: value for name, value in updates.items() if value is not None}
        removed = [name for name, value in updates.items() if value is None]
        await connection.execute(
            sql.SQL(
                """
                update auth.users
                set
                    {0} = (case when jsonb_typeof({0}) = 'object' then {0} else '{{}}' end || %s) - %s::text[],
                    updated_at = now()
                where id = %s
                """
            ).format(sql.Identifier(column)),
            [jsonb(changed), removed, user_id],
        )


async def replace_sign_up(connection: Connection, user: User, new: NewUser) -> None:
    """Let a later sign-up with an unconfirmed address take the place of an earlier one, whose links become invalid."""
    await void_unproved(connection, user)
    if new.encrypted_password is not None:
        await change(connection, user.id, {"encrypted_password": new.encrypted_password})
    metadata = new.user_metadata
    await merge_metadata(connection, user.id, user=metadata | ({"sub": str(user.id)} if "sub" in metadata else {}))


async def void_unproved(connection: Connection, user: User, *, keep_sign_up: bool = False) -> None:
    """Remove from an account with an unconfirmed address what somebody set who may not hold the address.

    These are sessions, second factors, other identities, a phone number, pending changes, and links and codes.

    Args:
        connection: in the transaction in which the holder of the address proves it, or signs up again.
        user: the user, locked.
        keep_sign_up: whether to keep the password and the metadata: they are those of the sign-up whose own link is the
            proof. All of an account that is more than a sign-up stays.
    """
    await forget_one_time_tokens(connection, user.id)
    await connection.execute(
        """
        with
        ended as (delete from auth.sessions where user_id = %(id)s),
        removed as (delete from auth.mfa_factors where user_id = %(id)s)
        delete from auth.known_networks where user_id = %(id)s
        """,
        {"id": user.id},
    )
    if not user.is_pending_sign_up:
        return
    await connection.execute("delete from auth.identities where user_id = %s and provider <> 'email'", [user.id])
    if keep_sign_up:
        return
    await connection.execute(
        """
        update auth.users
        set
            encrypted_password = '',
            phone = null,
            phone_confirmed_at = null,
            raw_user_meta_data = %s,
            raw_app_meta_data = coalesce(raw_app_meta_data, '{}') || '{"provider": "email", "providers": ["email"]}',
            updated_at = now()
        where id = %s
        """,
        [jsonb(identity_claims(user.id, email=user.email or "")), user.id],
    )


async def confirm_email(connection: Connection, user_id: UUID) -> None:
    """Record that a user holds their address; every link and code sent before becomes invalid."""
    await forget_one_time_tokens(connection, user_id)
    await change(connection, user_id, {"email_confirmed_at": datetime.now(UTC)})
    await merge_metadata(connection, user_id, user={"email_verified": True})
    await connection.execute(
        """
        update auth.identities set identity_data = identity_data || '{"email_verified": true}', updated_at = now()
        where user_id = %s and provider = 'email'
        """,
        [user_id],
    )


async def forget_one_time_tokens(connection: Connection, user_id: UUID) -> None:
    """Invalidate every link and code that was sent to a user, and cancel a pending change of address."""
    await connection.execute("delete from auth.one_time_tokens where user_id = %s", [user_id])
    pending = {"email_change": "", "email_change_confirm_status": 0, "phone_change": ""}
    await change(connection, user_id, {**dict.fromkeys(ONE_TIME_COLUMNS, ""), **pending})


async def set_password(connection: Connection, user_id: UUID, hashed: str, *, keep_session: UUID | None) -> None:
    """Set a user's password and end their other sessions; links and codes sent before become invalid."""
    await forget_one_time_tokens(connection, user_id)
    await change(connection, user_id, {"encrypted_password": hashed})
    await connection.execute(
        "delete from auth.sessions where user_id = %s and id is distinct from %s", [user_id, keep_session]
    )


async def soft_delete(connection: Connection, user_id: UUID) -> None:
    """Keep a user's row, for the rows that refer to it, without anything that identifies the user or signs them in."""
    await forget_one_time_tokens(connection, user_id)
    await connection.execute(
        """
        update auth.users
        set
            email = encode(sha256(convert_to(id::text || coalesce(email, ''), 'UTF8')), 'hex'),
            phone = case when phone is not null
                then left(encode(sha256(convert_to(id::text || phone, 'UTF8')), 'hex'), 15) end,
            encrypted_password = null,
            raw_user_meta_data = '{}',
            raw_app_meta_data = '{}',
            deleted_at = now(),
            updated_at = now()
        where id = %s
        """,
        [user_id],
    )
    await connection.execute(
        """
        update auth.identities
        set
            identity_data = '{}',
            provider_id = encode(sha256(convert_to(user_id::text || provider || ':' || provider_id, 'UTF8')), 'hex'),
            updated_at = now()
        where user_id = %s
        """,
        [user_id],
    )
    await connection.execute("delete from auth.mfa_factors where user_id = %s", [user_id])
    await connection.execute("delete from auth.known_networks where user_id = %s", [user_id])
    await connection.execute("delete from auth.sessions where user_id = %s", [user_id])
