"""The bodies of requests, read as Supabase reads them: unknown fields are ignored, and null counts as absent."""

import re
from typing import Annotated, Any, TypeVar

import msgspec
from litestar import Request

from stack.auth.errors import AuthError, invalid

MAX_BODY = 256 * 1024
"""Bytes of a body. A user's own metadata goes into each of their tokens."""
MAX_EMAIL = 254
EMAIL = re.compile(
    r"(?P<local>[a-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64})"
    r"@(?P<domain>[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?)*)"
)
PHONE = re.compile(r"[1-9]\d{6,14}")

Body = TypeVar("Body", bound="Fields")
Email = Annotated[str, msgspec.Meta(extra_json_schema={"format": "email"})]
"""Only the OpenAPI document checks the format; `read_email` checks the address."""


class Fields(msgspec.Struct, frozen=True, kw_only=True):
    """Fields of a request, any of which may be absent or null."""


class Contact(Fields, frozen=True, kw_only=True):
    """An address or a phone number, and the fields of PKCE in a request that sends a mail."""

    email: Email | None = None
    phone: str | None = None
    code_challenge: str | None = None
    code_challenge_method: str | None = None
    redirect_to: str | None = None


class SignUp(Contact, frozen=True, kw_only=True):
    """POST /signup."""

    password: str | None = None
    data: dict[str, Any] | None = None


class Otp(Contact, frozen=True, kw_only=True):
    """POST /otp and /magiclink."""

    create_user: bool | None = None
    data: dict[str, Any] | None = None


class Resend(Contact, frozen=True, kw_only=True):
    """POST /resend."""

    type: str | None = None


class Invite(Contact, frozen=True, kw_only=True):
    """POST /invite."""

    data: dict[str, Any] | None = None


class GenerateLink(Contact, frozen=True, kw_only=True):
    """POST /admin/generate_link."""

    type: str | None = None
    new_email: Email | None = None
    password: str | None = None
    data: dict[str, Any] | None = None


class PasswordGrant(Fields, frozen=True, kw_only=True):
    """POST /token?grant_type=password."""

    email: Email | None = None
    phone: str | None = None
    password: str | None = None


class RefreshGrant(Fields, frozen=True, kw_only=True):
    """POST /token?grant_type=refresh_token."""

    refresh_token: str | None = None


class PkceGrant(Fields, frozen=True, kw_only=True):
    """POST /token?grant_type=pkce."""

    auth_code: str | None = None
    code_verifier: str | None = None


class Verify(Fields, frozen=True, kw_only=True):
    """POST /verify."""

    type: str | None = None
    token: str | None = None
    token_hash: str | None = None
    email: Email | None = None
    phone: str | None = None


class UserUpdate(Contact, frozen=True, kw_only=True):
    """PUT /user."""

    password: str | None = None
    current_password: str | None = None
    nonce: str | None = None
    data: dict[str, Any] | None = None
    app_metadata: dict[str, Any] | None = None


class AdminUser(Fields, frozen=True, kw_only=True):
    """POST /admin/users and PUT /admin/users/{id}."""

    id: str | None = None
    email: Email | None = None
    phone: str | None = None
    password: str | None = None
    password_hash: str | None = None
    email_confirm: bool | None = None
    phone_confirm: bool | None = None
    user_metadata: dict[str, Any] | None = None
    app_metadata: dict[str, Any] | None = None
    role: str | None = None
    ban_duration: str | None = None


class AdminDelete(Fields, frozen=True, kw_only=True):
    """DELETE /admin/users/{id}."""

    should_soft_delete: bool | None = None


class Enrolment(Fields, frozen=True, kw_only=True):
    """POST /factors."""

    factor_type: str | None = None
    friendly_name: str | None = None
    issuer: str | None = None


class FactorCode(Fields, frozen=True, kw_only=True):
    """POST /factors/{id}/verify."""

    challenge_id: str | None = None
    code: str | None = None


class FactorUpdate(Fields, frozen=True, kw_only=True):
    """PUT /admin/users/{id}/factors/{id}."""

    friendly_name: str | None = None


async def read(request: Request[Any, Any, Any], kind: type[Body], *, optional: bool = False) -> Body:
    """The body of a request.

    Args:
        request: the request.
        kind: the Struct of its fields.
        optional: whether there may be no body.

    Raises:
        AuthError: `bad_json`, for anything but a JSON object with fields of the right types.
    """
    raw = await request.body()
    if optional and not raw:
        return kind()
    try:
        return msgspec.json.decode(raw, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        # msgspec names the field and the types, never the value.
        raise AuthError(400, "bad_json", f"Could not parse request body as JSON: {error}") from error


def read_email(text: str | None) -> str:
    """An address in lower case. Raises AuthError `validation_failed`."""
    if not text:
        raise invalid("An email address is required")
    email = text.lower()
    if len(email) > MAX_EMAIL or not EMAIL.fullmatch(email):
        raise invalid("Unable to validate email address: invalid format")
    return email


def check_metadata(metadata: dict[str, Any] | None, *, size: int) -> None:
    """Refuse more metadata than a token can carry. Raises AuthError `metadata_too_large`."""
    if len(msgspec.json.encode(metadata)) > size:
        raise AuthError(422, "metadata_too_large", f"User metadata may have at most {size} bytes as JSON")


def read_phone(text: str) -> str:
    """A number in international form without its plus. Raises AuthError `validation_failed`."""
    phone = text.replace(" ", "").removeprefix("+")
    if not PHONE.fullmatch(phone):
        raise invalid("Invalid phone number format (E.164 required)")
    return phone


def redirect_of(request: Request[Any, Any, Any], body: Contact | None = None) -> str | None:
    """The requested redirect of the link: in the query, as the official clients send it, or in the body."""
    return request.query_params.get("redirect_to") or (body.redirect_to if body else None)
