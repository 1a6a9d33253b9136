"""What buyers send with an order is checked by the kind of the offer, key by key."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.commerce.stripe_events import offer, placed
from tests.people import Academy, Person, refused, rows

SOON = (datetime.now(UTC) + timedelta(days=30)).isoformat(timespec="seconds").replace("+00:00", "Z")
PAST = (datetime.now(UTC) - timedelta(minutes=1)).isoformat(timespec="seconds")
FAR = (datetime.now(UTC) + timedelta(days=370)).isoformat(timespec="seconds")
URL = "https://files.example.com/mix.zip?key=1"
PLAYLIST = "https://open.spotify.com/playlist/37i9dQZF1DX4"
NOT_URLS: tuple[Any, ...] = (
    "",
    "mix.zip",
    "http://files.example.com/a",
    "https://localhost/a",
    "javascript:alert(1)",
    5,
    None,
    {},
    URL + " x",
)
GOOD: dict[str, list[Any]] = {
    "note": ["Please be kind.", "ä" * 2000],
    "starts_at": [SOON, SOON.replace("Z", "+02:00")],
    "files_url": [URL],
    "track_url": [URL],
    "playlist_url": [PLAYLIST, "https://soundcloud.com/guild/sets/new", "https://www.youtube.com/playlist?list=PL1"],
    "options": [{"stems": 12, "is_rush": True, "style": "lo-fi"}],
}
BAD: dict[str, tuple[Any, ...]] = {
    "note": ("", " ", "x" * 2001, 5, ["a"], None),
    "starts_at": (PAST, FAR, SOON[:10], SOON.rstrip("Z"), "soon", "2030-13-01T00:00:00Z", 1893456000, None),
    "files_url": NOT_URLS,
    "track_url": NOT_URLS,
    "playlist_url": (*NOT_URLS, URL, "https://open.spotify.com/track/37i9dQZF1DX4", "https://x.example.com/playlists/"),
    "options": ({}, "rush", [1], {"a": {}}, {"a": None}, {"a": "x" * 201}, {str(n): n for n in range(31)}),
}
COLUMNS: dict[str, dict[str, Any]] = {
    "tip": {"maximum_amount": 5000},
    "creator_subscription": {"billing_interval": "month"},
    "membership": {"billing_interval": "month"},
    "creator_plan": {"billing_interval": "month", "seller_id": None},
    "pro_plan": {"billing_interval": "month", "seller_id": None},
    "credit_package": {"credits": 5, "seller_id": None},
}
"""What an offer of a kind needs."""
SOLD_ALONE = (
    "coaching", "mixing_service", "service", "playlist_submission", "tip", "creator_subscription", "membership",
    "credit_package", "creator_plan", "pro_plan",
)  # fmt: skip
"""The kinds that need neither a course nor a product."""


@pytest.mark.parametrize("kind", SOLD_ALONE)
def test_details_are_checked_by_the_kind(academy: Academy, teacher: Person, admin: Person, kind: str) -> None:
    columns = COLUMNS.get(kind, {})
    made = offer(academy, admin if "seller_id" in columns else teacher, kind, **columns)
    buyer = academy.member()
    arguments: dict[str, Any] = {"offer_id": made["id"]}
    if kind == "tip":
        arguments["amount"] = 2000
    (row,) = rows(academy.call(None, "GET", f"/rest/v1/offer_kinds?kind=eq.{kind}&select=detail_keys"))
    for key, values in BAD.items():
        for value in values:
            answer = academy.rpc(buyer, "place_order", **arguments, details={key: value})
            refused(answer, 422, "detail_invalid" if key in row["detail_keys"] else "detail_unknown")
        assert key in answer.json()["details"]
    for value in ([1], "x", 5, True):
        refused(academy.rpc(buyer, "place_order", **arguments, details=value), 422, "detail_invalid")
    for key in row["detail_keys"]:
        for value in GOOD[key]:
            assert placed(academy, buyer, **arguments, details={key: value})["details"] == {key: value}
    every = {key: GOOD[key][0] for key in row["detail_keys"]}
    order = placed(academy, buyer, **arguments, details=every)
    assert order["details"] == every
    assert placed(academy, buyer, **arguments, details=every)["id"] == order["id"]


def test_the_details_of_courses_bundles_and_products_take_a_note(academy: Academy, teacher: Person) -> None:
    course, second, buyer = (
        academy.course(teacher, price_amount=900), academy.course(teacher, price_amount=900), academy.member(),
    )  # fmt: skip
    bundle = academy.insert(teacher, "offers", kind="bundle", title="Both", price_amount=1500)
    for each in (course, second):
        academy.insert(teacher, "offer_courses", offer_id=bundle["id"], course_id=each.id)
    assert academy.rpc(teacher, "publish_offer", offer_id=bundle["id"]).status_code == 200
    for arguments in ({"course_id": course.id}, {"offer_id": bundle["id"]}):
        refused(academy.rpc(buyer, "place_order", **arguments, details={"starts_at": SOON}), 422, "detail_unknown")
        refused(academy.rpc(buyer, "place_order", **arguments, details={"note": 1}), 422, "detail_invalid")
        assert placed(academy, buyer, **arguments, details={"note": "A gift"})["details"] == {"note": "A gift"}
        assert placed(academy, buyer, **arguments)["details"] == {}


def test_every_key_of_a_kind_is_documented(academy: Academy) -> None:
    [(comment,)] = academy.sql(
        "select col_description('public.offer_kinds'::regclass, attnum) from pg_catalog.pg_attribute"
        " where attrelid = 'public.offer_kinds'::regclass and attname = 'detail_keys'"
    )
    keys = academy.sql("select distinct unnest(detail_keys) from public.offer_kinds")
    assert [key for (key,) in keys if key not in comment] == []
    assert {key for (key,) in keys} == GOOD.keys()
