"""Lesson media: who plays them, in which parts, and in which order."""

import uuid
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.media.files import SOUND, edge, in_lesson, link, play, send
from tests.people import Academy, Course, Person


def refused(answer: httpx.Response, status: int, token: str) -> None:
    """Assert that a call was refused."""
    assert (answer.status_code, answer.json()["message"]) == (status, token), answer.text


@pytest.fixture(scope="module")
def song(academy: Academy, teacher: Person, course: Course) -> dict[str, Any]:
    """A file of the second lesson, which is no intro."""
    media: dict[str, Any] = in_lesson(academy, teacher, course.lesson_ids[1])["media"]
    return media


@pytest.mark.route("WC-107", call="POST /functions/v1/media/sign")
@pytest.mark.route("WC-108", call="GET /functions/v1/media/stream/{token}", public=True)
def test_students_play_what_is_open_to_them(
    academy: Academy, teacher: Person, stranger: Person, student: Person, song: dict[str, Any]
) -> None:
    refused(edge(academy, stranger, "POST", "/media/sign", {"media_id": song["id"]}), 404, "media_not_found")
    refused(edge(academy, None, "POST", "/media/sign", {"media_id": song["id"]}), 401, "sign_in_required")
    for person in (student, teacher):
        answer = play(academy, link(academy, person, song["id"]))
        assert (answer.status_code, answer.content) == (200, SOUND)
        assert answer.headers["etag"] == f'"{song["sha256"]}"'
    refused(play(academy, f"/functions/v1/media/stream/{uuid.uuid4()}"), 401, "media_link_invalid")


def test_a_link_ends_with_its_time_and_with_the_access(
    academy: Academy, student: Person, course: Course, song: dict[str, Any]
) -> None:
    first, second = link(academy, student, song["id"]), link(academy, student, song["id"])
    token = first.rpartition("/")[2]
    academy.sql("update private.media_links set expires_at = now() where token_hash = sha256(%s::text::bytea)", token)
    refused(play(academy, first), 401, "media_link_invalid")
    assert play(academy, second).status_code == 200
    assert academy.rpc(student, "leave_course", course_id=course.id).status_code in {200, 204}
    refused(play(academy, second), 404, "media_not_found")
    refused(edge(academy, student, "POST", "/media/sign", {"media_id": song["id"]}), 404, "media_not_found")


def test_a_link_of_a_banned_person_plays_nothing(academy: Academy, student: Person, song: dict[str, Any]) -> None:
    path = link(academy, student, song["id"])
    academy.sql("update public.accounts set status = 'banned' where user_id = %s", student.id)
    refused(play(academy, path), 404, "media_not_found")


def test_previews_are_everybodys(academy: Academy, teacher: Person, stranger: Person, course: Course) -> None:
    made = in_lesson(academy, teacher, course.lesson_ids[1], is_preview="true")
    assert play(academy, link(academy, stranger, made["media"]["id"])).content == SOUND
    path = f"/storage/v1/object/authenticated/media/{made['media']['path']}"
    assert academy.call(None, "GET", path).content == SOUND
    changed = academy.call(
        teacher, "PATCH", f"/rest/v1/lesson_media?id=eq.{made['lesson_media']['id']}", {"is_preview": False}
    )
    assert changed.status_code == 204
    assert academy.call(None, "GET", path).status_code in {400, 404}


def test_conditions(academy: Academy, student: Person, song: dict[str, Any]) -> None:
    path = link(academy, student, song["id"])
    whole = play(academy, path)
    etag, modified = whole.headers["etag"], whole.headers["last-modified"]
    old = "Mon, 01 Jan 2024 00:00:00 GMT"
    for headers, status in (
        ({"if_none_match": etag}, 304), ({"if_none_match": '"x"'}, 200), ({"if_modified_since": modified}, 304),
        ({"if_modified_since": old}, 200), ({"if_match": '"x"'}, 412), ({"if_match": etag}, 200),
        ({"if_unmodified_since": old}, 412), ({"range": "bytes=0-9", "if_range": etag}, 206),
        ({"range": "bytes=0-9", "if_range": '"x"'}, 200), ({"range": "bytes=0-9", "if_range": modified}, 206),
        ({"range": f"bytes={len(SOUND)}-"}, 416), ({"range": "bytes=-0"}, 416), ({"range": "lines=1-2"}, 200),
        ({"range": "bytes=0-1,5-6"}, 200), ({"range": "bytes=9-1"}, 200),
    ):  # fmt: skip
        answer = play(academy, path, **headers)
        assert answer.status_code == status, (headers, answer.text)
        if status == 416:
            assert answer.headers["content-range"] == f"bytes */{len(SOUND)}"
    head = play(academy, path, "HEAD")
    assert (head.status_code, head.headers["content-length"], head.content) == (200, str(len(SOUND)), b"")


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_each_range_is_the_bytes_of_the_file(
    academy: Academy, teacher: Person, song: dict[str, Any], data: st.DataObject
) -> None:
    size = len(SOUND)
    first = data.draw(st.none() | st.integers(0, size + 10))
    last = data.draw(st.integers(0, size + 10) if first is None else st.none() | st.integers(first, size + 10))
    path = edge(
        academy, teacher, "GET", f"/media/{song['id']}",
        range=f"bytes={'' if first is None else first}-{'' if last is None else last}",
    )  # fmt: skip
    expected = (
        SOUND[size - min(last or 0, size) :] if first is None else SOUND[first : size if last is None else last + 1]
    )
    if not expected:
        assert path.status_code == 416
    else:
        assert (path.status_code, path.content) == (206, expected)
        begin = size - len(expected) if first is None else first
        assert path.headers["content-range"] == f"bytes {begin}-{begin + len(expected) - 1}/{size}"


@pytest.mark.route("WC-159", call="POST /functions/v1/lessons/{lesson_id}/media")
@pytest.mark.route("WC-130", call="GET /rest/v1/lesson_media")
@pytest.mark.route("WC-158", call="GET /rest/v1/lesson_media")
@pytest.mark.route("WC-161", call="POST /rest/v1/rpc/reorder_lesson_media")
@pytest.mark.route("WC-160", call="POST /rest/v1/rpc/delete_lesson_media")
@pytest.mark.route("WC-162", call="GET /functions/v1/media/{media_id}")
def test_the_media_of_a_lesson(academy: Academy, teacher: Person, stranger: Person) -> None:
    lesson_id = academy.course(teacher).lesson_ids[1]
    made = [in_lesson(academy, teacher, lesson_id, name=f"{number}.mp3") for number in range(3)]
    ids = [each["lesson_media"]["id"] for each in made]
    path = (
        f"/rest/v1/lesson_media?lesson_id=eq.{lesson_id}&order=position&select=id,position,media_objects(name,status)"
    )
    assert [(row["id"], row["media_objects"]["name"]) for row in academy.call(teacher, "GET", path).json()] == [
        (row_id, f"{number}.mp3") for number, row_id in enumerate(ids)
    ]
    assert academy.call(stranger, "GET", path).json() == []
    foreign = send(academy, stranger, f"/lessons/{lesson_id}/media", ("a.mp3", SOUND, "audio/mpeg"))
    refused(foreign, 404, "course_not_found")
    wanted = {"lesson_id": lesson_id, "media_ids": [ids[2], ids[0], ids[1]]}
    refused(academy.rpc(stranger, "reorder_lesson_media", **wanted), 404, "course_not_found")
    short = {"lesson_id": lesson_id, "media_ids": ids[:2]}
    refused(academy.rpc(teacher, "reorder_lesson_media", **short), 409, "sequence_incomplete")
    assert [row["id"] for row in academy.rpc(teacher, "reorder_lesson_media", **wanted).json()] == wanted["media_ids"]
    media_id = made[2]["media"]["id"]
    assert edge(academy, teacher, "GET", f"/media/{media_id}").content == SOUND
    refused(edge(academy, stranger, "GET", f"/media/{media_id}"), 404, "media_not_found")
    refused(academy.rpc(stranger, "delete_lesson_media", lesson_media_id=ids[2]), 404, "course_not_found")
    open_link = link(academy, teacher, media_id)
    assert academy.rpc(teacher, "delete_lesson_media", lesson_media_id=ids[2]).status_code == 200
    left = academy.call(teacher, "GET", path).json()
    assert [(row["id"], row["position"]) for row in left] == [(ids[0], 1), (ids[1], 2)]
    refused(edge(academy, teacher, "GET", f"/media/{media_id}"), 410, "media_deleted")
    refused(play(academy, open_link), 410, "media_deleted")


@pytest.mark.route("WC-087", call="GET /rest/v1/lessons", public=True)
@pytest.mark.route("WC-149", call="GET /rest/v1/modules")
@pytest.mark.route("WC-150", call="GET /rest/v1/lessons")
def test_lessons_are_read_with_their_media(academy: Academy, teacher: Person, stranger: Person) -> None:
    course = academy.course(teacher, published=False)
    in_lesson(academy, teacher, course.lesson_ids[1])
    embed = "lesson_media(id,title,position,media_objects(kind,name,duration_seconds))"
    listed = f"/rest/v1/lessons?module_id=eq.{course.module_id}&select=id,{embed}"
    modules = f"/rest/v1/modules?course_id=eq.{course.id}&select=id,lessons(id,{embed})"
    ((module,), lessons) = (
        academy.call(teacher, "GET", modules).json(),
        academy.call(teacher, "GET", listed).json(),
    )
    assert sorted(len(lesson["lesson_media"]) for lesson in module["lessons"]) == [0, 1]
    assert sorted(len(lesson["lesson_media"]) for lesson in lessons) == [0, 1]
    assert academy.call(stranger, "GET", modules).json() == []
    assert academy.call(stranger, "GET", listed).json() == []
    published = academy.course(teacher)
    in_lesson(academy, teacher, published.lesson_ids[1])
    preview = in_lesson(academy, teacher, published.lesson_ids[1], is_preview="true")
    path = f"/rest/v1/lessons?id=eq.{published.lesson_ids[1]}&select=id,modules!lessons_module_id_fkey(title),{embed}"
    (lesson,) = academy.call(None, "GET", path).json()
    assert [row["id"] for row in lesson["lesson_media"]] == [preview["lesson_media"]["id"]]


def test_a_copy_of_a_course_shows_the_same_files(academy: Academy, teacher: Person) -> None:
    course = academy.course(teacher)
    made = in_lesson(academy, teacher, course.lesson_ids[1])
    copied = academy.rpc(teacher, "copy_course", course_id=course.id)
    assert copied.status_code == 200, copied.text
    rows = f"/rest/v1/lesson_media?media_id=eq.{made['media']['id']}"
    assert len(academy.call(teacher, "GET", rows).json()) == 2
    assert academy.rpc(teacher, "delete_lesson_media", lesson_media_id=made["lesson_media"]["id"]).status_code == 200
    assert edge(academy, teacher, "GET", f"/media/{made['media']['id']}").content == SOUND


@pytest.mark.route("CM-006", call="GET /functions/v1/audio/{name}", public=True)
@pytest.mark.route("WC-177", call="GET /functions/v1/files/{owner_id}/{media_id}/{name}", public=True)
def test_samples_and_public_files_are_everybodys(academy: Academy, teacher: Person, song: dict[str, Any]) -> None:
    name = f"{uuid.uuid4()}.mp3"
    wanted = {"name": name, "mime_type": "audio/mpeg", "size_bytes": len(SOUND), "purpose": "sample"}
    refused(edge(academy, academy.member(), "POST", "/media", wanted), 403, "role_required")
    made = edge(academy, teacher, "POST", "/media", wanted).json()
    put = httpx.put(
        made["upload_url"], content=SOUND, headers={"apikey": academy.publishable_key, "content-type": "audio/mpeg"}
    )
    assert put.status_code == 200
    refused(edge(academy, None, "GET", f"/audio/{name}"), 404, "media_not_found")
    assert edge(academy, teacher, "POST", f"/media/{made['media']['id']}/complete").status_code == 200
    path = made["media"]["path"]
    for public in (f"/audio/{name}", f"/files/{path}"):
        answer = edge(academy, None, "GET", public, range="bytes=1-3")
        assert (answer.status_code, answer.content) == (206, SOUND[1:4]), answer.text
    for foreign in (song["path"], f"x/..%2f{path}", "..%2f..%2fetc%2fpasswd", "%00"):
        assert edge(academy, None, "GET", f"/files/{foreign}").status_code in {400, 404}


@pytest.mark.route("WC-131", call="POST /rest/v1/rpc/profile_media_sources")
@pytest.mark.route("WC-132", call="POST /rest/v1/profile_media")
@pytest.mark.route("WC-133", call="PATCH /rest/v1/profile_media")
@pytest.mark.route("WC-134", call="DELETE /rest/v1/profile_media")
def test_a_profile_shows_files_of_its_teacher(academy: Academy, stranger: Person) -> None:
    teacher = academy.member("teacher")
    media_id = in_lesson(academy, teacher, academy.course(teacher).lesson_ids[1])["media"]["id"]
    sources = academy.rpc(teacher, "profile_media_sources")
    assert [each["media_id"] for each in sources.json()["lesson_media"]] == [media_id]
    refused(academy.rpc(academy.member(), "profile_media_sources"), 403, "role_required")
    foreign = academy.call(academy.member("teacher"), "POST", "/rest/v1/profile_media", {"media_id": media_id})
    refused(foreign, 404, "media_not_found")
    row = academy.insert(teacher, "profile_media", media_id=media_id, title="Hear me", position=1)
    path = f"/rest/v1/profile_media?id=eq.{row['id']}"
    assert [each["title"] for each in academy.call(None, "GET", path).json()] == ["Hear me"]
    assert play(academy, link(academy, stranger, media_id)).content == SOUND
    hidden = {"is_published": False}
    assert academy.call(stranger, "PATCH", path, hidden, prefer="return=representation").json() == []
    assert academy.call(teacher, "PATCH", path, hidden).status_code == 204
    assert academy.call(None, "GET", path).json() == []
    refused(edge(academy, stranger, "POST", "/media/sign", {"media_id": media_id}), 404, "media_not_found")
    refused(academy.rpc(teacher, "delete_media", media_id=media_id), 409, "media_in_use")
    assert academy.call(stranger, "DELETE", path, prefer="return=representation").json() == []
    assert academy.call(teacher, "DELETE", path).status_code == 204


def test_reservations_end(academy: Academy, stranger: Person) -> None:
    made = academy.rpc(stranger, "reserve_media", name="a.mp3", mime_type="audio/mpeg", size_bytes=10).json()
    academy.sql("update public.media_objects set reserved_until = now() - interval '1 year' where id = %s", made["id"])
    academy.sql("select private.lapse__media_reservations()")
    (row,) = academy.call(stranger, "GET", f"/rest/v1/media_objects?id=eq.{made['id']}").json()
    assert (row["status"], row["refusal"]) == ("refused", "media_not_uploaded")
