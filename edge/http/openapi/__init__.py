"""The edge's OpenAPI document, and a page on which a person can read and try it."""

from edge.http.openapi.document import USERS_SECURITY, error_responses
from edge.http.openapi.page import config

__all__ = ["USERS_SECURITY", "config", "error_responses"]
