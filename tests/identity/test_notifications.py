"""Preferences for notifications: users write their own, and mandatory topics stay on."""

from typing import Any

import pytest

from tests.people import Academy, Person, refused, rows

PREFERENCES = "/rest/v1/notification_preferences"
UPSERT = "resolution=merge-duplicates,return=representation"


@pytest.fixture
def person(academy: Academy) -> Person:
    """A user without preferences."""
    return academy.member()


def choose(academy: Academy, who: Person | None, **columns: object) -> list[dict[str, object]]:
    """Upsert preferences, as a settings page does; returns the rows."""
    answer = academy.call(who, "POST", PREFERENCES, columns, prefer=UPSERT)
    assert answer.is_success, answer.text
    found: list[dict[str, object]] = answer.json()
    return found


@pytest.mark.route(
    "PL-019",
    call="GET /rest/v1/profiles?id=eq.{user_id}"
    "&select=user_settings({settings}),notification_preferences({preferences})",
)
@pytest.mark.route("PL-020", call="POST /rest/v1/notification_preferences")
def test_the_page_of_settings_is_one_call(academy: Academy, person: Person, stranger: Person) -> None:
    choose(academy, person, topic="learning", by_email=False)
    page = (
        f"/rest/v1/profiles?id=eq.{person.id}&select=user_settings(locale,time_zone,theme),"
        "notification_preferences(topic,by_email,in_app)"
    )
    assert rows(academy.call(person, "GET", page)) == [
        {
            "user_settings": {"locale": "en", "time_zone": "UTC", "theme": "system"},
            "notification_preferences": [{"topic": "learning", "by_email": False, "in_app": None}],
        }
    ]
    for who in (stranger, academy.member("admin")):
        nothing: dict[str, Any] = {"user_settings": None, "notification_preferences": []}
        assert rows(academy.call(who, "GET", page)) == [nothing]
        named = {"user_id": person.id, "topic": "learning", "by_email": True}
        assert academy.call(who, "POST", PREFERENCES, named, prefer=UPSERT).status_code == 403
    assert academy.call(None, "GET", page).status_code == 401


def test_users_read_the_topics_with_their_preferences(academy: Academy, person: Person) -> None:
    choose(academy, person, topic="learning", by_email=False)
    page = "/rest/v1/notification_topics?select=*,notification_preferences(by_email,in_app)&order=topic"
    account, learning = rows(academy.call(person, "GET", page))
    assert (account["is_mandatory"], account["notification_preferences"]) == (True, [])
    assert (learning["is_mandatory"], learning["by_email_default"]) == (False, True)
    assert learning["notification_preferences"] == [{"by_email": False, "in_app": None}]
    assert academy.call(None, "GET", page).status_code == 401


def test_a_column_that_is_not_named_keeps_its_value(academy: Academy, person: Person) -> None:
    choose(academy, person, topic="learning", by_email=False)
    [row] = choose(academy, person, topic="learning", in_app=False)
    assert row == {"user_id": person.id, "topic": "learning", "by_email": False, "in_app": False}
    [row] = choose(academy, person, topic="learning", by_email=None)
    assert (row["by_email"], row["in_app"]) == (None, False)


def test_users_read_and_write_only_their_own_preferences(academy: Academy, person: Person, stranger: Person) -> None:
    choose(academy, person, topic="learning", by_email=False)
    theirs = f"{PREFERENCES}?user_id=eq.{person.id}"
    for who in (stranger, academy.member("admin")):
        assert rows(academy.call(who, "GET", theirs)) == []
        changed = academy.call(who, "PATCH", theirs, {"by_email": True}, prefer="return=representation")
        assert rows(changed) == []
        assert rows(academy.call(who, "DELETE", theirs, prefer="return=representation")) == []
        named = {"user_id": person.id, "topic": "learning", "by_email": True}
        assert academy.call(who, "POST", PREFERENCES, named, prefer=UPSERT).status_code == 403
    assert academy.call(None, "POST", PREFERENCES, {"topic": "learning"}).status_code == 401
    assert rows(academy.call(person, "GET", PREFERENCES)) == [
        {"user_id": person.id, "topic": "learning", "by_email": False, "in_app": None}
    ]


def test_a_user_deletes_a_preference(academy: Academy, person: Person) -> None:
    choose(academy, person, topic="learning", by_email=False)
    answer = academy.call(person, "DELETE", f"{PREFERENCES}?topic=eq.learning", prefer="return=representation")
    assert len(rows(answer)) == 1
    assert rows(academy.call(person, "GET", PREFERENCES)) == []


@pytest.mark.parametrize("way", ["by_email", "in_app"])
def test_a_mandatory_topic_cannot_be_switched_off(academy: Academy, person: Person, way: str) -> None:
    off = academy.call(person, "POST", PREFERENCES, {"topic": "account", way: False}, prefer=UPSERT)
    refused(off, 422, "topic_mandatory")
    # A settings page that sends all topics may send that it stays on.
    choose(academy, person, topic="account", by_email=True, in_app=True)
    refused(academy.call(person, "PATCH", f"{PREFERENCES}?topic=eq.account", {way: False}), 422, "topic_mandatory")
    choose(academy, person, topic="learning", **{way: False})
    moved = academy.call(person, "PATCH", f"{PREFERENCES}?topic=eq.learning", {"topic": "account"})
    assert moved.status_code in {409, 422}, moved.text
    assert {row["topic"]: row[way] for row in rows(academy.call(person, "GET", PREFERENCES))} == {
        "account": True,
        "learning": False,
    }


def test_an_unknown_topic_is_refused(academy: Academy, person: Person) -> None:
    answer = academy.call(person, "POST", PREFERENCES, {"topic": "no_such"})
    assert (answer.status_code, answer.json()["code"]) == (409, "23503")


def test_suspended_users_change_no_preference(academy: Academy, person: Person) -> None:
    choose(academy, person, topic="learning", by_email=False)
    academy.suspend(person)
    assert academy.call(person, "POST", PREFERENCES, {"topic": "account"}, prefer=UPSERT).status_code == 403
    changed = academy.call(
        person, "PATCH", f"{PREFERENCES}?topic=eq.learning", {"by_email": True}, prefer="return=representation"
    )
    assert rows(changed) == []


def test_clients_do_not_write_topics(academy: Academy) -> None:
    admin = academy.member("admin")
    for method, path, body in (
        ("POST", "/rest/v1/notification_topics", {"topic": "mine", "description": "x"}),
        ("PATCH", "/rest/v1/notification_topics?topic=eq.account", {"is_mandatory": False}),
        ("DELETE", "/rest/v1/notification_topics?topic=eq.learning", None),
    ):
        assert academy.call(admin, method, path, body).status_code == 403


def test_preferences_are_deleted_with_the_account(academy: Academy) -> None:
    person = academy.person()
    choose(academy, person, topic="learning", by_email=False)
    params = '{"reason": "Advertising.", "until": null}'
    academy.sql("select private.enqueue_mail(%s, 'account_suspended', %s, %s)", person.id, params, person.id)
    gone = academy.http.delete(f"/auth/v1/admin/users/{person.id}", headers={"apikey": academy.secret_key})
    assert gone.is_success
    counted = "select count(*) from public.notification_preferences where user_id = %s"
    assert academy.sql(counted, person.id) == [(0,)]
    assert academy.sql("select params from private.mail_outbox where user_id = %s", person.id) == [({},)]
