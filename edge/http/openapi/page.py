"""The page: Swagger UI from the package that is installed, served from our own origin and without any inline script."""

import hashlib
from collections.abc import Iterable
from functools import cache
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from litestar import Request, Response, Router, get
from litestar.datastructures import ResponseHeader
from litestar.enums import MediaType
from litestar.exceptions import NotFoundException
from litestar.handlers import HTTPRouteHandler
from litestar.openapi import OpenAPIConfig
from litestar.openapi.plugins import JsonRenderPlugin, OpenAPIRenderPlugin
from litestar.openapi.spec import Components, SecurityScheme, Server, Tag
from litestar.serialization import encode_json

from edge.http.openapi.document import APIKEY, BEARER, complete
from edge.http.tiers import UNLIMITED

OURS = Path(__file__).parent
SWAGGER_UI = "swagger-ui-py"
ASSETS = {
    "swagger-ui.css": "text/css",
    "swagger-ui-bundle.js": "text/javascript",
    "favicon-32x32.png": "image/png",
    "page.js": "text/javascript",
}
"""What the page needs: nothing else of the package is served."""
HEADERS = {
    # data: is for the images in Swagger UI's style sheet.
    "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "referrer-policy": "no-referrer",
}
DESCRIPTION = """\
Routes for what SQL cannot do: documents, webhooks, providers. PostgREST serves the rest, at `{api_url}/rest/v1`.

**To call as a user**, press *Authorize* and enter an access token: the `access_token` that
`POST {api_url}/auth/v1/token?grant_type=password` answers, or that `./guildhall token EMAIL` prints. The API key is
optional here; a wrong one is refused.

**Errors** are JSON of one shape, that of PostgREST: `message` is a stable token, `details` a sentence for people. Each
route lists its own, and `/errors` all of them. Every route may also answer 404 `not_found`, where there is nothing at
the address, 405 `method_not_allowed`, 400 `invalid_request`, where it is not well-formed HTTP, 408 `request_timeout`,
where the request takes too long to arrive, and 431 `headers_too_large`. Every answer has an `X-Request-Id`, which finds
it in the logs."""
OPERATIONS = Tag(name="operations", description="Probes and the catalogue of errors.")


def config(api_url: str, tags: Iterable[Tag]) -> OpenAPIConfig:
    """The framework's settings for document and page, at /schema.

    Args:
        api_url: the gateway, as clients reach it.
        tags: the headings of the packages.
    """
    return OpenAPIConfig(
        title="Guildhall edge",
        version="1",
        description=DESCRIPTION.format(api_url=api_url),
        servers=[Server(url=f"{api_url}/functions/v1", description="through the gateway")],
        tags=[*tags, OPERATIONS],
        components=Components(
            security_schemes={
                BEARER: SecurityScheme(
                    type="http", scheme="bearer", bearer_format="JWT", description="A user's access token."
                ),
                APIKEY: SecurityScheme(
                    type="apiKey", name="apikey", security_scheme_in="header", description="The publishable key."
                ),
            }
        ),
        use_handler_docstrings=True,
        render_plugins=[_Page(), _Document()],
        openapi_router=Router(
            path="/schema",
            opt=UNLIMITED,
            route_handlers=[_asset(name, media_type) for name, media_type in ASSETS.items()],
            response_headers=[ResponseHeader(name=name, value=value) for name, value in HEADERS.items()],
            after_request=_no_other_page,
            include_in_schema=False,
        ),
    )


class _Page(OpenAPIRenderPlugin):
    """The HTML. Its links are relative, so that it works below any path of a proxy."""

    def __init__(self) -> None:
        super().__init__(path="/", media_type=MediaType.HTML)

    def render(self, request: Request[Any, Any, Any], openapi_schema: dict[str, Any]) -> bytes:  # noqa: ARG002
        """The page, at its address with or without a slash at the end."""
        here = "." if request.scope["raw_path"].endswith(b"/") else "schema"
        return _html().replace("HERE", here).encode()


class _Document(JsonRenderPlugin):
    """The document, completed and encoded once."""

    def __init__(self) -> None:
        super().__init__(path="/openapi.json")
        self._encoded: bytes | None = None

    def render(self, request: Request[Any, Any, Any], openapi_schema: dict[str, Any]) -> bytes:  # noqa: ARG002
        """The document as JSON."""
        if self._encoded is None:
            self._encoded = encode_json(complete(request.app.openapi_schema).to_schema())
        return self._encoded


def _asset(name: str, media_type: str) -> HTTPRouteHandler:
    @get(f"/{name}", media_type=media_type, sync_to_thread=False)
    def asset() -> Response[bytes]:
        # The page names the edition in each address, so that a copy is valid for ever.
        headers = {"cache-control": "public, max-age=31536000, immutable"}
        return Response(_content(name), media_type=media_type, headers=headers)

    return asset


@cache
def _html() -> str:
    edition = hashlib.sha256(version(SWAGGER_UI).encode() + _content("page.js")).hexdigest()[:12]
    return (OURS / "page.html").read_text().replace("EDITION", edition)


@cache
def _content(name: str) -> bytes:
    ours = OURS / name
    return ours.read_bytes() if ours.exists() else (_package() / "static" / name).read_bytes()


def _package() -> Path:
    # Located and not imported: the import loads adapters for a dozen web frameworks.
    found = find_spec("swagger_ui")
    if found is None or not found.submodule_search_locations:
        raise FileNotFoundError(SWAGGER_UI)
    return Path(found.submodule_search_locations[0])


async def _no_other_page(response: Response[Any]) -> Response[Any]:
    """Answer an unknown address below /schema as everywhere else: the framework answers with a page of HTML there."""
    if response.status_code == 404:
        raise NotFoundException
    return response
