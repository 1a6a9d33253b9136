"""Qualifications from elsewhere: the documents that prove them, and their verification."""

import uuid
from typing import Any

import pytest

from tests.identity.test_accounts import history
from tests.identity.test_profiles import upload
from tests.identity.test_stats import figures
from tests.people import Academy, Person, concurrently, refused, rows

QUALIFICATIONS = "/rest/v1/user_qualifications"
SHOWN = {"prefer": "return=representation"}
PDF = b"%PDF-1.7\n"


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
    """The qualifications of the user."""
    return academy.insert(person, "user_qualifications", title="Master potter", url="https://example.com/guild/12")


def verified(academy: Academy, qualification: dict[str, Any]) -> bool:
    [(is_verified,)] = academy.sql(
        "select is_verified from public.user_qualifications where id = %s", qualification["id"]
    )
    return bool(is_verified)


@pytest.mark.route("WC-126", call="POST /rest/v1/user_qualifications")
@pytest.mark.route(
    "WC-037", "WC-113", "WC-125", call="GET /rest/v1/user_qualifications?user_id=eq.{user_id}&is_verified=is.true"
)
def test_a_user_adds_qualifications_and_lists_verified_ones(
    academy: Academy, person: Person, stranger: Person, moderator: Person
) -> None:
    academy.sql("update public.profiles set is_public = false where id = %s", person.id)
    path = f"{person.id}/{uuid.uuid4()}.pdf"
    for body in (
        {"title": "Master potter", "issuer": "Guild of Porto", "url": "https://example.com/12"},
        {"title": "Kiln builder", "document_path": path},
    ):
        (made,) = rows(academy.call(person, "POST", QUALIFICATIONS, body, **SHOWN))
        assert (made["is_verified"], made["verified_at"]) == (False, None)
        assert academy.call(None, "POST", QUALIFICATIONS, body).status_code == 401
    for conclusion in ({"is_verified": True}, {"verified_at": "2026-01-01T00:00:00Z"}):
        assert academy.call(person, "POST", QUALIFICATIONS, {"title": "Fake"} | conclusion).status_code == 403
        one = f"{QUALIFICATIONS}?id=eq.{made['id']}"
        for who in (person, moderator):
            assert academy.call(who, "PATCH", one, conclusion).status_code == 403
    for wrong in (f"{stranger.id}/{uuid.uuid4()}.pdf", f"{person.id}/passport.pdf", f"{person.id}/../{uuid.uuid4()}"):
        refusal = academy.call(person, "POST", QUALIFICATIONS, {"title": "x", "document_path": wrong})
        assert (refusal.status_code, refusal.json()["code"]) == (400, "23514")

    answer = academy.rpc(moderator, "verify_qualification", qualification_id=made["id"])
    assert (answer.status_code, answer.json()["is_verified"]) == (200, True), answer.text
    listed = f"{QUALIFICATIONS}?user_id=eq.{person.id}&is_verified=is.true&order=position"
    for who in (person, moderator):
        assert [row["title"] for row in rows(academy.call(who, "GET", listed))] == ["Kiln builder"]
    for nobody in (stranger, None):
        assert rows(academy.call(nobody, "GET", listed)) == []
    waiting = (
        f"{QUALIFICATIONS}?is_verified=is.false&or=(url.not.is.null,document_path.not.is.null)&order=created_at,id"
        f"&user_id=eq.{person.id}"
    )
    assert [row["title"] for row in rows(academy.call(moderator, "GET", waiting))] == ["Master potter"]


def test_only_moderators_verify_and_never_their_own(
    academy: Academy, person: Person, stranger: Person, moderator: Person, qualification: dict[str, Any]
) -> None:
    call = {"qualification_id": qualification["id"]}
    for who in (person, stranger):
        refused(academy.rpc(who, "verify_qualification", **call), 403, "role_required")
    assert academy.rpc(None, "verify_qualification", **call).status_code == 401
    own = academy.insert(moderator, "user_qualifications", title="Judge")
    refused(academy.rpc(moderator, "verify_qualification", qualification_id=own["id"]), 403, "target_protected")
    unknown = {"qualification_id": str(uuid.uuid4())}
    refused(academy.rpc(moderator, "verify_qualification", **unknown), 404, "qualification_not_found")
    refused(academy.rpc(moderator, "verify_qualification", **call, is_verified=None), 422, "decision_missing")
    assert not verified(academy, qualification)

    answers = concurrently(3, lambda _: academy.rpc(moderator, "verify_qualification", **call))
    assert {answer.status_code for answer in answers} == {200}
    assert figures(academy, person) == {"verified_qualification_count": 1}
    assert academy.rpc(moderator, "verify_qualification", **call, is_verified=False).status_code == 200
    assert figures(academy, person) == {}
    admin = academy.member("admin")
    path = f"/rest/v1/audit_log?target_id=eq.{qualification['id']}&order=id"
    audited = [(entry["action"], entry["actor_id"]) for entry in rows(academy.call(admin, "GET", path))]
    assert audited == [("qualification.verify", moderator.id), ("qualification.unverify", moderator.id)]
    assert history(academy, admin, person) == []


@pytest.mark.parametrize(
    "change",
    [{"title": "Grand master"}, {"issuer": "Me"}, {"url": None}, {"awarded_on": "2001-01-01"}, {"document_path": ""}],
)
def test_a_change_clears_the_verification(
    academy: Academy, person: Person, moderator: Person, qualification: dict[str, Any], change: dict[str, str | None]
) -> None:
    assert academy.rpc(moderator, "verify_qualification", qualification_id=qualification["id"]).status_code == 200
    one = f"{QUALIFICATIONS}?id=eq.{qualification['id']}"
    assert academy.call(person, "PATCH", one, {"position": 7, "title": "Master potter"}).status_code == 204
    assert verified(academy, qualification)
    if "document_path" in change:
        change = {"document_path": f"{person.id}/{uuid.uuid4()}.pdf"}
    assert academy.call(person, "PATCH", one, change).status_code == 204
    assert not verified(academy, qualification)
    assert figures(academy, person) == {}
    # The same by an upsert.
    assert academy.rpc(moderator, "verify_qualification", qualification_id=qualification["id"]).status_code == 200
    over = {"title": "Emperor"}
    again = academy.call(person, "PATCH", one, over, **SHOWN)
    assert [row["is_verified"] for row in rows(again)] == [False]


def test_a_deleted_verified_qualification_is_not_counted(
    academy: Academy, person: Person, stranger: Person, moderator: Person, qualification: dict[str, Any]
) -> None:
    academy.rpc(moderator, "verify_qualification", qualification_id=qualification["id"])
    counts = f"/rest/v1/user_stats?user_id=in.({person.id},{stranger.id})&select=user_id,verified_qualification_count"
    assert {row["user_id"]: row["verified_qualification_count"] for row in rows(academy.call(None, "GET", counts))} == {
        person.id: 1,
        stranger.id: 0,
    }
    assert academy.call(person, "DELETE", f"{QUALIFICATIONS}?id=eq.{qualification['id']}").status_code == 204
    assert figures(academy, person) == {}


def test_only_owner_and_moderators_read_a_document(
    academy: Academy, person: Person, stranger: Person, moderator: Person
) -> None:
    path = f"qualifications/{person.id}/{uuid.uuid4()}.pdf"
    for who in (stranger, moderator, None):
        assert upload(academy, who, path, PDF, "application/pdf").status_code in {400, 401, 403}
    assert upload(academy, person, path, PDF, "application/pdf").status_code == 200
    assert upload(academy, person, f"qualifications/{person.id}/x.html", b"<p>", "text/html").status_code in {400, 415}

    def fetched(who: Person | None) -> int:
        return academy.call(who, "GET", f"/storage/v1/object/authenticated/{path}").status_code

    assert [fetched(who) for who in (person, moderator)] == [200, 200]
    for who in (stranger, None):
        assert fetched(who) in {400, 401, 403, 404}
    assert academy.http.get(f"/storage/v1/object/public/{path}").status_code in {400, 404}
    # A document that moderators may have read is not replaced.
    headers = {"apikey": academy.publishable_key, "authorization": f"Bearer {person.token}", "x-upsert": "true"}
    headers["content-type"] = "application/pdf"
    over = academy.http.post(f"/storage/v1/object/{path}", content=PDF + b"other", headers=headers)
    assert over.status_code in {400, 403}
    found = rows(academy.rpc(person, "personal_files", user_id=person.id))
    assert found == [{"bucket_id": "qualifications", "name": path.partition("/")[2]}]
    refused(academy.rpc(person, "delete_account"), 409, "files_remain")


@pytest.mark.route("WC-124", call="GET /rest/v1/rpc/teaching_status")
def test_a_user_reads_the_own_teaching_status(
    academy: Academy, person: Person, moderator: Person, qualification: dict[str, Any]
) -> None:
    def status() -> dict[str, Any]:
        answer = academy.call(person, "GET", "/rest/v1/rpc/teaching_status")
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found

    assert academy.call(None, "GET", "/rest/v1/rpc/teaching_status").status_code == 401
    assert status() == {
        "can_teach": False, "application": None, "qualification_count": 1, "verified_qualification_count": 0
    }  # fmt: skip
    application = academy.rpc(person, "apply_to_teach", motivation="To pass it on.").json()
    academy.rpc(moderator, "verify_qualification", qualification_id=qualification["id"])
    waiting = status()
    assert waiting["application"]["status"] == "pending"
    assert "decided_by" not in waiting["application"]
    assert (waiting["can_teach"], waiting["verified_qualification_count"]) == (False, 1)
    admin = academy.member("admin")
    decision = {"application_id": application["id"], "is_approved": True, "note": "Welcome."}
    assert academy.rpc(admin, "decide_teacher_application", **decision).status_code == 200
    decided = status()
    assert (decided["can_teach"], decided["application"]["decision_note"]) == (True, "Welcome.")
