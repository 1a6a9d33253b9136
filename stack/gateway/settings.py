"""The settings of the gateway: variables GATEWAY_*."""

import os
from pathlib import Path

from common.settings import BaseSettings, HttpUrl, Networks, Port

MIB = 1024 * 1024


class Settings(BaseSettings, frozen=True, kw_only=True):
    """The port to listen on, the key file, the base URLs of the parts behind the gateway, and bounds of requests."""

    prefix = "GATEWAY_"
    port: Port
    keys_file: Path
    rest_url: HttpUrl
    auth_url: HttpUrl
    storage_url: HttpUrl
    edge_url: HttpUrl | None = None
    """The part behind /functions/v1; None where the project has none."""
    trusted_proxies: Networks = ()
    """The reverse proxies in front of the gateway. It believes their X-Forwarded-For."""
    rest_body: int = MIB
    """Bytes that a body to PostgREST may have. It is read before PostgREST gets the request, as auth's is."""
    auth_body: int = MIB // 4
    functions_body: int = 142 * MIB
    storage_body: int = 51 * MIB
    """More than the largest file, for the form around it."""
    headers_seconds: float = 15
    """How long a connection may take to send the headers of a request, or be idle between two."""
    body_seconds: float = 15
    """How long a body to PostgREST or auth may take. A body to another part may be silent for so long, and must arrive
    faster than 1 KiB a second after that."""
    rest_places: int = 16
    """Requests at once to PostgREST: fewer than its pool has connections, so that the edge always finds one."""
    costly_places: int = max(1, (os.cpu_count() or 2) // 2)
    """Requests at once to PostgREST that cost much: half of the processor's cores stay free of them."""
    slow_seconds: float = 1
    """A request to PostgREST that took longer makes its caller one whose reads cost much, for five times as long."""
    refusals: int = 50
    """Calls of one function, or writes of one table, of one user that PostgREST may refuse in five minutes. A visitor's
    network counts as a user."""
    auth_places: int = 32
    storage_places: int = 64
    functions_places: int = 64
    waiting: int = 100
    """The requests of one network that may wait for a place."""
    waiting_seconds: float = 10
    network_connections: int = 250
    """Open connections of one network; trusted proxies have as many as they want."""
