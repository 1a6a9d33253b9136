"""Thumbnails of courses."""

from typing import Any

import pytest

from tests.people import Academy, Course, Person, rows

PNG = b"\x89PNG\r\n\x1a\n" + b"\0" * 64


def upload(academy: Academy, who: Person | None, path: str, content: bytes = PNG, kind: str = "image/png") -> Any:
    """Put a file into the bucket."""
    headers = {"apikey": academy.publishable_key, "content-type": kind, "x-upsert": "true"}
    if who is not None:
        headers["authorization"] = f"Bearer {who.token}"
    return academy.http.post(f"/storage/v1/object/course-thumbnails/{path}", content=content, headers=headers)


def refused_with(answer: Any, status: str) -> bool:
    """Whether storage refused with this."""
    return (answer.status_code, answer.json()["statusCode"]) == (400, status)


@pytest.mark.route("PL-037", call="POST /storage/v1/object/course-thumbnails/{course_id}/{file}")
def test_a_creator_uploads_a_thumbnail(academy: Academy, stranger: Person, student: Person, admin: Person) -> None:
    creator = academy.member("teacher")
    course, other = academy.course(creator), academy.course(stranger)
    path = f"{course.id}/cover.png"
    for who in (stranger, student, admin, None):
        assert refused_with(upload(academy, who, path), "403")
    for _ in range(2):
        assert upload(academy, creator, path).status_code == 200
    assert refused_with(upload(academy, creator, f"{other.id}/cover.png"), "403")
    assert refused_with(upload(academy, creator, "cover.png"), "403")
    assert refused_with(upload(academy, creator, f"{course.id}/page.html", b"<p>", "text/html"), "415")
    assert refused_with(upload(academy, creator, path, b"\0" * (4 * 1024 * 1024 + 1)), "413")

    own = f"/rest/v1/courses?id=eq.{course.id}"
    assert academy.call(creator, "PATCH", own, {"thumbnail_path": path}).status_code == 204
    (shown,) = rows(academy.call(None, "GET", f"{own}&select=thumbnail_path"))
    seen = academy.http.get(f"/storage/v1/object/public/course-thumbnails/{shown['thumbnail_path']}")
    assert (seen.status_code, seen.content, seen.headers["content-type"]) == (200, PNG, "image/png")
    foreign = academy.call(creator, "PATCH", own, {"thumbnail_path": f"{other.id}/cover.png"})
    assert (foreign.status_code, foreign.json()["code"]) == (400, "23514"), foreign.text
    assert "courses_thumbnail_path_check" in foreign.json()["message"]


def test_a_former_teacher_cannot_upload_a_thumbnail(academy: Academy) -> None:
    retired, suspended = academy.member("teacher"), academy.member("teacher")
    for creator in (retired, suspended):
        course = academy.course(creator)
        if creator is retired:
            academy.sql("delete from public.user_roles where user_id = %s", creator.id)
        else:
            academy.suspend(creator)
        assert refused_with(upload(academy, creator, f"{course.id}/cover.png"), "403")


def test_nobody_lists_thumbnails_of_others(academy: Academy, teacher: Person, stranger: Person, draft: Course) -> None:
    assert upload(academy, teacher, f"{draft.id}/cover.png").status_code == 200
    found = {
        who: [
            file["name"]
            for file in academy.call(
                who, "POST", "/storage/v1/object/list/course-thumbnails", {"prefix": draft.id}
            ).json()
        ]
        for who in (teacher, stranger)
    }
    assert found == {teacher: ["cover.png"], stranger: []}
