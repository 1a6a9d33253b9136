"""Files that tests upload."""

import io
import struct
import zlib
from typing import Any

import httpx
from PIL import Image

from tests.people import Academy, Person

SOUND = b"ID3\x04\x00\x00\x00\x00\x00\x00" + bytes(range(256)) * 40
"""What begins as an MP3 does."""
CAPTIONS = b"WEBVTT\n\n00:00.000 --> 00:01.500\nHello\n"
GPS = 0x8825
ORIENTATION = 0x0112


def picture(width: int = 40, height: int = 20, *, orientation: int = 1) -> bytes:
    """A JPEG with a position and an orientation."""
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    exif[GPS] = {1: "N", 2: (52.0, 31.0, 12.0), 3: "E", 4: (13.0, 24.0, 18.0)}
    written = io.BytesIO()
    Image.new("RGB", (width, height), "red").save(written, "JPEG", exif=exif)
    return written.getvalue()


def bomb() -> bytes:
    """A PNG of a few kilobytes that says it has 2,500 million pixels."""
    header = struct.pack(">IIBBBBB", 50_000, 50_000, 8, 2, 0, 0, 0)
    pieces = [(b"IHDR", header), (b"IDAT", zlib.compress(bytes(100_000))), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in pieces
    )


def send(academy: Academy, who: Person, path: str, *files: tuple[str, bytes, str], **fields: str) -> httpx.Response:
    """Send a form to the edge."""
    return academy.http.post(
        f"/functions/v1{path}",
        files=[("files", file) for file in files],
        data=fields,
        headers={"apikey": academy.publishable_key, "authorization": f"Bearer {who.token}"},
    )


def edge(
    academy: Academy, who: Person | None, method: str, path: str, body: Any = None, **headers: str
) -> httpx.Response:
    """Call the edge."""
    return academy.call(who, method, f"/functions/v1{path}", body, **headers)


def in_lesson(
    academy: Academy, who: Person, lesson_id: str, content: bytes = SOUND, name: str = "song.mp3", **fields: str
) -> dict[str, Any]:
    """A file in a lesson: its row and the row of the lesson."""
    kind = {"mp3": "audio/mpeg", "jpg": "image/jpeg", "vtt": "text/vtt"}[name.rpartition(".")[2]]
    made = send(academy, who, f"/lessons/{lesson_id}/media", (name, content, kind), **fields)
    assert made.status_code == 201, made.text
    answer: dict[str, Any] = made.json()
    return answer


def link(academy: Academy, who: Person, media_id: str) -> str:
    """A path that plays a file."""
    signed = edge(academy, who, "POST", "/media/sign", {"media_id": media_id})
    assert signed.status_code == 200, signed.text
    return f"/functions/v1/media/stream/{signed.json()['token']}"


def play(academy: Academy, path: str, method: str = "GET", **headers: str) -> httpx.Response:
    """Open a link, as a player does: without a token."""
    return academy.http.request(
        method, path, headers={name.replace("_", "-"): value for name, value in headers.items()}
    )
