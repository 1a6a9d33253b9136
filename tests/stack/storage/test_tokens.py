"""Whose token counts, and for what: callers' JWTs and the tokens of signed URLs."""

import base64
import json
import time
import uuid
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import jwt
import pytest
from cryptography.hazmat.primitives import serialization

from stack.keys import Keys
from tests.stack.storage.support import DENIED, DUPLICATE, INVALID_JWT, PNG, Person, Server, person, refusal

TEXT = {"content-type": "text/plain"}
WRONG_PATH = (400, "400", "InvalidSignature")


@pytest.fixture
def secret(http: httpx.Client, alice: Person) -> str:
    """An object of Alice's, in a private bucket."""
    path = alice.path("secret.txt")
    http.post(f"/object/private/{path}", content=b"of alice", headers={**alice.headers, **TEXT})
    return path


def sign(http: httpx.Client, who: Person, path: str, seconds: object = 60) -> str:
    answer = http.post(f"/object/sign/private/{path}", headers=who.headers, json={"expiresIn": seconds})
    assert answer.status_code == 200, answer.text
    url: str = answer.json()["signedURL"]
    return url


def token_of(url: str) -> str:
    return parse_qs(urlsplit(url).query)["token"][0]


def forged(keys: Keys, alice: Person) -> dict[str, str]:
    """Tokens that claim to be Alice's service key and must not count."""
    now = int(time.time())
    claims = {"sub": alice.id, "role": "service_role", "aud": "authenticated", "iat": now, "exp": now + 60}
    kid = keys.current.kid
    public = keys.current.private().public_key()
    pem = public.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    other = Keys.generate()

    def part(value: dict[str, Any]) -> str:
        return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()

    head, _, signature = keys.sign(claims).split(".")
    hmac_head = part({"alg": "HS256", "typ": "JWT", "kid": kid})
    digest = jwt.algorithms.HMACAlgorithm(jwt.algorithms.HMACAlgorithm.SHA256).sign(
        f"{hmac_head}.{part(claims)}".encode(), pem
    )
    forged_signature = base64.urlsafe_b64encode(digest).decode().rstrip("=")
    return {
        "alg none": f"{part({'alg': 'none', 'kid': kid})}.{part(claims)}.",
        "HS256 with the public key": f"{hmac_head}.{part(claims)}.{forged_signature}",
        "HS256 with the URL key": jwt.encode(claims, keys.storage, algorithm="HS256", headers={"kid": kid}),
        "a kid that is a list": f"{part({'alg': 'ES256', 'kid': [kid]})}.{part(claims)}.{signature}",
        "another stack's key": other.sign(claims),
        "another's key under our kid": jwt.encode(claims, other.current.private(), "ES256", headers={"kid": kid}),
        "no kid": jwt.encode(claims, keys.current.private(), "ES256"),
        "altered body": f"{head}.{part({**claims, 'extra': 1})}.{signature}",
        "expired": keys.sign({**claims, "exp": now - 1}),
        "no exp": keys.sign({key: value for key, value in claims.items() if key != "exp"}),
        "no aud": keys.sign({key: value for key, value in claims.items() if key != "aud"}),
        "wrong aud": keys.sign({**claims, "aud": "elsewhere"}),
        "no role": keys.sign({key: value for key, value in claims.items() if key != "role"}),
        "postgres": keys.sign({**claims, "role": "postgres"}),
        "the owner of the tables": keys.sign({**claims, "role": "supabase_storage_admin"}),
        "none": keys.sign({**claims, "role": "none"}),
        "a list": keys.sign({**claims, "role": ["service_role"]}),
        "not a token": "x.y.z",
        "an opaque key": keys.secret,
    }


def test_forged_tokens_are_refused(server: Server, keys: Keys, alice: Person, secret: str) -> None:
    http = server.http
    for what, token in forged(keys, alice).items():
        headers = {"Authorization": f"Bearer {token}", **TEXT}
        assert refusal(http.get(f"/object/private/{secret}", headers=headers)) == DENIED, what
        assert refusal(http.post(f"/object/private/{alice.path('x')}", content=b"x", headers=headers)) == DENIED, what
        assert refusal(http.get("/bucket", headers=headers)) == DENIED, what
        assert (
            refusal(http.request("DELETE", "/object/private", headers=headers, json={"prefixes": [secret]})) == DENIED
        )
    assert len(server.rows("private", secret)) == 1
    assert server.rows("private", alice.path("x")) == []


def test_audience_may_be_a_list_and_the_word_bearer_any_case(
    http: httpx.Client, keys: Keys, alice: Person, secret: str
) -> None:
    token = keys.sign(
        {"sub": alice.id, "role": "authenticated", "aud": ["authenticated", "x"], "exp": int(time.time()) + 60}
    )
    for header in (f"Bearer {token}", f"bearer  {token}", token):
        assert http.get(f"/object/private/{secret}", headers={"Authorization": header}).status_code == 200


def test_rotation_needs_no_restart(http: httpx.Client, keys: Keys, keys_file: Any, alice: Person, secret: str) -> None:
    rotated = keys.rotated()
    renewed = rotated.sign(
        {"sub": alice.id, "role": "authenticated", "aud": "authenticated", "exp": int(time.time()) + 60}
    )
    newcomer = {"Authorization": f"Bearer {renewed}"}
    assert refusal(http.get(f"/object/private/{secret}", headers=newcomer)) == DENIED
    url = sign(http, alice, secret)
    try:
        rotated.save(keys_file)
        for headers in (newcomer, alice.headers):
            assert http.get(f"/object/private/{secret}", headers=headers).status_code == 200
        assert http.get(url).status_code == 200
        rotated.revoked().save(keys_file)
        assert refusal(http.get(f"/object/private/{secret}", headers=alice.headers)) == DENIED
    finally:
        keys.save(keys_file)


def test_signed_url(http: httpx.Client, alice: Person, secret: str) -> None:
    url = sign(http, alice, secret)
    read = http.get(url)
    assert read.content == b"of alice"
    assert "expires" in read.headers
    assert "cache-control" not in read.headers
    assert http.head(url).status_code == 200
    named = http.get(f"{url}&download=a%22%0D%0Ab.txt")
    assert named.headers["content-disposition"] == (
        "attachment; filename=a%22%0D%0Ab.txt; filename*=UTF-8''a%22%0D%0Ab.txt"
    )
    assert http.get(f"{url}&download=").headers["content-disposition"] == "attachment"


def test_signed_urls(http: httpx.Client, alice: Person, secret: str) -> None:
    answer = http.post(
        "/object/sign/private",
        headers=alice.headers,
        json={"expiresIn": "60", "paths": [secret, alice.path("none"), "../x"]},
    )
    good, missing, odd = answer.json()
    assert good == {"error": None, "path": secret, "signedURL": good["signedURL"]}
    assert http.get(good["signedURL"]).content == b"of alice"
    for line in (missing, odd):
        assert line["signedURL"] is None
        assert line["error"]


@pytest.mark.parametrize("seconds", [0, -1, 10**12, "soon", 1.5, None, True, "9" * 5000, [], {}])
def test_expiry_must_make_sense(http: httpx.Client, alice: Person, secret: str, seconds: object) -> None:
    one = http.post(f"/object/sign/private/{secret}", headers=alice.headers, json={"expiresIn": seconds})
    many = http.post("/object/sign/private", headers=alice.headers, json={"expiresIn": seconds, "paths": [secret]})
    for answer in (one, many):
        assert refusal(answer)[:2] == (400, "400")


def test_signed_url_ends(http: httpx.Client, keys: Keys, secret: str) -> None:
    now = int(time.time())
    old = {"url": f"private/{secret}", "scope": "download", "iat": now - 60, "exp": now - 1}
    token = jwt.encode(old, keys.storage, algorithm="HS256")
    assert refusal(http.get(f"/object/sign/private/{secret}?token={token}")) == INVALID_JWT
    endless = jwt.encode({**old, "exp": None}, keys.storage, algorithm="HS256")
    assert refusal(http.get(f"/object/sign/private/{secret}?token={endless}")) == INVALID_JWT


def test_signed_url_is_for_one_path_and_reading(http: httpx.Client, alice: Person, bob: Person, secret: str) -> None:
    other = alice.path("other.txt")
    http.post(f"/object/private/{other}", content=b"other", headers={**alice.headers, **TEXT})
    token = token_of(sign(http, alice, secret))
    assert refusal(http.get(f"/object/sign/private/{other}?token={token}")) == WRONG_PATH
    assert refusal(http.get(f"/object/sign/dropbox/{secret}?token={token}")) == WRONG_PATH
    assert refusal(http.get(f"/object/sign/private/{secret}")) == (400, "400", "InvalidRequest")
    assert refusal(http.get(f"/object/sign/private/{secret}?token=")) == (400, "400", "InvalidRequest")
    upload = http.put(f"/object/upload/sign/private/{secret}?token={token}", content=b"x", headers=TEXT)
    assert refusal(upload) == INVALID_JWT
    bearer = {"Authorization": f"Bearer {token}"}
    assert refusal(http.get(f"/object/private/{secret}", headers=bearer)) == DENIED
    for jwt_of in (alice, bob):
        users = jwt_of.headers["Authorization"].removeprefix("Bearer ")
        assert refusal(http.get(f"/object/sign/private/{secret}?token={users}")) == INVALID_JWT
    altered = token[:-4] + ("AAAA" if token[-4:] != "AAAA" else "BBBB")
    assert refusal(http.get(f"/object/sign/private/{secret}?token={altered}")) == INVALID_JWT


def test_signed_upload(server: Server, alice: Person) -> None:
    http = server.http
    path = alice.path("by-link.txt")
    answer = http.post(f"/object/upload/sign/private/{path}", headers=alice.headers, json={}).json()
    assert answer["url"] == f"/object/upload/sign/private/{path}?token={answer['token']}"
    assert server.rows("private", path) == []
    claims = jwt.decode(answer["token"], options={"verify_signature": False})
    assert "role" not in claims
    for elsewhere in (alice.path("elsewhere"), f"{path}/"):
        wrong = http.put(f"/object/upload/sign/private/{elsewhere}?token={answer['token']}", content=b"x", headers=TEXT)
        assert wrong.status_code == 400
        assert server.rows("private", elsewhere) == []
    assert http.put(answer["url"], content=b"by link", headers=TEXT).json() == {"Key": f"private/{path}"}
    [(owner, _, _)] = server.rows("private", path)
    assert owner == alice.id
    assert refusal(http.put(answer["url"], content=b"again", headers=TEXT)) == DUPLICATE
    upsert = http.put(answer["url"], content=b"again", headers={**TEXT, "x-upsert": "true"})
    assert refusal(upsert) == DUPLICATE, "the token says whether it may replace, not the header"
    assert refusal(http.get(f"/object/sign/private/{path}?token={answer['token']}")) == INVALID_JWT
    assert refusal(http.post(f"/object/upload/sign/private/{path}", headers=alice.headers)) == DUPLICATE
    replacing = http.post(
        f"/object/upload/sign/private/{path}", headers={**alice.headers, "x-upsert": "true"}, json={}
    ).json()
    assert http.put(replacing["url"], content=b"again", headers=TEXT).status_code == 200
    assert http.get(f"/object/private/{path}", headers=alice.headers).content == b"again"


def test_signed_upload_obeys_the_bucket(http: httpx.Client, alice: Person) -> None:
    path = alice.path("face.png")
    url = http.post(f"/object/upload/sign/avatars/{path}", headers=alice.headers, json={}).json()["url"]
    image = {"content-type": "image/png"}
    assert refusal(http.put(url, content=b"text", headers=TEXT))[2] == "InvalidMimeType"
    assert refusal(http.put(url, content=b"text", headers=image))[2] == "InvalidMimeType"
    assert refusal(http.put(url, content=PNG + b"\0" * 10_000, headers=image))[2] == "EntityTooLarge"
    assert http.put(url, content=PNG, headers=image).status_code == 200


def test_owner_that_is_no_uuid(server: Server, keys: Keys) -> None:
    http = server.http
    outsider = person(keys, sub="user|42")
    name = str(uuid.uuid4())
    http.post(f"/object/dropbox/{name}", content=b"x", headers={**outsider.headers, **TEXT})
    assert [row[0] for row in server.rows("dropbox", name)] in ([], ["user|42"])
