"""Errors of external identities."""

from edge.errors import ErrorDefinition

ERRORS = (
    ErrorDefinition(
        "endpoint_gone",
        410,
        "Auth signs people in: GET /auth/v1/authorize?provider=<name>, signInWithOAuth of the official clients, and"
        " POST /auth/v1/token?grant_type=pkce with the code that it gives.",
        "Call those, or POST /auth/v1/token?grant_type=password where auth has no such provider.",
    ),
)
