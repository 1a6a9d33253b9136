"""The address and the program from which a request comes."""

import ipaddress
from typing import Any

import msgspec
from litestar import Request

from common.addresses import network_of


class Client(msgspec.Struct, frozen=True, kw_only=True):
    """The origin of a request."""

    ip: str | None
    user_agent: str | None

    @property
    def network(self) -> str | None:
        """The network whose addresses count as one client with this one."""
        return network_of(self.ip) if self.ip else None

    @classmethod
    def of(cls, request: Request[Any, Any, Any]) -> "Client":
        """The client of a request. Of X-Forwarded-For it takes the last address, which the gateway wrote."""
        forwarded = request.headers.get("x-forwarded-for", "").rpartition(",")[2].strip()
        peer = request.client.host if request.client else ""
        agent = request.headers.get("user-agent")
        return cls(ip=_address(forwarded) or _address(peer), user_agent=agent[:500] if agent else None)


def _address(text: str) -> str | None:
    try:
        return str(ipaddress.ip_address(text))
    except ValueError:
        return None
