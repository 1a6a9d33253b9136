"""`./guildhall explain` tells the truth about who sees what, and changes nothing."""

import json
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from stack.errors import StackError
from stack.explain import explain, written
from stack.explain.catalog import Catalog, Table
from stack.explain.inquiry import Inquiry
from stack.explain.report import Check, Person, Relation, Report, Row
from stack.explain.request import read, split
from stack.explain.servers import Servers, running
from stack.state import Folder
from tests.conftest import Stack, guildhall
from tests.databases import Databases
from tests.people import Academy, Course
from tests.people import Person as Member
from tests.security.world import World

SEEING = ("creator", "student", "suspended", "moderator", "superadmin")
"""People of the siege's world who are shown different rows."""


class Explainer:
    """Explains requests to the run's stack, with one pair of servers for all."""

    def __init__(self, folder: Folder, admin_db_url: str, servers: Servers) -> None:
        self.folder = folder
        self.admin_db_url = admin_db_url
        self.servers = servers

    def __call__(self, who: Member | str, method: str, path: str, body: Any = None) -> Report:
        """What `explain` would say."""
        with psycopg.connect(self.admin_db_url) as connection:
            catalog = Catalog(connection)
            person, claims = catalog.person(who if isinstance(who, str) else who.email)
            report = Inquiry(
                catalog=catalog,
                servers=self.servers,
                keys=self.folder.keys(),
                person=person,
                claims=claims,
                request=read(method, path, None if body is None else json.dumps(body)),
            ).report(path)
            connection.rollback()
        return report


@pytest.fixture(scope="module")
def explained(stack: Stack, stack_data: Path, admin_db_url: str) -> Iterator[Explainer]:  # noqa: ARG001  it must run
    """Explains."""
    folder = Folder(stack_data)
    with running(folder, folder.state()) as servers:
        yield Explainer(folder, admin_db_url, servers)


@pytest.fixture(scope="module")
def student(academy: Academy) -> Member:
    """Somebody who is enrolled nowhere."""
    return academy.member()


@pytest.fixture(scope="module")
def course(academy: Academy, teacher: Member) -> Course:
    """A course with a price."""
    return academy.course(teacher, price_amount=4900)


def check(relation: Relation, verb: str, kind: str = "using") -> Check:
    """The one check of this kind."""
    (found,) = (check for check in relation.checks if (check.verb, check.kind) == (verb, kind))
    return found


def holding(found: Check, row: Row) -> set[str]:
    """The terms that hold for a row."""
    return {
        term
        for policy in found.policies
        for term, holds in zip(policy.terms, row.terms[policy.name], strict=True)
        if holds is True
    }


# Reading


def test_a_hidden_draft(academy: Academy, explained: Explainer, teacher: Member, student: Member) -> None:
    draft = academy.course(teacher, published=False)
    path = f"/rest/v1/courses?select=title&id=eq.{draft.id}"
    own = "(creator_id = (select auth.uid())) AND (status <> 'deleted'::public.course_status)"
    for who, holds in ((student, set()), (teacher, {own})):
        report = explained(who, "GET", path)
        (relation,) = report.relations
        found = check(relation, "select")
        (row,) = found.rows
        assert (report.answer.status, report.answer.rows) == (200, len(holds))
        assert (relation.matching, row.key, row.passes, row.is_answered) == (1, {"id": draft.id}, *[bool(holds)] * 2)
        assert holding(found, row) == holds
    assert "hidden by courses_select_authenticated" in written(explained(student, "GET", path))
    assert "shown by courses_select_authenticated" in written(explained(teacher, "GET", path))


def test_the_content_of_a_paid_lesson(explained: Explainer, student: Member, course: Course) -> None:
    """The course is shown, its lessons too, and of their contents the intro's: each table has its own answer."""
    select = "select=title,chapters:lessons(title,lesson_contents(body))"
    report = explained(student, "GET", f"/rest/v1/courses?{select}&id=eq.{course.id}")
    asked, lessons, contents = report.relations
    assert (asked.role, lessons.role, contents.role) == ("asked", "embedded in courses", "embedded in lessons")
    assert [row.passes for row in check(asked, "select").rows] == [True]
    assert {row.key["id"] for row in check(lessons, "select").rows if row.passes} == set(course.lesson_ids)
    intro, paid = course.lesson_ids
    assert {row.key["lesson_id"]: row.passes for row in check(contents, "select").rows} == {intro: True, paid: False}


def test_a_row_that_passes_and_is_missing_for_anothers_sake(
    explained: Explainer, student: Member, course: Course
) -> None:
    path = f"/rest/v1/lessons?select=id,lesson_contents!inner(body)&course_id=eq.{course.id}"
    report = explained(student, "GET", path)
    found = {row.key["id"]: (row.passes, row.is_answered) for row in check(report.relations[0], "select").rows}
    assert found == {course.lesson_ids[0]: (True, True), course.lesson_ids[1]: (True, False)}
    assert "missing from the answer" in written(report)


def test_it_says_of_every_table_what_postgrest_shows(databases: Databases, stack_data: Path) -> None:
    """For everybody: the rows that the policies let through are those that are answered."""
    folder, world = Folder(stack_data), World()
    with databases.cloned() as name:
        with psycopg.connect(databases.url(name), autocommit=True) as connection:
            world.build(connection)
            tables = connection.execute(
                "select relname, has_table_privilege('anon', oid, 'select') from pg_class"
                " where relnamespace = 'public'::regnamespace and relkind in ('r', 'p') order by relname"
            ).fetchall()
        hidden = shown = 0
        with running(folder, folder.state(), name) as servers:
            explained = Explainer(folder, databases.url(name), servers)
            for table, is_for_anon in tables:
                for who in ("anon", *(world.ids[person] for person in SEEING)):
                    report = explained(who, "GET", f"/rest/v1/{table}")
                    (relation,) = report.relations
                    if who == "anon" and not is_for_anon:
                        assert (report.answer.status, relation.lacking) == (401, ("anon may not select",))
                        continue
                    assert relation.lacking == ()
                    rows = check(relation, "select").rows
                    assert len(rows) == relation.matching
                    assert [row.passes for row in rows] == [row.is_answered for row in rows], (table, who)
                    shown += sum(row.passes for row in rows)
                    hidden += sum(not row.passes for row in rows)
        assert min(shown, hidden) > 100


def test_a_missing_privilege(explained: Explainer) -> None:
    report = explained("anon", "GET", "/rest/v1/enrolments")
    assert report.answer.error is not None
    assert (report.answer.status, report.answer.error["code"]) == (401, "42501")
    assert report.relations[0].lacking == ("anon may not select",)
    assert "LACKING    anon may not select" in written(report)


def test_no_policy_binds_the_secret_key(explained: Explainer) -> None:
    report = explained("service_role", "GET", "/rest/v1/profiles?select=id")
    assert report.person.bypasses_policies
    assert report.answer.rows == report.relations[0].matching
    assert all(row.passes for row in check(report.relations[0], "select").rows)


def test_a_mistaken_filter_is_no_matter_of_policies(explained: Explainer, student: Member) -> None:
    report = explained(student, "GET", "/rest/v1/courses?nothing=eq.1")
    assert report.answer.status == 400
    (note,) = report.relations[0].notes
    assert "refused" in note
    assert "42703" in note


def test_what_is_embedded_by_a_foreign_key_is_found(explained: Explainer, student: Member, course: Course) -> None:
    path = f"/rest/v1/courses?select=id,by:creator_id(id),...categories(name)&id=eq.{course.id}"
    asked, by, category = explained(student, "GET", path).relations
    assert [asked.name, by.name, category.name] == ["courses", "profiles", "categories"]
    assert [row.key["id"] for row in check(by, "select").rows] == [course.teacher.id]


# Writing


def test_a_suspended_users_write(academy: Academy, explained: Explainer) -> None:
    person = academy.member()
    academy.suspend(person)
    report = explained(person, "PATCH", f"/rest/v1/user_settings?user_id=eq.{person.id}", {"theme": "dark"})
    assert (report.person.standing, report.answer.status, report.answer.rows) == ("suspended", 204, 0)
    (relation,) = report.relations
    assert [row.passes for row in check(relation, "select").rows] == [True]
    found = check(relation, "update")
    assert [row.passes for row in found.rows] == [False]
    assert holding(found, found.rows[0]) == {"user_id = (select auth.uid())"}
    assert "account suspended" in written(report)


def test_a_row_that_nobody_may_write_so(explained: Explainer, student: Member, teacher: Member) -> None:
    for who, passes, status in ((student, False, 403), (teacher, True, 201)):
        report = explained(who, "POST", "/rest/v1/courses", {"title": "Explained"})
        found = check(report.relations[0], "insert", "with check")
        assert (report.answer.status, [row.passes for row in found.rows]) == (status, [passes])
        assert "creator_id = (select auth.uid())" in holding(found, found.rows[0])
        assert [row.passes for row in check(report.relations[0], "select", "with check").rows] == [True]


def test_a_row_that_an_update_would_give_away(databases: Databases) -> None:
    """WITH CHECK is asked about the new row, as USING is about the old one."""
    with databases.cloned() as name, psycopg.connect(databases.url(name)) as connection:
        person = plant(
            connection,
            "create policy planted_update_owner on public.planted for update to authenticated"
            " using (owner_id = (select auth.uid())) with check (owner_id = (select auth.uid()) and note <> '50%')",
        )
        mine = {"id": 1, "owner_id": person.user_id, "note": "a"}
        assert marks(connection, person, "update", "using", [mine]) == [[True, True]]
        new = [mine, mine | {"owner_id": str(uuid.uuid4())}, mine | {"note": None}, mine | {"note": "50%"}]
        assert marks(connection, person, "update", "with check", new) == [
            [True, True, True],
            [False, False, True],
            [None, True, None],
            [False, True, False],
        ]


def test_a_column_that_is_not_the_callers_to_write(explained: Explainer, teacher: Member, course: Course) -> None:
    body = {"title": "New", "status": "draft", "nothing": 1}
    report = explained(teacher, "PATCH", f"/rest/v1/courses?id=eq.{course.id}", body)
    assert report.relations[0].lacking == (
        "authenticated may not update the column status",
        "there is no column nothing",
    )


def test_a_rule_that_is_no_policy(academy: Academy, explained: Explainer, teacher: Member, course: Course) -> None:
    """Refused by a trigger, and would be whatever the policies said."""
    other = academy.course(teacher, published=False)
    path = f"/rest/v1/lessons?id=eq.{course.lesson_ids[0]}"
    report = explained(teacher, "PATCH", path, {"module_id": other.module_id})
    assert report.answer.error is not None
    assert report.answer.error["message"] == "lesson_stays_in_course"
    assert "lesson_stays_in_course" in report.relations[0].notes[0]


def test_nothing_changes(academy: Academy, explained: Explainer) -> None:
    teacher = academy.member("teacher", "admin")
    draft = academy.course(teacher, published=False)
    mine = f"/rest/v1/courses?id=eq.{draft.id}"

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
        ("PATCH", mine, {"title": "Changed"}, 204),
        ("DELETE", mine, None, 204),
        ("POST", "/rest/v1/rpc/revoke_role", {"user_id": teacher.id, "role": "teacher"}, 204),
        ("POST", "/rest/v1/rpc/publish_course", {"course_id": draft.id}, 200),
    ):
        report = explained(teacher, method, path, body)
        assert report.answer.status == status, report.answer
        assert state() == before


# Calling


def test_a_function(explained: Explainer, student: Member) -> None:
    body = {"user_id": student.id, "role": "admin"}
    report = explained(student, "POST", "/rest/v1/rpc/grant_role", body)
    assert report.answer.error is not None
    assert (report.answer.status, report.answer.error["message"]) == (403, "role_required")
    (function,) = report.functions
    assert (function.may_execute, function.runs_as) == (True, "caller")
    assert function.about is not None

    report = explained("anon", "POST", "/rest/v1/rpc/grant_role", body)
    assert (report.answer.status, report.functions[0].may_execute) == (401, False)
    assert "anon may not execute it" in written(report)

    report = explained("anon", "POST", "/rest/v1/rpc/nothing", {})
    assert report.answer.status == 404
    assert "There is no function public.nothing." in written(report)


# Policies of other shapes than ours


def plant(connection: psycopg.Connection, *policies: str) -> Person:
    """A table with these policies, and somebody who owns the rows that are asked about."""
    connection.execute(
        "create table public.planted (id int primary key, owner_id uuid, note text);"
        " create table public.closed (id int);"
        " alter table public.planted enable row level security;"
        " grant select on public.planted to authenticated, anon"
    )
    for policy in policies:
        connection.execute(policy.encode())
    connection.commit()
    return Person(name="x", role="authenticated", bypasses_policies=False, user_id=str(uuid.uuid4()))


def planted(connection: psycopg.Connection) -> tuple[Catalog, Table]:
    """The catalog, and the planted table in it."""
    connection.rollback()
    catalog = Catalog(connection)
    table = catalog.table("planted", "authenticated")
    assert table is not None
    return catalog, table


def marks(connection: psycopg.Connection, person: Person, verb: Any, kind: Any, rows: list[dict[str, Any]]) -> Any:
    """What the policies of a verb, and then their terms, give for rows."""
    catalog, table = planted(connection)
    clauses = catalog.clauses(table, verb, kind, person.role)
    return catalog.ask(table, clauses, rows, person, {"sub": person.user_id, "role": person.role})


def test_policies_of_every_shape(databases: Databases) -> None:
    with databases.cloned() as name, psycopg.connect(databases.url(name)) as connection:
        person = plant(
            connection,
            "create policy b_public on public.planted for select to public using (note = 'it''s (a OR b')",
            "create policy c_restrictive on public.planted as restrictive for all to authenticated using (id < 10)",
            "create policy a_all on public.planted for all to authenticated using"
            " (exists (select from public.courses as c where c.creator_id = planted.owner_id) or note ~ '^x')",
            "create policy d_other on public.planted for select to anon using (true)",
            "create policy e_update on public.planted for update to authenticated using (true)",
            "create policy f_error on public.planted for select to authenticated"
            " using (note is null and exists (select from public.closed))",
        )
        catalog, table = planted(connection)
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
        assert marks(connection, person, "select", "using", rows) == [
            [False, False, False, True, True, denied, False, denied, True, True],
            [True, False, True, False, False, denied, False, denied, False, False],
        ]
        assert marks(connection, person, "delete", "using", []) == []


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
def test_a_select_is_read(select: str, embeds: dict[str, str]) -> None:
    def flat(found: Any, prefix: str = "") -> Iterator[tuple[str, str]]:
        for embed in found:
            yield f"{prefix}{embed.name}", embed.written
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
def test_a_text_is_split_outside_of_quotes_and_parentheses(text: str, pieces: list[str]) -> None:
    assert split(text, " OR ") == pieces


# The command


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("--as", "nobody@example.com", "GET", "/rest/v1/courses"), "there is no user nobody@example.com"),
        (("--as", "anon", "GET", "/auth/v1/user"), "what can be explained is /rest/v1/"),
        (("--as", "anon", "GET", "/rest/v1/"), "what can be explained is /rest/v1/"),
        (("--as", "anon", "GET", "/rest/v1/courses", "--body", "{}"), "GET takes no body"),
        (("--as", "anon", "POST", "/rest/v1/courses", "--body", "{"), "the body is not JSON"),
    ],
)
def test_what_cannot_be_explained_is_one_line(
    stack: Stack,  # noqa: ARG001  it must run
    stack_data: Path,
    words: tuple[str, ...],
    says: str,
) -> None:
    ran = guildhall("explain", "--data", str(stack_data), *words)
    assert (ran.returncode, ran.stdout) == (1, "")
    assert ran.stderr.startswith(f"guildhall: {says}")
    assert ran.stderr.count("\n") == 1


def test_without_a_stack_there_is_nothing_to_explain(tmp_path: Path) -> None:
    with pytest.raises(StackError, match="nothing runs"):
        explain(Folder(tmp_path), who="anon", method="GET", path="/rest/v1/courses", body=None)


def test_the_words(stack: Stack, stack_data: Path) -> None:  # noqa: ARG001  it must run
    words = (
        "--data",
        str(stack_data),
        "--as",
        "student@example.com",
        "get",
        "/rest/v1/courses?status=eq.draft&limit=1",
    )
    for_people = guildhall("explain", *words)
    assert for_people.returncode == 0, for_people.stderr
    assert "hidden by courses_select_authenticated" in for_people.stdout
    assert for_people.stdout.endswith("nothing has changed.\n")
    for_programs = json.loads(guildhall("explain", "--json", *words).stdout)
    assert for_programs["answer"]["rows"] == 0
    assert for_programs["relations"][0]["checks"][0]["rows"][0]["passes"] is False
