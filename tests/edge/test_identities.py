"""Clerk's webhooks: only deliveries with a valid signature write anything."""

import base64
import json
import os
import re
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import psycopg
import pytest
from standardwebhooks import Webhook

from edge.app import create_app
from edge.identities.routes import HANDLED_EVENTS
from tests.conftest import Stack
from tests.edge.support import Refused, Upstream, serving, settings_for
from tests.people import Academy
from tests.run_stack import CLERK_SECRET

PATH = "/functions/v1/webhooks/clerk"
OTHER_SECRET = f"whsec_{base64.b64encode(b'another secret of 24 byte').decode()}"


class Clerk:
    """The provider, which signs as Svix does."""

    def __init__(self, stack: Stack) -> None:
        self.http = httpx.Client(base_url=stack.api_url, timeout=20)
        self.secret = os.environ[CLERK_SECRET]

    def event(self, kind: str = "user.created", **data: Any) -> bytes:
        """The body of an event, of a new user unless the data name one."""
        user = {
            "id": f"user_{uuid.uuid4().hex}",
            "first_name": "Zoë",
            "last_name": "Müller",
            "primary_email_address_id": "idn_1",
            "email_addresses": [
                {
                    "id": "idn_1",
                    "email_address": f"{uuid.uuid4().hex}@example.com",
                    "verification": {"status": "verified"},
                }
            ],
            "updated_at": 1_767_225_600_000,
        }
        return json.dumps({"type": kind, "data": user | data}, ensure_ascii=False).encode()

    def signed(
        self, body: bytes, *, event_id: str | None = None, at: datetime | None = None, secret: str | None = None
    ) -> dict[str, str]:
        """The headers of a delivery."""
        event_id, at = event_id or f"msg_{uuid.uuid4().hex}", at or datetime.now(UTC)
        return {
            "content-type": "application/json",
            "svix-id": event_id,
            "svix-timestamp": str(int(at.timestamp())),
            "svix-signature": Webhook(secret or self.secret).sign(event_id, at, body.decode()),
        }

    def post(self, body: bytes, headers: dict[str, str]) -> httpx.Response:
        """Deliver."""
        return self.http.post(PATH, content=body, headers=headers)


@pytest.fixture(scope="module")
def clerk(stack: Stack) -> Iterator[Clerk]:
    """The provider, with the secret of the run's stack."""
    provider = Clerk(stack)
    yield provider
    provider.http.close()


def known(academy: Academy, body: bytes) -> list[tuple[Any, ...]]:
    """What the database has of the user of an event."""
    return academy.sql(
        "select e.has_made_account, p.display_name from private.external_identities as e"
        " left join public.profiles as p on p.id = e.user_id where e.external_id = %s",
        json.loads(body)["data"]["id"],
    )


def in_inbox(academy: Academy, event_id: str) -> list[tuple[Any, ...]]:
    """What the inbox has of an event."""
    return academy.sql("select status::text, attempts from private.webhook_inbox where event_id = %s", event_id)


@pytest.mark.route("CM-072", "BD-006", call="POST /functions/v1/webhooks/clerk")
def test_a_signed_event_makes_an_account(academy: Academy, clerk: Clerk, refused: Refused) -> None:
    body = clerk.event()
    refused(clerk.post(body, clerk.signed(body, secret=OTHER_SECRET)), 400, "signature_invalid")
    assert known(academy, body) == []

    headers = clerk.signed(body)
    for _ in range(2):
        answer = clerk.post(body, headers)
        assert (answer.status_code, answer.json()) == (200, {"status": "applied"}), answer.text
    assert known(academy, body) == [(True, "Zoë Müller")]
    assert in_inbox(academy, headers["svix-id"]) == [("applied", 1)]


def test_a_deleted_user_is_deleted_here(academy: Academy, clerk: Clerk) -> None:
    body = clerk.event()
    clerk.post(body, clerk.signed(body))
    user = json.loads(body)["data"]["id"]
    gone = json.dumps({"type": "user.deleted", "data": {"id": user, "deleted": True}}).encode()
    assert clerk.post(gone, clerk.signed(gone)).json() == {"status": "applied"}
    assert known(academy, body) == [(True, None)]
    late = clerk.event("user.updated", id=user)
    assert clerk.post(late, clerk.signed(late)).json() == {"status": "ignored"}


def test_a_type_that_has_no_effect_is_acknowledged_and_writes_nothing(academy: Academy, clerk: Clerk) -> None:
    body = clerk.event("organization.created")
    headers = clerk.signed(body)
    assert clerk.post(body, headers).json() == {"status": "ignored"}
    assert in_inbox(academy, headers["svix-id"]) == []


def test_the_handled_types_are_those_of_sql(live: psycopg.Connection) -> None:
    source = live.execute("select prosrc from pg_catalog.pg_proc where proname = 'apply_clerk_event'").fetchone()
    assert source is not None
    assert set(re.findall(r"'(user\.[a-z]+)'", source[0])) == HANDLED_EVENTS


def with_faults(body: bytes, headers: dict[str, str]) -> dict[str, tuple[bytes, dict[str, str]]]:
    """Deliveries with one fault each, by the fault."""
    other, (version, _, signature) = clerk_id(), headers["svix-signature"].partition(",")
    return {
        "another body": (body.replace(b"Zo", b"Bo"), headers),
        "the same body written otherwise": (json.dumps(json.loads(body)).encode(), headers),
        "a space more": (body + b" ", headers),
        "no body": (b"", headers),
        "bytes that are no text": (b"\xff" + body, headers),
        "another id": (body, headers | {"svix-id": other}),
        "another time": (body, headers | {"svix-timestamp": str(int(headers["svix-timestamp"]) - 1)}),
        "a time that is none": (body, headers | {"svix-timestamp": "nan"}),
        "a time beyond all": (body, headers | {"svix-timestamp": "9" * 400}),
        "no signature": (body, {name: value for name, value in headers.items() if name != "svix-signature"}),
        "no id": (body, {name: value for name, value in headers.items() if name != "svix-id"}),
        "no time": (body, {name: value for name, value in headers.items() if name != "svix-timestamp"}),
        "an empty signature": (body, headers | {"svix-signature": "v1,"}),
        "a signature without version": (body, headers | {"svix-signature": signature}),
        "a signature of another version": (body, headers | {"svix-signature": f"v2,{signature}"}),
        "a signature cut short": (body, headers | {"svix-signature": f"{version},{signature[:-8]}"}),
        "a signature that is no base64": (body, headers | {"svix-signature": "v1,%%%"}),
        "many commas": (body, headers | {"svix-signature": f"v1,{signature},{signature}"}),
    }


def clerk_id() -> str:
    """The id of an event."""
    return f"msg_{uuid.uuid4().hex}"


FAULTS = sorted(with_faults(b"{}", {"svix-id": "", "svix-timestamp": "1", "svix-signature": "v1,x"}))


@pytest.mark.parametrize("fault", FAULTS)
def test_a_delivery_without_a_valid_signature_writes_nothing(
    academy: Academy, clerk: Clerk, refused: Refused, fault: str
) -> None:
    body = clerk.event()
    headers = clerk.signed(body)
    sent, headers = with_faults(body, headers)[fault]
    refused(clerk.post(sent, headers), 400, "signature_invalid")
    assert known(academy, body) == []
    assert in_inbox(academy, headers.get("svix-id", "")) == []


@pytest.mark.parametrize(("minutes", "is_accepted"), [(-6, False), (-4, True), (4, True), (6, False)])
def test_a_delivery_is_valid_for_five_minutes(
    academy: Academy, clerk: Clerk, refused: Refused, minutes: int, is_accepted: bool
) -> None:
    body = clerk.event()
    answer = clerk.post(body, clerk.signed(body, at=datetime.now(UTC) + timedelta(minutes=minutes)))
    if is_accepted:
        assert answer.status_code == 200, answer.text
    else:
        refused(answer, 400, "signature_invalid")
    assert bool(known(academy, body)) is is_accepted


def test_one_valid_signature_of_several_suffices(academy: Academy, clerk: Clerk) -> None:
    """While a secret is being changed, the provider signs with both."""
    body = clerk.event()
    headers = clerk.signed(body)
    older = clerk.signed(body, event_id=headers["svix-id"], secret=OTHER_SECRET)["svix-signature"]
    headers["svix-signature"] = f"{older} {headers['svix-signature']}"
    assert clerk.post(body, headers).status_code == 200
    assert known(academy, body) == [(True, "Zoë Müller")]


@pytest.mark.parametrize(
    "body",
    [
        b"[]",
        b"{}",
        b'{"type": 1, "data": {}}',
        b'{"type": "x", "data": []}',
        b"{",
        b"[" * 5000,
        b'{"type": "x"}',
        b'""',
    ],
)
def test_a_signed_body_that_is_not_an_event_is_400(
    academy: Academy, clerk: Clerk, refused: Refused, body: bytes
) -> None:
    headers = clerk.signed(body)
    refused(clerk.post(body, headers), 400, "invalid_request")
    assert in_inbox(academy, headers["svix-id"]) == []


@pytest.mark.parametrize("name", ["\0", "\ud800"])
def test_a_value_that_the_database_cannot_hold_is_400(clerk: Clerk, refused: Refused, name: str) -> None:
    body = json.dumps({"type": "user.created", "data": {"id": "user_1", "first_name": name}}).encode()
    refused(clerk.post(body, clerk.signed(body)), 400, "invalid_request")


def test_a_body_too_large_is_413(clerk: Clerk, refused: Refused) -> None:
    body = clerk.event(more="x" * (256 << 10))
    refused(clerk.post(body, clerk.signed(body)), 413, "payload_too_large")


def test_a_failed_effect_is_503_so_that_the_provider_retries(academy: Academy, clerk: Clerk, refused: Refused) -> None:
    body = clerk.event(updated_at="yesterday")
    headers = clerk.signed(body)
    for attempts in (1, 2):
        refused(clerk.post(body, headers), 503, "webhook_failed")
        assert in_inbox(academy, headers["svix-id"]) == [("failed", attempts)]


def test_a_missing_secret_is_503_and_named(edge: httpx.Client, clerk: Clerk, refused: Refused) -> None:
    body = clerk.event()
    error = refused(edge.post("/webhooks/clerk", content=body), 503, "provider_not_configured")
    assert CLERK_SECRET in error["details"]


def test_an_unreachable_database_is_503(upstream: Upstream, clerk: Clerk, refused: Refused) -> None:
    app = create_app(settings_for(upstream.url, EDGE_CLERK_WEBHOOK_SECRET=clerk.secret))
    with serving(app) as url:
        body = clerk.event()
        answer = httpx.post(f"{url}/webhooks/clerk", content=body, headers=clerk.signed(body), trust_env=False)
        refused(answer, 503, "database_unavailable")
        refused(httpx.post(f"{url}/webhooks/clerk", content=body, trust_env=False), 400, "signature_invalid")


@pytest.mark.route("WC-016", call="POST /functions/v1/auth/oauth", public=True, answers=410)
def test_oauth_is_410_and_names_its_replacement(stack: Stack, refused: Refused) -> None:
    for body in (None, {"provider": "google", "token": "x"}):
        answer = httpx.post(f"{stack.api_url}/functions/v1/auth/oauth", json=body)
        error = refused(answer, 410, "endpoint_gone")
        assert "/auth/v1/authorize" in error["details"]
