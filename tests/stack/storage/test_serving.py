"""Answers with content: ranges, conditions, and types that a browser must not execute."""

import base64
import json
from datetime import timedelta
from email.utils import format_datetime, parsedate_to_datetime

import httpx
import psycopg
import pytest

from tests.stack.storage.support import NO_KEY, Caller, refusal

CONTENT = bytes(range(256)) * 40


@pytest.fixture
def url(http: httpx.Client, alice: Caller) -> str:
    """An object of 10,240 bytes."""
    path = f"/object/private/{alice.path('ranged')}"
    headers = {**alice.headers, "content-type": "application/x-thing"}
    assert http.post(path, content=CONTENT, headers=headers).status_code == 200
    return path


@pytest.mark.parametrize(
    ("requested", "part"),
    [
        ("bytes=0-0", (0, 0)),
        ("bytes=0-99", (0, 99)),
        ("bytes=100-", (100, 10_239)),
        ("bytes=-10", (10_230, 10_239)),
        ("bytes=-99999", (0, 10_239)),
        ("bytes=10000-99999", (10_000, 10_239)),
        ("bytes= 5 - 6", (5, 6)),
    ],
)
def test_a_range_is_served(http: httpx.Client, alice: Caller, url: str, requested: str, part: tuple[int, int]) -> None:
    start, end = part
    read = http.get(url, headers={**alice.headers, "Range": requested})
    assert read.status_code == 206
    assert read.content == CONTENT[start : end + 1]
    assert read.headers["content-range"] == f"bytes {start}-{end}/10240"
    assert read.headers["content-length"] == str(end - start + 1)
    head = http.head(url, headers={**alice.headers, "Range": requested})
    assert (head.status_code, head.headers["content-range"]) == (206, read.headers["content-range"])


@pytest.mark.parametrize(
    "requested", ["bytes=5-4", "bytes=-", "bytes=a-b", "bytes=0-1,3-4", "lines=0-1", "bytes=1", "x"]
)
def test_invalid_and_multiple_ranges_are_ignored(http: httpx.Client, alice: Caller, url: str, requested: str) -> None:
    read = http.get(url, headers={**alice.headers, "Range": requested})
    assert (read.status_code, read.content) == (200, CONTENT)


@pytest.mark.parametrize("requested", ["bytes=10240-", "bytes=99999-100000", "bytes=-0"])
def test_ranges_beyond_the_end_are_refused(http: httpx.Client, alice: Caller, url: str, requested: str) -> None:
    read = http.get(url, headers={**alice.headers, "Range": requested})
    assert refusal(read) == (416, "416", "InvalidRange")
    assert read.headers["content-range"] == "bytes */10240"


def test_conditional_requests(http: httpx.Client, alice: Caller, url: str) -> None:
    first = http.get(url, headers=alice.headers)
    etag, modified = first.headers["etag"], first.headers["last-modified"]
    earlier = format_datetime(parsedate_to_datetime(modified) - timedelta(seconds=1), usegmt=True)
    for header in ({"If-None-Match": etag}, {"If-None-Match": f'"x", W/{etag}'}, {"If-None-Match": "*"}):
        same = http.get(url, headers={**alice.headers, **header})
        assert (same.status_code, same.content, same.headers["etag"]) == (304, b"", etag)
    assert http.get(url, headers={**alice.headers, "If-Modified-Since": modified}).status_code == 304
    for header in (
        {"If-None-Match": '"x"'},
        {"If-Modified-Since": earlier},
        {"If-Modified-Since": "yesterday"},
        {"If-None-Match": '"x"', "If-Modified-Since": modified},
    ):
        assert http.get(url, headers={**alice.headers, **header}).status_code == 200
    part = {**alice.headers, "Range": "bytes=0-1"}
    assert http.get(url, headers={**part, "If-Range": etag}).status_code == 206
    assert http.get(url, headers={**part, "If-Range": '"older"'}).status_code == 200
    http.put(url, content=b"newer", headers={**alice.headers, "content-type": "text/plain"})
    assert http.get(url, headers={**alice.headers, "If-None-Match": etag}).content == b"newer"


@pytest.mark.parametrize(
    ("declared", "served", "sandboxed"),
    [
        ("text/html", "text/plain", False),
        ("text/HTML; charset=utf-8", "text/plain", False),
        ("application/xhtml+xml", "text/plain", False),
        ("image/svg+xml", "image/svg+xml", True),
        ("text/xml", "text/xml", True),
        ("application/xslt+xml", "application/xslt+xml", True),
        ("text/xsl", "text/xsl", True),
        ("text/javascript", "text/javascript", False),
        ("image/png", "image/png", False),
        ("application/pdf", "application/pdf", False),
    ],
)
def test_types_with_scripts_are_not_executable(
    http: httpx.Client, alice: Caller, declared: str, served: str, sandboxed: bool
) -> None:
    url = f"/object/private/{alice.path('page')}"
    body = b"<html><script>alert(1)</script></html>"
    assert http.post(url, content=body, headers={**alice.headers, "content-type": declared}).status_code == 200
    read = http.get(url, headers=alice.headers)
    assert read.headers["content-type"] == served
    assert read.headers["x-content-type-options"] == "nosniff"
    assert ("sandbox" in read.headers.get("content-security-policy", "")) is sandboxed


def test_headers_cannot_be_injected(http: httpx.Client, alice: Caller, admin_url: str, url: str) -> None:
    named = http.get(f"{url}?download=x%0d%0aSet-Cookie:%20a=b%22;%20filename=c", headers=alice.headers)
    assert "set-cookie" not in named.headers
    assert named.headers["content-disposition"].startswith("attachment; filename=x%0D%0ASet-Cookie")
    surrogates = http.get(f"{url}?download=%ff%ed%a0%80é", headers=alice.headers)
    assert surrogates.status_code == 200
    form = {"cacheControl": "1\r\nSet-Cookie: a=b", "contentType": "text/plain\r\nX: y"}
    for field, value in form.items():
        answer = http.post(
            f"/object/private/{alice.path('inject')}",
            headers=alice.headers,
            data={field: value},
            files={"": ("b", b"x", "text/plain")},
        )
        assert answer.status_code == 400
    with psycopg.connect(admin_url) as connection:
        dirty = {
            "mimetype": "a/b\r\nX: y",
            "cacheControl": "x\r\nX: y",
            "eTag": 'a"\r\nX: y',
            "contentEncoding": "x\r\n",
        }
        connection.execute(
            "update storage.objects set metadata = %s where name = %s", [json.dumps(dirty), alice.path("ranged")]
        )
    read = http.get(url, headers=alice.headers)
    assert read.content == CONTENT
    assert "x" not in read.headers
    assert read.headers["content-type"] == "application/octet-stream"


def test_content_encoding_is_kept(http: httpx.Client, alice: Caller) -> None:
    url = f"/object/private/{alice.path('packed')}"
    wrong = {**alice.headers, "content-type": "text/css", "content-encoding": "gzip, x"}
    assert refusal(http.post(url, content=b"x", headers=wrong)) == (400, "400", "InvalidParameter")
    packed = base64.b64decode("H4sIAAAAAAAC/8tIzcnJBwCGphA2BQAAAA==")
    right = {**wrong, "content-encoding": "gzip"}
    assert http.post(url, content=packed, headers=right).status_code == 200
    with http.stream("GET", url, headers=alice.headers) as read:
        assert read.headers["content-encoding"] == "gzip"
        assert b"".join(read.iter_raw()) == packed


def test_rows_without_a_file_are_not_found(http: httpx.Client, admin: Caller, alice: Caller, admin_url: str) -> None:
    with psycopg.connect(admin_url) as connection:
        for name, version in (("null", None), ("text", "../../../../etc/passwd"), ("gone", alice.id)):
            connection.execute(
                "insert into storage.objects (bucket_id, name, version) values ('private', %s, %s)",
                [alice.path(name), version],
            )
    for name in ("null", "text", "gone"):
        assert refusal(http.get(f"/object/private/{alice.path(name)}", headers=alice.headers)) == NO_KEY
        copy = {"bucketId": "private", "sourceKey": alice.path(name), "destinationKey": alice.path("copy")}
        assert refusal(http.post("/object/copy", headers=alice.headers, json=copy)) == NO_KEY
        assert http.delete(f"/object/private/{alice.path(name)}", headers=admin.headers).status_code == 200
