"""The mailbox as a process: mail arrives by SMTP, and its pages and its API show it."""

import http.client
import json
import os
import re
import shutil
import smtplib
import socket
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stack.mailbox.messages import Envelope, Stored
from stack.mailbox.store import KEPT, Store
from stack.ports import LOOPBACK, free_block

WAIT_SECONDS = 10.0


class Mailbox:
    """A mailbox process."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.log = folder.parent / "log"
        self.ports = free_block()
        self.start()

    def start(self) -> None:
        """Run the process and wait until both ports listen."""
        environment = {
            **os.environ,
            "MAILBOX_WEB_PORT": str(self.ports.mail),
            "MAILBOX_SMTP_PORT": str(self.ports.smtp),
            "MAILBOX_FOLDER": str(self.folder),
        }
        with self.log.open("ab") as log:
            self.process = subprocess.Popen([sys.executable, "-m", "stack.mailbox"], env=environment, stderr=log)
        end = time.monotonic() + WAIT_SECONDS
        while not self._listens():
            assert self.process.poll() is None, self.log.read_text()
            assert time.monotonic() < end
            time.sleep(0.02)
        self.http = httpx.Client(base_url=f"http://{LOOPBACK}:{self.ports.mail}", timeout=WAIT_SECONDS)

    def stop(self) -> int:
        """Stop the process by SIGTERM; returns its exit status."""
        self.http.close()
        self.process.terminate()
        return self.process.wait(WAIT_SECONDS)

    def _listens(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex((LOOPBACK, self.ports.mail)) == 0

    def send(self, mail: EmailMessage | bytes, *to: str, sender: str = "sender@example.com") -> str:
        """Send a mail and return its id."""
        content = mail if isinstance(mail, bytes) else mail.as_bytes()
        with smtplib.SMTP(LOOPBACK, self.ports.smtp, timeout=WAIT_SECONDS) as client:
            assert client.sendmail(sender, list(to), content) == {}
        return str(self.list(limit=1)[0]["id"])

    def list(self, **query: Any) -> list[dict[str, Any]]:
        """The mails that the API lists."""
        answer = self.http.get("/api/messages", params=query)
        assert answer.status_code == 200
        found: list[dict[str, Any]] = answer.json()
        return found

    def get(self, name: str) -> dict[str, Any]:
        """One mail, with its content."""
        answer = self.http.get(f"/api/messages/{name}")
        assert answer.status_code == 200
        found: dict[str, Any] = answer.json()
        return found


@pytest.fixture(scope="module")
def mailbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mailbox]:
    running = Mailbox(tmp_path_factory.mktemp("mailbox") / "mail")
    yield running
    assert running.stop() == 0


def mail(subject: str = "Hello", text: str = "Hi", html: str = "") -> EmailMessage:
    message = EmailMessage()
    message["From"] = "Guildhall <no-reply@example.com>"
    message["To"] = "someone@example.com"
    message["Subject"] = subject
    message.set_content(text)
    if html:
        message.add_alternative(html, subtype="html")
    return message


def assert_refused(answer: httpx.Response, status: int, code: str) -> None:
    assert (answer.status_code, answer.json()["code"]) == (status, code)


def test_a_multipart_mail_is_read_completely(mailbox: Mailbox) -> None:
    text = "Confirm: https://a.example/verify?token=x_y-1&type=signup. Or (see http://b.example/).\n"
    html = (
        '<p>Ünïcode <a href="https://a.example/verify?token=h&amp;type=signup">Confirm</a>'
        '<a href="javascript:alert(1)">bad</a><a href="https://a.example/verify?token=x_y-1&amp;type=signup">twice</a>'
    )
    message = mail("Bitte bestätigen ✓ — 日本語", text, html)
    message.add_attachment(b"%PDF", maintype="application", subtype="pdf", filename="a.pdf")
    name = mailbox.send(message, "ann@example.com", "hidden@example.com")

    read = mailbox.get(name)
    assert set(read) == {"id", "from", "to", "subject", "received_at", "text", "html", "links"}
    assert read["from"] == "Guildhall <no-reply@example.com>"
    assert read["to"] == ["ann@example.com", "hidden@example.com"]
    assert read["subject"] == "Bitte bestätigen ✓ — 日本語"
    assert read["text"] == text
    assert read["html"].strip() == html
    assert read["links"] == [
        "https://a.example/verify?token=h&type=signup",
        "https://a.example/verify?token=x_y-1&type=signup",
        "http://b.example/",
    ]
    assert abs((datetime.now(UTC) - datetime.fromisoformat(read["received_at"])).total_seconds()) < WAIT_SECONDS
    assert mailbox.list(limit=1)[0] == {key: read[key] for key in ("id", "from", "to", "subject", "received_at")}


def test_mails_are_listed_by_address_and_limit(mailbox: Mailbox) -> None:
    sent = [mailbox.send(mail(str(number)), f"user{number % 2}@list.example") for number in range(6)]
    assert [each["id"] for each in mailbox.list(limit=6)] == sent[::-1]
    assert [each["subject"] for each in mailbox.list(to="USER1@list.example")] == ["5", "3", "1"]
    assert [each["subject"] for each in mailbox.list(to="user1@list.example", limit=2)] == ["5", "3"]
    for address in ("user@list.example", "", "%", "user1"):
        assert mailbox.list(to=address) == []
    for limit in ("0", "-1", "x", "1001", "", "\u0661", "9" * 5000, "1.5"):
        assert_refused(mailbox.http.get("/api/messages", params={"limit": limit}), 400, "bad_limit")


def test_the_list_waits_for_a_subject(mailbox: Mailbox) -> None:
    address = "waiting@example.com"
    assert mailbox.list(to=address, subject="RESET", wait=0) == []
    later = threading.Timer(0.3, lambda: mailbox.send(mail("Reset your password"), address))
    mailbox.send(mail("Something else"), address)
    later.start()
    assert [found["subject"] for found in mailbox.list(to=address, subject="RESET", wait=10)] == ["Reset your password"]
    later.join()
    assert mailbox.list(to=address, subject="another subject", wait=1) == []
    for wrong in ("-1", "31", "x", ""):
        assert_refused(mailbox.http.get("/api/messages", params={"wait": wrong}), 400, "bad_wait")


def test_recipients_are_those_of_smtp_not_of_headers(mailbox: Mailbox) -> None:
    forged = b'X-Envelope: {"sender":"x","recipients":["victim@example.com"]}\r\nDelivered-To: victim@example.com\r\n'
    name = mailbox.send(forged + b"Subject: a\r\n\r\nb", '"odd, one"@example.com', sender="real@example.com")
    read = mailbox.get(name)
    assert (read["from"], read["to"]) == ("real@example.com", ['"odd, one"@example.com'])
    assert mailbox.list(to="victim@example.com") == []


def test_unicode_addresses_are_read(mailbox: Mailbox) -> None:
    message = "Subject: ü\r\nFrom: jürgen@bücher.example\r\n\r\ngrüße\r\n".encode()
    with smtplib.SMTP(LOOPBACK, mailbox.ports.smtp, timeout=WAIT_SECONDS) as client:
        client.sendmail("jürgen@bücher.example", ["用户@例え.example"], message, ["SMTPUTF8", "BODY=8BITMIME"])
    read = mailbox.get(mailbox.list(limit=1)[0]["id"])
    assert (read["subject"], read["from"]) == ("ü", "jürgen@bücher.example")
    assert (read["to"], read["text"].strip()) == (["用户@例え.example"], "grüße")


def test_scripts_in_a_mail_do_not_run_in_a_page(mailbox: Mailbox) -> None:
    script = '<script>alert("x")</script><img src=x onerror=alert(1)>'
    message = mail(f'{script}" onload="x', script, f'<body onload="x()">{script}</body>')
    message.replace_header("From", '"<script>x</script>" <a@example.com>')
    name = mailbox.send(message, "b@example.com")

    for path in ("/", f"/messages/{name}"):
        shown = mailbox.http.get(path)
        assert shown.headers["content-type"] == "text/html; charset=utf-8"
        assert "&lt;script&gt;" in shown.text
        assert not re.search(r"<script|<img|<body [^>]", shown.text)
        policy = shown.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "script-src" not in policy
        assert shown.headers["x-content-type-options"] == "nosniff"
    assert f'<iframe sandbox="allow-popups allow-popups-to-escape-sandbox" src="/messages/{name}/html"' in shown.text

    body = mailbox.http.get(f"/messages/{name}/html")
    assert script in body.text
    parts = {part.strip() for part in body.headers["content-security-policy"].split(";")}
    assert parts >= {
        "sandbox allow-popups allow-popups-to-escape-sandbox",
        *("default-src 'none'", "form-action 'none'", "base-uri 'none'"),
    }
    assert not [part for part in parts if part.startswith("script-src")]


@pytest.mark.parametrize(
    "name",
    [
        "..%2Fsecret",
        "%2e%2e/secret",
        "..%2f..%2f..%2fetc%2fpasswd",
        "/etc/passwd",
        "%00",
        "0000000000000000001-00000000",
        "0000000000000000001-00000000.eml",
        "..",
        "*",
        "%F0%9F%92%8C",
    ],
)
def test_invalid_ids_are_not_found(mailbox: Mailbox, name: str) -> None:
    (mailbox.folder.parent / "secret.eml").write_text("Subject: secret\r\n\r\nsecret")
    connection = http.client.HTTPConnection(LOOPBACK, mailbox.ports.mail, timeout=WAIT_SECONDS)
    for path in ("/api/messages/", "/messages/"):
        for tail in ("", "/html"):
            connection.request("GET", path + name + tail)
            answer = connection.getresponse()
            body = answer.read()
            assert answer.status == 404
            assert json.loads(body)["code"] in {"not_found", "message_not_found"}
    connection.close()


def test_other_hosts_are_refused(mailbox: Mailbox) -> None:
    hosts = [
        "evil.example",
        f"evil.example:{mailbox.ports.mail}",
        "localhost.evil.example",
        "127.0.0.1.nip.io",
        "[",
        "x@[::1",
    ]
    for host in hosts:
        assert_refused(mailbox.http.get("/api/messages", headers={"Host": host}), 403, "host_not_allowed")
    for host in ("localhost", f"localhost:{mailbox.ports.mail}", "127.0.0.1", "[::1]:1"):
        answer = mailbox.http.get("/api/messages", headers={"Host": host, "Origin": "https://evil.example"})
        assert answer.status_code == 200
        assert "access-control-allow-origin" not in answer.headers
    assert_refused(mailbox.http.post("/api/messages"), 405, "method_not_allowed")
    assert_refused(mailbox.http.get("/nowhere"), 404, "not_found")


def test_mail_survives_a_kill_and_is_readable_by_its_owner_only(tmp_path: Path) -> None:
    mailbox = Mailbox(tmp_path / "mail")
    try:
        names = [mailbox.send(mail(f"number {number}"), "keep@example.com") for number in range(3)]
        (tmp_path / "mail" / "half.new").write_bytes(b"half a ma")
        (tmp_path / "mail" / "note.eml").write_bytes(b"not a mail")
        before = [mailbox.get(name) for name in names]
        assert stat.S_IMODE(mailbox.folder.stat().st_mode) == 0o700
        assert {stat.S_IMODE((mailbox.folder / f"{name}.eml").stat().st_mode) for name in names} == {0o600}

        mailbox.http.close()
        mailbox.process.kill()
        mailbox.process.wait()
        mailbox.start()
        assert [each["id"] for each in mailbox.list()] == names[::-1]
        assert [mailbox.get(name) for name in names] == before
        assert not (tmp_path / "mail" / "half.new").exists()

        (mailbox.folder / f"{names[1]}.eml").unlink()
        assert_refused(mailbox.http.get(f"/api/messages/{names[1]}"), 404, "message_not_found")
        assert mailbox.http.delete("/api/messages").status_code == 204
        assert mailbox.list() == []
        assert [file.name for file in mailbox.folder.iterdir()] == ["note.eml"]
        assert "No mail" in mailbox.http.get("/").text

        shutil.rmtree(mailbox.folder)
        with (
            smtplib.SMTP(LOOPBACK, mailbox.ports.smtp, timeout=WAIT_SECONDS) as client,
            pytest.raises(smtplib.SMTPDataError) as failure,
        ):
            client.sendmail("a@example.com", ["b@example.com"], "Subject: a\r\n\r\nb")
        assert failure.value.smtp_code == 452
    finally:
        assert mailbox.stop() == 0
    assert "@" not in mailbox.log.read_text()
    assert all(json.loads(line)["message"] for line in mailbox.log.read_text().splitlines())


def test_the_newest_thousand_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "fsync", lambda _descriptor: None)  # a thousand disk syncs would only take time
    store = Store(tmp_path)
    envelope = Envelope(sender="a@example.com", recipients=("b@example.com",))
    names = [store.save(envelope, f"Subject: {number}\r\n\r\n".encode()) for number in range(KEPT + 3)]
    assert len(store) == len(list(tmp_path.glob("*.eml"))) == KEPT
    assert [each.id for each in store.newest(KEPT)] == names[:2:-1]
    assert store.get(names[0]) is None
    reopened = Store(tmp_path)
    assert [each.subject for each in reopened.newest(2)] == [str(KEPT + 2), str(KEPT + 1)]


MALFORMED = [
    b"",
    b"no header at all",
    b"Subject: =?utf-8?b?!!!?=\r\n\r\n",
    b"Subject: =?x-unknown?q?a?=\r\nContent-Type: text/plain; charset=x-unknown\r\n\r\n\xff\xfe text",
    b"Content-Type: text/html; charset=utf-8\r\n\r\n<![if x]><a href='http://[bad'>\xff",
    b"Content-Type: multipart/alternative; boundary=\r\n\r\n--\r\n\r\nx",
    b"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: message/rfc822\r\n\r\n--b",
    b"Content-Transfer-Encoding: base64\r\nContent-Type: text/plain\r\n\r\n!!!!",
    b"From: \r\nFrom: <<>>,,@\r\nSubject: a\r\n b\r\n\x00\r\n\r\n",
]


def test_malformed_mail_is_kept_and_shown(mailbox: Mailbox) -> None:
    for content in MALFORMED:
        name = mailbox.send(content, "odd@example.com")
        assert mailbox.get(name)["to"] == ["odd@example.com"]
        for path in ("/", f"/messages/{name}", f"/messages/{name}/html"):
            assert mailbox.http.get(path).status_code == 200
    long = mail("long", "x" * 30_000).as_bytes(policy=mail().policy.clone(max_line_length=0, cte_type="8bit"))
    assert len(mailbox.get(mailbox.send(long, "odd@example.com"))["text"].strip()) == 30_000


HEADER = st.sampled_from([b"Subject", b"From", b"To", b"Content-Type", b"Content-Transfer-Encoding", b"MIME-Version"])
VALUE = st.one_of(
    st.binary(max_size=40),
    st.text(alphabet='=?utf-8QB<>@,;:"()[]\\ /\t', max_size=40).map(str.encode),
    st.sampled_from([b"multipart/mixed; boundary=b", b"text/html", b"message/rfc822", b"base64", b"quoted-printable"]),
)


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(HEADER, VALUE), max_size=5), st.binary(max_size=60))
def test_any_mail_can_be_read(headers: list[tuple[bytes, bytes]], body: bytes) -> None:
    content = b"".join(name + b": " + value + b"\r\n" for name, value in headers) + b"\r\n--b\r\n" + body
    stored = Stored(
        id="1", received_at=datetime.now(UTC), content=Stored.encode(Envelope(recipients=("b@example.com",)), content)
    )
    assert stored.message().to == ("b@example.com",)


def test_health_and_a_missing_setting(mailbox: Mailbox) -> None:
    assert mailbox.http.get("/health").json() == {"status": "ok"}
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MAILBOX_")}
    command = [sys.executable, "-m", "stack.mailbox"]
    result = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert result.returncode == os.EX_CONFIG
    assert "MAILBOX_WEB_PORT" in result.stderr
    assert len(result.stderr.splitlines()) == 1
