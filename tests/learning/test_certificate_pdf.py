"""Certificates as PDF files: for callers who may read them, while they are valid."""

import io

import httpx
import pypdf
import pytest

from tests.people import Academy, Course, Person, refused


def words_of(answer: httpx.Response) -> str:
    """The text of a certificate file."""
    assert answer.status_code == 200, answer.text
    [page] = pypdf.PdfReader(io.BytesIO(answer.content)).pages
    return " ".join(page.extract_text().split())


@pytest.mark.route("PL-181", call="GET /functions/v1/certificates/{certificate_id}/pdf")
def test_a_certificate_is_printed_while_it_is_valid(
    academy: Academy, enrolled: Person, stranger: Person, course: Course
) -> None:
    academy.call(
        enrolled, "PATCH", f"/rest/v1/profiles?id=eq.{enrolled.id}", {"display_name": "王小明", "is_public": False}
    )
    admin = academy.member("admin")
    enrolment = academy.sql("select id::text from public.enrolments where student_id = %s", enrolled.id)[0][0]
    pending = academy.rpc(course.teacher, "recommend_certificate", enrolment_id=enrolment).json()
    path = f"/functions/v1/certificates/{pending['id']}/pdf"
    for who in (enrolled, course.teacher, admin):
        refused(academy.call(who, "GET", path), 409, "certificate_not_issued")

    assert academy.rpc(course.teacher, "issue_certificate", certificate_id=pending["id"]).status_code == 200
    for who in (enrolled, course.teacher, admin):
        printed = academy.call(who, "GET", path)
        assert "王小明" in words_of(printed)
        assert pending["code"] in words_of(printed)
        assert printed.headers["content-type"] == "application/pdf"
        assert printed.headers["content-disposition"].startswith("attachment; ")
    # Nobody else learns that a hidden holder has one.
    for who in (stranger, academy.member()):
        refused(academy.call(who, "GET", path), 404, "certificate_not_found")
    assert academy.call(None, "GET", path).status_code == 401

    # A cached copy does not outlive a revocation, and is valid again after reinstatement.
    tag = printed.headers["etag"]
    assert academy.call(enrolled, "GET", path, if_none_match=tag).status_code == 304
    assert academy.rpc(admin, "revoke_certificate", certificate_id=pending["id"], reason="Bought").status_code == 200
    refused(academy.call(enrolled, "GET", path), 409, "certificate_not_issued")
    refused(academy.call(enrolled, "GET", path, if_none_match=tag), 409, "certificate_not_issued")
    assert academy.rpc(admin, "reinstate_certificate", certificate_id=pending["id"]).status_code == 200
    assert academy.call(enrolled, "GET", path, if_none_match=tag).status_code == 304
    assert academy.call(enrolled, "GET", path).content == printed.content
