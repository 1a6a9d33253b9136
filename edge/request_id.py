"""The id of a request: it goes into the log, the answer, PostgREST and the database."""

import re
from uuid import uuid4

import structlog

HEADER = "x-request-id"
VALID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
"""Ids of callers that may go into logs and headers as they came."""


def current_request_id() -> str:
    """The id of the request, or of the job's request, that is being served; a new one outside of both."""
    known = structlog.contextvars.get_contextvars().get("request_id")
    return known if isinstance(known, str) else str(uuid4())
