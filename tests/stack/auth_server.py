"""An auth server for tests: a real process on real sockets, a database of its own, and a catcher of its mails."""

import os
import re
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from email import message_from_bytes, policy
from email.message import EmailMessage
from functools import cached_property
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import httpx
import msgspec
import psycopg
import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session

from stack.database import bootstrap
from stack.keys import KeyFile, Keys
from stack.ports import LOOPBACK, free_block
from stack.postgres import Cluster, run_as
from stack.project import ROOT
from tests.conftest import UNLIMITED

PASSWORD = "correct-horse"
SITE = "http://127.0.0.1:3000"
ROLES = ("postgres", "supabase_auth_admin", "authenticator", "supabase_storage_admin")
PATIENCE = 15.0
VERSIONED = {"X-Supabase-Api-Version": "2024-01-01"}


class Letter(msgspec.Struct, frozen=True, kw_only=True):
    """A mail that was caught."""

    to: str
    subject: str
    text: str
    html: str

    @property
    def otp(self) -> str:
        """The six digits in it."""
        found = re.search(r"code: (\d{6})", self.text)
        assert found, self.text
        return found[1]

    @property
    def link(self) -> str:
        """The address in it."""
        found = re.search(r"^http\S+$", self.text, re.MULTILINE)
        assert found, self.text
        return found[0]

    @property
    def parameters(self) -> dict[str, str]:
        """The query of the link."""
        return dict(parse_qsl(urlsplit(self.link).query))


class Mailbox:
    """Catches mails by SMTP."""

    def __init__(self) -> None:
        self.letters: list[Letter] = []
        self._came = threading.Condition()
        self._controller = Controller(self, hostname=LOOPBACK, port=free_block().base)
        self._controller.start()

    @property
    def port(self) -> int:
        return int(self._controller.port)

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: ARG002, N802
        """Keep one mail."""
        message = message_from_bytes(envelope.original_content or b"", policy=policy.default)
        assert isinstance(message, EmailMessage)
        plain, page = message.get_body(("plain",)), message.get_body(("html",))
        assert plain is not None
        assert page is not None
        text = plain.get_content().replace("\r\n", "\n")
        letter = Letter(to=str(message["To"]), subject=str(message["Subject"]), text=text, html=page.get_content())
        with self._came:
            self.letters.append(letter)
            self._came.notify_all()
        return "250 OK"

    def to(self, address: str, *, count: int = 1) -> Letter:
        """The newest mail to an address, once `count` have come."""

        def there() -> list[Letter]:
            return [letter for letter in self.letters if letter.to == address]

        with self._came:
            came = self._came.wait_for(lambda: len(there()) >= count, timeout=PATIENCE)
        assert came, f"{len(there())} of {count} mails to {address}"
        return there()[-1]

    def count(self, address: str) -> int:
        """How many mails to an address have come."""
        return sum(letter.to == address for letter in self.letters)

    def close(self) -> None:
        self._controller.stop()


class Database:
    """A Postgres with Supabase's own objects and none of ours."""

    def __init__(self, folder: Path) -> None:
        self.cluster = Cluster(data=folder, port=free_block().base, password=secrets.token_hex(8))
        self.cluster.create()
        self.start()
        self._passwords = dict.fromkeys(ROLES, secrets.token_hex(8))
        bootstrap(self.cluster.url(), self._passwords)

    def start(self) -> None:
        """Run the server and wait until it answers."""
        self.process = subprocess.Popen(
            self.cluster.command(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd="/", **run_as()
        )
        _wait(self.cluster.is_ready, "Postgres")

    def stop(self) -> None:
        """Stop the server at once, cleanly."""
        self.process.send_signal(signal.SIGINT)
        self.process.wait(PATIENCE)

    def url(self, role: str) -> str:
        """Its address for a role."""
        return self.cluster.url(role=role, password=self._passwords[role])

    def query(self, query: str, *values: Any, role: str = "postgres") -> list[tuple[Any, ...]]:
        """Run one statement as a role; the rows, if any."""
        with psycopg.connect(self.url(role), autocommit=True) as connection:
            cursor = connection.execute(query.encode(), values or None)
            return cursor.fetchall() if cursor.description else []


class AuthServer:
    """An auth server process, and the errands that many tests begin with."""

    def __init__(
        self, database: Database, mailbox: Mailbox, folder: Path, *, limited: bool = False, **settings: str
    ) -> None:
        self.database, self.mailbox = database, mailbox
        self.port = free_block().base
        self.keys_file = folder / f"keys-{self.port}.json"
        Keys.generate().save(self.keys_file)
        self.log = folder / f"auth-{self.port}.log"
        self.url = f"http://{LOOPBACK}:{self.port}"
        self.environment = {
            **os.environ,
            "AUTH_PORT": str(self.port),
            "AUTH_DB_URL": database.url("supabase_auth_admin"),
            "AUTH_KEYS_FILE": str(self.keys_file),
            "AUTH_EXTERNAL_URL": self.url,
            "AUTH_SITE_URL": SITE,
            "AUTH_REDIRECT_URLS": "http://localhost:3000/**,guildhall://callback",
            "AUTH_MIN_PASSWORD_LENGTH": "8",
            "AUTH_ANONYMOUS": "true",
            "AUTH_SMTP_PORT": str(mailbox.port),
            "AUTH_MAIL_FROM": "Guildhall <auth@example.com>",
            "AUTH_MAX_FREQUENCY": "0",
            "AUTH_BCRYPT_COST": "4",
            **({} if limited else UNLIMITED),
            **settings,
        }
        self.http = httpx.Client(base_url=self.url, timeout=PATIENCE, headers=VERSIONED)
        self.start()

    def start(self) -> None:
        """Run the process and wait until it listens."""
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "stack.auth"], env=self.environment, stderr=log, cwd=ROOT
            )
        _wait(self._listens, "the auth server")

    def _listens(self) -> bool:
        assert self.process.poll() is None, self.log.read_text()
        try:
            return self.http.get("/health").status_code == 200
        except httpx.TransportError:
            return False

    def stop(self) -> int:
        """End the process by SIGTERM; its exit status."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(PATIENCE)

    def close(self) -> None:
        self.http.close()
        self.stop()

    @property
    def keys(self) -> Keys:
        """The keys as they are now."""
        return KeyFile(self.keys_file).read()

    @property
    def admin(self) -> dict[str, str]:
        """The headers of the holder of the service key."""
        return bearer(self.keys.service_role)

    def post(self, path: str, **body: Any) -> httpx.Response:
        """POST a JSON object."""
        return self.http.post(path, json=body)

    def post_as_admin(self, path: str, **body: Any) -> httpx.Response:
        """POST a JSON object as the holder of the service key."""
        return self.http.post(path, json=body, headers=self.admin)

    def create_user(self, email: str | None = None, **fields: Any) -> dict[str, Any]:
        """A confirmed user made by the admin."""
        body = {"email": email or new_address(), "password": PASSWORD, "email_confirm": True, **fields}
        made = self.post_as_admin("/admin/users", **body)
        assert made.status_code == 200, made.text
        user: dict[str, Any] = made.json()
        return user

    def sign_in(self, email: str, password: str = PASSWORD) -> dict[str, Any]:
        """A session for a password."""
        return session(self.post("/token?grant_type=password", email=email, password=password))

    def signed_in(self) -> dict[str, Any]:
        """A session of a new confirmed user."""
        return self.sign_in(self.create_user()["email"])


def session(answer: httpx.Response) -> dict[str, Any]:
    """The session in an answer."""
    assert answer.status_code == 200, answer.text
    body: dict[str, Any] = answer.json()
    assert body["token_type"] == "bearer"
    assert {"access_token", "refresh_token", "expires_in", "expires_at", "user"} <= body.keys()
    return body


def refused(answer: httpx.Response, status: int, code: str) -> None:
    """Assert that an answer is this refusal, in the form of current clients."""
    assert (answer.status_code, answer.json().get("code")) == (status, code), answer.text
    assert answer.headers["x-sb-error-code"] == code


def bearer(token: str) -> dict[str, str]:
    """The header that carries a token."""
    return {"Authorization": f"Bearer {token}"}


def fragment(place: str) -> dict[str, str]:
    """The values behind the `#` of an address."""
    return dict(parse_qsl(urlsplit(place).fragment))


def new_address() -> str:
    """An address that nobody has."""
    return f"{secrets.token_hex(6)}@example.com"


def _wait(ready: Callable[[], bool], what: str) -> None:
    end = time.monotonic() + PATIENCE
    while not ready():
        assert time.monotonic() < end, f"{what} did not start"
        time.sleep(0.03)


class Rig:
    """What the tests of the auth server share, each part made when it is first asked for."""

    def __init__(self) -> None:
        self._closing = ExitStack()

    def close(self) -> None:
        """Stop and remove everything."""
        self._closing.close()

    @cached_property
    def folder(self) -> Path:
        """A folder that the unprivileged user who runs Postgres can enter."""
        folder = Path(tempfile.mkdtemp(prefix="guildhall-auth-"))
        folder.chmod(0o711)
        self._closing.callback(shutil.rmtree, folder, ignore_errors=True)
        return folder

    @cached_property
    def database(self) -> Database:
        """One database."""
        database = Database(self.folder)
        self._closing.callback(database.stop)
        return database

    @cached_property
    def mailbox(self) -> Mailbox:
        """Where all mails go."""
        mailbox = Mailbox()
        self._closing.callback(mailbox.close)
        return mailbox

    def server(self, *, limited: bool = False, **settings: str) -> AuthServer:
        """One more server on the same database, with other settings; `limited` as a new stack is, or not at all."""
        server = AuthServer(self.database, self.mailbox, self.folder, limited=limited, **settings)
        self._closing.callback(server.close)
        return server

    @cached_property
    def auth(self) -> AuthServer:
        """The server in which addresses must be confirmed."""
        return self.server()

    @cached_property
    def auto(self) -> AuthServer:
        """The server in which every address counts as confirmed."""
        return self.server(AUTH_AUTOCONFIRM="true")

    @cached_property
    def hooked(self) -> AuthServer:
        """The server whose tokens pass through the function `public.token_hook`."""
        return self.server(AUTH_AUTOCONFIRM="true", AUTH_HOOK_ACCESS_TOKEN="public.token_hook")


RIG = pytest.StashKey[Rig]()

# Test modules import these. A session fixture that many modules import is made once for each; the stash is one for all.


@pytest.fixture(scope="session", name="rig")
def rig_fixture(pytestconfig: pytest.Config) -> Rig:
    """What the tests of the auth server share."""
    if RIG not in pytestconfig.stash:
        pytestconfig.stash[RIG] = Rig()
        pytestconfig.add_cleanup(pytestconfig.stash[RIG].close)
    return pytestconfig.stash[RIG]


@pytest.fixture(scope="session", name="database")
def database_fixture(rig: Rig) -> Database:
    """The database."""
    return rig.database


@pytest.fixture(scope="session", name="mailbox")
def mailbox_fixture(rig: Rig) -> Mailbox:
    """The catcher of mails."""
    return rig.mailbox


@pytest.fixture(scope="session", name="auth")
def auth_fixture(rig: Rig) -> AuthServer:
    """The server in which addresses must be confirmed."""
    return rig.auth


@pytest.fixture(scope="session", name="auto")
def auto_fixture(rig: Rig) -> AuthServer:
    """The server in which every address counts as confirmed."""
    return rig.auto


@pytest.fixture(scope="session", name="hooked")
def hooked_fixture(rig: Rig) -> AuthServer:
    """The server with a hook."""
    return rig.hooked
