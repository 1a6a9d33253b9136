"""Access tokens of callers, and tokens of signed URLs."""

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

from stack.keys import KeyFile, Keys
from stack.storage.tokens import Caller as Signer
from stack.storage.tokens import Tokens
from tests.stack.storage.support import (
    DENIED,
    DUPLICATE,
    INVALID_JWT,
    NO_KEY,
    PNG,
    TEXT,
    Caller,
    Server,
    new_user,
    refusal,
)

WRONG_PATH = (400, "400", "InvalidSignature")


def sign(http: httpx.Client, caller: Caller, path: str, seconds: object = 60) -> str:
    answer = http.post(f"/object/sign/private/{path}", headers=caller.headers, json={"expiresIn": seconds})
    assert answer.status_code == 200, answer.text
    url: str = answer.json()["signedURL"]
    return url


def token_of(url: str) -> str:
    return parse_qs(urlsplit(url).query)["token"][0]


def forged_tokens(keys: Keys, alice: Caller) -> dict[str, str]:
    """Tokens that must be refused, by what is wrong with them."""
    now = int(time.time())
    claims = {"sub": alice.id, "role": "service_role", "aud": "authenticated", "iat": now, "exp": now + 60}
    of_user = {**claims, "role": "authenticated"}
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
        "another key with the id of the current one": jwt.encode(
            claims, other.current.private(), "ES256", headers={"kid": kid}
        ),
        "no kid": jwt.encode(claims, keys.current.private(), "ES256"),
        "altered body": f"{head}.{part({**claims, 'extra': 1})}.{signature}",
        "expired": keys.sign({**claims, "exp": now - 1}),
        "a user's without exp": keys.sign({**of_user, "exp": None}),
        "a user's without aud": keys.sign({key: value for key, value in of_user.items() if key != "aud"}),
        "wrong aud": keys.sign({**claims, "aud": "other_path"}),
        "no role": keys.sign({key: value for key, value in claims.items() if key != "role"}),
        "postgres": keys.sign({**claims, "role": "postgres"}),
        "the owner of the tables": keys.sign({**claims, "role": "supabase_storage_admin"}),
        "none": keys.sign({**claims, "role": "none"}),
        "a list": keys.sign({**claims, "role": ["service_role"]}),
        "not a token": "x.y.z",
        "an opaque key": keys.secret,
    }


def test_forged_tokens_are_refused(server: Server, keys: Keys, alice: Caller, secret: str) -> None:
    http = server.http
    for flaw, token in forged_tokens(keys, alice).items():
        headers = {"Authorization": f"Bearer {token}", **TEXT}
        assert refusal(http.get(f"/object/private/{secret}", headers=headers)) == DENIED, flaw
        assert refusal(http.post(f"/object/private/{alice.path('x')}", content=b"x", headers=headers)) == DENIED, flaw
        assert refusal(http.get("/bucket", headers=headers)) == DENIED, flaw
        assert (
            refusal(http.request("DELETE", "/object/private", headers=headers, json={"prefixes": [secret]})) == DENIED
        )
    assert len(server.rows("private", secret)) == 1
    assert server.rows("private", alice.path("x")) == []


@pytest.mark.parametrize("role", ["anon", "service_role"])
def test_a_servers_token_needs_neither_end_nor_audience(http: httpx.Client, keys: Keys, secret: str, role: str) -> None:
    headers = {"Authorization": f"Bearer {keys.sign({'role': role})}"}
    answer = http.get(f"/object/private/{secret}", headers=headers)
    assert answer.content == b"of alice" if role == "service_role" else refusal(answer) == NO_KEY


def test_flaws_of_tokens_are_named_as_on_supabase(http: httpx.Client, keys: Keys, alice: Caller, secret: str) -> None:
    now = int(time.time())
    claims = {"sub": alice.id, "role": "authenticated", "aud": "authenticated", "exp": now + 60}
    other = Keys.generate()
    foreign = jwt.encode(claims, other.current.private(), "ES256", headers={"kid": keys.current.kid})
    for token, message in (
        (keys.sign({**claims, "exp": now - 1}), '"exp" claim timestamp check failed'),
        (keys.sign({**claims, "nbf": now + 60}), '"nbf" claim timestamp check failed'),
        (foreign, "signature verification failed"),
        ("x.y.z", "Invalid Compact JWS"),
        (keys.secret, "Invalid Compact JWS"),
        (other.sign(claims), "no applicable key found in the JSON Web Key Set"),
        (keys.sign({**claims, "aud": "other"}), 'unexpected "aud" claim value'),
        (keys.sign({name: claims[name] for name in ("sub", "role", "aud")}), 'missing required "exp" claim'),
    ):
        answer = http.get("/bucket", headers={"Authorization": f"Bearer {token}"})
        assert refusal(answer) == DENIED
        assert answer.json()["message"] == message
    old = {"url": f"private/{secret}", "scope": "download", "iat": now - 60, "exp": now - 1}
    expired = jwt.encode(old, keys.storage, algorithm="HS256")
    for token, message in (
        (expired, '"exp" claim timestamp check failed'),
        (jwt.encode({**old, "exp": now + 60}, "x" * 48, algorithm="HS256"), "signature verification failed"),
        ("x", "Invalid Compact JWS"),
    ):
        answer = http.get(f"/object/sign/private/{secret}?token={token}")
        assert refusal(answer) == INVALID_JWT
        assert answer.json()["message"] == message


def test_the_audience_can_be_a_list_and_bearer_has_any_case(
    http: httpx.Client, keys: Keys, alice: Caller, secret: str
) -> None:
    token = keys.sign(
        {"sub": alice.id, "role": "authenticated", "aud": ["authenticated", "x"], "exp": int(time.time()) + 60}
    )
    for header in (f"Bearer {token}", f"bearer  {token}", token):
        assert http.get(f"/object/private/{secret}", headers={"Authorization": header}).status_code == 200


def test_rotation_needs_no_restart(http: httpx.Client, keys: Keys, keys_file: Any, alice: Caller, secret: str) -> None:
    rotated = keys.rotated()
    renewed = rotated.sign(
        {"sub": alice.id, "role": "authenticated", "aud": "authenticated", "exp": int(time.time()) + 60}
    )
    new_headers = {"Authorization": f"Bearer {renewed}"}
    assert refusal(http.get(f"/object/private/{secret}", headers=new_headers)) == DENIED
    url = sign(http, alice, secret)
    try:
        rotated.save(keys_file)
        for headers in (new_headers, alice.headers):
            assert http.get(f"/object/private/{secret}", headers=headers).status_code == 200
        assert http.get(url).status_code == 200
        rotated.revoked().save(keys_file)
        assert refusal(http.get(f"/object/private/{secret}", headers=alice.headers)) == DENIED
    finally:
        keys.save(keys_file)


def test_a_signed_url_needs_no_key(http: httpx.Client, alice: Caller, secret: str) -> None:
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


def test_several_urls_are_signed(http: httpx.Client, alice: Caller, secret: str) -> None:
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
def test_the_expiry_is_validated(http: httpx.Client, alice: Caller, secret: str, seconds: object) -> None:
    one = http.post(f"/object/sign/private/{secret}", headers=alice.headers, json={"expiresIn": seconds})
    many = http.post("/object/sign/private", headers=alice.headers, json={"expiresIn": seconds, "paths": [secret]})
    for answer in (one, many):
        assert refusal(answer)[:2] == (400, "400")


def test_a_signed_url_expires(http: httpx.Client, keys: Keys, secret: str) -> None:
    now = int(time.time())
    old = {"url": f"private/{secret}", "scope": "download", "iat": now - 60, "exp": now - 1}
    token = jwt.encode(old, keys.storage, algorithm="HS256")
    assert refusal(http.get(f"/object/sign/private/{secret}?token={token}")) == INVALID_JWT
    without_end = jwt.encode({**old, "exp": None}, keys.storage, algorithm="HS256")
    assert refusal(http.get(f"/object/sign/private/{secret}?token={without_end}")) == INVALID_JWT


def test_a_signed_url_permits_only_reading_its_path(
    http: httpx.Client, alice: Caller, bob: Caller, secret: str
) -> None:
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
    for caller in (alice, bob):
        access_token = caller.headers["Authorization"].removeprefix("Bearer ")
        assert refusal(http.get(f"/object/sign/private/{secret}?token={access_token}")) == INVALID_JWT
    altered = token[:-4] + ("AAAA" if token[-4:] != "AAAA" else "BBBB")
    assert refusal(http.get(f"/object/sign/private/{secret}?token={altered}")) == INVALID_JWT


def test_a_signed_upload_url_permits_one_upload(server: Server, alice: Caller) -> None:
    http = server.http
    path = alice.path("by-link.txt")
    answer = http.post(f"/object/upload/sign/private/{path}", headers=alice.headers, json={}).json()
    assert answer["url"] == f"/object/upload/sign/private/{path}?token={answer['token']}"
    assert server.rows("private", path) == []
    claims = jwt.decode(answer["token"], options={"verify_signature": False})
    assert "role" not in claims
    for other_path in (alice.path("other_path"), f"{path}/"):
        wrong = http.put(
            f"/object/upload/sign/private/{other_path}?token={answer['token']}", content=b"x", headers=TEXT
        )
        assert wrong.status_code == 400
        assert server.rows("private", other_path) == []
    assert http.put(answer["url"], content=b"by link", headers=TEXT).json() == {"Key": f"private/{path}"}
    [(owner, _, _)] = server.rows("private", path)
    assert owner == alice.id
    assert refusal(http.put(answer["url"], content=b"again", headers=TEXT)) == DUPLICATE
    upsert = http.put(answer["url"], content=b"again", headers={**TEXT, "x-upsert": "true"})
    assert refusal(upsert) == DUPLICATE, "the token, not the header, permits replacement"
    assert refusal(http.get(f"/object/sign/private/{path}?token={answer['token']}")) == INVALID_JWT
    assert refusal(http.post(f"/object/upload/sign/private/{path}", headers=alice.headers)) == DUPLICATE
    replacing = http.post(
        f"/object/upload/sign/private/{path}", headers={**alice.headers, "x-upsert": "true"}, json={}
    ).json()
    assert http.put(replacing["url"], content=b"again", headers=TEXT).status_code == 200
    assert http.get(f"/object/private/{path}", headers=alice.headers).content == b"again"


def test_limits_of_a_bucket_apply_to_signed_uploads(http: httpx.Client, alice: Caller) -> None:
    path = alice.path("portrait.png")
    url = http.post(f"/object/upload/sign/avatars/{path}", headers=alice.headers, json={}).json()["url"]
    image = {"content-type": "image/png"}
    assert refusal(http.put(url, content=b"text", headers=TEXT))[2] == "InvalidMimeType"
    assert refusal(http.put(url, content=b"text", headers=image))[2] == "InvalidMimeType"
    assert refusal(http.put(url, content=PNG + b"\0" * 10_000, headers=image))[2] == "EntityTooLarge"
    assert http.put(url, content=PNG, headers=image).status_code == 200


def test_a_user_id_can_be_any_text(server: Server, keys: Keys) -> None:
    http = server.http
    outsider = new_user(keys, sub="user|42")
    name = str(uuid.uuid4())
    http.post(f"/object/dropbox/{name}", content=b"x", headers={**outsider.headers, **TEXT})
    assert [row[0] for row in server.rows("dropbox", name)] in ([], ["user|42"])


def test_a_signed_url_of_a_private_bucket_lives_minutes(http: httpx.Client, alice: Caller, secret: str) -> None:
    ten_years = 10 * 365 * 24 * 3600
    url = sign(http, alice, secret, ten_years)
    [line] = http.post(
        "/object/sign/private", headers=alice.headers, json={"expiresIn": ten_years, "paths": [secret]}
    ).json()
    for token in (token_of(url), token_of(line["signedURL"])):
        claims = jwt.decode(token, options={"verify_signature": False})
        assert claims["exp"] - claims["iat"] == 600
    assert http.get(url).content == b"of alice"


def test_a_signed_url_ends_with_the_right_of_its_signer(
    server: Server, keys: Keys, alice: Caller, bob: Caller, secret: str
) -> None:
    http = server.http
    url = sign(http, alice, secret)
    path = f"private/{secret}"
    assert http.get(url).status_code == 200
    for signed_as, owner in (("authenticated", bob.id), ("anon", None), ("superuser", alice.id)):
        now = int(time.time())
        claims = {"url": path, "scope": "download", "iat": now, "exp": now + 60, "signed_as": signed_as}
        token = jwt.encode(claims | ({"owner": owner} if owner else {}), keys.storage, algorithm="HS256")
        answer = http.get(f"/object/sign/{path}?token={token}")
        assert refusal(answer)[1:] in {("404", "NoSuchKey"), ("400", "InvalidJWT")}, answer.text
    # A server key signs for everybody.
    service = {
        "authorization": f"Bearer {keys.sign({'role': 'service_role', 'aud': 'authenticated', 'exp': now + 60})}"
    }
    by_key = http.post(f"/object/sign/{path}", headers=service, json={"expiresIn": 60}).json()["signedURL"]
    assert http.get(by_key).content == b"of alice"


def test_a_signed_url_keeps_the_level_of_its_signer(keys_file: Any) -> None:
    tokens = Tokens(KeyFile(keys_file))
    for claims in ({"sub": "a", "aal": "aal2"}, {"sub": "a", "aal": "aal1"}, {"sub": "a"}):
        signer = Signer(role="authenticated", claims={**claims, "user_metadata": {"aal": "aal3"}})
        token = tokens.sign("private/x", "download", 60, signer)
        seen = Signer.of(tokens.verify(token, "private/x", "download"))
        assert seen.claims == {"role": "authenticated", **claims}
