"""Profiles: users write their own, and everybody reads public ones."""

import uuid
from typing import Any

import pytest

from tests.people import Academy, Person, concurrently, refused, rows
from tests.waiting import wait_until

PNG = bytes.fromhex(
    "89504e470d0a1a0a0000000d4948445200000001000000010804000000b51c0c020000000b4944415478da6364f80f00010501012718e3660000"
    "000049454e44ae426082"
)
SHOWN = {"prefer": "return=representation"}


@pytest.fixture
def hermit(academy: Academy) -> Person:
    """A user with a private profile."""
    person = academy.member(name="A Hermit")
    academy.sql("update public.profiles set is_public = false, bio = 'alone' where id = %s", person.id)
    return person


@pytest.mark.route("WC-020", "WC-033", "WC-109", "GS-081", call="GET /rest/v1/profiles?id=eq.{user_id}")
@pytest.mark.route("PL-007", call="GET /rest/v1/profiles?id=eq.{user_id}&select=*,user_stats(*)")
def test_a_user_reads_the_own_profile(academy: Academy, hermit: Person, stranger: Person) -> None:
    path = f"/rest/v1/profiles?id=eq.{hermit.id}&select=*,user_stats(*)"
    (profile,) = rows(academy.call(hermit, "GET", path))
    assert (profile["display_name"], profile["bio"]) == ("A Hermit", "alone")
    assert (profile["user_stats"]["follower_count"], profile["user_stats"]["enrolment_count"]) == (0, 0)
    assert "email" not in profile
    assert rows(academy.call(stranger, "GET", path)) == []


@pytest.mark.route("PL-008", "WC-021", "WC-034", "WC-110", "GS-082", call="PATCH /rest/v1/profiles?id=eq.{user_id}")
def test_a_user_changes_the_own_profile(academy: Academy, stranger: Person) -> None:
    person = academy.member()
    path = f"/rest/v1/profiles?id=eq.{person.id}"
    change = {
        "handle": f"ada_{uuid.uuid4().hex[:8]}",
        "display_name": "Ada",
        "headline": "Counts things",
        "bio": "Notes on the engine.",
        "location": "London",
        "website_url": "https://example.com/ada",
        "is_public": False,
    }
    (changed,) = rows(academy.call(person, "PATCH", path, change, **SHOWN))
    assert {name: changed[name] for name in change} == change

    assert rows(academy.call(stranger, "PATCH", path, {"bio": "Mine now"}, **SHOWN)) == []
    assert academy.call(None, "PATCH", path, {"bio": "Mine now"}).status_code == 401
    (still,) = rows(academy.call(person, "GET", path))
    assert still["bio"] == change["bio"]


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("handle", "x"),
        ("handle", "With Spaces"),
        ("handle", "\u0430dmin"),  # Cyrillic
        ("handle", "-begins-with-a-dash"),
        ("handle", "x" * 31),
        ("display_name", " \t "),
        ("display_name", "x" * 121),
        ("display_name", "\u200b\u2060\u3164"),  # nothing is seen
        ("display_name", "\u2800 \ufe0f"),
        ("display_name", "\U000e0041\U000e0042"),
        ("display_name", "two\nlines"),
        ("display_name", "gnp\u202eexe"),  # turns what follows around
        ("display_name", "a\u2066b"),
        ("display_name", "bell\u0007"),
        ("headline", "x" * 161),
        ("bio", "x" * 4001),
        ("location", "x" * 121),
        ("website_url", "javascript:alert(1)"),
        ("website_url", 'https://example.com/"onclick='),
        ("avatar_path", "00000000-0000-0000-0000-000000000000/face.png"),
    ],
)
def test_a_profile_out_of_bounds_names_the_constraint(
    academy: Academy, stranger: Person, column: str, value: str
) -> None:
    answer = academy.call(stranger, "PATCH", f"/rest/v1/profiles?id=eq.{stranger.id}", {column: value})
    assert (answer.status_code, answer.json()["code"]) == (400, "23514"), answer.text
    assert f"profiles_{column}_check" in answer.json()["message"]


def test_a_handle_belongs_to_one_user(academy: Academy, stranger: Person) -> None:
    person = academy.member()
    handle = f"taken-{uuid.uuid4().hex[:8]}"
    own, other = (f"/rest/v1/profiles?id=eq.{who.id}" for who in (person, stranger))
    assert academy.call(person, "PATCH", own, {"handle": handle}).status_code == 204
    answer = academy.call(stranger, "PATCH", other, {"handle": handle})
    assert (answer.status_code, answer.json()["code"]) == (409, "23505"), answer.text
    assert "profiles_handle_key" in answer.json()["message"]


def test_handles_ignore_case(academy: Academy, stranger: Person) -> None:
    person = academy.member()
    handle = f"Mixed_{uuid.uuid4().hex[:8]}"
    own = f"/rest/v1/profiles?id=eq.{person.id}"
    (changed,) = rows(academy.call(person, "PATCH", own, {"handle": f" {handle} "}, **SHOWN))
    assert changed["handle"] == handle.lower()
    answer = academy.call(stranger, "PATCH", f"/rest/v1/profiles?id=eq.{stranger.id}", {"handle": handle.upper()})
    assert (answer.status_code, answer.json()["code"]) == (409, "23505"), answer.text
    for same in (f"\u200b{handle}\u00a0", handle.translate({ord("M"): "Ｍ", ord("x"): "ｘ"})):  # noqa: RUF001
        answer = academy.call(stranger, "PATCH", f"/rest/v1/profiles?id=eq.{stranger.id}", {"handle": same})
        assert (answer.status_code, answer.json()["code"]) == (409, "23505"), answer.text
        assert academy.rpc(stranger, "is_handle_available", handle=same).json() is False
    # Sending the whole row back changes nothing.
    assert academy.call(person, "PATCH", own, {"handle": changed["handle"].title()}).status_code == 204
    (anew,) = rows(academy.call(person, "PATCH", own, {"handle": None}, **SHOWN))
    assert anew["handle"].startswith("member-")
    assert academy.call(person, "PATCH", own, {"handle": anew["handle"], "bio": "Sent back"}).status_code == 204


@pytest.mark.parametrize(
    "handle", ["admin", "API", " www ", "null", "member-0123456789abcdef", "Deleted-me", "settings"]
)
def test_a_reserved_handle_is_refused(academy: Academy, stranger: Person, handle: str) -> None:
    own = f"/rest/v1/profiles?id=eq.{stranger.id}"
    refused(academy.call(stranger, "PATCH", own, {"handle": handle}), 409, "handle_reserved")
    assert academy.rpc(stranger, "is_handle_available", handle=handle).json() is False


def test_a_user_asks_whether_a_handle_is_available(academy: Academy, hermit: Person, stranger: Person) -> None:
    free = f"free-{uuid.uuid4().hex[:8]}"
    assert academy.rpc(stranger, "is_handle_available", handle=free.upper()).json() is True
    academy.sql("update public.profiles set handle = %s where id = %s", free, hermit.id)
    assert academy.rpc(stranger, "is_handle_available", handle=free.upper()).json() is False
    assert academy.rpc(hermit, "is_handle_available", handle=free).json() is True  # its own
    for unfit in ("x", "with space", "", None, "-dash", "\u0430dmin"):
        assert academy.rpc(stranger, "is_handle_available", handle=unfit).json() is False
    assert academy.call(None, "GET", f"/rest/v1/rpc/is_handle_available?handle={free}").status_code == 401


def test_concurrent_users_do_not_share_a_handle(academy: Academy) -> None:
    people = [academy.member() for _ in range(8)]
    handle = f"Wanted_{uuid.uuid4().hex[:8]}"
    wanted = [handle.upper(), handle.lower(), handle]
    answers = concurrently(
        len(people),
        lambda number: (
            academy.call(
                people[number], "PATCH", f"/rest/v1/profiles?id=eq.{people[number].id}", {"handle": wanted[number % 3]}
            ).status_code
        ),
    )
    assert sorted(answers) == [204] + [409] * 7


def test_a_name_is_trimmed_and_composed(academy: Academy, stranger: Person) -> None:
    own = f"/rest/v1/profiles?id=eq.{stranger.id}"
    for written, kept in (
        ("  Zoe\u0308 \u3000", "Zo\u00eb"),
        ("\u05e9\u05dc\u05d5\u05dd", "\u05e9\u05dc\u05d5\u05dd"),  # right to left by itself
        ("\u0646\u200c\u0645", "\u0646\u200c\u0645"),  # Persian is written with joiners
        ("\U0001f9d1\u200d\U0001f373", "\U0001f9d1\u200d\U0001f373"),
    ):
        (changed,) = rows(academy.call(stranger, "PATCH", own, {"display_name": written}, **SHOWN))
        assert changed["display_name"] == kept


@pytest.mark.parametrize(
    ("given", "name"),
    [
        ("Ad\u202ea\u0007  King\n", "Ada King"),
        ("\u200b\u3164", "New member"),
        ("", "New member"),
        ("x" * 119 + "   yz", "x" * 119),
    ],
)
def test_every_name_at_signup_gives_a_profile(academy: Academy, given: str, name: str) -> None:
    person = academy.member(name=given)
    (profile,) = rows(academy.call(person, "GET", f"/rest/v1/profiles?id=eq.{person.id}"))
    assert profile["display_name"] == name


def test_admins_change_profiles(academy: Academy, stranger: Person, moderator: Person, admin: Person) -> None:
    path = f"/rest/v1/profiles?id=eq.{academy.member().id}"
    for who in (stranger, moderator):
        assert rows(academy.call(who, "PATCH", path, {"display_name": "Mended"}, **SHOWN)) == []
    (mended,) = rows(academy.call(admin, "PATCH", path, {"display_name": "Mended"}, **SHOWN))
    assert mended["display_name"] == "Mended"
    academy.suspend(admin_too := academy.member("admin"))
    assert rows(academy.call(admin_too, "PATCH", path, {"display_name": "Broken"}, **SHOWN)) == []


@pytest.mark.parametrize("column", ["id", "created_at", "updated_at"])
def test_clients_do_not_write_computed_columns(academy: Academy, stranger: Person, column: str) -> None:
    answer = academy.call(stranger, "PATCH", f"/rest/v1/profiles?id=eq.{stranger.id}", {column: None})
    assert (answer.status_code, answer.json()["code"]) == (403, "42501"), answer.text


def test_clients_neither_create_nor_delete_profiles(academy: Academy, stranger: Person) -> None:
    new = {"id": str(uuid.uuid4()), "handle": "made-by-hand", "display_name": "Nobody"}
    upsert = academy.call(stranger, "POST", "/rest/v1/profiles", new, prefer="resolution=merge-duplicates")
    gone = academy.call(stranger, "DELETE", f"/rest/v1/profiles?id=eq.{stranger.id}")
    assert (upsert.status_code, gone.status_code) == (403, 403)


def test_a_private_profile_is_hidden_on_every_path(academy: Academy, hermit: Person, stranger: Person) -> None:
    course_id = academy.sql(
        "insert into public.courses (creator_id, title, slug, status, published_at)"
        " values (%s, 'By a hermit', %s, 'published', now()) returning id",
        hermit.id,
        f"by-a-hermit-{uuid.uuid4().hex[:8]}",
    )[0][0]
    one = f"/rest/v1/profiles?id=eq.{hermit.id}"
    for who in (stranger, None):
        assert rows(academy.call(who, "GET", one)) == []
        assert rows(academy.call(who, "GET", f"{one}&order=bio.desc")) == []
        assert rows(academy.call(who, "GET", "/rest/v1/profiles?bio=eq.alone&select=id")) == []
        counted = academy.call(who, "HEAD", one, prefer="count=exact")
        assert counted.headers["content-range"] == "*/0"
        assert academy.call(who, "GET", one, accept="text/csv").text.strip() == ""
        (course,) = rows(academy.call(who, "GET", f"/rest/v1/courses?id=eq.{course_id}&select=creator:profiles(*)"))
        assert course == {"creator": None}
        inner = f"/rest/v1/courses?id=eq.{course_id}&select=id,creator:profiles!inner(id)"
        assert rows(academy.call(who, "GET", inner)) == []
        ordered = f"/rest/v1/courses?id=eq.{course_id}&select=creator:profiles(bio)&order=creator(bio).desc"
        assert rows(academy.call(who, "GET", ordered)) == [{"creator": None}]
    assert rows(academy.call(stranger, "PATCH", one, {"bio": "found"}, **SHOWN)) == []
    assert len(rows(academy.call(academy.member("moderator"), "GET", one))) == 1


def upload(academy: Academy, who: Person | None, path: str, content: bytes, kind: str) -> Any:
    """Put a file into storage."""
    headers = {"apikey": academy.publishable_key, "content-type": kind}
    if who is not None:
        headers["authorization"] = f"Bearer {who.token}"
    return academy.http.post(f"/storage/v1/object/{path}", content=content, headers=headers)


@pytest.mark.route("PL-009", "WC-022", "WC-035", "WC-111", call="POST /storage/v1/object/avatars/{user_id}/{file}")
@pytest.mark.route(
    "WC-023", "WC-036", "WC-112", call="GET /storage/v1/object/public/avatars/{user_id}/{file}", public=True
)
def test_owners_upload_avatars_and_everybody_sees_them(academy: Academy, stranger: Person) -> None:
    person = academy.member()
    path = f"{person.id}/face.png"
    for who in (stranger, None):
        refusal = upload(academy, who, f"avatars/{path}", PNG, "image/png")
        assert (refusal.status_code, refusal.json()["statusCode"]) == (400, "403"), refusal.text
    assert upload(academy, person, f"avatars/{path}", PNG, "image/png").status_code == 200
    wrong_kind = upload(academy, person, f"avatars/{person.id}/page.html", b"<p>", "text/html")
    assert (wrong_kind.status_code, wrong_kind.json()["statusCode"]) == (400, "415"), wrong_kind.text

    own = f"/rest/v1/profiles?id=eq.{person.id}"
    (profile,) = rows(academy.call(person, "PATCH", own, {"avatar_path": path}, **SHOWN))
    seen = academy.http.get(f"/storage/v1/object/public/avatars/{profile['avatar_path']}")
    assert (seen.status_code, seen.content, seen.headers["content-type"]) == (200, PNG, "image/png")
    large = upload(academy, person, f"avatars/{person.id}/large.png", PNG + bytes(2 * 1024 * 1024), "image/png")
    assert (large.status_code, large.json()["statusCode"]) == (400, "413"), large.text

    # Another picture replaces it: nobody fetches the former one any more.
    other = f"{person.id}/other.png"
    assert upload(academy, person, f"avatars/{other}", PNG, "image/png").status_code == 200
    assert rows(academy.call(stranger, "PATCH", own, {"avatar_path": other}, **SHOWN)) == []
    assert academy.call(person, "PATCH", own, {"avatar_path": other}).status_code == 204
    wait_until(lambda: academy.http.get(f"/storage/v1/object/public/avatars/{path}").status_code == 400)
    assert academy.http.get(f"/storage/v1/object/public/avatars/{other}").status_code == 200
