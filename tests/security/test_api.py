"""Only the schema public is served, only what is granted of it, and API keys are not people."""

import json

import httpx
import pytest

from tests.conftest import Stack
from tests.people import Academy, refused
from tests.security.asserts import denied
from tests.security.conftest import School
from tests.security.wire import Wire


@pytest.mark.parametrize("schema", ["private", "auth", "storage", "extensions", "pg_catalog", "supabase_migrations"])
def test_no_other_schema_is_served(academy: Academy, school: School, schema: str) -> None:
    for person in (None, school.stranger):
        read = academy.call(person, "GET", "/rest/v1/accounts", accept_profile=schema)
        written = academy.call(
            person, "POST", "/rest/v1/accounts", {"user_id": school.stranger.id}, content_profile=schema
        )
        called = academy.call(person, "POST", "/rest/v1/rpc/audit", {}, content_profile=schema)
        for answer in (read, written, called):
            assert (answer.status_code, answer.json()["code"]) == (406, "PGRST106")
            assert "public" in answer.json()["message"]


def test_private_functions_are_not_callable(academy: Academy, school: School) -> None:
    names = [
        name for (name,) in academy.sql("select proname from pg_proc where pronamespace = 'private'::regnamespace")
    ]
    shared = {
        name for (name,) in academy.sql("select proname from pg_proc where pronamespace = 'public'::regnamespace")
    }
    assert len(names) > 20
    hidden = {*names} - shared | {"pg_sleep", "set_config", "lo_export", "crypt"}
    headers = {"apikey": academy.publishable_key}
    callers = (headers, {**headers, "Authorization": f"Bearer {school.moderator.token}"})
    with Wire(academy.http.base_url.port or 80) as wire:  # the fast client of the probes
        served = [
            name
            for name in sorted(hidden)
            for caller in callers
            if wire.ask("POST", f"/rest/v1/rpc/{name}", body={}, headers=caller).status != 404
        ]
    assert not served


def test_openapi_needs_the_secret_key(academy: Academy, school: School) -> None:
    for person in (None, school.moderator):
        refused(academy.call(person, "GET", "/rest/v1/"), 401, "Access to schema is forbidden")
    shown = academy.http.get("/rest/v1/", headers={"apikey": academy.secret_key})
    assert shown.status_code == 200
    assert {path.split("/")[1] for path in shown.json()["paths"]} >= {"profiles"}


def test_openapi_of_postgrest_shows_no_private_name(academy: Academy, stack: Stack) -> None:
    port = httpx.URL(stack.api_url).port
    assert port is not None
    document = httpx.get(f"http://127.0.0.1:{port + 8}/").json()
    tables = {path.strip("/") for path in document["paths"] if not path.startswith("/rpc/")} - {""}
    readable = academy.sql(
        "select relname from pg_class where relnamespace = 'public'::regnamespace and relkind in ('r', 'v')"
        " and has_table_privilege('anon', oid, 'select')"
    )
    assert tables == {name for (name,) in readable}
    assert "private" not in json.dumps([document["paths"], document["definitions"]])


def test_functions_are_not_columns(academy: Academy, school: School) -> None:
    """PostgREST shows a function of a row as a column, which no policy restricts."""
    found = academy.sql(
        "select p.oid::regprocedure::text from pg_proc as p join pg_type as t on t.oid = p.proargtypes[0]"
        " where p.pronamespace = 'public'::regnamespace and t.typtype = 'c'"
    )
    assert found == []
    for name in ("publish_course", "email", "creator_email"):
        assert academy.call(school.stranger, "GET", f"/rest/v1/courses?select={name}").status_code == 400


def test_aggregates_are_off(academy: Academy, school: School) -> None:
    for select in ("points.avg()", "points.sum()", "count()", "student_id,points.max()"):
        answer = academy.call(school.stranger, "GET", f"/rest/v1/quiz_attempts?select={select}")
        assert answer.status_code == 400, select


def test_secret_key_is_not_a_user(academy: Academy, school: School) -> None:
    """It reads past every policy, and cannot call the functions of users."""
    for name, arguments in (
        ("enrol", {"course_id": school.free.id}),
        ("grant_role", {"user_id": school.stranger.id, "role": "admin"}),
        ("publish_course", {"course_id": school.draft.id}),
        ("submit_quiz", {"quiz_id": school.free.quiz_id, "answers": {}}),
    ):
        headers = {"apikey": academy.secret_key}
        denied(academy.http.post(f"/rest/v1/rpc/{name}", json=arguments, headers=headers))


def test_secret_key_writes_no_conclusion(academy: Academy, school: School) -> None:
    for table in (
        "certificates", "enrolments", "quiz_attempts", "lesson_progress", "user_roles", "user_stats", "audit_log",
    ):  # fmt: skip
        for method in ("POST", "PATCH", "DELETE"):
            path = f"/rest/v1/{table}" if method == "POST" else f"/rest/v1/{table}?{key_of(table)}=not.is.null"
            body = None if method == "DELETE" else {key_of(table): str(school.stranger.id)}
            denied(academy.http.request(method, path, json=body, headers={"apikey": academy.secret_key}))


def key_of(table: str) -> str:
    """A column that the table has."""
    return {"audit_log": "actor_id", "user_roles": "user_id", "user_stats": "user_id"}.get(table, "student_id")


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "rpc/enrol"),
        ("POST", "rpc/%65nrol"),
        ("POST", "%72pc/enrol"),
        ("GET", "rpc/course_access?course_id=00000000-0000-4000-8000-000000000000"),
        ("GET", "%72pc/course_access?course_id=00000000-0000-4000-8000-000000000000"),
        ("POST", "follows"),
        ("POST", "%66ollows"),
        ("PUT", "profiles?id=eq.00000000-0000-4000-8000-000000000000"),
        ("PATCH", "profiles?id=eq.00000000-0000-4000-8000-000000000000"),
        ("DELETE", "follows?followee_id=eq.00000000-0000-4000-8000-000000000000"),
    ],
)
def test_a_signed_out_caller_is_asked_to_sign_in(academy: Academy, method: str, path: str) -> None:
    bodies = {
        "enrol": {"course_id": "00000000-0000-4000-8000-000000000000"},
        "ollows": {"followee_id": "00000000-0000-4000-8000-000000000000"},
        "profiles": {"id": "00000000-0000-4000-8000-000000000000", "display_name": "Nobody"},
    }
    body = None
    if method not in {"GET", "DELETE"}:
        body = next(each for word, each in bodies.items() if word in path.replace("%65", "e"))
    refused(academy.call(None, method, f"/rest/v1/{path}", body), 401, "sign_in_required")


def test_a_signed_out_caller_reads_and_calls_what_is_open(academy: Academy) -> None:
    for path in ("courses?select=id&limit=1", "rpc/error_catalogue", "rpc/%65rror_catalogue"):
        assert academy.call(None, "GET", f"/rest/v1/{path}").status_code == 200
