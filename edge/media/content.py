"""What a file is, by its content: magic bytes, and for pictures and captions a real decoding."""

import io
import re
import warnings
from typing import Any

import msgspec
from PIL import Image, ImageOps, UnidentifiedImageError

from edge.errors import EdgeError, error

HEAD = 4096
"""Bytes by which a type is recognized."""
MAX_PIXELS = 40_000_000
MAX_SIDE = 16_384
MAX_FRAMES = 500
MAX_MOVING_PIXELS = 200_000_000
"""Of all frames together."""
PICTURES = {"image/jpeg": "JPEG", "image/png": "PNG", "image/webp": "WEBP", "image/gif": "GIF"}
"""The decoder of each type."""
FOREIGN = re.compile(rb"<script|<html|<!doctype|<\?php|<svg|PK\x05\x06|%PDF-", re.IGNORECASE)
"""What a file of pictures or sound has no reason to hold: with it, another program reads it as something else."""
GENERIC = frozenset({"", "application/octet-stream"})
ALIASES = {
    "image/jpg": "image/jpeg",
    "audio/mp3": "audio/mpeg",
    "audio/x-wav": "audio/wav",
    "audio/wave": "audio/wav",
    "audio/x-m4a": "audio/mp4",
    "audio/x-flac": "audio/flac",
}
TIME = r"(?:\d{2,}:)?[0-5]\d:[0-5]\d\.\d{3}"
TIMING = re.compile(rf"({TIME})[ \t]+-->[ \t]+({TIME})(?:[ \t]+\S.*)?")
MPEG_SYNC = 0xE0


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """What was found in a file."""

    mime_type: str
    width: int | None = None
    height: int | None = None
    content: bytes | None = None
    """A picture written anew, without what cameras and editors add."""


def named_type(declared: str | None) -> str:
    """The type without its parameters, by its usual name."""
    essence = (declared or "").partition(";")[0].strip().lower()
    return ALIASES.get(essence, essence)


def detect(head: bytes) -> str | None:
    """The type of a file that begins so, or None."""
    fixed = {
        b"\xff\xd8\xff": "image/jpeg",
        b"\x89PNG\r\n\x1a\n": "image/png",
        b"GIF87a": "image/gif",
        b"GIF89a": "image/gif",
        b"OggS": "audio/ogg",
        b"fLaC": "audio/flac",
        b"ID3": "audio/mpeg",
        b"\x1a\x45\xdf\xa3": "video/webm",
        b"%PDF-": "application/pdf",
        b"WEBVTT": "text/vtt",
        b"\xef\xbb\xbfWEBVTT": "text/vtt",
    }
    for magic, mime_type in fixed.items():
        if head.startswith(magic):
            return mime_type
    if head[:4] == b"RIFF":
        return {b"WEBP": "image/webp", b"WAVE": "audio/wav"}.get(head[8:12])
    if head[4:8] == b"ftyp":
        brand = head[8:12]
        return "audio/mp4" if brand in {b"M4A ", b"M4B "} else "video/quicktime" if brand == b"qt  " else "video/mp4"
    if len(head) > 1 and head[0] == 0xFF and head[1] & MPEG_SYNC == MPEG_SYNC and head[1] & 0x06:
        return "audio/mpeg"
    return None


def check_head(head: bytes, declared: str) -> str:
    """The type of a file, from its first bytes.

    Raises:
        EdgeError: 415 `media_content_refused`, where it is not the declared one.
    """
    found = detect(head)
    wanted = named_type(declared)
    if found is None or (wanted not in GENERIC and found != wanted):
        # An MP4 may hold sound only, whatever its brand says.
        if found == "video/mp4" and wanted == "audio/mp4":
            return wanted
        raise error("media_content_refused")
    if not found.startswith("text/") and FOREIGN.search(head, 5):
        raise error("media_content_refused")
    return found


def inspect(content: bytes, declared: str) -> Found:
    """Check a whole file that is in memory. For a thread: decoding takes a while.

    Raises:
        EdgeError: 415 `media_content_refused`; 422 `media_damaged`, `media_too_many_pixels` or `captions_invalid`.
    """
    mime_type = check_head(content[:HEAD], declared)
    if mime_type in PICTURES:
        if FOREIGN.search(content, 5):
            raise error("media_content_refused")
        return _picture(content, mime_type)
    if mime_type == "text/vtt":
        check_captions(content)
    return Found(mime_type=mime_type)


def check_captions(content: bytes) -> None:
    """Check WebVTT.

    Raises:
        EdgeError: 422 `captions_invalid`.
    """
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise error("captions_invalid") from None
    first, *rest = re.split(r"\r\n|\r|\n", text)
    timings = [line for line in rest if "-->" in line]
    if "\0" in text or not re.fullmatch(r"WEBVTT([ \t].*)?", first) or not timings or (rest and rest[0].strip()):
        raise error("captions_invalid")
    for line in timings:
        timing = TIMING.fullmatch(line.strip())
        if timing is None or _milliseconds(timing[1]) >= _milliseconds(timing[2]):
            raise error("captions_invalid")


def _milliseconds(time: str) -> int:
    clock, _, fraction = time.partition(".")
    seconds = 0
    for part in clock.split(":"):
        seconds = seconds * 60 + int(part)
    return seconds * 1000 + int(fraction)


def _picture(content: bytes, mime_type: str) -> Found:
    kind = PICTURES[mime_type]
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            # Opening reads the header alone; nothing is decoded before the size is known.
            with Image.open(io.BytesIO(content), formats=[kind]) as image:
                return _clean(image, kind, mime_type)
    except EdgeError:
        raise
    except Image.DecompressionBombError:
        raise error("media_too_many_pixels") from None
    except (UnidentifiedImageError, OSError, ValueError, SyntaxError, EOFError, MemoryError, IndexError, KeyError):
        raise error("media_damaged") from None


def _clean(image: Image.Image, kind: str, mime_type: str) -> Found:
    width, height = image.size
    frames = int(getattr(image, "n_frames", 1))
    if (
        width * height > MAX_PIXELS
        or max(width, height) > MAX_SIDE
        or frames > MAX_FRAMES
        or width * height * frames > MAX_MOVING_PIXELS
    ):
        raise error("media_too_many_pixels")
    written = io.BytesIO()
    if frames > 1:
        durations, pictures = [], []
        for number in range(frames):
            image.seek(number)
            durations.append(int(image.info.get("duration", 100)))
            pictures.append(image.convert("RGBA"))
        for each in pictures:
            each.info.clear()
        moving = {"disposal": 2} if kind == "GIF" else {}
        pictures[0].save(written, kind, save_all=True, append_images=pictures[1:], duration=durations, loop=0, **moving)
    else:
        image.load()
        profile = image.info.get("icc_profile")
        upright = ImageOps.exif_transpose(image) or image
        width, height = upright.size
        transparency = upright.info.get("transparency")
        upright.info.clear()
        if kind == "JPEG" and upright.mode not in {"L", "RGB", "CMYK"}:
            upright = upright.convert("RGB")
        more: dict[str, Any] = (
            {} if transparency is None or kind not in {"PNG", "GIF"} else {"transparency": transparency}
        )
        if profile is not None and kind != "GIF":
            more["icc_profile"] = profile
        if kind in {"JPEG", "WEBP"}:
            more |= {"quality": 92, "exif": b""}
        upright.save(written, kind, **more)
    return Found(mime_type=mime_type, width=width, height=height, content=written.getvalue())
