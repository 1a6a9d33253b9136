"""The Storage API, called with the caller's own token: row level security decides which files."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from http import HTTPStatus
from typing import Any
from urllib.parse import quote

import httpx
import msgspec
import structlog
from litestar.datastructures import State

from edge.auth import Caller
from edge.errors import EdgeError, ErrorBody, error
from edge.request_id import HEADER, current_request_id

log = structlog.get_logger()

TIMEOUT = httpx.Timeout(20.0, connect=2.0)
CHUNK = 64 * 1024
"""Bytes that are in memory of a file that is streamed."""
BATCH = 500
"""Files in one call; Storage takes 1,000."""


class SignedLink(msgspec.Struct, frozen=True, kw_only=True):
    """What Storage answers for one file: a link that opens it for a while, or none where the caller sees no file."""

    path: str
    signed_url: str | None = msgspec.field(name="signedURL", default=None)


class Storage:
    """The Storage API."""

    def __init__(self, api_url: str, publishable_key: str) -> None:
        """Args: the gateway, and the API key that goes with a caller's own token."""
        self._url = f"{api_url}/storage/v1"
        self._http = httpx.AsyncClient(
            base_url=self._url,
            headers={"apikey": publishable_key},
            timeout=TIMEOUT,
            trust_env=False,
        )

    async def remove(self, caller: Caller, bucket: str, names: Sequence[str]) -> None:
        """Remove those of these files that the caller may remove, and pass over the others.

        Raises:
            EdgeError: 503 `storage_unavailable`.
        """
        path = f"/object/{quote(bucket, safe='')}"
        for start in range(0, len(names), BATCH):
            await self._request("DELETE", caller, path, {"prefixes": names[start : start + BATCH]})

    async def sign(self, caller: Caller, bucket: str, names: Sequence[str], seconds: int) -> dict[str, str]:
        """Links that open these files for so many seconds, by name; a file that the caller does not see has none.

        Raises:
            EdgeError: 503 `storage_unavailable`.
        """
        links = {}
        path = f"/object/sign/{quote(bucket, safe='')}"
        for start in range(0, len(names), BATCH):
            wanted = {"expiresIn": seconds, "paths": names[start : start + BATCH]}
            answer = await self._request("POST", caller, path, wanted)
            for signed in msgspec.json.decode(answer.content, type=list[SignedLink]):
                if signed.signed_url is not None:
                    # Storage leaves it to its clients to encode the name, which may hold spaces and any script.
                    location, mark, token = signed.signed_url.rpartition("?token=")
                    links[signed.path] = f"{self._url}{quote(location)}{mark}{token}"
        return links

    async def sign_upload(self, caller: Caller, bucket: str, name: str) -> str:
        """A link to which one file can be uploaded by PUT; Storage asks again whether the caller may when it arrives.

        Raises:
            EdgeError: 503 `storage_unavailable`.
        """
        answer = await self._request("POST", caller, f"/object/upload/sign/{_path(bucket, name)}", {})
        location, mark, token = str(answer.json()["url"]).rpartition("?token=")
        return f"{self._url}{quote(location)}{mark}{token}"

    async def upload(self, caller: Caller, bucket: str, name: str, content: bytes, mime_type: str) -> None:
        """Upload a file that does not exist yet.

        Raises:
            EdgeError: 413 `storage_quota_exceeded`, 403 `upload_not_allowed`, or 503 `storage_unavailable`.
        """
        headers = {**_as(caller), "content-type": mime_type, "cache-control": "max-age=3600"}
        try:
            answer = await self._http.post(f"/object/{_path(bucket, name)}", content=content, headers=headers)
        except httpx.TransportError as failure:
            log.warning("storage_unreachable", error=type(failure).__name__)
            raise error("storage_unavailable") from failure
        if answer.is_error:
            refusal = answer.json() if answer.headers.get("content-type", "").startswith("application/json") else {}
            status = str(refusal.get("statusCode"))
            if status == "413":
                body = ErrorBody(code="PT413", message="storage_quota_exceeded", details=refusal.get("message"))
                raise EdgeError(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, body)
            if status in {"403", "409"}:
                raise error("upload_not_allowed")
            log.error("storage_failed", status=answer.status_code)
            raise error("storage_unavailable")

    async def open(self, caller: Caller | None, bucket: str, name: str, *, part: str = "") -> httpx.Response:
        """Open a file to stream it, as a caller or as a stranger; the caller of this closes the answer.

        Args:
            caller: who reads it.
            bucket: its bucket.
            name: its path.
            part: a Range header for a part of it.
        """
        return await self._open(f"/object/authenticated/{_path(bucket, name)}", _as(caller), part)

    async def open_link(self, link: str, *, part: str = "") -> httpx.Response:
        """Open a link that `sign` made, as `open` does."""
        return await self._open(link.removeprefix(self._url), _as(None), part)

    async def _open(self, path: str, headers: dict[str, str], part: str) -> httpx.Response:
        # The bytes as they are stored: a range counts those.
        headers = {**headers, "accept-encoding": "identity", **({"range": part} if part else {})}
        try:
            answer = await self._http.send(self._http.build_request("GET", path, headers=headers), stream=True)
        except httpx.TransportError as failure:
            log.warning("storage_unreachable", error=type(failure).__name__)
            raise error("storage_unavailable") from failure
        if answer.status_code != (HTTPStatus.PARTIAL_CONTENT if part else HTTPStatus.OK):
            await answer.aclose()
            log.error("storage_failed", status=answer.status_code)
            raise error("storage_unavailable")
        return answer

    @asynccontextmanager
    async def chunks(self, caller: Caller, bucket: str, name: str) -> AsyncIterator[AsyncIterator[bytes]]:
        """The bytes of a file, piece by piece."""
        answer = await self.open(caller, bucket, name)
        try:
            yield answer.aiter_raw(CHUNK)
        finally:
            await answer.aclose()

    async def _request(self, method: str, caller: Caller, path: str, body: dict[str, Any]) -> httpx.Response:
        try:
            answer = await self._http.request(method, path, json=body, headers=_as(caller))
        except httpx.TransportError as failure:
            log.warning("storage_unreachable", error=type(failure).__name__)
            raise error("storage_unavailable") from failure
        if answer.is_error:
            log.error("storage_failed", status=answer.status_code)
            raise error("storage_unavailable")
        return answer

    async def aclose(self) -> None:
        """Close the connections."""
        await self._http.aclose()


def _as(caller: Caller | None) -> dict[str, str]:
    by = {} if caller is None else {"authorization": f"Bearer {caller.token}"}
    return {**by, HEADER: current_request_id()}


def _path(bucket: str, name: str) -> str:
    return f"{quote(bucket, safe='')}/{quote(name)}"


async def provide_storage(state: State) -> Storage:
    """Dependency `storage`."""
    storage: Storage = state.storage
    return storage
