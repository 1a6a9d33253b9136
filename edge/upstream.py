"""What our HTTP clients have in common: whom they trust, and what they do when a connection ends without an answer."""

import ssl
from functools import cache

import aiohttp
import httpx

REPEATABLE = frozenset({"GET", "HEAD"})


@cache
def public_authorities() -> ssl.SSLContext:
    """Those that vouch for public hosts. Reading them takes as long as all the rest of a start."""
    return httpx.create_ssl_context(trust_env=False)


async def repeat_only_reads(
    request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
) -> aiohttp.ClientResponse:
    """Let the client repeat a request, once, whose connection closed without an answer, only where it reads.

    It would by itself also repeat PUT and DELETE. But a part that was killed may have done the work already, and a
    repeated DELETE with `return=representation` then answers that there was nothing to delete.
    """
    try:
        return await handler(request)
    except aiohttp.ClientConnectorError:
        raise
    except (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError) as error:
        if request.method in REPEATABLE:
            raise
        raise aiohttp.ClientConnectionError(str(error)) from error
