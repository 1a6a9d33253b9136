"""Removing files through the Storage API, with the caller's own token: row level security decides which."""

from collections.abc import Sequence
from urllib.parse import quote

import httpx
import structlog

from edge.auth import Caller
from edge.errors import EdgeError
from edge.requests import HEADER, current_request_id
from edge.settings import Settings

log = structlog.get_logger()

TIMEOUT = httpx.Timeout(20.0, connect=2.0)
BATCH = 500
"""Files in one call; Storage takes 1,000."""


class Storage:
    """The Storage API."""

    def __init__(self, settings: Settings) -> None:
        self._http = httpx.AsyncClient(
            base_url=f"{settings.api_url}/storage/v1",
            headers={"apikey": settings.publishable_key},
            timeout=TIMEOUT,
            trust_env=False,
        )

    async def remove(self, caller: Caller, bucket: str, names: Sequence[str]) -> None:
        """Remove those of these files that the caller may remove, and say nothing of the others.

        Raises:
            EdgeError: 503 `storage_unavailable`.
        """
        headers = {"authorization": f"Bearer {caller.token}", HEADER: current_request_id()}
        path = f"/object/{quote(bucket, safe='')}"
        for start in range(0, len(names), BATCH):
            try:
                answer = await self._http.request(
                    "DELETE", path, json={"prefixes": names[start : start + BATCH]}, headers=headers
                )
            except httpx.TransportError as error:
                log.warning("storage_unreachable", error=type(error).__name__)
                raise _unavailable() from error
            if answer.is_error:
                log.error("storage_failed", status=answer.status_code)
                raise _unavailable()

    async def aclose(self) -> None:
        """Close the connections."""
        await self._http.aclose()


def _unavailable() -> EdgeError:
    return EdgeError(
        503, "storage_unavailable", "The files cannot be removed just now, so nothing was.", "Try again in a moment."
    )
