"""PostgREST, called with the caller's own token, so that row level security decides."""

from functools import lru_cache
from typing import Any

import aiohttp
import httpx
import msgspec
import structlog
from postgrest import AsyncPostgrestClient
from yarl import URL

from common.http_retries import repeat_only_reads
from common.tls import public_tls_context
from edge.auth import Caller
from edge.database import OUR_SQLSTATE
from edge.errors import EdgeError, ErrorBody, error
from edge.request_id import HEADER, current_request_id

log = structlog.get_logger()

TIMEOUT = aiohttp.ClientTimeout(total=10.0, sock_connect=2.0)
"""Seconds. PostgREST's own statement timeout is 8 s: its answer says more than ours."""
CONNECTIONS = 100


class Rest:
    """PostgREST. All callers share one pool of connections. Made inside a running event loop."""

    def __init__(self, url: str, publishable_key: str) -> None:
        """Args: the address of PostgREST, and the API key that goes with a caller's own token."""
        self._url = url
        self._key = publishable_key
        self._http = _Connections()

    def as_caller(self, caller: Caller) -> AsyncPostgrestClient:
        """A client that may do exactly what the caller may. Refusals raise EdgeError with PostgREST's own body."""
        return self._client({"authorization": f"Bearer {caller.token}"})

    async def is_reachable(self) -> bool:
        """Whether PostgREST answers with the configured key, be it by a refusal of its own."""
        try:
            await self._client({}).from_("categories").select("id").limit(0).execute()
        except EdgeError as refusal:
            return refusal.status < 500
        return True

    async def aclose(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    def _client(self, headers: dict[str, str]) -> AsyncPostgrestClient:
        headers = {"apikey": self._key, HEADER: current_request_id(), **headers}
        # No retries inside the client: it waits for seconds, and the connections have already repeated what they may.
        return AsyncPostgrestClient(self._url, headers=headers, http_client=self._http, retry_enabled=False)


class _Connections(httpx.AsyncClient):
    """Sends the client's requests over aiohttp, and raises PostgREST's refusals as the edge's own errors.

    The client by itself forgets the HTTP status of an error, and httpx's own connections cost several times what all
    the rest of a request does.
    """

    def __init__(self) -> None:
        super().__init__(transport=httpx.MockTransport(_refuse_other_methods))
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=CONNECTIONS, ssl=public_tls_context()),
            timeout=TIMEOUT,
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,  # httpx decompresses
            skip_auto_headers=("User-Agent", "Content-Type"),
            middlewares=[repeat_only_reads],
        )

    async def aclose(self) -> None:
        """Close the connections."""
        await self._session.close()
        await super().aclose()

    async def request(self, method: str, url: httpx.URL | str, **sent: Any) -> httpx.Response:
        """Send one request.

        Args:
            method: the HTTP method.
            url: without its query.
            sent: `params`, `headers` and `content`, of those that httpx's own takes.

        Raises:
            EdgeError: PostgREST refused, with its status and body, or cannot be reached: 503 `database_unavailable`.
        """
        query = f"?{sent['params']}" if sent.get("params") else ""
        try:
            async with self._session.request(
                method,
                URL(f"{url}{query}", encoded=True),
                headers=sent["headers"].multi_items(),
                data=sent.get("content"),
                allow_redirects=False,
            ) as answer:
                content = await answer.read()
        except (aiohttp.ClientError, TimeoutError, OSError) as failure:
            log.warning("rest_unreachable", error=type(failure).__name__)
            raise error("database_unavailable") from failure
        request = httpx.Request(method, _parsed(str(url)), headers=sent["headers"])
        response = httpx.Response(answer.status, headers=list(answer.raw_headers), content=content, request=request)
        if answer.status < 400:
            return response
        raise _translate_refusal(response)


@lru_cache(256)
def _parsed(url: str) -> httpx.URL:
    """The address of a table or function, of which there are few: httpx parses it slower than aiohttp sends it."""
    return httpx.URL(url)


def _refuse_other_methods(request: httpx.Request) -> httpx.Response:
    raise NotImplementedError(f"{request.method}: only `request` sends")


def _translate_refusal(response: httpx.Response) -> EdgeError:
    status = response.status_code
    try:
        body = msgspec.json.decode(response.content, type=ErrorBody)
    except ValueError:
        body = None
    # The text of a server error may name hosts and statements, unless our own SQL wrote it.
    if body is None or (status >= 500 and not OUR_SQLSTATE.fullmatch(body.code)):
        log.error("rest_failed", status=status, code=body.code if body else None)
        return error("internal_error" if status == 500 else "database_unavailable")
    headers = {name: response.headers[name] for name in ("retry-after",) if name in response.headers}
    return EdgeError(status, body, headers)
