"""The certificate authorities that our HTTP clients trust."""

import ssl
from functools import cache

import httpx


@cache
def public_tls_context() -> ssl.SSLContext:
    """Trusts the authorities of public hosts. Reading them takes as long as the rest of a start, so it happens once."""
    return httpx.create_ssl_context(trust_env=False)
