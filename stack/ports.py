"""The stack's ports: one block of ten, in the places where Supabase's own local stack has them."""

import socket

import msgspec

DEFAULT_BASE = 54321
BLOCK = 10
LOOPBACK = "127.0.0.1"


class Ports(msgspec.Struct, frozen=True, kw_only=True):
    """The ports of one stack, all on loopback."""

    base: int

    @property
    def api(self) -> int:
        """The gateway: the one address that frontends know."""
        return self.base

    @property
    def database(self) -> int:
        """Postgres."""
        return self.base + 1

    @property
    def mail(self) -> int:
        """The mailbox's pages and JSON."""
        return self.base + 3

    @property
    def smtp(self) -> int:
        """The mailbox's SMTP listener."""
        return self.base + 4

    @property
    def edge(self) -> int:
        """The edge."""
        return self.base + 5

    @property
    def auth(self) -> int:
        """Auth, behind the gateway."""
        return self.base + 6

    @property
    def storage(self) -> int:
        """Storage, behind the gateway."""
        return self.base + 7

    @property
    def rest(self) -> int:
        """PostgREST, behind the gateway."""
        return self.base + 8

    @property
    def rest_admin(self) -> int:
        """PostgREST's own health answers."""
        return self.base + 9

    def busy(self) -> list[int]:
        """Ports of the block that something else listens on."""
        return [port for port in range(self.base, self.base + BLOCK) if not is_free(port)]


def is_free(port: int) -> bool:
    """Whether a server could listen on this loopback port now."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
    return True


def free_block() -> Ports:
    """A block of ten ports that are free now, chosen by the kernel so that parallel callers rarely meet."""
    while True:
        with socket.socket() as probe:
            probe.bind((LOOPBACK, 0))
            base: int = probe.getsockname()[1]
        ports = Ports(base=base)
        if base + BLOCK < 65_536 and not ports.busy():
            return ports
