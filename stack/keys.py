"""The keys of one stack: ES256 signing keys with rotation, API keys, and the key of signed storage links.

They are generated once, live in one file of the data folder with mode 0600, and are never committed. Every process
reads it through `KeyFile`, which notices a rotation by the file's modification time.
"""

import base64
import os
import secrets
import time
from pathlib import Path
from typing import Any, Literal

import jwt
import msgspec
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

ALGORITHM = "ES256"
API_KEY_YEARS = 10
YEAR = 365 * 24 * 3600


class SigningKey(msgspec.Struct, frozen=True, kw_only=True):
    """One ES256 key pair. The current key signs; a previous one only verifies."""

    kid: str
    pem: str
    status: Literal["current", "previous"]

    def private(self) -> ec.EllipticCurvePrivateKey:
        """The key that signs."""
        key = serialization.load_pem_private_key(self.pem.encode(), password=None)
        if not isinstance(key, ec.EllipticCurvePrivateKey):
            raise TypeError(f"signing key {self.kid} is not an elliptic curve key")
        return key

    def jwk(self) -> dict[str, Any]:
        """The public half, as a JSON Web Key (RFC 7517)."""
        numbers = self.private().public_key().public_numbers()
        return {
            "kty": "EC",
            "crv": "P-256",
            "alg": ALGORITHM,
            "use": "sig",
            "key_ops": ["verify"],
            "kid": self.kid,
            "x": _base64url(numbers.x),
            "y": _base64url(numbers.y),
        }


class Keys(msgspec.Struct, frozen=True, kw_only=True):
    """All keys of one stack, as in the key file."""

    signing: tuple[SigningKey, ...]
    publishable: str
    secret: str
    storage: str
    anon: str
    """The legacy API key of frontends: a token of role `anon`."""
    service_role: str
    """The legacy API key of servers: a token of role `service_role`, which no policy binds."""

    @classmethod
    def generate(cls) -> "Keys":
        """New random keys."""
        key = _new_signing_key()
        return cls(
            signing=(key,),
            publishable=f"sb_publishable_{secrets.token_urlsafe(24)}",
            secret=f"sb_secret_{secrets.token_urlsafe(24)}",
            storage=secrets.token_urlsafe(48),
            anon=_api_key(key, "anon"),
            service_role=_api_key(key, "service_role"),
        )

    @classmethod
    def load(cls, path: Path) -> "Keys":
        """Read a key file. Raises FileNotFoundError, or msgspec.ValidationError where it is damaged."""
        return msgspec.json.decode(path.read_bytes(), type=cls)

    def save(self, path: Path) -> None:
        """Write the key file as a whole or not at all, readable by its owner only."""
        draft = path.with_suffix(".new")
        draft.unlink(missing_ok=True)
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(msgspec.json.format(msgspec.json.encode(self)))
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)

    @property
    def current(self) -> SigningKey:
        """The key that signs new tokens."""
        return next(key for key in self.signing if key.status == "current")

    def jwks(self) -> dict[str, Any]:
        """Every public key whose tokens are still accepted, the current one first."""
        return {"keys": [key.jwk() for key in self.signing]}

    def api_token(self, role: str) -> str:
        """A long-lived token of a database role, for a process that acts as it."""
        return _api_key(self.current, role)

    def sign(self, claims: dict[str, Any]) -> str:
        """A token with these claims, which the current key signs and `kid` names."""
        return _sign(self.current, claims)

    def rotated(self) -> "Keys":
        """The same keys with a new signing key and new legacy API keys; tokens of the older ones are still accepted."""
        older = tuple(msgspec.structs.replace(key, status="previous") for key in self.signing)
        key = _new_signing_key()
        return msgspec.structs.replace(
            self,
            signing=(key, *older),
            anon=_api_key(key, "anon"),
            service_role=_api_key(key, "service_role"),
        )

    def revoked(self) -> "Keys":
        """The same keys without the previous ones, whose tokens are refused from now on."""
        return msgspec.structs.replace(self, signing=(self.current,))


class KeyFile:
    """A key file that is read again when it changes."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._modified = -1
        self._keys: Keys | None = None

    def read(self) -> Keys:
        """The current keys. Costs one stat where the file is unchanged."""
        modified = self._path.stat().st_mtime_ns
        if self._keys is None or modified != self._modified:
            self._keys = Keys.load(self._path)
            self._modified = modified
        return self._keys


def _sign(key: SigningKey, claims: dict[str, Any]) -> str:
    return jwt.encode(claims, key.private(), algorithm=ALGORITHM, headers={"kid": key.kid})


def _api_key(key: SigningKey, role: str) -> str:
    now = int(time.time())
    claims = {"iss": "guildhall", "aud": "authenticated", "role": role, "iat": now, "exp": now + API_KEY_YEARS * YEAR}
    return _sign(key, claims)


def _new_signing_key() -> SigningKey:
    pem = ec.generate_private_key(ec.SECP256R1()).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return SigningKey(kid=secrets.token_hex(8), pem=pem.decode(), status="current")


def _base64url(number: int) -> str:
    return base64.urlsafe_b64encode(number.to_bytes(32, "big")).rstrip(b"=").decode()
