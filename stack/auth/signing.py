"""Access tokens: signed with the current key of the key file, verified with every key that it still lists."""

from typing import Any

import jwt

from stack.auth.errors import AuthError
from stack.keys import ALGORITHM, KeyFile, Keys


class Signer:
    """Signs and verifies tokens with the keys as the file holds them now, so that a rotation needs no restart."""

    def __init__(self, file: KeyFile) -> None:
        """Use this key file."""
        self._file = file
        self._read: Keys | None = None
        self._public: dict[str, jwt.PyJWK] = {}

    def keys(self) -> Keys:
        """The keys now."""
        keys = self._file.read()
        if keys is not self._read:
            self._public = {jwk["kid"]: jwt.PyJWK(jwk, ALGORITHM) for jwk in keys.jwks()["keys"]}
            self._read = keys
        return keys

    def sign(self, claims: dict[str, Any]) -> str:
        """A token with these claims."""
        return self.keys().sign(claims)

    def verify(self, token: str) -> dict[str, Any]:
        """The claims of a token that one of our keys signed and that has not expired.

        Raises:
            AuthError: `bad_jwt`.
        """
        self.keys()
        try:
            key = self._public[jwt.get_unverified_header(token)["kid"]]
            claims: dict[str, Any] = jwt.decode(
                token,
                key,
                algorithms=[ALGORITHM],
                audience="authenticated",
                options={"require": ["exp", "aud"]},
            )
        except (jwt.PyJWTError, KeyError, TypeError, ValueError) as error:
            raise AuthError(
                403, "bad_jwt", "invalid JWT: it cannot be read, or is not signed by us, or has expired"
            ) from error
        return claims
