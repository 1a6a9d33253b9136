"""What an aiohttp client does when a connection ends without an answer."""

import aiohttp

REPEATABLE = frozenset({"GET", "HEAD"})


async def repeat_only_reads(
    request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
) -> aiohttp.ClientResponse:
    """Let the client repeat a request whose connection closed without an answer, once, only where it reads.

    By itself the client also repeats PUT and DELETE. But a server that was killed may have done the work already, and a
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
