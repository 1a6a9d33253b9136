"""Uploads: forms, reserved paths, and what is refused."""

import io
from typing import Any

import httpx
import pytest
from PIL import Image

from tests.media.files import CAPTIONS, GPS, ORIENTATION, SOUND, bomb, edge, in_lesson, picture, send
from tests.people import Academy, Course, Person


def refused(answer: httpx.Response, status: int, token: str) -> None:
    """Assert that a call was refused."""
    assert (answer.status_code, answer.json()["message"]) == (status, token), answer.text


def stored(academy: Academy, person: Person) -> int:
    """How many files somebody has in storage."""
    with academy.connection() as connection:
        row = connection.execute(
            "select count(*) from storage.objects where bucket_id = 'media' and starts_with(name, %s)", [person.id]
        ).fetchone()
    assert row is not None
    return int(row[0])


def put(academy: Academy, url: str, content: bytes, mime_type: str) -> httpx.Response:
    """Upload to a signed link."""
    return httpx.put(url, content=content, headers={"apikey": academy.publishable_key, "content-type": mime_type})


@pytest.mark.route("GS-015", call="POST /functions/v1/uploads")
@pytest.mark.route("CM-084", call="POST /functions/v1/uploads")
def test_each_file_of_a_form_succeeds_or_fails_by_itself(academy: Academy) -> None:
    person = academy.member()
    answer = send(
        academy, person, "/uploads",
        ("a.jpg", picture(), "image/jpeg"), ("b.png", picture(), "image/png"), ("c.mp3", SOUND, "audio/mpeg"),
        ("d.png", bomb(), "image/png"), ("e.vtt", b"WEBVTT\n\nno time\n", "text/vtt"), ("f.mp3", b"", "audio/mpeg"),
        ("g.exe", b"MZ\x90", "application/octet-stream"), ("h.jpg", picture()[:400], "image/jpeg"),
        ("i.gif", b"GIF89a<script>alert(1)</script>", "image/gif"), ("j.jpg", bytes(10 * 2**20 + 1), "image/jpeg"),
    )  # fmt: skip
    assert answer.status_code == 200, answer.text
    results = [(file["media"] or {}).get("status") or file["error"]["message"] for file in answer.json()["files"]]
    assert results == [
        "ready", "media_content_refused", "ready", "media_too_many_pixels", "captions_invalid",
        "media_content_refused", "media_content_refused", "media_damaged", "media_content_refused", "file_too_large",
    ]  # fmt: skip
    assert stored(academy, person) == 2
    many = [(f"{number}.mp3", SOUND, "audio/mpeg") for number in range(15)]
    refused(send(academy, person, "/uploads", *many), 413, "too_many_files")
    refused(edge(academy, None, "POST", "/uploads"), 401, "sign_in_required")
    refused(edge(academy, person, "POST", "/uploads", {}), 400, "files_missing_in_form")
    academy.suspend(person)
    (file,) = send(academy, person, "/uploads", ("a.mp3", SOUND, "audio/mpeg")).json()["files"]
    assert file["error"]["message"] == "account_inactive"


@pytest.mark.parametrize("name", ["../up.mp3", "a/b.mp3", "..", "a\\b.mp3", "x" * 201])
def test_a_name_is_no_path(academy: Academy, stranger: Person, name: str) -> None:
    answer = academy.rpc(stranger, "reserve_media", name=name, mime_type="audio/mpeg", size_bytes=10)
    refused(answer, 422, "media_name_invalid")


def test_a_picture_loses_its_position_and_keeps_its_orientation(academy: Academy, stranger: Person) -> None:
    (file,) = send(academy, stranger, "/uploads", ("a.jpg", picture(orientation=6), "image/jpeg")).json()["files"]
    media = file["media"]
    assert (media["width"], media["height"]) == (20, 40)
    content = edge(academy, stranger, "GET", f"/media/{media['id']}").content
    assert len(content) == media["size_bytes"]
    with Image.open(io.BytesIO(content)) as image:
        assert image.size == (20, 40)
        assert ORIENTATION not in image.getexif()
        assert not image.getexif().get_ifd(GPS)


@pytest.mark.route("WC-128", call="POST /functions/v1/lessons/{lesson_id}/media/presign")
@pytest.mark.route("WC-129", call="POST /functions/v1/lessons/{lesson_id}/media/complete")
def test_a_reserved_upload_is_checked_and_shown(
    academy: Academy, teacher: Person, stranger: Person, course: Course
) -> None:
    path = f"/lessons/{course.lesson_ids[1]}/media"
    content = picture(orientation=3)
    wanted = {"name": "a.jpg", "mime_type": "image/jpeg", "size_bytes": len(content)}
    refused(edge(academy, stranger, "POST", f"{path}/presign", wanted), 404, "course_not_found")
    made = edge(academy, teacher, "POST", f"{path}/presign", wanted)
    assert made.status_code == 201, made.text
    media = made.json()["media"]
    assert media["status"] == "reserved"
    body = {"media_id": media["id"], "title": "A picture"}
    refused(edge(academy, teacher, "POST", f"{path}/complete", body), 409, "media_not_uploaded")
    assert put(academy, made.json()["upload_url"], content, "image/jpeg").status_code == 200
    refused(edge(academy, stranger, "POST", f"{path}/complete", body), 404, "media_not_found")
    done = edge(academy, teacher, "POST", f"{path}/complete", body)
    assert done.status_code == 201, done.text
    assert (done.json()["media"]["status"], done.json()["lesson_media"]["title"]) == ("ready", "A picture")
    again = edge(academy, teacher, "POST", f"{path}/complete", body)
    assert again.json()["lesson_media"]["id"] == done.json()["lesson_media"]["id"]
    # Nobody replaces a file that was checked, by its first path or by its present one.
    for name in (media["path"], done.json()["media"]["path"]):
        late = academy.http.post(
            f"/storage/v1/object/media/{name}", content=b"other",
            headers={
                "apikey": academy.publishable_key, "authorization": f"Bearer {teacher.token}",
                "content-type": "image/jpeg", "x-upsert": "true",
            },
        )  # fmt: skip
        assert late.status_code in {400, 403}, late.text


@pytest.mark.parametrize(
    ("mime_type", "content", "token"),
    [
        ("image/png", bomb(), "media_too_many_pixels"),
        ("audio/mpeg", picture(), "media_content_refused"),
        ("audio/mpeg", b"<html><script>", "media_content_refused"),
        ("video/mp4", b"\x00\x00\x00\x18ftypmp42<script>x</script>", "media_content_refused"),
        ("text/vtt", b"WEBVTT\n\n00:02.000 --> 00:01.000\nBack\n", "captions_invalid"),
    ],
)
def test_what_is_not_what_it_says_is_refused_and_removed(
    academy: Academy, stranger: Person, mime_type: str, content: bytes, token: str
) -> None:
    wanted = {"name": "file", "mime_type": mime_type, "size_bytes": len(content)}
    made = edge(academy, stranger, "POST", "/media", wanted).json()
    assert put(academy, made["upload_url"], content, mime_type).status_code == 200
    answer = edge(academy, stranger, "POST", f"/media/{made['media']['id']}/complete")
    assert (answer.status_code in {415, 422}, answer.json()["message"]) == (True, token), answer.text
    with academy.connection() as connection:
        row: Any = connection.execute(
            "select m.status::text, m.refusal, private.is_file_used(m.bucket_id, m.path) from public.media_objects as m"
            " where m.id = %s",
            [made["media"]["id"]],
        ).fetchone()
    assert row == ("refused", token, False)


def test_more_than_was_declared_is_refused(academy: Academy, stranger: Person) -> None:
    made = edge(academy, stranger, "POST", "/media", {"name": "a", "mime_type": "audio/mpeg", "size_bytes": 20}).json()
    assert put(academy, made["upload_url"], SOUND, "audio/mpeg").status_code == 200
    refused(edge(academy, stranger, "POST", f"/media/{made['media']['id']}/complete"), 413, "media_size_refused")


@pytest.mark.route("WC-175", call="POST /functions/v1/uploads/avatar")
def test_a_picture_of_a_profile(academy: Academy) -> None:
    person = academy.member()
    answer = send(academy, person, "/uploads/avatar", ("me.jpg", picture(), "image/jpeg"))
    assert answer.status_code == 201, answer.text
    shown = academy.call(None, "GET", f"/rest/v1/profiles?id=eq.{person.id}&select=avatar_path").json()
    assert shown == [{"avatar_path": answer.json()["path"]}]
    with Image.open(io.BytesIO(httpx.get(answer.json()["url"]).content)) as image:
        assert not image.getexif()
    refused(send(academy, person, "/uploads/avatar", ("a.mp3", SOUND, "audio/mpeg")), 415, "media_content_refused")
    refused(edge(academy, None, "POST", "/uploads/avatar"), 401, "sign_in_required")


@pytest.mark.route("WC-176", call="POST /functions/v1/courses/{course_id}/thumbnail")
def test_a_picture_of_a_course(academy: Academy, teacher: Person, stranger: Person, course: Course) -> None:
    path = f"/courses/{course.id}/thumbnail"
    refused(send(academy, stranger, path, ("a.jpg", picture(), "image/jpeg")), 403, "upload_not_allowed")
    answer = send(academy, teacher, path, ("a.jpg", picture(), "image/jpeg"))
    assert answer.status_code == 201, answer.text
    shown = academy.call(None, "GET", f"/rest/v1/courses?id=eq.{course.id}&select=thumbnail_path").json()
    assert shown == [{"thumbnail_path": answer.json()["path"]}]


def test_captions_in_a_language(academy: Academy, teacher: Person, stranger: Person, course: Course) -> None:
    shown = in_lesson(academy, teacher, course.lesson_ids[1])["lesson_media"]
    wanted = {"lesson_media_id": shown["id"], "language": "en"}
    ids = []
    for _ in range(2):
        (file,) = send(academy, teacher, "/uploads", ("en.vtt", CAPTIONS, "text/vtt")).json()["files"]
        ids.append(file["media"]["id"])
        refused(academy.rpc(stranger, "add_media_captions", media_id=ids[-1], **wanted), 404, "course_not_found")
        made = academy.rpc(teacher, "add_media_captions", media_id=ids[-1], **wanted)
        assert made.status_code == 200, made.text
    rows = academy.call(teacher, "GET", f"/rest/v1/media_captions?lesson_media_id=eq.{shown['id']}").json()
    assert [row["media_id"] for row in rows] == ids[1:]
    refused(edge(academy, teacher, "GET", f"/media/{ids[0]}"), 410, "media_deleted")
