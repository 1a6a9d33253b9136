"""The proxy: key checked, headers mended, bytes streamed both ways."""

import asyncio
import traceback
from collections.abc import AsyncIterator

import aiohttp
import msgspec
import structlog
from aiohttp import web
from aiohttp.http import SERVER_SOFTWARE
from aiohttp.typedefs import Handler
from yarl import URL

from edge.upstream import repeat_only_reads
from stack.gateway import headers
from stack.gateway.credentials import ApiKeys, Role, is_api_key, take_key
from stack.gateway.errors import GatewayError
from stack.gateway.routing import PARTS, Part, find_part, is_schema_root
from stack.gateway.settings import Settings

log = structlog.get_logger("gateway")

REQUEST_ID = web.RequestKey("request_id", str)
ANSWERED_BY = web.RequestKey("answered_by", Part)
"""The part whose answer is passed on; missing where the gateway answers by itself."""

MAX_LINE = 64 * 1024
"""Bytes of a request line or header: PostgREST filters such as `id=in.(...)` grow long."""
IDLE_SECONDS = 4.0
"""How long a connection to a part is kept: less than uvicorn's 5 s, so that we never write into one it is closing."""
CONNECT_SECONDS = 5.0
SILENCE_SECONDS = 150.0
"""How long a part may say nothing, as on Supabase."""
PROBE_SECONDS = 2.0
SHUTDOWN_SECONDS = 5.0

BROKEN = (aiohttp.ClientError, TimeoutError, OSError)
"""What reading from a part raises when it dies or falls silent."""


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
        auto_decompress=False,  # Content-Encoding is between the client and the part
        handler_cancellation=True,  # a client that leaves cancels its call
        max_line_size=MAX_LINE,
        max_field_size=MAX_LINE,
        shutdown_timeout=SHUTDOWN_SECONDS,
    )


class Gateway:
    """The handlers and what they share: the keys and the connections to the parts."""

    _client: aiohttp.ClientSession

    def __init__(self, settings: Settings) -> None:
        self._port = settings.port
        self._trusted_proxies = settings.trusted_proxies
        self._keys = ApiKeys(settings.keys_file)
        self._urls = {
            "rest": settings.rest_url,
            "auth": settings.auth_url,
            "storage": settings.storage_url,
            "edge": settings.edge_url,
        }

    async def connections(self, _app: web.Application) -> AsyncIterator[None]:
        """Hold the connection pool while the application runs. It has no cap: one client call is one call behind."""
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
        """Name the request, and turn every failure into its JSON answer."""
        request[REQUEST_ID] = headers.request_id(request)
        try:
            return await handler(request)
        except GatewayError as problem:
            return problem.response()
        except web.HTTPException as refused:  # of the router
            return GatewayError(refused.status, _token(refused.reason), refused.reason).response()
        except ConnectionError:  # the client left in the middle of its answer
            raise
        except Exception as error:  # the last line of defence: no stack trace reaches a client
            # Neither does the message reach the log: it may quote a header or a URL with a key in it.
            frame = traceback.extract_tb(error.__traceback__)[-1]
            place = f"{frame.filename}:{frame.lineno}"
            log.error("failed", error=type(error).__name__, place=place, request_id=request[REQUEST_ID])  # noqa: TRY400
            if request.writer.output_size:
                raise  # aiohttp closes the connection: an answer that has begun cannot become another one
            return GatewayError(500, "internal_error", "The gateway failed").response()

    async def index(self, _request: web.Request) -> web.Response:
        """GET /: what is where."""
        return _json(200, {"name": "Guildhall", "paths": {part.name: part.prefix for part in PARTS}})

    async def health(self, _request: web.Request) -> web.Response:
        """GET /health: 200 when every part answers, else 503 naming those that do not."""
        answers = await asyncio.gather(*(self._probe(part) for part in PARTS))
        parts = {part.name: "ok" if works else "unavailable" for part, works in zip(PARTS, answers, strict=True)}
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
        """Every other path: to the part that it belongs to."""
        if request.method not in headers.METHODS:
            allow = {"Allow": ", ".join(headers.METHODS)}
            raise GatewayError(405, "method_not_allowed", "Method not allowed", headers=allow)
        if "#" in request.raw_path:
            # No client sends one; what follows it would be dropped after the path was judged.
            raise GatewayError(400, "bad_request", "A request target has no fragment")
        path, question, query = request.raw_path.partition("?")
        found = find_part(path)
        if headers.is_preflight(request) and not (found and found[0].own_cors):
            return headers.preflight_answer(request)
        if found is None:
            paths = ", ".join(part.prefix for part in PARTS)
            raise GatewayError(404, "not_found", "There is nothing at this path", f"Paths begin with {paths}.")
        part, path = found
        authorization, query, role = self._authorize(request, part, path, query)
        client = headers.client_address(request, self._trusted_proxies, is_server=role == "service_role")
        answer = await self._send(request, part, path + question + query, authorization, client=client)
        async with answer:
            return await _relay(request, part, answer)

    def _authorize(
        self, request: web.Request, part: Part, path: str, query: str
    ) -> tuple[str | None, str, Role | None]:
        """The Authorization header for the part, the query without the API key, and its role. Raises GatewayError."""
        given = request.headers.getall("Authorization", [])
        if len(given) > 1:
            raise GatewayError(400, "duplicate_authorization", "More than one Authorization header")
        authorization = next((value for value in given if not is_api_key(value)), None) or None

        key, query = take_key(request.headers.getall("apikey", []), query)
        try:
            role = self._keys.role(key) if key else None
            keys = self._keys.read()
        except (OSError, msgspec.DecodeError) as error:
            log.error("keys_unreadable", error=type(error).__name__)  # noqa: TRY400 -- the message holds a path
            raise GatewayError(503, "keys_unreadable", "The key file cannot be read") from error

        if path not in part.open:
            misplaced = bool(given) and is_api_key(given[0])
            if key is None and (part.needs_key or misplaced):
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
        self, request: web.Request, part: Part, target: str, authorization: str | None, *, client: str
    ) -> aiohttp.ClientResponse:
        """Send the request on and wait for the head of the answer. Raises GatewayError where there is none."""
        try:
            body: aiohttp.StreamReader | bytes | None = None
            if request.body_exists:
                # A body that has arrived whole goes out with its headers in one write; a longer one is streamed.
                body = request.content.read_nowait() if request.content.is_eof() else request.content
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
                data=body,
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
            raise _broken(request, part, error) from error


async def _relay(request: web.Request, part: Part, answer: aiohttp.ClientResponse) -> web.StreamResponse:
    """Pass an answer on as it comes: in one write where all of it is there, else piece by piece."""
    head = headers.to_client(answer.headers, own_cors=part.own_cors)
    try:
        piece = answer.content.read_nowait()
    except BROKEN as error:
        raise _broken(request, part, error) from error
    request[ANSWERED_BY] = part
    if answer.content.at_eof():
        return web.Response(status=answer.status, reason=answer.reason, headers=head, body=piece)

    response = web.StreamResponse(status=answer.status, reason=answer.reason, headers=head)
    await response.prepare(request)
    while piece or not answer.content.at_eof():
        await response.write(piece)
        try:
            piece = await answer.content.readany()
        except BROKEN as error:
            # Ending the response here would make a torn answer look complete, so the connection is torn as well.
            _broken(request, part, error)
            if request.transport is not None:
                request.transport.abort()
            break
    return response


async def _finish(request: web.Request, response: web.StreamResponse) -> None:
    part = request.get(ANSWERED_BY)
    if part is None or not part.own_cors:
        headers.add_cors(response.headers)
    response.headers["X-Request-Id"] = request[REQUEST_ID]
    if response.headers.get("Server") == SERVER_SOFTWARE:  # no part's own name, and ours tells versions
        response.headers["Server"] = "guildhall"


def _json(status: int, body: object) -> web.Response:
    return web.Response(status=status, body=msgspec.json.encode(body), content_type="application/json")


def _token(reason: str) -> str:
    return reason.lower().replace(" ", "_")


def _broken(request: web.Request, part: Part, error: BaseException) -> GatewayError:
    _warn("upstream_broken", request, part, error)
    hint = "The request may have had an effect: look before you repeat it."
    return GatewayError(502, "upstream_broken", f"{part.name} broke off", hint)


def _warn(event: str, request: web.Request, part: Part, error: BaseException) -> None:
    log.warning(event, part=part.name, error=type(error).__name__, request_id=request[REQUEST_ID])
