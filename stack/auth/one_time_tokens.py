"""Links and codes that are mailed: six digits, stored only as a hash, valid once and for a limited time.

A link carries the hash itself, and a person types the digits. The hash is SHA-224 over address and digits, as on
Supabase, but keyed: there are only a million codes, and without a key an attacker could make the links of all of them,
which no limit on wrong codes would count. The address makes one user's digits useless for another.
"""

import hashlib
import hmac
import secrets
from datetime import UTC, datetime
from enum import Enum
from uuid import UUID, uuid4

import msgspec

from stack.auth import users
from stack.auth.database import Connection
from stack.auth.errors import otp_expired
from stack.auth.signing import Signer

PKCE_PREFIX = "pkce_"
DIGITS = 6


class Kind(Enum):
    """The purpose of a link or code. The value is its name in the database."""

    CONFIRMATION = "confirmation_token"
    RECOVERY = "recovery_token"
    EMAIL_CHANGE_NEW = "email_change_token_new"
    EMAIL_CHANGE_CURRENT = "email_change_token_current"
    REAUTHENTICATION = "reauthentication_token"

    @property
    def sent_column(self) -> str:
        """The column of `auth.users` with the time of the last one."""
        return SENT_COLUMNS[self]


SENT_COLUMNS = {
    Kind.CONFIRMATION: "confirmation_sent_at",
    Kind.RECOVERY: "recovery_sent_at",
    Kind.EMAIL_CHANGE_NEW: "email_change_sent_at",
    Kind.EMAIL_CHANGE_CURRENT: "email_change_sent_at",
    Kind.REAUTHENTICATION: "reauthentication_sent_at",
}


class IssuedToken(msgspec.Struct, frozen=True, kw_only=True):
    """A link or code to be mailed."""

    otp: str
    """The digits for a person."""
    token: str
    """The token for a link."""


class RedeemedToken(msgspec.Struct, frozen=True, kw_only=True):
    """A redeemed link or code."""

    user_id: UUID
    kind: Kind
    by_pkce: bool
    """Whether it was requested with PKCE, so that the answer is a code instead of tokens."""


class OneTimeTokens:
    """Issues links and codes."""

    def __init__(self, signer: Signer) -> None:
        """Use the stack's secret key, which a rotation of the signing keys leaves unchanged."""
        self._signer = signer

    def token_hash(self, address: str, otp: str) -> str:
        """The hash of the digits that were sent to an address."""
        key = self._signer.keys().secret.encode()
        return hmac.new(key, f"{address.lower()}{otp}".encode(), hashlib.sha224).hexdigest()

    async def issue(
        self, connection: Connection, user_id: UUID, kind: Kind, *, address: str, by_pkce: bool = False
    ) -> IssuedToken:
        """Make a link and code for an address. The user's previous one of this kind becomes invalid."""
        otp = f"{secrets.randbelow(10**DIGITS):0{DIGITS}}"
        token = (PKCE_PREFIX if by_pkce else "") + self.token_hash(address, otp)
        await connection.execute(
            """
            insert into auth.one_time_tokens (id, user_id, token_type, token_hash, relates_to)
            values (%s, %s, %s::auth.one_time_token_type, %s, %s)
            on conflict (user_id, token_type) do update
            set token_hash = excluded.token_hash, relates_to = excluded.relates_to,
                created_at = excluded.created_at, updated_at = excluded.updated_at
            """,
            [uuid4(), user_id, kind.value, token, address],
        )
        await users.change(connection, user_id, {kind.value: token, kind.sent_column: datetime.now(UTC)})
        return IssuedToken(otp=otp, token=token)


async def redeem(connection: Connection, token: str, *, kinds: tuple[Kind, ...], expiry: int) -> RedeemedToken:
    """Find the user of a link or code and lock its row; the caller invalidates it by `users.forget_one_time_tokens`.

    Of two callers with the same one, the second waits for the first and then finds nothing.

    Args:
        connection: in the transaction that invalidates it.
        token: as in the link, or the hash of address and digits, which is found with or without PKCE.
        kinds: the purposes that are allowed.
        expiry: seconds for which it is valid.

    Raises:
        AuthError: `otp_expired`.
    """
    row = await (
        await connection.execute(
            """
            select
                t.user_id, t.token_type, t.token_hash,
                t.created_at + make_interval(secs => %s) < localtimestamp as is_expired
            from auth.one_time_tokens as t
            where t.token_type = any(%s::auth.one_time_token_type[]) and t.token_hash in (%s, %s)
            order by t.created_at desc
            limit 1
            for update of t
            """,
            [expiry, [kind.value for kind in kinds], token, PKCE_PREFIX + token],
        )
    ).fetchone()
    if row is None or row["is_expired"]:
        raise otp_expired()
    return RedeemedToken(
        user_id=row["user_id"], kind=Kind(row["token_type"]), by_pkce=row["token_hash"].startswith(PKCE_PREFIX)
    )
