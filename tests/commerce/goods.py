"""Beats and digital products of tests, made through the API as their creators would."""

from typing import Any

import httpx
import msgspec

from tests.commerce.told import offer
from tests.people import Academy, Person

BYTES = {"mp3": b"ID3\x04" + b"m" * 60, "wav": b"RIFF" + b"w" * 60, "stems": b"PK\x03\x04" + b"s" * 60}
"""What the files of a beat hold, by type."""
KINDS = {"mp3": "audio/mpeg", "wav": "audio/wav", "stems": "application/zip"}
TIERS: dict[str, dict[str, Any]] = {
    "basic": {"price_amount": 2000, "file_types": ["mp3"], "maximum_copies": 500, "is_credit_required": True},
    "premium": {
        "price_amount": 5000,
        "file_types": ["mp3", "wav"],
        "maximum_copies": 5000,
        "maximum_streams": 100000,
        "maximum_videos": 1,
        "maximum_performances": 0,
        "term_years": 10,
        "is_credit_required": True,
    },
    "exclusive": {"price_amount": 90000, "file_types": ["mp3", "wav", "stems"], "is_credit_required": False},
}
"""What is sold of a beat, and on what terms."""


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
    """Fetch a file of the bucket with one's own token."""
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
            academy, creator, "beat_licence", title=f"{made['title']}: {tier}",
            product_id=made["id"], licence_tier=tier, **terms,
        )["id"]
        for tier, terms in TIERS.items()
    }  # fmt: skip
    return Beat(id=made["id"], creator=creator, offers=offers)


def settle(academy: Academy, admin: Person, order: dict[str, Any]) -> dict[str, Any]:
    """Have an admin say that an order was paid."""
    answer = academy.rpc(admin, "settle_order", order_id=order["id"], reference="Transfer")
    assert answer.status_code == 200, answer.text
    settled: dict[str, Any] = answer.json()
    return settled
