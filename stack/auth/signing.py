"""Access tokens: signed with the current key of the key file, verified with every key that it lists."""

from typing import Any

import jwt

from stack.access_tokens import AccessTokens, UnknownKeyError
from stack.auth.errors import bad_jwt
from stack.keys import KeyFile, Keys


class Signer:
    """Signs and verifies tokens. It follows the key file, so that a rotation needs no restart."""

    def __init__(self, file: KeyFile) -> None:
        """Use this key file."""
        self._access_tokens = AccessTokens(file)

    def keys(self) -> Keys:
        """The current keys."""
        return self._access_tokens.keys()

    def sign(self, claims: dict[str, Any]) -> str:
        """A token with these claims."""
        return self.keys().sign(claims)

    def verify(self, token: str) -> dict[str, Any]:
        """The claims of a token that one of the keys signed and that has not expired.

        Raises:
            AuthError: `bad_jwt`.
        """
        try:
            return self._access_tokens.claims(token)
        except jwt.InvalidTokenError as error:
            raise bad_jwt(_flaw(error)) from error


def _flaw(error: jwt.InvalidTokenError) -> str:  # noqa: PLR0911 (a table)
    """What is wrong with a token, in the words of Supabase's server."""
    match error:
        case jwt.ExpiredSignatureError():
            return "token has invalid claims: token is expired"
        case jwt.ImmatureSignatureError():
            return "token has invalid claims: token is not valid yet"
        case jwt.MissingRequiredClaimError() | jwt.InvalidAudienceError():
            return f"token has invalid claims: {error}"
        case jwt.InvalidSignatureError():
            return "token signature is invalid: crypto/ecdsa: verification error"
        case UnknownKeyError():
            return f"token is unverifiable: error while executing keyfunc: {error}"
        case _ if str(error) == "Not enough segments":
            return "token is malformed: token contains an invalid number of segments"
        case _:
            return f"token is malformed: {error}"
