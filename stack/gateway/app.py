"""The proxy: it checks the API key, rewrites headers, and streams bytes both ways."""

import asyncio
import time
import traceback
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import aiohttp
import msgspec
import structlog
from aiohttp import web
from aiohttp.http import SERVER_SOFTWARE
from aiohttp.typedefs import Handler
from yarl import URL

from common.addresses import network_of
from common.http_retries import repeat_only_reads
from stack.gateway import headers
from stack.gateway.bounds import (
    Caller,
    LimitedBody,
    Places,
    Refusals,
    SlowCallers,
    check_select,
    is_costly,
    read_body,
    refuse_slowly,
    too_large,
)
from stack.gateway.credentials import ApiKeys, Role, is_api_key, take_key, user_of
from stack.gateway.errors import BoundError, GatewayError
from stack.gateway.filters import require_filter
from stack.gateway.function_rows import remove_added_columns, select_needed_columns
from stack.gateway.routing import PARTS, Part, called, find_part, is_schema_root
from stack.gateway.settings import Settings

log = structlog.get_logger("gateway")

REQUEST_ID = web.RequestKey("request_id", str)
PART_NAME = web.RequestKey("part_name", str)
ANSWERED_BY = web.RequestKey("answered_by", Part)
"""The part that answered; missing where the gateway answers itself."""

COSTLY = "costly"
"""The places of PostgREST for reads that cost much."""
WHOLE_BODIES = frozenset({"rest", "auth"})
"""The parts whose requests have short bodies: a slow one arrives before it takes a place."""
READ_BUFFER = 32 * 1024
"""Bytes that a connection may send before they are asked for, twice. aiohttp would keep eight times as many."""
SHORT_BODY = 64 * 1024
LONG_BODIES = 64
"""Longer bodies that are in memory at once."""
LONG_BODIES_OF_NETWORK = 8
READING = frozenset({"GET", "HEAD", "OPTIONS"})
MAX_LINE = 64 * 1024
"""Bytes of a request line or header: PostgREST filters such as `id=in.(...)` grow long."""
IDLE_SECONDS = 4.0
"""How long an idle connection to a part is kept: less than uvicorn's 5 seconds, so that the gateway never writes to a
connection that the part is closing."""
CONNECT_SECONDS = 5.0
SILENCE_SECONDS = 150.0
"""How long a part may send nothing, as on Supabase."""
PROBE_SECONDS = 2.0
SHUTDOWN_SECONDS = 5.0

Send = Callable[[], Coroutine[Any, Any, aiohttp.ClientResponse]]
"""Sends a request to its part."""
BROKEN = (aiohttp.ClientError, TimeoutError, OSError)
"""What reading from a part raises when the part dies or sends nothing for too long."""


def create_app(settings: Settings) -> web.Application:
    """The gateway as an application. It opens no connection before the first request."""
    gateway = Gateway(settings)
    app = web.Application(middlewares=[gateway.answer])
    app.cleanup_ctx.append(gateway.connections)
    app.on_response_prepare.append(_finish)
    app.router.add_get("/", gateway.index)
    app.router.add_get("/health", gateway.health)
    app.router.add_route("*", "/{path:.*}", gateway.proxy)
    return app


def create_runner(settings: Settings) -> web.AppRunner:
    """The application with the server settings that it relies on."""
    return web.AppRunner(
        create_app(settings),
        access_log=None,
        auto_decompress=False,  # the body passes as it is encoded
        handler_cancellation=True,  # a client that disconnects cancels its request
        keepalive_timeout=settings.headers_seconds,  # of a connection that waits for the end of headers as well
        max_line_size=MAX_LINE,
        max_field_size=MAX_LINE,
        read_bufsize=READ_BUFFER,
        shutdown_timeout=SHUTDOWN_SECONDS,
    )


class Gateway:
    """The handlers, and what they share: the keys and the connections to the parts."""

    _client: aiohttp.ClientSession

    def __init__(self, settings: Settings) -> None:
        self._port = settings.port
        self._trusted_proxies = settings.trusted_proxies
        self._keys = ApiKeys(settings.keys_file)
        urls = {
            "rest": settings.rest_url,
            "auth": settings.auth_url,
            "storage": settings.storage_url,
            "edge": settings.edge_url,
        }
        self._urls = {name: url for name, url in urls.items() if url is not None}
        self._parts = tuple(part for part in PARTS if part.name in self._urls)
        self._body_seconds = settings.body_seconds
        self._body_sizes = {
            "rest": settings.rest_body,
            "auth": settings.auth_body,
            "storage": settings.storage_body,
            "edge": settings.functions_body,
        }
        places = {
            "rest": settings.rest_places,
            COSTLY: settings.costly_places,
            "auth": settings.auth_places,
            "storage": settings.storage_places,
            "edge": settings.functions_places,
        }
        self._places = {
            name: Places(number, waiting=settings.waiting, seconds=settings.waiting_seconds)
            for name, number in places.items()
        }
        self._long_bodies = Places(
            LONG_BODIES,
            waiting=settings.waiting,
            seconds=settings.waiting_seconds,
            of_network=LONG_BODIES_OF_NETWORK,
        )
        self._refusals = Refusals(settings.refusals)
        self._slow = SlowCallers(settings.slow_seconds)

    async def connections(self, _app: web.Application) -> AsyncIterator[None]:
        """Hold the connection pool while the application runs. It has no limit: each request makes one to a part."""
        self._client = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=IDLE_SECONDS),
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_SECONDS, sock_read=SILENCE_SECONDS),
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            skip_auto_headers=("Accept", "Accept-Encoding", "Content-Type", "User-Agent"),
            max_line_size=MAX_LINE,
            max_field_size=MAX_LINE,
            middlewares=[repeat_only_reads],
        )
        yield
        await self._client.close()

    @web.middleware
    async def answer(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Give the request its id, and turn every failure into a JSON answer."""
        request[REQUEST_ID] = headers.request_id(request)
        try:
            return await handler(request)
        except BoundError as error:
            is_versioned = "X-Supabase-Api-Version" in request.headers
            response = error.response_of(request[PART_NAME], is_versioned=is_versioned)
            return await refuse_slowly(request, response)
        except GatewayError as error:
            return error.response()
        except web.HTTPException as error:  # of the router
            return GatewayError(error.status, _token(error.reason), error.reason).response()
        except ConnectionError:  # the client disconnected in the middle of its answer
            raise
        except Exception as error:  # no stack trace may reach a client
            # The message stays out of the log: it may quote a header or a URL with a key in it.
            frame = traceback.extract_tb(error.__traceback__)[-1]
            line = f"{frame.filename}:{frame.lineno}"
            log.error("failed", error=type(error).__name__, line=line, request_id=request[REQUEST_ID])  # noqa: TRY400
            if request.writer.output_size:
                raise  # the answer has begun, so aiohttp can only close the connection
            return GatewayError(500, "internal_error", "The gateway failed").response()

    async def index(self, _request: web.Request) -> web.Response:
        """GET /: the parts and the prefixes of their paths."""
        return _json(200, {"name": "Guildhall", "paths": {part.name: part.prefix for part in self._parts}})

    async def health(self, _request: web.Request) -> web.Response:
        """GET /health: 200 when every part answers, else 503 with the names of those that do not."""
        answers = await asyncio.gather(*(self._probe(part) for part in self._parts))
        parts = {part.name: "ok" if works else "unavailable" for part, works in zip(self._parts, answers, strict=True)}
        if all(answers):
            return _json(200, {"status": "ok", "parts": parts})
        return _json(503, {"status": "unavailable", "code": "upstream_unavailable", "parts": parts})

    async def _probe(self, part: Part) -> bool:
        timeout = aiohttp.ClientTimeout(total=PROBE_SECONDS)
        try:
            async with self._client.get(self._urls[part.name] + part.probe, timeout=timeout) as answer:
                return answer.status < 500
        except (aiohttp.ClientError, TimeoutError):
            return False

    async def proxy(self, request: web.Request) -> web.StreamResponse:
        """Every other path: to the part that serves it."""
        if request.method not in headers.METHODS:
            allow = {"Allow": ", ".join(headers.METHODS)}
            raise GatewayError(405, "method_not_allowed", "Method not allowed", headers=allow)
        if "#" in request.raw_path:
            # No client sends one. The text after it would be dropped, and not be part of the path that was checked.
            raise GatewayError(400, "bad_request", "A request target has no fragment")
        path, question, query = request.raw_path.partition("?")
        found = find_part(path, self._parts)
        if headers.is_preflight(request) and not (found and found[0].own_cors):
            return headers.preflight_answer(request)
        if found is None:
            paths = ", ".join(part.prefix for part in self._parts)
            raise GatewayError(404, "not_found", "There is nothing at this path", f"Paths begin with {paths}.")
        part, path = found
        request[PART_NAME] = part.name
        authorization, query, role = self._authorize(request, part, path, query)
        if part.name == "rest":
            require_filter(request.method, query)
        client = headers.client_address(request, self._trusted_proxies, is_server=role == "service_role")
        token = self._user_token(request, authorization)
        caller = None if role == "service_role" else Caller(_network(client), token, user_of(token))
        accept = request.headers.get("Accept", "")
        sent_query = select_needed_columns(path, query, accept) if part.name == "rest" else query
        async with self._body(request, part, caller) as body:
            send = partial(self._send, request, part, path + question + sent_query, authorization, body, client=client)
            if caller is not None:
                in_place = partial(self._in_place, part, query, caller, send)
                send = partial(self._counted, request, part, path, in_place, caller)
            answer = await send()
        async with answer:
            if sent_query != query and answer.ok and request.method != "HEAD":
                return await _relay_selected(request, part, answer)
            return await _relay(request, part, answer)

    async def _counted(
        self,
        request: web.Request,
        part: Part,
        path: str,
        send: Send,
        caller: Caller,
    ) -> aiohttp.ClientResponse:
        """Send a request, and count a refusal by a function or of a write. Raises BoundError after too many."""
        call = called(part, path, is_read=request.method in READING)
        if call is None:
            return await send()
        self._refusals.check(caller, call)
        answer = await send()
        self._refusals.add(caller, call, answer.status)
        return answer

    async def _in_place(self, part: Part, query: str, caller: Caller, send: Send) -> aiohttp.ClientResponse:
        """Send a request in a place of its part. Raises BoundError where there is none."""
        is_rest = part.name == "rest"
        if is_rest:
            check_select(query)
        is_known_costly = is_rest and is_costly(query)
        is_costly_place = is_known_costly or (is_rest and caller in self._slow)
        places = self._places[COSTLY if is_costly_place else part.name]
        await places.take(caller)
        start = time.monotonic()
        task = asyncio.create_task(send())
        task.add_done_callback(lambda _: places.give_back(caller))
        if is_rest and not is_known_costly:
            task.add_done_callback(lambda _: self._slow.add(caller, time.monotonic() - start))
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            if is_rest:
                # PostgREST goes on with the query of a client that has disconnected. So it keeps its place.
                task.add_done_callback(_close)
            else:
                task.cancel()
            raise

    def _user_token(self, request: web.Request, authorization: str | None) -> str | None:
        """The token of a user. Older clients send their API key as a token too, which all visitors share."""
        if authorization is None or authorization == f"Bearer {self._keys.read().anon}":
            return None
        return None if authorization == f"Bearer {request.headers.get('apikey')}" else authorization

    @asynccontextmanager
    async def _body(
        self, request: web.Request, part: Part, caller: Caller | None
    ) -> AsyncIterator[bytes | LimitedBody | None]:
        """The body to send on, whole where the part's are short. Raises BoundError."""
        if not request.body_exists:
            yield None
            return
        size, content = self._body_sizes[part.name], request.content
        if (request.content_length or 0) > size:
            raise too_large(size)
        if part.name not in WHOLE_BODIES and not content.is_eof():
            yield LimitedBody(content, size=size, seconds=self._body_seconds)
            return
        # A body that has arrived in full goes out with its headers in one write. A longer one is streamed.
        is_short = content.is_eof() or (request.content_length or size) <= SHORT_BODY
        if is_short or caller is None:
            yield await read_body(content, size=size, seconds=self._body_seconds)
            return
        await self._long_bodies.take(caller)
        try:
            yield await read_body(content, size=size, seconds=self._body_seconds)
        finally:
            self._long_bodies.give_back(caller)

    def _authorize(
        self, request: web.Request, part: Part, path: str, query: str
    ) -> tuple[str | None, str, Role | None]:
        """The Authorization header for the part, the query without the API key, and its role. Raises GatewayError."""
        sent = request.headers.getall("Authorization", [])
        if len(sent) > 1:
            raise GatewayError(400, "duplicate_authorization", "More than one Authorization header")
        authorization = next((value for value in sent if not is_api_key(value)), None) or None

        key, query = take_key(request.headers.getall("apikey", []), query)
        try:
            role = self._keys.role(key) if key else None
            keys = self._keys.read()
        except (OSError, msgspec.DecodeError) as error:
            log.error("keys_unreadable", error=type(error).__name__)  # noqa: TRY400 -- the message holds a path
            raise GatewayError(503, "keys_unreadable", "The key file cannot be read") from error

        if path not in part.open:
            is_misplaced = bool(sent) and is_api_key(sent[0])
            if key is None and (part.needs_key or is_misplaced):
                hint = "No `apikey` request header or url param was found."
                raise GatewayError(401, "no_api_key", "No API key found in request", hint)
            if key is not None and role is None:
                raise GatewayError(401, "invalid_api_key", "Invalid API key", "Double check your Supabase API key.")
            if role != "service_role" and is_schema_root(part, path):
                hint = "Accessing the schema via the Data API is only allowed using a secret API key."
                raise GatewayError(401, "secret_key_required", "Access to schema is forbidden", hint)
        if authorization is None and role is not None:
            authorization = f"Bearer {keys.service_role if role == 'service_role' else keys.anon}"
        return authorization, query, role

    async def _send(
        self,
        request: web.Request,
        part: Part,
        target: str,
        authorization: str | None,
        body: bytes | LimitedBody | None,
        *,
        client: str,
    ) -> aiohttp.ClientResponse:
        """Send the request on and wait for the headers of the answer. Raises GatewayError where there are none."""
        try:
            return await self._client.request(
                request.method,
                URL(self._urls[part.name] + target, encoded=True),
                headers=headers.to_part(
                    request,
                    client=client,
                    authorization=authorization,
                    request_id=request[REQUEST_ID],
                    port=self._port,
                ),
                data=body.pieces() if isinstance(body, LimitedBody) else body,
                allow_redirects=False,
            )
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as error:
            _warn("upstream_unavailable", request, part, error)
            hint = "It may be starting. Try again in a moment."
            raise GatewayError(503, "upstream_unavailable", f"{part.name} is not reachable", hint) from error
        except TimeoutError as error:
            _warn("upstream_timeout", request, part, error)
            raise GatewayError(504, "upstream_timeout", f"{part.name} did not answer in time") from error
        except BROKEN as error:
            if isinstance(body, LimitedBody) and body.refusal is not None:
                raise body.refusal from error
            raise _broken(request, part, error) from error


async def _relay(request: web.Request, part: Part, answer: aiohttp.ClientResponse) -> web.StreamResponse:
    """Pass an answer on: in one write where all of it has arrived, else in pieces."""
    answer_headers = headers.to_client(answer.headers, own_cors=part.own_cors)
    try:
        piece = answer.content.read_nowait()
    except BROKEN as error:
        raise _broken(request, part, error) from error
    request[ANSWERED_BY] = part
    if answer.content.at_eof():
        return web.Response(status=answer.status, reason=answer.reason, headers=answer_headers, body=piece)

    response = web.StreamResponse(status=answer.status, reason=answer.reason, headers=answer_headers)
    await response.prepare(request)
    while piece or not answer.content.at_eof():
        await response.write(piece)
        try:
            piece = await answer.content.readany()
        except BROKEN as error:
            # Ending the response here would make a truncated answer look complete, so the connection is aborted.
            _broken(request, part, error)
            if request.transport is not None:
                request.transport.abort()
            break
    return response


async def _relay_selected(request: web.Request, part: Part, answer: aiohttp.ClientResponse) -> web.Response:
    """Pass on the columns that the client selected."""
    try:
        body = remove_added_columns(await answer.read())
    except BROKEN as error:
        raise _broken(request, part, error) from error
    request[ANSWERED_BY] = part
    answer_headers = headers.to_client(answer.headers, own_cors=part.own_cors)
    answer_headers.popall("Content-Length", None)
    return web.Response(status=answer.status, reason=answer.reason, headers=answer_headers, body=body)


async def _finish(request: web.Request, response: web.StreamResponse) -> None:
    part = request.get(ANSWERED_BY)
    if part is None or not part.own_cors:
        headers.add_cors(response.headers)
    response.headers["X-Request-Id"] = request[REQUEST_ID]
    if response.headers.get("Server") == SERVER_SOFTWARE:  # aiohttp's own, which reveals versions
        response.headers["Server"] = "guildhall"


def _network(client: str) -> str:
    try:
        return network_of(client)
    except ValueError:
        return client


def _close(sending: asyncio.Task[aiohttp.ClientResponse]) -> None:
    if not sending.cancelled() and sending.exception() is None:
        sending.result().close()


def _json(status: int, body: object) -> web.Response:
    return web.Response(status=status, body=msgspec.json.encode(body), content_type="application/json")


def _token(reason: str) -> str:
    return reason.lower().replace(" ", "_")


def _broken(request: web.Request, part: Part, error: BaseException) -> GatewayError:
    _warn("upstream_broken", request, part, error)
    hint = "The request may have had an effect: check before you repeat it."
    return GatewayError(502, "upstream_broken", f"{part.name} broke the connection", hint)


def _warn(event: str, request: web.Request, part: Part, error: BaseException) -> None:
    log.warning(event, part=part.name, error=type(error).__name__, request_id=request[REQUEST_ID])
