"""Beats and digital products for tests, created through the API."""

from typing import Any

import httpx
import msgspec

from tests.commerce.stripe_events import offer
from tests.people import Academy, Person

BYTES = {"mp3": b"ID3\x04" + b"m" * 60, "wav": b"RIFF" + b"w" * 60, "stems": b"PK\x03\x04" + b"s" * 60}
"""The content of a beat's files, by type."""
KINDS = {"mp3": "audio/mpeg", "wav": "audio/wav", "stems": "application/zip"}
PRICES = {"basic": 2000, "premium": 5000, "exclusive": 90000}
"""The price of each tier of a beat."""
TIERS: dict[str, dict[str, Any]] = {
    "basic": {"file_types": ["mp3"], "maximum_copies": 500, "is_credit_required": True},
    "premium": {
        "file_types": ["mp3", "wav"],
        "maximum_copies": 5000,
        "maximum_streams": 100000,
        "maximum_videos": 1,
        "maximum_performances": 0,
        "term_years": 10,
        "is_credit_required": True,
    },
    "exclusive": {"file_types": ["mp3", "wav", "stems"], "is_credit_required": False},
}
"""The licence terms of each tier of a beat."""


class Beat(msgspec.Struct, frozen=True, kw_only=True):
    """A published beat with its files, and its offers by tier."""

    id: str
    creator: Person
    offers: dict[str, str]


def upload(academy: Academy, who: Person | None, path: str, content: bytes, kind: str) -> httpx.Response:
    """Put a file into the bucket of products."""
    headers = {"apikey": academy.publishable_key, "content-type": kind, "x-upsert": "true"}
    if who is not None:
        headers["authorization"] = f"Bearer {who.token}"
    return academy.http.post(f"/storage/v1/object/products/{path}", content=content, headers=headers)


def fetch(academy: Academy, who: Person | None, path: str) -> httpx.Response:
    """Download a file of the bucket with a person's token."""
    headers = {"apikey": academy.publishable_key}
    if who is not None:
        headers["authorization"] = f"Bearer {who.token}"
    return academy.http.get(f"/storage/v1/object/authenticated/products/{path}", headers=headers)


def give_files(academy: Academy, creator: Person, product_id: str) -> None:
    """Upload one file of each type."""
    for file_type, content in BYTES.items():
        path = f"{product_id}/{file_type} of it.bin"
        assert upload(academy, creator, path, content, KINDS[file_type]).status_code == 200
        academy.insert(
            creator, "product_files",
            product_id=product_id, file_type=file_type, path=path, mime_type=KINDS[file_type], size_bytes=len(content),
        )  # fmt: skip


def beat(academy: Academy, creator: Person, **columns: Any) -> Beat:
    """A beat on sale in three tiers."""
    made = academy.insert(creator, "products", kind="beat", **{"title": "Midnight in Osu", "bpm": 104, **columns})
    give_files(academy, creator, made["id"])
    assert academy.rpc(creator, "publish_product", product_id=made["id"]).status_code == 200
    offers = {
        tier: offer(
            academy, creator, "beat_licence", title=f"{made['title']}: {tier}", price_amount=PRICES[tier],
            product_id=made["id"], licence_terms={"tier": tier, **terms},
        )["id"]
        for tier, terms in TIERS.items()
    }  # fmt: skip
    return Beat(id=made["id"], creator=creator, offers=offers)


def mark_paid(academy: Academy, admin: Person, order: dict[str, Any]) -> dict[str, Any]:
    """Have an admin mark an order as paid; returns the order."""
    answer = academy.rpc(admin, "mark_order_paid", order_id=order["id"], reference="Transfer")
    assert answer.status_code == 200, answer.text
    paid: dict[str, Any] = answer.json()
    return paid
