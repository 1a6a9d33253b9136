"""What creators offer beside courses."""

from typing import Any

import pytest

from tests.people import Academy, Person, rows

SHOWN = {"prefer": "return=representation"}


@pytest.mark.route("WC-105", call="GET /rest/v1/services?is_active=is.true", public=True)
def test_everybody_sees_what_is_offered(academy: Academy, stranger: Person, student: Person) -> None:
    creator = academy.member("teacher")
    new = {"title": "A critique", "price_amount": 3000, "price_currency": "EUR", "duration_minutes": 30}
    assert academy.call(student, "POST", "/rest/v1/services", new).status_code == 403
    assert academy.call(None, "POST", "/rest/v1/services", new).status_code == 401
    service = academy.insert(creator, "services", **new)
    assert (service["creator_id"], service["is_active"], service["is_public"]) == (creator.id, False, True)
    path = f"/rest/v1/services?id=eq.{service['id']}"
    landing = f"{path}&is_active=is.true&order=created_at.desc&select=*,creator:profiles(display_name)"
    for who in (None, stranger, student, creator):
        assert rows(academy.call(who, "GET", landing)) == []
    assert rows(academy.call(stranger, "GET", path)) == []
    assert rows(academy.call(stranger, "PATCH", path, {"is_active": True}, **SHOWN)) == []
    assert len(rows(academy.call(creator, "PATCH", path, {"is_active": True}, **SHOWN))) == 1
    for who in (None, stranger, student):
        (shown,) = rows(academy.call(who, "GET", landing))
        assert (shown["title"], shown["creator"]) == ("A critique", {"display_name": "Test Person"})
    for who in (stranger, student):
        assert rows(academy.call(who, "PATCH", path, {"price_amount": 0}, **SHOWN)) == []
        assert rows(academy.call(who, "DELETE", path, **SHOWN)) == []
    own = f"/rest/v1/profiles?id=eq.{creator.id}"
    assert academy.call(creator, "PATCH", own, {"is_public": False}).status_code == 204
    assert rows(academy.call(None, "GET", landing)) == rows(academy.call(stranger, "GET", path)) == []
    assert len(rows(academy.call(creator, "DELETE", path, **SHOWN))) == 1


@pytest.mark.parametrize("columns", [{"creator_id": None}, {"is_public": True}, {"id": None}])
def test_what_the_database_gives_is_no_clients_to_write(
    academy: Academy, teacher: Person, columns: dict[str, Any]
) -> None:
    assert academy.call(teacher, "POST", "/rest/v1/services", {"title": "New"} | columns).status_code == 403


@pytest.mark.parametrize(
    ("change", "constraint"),
    [
        ({"title": " "}, "services_title_check"),
        ({"price_amount": -1}, "services_price_amount_check"),
        ({"price_currency": "eur"}, "services_price_currency_check"),
        ({"duration_minutes": 0}, "services_duration_minutes_check"),
    ],
)
def test_a_service_out_of_bounds_names_the_constraint(
    academy: Academy, teacher: Person, change: dict[str, Any], constraint: str
) -> None:
    answer = academy.call(teacher, "POST", "/rest/v1/services", {"title": "New"} | change)
    assert (answer.status_code, answer.json()["code"]) == (400, "23514"), answer.text
    assert constraint in answer.json()["message"]
