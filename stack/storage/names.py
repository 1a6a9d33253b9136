"""The names and types that a client may use, by Supabase's own rules, and names of objects in any script."""

import re
import unicodedata

from stack.storage.errors import invalid_bucket_name, invalid_key, invalid_mime_type, invalid_parameter

# The ASCII characters that S3 keys may have without encoding, as on hosted Supabase.
BUCKET_NAME = re.compile(r"[\w!\-.*'() &$@=;:+,?]{1,100}", re.ASCII)
OBJECT_NAME = re.compile(r"[\w/!\-.*'() &$@=;:+,?\u0080-\U0010ffff]+", re.ASCII)
OBJECT_NAME_BYTES = 1024
# Controls, surrogates, characters without a meaning, and breaks of lines and paragraphs.
UNUSABLE_CATEGORIES = {"Cc", "Cs", "Co", "Cn", "Zl", "Zp"}
# Of the invisible format characters (Cf) only those that Persian, Indic scripts and emoji are written with. The others
# make two names look alike, or turn the direction of an extension.
JOINERS = "\u200c\u200d"
MIME_TYPE = re.compile(r"[\w!#$&^.+\-]{1,127}/[\w!#$&^.+\-]{1,127}(\s*;[\x20-\x7e]{0,500})?", re.ASCII)
MIME_RULE = re.compile(
    r"\*|[a-z0-9\-+.]{1,127}/([a-z0-9\-+.]{1,127}|\*)(\s*;\s*charset=[a-z0-9\-]{1,40})?", re.IGNORECASE
)
HEADER_VALUE = re.compile(r"[\x20-\x7e]{1,256}")
FILE_SIZE = re.compile(r"(\d{1,15}(?:\.\d{1,3})?)(gb|mb|kb|b)?", re.IGNORECASE)
FILE_SIZE_UNITS = {"b": 1, "kb": 10**3, "mb": 10**6, "gb": 10**9}
ENCODINGS = ("gzip", "br", "deflate", "zstd")


def check_bucket_name(name: str) -> str:
    """The name, if a bucket may have it. Raises InvalidBucketName."""
    if not BUCKET_NAME.fullmatch(name) or name != name.strip():
        raise invalid_bucket_name()
    return name


def normalised(name: str) -> str:
    """The name in composed form (NFC): macOS sends letters and their accents apart, others together."""
    return unicodedata.normalize("NFC", name)


def check_object_name(name: str) -> str:
    """The name, normalised, if an object may have it. Raises InvalidKey.

    Hosted Supabase refuses every name beyond ASCII. In addition to its rules no part of the path may be empty, `.` or
    `..`: proxies and clients rewrite such paths, and would reach another object.
    """
    name = normalised(name)
    if (
        not OBJECT_NAME.fullmatch(name)
        or len(name.encode(errors="replace")) > OBJECT_NAME_BYTES
        or any(part in ("", ".", "..") for part in name.split("/"))
        or not all(map(_is_usable, name))
    ):
        raise invalid_key(name)
    return name


def _is_usable(character: str) -> bool:
    category = unicodedata.category(character)
    return category not in UNUSABLE_CATEGORIES and (category != "Cf" or character in JOINERS)


def check_mime_type(declared: str) -> str:
    """The declared type, if it can stand in a header. Raises InvalidMimeType."""
    if not MIME_TYPE.fullmatch(declared):
        raise invalid_mime_type(declared[:100])
    return declared


def check_header(value: str, name: str) -> str:
    """The value, if it can be sent as a header. Raises InvalidParameter."""
    if not HEADER_VALUE.fullmatch(value):
        raise invalid_parameter(f"{name} is not a header value")
    return value


def check_encoding(value: str) -> str | None:
    """The content encoding; None for identity. Raises InvalidParameter."""
    encoding = value.strip().lower()
    if encoding in ("", "identity"):
        return None
    if encoding not in ENCODINGS:
        raise invalid_parameter("Content-Encoding must be one of " + ", ".join(ENCODINGS))
    return encoding


def essence(mime_type: str) -> str:
    """A type without its parameters, in lower case."""
    return mime_type.partition(";")[0].strip().lower()


def is_allowed(mime_type: str, rules: list[str] | None) -> bool:
    """Whether a bucket with these rules accepts the type."""
    if not rules:
        return True
    declared = essence(mime_type)
    family = declared.partition("/")[0]
    return any(rule in ("*", "*/*", declared, f"{family}/*") for rule in map(essence, rules))


def check_mime_rules(rules: list[str]) -> list[str]:
    """The rules of a bucket, without empty ones. Raises InvalidMimeType."""
    nonempty = [rule for rule in rules if rule]
    for rule in nonempty:
        if not MIME_RULE.fullmatch(rule) and rule != "*/*":
            raise invalid_mime_type(rule[:100])
    return nonempty


def parse_file_size(value: int | str) -> int:
    """The bytes of a number or of a text such as `20MB`. Raises InvalidParameter."""
    if isinstance(value, str):
        written = FILE_SIZE.fullmatch(value)
        if written is None:
            raise invalid_parameter("file_size_limit is not a size, such as 20GB, 20MB, 30KB or 3B")
        return int(float(written[1]) * FILE_SIZE_UNITS[(written[2] or "b").lower()])
    if value < 0:
        raise invalid_parameter("file_size_limit is negative")
    return value
