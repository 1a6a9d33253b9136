"""Connections to the gateway, of which one network has a bounded number."""

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence
from typing import cast

from common.addresses import network_of
from common.settings import Network
from stack.gateway.headers import is_proxy


class ConnectionLimit:
    """Makes the protocol of each new connection, as the server does that it stands before."""

    def __init__(
        self, server: Callable[[], asyncio.Protocol], *, of_network: int, trusted_proxies: Sequence[Network]
    ) -> None:
        self._server = server
        self._of_network = of_network
        self._trusted_proxies = trusted_proxies
        self._open: Counter[str] = Counter()

    def __call__(self) -> asyncio.Protocol:
        """The protocol of a new connection."""
        return _Connection(self, self._server)

    def opened(self, address: str) -> str | None:
        """Count a connection; returns the network that it counts for, or None where it is one too many."""
        network = address if is_proxy(address, self._trusted_proxies) else network_of(address)
        if network != address and self._open[network] >= self._of_network:
            return None
        self._open[network] += 1
        return network

    def closed(self, network: str) -> None:
        """Count a connection no more."""
        self._open[network] -= 1
        if not self._open[network]:
            del self._open[network]


class _Connection(asyncio.Protocol):
    """Passes every event on to the server's protocol, unless the connection is one too many."""

    def __init__(self, limit: ConnectionLimit, server: Callable[[], asyncio.Protocol]) -> None:
        self._limit = limit
        self._server = server
        self._network: str | None = None
        self._inner: asyncio.Protocol | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._network = self._limit.opened(transport.get_extra_info("peername")[0])
        if self._network is None:
            cast(asyncio.Transport, transport).abort()
            return
        self._inner = self._server()
        self._inner.connection_made(transport)

    def data_received(self, data: bytes) -> None:
        if self._inner is not None:
            self._inner.data_received(data)

    def eof_received(self) -> bool | None:
        return None if self._inner is None else self._inner.eof_received()

    def connection_lost(self, exc: Exception | None) -> None:
        if self._network is not None:
            self._limit.closed(self._network)
        if self._inner is not None:
            self._inner.connection_lost(exc)

    def pause_writing(self) -> None:
        if self._inner is not None:
            self._inner.pause_writing()

    def resume_writing(self) -> None:
        if self._inner is not None:
            self._inner.resume_writing()
