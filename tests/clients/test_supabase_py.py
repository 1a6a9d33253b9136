"""The main story with the official Python client, unmodified: from signing up to the certificate."""

import re
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import httpx
import pytest
from supabase import Client, ClientOptions, create_client
from supabase_auth.errors import AuthApiError

from tests.conftest import Stack, wait_for_mail
from tests.people import PASSWORD, Academy

PNG = bytes.fromhex(
    "89504e470d0a1a0a0000000d4948445200000001000000010804000000b51c0c020000000b4944415478da6364f80f00010501012718e3660000000049454e44ae426082"
)


def run(request: Any) -> Any:
    """The data of an answer, whose type only the test knows."""
    return request.execute().data


@pytest.fixture
def connect(stack: Stack) -> Iterator[Callable[[], Client]]:
    """Makes clients, each with a connection pool that is closed in the end: the clients close none."""
    with ExitStack() as pools:

        def new_client() -> Client:
            http = pools.enter_context(httpx.Client(timeout=20))
            options = ClientOptions(auto_refresh_token=False, persist_session=False, httpx_client=http)
            return create_client(stack.api_url, stack.publishable_key, options)

        yield new_client


def code_for(stack: Stack, address: str, subject: str) -> str:
    found = re.search(r"\b\d{6}\b", str(wait_for_mail(stack, address, subject)["text"]))
    assert found
    return found[0]


# How the client makes its parts is its own business.
@pytest.mark.filterwarnings("ignore:The '.*' parameter is deprecated:DeprecationWarning")
def test_the_main_story(stack: Stack, academy: Academy, connect: Callable[[], Client]) -> None:
    email = f"{uuid.uuid4().hex}@example.com"
    student = connect()

    # Sign up, confirm by mail, sign in, refresh.
    signed_up = student.auth.sign_up(
        {"email": email, "password": PASSWORD, "options": {"data": {"display_name": "Léa Dubois"}}}
    )
    assert signed_up.session is None
    with pytest.raises(AuthApiError) as refused:
        student.auth.sign_in_with_password({"email": email, "password": PASSWORD})
    assert refused.value.code == "email_not_confirmed"
    confirmed = student.auth.verify_otp({"email": email, "token": code_for(stack, email, "confirm"), "type": "email"})
    assert confirmed.user is not None
    user_id = confirmed.user.id
    student.auth.sign_in_with_password({"email": email, "password": PASSWORD})
    refreshed = student.auth.refresh_session()
    assert refreshed.session is not None

    # Profile and avatar.
    path = f"{user_id}/face.png"
    student.storage.from_("avatars").upload(path, PNG, {"content-type": "image/png"})
    change = {"headline": "New here", "avatar_path": path}
    changed = run(student.table("profiles").update(change).eq("id", user_id))
    assert changed[0]["display_name"] == "Léa Dubois"
    assert httpx.get(student.storage.from_("avatars").get_public_url(path)).content == PNG

    # A teacher's course; the student finds it, enrols, reads.
    teacher = academy.person("teacher", name="Noor Haddad")
    course = academy.course(teacher)
    found = run(student.table("courses").select("id, modules(lessons(id))").eq("slug", course.slug))
    assert found[0]["id"] == course.id
    run(student.rpc("enrol", {"course_id": course.id}))
    contents = run(student.table("lesson_contents").select("body").eq("course_id", course.id))
    assert len(contents) == len(course.lesson_ids)
    for lesson_id in course.lesson_ids:
        run(student.rpc("record_progress", {"lesson_id": lesson_id, "is_completed": True}))

    # The quiz, and the certificate that anyone verifies.
    attempt = run(student.rpc("submit_quiz", {"quiz_id": course.quiz_id, "answers": course.correct_answers}))
    assert attempt["is_passed"]
    enrolment = run(student.table("enrolments").select("status").eq("course_id", course.id))
    assert enrolment == [{"status": "completed"}]
    verified = run(connect().rpc("verify_certificate", {"code": attempt["certificate"]["code"]}))
    assert (verified["holder_name"], verified["is_valid"]) == ("Léa Dubois", True)
    pdf = student.functions.invoke(
        f"certificates/{attempt['certificate']['id']}/pdf", {"method": "GET", "responseType": "arraybuffer"}
    )
    assert isinstance(pdf, bytes)
    assert pdf.startswith(b"%PDF-")

    # Reset the password, and sign out.
    student.auth.reset_password_for_email(email)
    student.auth.verify_otp({"email": email, "token": code_for(stack, email, "reset"), "type": "recovery"})
    student.auth.update_user({"password": "another horse battery"})
    student.auth.sign_out()
    with pytest.raises(AuthApiError) as stale:
        student.auth.sign_in_with_password({"email": email, "password": PASSWORD})
    assert stale.value.code == "invalid_credentials"
    student.auth.sign_in_with_password({"email": email, "password": "another horse battery"})
