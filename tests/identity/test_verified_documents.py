"""A verification holds for the document that the moderator read, and for no other."""

import uuid
from typing import Any

import httpx
import pytest

from tests.identity.test_profiles import upload
from tests.identity.test_qualifications import PDF, QUALIFICATIONS, verified
from tests.identity.test_stats import figures
from tests.people import Academy, Person, refused, rows


@pytest.fixture
def person(academy: Academy) -> Person:
    """A user who wants to teach."""
    return academy.member(name="Nadia Rahman")


@pytest.fixture
def moderator(academy: Academy) -> Person:
    """A moderator who verifies."""
    return academy.member("moderator")


@pytest.fixture
def qualification(academy: Academy, person: Person) -> dict[str, Any]:
    """A qualification with its document."""
    name = f"{person.id}/{uuid.uuid4()}.pdf"
    assert upload(academy, person, f"qualifications/{name}", PDF, "application/pdf").status_code == 200
    return academy.insert(person, "user_qualifications", title="Master potter", document_path=name)


def read(academy: Academy, who: Person, qualification: dict[str, Any]) -> dict[str, Any]:
    (row,) = rows(academy.call(who, "GET", f"{QUALIFICATIONS}?id=eq.{qualification['id']}"))
    return row


def verify(academy: Academy, moderator: Person, qualification: dict[str, Any]) -> httpx.Response:
    version = read(academy, moderator, qualification)["content_version"]
    return academy.rpc(moderator, "verify_qualification", qualification_id=qualification["id"], content_version=version)


def remove(academy: Academy, who: Person, qualification: dict[str, Any]) -> None:
    answer = academy.call(
        who, "DELETE", "/storage/v1/object/qualifications", {"prefixes": [qualification["document_path"]]}
    )
    assert len(answer.json()) == 1, answer.text


def upload_link(academy: Academy, who: Person, path: str, *, upsert: bool = False) -> str:
    """A link that permits one upload to a path."""
    more = {"x_upsert": "true"} if upsert else {}
    answer = academy.call(who, "POST", f"/storage/v1/object/upload/sign/{path}", {}, **more)
    assert answer.status_code == 200, answer.text
    url: str = answer.json()["url"]
    return url


def put_link(academy: Academy, url: str, content: bytes, kind: str = "application/pdf") -> httpx.Response:
    """Upload by such a link."""
    headers = {"apikey": academy.publishable_key, "content-type": kind}
    return academy.http.put(f"/storage/v1{url}", content=content, headers=headers)


def test_a_document_that_is_deleted_and_uploaded_again_is_not_verified(
    academy: Academy, person: Person, moderator: Person, qualification: dict[str, Any]
) -> None:
    first = qualification["content_version"]
    assert verify(academy, moderator, qualification).json()["is_verified"] is True
    remove(academy, person, qualification)
    gone = read(academy, moderator, qualification)
    assert (gone["is_verified"], figures(academy, person)) == (False, {})
    assert gone["content_version"] != first
    path = f"qualifications/{qualification['document_path']}"
    assert upload(academy, person, path, PDF + b"another", "application/pdf").status_code == 200
    again = read(academy, moderator, qualification)
    assert again["is_verified"] is False
    assert again["content_version"] not in {gone["content_version"], first}
    # It waits for a decision again.
    queue = f"{QUALIFICATIONS}?is_verified=is.false&user_id=eq.{person.id}"
    assert len(rows(academy.call(moderator, "GET", queue))) == 1


def test_a_document_that_a_link_replaces_is_not_verified(
    academy: Academy, person: Person, moderator: Person, qualification: dict[str, Any]
) -> None:
    path = f"qualifications/{qualification['document_path']}"
    remove(academy, person, qualification)
    url = upload_link(academy, person, path)
    assert upload(academy, person, path, PDF, "application/pdf").status_code == 200
    assert verify(academy, moderator, qualification).json()["is_verified"] is True
    # The link may not overwrite what is there.
    assert put_link(academy, url, PDF + b"mine").json()["statusCode"] == "409"
    assert verified(academy, qualification)
    remove(academy, person, qualification)
    assert put_link(academy, url, PDF + b"mine").status_code == 200
    assert not verified(academy, qualification)


def test_a_document_that_changes_in_any_other_way_is_not_verified(
    academy: Academy, person: Person, moderator: Person, qualification: dict[str, Any]
) -> None:
    name = qualification["document_path"]
    assert verify(academy, moderator, qualification).json()["is_verified"] is True
    key = {"apikey": academy.secret_key, "content-type": "application/pdf", "x-upsert": "true"}
    over = academy.http.post(f"/storage/v1/object/qualifications/{name}", content=PDF + b"over", headers=key)
    assert over.status_code == 200
    assert not verified(academy, qualification)
    assert verify(academy, moderator, qualification).json()["is_verified"] is True
    body = {"bucketId": "qualifications", "sourceKey": name, "destinationKey": f"{person.id}/{uuid.uuid4()}.pdf"}
    moved = academy.http.post("/storage/v1/object/move", json=body, headers={"apikey": academy.secret_key})
    assert moved.status_code == 200, moved.text
    assert not verified(academy, qualification)


def test_a_moderator_decides_on_the_document_that_they_read(
    academy: Academy, person: Person, moderator: Person, qualification: dict[str, Any]
) -> None:
    seen = read(academy, moderator, qualification)["content_version"]
    call = {"qualification_id": qualification["id"]}
    refused(academy.rpc(moderator, "verify_qualification", **call), 409, "qualification_changed")
    remove(academy, person, qualification)
    path = f"qualifications/{qualification['document_path']}"
    assert upload(academy, person, path, PDF + b"swapped", "application/pdf").status_code == 200
    for version in (seen, None):
        refused(academy.rpc(moderator, "verify_qualification", **call, content_version=version), 409,
                "qualification_changed")  # fmt: skip
    assert not verified(academy, qualification)
    assert verify(academy, moderator, qualification).status_code == 200
    # What it claims is part of it.
    seen = read(academy, moderator, qualification)["content_version"]
    one = f"{QUALIFICATIONS}?id=eq.{qualification['id']}"
    assert academy.call(person, "PATCH", one, {"title": "Grand master"}).status_code == 204
    refused(academy.rpc(moderator, "verify_qualification", **call, content_version=seen), 409, "qualification_changed")
    assert verify(academy, moderator, qualification).status_code == 200
    # The order of the list is not.
    assert academy.call(person, "PATCH", one, {"position": 3}).status_code == 204
    assert verified(academy, qualification)
    # To take it back needs no version.
    assert academy.rpc(moderator, "verify_qualification", **call, is_verified=False).status_code == 200
    for conclusion in ({"content_version": seen}, {"is_verified": True}):
        assert academy.call(person, "PATCH", one, conclusion).status_code == 403
