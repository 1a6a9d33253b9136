"""The stack's ports: a block of twenty, with the offsets of Supabase's own local stack."""

import atexit
import secrets
import socket
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager

import msgspec

from stack.errors import StackError

BLOCK = 20
CLAIM_OFFSET = BLOCK - 1
"""The port of a block that no part uses: a process binds it to claim the block."""
STEP = 100
HIGHEST = 65_535
TEST_RANGE = range(15_000, 32_000, BLOCK)
"""Below the ports that the kernel assigns to outgoing connections, which could collide."""
ASSIGNED_SECONDS = 65.0
"""The kernel keeps a port for 60 seconds after a connection from it has ended."""
LOOPBACK = "127.0.0.1"
CLAIMS = 50
"""How many blocks one process claims: its last ones."""

_claims: deque[socket.socket] = deque()


@atexit.register
def _release_claims() -> None:
    while _claims:
        _claims.popleft().close()


class Ports(msgspec.Struct, frozen=True, kw_only=True):
    """The ports of Supabase's parts in one stack, all on loopback. A project's own parts take others of the block."""

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
        """PostgREST's own health checks."""
        return self.base + 9

    def uses(self) -> dict[int, str]:
        """What each port is for."""
        return {
            self.api: "API",
            self.database: "Postgres",
            self.mail: "mailbox",
            self.smtp: "mailbox, SMTP",
            self.auth: "auth",
            self.storage: "storage",
            self.rest: "PostgREST",
            self.rest_admin: "PostgREST, health",
        }


@contextmanager
def reserve(uses: Mapping[int, str], report: Callable[[str], None]) -> Iterator[None]:
    """Hold a stack's ports, so that its servers find them free even when they are restarted under load.

    Our default ports lie among those that the kernel lends to outgoing connections. Such a connection keeps a server
    from listening, and so does its remainder for a minute after its end. Linux lends no port that is bound; and a
    server that sets SO_REUSEADDR, as ours all do, can listen on a port to which another socket with that option is
    bound without listening. On other systems this only checks that the ports are free.

    Args:
        uses: the ports, and what each is for.
        report: is called with a line when this has to wait.

    Raises:
        StackError: a port is in use; the message names it and a free block.
    """
    with ExitStack() as held:
        deadline = time.monotonic() + ASSIGNED_SECONDS
        for port, use in uses.items():
            is_reported = False
            while (bound := _bind(port)) is None:
                if _is_listening(port) or time.monotonic() > deadline:
                    raise StackError(
                        f"port {port} ({use}) is in use by another program: end it, or choose other "
                        f"ports, such as ./guildhall up --port {_next_free(min(uses)).base}"
                    )
                if not is_reported:
                    report(f"waiting for port {port}, which an ended connection still holds, for a minute at most")
                    is_reported = True
                time.sleep(2)
            held.enter_context(bound)
            if sys.platform != "linux":
                bound.close()
        yield


def is_free(port: int) -> bool:
    """Whether a server could listen on this loopback port now."""
    bound = _bind(port)
    if bound is None:
        return False
    bound.close()
    return True


def is_free_block(base: int) -> bool:
    """Whether every port of the block that begins here is free."""
    return all(is_free(port) for port in range(base, base + BLOCK))


def free_block() -> Ports:
    """A block of ports that are free now. Other calls, of any process, do not return it while this one claims it."""
    while True:
        base = secrets.choice(TEST_RANGE)
        if is_free_block(base) and _claim(base):
            return Ports(base=base)


def _claim(base: int) -> bool:
    """Bind a port of a block, so that the block counts as taken until the claim is old."""
    claim = socket.socket()
    try:
        claim.bind((LOOPBACK, base + CLAIM_OFFSET))
    except OSError:
        claim.close()
        return False
    _claims.append(claim)
    if len(_claims) > CLAIMS:
        _claims.popleft().close()
    return True


def _next_free(base: int) -> Ports:
    """The next free block, in steps that are easy to remember."""
    for candidate in range(base + STEP, HIGHEST - BLOCK, STEP):
        if is_free_block(candidate):
            return Ports(base=candidate)
    return free_block()


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
