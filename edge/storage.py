"""The Storage API, asked with the caller's own token: row level security decides which files."""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any
from urllib.parse import quote

import httpx
import msgspec
import structlog
from litestar import Litestar
from litestar.datastructures import State

from edge.auth import Caller
from edge.errors import EdgeError
from edge.requests import HEADER, current_request_id
from edge.settings import Settings

log = structlog.get_logger()

TIMEOUT = httpx.Timeout(20.0, connect=2.0)
BATCH = 500
"""Files in one call; Storage takes 1,000."""
UNAVAILABLE = (503, "storage_unavailable", "Storage does not answer just now, so nothing was done.")
"""The refusal that every route states that asks Storage."""


class Signed(msgspec.Struct, frozen=True, kw_only=True):
    """What Storage answers for one file: a link that opens it for a while, or none, where the caller sees no file."""

    path: str
    signed_url: str | None = msgspec.field(name="signedURL", default=None)


class Storage:
    """The Storage API."""

    def __init__(self, settings: Settings) -> None:
        self._url = f"{settings.api_url}/storage/v1"
        self._http = httpx.AsyncClient(
            base_url=self._url,
            headers={"apikey": settings.publishable_key},
            timeout=TIMEOUT,
            trust_env=False,
        )

    async def remove(self, caller: Caller, bucket: str, names: Sequence[str]) -> None:
        """Remove those of these files that the caller may remove, and say nothing of the others.

        Raises:
            EdgeError: 503 `storage_unavailable`.
        """
        path = f"/object/{quote(bucket, safe='')}"
        for start in range(0, len(names), BATCH):
            await self._ask("DELETE", caller, path, {"prefixes": names[start : start + BATCH]})

    async def sign(self, caller: Caller, bucket: str, names: Sequence[str], seconds: int) -> dict[str, str]:
        """Links that open these files for so many seconds, by name; one that the caller does not see has none.

        Raises:
            EdgeError: 503 `storage_unavailable`.
        """
        links = {}
        path = f"/object/sign/{quote(bucket, safe='')}"
        for start in range(0, len(names), BATCH):
            wanted = {"expiresIn": seconds, "paths": names[start : start + BATCH]}
            answer = await self._ask("POST", caller, path, wanted)
            for signed in msgspec.json.decode(answer.content, type=list[Signed]):
                if signed.signed_url is not None:
                    links[signed.path] = f"{self._url}{signed.signed_url}"
        return links

    async def _ask(self, method: str, caller: Caller, path: str, body: dict[str, Any]) -> httpx.Response:
        headers = {"authorization": f"Bearer {caller.token}", HEADER: current_request_id()}
        try:
            answer = await self._http.request(method, path, json=body, headers=headers)
        except httpx.TransportError as error:
            log.warning("storage_unreachable", error=type(error).__name__)
            raise _unavailable() from error
        if answer.is_error:
            log.error("storage_failed", status=answer.status_code)
            raise _unavailable()
        return answer

    async def aclose(self) -> None:
        """Close the connections."""
        await self._http.aclose()


def lifespan(settings: Settings) -> Callable[[Litestar], AbstractAsyncContextManager[None]]:
    """What routes that ask Storage need while the application runs."""

    @asynccontextmanager
    async def storing(app: Litestar) -> AsyncIterator[None]:
        app.state.storage = Storage(settings)
        yield
        await app.state.storage.aclose()

    return storing


async def provide_storage(state: State) -> Storage:
    """Dependency `storage`."""
    storage: Storage = state.storage
    return storage


def _unavailable() -> EdgeError:
    return EdgeError(
        503, "storage_unavailable", "Storage does not answer just now, so nothing was done.", "Try again in a moment."
    )
