"""What the edge says of itself: an OpenAPI document, and a page on which a person can read and try it."""

from edge.openapi.document import USERS_SECURITY, refusals
from edge.openapi.page import config

__all__ = ["USERS_SECURITY", "config", "refusals"]
