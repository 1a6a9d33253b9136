"""The Storage API, called with the caller's own token: row level security decides which files."""

from collections.abc import Sequence
from typing import Any
from urllib.parse import quote

import httpx
import msgspec
import structlog
from litestar.datastructures import State

from edge.auth import Caller
from edge.errors import error
from edge.request_id import HEADER, current_request_id

log = structlog.get_logger()

TIMEOUT = httpx.Timeout(20.0, connect=2.0)
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

    async def _request(self, method: str, caller: Caller, path: str, body: dict[str, Any]) -> httpx.Response:
        headers = {"authorization": f"Bearer {caller.token}", HEADER: current_request_id()}
        try:
            answer = await self._http.request(method, path, json=body, headers=headers)
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


async def provide_storage(state: State) -> Storage:
    """Dependency `storage`."""
    storage: Storage = state.storage
    return storage
