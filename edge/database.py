"""The two ways from the edge to the data, and there is no third.

Work for a user goes to PostgREST with the user's own token, so that row level security decides. Work of the system (a
verified webhook, a job) calls one named function of the schema `private` as the login role `edge`.
"""

import re
from functools import cache, lru_cache
from typing import Any

import aiohttp
import httpx
import msgspec
import psycopg
import structlog
from litestar.datastructures import State
from postgrest import AsyncPostgrestClient
from psycopg import sql
from psycopg.types.json import Jsonb
from yarl import URL

from edge.auth import Caller
from edge.errors import EdgeError, ErrorBody, database_unavailable, internal_error
from edge.pool import Pool
from edge.requests import current_request_id
from edge.settings import Settings
from edge.upstream import public_authorities, repeat_only_reads

log = structlog.get_logger()

REST_TIMEOUT = aiohttp.ClientTimeout(total=10.0, sock_connect=2.0)
"""Seconds. PostgREST's own statement timeout is 8 s: its answer says more than ours."""
REST_CONNECTIONS = 100
POOL_SIZE = 10
POOL_WAIT = 2.0
"""Seconds to wait for a connection before the database counts as away."""
REQUEST_ID = "request.id"
"""The name of a placeholder that no function's parameter can have."""
OUR_SQLSTATE = re.compile(r"PT([45]\d\d)")
"""`raise sqlstate 'PTnnn'`: an error that a function tells the caller, with the HTTP status nnn."""


class Rest:
    """PostgREST as one caller sees it. All callers share one pool of connections."""

    def __init__(self, settings: Settings) -> None:
        self._url = settings.rest_url
        self._key = settings.publishable_key
        self._http = _RestConnections()

    def as_caller(self, caller: Caller) -> AsyncPostgrestClient:
        """A client that may do exactly what the caller may. Its refusals raise EdgeError with PostgREST's own body."""
        return self._client({"authorization": f"Bearer {caller.token}"})

    async def is_reachable(self) -> bool:
        """Whether PostgREST answers with the configured key; any answer of its own will do, a refusal too."""
        try:
            await self._client({}).from_("categories").select("id").limit(0).execute()
        except EdgeError as error:
            return error.status < 500
        return True

    async def aclose(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    def _client(self, headers: dict[str, str]) -> AsyncPostgrestClient:
        headers = {"apikey": self._key, "x-request-id": current_request_id(), **headers}
        # No retries inside the client: it waits for seconds, and the connections have already repeated what they may.
        return AsyncPostgrestClient(self._url, headers=headers, http_client=self._http, retry_enabled=False)


class System:
    """The functions that the role `edge` may call. It can do nothing else: no tables, no RLS bypass."""

    def __init__(self, settings: Settings) -> None:
        self._pool: Pool[psycopg.AsyncConnection] = Pool(
            settings.db_url,
            timeout=POOL_WAIT,
            kwargs={"autocommit": True, "application_name": "edge", "connect_timeout": 5},
            min_size=1,
            max_size=POOL_SIZE,
            name="edge",
        )

    async def open(self) -> None:
        """Open the pool without waiting for the database."""
        await self._pool.open(wait=False)

    async def aclose(self) -> None:
        """Close the connections."""
        await self._pool.close()

    def figures(self) -> dict[str, int]:
        """The pool's figures, as the library names them."""
        return self._pool.get_stats()

    async def call(self, function: str, /, **parameters: Any) -> Any:
        """Call `private.<function>` with named parameters, in a transaction of its own.

        Args:
            function: its bare name.
            parameters: by the names that the function gives them; a dict is sent as jsonb.

        Returns:
            The one value that it returns; jsonb comes decoded.

        Raises:
            EdgeError: with the status and body of a PTnnn error that the function raised; 503 `database_unavailable`
                where the database cannot be reached or was too slow; 400 `invalid_request` where a value is no
                value of its type; 500 `internal_error` for everything else.
        """
        statement = _statement(function, tuple(parameters))
        values = {name: Jsonb(value) if isinstance(value, dict) else value for name, value in parameters.items()}
        values[REQUEST_ID] = current_request_id()
        try:
            async with self._pool.connection() as connection:
                row = await (await connection.execute(statement, values)).fetchone()
        except psycopg.Error as error:
            raise _translated(function, error) from error
        return None if row is None else row[0]

    async def is_reachable(self) -> bool:
        """Whether the database answers the role `edge` and has our schema."""
        try:
            return bool(await self.call("schema_version"))
        except EdgeError:
            return False


@cache
def _statement(function: str, parameters: tuple[str, ...]) -> bytes:
    """The call of a function. Kept, for to put it together takes longer than some calls."""
    # A row of `from` is made before the columns are computed: what the function writes knows the request's id.
    statement = sql.SQL("select {}({}) from pg_catalog.set_config('guildhall.request_id', {}, true)").format(
        sql.Identifier("private", function),
        sql.SQL(", ").join(
            sql.SQL("{} => {}").format(sql.Identifier(name), sql.Placeholder(name)) for name in parameters
        ),
        sql.Placeholder(REQUEST_ID),
    )
    return statement.as_bytes(None)


class _RestConnections(httpx.AsyncClient):
    """What the client sends its requests with: its failures and PostgREST's refusals are the edge's own errors.

    The client by itself forgets the HTTP status of an error. And the connections are aiohttp's, for httpx's cost
    several times what all the rest of a request does.
    """

    def __init__(self) -> None:
        super().__init__(transport=httpx.MockTransport(_no_other_way))
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=REST_CONNECTIONS, ssl=public_authorities()),
            timeout=REST_TIMEOUT,
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,  # httpx unpacks
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
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            log.warning("rest_unreachable", error=type(error).__name__)
            raise database_unavailable() from error
        request = httpx.Request(method, _parsed(str(url)), headers=sent["headers"])
        response = httpx.Response(answer.status, headers=list(answer.raw_headers), content=content, request=request)
        if answer.status < 400:
            return response
        raise _refusal(response)


@lru_cache(256)
def _parsed(url: str) -> httpx.URL:
    """The address of a table or function, of which there are few: httpx takes longer to read it than aiohttp to ask."""
    return httpx.URL(url)


def _no_other_way(request: httpx.Request) -> httpx.Response:
    raise NotImplementedError(f"{request.method}: only what goes through `request` is sent")


def _refusal(response: httpx.Response) -> EdgeError:
    status = response.status_code
    try:
        body = msgspec.json.decode(response.content, type=ErrorBody)
    except ValueError:
        body = None
    # A server error's text may tell of hosts and statements, unless our own SQL wrote it.
    if body is None or (status >= 500 and not OUR_SQLSTATE.fullmatch(body.code)):
        log.error("rest_failed", status=status, code=body.code if body else None)
        return internal_error() if status == 500 else database_unavailable()
    headers = {name: response.headers[name] for name in ("retry-after",) if name in response.headers}
    return EdgeError(status, body.message, body.details, body.hint, code=body.code, headers=headers)


def _translated(function: str, error: psycopg.Error) -> EdgeError:
    diagnosis = error.diag
    ours = OUR_SQLSTATE.fullmatch(error.sqlstate or "")
    if ours:
        return EdgeError(
            int(ours[1]), diagnosis.message_primary or "", diagnosis.message_detail, diagnosis.message_hint
        )
    # Not the detail: it quotes rows. The primary message of a connection failure names host and port, which logs may.
    message = diagnosis.message_primary or str(error)
    log.error("database_call_failed", function=function, sqlstate=error.sqlstate, error=message)
    match error:
        case psycopg.OperationalError():
            return database_unavailable()
        case psycopg.DataError():
            return EdgeError(400, "invalid_request", "A value of this request is not one that the database can hold.")
        case _:
            return internal_error()


async def provide_system(state: State) -> System:
    """Dependency `system`: the functions of the database that the edge may call."""
    system: System = state.system
    return system
