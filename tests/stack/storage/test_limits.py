"""Limits of uploads: sizes, types and names."""

import socket
from collections.abc import Iterator
from urllib.parse import quote

import httpx
import pytest

from stack.ports import LOOPBACK
from tests.stack.storage.support import (
    FILE_SIZE_LIMIT,
    INVALID_KEY,
    PNG,
    TEXT,
    TOO_LARGE,
    WRONG_TYPE,
    Caller,
    Server,
    refusal,
)
from tests.waiting import wait_until

IMAGE = {"content-type": "image/png"}
GIF, JPEG, WEBP = b"GIF89a....", b"\xff\xd8\xff\xe0....", b"RIFF....WEBPVP8 "


def test_too_large_uploads_are_refused(http: httpx.Client, server: Server, alice: Caller) -> None:
    def chunked(size: int) -> Iterator[bytes]:
        for _ in range(0, size, 1000):
            yield b"\0" * 1000

    def form(content: bytes) -> dict[str, tuple[str, bytes, str]]:
        return {"": ("blob", content, "image/png")}

    big = PNG + b"\0" * 10_000
    private, avatars = f"/object/private/{alice.path('big')}", f"/object/avatars/{alice.path('big')}"
    assert refusal(http.post(avatars, content=big, headers={**alice.headers, **IMAGE})) == TOO_LARGE
    assert refusal(http.post(avatars, files=form(big), headers=alice.headers)) == TOO_LARGE
    whole = b"\0" * (FILE_SIZE_LIMIT + 1)
    assert refusal(http.post(private, content=whole, headers={**alice.headers, **TEXT})) == TOO_LARGE
    lengthless = http.post(private, content=chunked(FILE_SIZE_LIMIT + 1000), headers={**alice.headers, **TEXT})
    assert refusal(lengthless) == TOO_LARGE
    assert refusal(http.post(private, files=form(whole), headers=alice.headers)) == TOO_LARGE
    assert server.rows("private", alice.path("big")) == []
    assert server.rows("avatars", alice.path("big")) == []
    assert server.incoming() == []
    assert http.post(private, content=whole[1:], headers={**alice.headers, **TEXT}).status_code == 200
    exact = PNG + b"\0" * (10_000 - len(PNG))
    assert http.post(avatars, content=exact, headers={**alice.headers, **IMAGE}).status_code == 200


def test_a_wrong_content_length_stores_no_wrong_object(server: Server, alice: Caller) -> None:
    def send(path: str, length: int, body: bytes, *, ends: bool = True) -> bytes:
        head = (
            f"POST /object/private/{path} HTTP/1.1\r\nHost: x\r\nAuthorization: {alice.headers['Authorization']}\r\n"
            f"Content-Type: text/plain\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n"
        )
        with socket.create_connection((LOOPBACK, server.port), timeout=5) as connection:
            connection.sendall(head.encode() + body)
            if ends:
                connection.shutdown(socket.SHUT_WR)
            answer = b""
            while piece := connection.recv(65_536):
                answer += piece
            return answer

    assert b" 200 " not in send(alice.path("short"), 100, b"x" * 50)
    wait_until(lambda: server.incoming() == [])
    assert server.rows("private", alice.path("short")) == []
    send(alice.path("long"), 10, b"x" * 50)
    assert [row[2]["size"] for row in server.rows("private", alice.path("long"))] in ([], [10])
    assert b'"EntityTooLarge"' in send(alice.path("huge"), 10**15, b"x", ends=False)
    for length in ("-1", "1e3", "٣"):
        with socket.create_connection((LOOPBACK, server.port), timeout=5) as connection:
            connection.sendall(
                f"POST /object/private/x HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n\r\n".encode()
            )
            assert b" 500 " not in connection.recv(65_536)


@pytest.mark.parametrize(
    ("content", "content_type"),
    [
        (b"hello", "text/plain"),
        (b"<script>", "text/html"),
        (PNG, "application/octet-stream"),
        (b"<html><script>alert(1)</script>", "image/png"),
        (b"", "image/png"),
        (GIF, "image/png"),
        (PNG, "image/jpeg"),
        (b"RIFF....WAVE", "image/webp"),
        (PNG, "IMAGE"),
        (PNG, "image/png\tx"),
        (PNG, "imagex/png"),
    ],
)
def test_types_that_the_bucket_does_not_permit_are_refused(
    http: httpx.Client, server: Server, alice: Caller, content: bytes, content_type: str
) -> None:
    path = alice.path("typed")
    raw = http.post(f"/object/avatars/{path}", content=content, headers={**alice.headers, "content-type": content_type})
    assert refusal(raw) == WRONG_TYPE
    form = http.post(f"/object/avatars/{path}", files={"": ("blob", content, content_type)}, headers=alice.headers)
    assert refusal(form) == WRONG_TYPE
    assert server.rows("avatars", path) == []
    assert server.incoming() == []


@pytest.mark.parametrize(
    ("content", "content_type"),
    [
        (PNG, "image/png"),
        (PNG, "Image/PNG; charset=binary"),
        (GIF, "image/gif"),
        (JPEG, "image/jpeg"),
        (WEBP, "image/webp"),
        (b"<svg/>", "image/svg+xml"),
    ],
)
def test_types_that_the_bucket_permits_are_stored(
    http: httpx.Client, alice: Caller, content: bytes, content_type: str
) -> None:
    headers = {**alice.headers, "content-type": content_type}
    assert http.post(f"/object/avatars/{alice.path('typed')}", content=content, headers=headers).status_code == 200


def test_a_bucket_without_types_accepts_the_declared_type(http: httpx.Client, alice: Caller) -> None:
    answer = http.post(f"/object/private/{alice.path('x.png')}", content=b"no png", headers={**alice.headers, **IMAGE})
    assert answer.status_code == 200


@pytest.mark.parametrize(
    "name",
    [
        "..",
        ".",
        "../x",
        "a/../x",
        "a/./x",
        "a//x",
        "/x",
        "x/",
        "%2e%2e/x",
        "..%2fx",
        "%2fetc%2fpasswd",
        "a%00b",
        "a%5cb",
        "..%5c..%5cx",
        "a%0d%0ab",
        "%C2%85",  # a control character
        "%E2%80%A8",  # a line separator
        "%E2%80%AEgnp.exe",  # turns the direction of what follows
        "%C2%ADa",  # invisible
        "%EE%80%80",  # of private use
        "%EF%BF%BF",  # no character
        "%C3%A9" * 513,  # 1,026 bytes
        "%ff",
        "a%22b",
        "a%3Cb",
        "a%25b",
        "a%7Eb",
        "x" * 1025,
    ],
)
def test_invalid_object_names_are_refused(server: Server, admin: Caller, name: str) -> None:
    """With the service key, to which no policy applies, and over a socket, because clients normalize paths."""
    before = server.stored()

    def call(method: str, path: str, body: bytes = b"") -> bytes:
        head = (
            f"{method} {path} HTTP/1.1\r\nHost: x\r\nAuthorization: {admin.headers['Authorization']}\r\n"
            f"Content-Type: text/plain\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
        )
        with socket.create_connection((LOOPBACK, server.port), timeout=5) as connection:
            connection.sendall(head.encode() + body)
            answer = b""
            while piece := connection.recv(65_536):
                answer += piece
            return answer

    for method, route, body in (
        ("POST", "/object/private/", b"x"),
        ("PUT", "/object/private/", b"x"),
        ("GET", "/object/private/", b""),
        ("GET", "/object/public/avatars/", b""),
        ("GET", "/object/info/private/", b""),
        ("POST", "/object/sign/private/", b'{"expiresIn": 1}'),
        ("POST", "/object/upload/sign/private/", b""),
        ("DELETE", "/object/private/", b""),
    ):
        answer = call(method, route + name, body)
        assert b"HTTP/1.1 400 " in answer, (method, route, answer)
        assert b'"InvalidKey"' in answer, (method, route, answer)
    assert server.stored() == before


@pytest.mark.parametrize("name", ["../x", "/x", "a\\b", "a\0b", "\u202ea", "x" * 1025, ""])
def test_moves_to_invalid_names_are_refused(http: httpx.Client, admin: Caller, name: str) -> None:
    body = {"bucketId": "private", "sourceKey": "a", "destinationKey": "b"}
    for end in ("sourceKey", "destinationKey"):
        for route in ("/object/move", "/object/copy"):
            assert refusal(http.post(route, headers=admin.headers, json={**body, end: name})) == INVALID_KEY


@pytest.mark.parametrize(
    "name",
    [
        "a b&c$d@e=f;g:h+i,j.txt", "it's (1)!*.png", "...", "..a", "x" * 1024, "a/b/c/d", "Käse?.pdf", "楽譜/第1.pdf",
        "می\u200cخواهم.txt",  # noqa: RUF001 - Persian
        "👩\u200d🎤.mp3", "Bildschirmfoto 10.15\u202fPM.png",
    ],
)  # fmt: skip
def test_valid_object_names_are_stored(http: httpx.Client, admin: Caller, name: str) -> None:
    url = f"/object/private/{quote(name)}"
    assert http.post(url, content=b"x", headers={**admin.headers, **TEXT}).status_code == 200
    assert http.get(url, headers=admin.headers).content == b"x"
    assert http.delete(url, headers=admin.headers).status_code == 200


@pytest.mark.parametrize("bucket", ["..%2f", "a%2fb", "%00", "%C3%A9", "%ff", "x" * 101, "a%5cb", "%20a"])
def test_invalid_bucket_names_are_refused(http: httpx.Client, admin: Caller, bucket: str) -> None:
    wrong = (400, "400", "InvalidBucketName")
    assert refusal(http.get(f"/bucket/{bucket}", headers=admin.headers)) == wrong
    assert refusal(http.post(f"/object/{bucket}/x", content=b"x", headers={**admin.headers, **TEXT})) == wrong
    assert refusal(http.get(f"/object/public/{bucket}/x")) == wrong


def test_a_bucket_of_some_types_says_why_it_refuses_the_content(http: httpx.Client, alice: Caller) -> None:
    def message(content: bytes, mime_type: str) -> str:
        headers = {**alice.headers, "content-type": mime_type}
        answer = http.post(f"/object/avatars/{alice.path('a')}", content=content, headers=headers)
        assert refusal(answer) == WRONG_TYPE
        text: str = answer.json()["message"]
        return text

    assert message(PNG, "text/plain") == "mime type text/plain is not supported", "clients compare it"
    belied = message(b"<html>", "image/png")
    assert belied.startswith("The content of the file is not image/png")
    assert message(PNG, "image/jpeg").startswith("The content of the file is not image/jpeg")
    http.post(
        f"/object/private/{alice.path('b')}", content=b"<html>", headers={**alice.headers, "content-type": "image/png"}
    )
    body = {
        "bucketId": "private",
        "sourceKey": alice.path("b"),
        "destinationBucket": "avatars",
        "destinationKey": alice.path("b"),
    }
    for call in ("move", "copy"):
        assert http.post(f"/object/{call}", headers=alice.headers, json=body).json()["message"] == belied
