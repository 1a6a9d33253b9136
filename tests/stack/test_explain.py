"""`./guildhall explain` shows what PostgREST does with a request and why, and changes nothing."""

import json
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from stack.errors import StackError
from stack.explain import as_text, explain
from stack.explain.catalog import Catalog, Table
from stack.explain.inquiry import Inquiry
from stack.explain.report import Check, Person, Relation, Report, Row
from stack.explain.request import read, split
from stack.explain.servers import Servers, running
from stack.state import Folder
from stack.tools.project import GUILDHALL
from tests.conftest import Stack
from tests.databases import Databases
from tests.people import Academy, Course
from tests.people import Person as Member
from tests.run_stack import guildhall
from tests.security.worlds import build_world

CALLERS = ("creator", "student", "suspended", "moderator", "superadmin")
"""People of the test world who can select different rows."""


class Explainer:
    """Explains requests with one connection and one pair of servers for all."""

    def __init__(self, folder: Folder, connection: psycopg.Connection, servers: Servers) -> None:
        self.folder = folder
        self.connection = connection
        self.servers = servers

    def __call__(self, caller: Member | str, method: str, path: str, body: Any = None) -> Report:
        """The report on a request."""
        with self.connection.transaction(force_rollback=True):
            catalog = Catalog(self.connection, schema="public", user_query=GUILDHALL.user_query)
            person, claims = catalog.person(caller if isinstance(caller, str) else caller.email)
            return Inquiry(
                catalog=catalog,
                servers=self.servers,
                keys=self.folder.keys(),
                person=person,
                claims=claims,
                request=read(method, path, None if body is None else json.dumps(body)),
            ).report(path)


@pytest.fixture(scope="module")
def explained(stack: Stack, stack_data: Path, admin_db_url: str) -> Iterator[Explainer]:  # noqa: ARG001  starts the stack
    """Explains requests to the shared stack."""
    folder = Folder(stack_data)
    with running(folder, folder.state()) as servers, psycopg.connect(admin_db_url, autocommit=True) as connection:
        yield Explainer(folder, connection, servers)


@pytest.fixture(scope="module")
def student(academy: Academy) -> Member:
    """A member without enrolments."""
    return academy.member()


@pytest.fixture(scope="module")
def course(academy: Academy, teacher: Member) -> Course:
    """A course with a price."""
    return academy.course(teacher, price_amount=4900)


def check(relation: Relation, verb: str, kind: str = "using") -> Check:
    """The only check of this verb and kind."""
    (found,) = (check for check in relation.checks if (check.verb, check.kind) == (verb, kind))
    return found


def true_terms(found: Check, row: Row) -> set[str]:
    """The terms that are true for a row."""
    return {
        term
        for policy in found.policies
        for term, is_true in zip(policy.terms, row.terms[policy.name], strict=True)
        if is_true is True
    }


# Reading


def test_a_draft_is_hidden_from_others(
    academy: Academy, explained: Explainer, teacher: Member, student: Member
) -> None:
    draft = academy.course(teacher, published=False)
    path = f"/rest/v1/courses?select=title&id=eq.{draft.id}"
    own = "(creator_id = (select auth.uid())) AND (status <> 'deleted'::public.course_status)"
    for caller, terms in ((student, set()), (teacher, {own})):
        report = explained(caller, "GET", path)
        (relation,) = report.relations
        found = check(relation, "select")
        (row,) = found.rows
        assert (report.answer.status, report.answer.rows) == (200, len(terms))
        assert (relation.matching, row.key, row.passes, row.is_answered) == (1, {"id": draft.id}, *[bool(terms)] * 2)
        assert true_terms(found, row) == terms
    assert "hidden by courses_select_authenticated" in as_text(explained(student, "GET", path))
    assert "shown by courses_select_authenticated" in as_text(explained(teacher, "GET", path))


def test_embedded_tables_have_their_own_checks(explained: Explainer, student: Member, course: Course) -> None:
    """A course and its lessons are visible; of their contents only that of the free lesson."""
    select = "select=title,chapters:lessons(title,lesson_contents(body))"
    report = explained(student, "GET", f"/rest/v1/courses?{select}&id=eq.{course.id}")
    requested, lessons, contents = report.relations
    assert (requested.role, lessons.role, contents.role) == ("requested", "embedded in courses", "embedded in lessons")
    assert [row.passes for row in check(requested, "select").rows] == [True]
    assert {row.key["id"] for row in check(lessons, "select").rows if row.passes} == set(course.lesson_ids)
    free, paid = course.lesson_ids
    assert {row.key["lesson_id"]: row.passes for row in check(contents, "select").rows} == {free: True, paid: False}


def test_a_visible_row_can_be_missing_because_of_an_embedded_table(
    explained: Explainer, student: Member, course: Course
) -> None:
    path = f"/rest/v1/lessons?select=id,lesson_contents!inner(body)&course_id=eq.{course.id}"
    report = explained(student, "GET", path)
    found = {row.key["id"]: (row.passes, row.is_answered) for row in check(report.relations[0], "select").rows}
    assert found == {course.lesson_ids[0]: (True, True), course.lesson_ids[1]: (True, False)}
    assert "missing from the answer" in as_text(report)


def test_rows_that_pass_the_policies_are_those_of_the_answer(databases: Databases, stack_data: Path) -> None:
    """For every table and kind of caller."""
    folder = Folder(stack_data)
    with databases.cloned() as name:
        with psycopg.connect(databases.url(name), autocommit=True) as connection:
            world = build_world(connection)
            tables = connection.execute(
                "select relname, has_table_privilege('anon', oid, 'select') from pg_class"
                " where relnamespace = 'public'::regnamespace and relkind in ('r', 'p') order by relname"
            ).fetchall()
        hidden = shown = 0
        with (
            running(folder, folder.state(), name) as servers,
            psycopg.connect(databases.url(name), autocommit=True) as connection,
        ):
            explained = Explainer(folder, connection, servers)
            for table, is_for_anon in tables:
                for caller in ("anon", *(world.ids[person] for person in CALLERS)):
                    report = explained(caller, "GET", f"/rest/v1/{table}")
                    (relation,) = report.relations
                    if caller == "anon" and not is_for_anon:
                        assert (report.answer.status, relation.lacking) == (401, ("anon may not select",))
                        continue
                    assert relation.lacking == ()
                    rows = check(relation, "select").rows
                    assert len(rows) == relation.matching
                    assert [row.passes for row in rows] == [row.is_answered for row in rows], (table, caller)
                    shown += sum(row.passes for row in rows)
                    hidden += sum(not row.passes for row in rows)
        assert min(shown, hidden) > 100


def test_a_missing_privilege_is_reported(explained: Explainer) -> None:
    report = explained("anon", "GET", "/rest/v1/enrolments")
    assert report.answer.error is not None
    assert (report.answer.status, report.answer.error["code"]) == (401, "42501")
    assert report.relations[0].lacking == ("anon may not select",)
    assert "LACKING    anon may not select" in as_text(report)


def test_no_policy_applies_to_the_service_role(explained: Explainer, student: Member) -> None:
    report = explained("service_role", "GET", f"/rest/v1/profiles?select=id&id=eq.{student.id}")
    assert report.person.bypasses_policies
    assert report.answer.rows == report.relations[0].matching
    assert all(row.passes for row in check(report.relations[0], "select").rows)


def test_an_invalid_filter_is_noted(explained: Explainer, student: Member) -> None:
    report = explained(student, "GET", "/rest/v1/courses?nothing=eq.1")
    assert report.answer.status == 400
    (note,) = report.relations[0].notes
    assert "refused" in note
    assert "42703" in note


def test_tables_embedded_by_a_foreign_key_are_found(explained: Explainer, student: Member, course: Course) -> None:
    path = f"/rest/v1/courses?select=id,by:creator_id(id),...categories(name)&id=eq.{course.id}"
    requested, by, category = explained(student, "GET", path).relations
    assert [requested.name, by.name, category.name] == ["courses", "profiles", "categories"]
    assert [row.key["id"] for row in check(by, "select").rows] == [course.teacher.id]


# Writing


def test_a_write_of_a_suspended_user(academy: Academy, explained: Explainer) -> None:
    person = academy.member()
    academy.suspend(person)
    report = explained(person, "PATCH", f"/rest/v1/user_settings?user_id=eq.{person.id}", {"theme": "dark"})
    assert (report.person.status, report.answer.status, report.answer.rows) == ("suspended", 204, 0)
    (relation,) = report.relations
    assert [row.passes for row in check(relation, "select").rows] == [True]
    found = check(relation, "update")
    assert [row.passes for row in found.rows] == [False]
    assert true_terms(found, found.rows[0]) == {"user_id = (select auth.uid())"}
    assert "account suspended" in as_text(report)


def test_an_insert_is_checked_for_each_caller(explained: Explainer, student: Member, teacher: Member) -> None:
    for caller, passes, status in ((student, False, 403), (teacher, True, 201)):
        report = explained(caller, "POST", "/rest/v1/courses", {"title": "Explained"})
        found = check(report.relations[0], "insert", "with check")
        assert (report.answer.status, [row.passes for row in found.rows]) == (status, [passes])
        assert "creator_id = (select auth.uid())" in true_terms(found, found.rows[0])
        assert [row.passes for row in check(report.relations[0], "select", "with check").rows] == [True]


def test_with_check_applies_to_the_new_row(databases: Databases) -> None:
    """As USING applies to the old row."""
    with databases.cloned() as name, psycopg.connect(databases.url(name)) as connection:
        person = create_table(
            connection,
            "create policy sample_update_owner on public.sample for update to authenticated"
            " using (owner_id = (select auth.uid())) with check (owner_id = (select auth.uid()) and note <> '50%')",
        )
        own = {"id": 1, "owner_id": person.user_id, "note": "a"}
        assert evaluate(connection, person, "update", "using", [own]) == [[True, True]]
        new = [own, own | {"owner_id": str(uuid.uuid4())}, own | {"note": None}, own | {"note": "50%"}]
        assert evaluate(connection, person, "update", "with check", new) == [
            [True, True, True],
            [False, False, True],
            [None, True, None],
            [False, True, False],
        ]


def test_columns_that_the_caller_cannot_write_are_reported(
    explained: Explainer, teacher: Member, course: Course
) -> None:
    body = {"title": "New", "status": "draft", "nothing": 1}
    report = explained(teacher, "PATCH", f"/rest/v1/courses?id=eq.{course.id}", body)
    assert report.relations[0].lacking == (
        "authenticated may not update the column status",
        "there is no column nothing",
    )


def test_a_refusal_by_a_trigger_is_noted(
    academy: Academy, explained: Explainer, teacher: Member, course: Course
) -> None:
    """No policy refuses the request."""
    other = academy.course(teacher, published=False)
    path = f"/rest/v1/lessons?id=eq.{course.lesson_ids[0]}"
    report = explained(teacher, "PATCH", path, {"module_id": other.module_id})
    assert report.answer.error is not None
    assert report.answer.error["message"] == "lesson_stays_in_course"
    assert "lesson_stays_in_course" in report.relations[0].notes[0]


def test_an_explained_write_changes_nothing(academy: Academy, explained: Explainer) -> None:
    teacher = academy.member("teacher", "admin")
    draft = academy.course(teacher, published=False)
    path_of_draft = f"/rest/v1/courses?id=eq.{draft.id}"

    def state() -> list[tuple[Any, ...]]:
        return academy.sql(
            "select c.title, c.xmin::text,"
            " (select count(*) from public.courses as o where o.creator_id = c.creator_id),"
            " (select count(*) from public.audit_log where actor_id = c.creator_id),"
            " (select md5(string_agg(p::text, '' order by p.oid)) from pg_policy as p),"
            " (select array_agg(r.role) from public.user_roles as r where r.user_id = c.creator_id)"
            " from public.courses as c where c.id = %s",
            draft.id,
        )

    before = state()
    for method, path, body, status in (
        ("POST", "/rest/v1/courses", {"title": "Another"}, 201),
        ("PATCH", path_of_draft, {"title": "Changed"}, 204),
        ("DELETE", path_of_draft, None, 204),
        ("POST", "/rest/v1/rpc/revoke_role", {"user_id": teacher.id, "role": "teacher"}, 204),
        ("POST", "/rest/v1/rpc/publish_course", {"course_id": draft.id}, 200),
    ):
        report = explained(teacher, method, path, body)
        assert report.answer.status == status, report.answer
        assert state() == before


# Calling


def test_a_call_of_a_function(explained: Explainer, student: Member) -> None:
    body = {"user_id": student.id, "role": "admin"}
    report = explained(student, "POST", "/rest/v1/rpc/grant_role", body)
    assert report.answer.error is not None
    assert (report.answer.status, report.answer.error["message"]) == (403, "role_required")
    (function,) = report.functions
    assert (function.may_execute, function.runs_as) == (True, "caller")
    assert function.about is not None

    report = explained("anon", "POST", "/rest/v1/rpc/grant_role", body)
    assert (report.answer.status, report.functions[0].may_execute) == (401, False)
    assert "anon may not execute it" in as_text(report)

    assert not [note for note in report.notes if "needs" in note or "no argument" in note]

    report = explained(student, "POST", "/rest/v1/rpc/grant_role", {"user_id": student.id, "rôle": "admin"})
    assert report.answer.status == 404
    assert "public.grant_role(uuid,public.app_role) needs role, in a JSON object as the body." in as_text(report)
    assert "public.grant_role(uuid,public.app_role) has no argument rôle." in as_text(report)
    report = explained(student, "GET", "/rest/v1/rpc/search_users?select=handle")
    assert "public.search_users(text) needs q, in the query." in as_text(report)

    report = explained("anon", "POST", "/rest/v1/rpc/nothing", {})
    assert report.answer.status == 404
    assert "There is no function public.nothing." in as_text(report)


# Policies of other forms than Guildhall has


def create_table(connection: psycopg.Connection, *policies: str) -> Person:
    """Create a table with these policies; returns the owner of its rows."""
    connection.execute(
        "create table public.sample (id int primary key, owner_id uuid, note text);"
        " create table public.closed (id int);"
        " alter table public.sample enable row level security;"
        " grant select on public.sample to authenticated, anon"
    )
    for policy in policies:
        connection.execute(policy.encode())
    connection.commit()
    return Person(name="x", role="authenticated", bypasses_policies=False, user_id=str(uuid.uuid4()))


def read_table(connection: psycopg.Connection) -> tuple[Catalog, Table]:
    """The catalog, and the sample table in it."""
    connection.rollback()
    catalog = Catalog(connection, schema="public")
    table = catalog.table("sample", "authenticated")
    assert table is not None
    return catalog, table


def evaluate(connection: psycopg.Connection, person: Person, verb: Any, kind: Any, rows: list[dict[str, Any]]) -> Any:
    """The values of the policies of a verb, and then of their terms, for rows."""
    catalog, table = read_table(connection)
    clauses = catalog.clauses(table, verb, kind, person.role)
    return catalog.evaluate(table, clauses, rows, person, {"sub": person.user_id, "role": person.role})


def test_policies_of_every_form(databases: Databases) -> None:
    with databases.cloned() as name, psycopg.connect(databases.url(name)) as connection:
        person = create_table(
            connection,
            "create policy b_public on public.sample for select to public using (note = 'it''s (a OR b')",
            "create policy c_restrictive on public.sample as restrictive for all to authenticated using (id < 10)",
            "create policy a_all on public.sample for all to authenticated using"
            " (exists (select from public.courses as c where c.creator_id = sample.owner_id) or note ~ '^x')",
            "create policy d_other on public.sample for select to anon using (true)",
            "create policy e_update on public.sample for update to authenticated using (true)",
            "create policy f_error on public.sample for select to authenticated"
            " using (note is null and exists (select from public.closed))",
        )
        catalog, table = read_table(connection)
        clauses = catalog.clauses(table, "select", "using", "authenticated")
        assert [(c.policy.name, c.policy.is_permissive, c.policy.joined_by, len(c.terms)) for c in clauses] == [
            ("a_all", True, "any", 2),
            ("b_public", True, "all", 1),
            ("f_error", True, "all", 2),
            ("c_restrictive", False, "all", 1),
        ]
        rows: list[dict[str, Any]] = [
            {"id": 1, "owner_id": None, "note": "it's (a OR b"},
            {"id": 20, "owner_id": None, "note": "xyz"},
        ]
        denied = "permission denied for table closed"
        assert evaluate(connection, person, "select", "using", rows) == [
            [False, False, False, True, True, denied, False, denied, True, True],
            [True, False, True, False, False, denied, False, denied, False, False],
        ]
        assert evaluate(connection, person, "delete", "using", []) == []


# Requests


@pytest.mark.parametrize(
    ("select", "embeds"),
    [
        ("id,title", {}),
        ("*,lessons(*)", {"lessons": "lessons"}),
        ("a:lessons!inner(id,b:contents(body)),n:count()", {"a": "a:lessons!inner", "a.b": "b:contents"}),
        ("...categories!fk(name),tags->>0", {"categories": "categories!fk"}),
        ("price.sum(),modules()", {"modules": "modules"}),
    ],
)
def test_the_parameter_select_is_parsed(select: str, embeds: dict[str, str]) -> None:
    def flat(found: Any, prefix: str = "") -> Iterator[tuple[str, str]]:
        for embed in found:
            yield f"{prefix}{embed.name}", embed.prefix
            yield from flat(embed.embeds, f"{prefix}{embed.name}.")

    request = read(
        "GET", f"/rest/v1/courses?select={select}&lessons.order=id&limit=1&status=eq.x&lessons.id=gt.1", None
    )
    assert dict(flat(request.embeds)) == embeds
    assert request.filters == [("status", "eq.x"), ("lessons.id", "gt.1")]


@pytest.mark.parametrize(
    ("text", "pieces"),
    [
        ("", [""]),
        ("a OR b", ["a", "b"]),
        ("(a OR b) OR c", ["(a OR b)", "c"]),
        ("a = ' OR ' OR \"x OR y\" = ANY (ARRAY[1 OR 2])", ["a = ' OR '", '"x OR y" = ANY (ARRAY[1 OR 2])']),
        ("a = 'it''s' OR b", ["a = 'it''s'", "b"]),
    ],
)
def test_text_is_split_outside_quotes_and_parentheses(text: str, pieces: list[str]) -> None:
    assert split(text, " OR ") == pieces


# The word `explain`


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--as", "nobody@example.com", "GET", "/rest/v1/courses"), "there is no user nobody@example.com"),
        (("--as", "anon", "GET", "/auth/v1/user"), "what can be explained is /rest/v1/"),
        (("--as", "anon", "GET", "/rest/v1/"), "what can be explained is /rest/v1/"),
        (("--as", "anon", "GET", "/rest/v1/courses", "--body", "{}"), "GET takes no body"),
        (("--as", "anon", "POST", "/rest/v1/courses", "--body", "{"), "the body is not JSON"),
    ],
)
def test_requests_that_cannot_be_explained_are_reported_in_one_line(
    stack: Stack,  # noqa: ARG001  starts the stack
    stack_data: Path,
    words: tuple[str, ...],
    message: str,
) -> None:
    ran = guildhall("explain", "--data", stack_data, *words)
    assert (ran.returncode, ran.stdout) == (1, "")
    assert ran.stderr.startswith(f"guildhall: {message}")
    assert ran.stderr.count("\n") == 1


def test_explain_needs_a_running_stack(tmp_path: Path) -> None:
    with pytest.raises(StackError, match="nothing runs"):
        explain(GUILDHALL, Folder(tmp_path), caller="anon", method="GET", path="/rest/v1/courses", body=None)


def test_the_report_as_text_and_as_json(stack: Stack, stack_data: Path) -> None:  # noqa: ARG001  starts the stack
    words = (
        "--data",
        stack_data,
        "--as",
        "student@example.com",
        "get",
        "/rest/v1/courses?status=eq.draft&limit=1",
    )
    text = guildhall("explain", *words)
    assert text.returncode == 0, text.stderr
    assert "hidden by courses_select_authenticated" in text.stdout
    assert text.stdout.endswith("nothing has changed.\n")
    report = json.loads(guildhall("explain", "--json", *words).stdout)
    assert report["answer"]["rows"] == 0
    assert report["relations"][0]["checks"][0]["rows"][0]["passes"] is False
