"""An auth server for tests: its process, its database, and a server that receives its mails."""

import base64
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
import jwt
import msgspec
import psycopg
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session
from cryptography.hazmat.primitives.hashes import SHA1
from cryptography.hazmat.primitives.twofactor.totp import TOTP

from stack.auth.factors import STEP
from stack.database import set_passwords
from stack.keys import KeyFile, Keys
from stack.paths import ROOT
from stack.ports import LOOPBACK, free_block
from stack.postgres import run_as
from tests.golden import copy_supabase
from tests.run_stack import TEST_SETTINGS

PASSWORD = "correct-horse"
SITE = "http://127.0.0.1:3000"
ROLES = ("postgres", "supabase_auth_admin", "authenticator", "supabase_storage_admin")
TIMEOUT = 15.0
VERSIONED = {"X-Supabase-Api-Version": "2024-01-01"}


class ReceivedMail(msgspec.Struct, frozen=True, kw_only=True):
    """A mail that arrived."""

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
    """Receives mails by SMTP."""

    def __init__(self) -> None:
        self.mail: list[ReceivedMail] = []
        self._received = threading.Condition()
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
        mail = ReceivedMail(to=str(message["To"]), subject=str(message["Subject"]), text=text, html=page.get_content())
        with self._received:
            self.mail.append(mail)
            self._received.notify_all()
        return "250 OK"

    def to(self, address: str, *, count: int = 1) -> ReceivedMail:
        """The newest mail to an address, once `count` have arrived."""

        def matching() -> list[ReceivedMail]:
            return [mail for mail in self.mail if mail.to == address]

        with self._received:
            arrived = self._received.wait_for(lambda: len(matching()) >= count, timeout=TIMEOUT)
        assert arrived, f"{len(matching())} of {count} mails to {address}"
        return matching()[-1]

    def count(self, address: str) -> int:
        """How many mails to an address have arrived."""
        return sum(mail.to == address for mail in self.mail)

    def close(self) -> None:
        self._controller.stop()


class Database:
    """A Postgres with Supabase's own objects and none of ours."""

    def __init__(self, folder: Path) -> None:
        self.cluster = copy_supabase(folder)
        self.start()
        self._passwords = dict.fromkeys(ROLES, secrets.token_hex(8))
        with psycopg.connect(self.cluster.url(), autocommit=True) as connection:
            set_passwords(connection, self._passwords)

    def start(self) -> None:
        """Run the server and wait until it answers."""
        self.process = subprocess.Popen(
            self.cluster.command(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd="/", **run_as()
        )
        _wait_until(self.cluster.is_ready, "Postgres")

    def stop(self) -> None:
        """Stop the server at once, cleanly."""
        self.process.send_signal(signal.SIGINT)
        self.process.wait(TIMEOUT)

    def url(self, role: str) -> str:
        """Its address for a role."""
        return self.cluster.url(role=role, password=self._passwords[role])

    def query(self, query: str, *values: Any, role: str = "postgres") -> list[tuple[Any, ...]]:
        """Run one statement as a role; the rows, if any."""
        with psycopg.connect(self.url(role), autocommit=True) as connection:
            cursor = connection.execute(query.encode(), values or None)
            return cursor.fetchall() if cursor.description else []


class AuthServer:
    """An auth server process, and the requests that many tests begin with."""

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
            **({} if limited else TEST_SETTINGS),
            **settings,
        }
        self.http = httpx.Client(base_url=self.url, timeout=TIMEOUT, headers=VERSIONED)
        self.start()

    def start(self) -> None:
        """Run the process and wait until it listens."""
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "stack.auth"], env=self.environment, stderr=log, cwd=ROOT
            )
        _wait_until(self._listens, "the auth server")

    def _listens(self) -> bool:
        assert self.process.poll() is None, self.log.read_text()
        try:
            return self.http.get("/health").status_code == 200
        except httpx.TransportError:
            return False

    def stop(self) -> int:
        """End the process by SIGTERM; its exit status."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(TIMEOUT)

    def close(self) -> None:
        self.http.close()
        self.stop()

    @property
    def keys(self) -> Keys:
        """The keys as they are now."""
        return KeyFile(self.keys_file).read()

    @property
    def admin(self) -> dict[str, str]:
        """The headers with the service key."""
        return bearer(self.keys.service_role)

    def post(self, path: str, **body: Any) -> httpx.Response:
        """POST a JSON object."""
        return self.http.post(path, json=body)

    def post_as_admin(self, path: str, **body: Any) -> httpx.Response:
        """POST a JSON object with the service key."""
        return self.http.post(path, json=body, headers=self.admin)

    def create_user(self, email: str | None = None, **fields: Any) -> dict[str, Any]:
        """Create a confirmed user with the admin API."""
        body = {"email": email or new_email(), "password": PASSWORD, "email_confirm": True, **fields}
        made = self.post_as_admin("/admin/users", **body)
        assert made.status_code == 200, made.text
        user: dict[str, Any] = made.json()
        return user

    def sign_in(self, email: str, password: str = PASSWORD) -> dict[str, Any]:
        """Sign in with a password; returns the session."""
        return session(self.post("/token?grant_type=password", email=email, password=password))

    def sign_in_new_user(self) -> dict[str, Any]:
        """Create a confirmed user and sign in; returns the session."""
        return self.sign_in(self.create_user()["email"])


def session(answer: httpx.Response) -> dict[str, Any]:
    """Assert that an answer is a session, and return it."""
    assert answer.status_code == 200, answer.text
    body: dict[str, Any] = answer.json()
    assert body["token_type"] == "bearer"
    assert {"access_token", "refresh_token", "expires_in", "expires_at", "user"} <= body.keys()
    return body


def assert_refused(answer: httpx.Response, status: int, code: str) -> None:
    """Assert that an answer has this status and code, in the form for current clients."""
    assert (answer.status_code, answer.json().get("code")) == (status, code), answer.text
    assert answer.headers["x-sb-error-code"] == code


def bearer(token: str) -> dict[str, str]:
    """The header with an access token."""
    return {"Authorization": f"Bearer {token}"}


def claims_of(token: str) -> dict[str, Any]:
    """The claims of an access token, unverified."""
    claims: dict[str, Any] = jwt.decode(token, options={"verify_signature": False})
    return claims


def fragment(url: str) -> dict[str, str]:
    """The parameters in the fragment of a URL."""
    return dict(parse_qsl(urlsplit(url).fragment))


def code_of(secret: str, offset: int = 0) -> str:
    """The code that an authenticator app shows, in this time step or in one before or after it."""
    left = STEP - time.time() % STEP
    if left < 3:  # the next request could be in the next step
        time.sleep(left)
    totp = TOTP(base64.b32decode(secret), 6, SHA1(), STEP)  # noqa: S303
    return totp.generate(int(time.time()) + offset * STEP).decode()


def new_email() -> str:
    """An email address that no user has."""
    return f"{secrets.token_hex(6)}@example.com"


def _wait_until(ready: Callable[[], bool], what: str) -> None:
    end = time.monotonic() + TIMEOUT
    while not ready():
        assert time.monotonic() < end, f"{what} did not start"
        time.sleep(0.03)


class Rig:
    """What the tests of the auth server share. Each part is created on first use."""

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
        """The database."""
        database = Database(self.folder)
        self._closing.callback(database.stop)
        return database

    @cached_property
    def mailbox(self) -> Mailbox:
        """The receiver of all mails."""
        mailbox = Mailbox()
        self._closing.callback(mailbox.close)
        return mailbox

    def server(self, *, limited: bool = False, **settings: str) -> AuthServer:
        """Start another server on the same database.

        Args:
            limited: with the limits of a new stack, or with none.
            settings: environment variables.
        """
        server = AuthServer(self.database, self.mailbox, self.folder, limited=limited, **settings)
        self._closing.callback(server.close)
        return server

    @cached_property
    def auth(self) -> AuthServer:
        """The server in which email addresses must be confirmed."""
        return self.server()

    @cached_property
    def auto(self) -> AuthServer:
        """The server in which every email address counts as confirmed."""
        return self.server(AUTH_AUTOCONFIRM="true")

    @cached_property
    def hooked(self) -> AuthServer:
        """The server that calls the function `public.token_hook` for every access token."""
        return self.server(AUTH_AUTOCONFIRM="true", AUTH_HOOK_ACCESS_TOKEN="public.token_hook")
