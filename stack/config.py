"""supabase/config.toml: what the stack reads of it, with the Supabase CLI's own defaults for what it leaves out."""

import re
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

import msgspec

from stack.errors import StackError

UNITS = {"": 1, "B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "KIB": 2**10, "MIB": 2**20, "GIB": 2**30}
SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}

Port = Annotated[int, msgspec.Meta(ge=1, le=65_535)]


class Api(msgspec.Struct, frozen=True, kw_only=True):
    """`[api]`: PostgREST."""

    port: Port = 54321
    schemas: tuple[str, ...] = ("public", "graphql_public")
    """The exposed schemas. A request that names none gets the first."""
    extra_search_path: tuple[str, ...] = ("public", "extensions")
    max_rows: int = 1000


class Seed(msgspec.Struct, frozen=True, kw_only=True):
    """`[db.seed]`: files that fill a new database."""

    enabled: bool = True
    sql_paths: tuple[str, ...] = ("./seed.sql",)
    """Patterns relative to supabase/."""


class Database(msgspec.Struct, frozen=True, kw_only=True):
    """`[db]`."""

    seed: Seed = Seed()


class Storage(msgspec.Struct, frozen=True, kw_only=True):
    """`[storage]`."""

    file_size_limit: str | int = "50MiB"


class RateLimit(msgspec.Struct, frozen=True, kw_only=True):
    """`[auth.rate_limit]`: requests from one address in five minutes; of anonymous users in an hour."""

    sign_in_sign_ups: int = 30
    token_verifications: int = 30
    token_refresh: int = 150
    anonymous_users: int = 30


class Email(msgspec.Struct, frozen=True, kw_only=True):
    """`[auth.email]`."""

    enable_signup: bool = True
    enable_confirmations: bool = False
    max_frequency: str = "1s"
    otp_expiry: int = 3600


class Hook(msgspec.Struct, frozen=True, kw_only=True):
    """One of `[auth.hook.*]`: a function of the project that auth calls."""

    enabled: bool = False
    uri: str = ""

    def function(self) -> str:
        """The function as `schema.name`; empty where the hook is not enabled.

        Raises:
            StackError: the uri names no Postgres function.
        """
        if not self.enabled:
            return ""
        named = re.fullmatch(r"pg-functions://[^/]+/(?P<schema>[^/]+)/(?P<name>[^/]+)", self.uri)
        if named is None:
            raise StackError("supabase/config.toml: the hook's uri is not pg-functions://postgres/<schema>/<function>")
        return f"{named['schema']}.{named['name']}"


class Hooks(msgspec.Struct, frozen=True, kw_only=True):
    """`[auth.hook]`."""

    custom_access_token: Hook = Hook()
    password_verification_attempt: Hook = Hook()


class Totp(msgspec.Struct, frozen=True, kw_only=True):
    """`[auth.mfa.totp]`."""

    enroll_enabled: bool = False
    verify_enabled: bool = False


class Mfa(msgspec.Struct, frozen=True, kw_only=True):
    """`[auth.mfa]`: second factors."""

    max_enrolled_factors: int = 10
    totp: Totp = Totp()


class Auth(msgspec.Struct, frozen=True, kw_only=True):
    """`[auth]`."""

    site_url: str = "http://127.0.0.1:3000"
    additional_redirect_urls: tuple[str, ...] = ()
    jwt_expiry: int = 3600
    refresh_token_reuse_interval: int = 10
    enable_signup: bool = True
    enable_anonymous_sign_ins: bool = False
    minimum_password_length: int = 6
    rate_limit: RateLimit = RateLimit()
    email: Email = Email()
    hook: Hooks = Hooks()
    mfa: Mfa = Mfa()

    def origins(self) -> list[str]:
        """The sites to which auth may redirect, without duplicates and without those whose host is a pattern."""
        found = {}
        for address in (self.site_url, *self.additional_redirect_urls):
            url = urlsplit(address)
            if url.scheme in {"http", "https"} and "*" not in url.netloc:
                found[f"{url.scheme}://{url.netloc}"] = True
        return list(found)


class Config(msgspec.Struct, frozen=True, kw_only=True):
    """The whole file. Tables and keys that the stack does not read are ignored."""

    project_id: str = "supabase"
    api: Api = Api()
    db: Database = Database()
    storage: Storage = Storage()
    auth: Auth = Auth()

    @property
    def mail_from(self) -> str:
        """The sender of local mail."""
        return f"{self.project_id.capitalize()} <{self.project_id}@example.com>"

    @classmethod
    def load(cls, file: Path) -> "Config":
        """Read the file.

        Raises:
            StackError: it is missing, or a value has another type.
        """
        try:
            return msgspec.toml.decode(file.read_bytes(), type=cls)
        except FileNotFoundError as error:
            raise StackError(f"{file} is missing: the stack runs a Supabase project") from error
        except msgspec.DecodeError as error:
            raise StackError(f"{file} cannot be read: {error}") from error


def size(text: str | int) -> int:
    """Bytes of a size such as 50MiB.

    Raises:
        StackError: the text is no size.
    """
    matched = re.fullmatch(r"(\d+)\s*([A-Za-z]*)", str(text).strip())
    if matched is None or matched[2].upper() not in UNITS:
        raise StackError(f"supabase/config.toml: {text!r} is not a size such as 50MiB")
    return int(matched[1]) * UNITS[matched[2].upper()]


def duration(text: str) -> float:
    """Seconds of a duration such as 1m30s.

    Raises:
        StackError: the text is no duration.
    """
    pieces = re.findall(r"(\d+(?:\.\d+)?)(ms|s|m|h)", text)
    if not pieces or "".join(number + unit for number, unit in pieces) != text:
        raise StackError(f"supabase/config.toml: {text!r} is not a duration such as 60s")
    return sum(float(number) * SECONDS[unit] for number, unit in pieces)
