"""Nobody gains a role by other means than an admin's function: `user_roles` decides, and only it writes the table."""

import pytest

from tests.people import Academy, Person, refused, rows
from tests.security.asserts import denied
from tests.security.conftest import School


@pytest.mark.parametrize("role", ["teacher", "moderator", "admin", "superadmin"])
def test_nobody_grants_themself_a_role(academy: Academy, school: School, role: str) -> None:
    for person in (school.stranger, school.teacher, school.moderator):
        row = {"user_id": person.id, "role": role}
        denied(academy.call(person, "POST", "/rest/v1/user_roles", row))
        denied(academy.call(person, "POST", "/rest/v1/user_roles", row, prefer="resolution=merge-duplicates"))
        denied(academy.call(person, "PATCH", f"/rest/v1/user_roles?user_id=eq.{person.id}", {"role": role}))
        refused(academy.rpc(person, "grant_role", **row), 403, "role_required")


def test_admin_makes_no_admin(academy: Academy, school: School) -> None:
    admin = academy.member("admin")
    for role in ("admin", "superadmin"):
        refused(academy.rpc(admin, "grant_role", user_id=admin.id, role=role), 403, "role_required")
        refused(academy.rpc(admin, "revoke_role", user_id=school.teacher.id, role=role), 403, "role_required")


def test_user_metadata_is_no_role(academy: Academy) -> None:
    person = academy.person()
    boast = {"role": "admin", "user_role": "superadmin", "is_admin": True, "app_metadata": {"role": "admin"}}
    for more in ({"role": "service_role"}, {"app_metadata": boast}, {"raw_app_meta_data": boast}):
        academy.call(person, "PUT", "/auth/v1/user", {"data": boast, **more})
    told = academy.call(person, "PUT", "/auth/v1/user", {"data": boast})
    assert told.json()["user_metadata"]["role"] == "admin", told.text
    again = Person(id=person.id, email=person.email, token=academy.sign_in(person.email))
    claims = academy.call(again, "GET", "/auth/v1/user").json()
    assert claims["role"] == "authenticated"
    assert "role" not in claims["app_metadata"]
    refused(academy.rpc(again, "grant_role", user_id=person.id, role="admin"), 403, "role_required")
    assert rows(academy.call(again, "GET", "/rest/v1/user_roles")) == []


def test_roles_in_a_token_are_ignored(academy: Academy, school: School) -> None:
    """Even in a token that auth signed: policies look the row up."""
    claims = {
        "sub": school.stranger.id,
        "aud": "authenticated",
        "role": "authenticated",
        "exp": 2**32,
        "user_role": "superadmin",
        "app_metadata": {"role": "superadmin", "user_role": "superadmin"},
        "user_metadata": {"role": "superadmin", "user_role": "superadmin"},
    }
    boaster = Person(id=school.stranger.id, email="", token=academy.keys.sign(claims))
    refused(academy.rpc(boaster, "grant_role", user_id=boaster.id, role="teacher"), 403, "role_required")
    assert rows(academy.call(boaster, "GET", "/rest/v1/audit_log")) == []
    denied(academy.call(boaster, "POST", "/rest/v1/courses", {"title": "Mine"}))


def test_revoked_role_and_suspension_hold_with_a_live_token(academy: Academy) -> None:
    teacher = academy.member("teacher")
    course = academy.course(teacher, published=False)
    academy.sql("delete from public.user_roles where user_id = %s", teacher.id)
    denied(academy.call(teacher, "POST", "/rest/v1/courses", {"title": "Another"}))
    refused(academy.rpc(teacher, "publish_course", course_id=course.id), 404, "course_not_found")
    academy.suspend(teacher)
    refused(academy.rpc(teacher, "enrol", course_id=course.id), 403, "account_inactive")
    own = f"/rest/v1/profiles?id=eq.{teacher.id}"
    assert rows(academy.call(teacher, "PATCH", own, {"bio": "x"}, prefer="return=representation")) == []


def test_deleted_account_writes_nothing_with_a_live_token(academy: Academy, school: School) -> None:
    person = academy.person()
    gone = academy.http.delete(f"/auth/v1/admin/users/{person.id}", headers={"apikey": academy.secret_key})
    assert gone.is_success
    refused(academy.rpc(person, "enrol", course_id=school.free.id), 403, "account_inactive")
    own = f"/rest/v1/profiles?id=eq.{person.id}"
    assert rows(academy.call(person, "PATCH", own, {"bio": "x"}, prefer="return=representation")) == []
