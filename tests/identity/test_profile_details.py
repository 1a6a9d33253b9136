"""Details of profiles: qualifications and expertise, as public as the profile, and private settings."""

import uuid

import pytest

from tests.people import Academy, Person, concurrently, refused, rows

SHOWN = {"prefer": "return=representation"}
QUALIFICATIONS = "/rest/v1/user_qualifications"
EXPERTISE = "/rest/v1/user_expertise"
LIMIT = 50


@pytest.mark.route("PL-008", call="POST /rest/v1/user_qualifications")
@pytest.mark.route("PL-008", call="PATCH /rest/v1/user_qualifications?id=eq.{qualification_id}")
@pytest.mark.route("PL-008", call="DELETE /rest/v1/user_qualifications?id=eq.{qualification_id}")
def test_a_user_lists_own_qualifications(academy: Academy, stranger: Person) -> None:
    person = academy.member()
    body = {
        "title": "Master potter",
        "issuer": "Guild of Porto",
        "awarded_on": "2009-06-01",
        "url": "https://example.com/guild/12",
        "position": 2,
    }
    (made,) = rows(academy.call(person, "POST", QUALIFICATIONS, body, **SHOWN))
    assert {name: made[name] for name in body} == body
    assert (made["user_id"], made["is_public"]) == (person.id, True)
    assert academy.call(None, "POST", QUALIFICATIONS, body).status_code == 401

    one = f"{QUALIFICATIONS}?id=eq.{made['id']}"
    for who in (stranger, None):
        assert [row["title"] for row in rows(academy.call(who, "GET", one))] == ["Master potter"]
    for method, change in (("PATCH", {"title": "Fake"}), ("DELETE", None)):
        assert rows(academy.call(stranger, method, one, change, **SHOWN)) == []
        assert academy.call(None, method, one, change).status_code == 401
    (changed,) = rows(academy.call(person, "PATCH", one, {"title": "Grand master"}, **SHOWN))
    assert changed["title"] == "Grand master"
    assert len(rows(academy.call(person, "DELETE", one, **SHOWN))) == 1
    assert rows(academy.call(person, "GET", one)) == []


@pytest.mark.route("PL-008", call="POST /rest/v1/user_expertise")
@pytest.mark.route("PL-008", call="DELETE /rest/v1/user_expertise?user_id=eq.{user_id}&topic=eq.{topic}")
def test_a_user_lists_own_expertise(academy: Academy, stranger: Person) -> None:
    person = academy.member()
    topic = f"wood firing {uuid.uuid4().hex[:8]}"
    (made,) = rows(academy.call(person, "POST", EXPERTISE, {"topic": f"  Wood\u3000 {topic[5:].upper()} "}, **SHOWN))
    assert (made["user_id"], made["topic"]) == (person.id, topic)
    twice = academy.call(person, "POST", EXPERTISE, {"topic": topic.title()})
    assert (twice.status_code, twice.json()["code"]) == (409, "23505"), twice.text
    for same in (topic.replace(" ", "\u00a0"), f"{topic}\u200b", topic.replace("wood", "wo\u00adod")):
        again = academy.call(person, "POST", EXPERTISE, {"topic": same})
        assert (again.status_code, again.json()["code"]) == (409, "23505"), again.text
    kept = academy.call(person, "POST", EXPERTISE, {"topic": topic}, prefer="resolution=ignore-duplicates")
    assert kept.status_code == 201, kept.text

    assert academy.call(None, "POST", EXPERTISE, {"topic": topic}).status_code == 401
    assert academy.call(person, "PATCH", f"{EXPERTISE}?topic=eq.{topic}", {"topic": "other"}).status_code == 403
    found = rows(academy.call(None, "GET", f"{EXPERTISE}?topic=eq.{topic}&select=person:profiles(id)"))
    assert found == [{"person": {"id": person.id}}]
    one = f"{EXPERTISE}?user_id=eq.{person.id}&topic=eq.{topic}"
    assert rows(academy.call(stranger, "DELETE", one, **SHOWN)) == []
    assert academy.call(None, "DELETE", one).status_code == 401
    assert len(rows(academy.call(person, "DELETE", one, **SHOWN))) == 1


@pytest.mark.parametrize(
    ("column", "body"),
    [
        ("title", {"title": " "}),
        ("title", {"title": "x" * 161}),
        ("issuer", {"title": "x", "issuer": "x" * 161}),
        ("url", {"title": "x", "url": "javascript:alert(1)"}),
        ("awarded_on", {"title": "x", "awarded_on": "1066-10-14"}),
        ("topic", {"topic": " x "}),
        ("topic", {"topic": "x" * 61}),
        ("topic", {"topic": "gnp\u202eexe"}),
    ],
)
def test_a_detail_out_of_bounds_names_the_constraint(
    academy: Academy, stranger: Person, column: str, body: dict[str, str]
) -> None:
    path = EXPERTISE if column == "topic" else QUALIFICATIONS
    answer = academy.call(stranger, "POST", path, body)
    assert (answer.status_code, answer.json()["code"]) == (400, "23514"), answer.text
    assert f"{path.rpartition('/')[2]}_{column}_check" in answer.json()["message"]


def test_users_add_only_to_their_own_profile_and_not_its_privacy(academy: Academy, stranger: Person) -> None:
    hermit = private(academy)
    for path, body in ((QUALIFICATIONS, {"title": "Forged"}), (EXPERTISE, {"topic": "forgery"})):
        answers = [
            academy.call(stranger, "POST", path, {**body, "user_id": user_id})
            for user_id in (hermit.id, academy.member().id, str(uuid.uuid4()))
        ]
        assert {(answer.status_code, answer.json()["code"]) for answer in answers} == {(403, "42501")}
        assert len({answer.text for answer in answers}) == 1
        for columns in ({"is_public": True}, {"id": str(uuid.uuid4())}):
            answer = academy.call(stranger, "POST", path, {**body, **columns})
            assert answer.status_code in {400, 403}, answer.text
    made = academy.insert(stranger, "user_qualifications", title="Mine")
    moved = academy.call(stranger, "PATCH", f"{QUALIFICATIONS}?id=eq.{made['id']}", {"user_id": hermit.id})
    assert (moved.status_code, moved.json()["code"]) == (403, "42501"), moved.text


def test_suspended_users_change_no_details(academy: Academy) -> None:
    person = academy.member()
    made = academy.insert(person, "user_qualifications", title="Mine")
    academy.insert(person, "user_expertise", topic="clay")
    academy.suspend(person)
    for path, body in ((QUALIFICATIONS, {"title": "More"}), (EXPERTISE, {"topic": "more"})):
        assert academy.call(person, "POST", path, body).status_code == 403
        assert rows(academy.call(person, "DELETE", f"{path}?user_id=eq.{person.id}", **SHOWN)) == []
    assert rows(academy.call(person, "PATCH", f"{QUALIFICATIONS}?id=eq.{made['id']}", {"title": "New"}, **SHOWN)) == []
    settings = f"/rest/v1/user_settings?user_id=eq.{person.id}"
    assert rows(academy.call(person, "PATCH", settings, {"theme": "dark"}, **SHOWN)) == []
    assert len(rows(academy.call(person, "GET", settings))) == 1


@pytest.mark.parametrize(("path", "column"), [(QUALIFICATIONS, "title"), (EXPERTISE, "topic")])
def test_a_profile_has_at_most_fifty_details(academy: Academy, path: str, column: str) -> None:
    person = academy.member()
    refused(
        academy.call(person, "POST", path, [{column: f"number {n}"} for n in range(LIMIT + 1)]), 409, "limit_reached"
    )
    filled = academy.call(person, "POST", path, [{column: f"number {n}"} for n in range(LIMIT - 2)])
    assert filled.status_code == 201, filled.text
    answers = concurrently(
        8, lambda number: academy.call(person, "POST", path, {column: f"rushed {number}"}).status_code
    )
    assert sorted(answers) == [201] * 2 + [409] * 6
    assert len(rows(academy.call(person, "GET", f"{path}?user_id=eq.{person.id}"))) == LIMIT


def private(academy: Academy) -> Person:
    """A user with a private profile that has all details."""
    person = academy.member(name="A Hermit")
    academy.insert(person, "user_qualifications", title="Silence")
    academy.insert(person, "user_expertise", topic=f"caves {person.id[:8]}")
    answer = academy.call(person, "PATCH", f"/rest/v1/profiles?id=eq.{person.id}", {"is_public": False})
    assert answer.status_code == 204, answer.text
    return person


ALL = "*,user_stats(*),user_qualifications(*),user_expertise(*)"


@pytest.mark.route("PL-010", call="GET /rest/v1/profiles?handle=eq.{handle}&select={columns}", public=True)
@pytest.mark.route("PL-011", call="GET /rest/v1/profiles?handle=eq.{handle}&select=user_stats(*)", public=True)
def test_everybody_reads_a_public_profile_with_its_details(academy: Academy, stranger: Person) -> None:
    person = academy.member(name="Ines")
    handle = f"ines_{uuid.uuid4().hex[:8]}"
    academy.sql("update public.profiles set handle = %s where id = %s", handle, person.id)
    for place, title in ((2, "Second"), (1, "First")):
        academy.insert(person, "user_qualifications", title=title, position=place)
    academy.insert(person, "user_expertise", topic="wheel throwing")
    path = f"/rest/v1/profiles?handle=eq.{handle}&select={ALL}&user_qualifications.order=position"
    for who in (None, stranger, person):
        (shown,) = rows(academy.call(who, "GET", path))
        assert [row["title"] for row in shown["user_qualifications"]] == ["First", "Second"]
        assert [row["topic"] for row in shown["user_expertise"]] == ["wheel throwing"]
        assert shown["user_stats"]["follower_count"] == 0
    (figures,) = rows(academy.call(None, "GET", f"/rest/v1/profiles?handle=eq.{handle}&select=user_stats(*)"))
    assert figures["user_stats"]["user_id"] == person.id


def test_details_of_a_private_profile_are_hidden_on_every_path(
    academy: Academy, stranger: Person, moderator: Person
) -> None:
    hermit = private(academy)
    whole = f"/rest/v1/profiles?id=eq.{hermit.id}&select={ALL}"
    for who in (stranger, None):
        assert rows(academy.call(who, "GET", whole)) == []
        for table in ("user_qualifications", "user_expertise", "user_stats"):
            one = f"/rest/v1/{table}?user_id=eq.{hermit.id}"
            counted = academy.call(who, "GET", f"{one}&select=*,profiles(*)", prefer="count=exact")
            assert (rows(counted), counted.headers["content-range"]) == ([], "*/0")
            assert rows(academy.call(who, "GET", f"{one}&is_public=is.false")) == []
        assert rows(academy.call(who, "GET", f"{EXPERTISE}?topic=eq.caves {hermit.id[:8]}")) == []
    for who in (hermit, moderator):
        (shown,) = rows(academy.call(who, "GET", whole))
        assert [row["title"] for row in shown["user_qualifications"]] == ["Silence"]
        assert shown["user_stats"]["user_id"] == hermit.id

    # Details added while it is hidden are hidden, too, and shown with the profile.
    academy.insert(hermit, "user_qualifications", title="More silence")
    assert rows(academy.call(stranger, "GET", f"{QUALIFICATIONS}?user_id=eq.{hermit.id}")) == []
    academy.call(hermit, "PATCH", f"/rest/v1/profiles?id=eq.{hermit.id}", {"is_public": True})
    (shown,) = rows(academy.call(stranger, "GET", whole))
    assert len(shown["user_qualifications"]) == 2


def test_details_added_while_a_profile_is_hidden_are_hidden(academy: Academy, stranger: Person) -> None:
    """Concurrent additions and hiding never leave a detail of a private profile visible."""
    person = academy.member()
    profile = f"/rest/v1/profiles?id=eq.{person.id}"

    def act(number: int) -> list[int]:
        if number % 2:
            return [
                academy.call(person, "POST", QUALIFICATIONS, {"title": f"{number}.{turn}"}).status_code
                for turn in range(6)
            ]
        return [academy.call(person, "PATCH", profile, {"is_public": turn % 2 == 1}).status_code for turn in range(6)]

    statuses = {status for some in concurrently(4, act) for status in some}
    assert statuses == {201, 204}
    academy.call(person, "PATCH", profile, {"is_public": False})
    assert rows(academy.call(stranger, "GET", f"{QUALIFICATIONS}?user_id=eq.{person.id}")) == []
    assert len(rows(academy.call(person, "GET", f"{QUALIFICATIONS}?user_id=eq.{person.id}"))) == 12


@pytest.mark.route("PL-019", call="GET /rest/v1/user_settings?user_id=eq.{user_id}")
@pytest.mark.route("PL-020", call="PATCH /rest/v1/user_settings?user_id=eq.{user_id}")
def test_users_read_and_change_their_own_settings(academy: Academy, stranger: Person, moderator: Person) -> None:
    person = academy.member()
    own = f"/rest/v1/user_settings?user_id=eq.{person.id}"
    (settings,) = rows(academy.call(person, "GET", own))
    assert (settings["locale"], settings["time_zone"], settings["theme"]) == ("en", "UTC", "system")
    change = {"locale": "pt-BR", "time_zone": "America/Sao_Paulo", "theme": "dark"}
    for who in (stranger, moderator):
        assert rows(academy.call(who, "GET", own)) == []
        assert rows(academy.call(who, "PATCH", own, change, **SHOWN)) == []
    for method in ("GET", "PATCH"):
        assert academy.call(None, method, own, change if method == "PATCH" else None).status_code == 401
    (changed,) = rows(academy.call(person, "PATCH", own, change, **SHOWN))
    assert {name: changed[name] for name in change} == change
    assert academy.call(person, "DELETE", own).status_code == 403
    assert academy.call(person, "POST", "/rest/v1/user_settings", {"user_id": person.id}).status_code == 403


@pytest.mark.parametrize(
    "time_zone", ["Mars/Olympus", "europe/lisbon", "CET-1CEST", "FOO5", "", "posix/Europe/Lisbon", "+02:00", "x" * 9999]
)
def test_an_unknown_time_zone_is_refused(academy: Academy, stranger: Person, time_zone: str) -> None:
    own = f"/rest/v1/user_settings?user_id=eq.{stranger.id}"
    refused(academy.call(stranger, "PATCH", own, {"time_zone": time_zone}), 422, "time_zone_invalid")


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("locale", "english"), ("locale", "en_GB"), ("locale", "EN"), ("locale", "e"), ("locale", "en-gb"),
        ("locale", "pt-BR-x"), ("theme", "pink"),
    ],
)  # fmt: skip
def test_a_setting_out_of_bounds_names_the_constraint(
    academy: Academy, stranger: Person, column: str, value: str
) -> None:
    answer = academy.call(stranger, "PATCH", f"/rest/v1/user_settings?user_id=eq.{stranger.id}", {column: value})
    assert (answer.status_code, answer.json()["code"]) == (400, "23514"), answer.text
    assert f"user_settings_{column}_check" in answer.json()["message"]


@pytest.mark.parametrize("locale", ["de", "fil", "zh-Hant", "zh-Hant-TW", "es-419", "en-GB"])
def test_locales_of_all_forms_are_accepted(academy: Academy, stranger: Person, locale: str) -> None:
    own = f"/rest/v1/user_settings?user_id=eq.{stranger.id}"
    assert academy.call(stranger, "PATCH", own, {"locale": locale}).status_code == 204


@pytest.mark.parametrize("soft", [False, True])
def test_a_deleted_account_leaves_no_details(academy: Academy, soft: bool) -> None:
    person = private(academy)
    deleted = academy.http.request(
        "DELETE",
        f"/auth/v1/admin/users/{person.id}",
        json={"should_soft_delete": soft},
        headers={"apikey": academy.secret_key},
    )
    assert deleted.status_code == 200, deleted.text
    for table in ("user_qualifications", "user_expertise", "user_settings"):
        assert academy.sql(f"select 1 from public.{table} where user_id = %s", person.id) == []  # noqa: S608
