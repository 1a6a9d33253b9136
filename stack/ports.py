"""The stack's ports: one block of twenty, in the places where Supabase's own local stack has them."""

import secrets
import socket
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

import msgspec

from stack.errors import StackError

BLOCK = 20
STEP = 100
HIGHEST = 65_535
TEST_RANGE = range(15_000, 32_000, BLOCK)
"""Below the ports that the kernel lends to outgoing connections, which would now and then be in the way."""
LENT_FOR = 65.0
"""Seconds that the kernel keeps a port after a connection from it has ended, and a little more."""
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
    def worker(self) -> int:
        """The worker's health and metrics."""
        return self.base + 2

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

    @property
    def stripe(self) -> int:
        """The double of Stripe: its API, its pages and its control."""
        return self.base + 10

    def busy(self) -> list[int]:
        """Ports of the stack that something listens on."""
        return [port for port in self._uses() if not is_free(port)]

    @contextmanager
    def reserved(self, tell: Callable[[str], None]) -> Iterator[None]:
        """Hold the stack's ports, so that its servers find them free even when they are restarted under load.

        Our default ports lie among those that the kernel lends to outgoing connections: such a connection, and for a
        minute after its end what is left of it, keeps a server from listening. Linux lends no port that is bound; and a
        server that sets SO_REUSEADDR, as ours all do, can listen on a port to which another socket with that option
        is bound without listening. Elsewhere the ports are only looked at.

        Args:
            tell: is told when this has to wait.

        Raises:
            StackError: a port is in use; the message names it and a free block.
        """
        with ExitStack() as held:
            until = time.monotonic() + LENT_FOR
            for port in self._uses():
                while (bound := _bind(port)) is None:
                    if _is_listening(port) or time.monotonic() > until:
                        raise StackError(
                            f"port {port} ({self.use_of(port)}) is in use by another program: end it, or choose other "
                            f"ports, such as ./guildhall up --port {self.next_free().base}"
                        )
                    tell(f"waiting for port {port}, which an ended connection still holds")
                    time.sleep(2)
                held.enter_context(bound)
                if sys.platform != "linux":
                    bound.close()
            yield

    def use_of(self, port: int) -> str:
        """What a port of the stack is for."""
        return self._uses()[port]

    def next_free(self) -> "Ports":
        """The next block, in steps that are easy to remember, whose ports are all free."""
        for base in range(self.base + STEP, HIGHEST - BLOCK, STEP):
            ports = Ports(base=base)
            if not ports.busy():
                return ports
        return free_block()

    def _uses(self) -> dict[int, str]:
        return {
            self.api: "API",
            self.database: "Postgres",
            self.worker: "worker, health",
            self.mail: "mailbox",
            self.smtp: "mailbox, SMTP",
            self.edge: "edge",
            self.auth: "auth",
            self.storage: "storage",
            self.rest: "PostgREST",
            self.rest_admin: "PostgREST, health",
            self.stripe: "Stripe's double",
        }


def is_free(port: int) -> bool:
    """Whether a server could listen on this loopback port now."""
    bound = _bind(port)
    if bound is None:
        return False
    bound.close()
    return True


def free_block() -> Ports:
    """A block of ports that are free now, chosen by chance so that parallel callers rarely meet."""
    while True:
        ports = Ports(base=secrets.choice(TEST_RANGE))
        if not ports.busy():
            return ports


def _bind(port: int) -> socket.socket | None:
    bound = socket.socket()
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        bound.bind((LOOPBACK, port))
    except OSError:
        bound.close()
        return None
    return bound


def _is_listening(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex((LOOPBACK, port)) == 0
