"""Random and deeply nested bodies are refused without a server error."""

import base64
import json

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.stack.storage.support import Caller, refusal

FIELDS = {
    "/object/list/private": ("prefix", "limit", "offset", "search", "sortBy"),
    "/object/list-v2/private": ("prefix", "limit", "cursor", "with_delimiter", "sortBy"),
    "/object/sign/private/x": ("expiresIn", "transform"),
    "/object/sign/private": ("expiresIn", "paths"),
    "/object/move": ("bucketId", "sourceKey", "destinationKey", "destinationBucket"),
    "/object/copy": ("bucketId", "sourceKey", "destinationKey", "copyMetadata", "metadata"),
    "/bucket": ("id", "name", "public", "file_size_limit", "allowed_mime_types", "type"),
}
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["column", "order", "mimetype", "cacheControl", "x"]), inner, max_size=3)
    ),
    max_leaves=5,
)


@pytest.mark.parametrize("route", FIELDS)
def test_random_bodies_cause_no_server_error(http: httpx.Client, alice: Caller, route: str) -> None:
    valid = {
        "prefix": "",
        "expiresIn": 1,
        "paths": ["x"],
        "bucketId": "private",
        "sourceKey": "x",
        "destinationKey": "y",
        "name": "x",
    }

    @settings(max_examples=40, deadline=None, derandomize=True)
    @given(st.dictionaries(st.sampled_from(FIELDS[route]), VALUES, min_size=1))
    def check(changes: dict[str, object]) -> None:
        answer = http.post(route, headers=alice.headers, content=json.dumps({**valid, **changes}))
        assert answer.status_code in (200, 400), answer.text

    check()


@pytest.mark.parametrize("body", [b"[" * 100_000, b'{"prefix":' * 3000, b'{"x":' * 3000 + b"1" + b"}" * 3000])
def test_deeply_nested_bodies_are_refused(http: httpx.Client, alice: Caller, body: bytes) -> None:
    assert refusal(http.post("/object/list/private", headers=alice.headers, content=body))[:2] == (400, "400")


def test_deeply_nested_metadata_is_refused(http: httpx.Client, alice: Caller) -> None:
    deep = base64.b64encode(b'{"a":' * 4000 + b"1" + b"}" * 4000).decode()
    answer = http.post(
        f"/object/private/{alice.path('x')}", content=b"x", headers={**alice.headers, "x-metadata": deep}
    )
    assert refusal(answer) == (400, "400", "InvalidParameter")
