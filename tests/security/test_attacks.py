"""The attacks to which a real learning platform was open, made against the running stack as a stranger's program would.

The siege (test_behaviour.py) tries everything everywhere; here each attack has a name, and goes through the gateway.
"""

import json
import uuid
from typing import Any

import httpx
import pytest

from tests.conftest import Stack
from tests.people import Academy, Person, refused, rows
from tests.security.conftest import School

OBJECT = "application/vnd.pgrst.object+json"


def denied(answer: httpx.Response) -> None:
    """Assert that the privilege or the policy is missing."""
    assert (answer.status_code, answer.json()["code"]) == (403, "42501"), answer.text


def untouched(academy: Academy, table: str, row_id: str, **columns: Any) -> None:
    """Assert that a row is as it was."""
    found = academy.sql(f"select to_jsonb(t) from public.{table} as t where t.id = %s", row_id)  # noqa: S608
    assert {name: found[0][0][name] for name in columns} == columns


# Nobody makes himself more than he is


class TestRoles:
    """`user_roles` decides, and only an admin's function writes it."""

    @pytest.mark.parametrize("role", ["teacher", "moderator", "admin", "superadmin"])
    def test_nobody_grants_himself_a_role(self, academy: Academy, school: School, role: str) -> None:
        for person in (school.stranger, school.teacher, school.moderator):
            row = {"user_id": person.id, "role": role}
            denied(academy.call(person, "POST", "/rest/v1/user_roles", row))
            denied(academy.call(person, "POST", "/rest/v1/user_roles", row, prefer="resolution=merge-duplicates"))
            denied(academy.call(person, "PATCH", f"/rest/v1/user_roles?user_id=eq.{person.id}", {"role": role}))
            refused(academy.rpc(person, "grant_role", **row), 403, "role_required")

    def test_admin_makes_no_admin(self, academy: Academy, school: School) -> None:
        admin = academy.member("admin")
        for role in ("admin", "superadmin"):
            refused(academy.rpc(admin, "grant_role", user_id=admin.id, role=role), 403, "role_required")
            refused(academy.rpc(admin, "revoke_role", user_id=school.teacher.id, role=role), 403, "role_required")

    def test_what_a_user_writes_about_himself_is_no_role(self, academy: Academy) -> None:
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

    def test_what_a_token_says_of_roles_is_not_believed(self, academy: Academy, school: School) -> None:
        """Even a token that auth itself had signed so: the row is looked up."""
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

    def test_revoked_role_and_suspension_hold_with_a_live_token(self, academy: Academy) -> None:
        teacher = academy.member("teacher")
        course = academy.course(teacher, published=False)
        academy.sql("delete from public.user_roles where user_id = %s", teacher.id)
        denied(academy.call(teacher, "POST", "/rest/v1/courses", {"title": "Another"}))
        refused(academy.rpc(teacher, "publish_course", course_id=course.id), 404, "course_not_found")
        academy.suspend(teacher)
        refused(academy.rpc(teacher, "enrol", course_id=course.id), 403, "account_inactive")
        own = f"/rest/v1/profiles?id=eq.{teacher.id}"
        assert rows(academy.call(teacher, "PATCH", own, {"bio": "x"}, prefer="return=representation")) == []

    def test_deleted_account_writes_nothing_with_a_live_token(self, academy: Academy, school: School) -> None:
        person = academy.person()
        gone = academy.http.delete(f"/auth/v1/admin/users/{person.id}", headers={"apikey": academy.secret_key})
        assert gone.is_success
        refused(academy.rpc(person, "enrol", course_id=school.free.id), 403, "account_inactive")
        own = f"/rest/v1/profiles?id=eq.{person.id}"
        assert rows(academy.call(person, "PATCH", own, {"bio": "x"}, prefer="return=representation")) == []


# Nobody writes a conclusion


class TestConclusions:
    """Scores, completion, certificates, enrolments: derived from proof, by functions."""

    @pytest.mark.parametrize(
        ("table", "columns"),
        [
            ("quiz_attempts", {"points": 3}),
            ("quiz_attempts", {"is_passed": True}),
            ("quiz_attempts", {"pass_percent": 1}),
            ("enrolments", {"status": "completed", "completed_at": "2026-01-01T00:00:00Z"}),
            ("enrolments", {"access_until": None}),
            ("enrolments", {"source": "purchase"}),
            ("certificates", {"score_percent": 100}),
            ("certificates", {"holder_name": "Somebody Else"}),
            ("certificates", {"status": "issued"}),
            ("lesson_progress", {"completed_at": "2026-01-01T00:00:00Z"}),
        ],
    )
    def test_student_changes_no_conclusion(
        self, academy: Academy, school: School, table: str, columns: dict[str, Any]
    ) -> None:
        path = f"/rest/v1/{table}?student_id=eq.{school.student.id}"
        answer = academy.call(school.student, "PATCH", path, columns)
        assert (answer.status_code, answer.json()["code"]) in {(403, "42501"), (400, "428C9")}
        denied(academy.call(school.student, "DELETE", path))

    def test_student_invents_no_conclusion(self, academy: Academy, school: School) -> None:
        course = {"course_id": school.paid.id, "student_id": school.student.id}
        attempt = {"quiz_id": school.paid.quiz_id, "answers": {}, "points": 1, "max_points": 1}
        enrolment = {"enrolment_id": school.enrolment_id, "lesson_id": school.paid.lesson_ids[1]}
        for table, row in {
            "enrolments": {**course, "source": "purchase"},
            "quiz_attempts": {**course, **attempt},
            "certificates": {**course, **enrolment, "status": "issued"},
            "lesson_progress": {**course, **enrolment},
        }.items():
            for prefer in ("return=minimal", "resolution=merge-duplicates", "resolution=ignore-duplicates"):
                answer = academy.call(school.student, "POST", f"/rest/v1/{table}", row, prefer=prefer)
                assert answer.status_code in {400, 403}, answer.text
        assert academy.sql("select from public.enrolments where course_id = %s", school.paid.id) == []

    def test_submission_brings_no_score_of_its_own(self, academy: Academy, school: School) -> None:
        student = academy.member()
        academy.enrol(student, school.free)
        for extra in ({"points": 3}, {"student_id": school.student.id}, {"is_passed": True}):
            answer = academy.rpc(student, "submit_quiz", quiz_id=school.free.quiz_id, answers={}, **extra)
            assert (answer.status_code, answer.json()["code"]) == (404, "PGRST202")
        wrong = academy.rpc(student, "submit_quiz", quiz_id=school.free.quiz_id, answers={}).json()
        assert (wrong["points"], wrong["is_passed"], wrong["certificate"]) == (0, False, None)

    def test_nobody_enrols_himself_in_a_paid_course(self, academy: Academy, school: School) -> None:
        refused(academy.rpc(school.stranger, "enrol", course_id=school.paid.id), 402, "payment_required")
        refused(academy.rpc(school.stranger, "enrol", course_id=school.draft.id), 404, "course_not_found")

    def test_nobody_but_its_creator_prices_a_course(self, academy: Academy, school: School) -> None:
        path = f"/rest/v1/courses?id=eq.{school.paid.id}"
        for person in (school.student, school.stranger, school.rival, school.moderator):
            changed = academy.call(person, "PATCH", path, {"price_amount": 0}, prefer="return=representation")
            assert rows(changed) == []
        untouched(academy, "courses", school.paid.id, price_amount=4900)

    @pytest.mark.parametrize(
        "columns",
        [
            {"status": "published"},
            {"is_featured": True},
            {"published_at": "2020-01-01T00:00:00Z"},
            {"creator_id": str(uuid.uuid4())},
            {"id": str(uuid.uuid4())},
            {"created_at": "2020-01-01T00:00:00Z"},
            {"search": "x"},
        ],
    )
    def test_creator_assigns_nothing_that_is_concluded(
        self, academy: Academy, school: School, columns: dict[str, Any]
    ) -> None:
        path = f"/rest/v1/courses?id=eq.{school.draft.id}"
        for body in (columns, {"title": "New", **columns}):
            assert academy.call(school.teacher, "PATCH", path, body).status_code in {400, 403}
            assert academy.call(
                school.teacher, "POST", "/rest/v1/courses", {"title": "New", **columns}
            ).status_code in {
                400,
                403,
            }

    @pytest.mark.parametrize(
        ("table", "columns"),
        [
            ("modules", {"position": 7}),
            ("lessons", {"position": 7}),
            ("lessons", {"course_id": str(uuid.uuid4())}),
            ("lesson_contents", {"course_id": str(uuid.uuid4())}),
            ("quiz_questions", {"position": 7}),
            ("quiz_questions", {"prompt": "Asked otherwise"}),
            ("profiles", {"id": str(uuid.uuid4())}),
            ("profiles", {"created_at": "2020-01-01T00:00:00Z"}),
        ],
    )
    def test_places_and_keys_are_the_databases(
        self, academy: Academy, school: School, table: str, columns: dict[str, Any]
    ) -> None:
        denied(academy.call(school.teacher, "PATCH", f"/rest/v1/{table}?created_at=not.is.null", columns))


# Nobody takes or gives what is another's


class TestMoving:
    """Rows stay with their owners."""

    def test_course_is_not_given_away(self, academy: Academy, school: School) -> None:
        path = f"/rest/v1/courses?id=eq.{school.draft.id}"
        denied(academy.call(school.teacher, "PATCH", path, {"creator_id": school.rival.id}))
        untouched(academy, "courses", school.draft.id, creator_id=school.teacher.id)

    def test_nothing_is_put_into_anothers_course(self, academy: Academy, school: School) -> None:
        module = {"course_id": school.free.id, "title": "Planted"}
        denied(academy.call(school.rival, "POST", "/rest/v1/modules", module))
        lesson = {"module_id": school.free.module_id, "title": "Planted"}
        denied(academy.call(school.rival, "POST", "/rest/v1/lessons", lesson))
        content = {"lesson_id": school.free.lesson_ids[0], "body": "Planted"}
        for prefer in ("", "resolution=merge-duplicates"):
            denied(academy.call(school.rival, "POST", "/rest/v1/lesson_contents", content, prefer=prefer))
        quiz = {"course_id": school.free.id, "title": "Planted", "is_certifying": False}
        denied(academy.call(school.rival, "POST", "/rest/v1/quizzes", quiz))
        asked = {"quiz_id": school.free.quiz_id, "kind": "true_false", "prompt": "Planted?", "answer": True}
        refused(academy.rpc(school.rival, "save_quiz_question", **asked), 404, "course_not_found")

    def test_own_row_is_not_moved_into_anothers_course(self, academy: Academy, school: School) -> None:
        own = academy.course(school.rival, published=False)
        lesson, content = f"/rest/v1/lessons?id=eq.{own.lesson_ids[0]}", {"lesson_id": school.free.lesson_ids[0]}
        moved = academy.call(school.rival, "PATCH", lesson, {"module_id": school.free.module_id})
        refused(moved, 409, "lesson_stays_in_course")
        path = f"/rest/v1/lesson_contents?lesson_id=eq.{own.lesson_ids[0]}"
        denied(academy.call(school.rival, "PATCH", path, content))
        denied(
            academy.call(
                school.rival, "PATCH", f"/rest/v1/modules?course_id=eq.{own.id}", {"course_id": school.free.id}
            )
        )

    def test_question_of_another_quiz_is_not_changed(self, academy: Academy, school: School) -> None:
        own = academy.course(school.rival, published=False)
        stolen = next(iter(school.free.right_answers))
        asked = {"quiz_id": own.quiz_id, "question_id": stolen, "kind": "true_false", "prompt": "?", "answer": True}
        refused(academy.rpc(school.rival, "save_quiz_question", **asked), 404, "question_not_found")


# Nobody reads what he may not, by any path


LESSON_PATHS = [
    "lesson_contents",
    "lesson_contents?order=body.desc",
    "lesson_contents?body=like.*secret*",
    "lesson_contents?select=body,courses!inner(status)&courses.status=eq.draft",
    "lessons?select=*,lesson_contents(*)",
    "lessons?select=title,lesson_contents!inner(body)&lesson_contents.body=like.*secret*",
    "modules?select=*,lessons(*,lesson_contents(*))",
    "courses?select=*,modules(*,lessons(*,lesson_contents(*)))",
    "courses?select=title,lesson_contents(*)",
    "categories?select=*,courses(*,lesson_contents(*))",
    "profiles?select=*,courses(*,lesson_contents(*))",
]


class TestSecrets:
    """Paid lessons, drafts, answer keys, others' attempts, others' email."""

    @pytest.mark.parametrize("path", LESSON_PATHS)
    @pytest.mark.parametrize("accept", ["application/json", "text/csv", OBJECT])
    def test_lessons_are_for_those_who_have_the_course(
        self, academy: Academy, school: School, path: str, accept: str
    ) -> None:
        closed = [school.free.lesson_ids[1], school.paid.lesson_ids[1], *school.draft.lesson_ids]
        for person in (None, school.stranger, school.rival):
            for prefer in ("", "count=exact", "tx=rollback"):
                shown = academy.call(person, "GET", f"/rest/v1/{path}", accept=accept, prefer=prefer).text
                assert not [lesson for lesson in closed if f"The secret of {lesson}" in shown]
        if accept != OBJECT:
            shown = academy.call(school.teacher, "GET", f"/rest/v1/{path}", accept=accept).text
            assert [lesson for lesson in closed if f"The secret of {lesson}" in shown], (
                "the path shows nothing to anybody"
            )

    @pytest.mark.parametrize(
        "path",
        [
            "courses?id=eq.{}",
            "modules?course_id=eq.{}",
            "lessons?course_id=eq.{}",
            "lesson_contents?course_id=eq.{}",
            "quizzes?course_id=eq.{}",
            "quiz_questions?course_id=eq.{}",
            "modules?select=*,courses!inner(*)&courses.id=eq.{}",
            "profiles?select=*,courses!inner(*)&courses.id=eq.{}",
        ],
    )
    def test_draft_is_its_creators_alone(self, academy: Academy, school: School, path: str) -> None:
        path = f"/rest/v1/{path.format(school.draft.id)}"
        for person in (None, school.stranger, school.rival, school.student):
            answer = academy.call(person, "GET", path, prefer="count=exact")
            if person is None and "quiz_questions" in path:
                assert answer.status_code == 401
            else:
                assert rows(answer) == []
                assert answer.headers["Content-Range"] == "*/0"
        assert rows(academy.call(school.teacher, "GET", path))

    def test_answer_keys_are_reached_by_no_path(self, academy: Academy, school: School) -> None:
        for person in (None, school.student, school.stranger, school.rival, school.moderator):
            gone = academy.call(person, "GET", "/rest/v1/quiz_answer_keys")
            assert gone.status_code == 404
            for select in ("*,quiz_answer_keys(*)", "answer", "private.quiz_answer_keys(*)", "quiz_answer_keys"):
                assert academy.call(person, "GET", f"/rest/v1/quiz_questions?select={select}").status_code in {400, 401}
            for name in ("quiz_answer_keys", "save_quiz_question"):
                answer = academy.rpc(person, name, quiz_id=school.free.quiz_id, kind="single", prompt="?", answer="b")
                assert answer.status_code in {401, 404}
        questions = academy.call(school.student, "GET", f"/rest/v1/quiz_questions?quiz_id=eq.{school.free.quiz_id}")
        assert all(set(option) == {"id", "text"} for row in rows(questions) for option in row["options"])

    def test_option_cannot_carry_the_answer(self, academy: Academy, school: School) -> None:
        options = [{"id": "a", "text": "One", "is_right": True}, {"id": "b", "text": "Two"}]
        asked = {"quiz_id": school.draft.quiz_id, "kind": "single", "prompt": "?", "answer": "a", "options": options}
        refused(academy.rpc(school.teacher, "save_quiz_question", **asked), 422, "question_invalid")

    @pytest.mark.parametrize("table", ["quiz_attempts", "certificates", "enrolments", "lesson_progress", "user_roles"])
    def test_others_records_are_hidden(self, academy: Academy, school: School, table: str) -> None:
        owner = "user_id" if table == "user_roles" else "student_id"
        others = f"/rest/v1/{table}?{owner}=neq.{{}}"
        assert academy.call(None, "GET", others.format(uuid.uuid4())).status_code == 401
        for person in (school.stranger, school.rival):
            answer = academy.call(person, "GET", others.format(person.id), prefer="count=exact")
            assert (rows(answer), answer.headers["Content-Range"]) == ([], "*/0")

    def test_no_email_is_in_any_answer(self, academy: Academy, school: School) -> None:
        """Of all that the API shows to anybody, moderators included."""
        tables = [name for (name,) in academy.sql("select tablename from pg_tables where schemaname = 'public'")]
        assert len(tables) > 5
        for person in (None, school.stranger, school.teacher, school.moderator):
            for table in tables:
                assert "@example.com" not in academy.call(person, "GET", f"/rest/v1/{table}").text
        shown = rows(
            academy.call(
                school.teacher, "GET", f"/rest/v1/enrolments?select=*,profiles(*)&course_id=eq.{school.free.id}"
            )
        )
        assert shown[0]["profiles"]["id"] == school.student.id

    def test_certificate_shows_a_verifier_no_more_than_it_must(self, academy: Academy, school: School) -> None:
        shown = academy.rpc(None, "verify_certificate", code=school.certificate["code"]).json()
        assert set(shown) == {
            "code", "is_valid", "status", "holder_name", "course_title", "creator_name", "issued_at", "revoked_at",
        }  # fmt: skip


# Oracles


class TestOracles:
    """What is hidden and what is not there are answered alike."""

    def test_functions_do_not_tell_hidden_from_missing(self, academy: Academy, school: School) -> None:
        missing = str(uuid.uuid4())
        for name, hidden, more in (
            ("enrol", {"course_id": school.draft.id}, {}),
            ("publish_course", {"course_id": school.draft.id}, {}),
            ("unpublish_course", {"course_id": school.paid.id}, {}),
            ("quiz_answer_keys", {"quiz_id": school.draft.quiz_id}, {}),
            ("record_progress", {"lesson_id": school.draft.lesson_ids[0]}, {}),
            ("submit_quiz", {"quiz_id": school.draft.quiz_id}, {"answers": {}}),
            ("save_quiz_question", {"quiz_id": school.paid.quiz_id}, {"kind": "single", "prompt": "?", "answer": 1}),
        ):
            for person in (school.stranger, school.rival):
                answers = [
                    academy.rpc(person, name, **dict.fromkeys(hidden, value), **more)
                    for value in (next(iter(hidden.values())), missing)
                ]
                assert answers[0].text == answers[1].text
                assert answers[0].status_code == answers[1].status_code != 200

    def test_foreign_keys_do_not_tell_hidden_from_missing(self, academy: Academy, school: School) -> None:
        for table, column, hidden, more in (
            ("modules", "course_id", school.draft.id, {"title": "x"}),
            ("quizzes", "course_id", school.draft.id, {"title": "x"}),
            ("lessons", "module_id", school.draft.module_id, {"title": "x"}),
            ("lesson_contents", "lesson_id", school.draft.lesson_ids[0], {"body": "x"}),
        ):
            answers = [
                academy.call(school.rival, "POST", f"/rest/v1/{table}", {column: value, **more})
                for value in (hidden, str(uuid.uuid4()))
            ]
            assert answers[0].text == answers[1].text
            denied(answers[0])
        own = academy.course(school.rival, published=False)
        lesson = f"/rest/v1/lessons?id=eq.{own.lesson_ids[0]}"
        moves = [
            academy.call(school.rival, "PATCH", lesson, {"module_id": value})
            for value in (school.draft.module_id, str(uuid.uuid4()))
        ]
        assert moves[0].text == moves[1].text

    def test_keys_that_clash_with_hidden_rows_quote_nothing(self, academy: Academy, school: School) -> None:
        """That a word is taken cannot be kept secret; whose it is, can."""
        academy.sql("update public.profiles set is_public = false where id = %s", school.stranger.id)
        [(handle,)] = academy.sql("select handle from public.profiles where id = %s", school.stranger.id)
        taken = academy.call(school.rival, "PATCH", f"/rest/v1/profiles?id=eq.{school.rival.id}", {"handle": handle})
        slug = academy.call(school.rival, "POST", "/rest/v1/courses", {"title": "x", "slug": school.draft.slug})
        for answer, constraint in ((taken, "profiles_handle_key"), (slug, "courses_slug_key")):
            assert (answer.status_code, answer.json()["code"]) == (409, "23505")
            assert answer.json()["details"] is None
            assert constraint in answer.json()["message"]

    def test_check_constraints_quote_no_row(self, academy: Academy, school: School) -> None:
        own = f"/rest/v1/profiles?id=eq.{school.rival.id}"
        for answer in (
            academy.call(school.rival, "PATCH", own, {"handle": "!!"}),
            academy.call(school.rival, "PATCH", own, {"avatar_path": f"{school.stranger.id}/stolen.png"}),
            academy.call(school.rival, "POST", "/rest/v1/courses", {"title": "x", "price_amount": -1}),
        ):
            assert (answer.status_code, answer.json()["code"]) == (400, "23514")
            assert answer.json()["details"] is None

    def test_upsert_over_a_hidden_row_changes_and_shows_nothing(self, academy: Academy, school: School) -> None:
        row = {"title": "Taken over", "slug": school.draft.slug}
        for resolution, status in (("merge", 403), ("ignore", 201)):
            prefer = f"resolution={resolution}-duplicates,return=representation"
            answer = academy.call(school.rival, "POST", "/rest/v1/courses?on_conflict=slug", row, prefer=prefer)
            assert answer.status_code == status
            assert school.draft.id not in answer.text
            assert status == 403 or answer.json() == []
        untouched(academy, "courses", school.draft.id, creator_id=school.teacher.id, slug=school.draft.slug)

    @pytest.mark.parametrize("method", ["PATCH", "DELETE"])
    @pytest.mark.parametrize("prefer", ["return=representation,count=exact", "return=minimal,count=exact"])
    def test_write_to_a_hidden_row_counts_nothing(
        self, academy: Academy, school: School, method: str, prefer: str
    ) -> None:
        path = f"/rest/v1/courses?id=eq.{school.draft.id}"
        body = {"title": "x"} if method == "PATCH" else None
        answer = academy.call(school.rival, method, path, body, prefer=prefer)
        assert answer.headers["Content-Range"] == "*/0"
        untouched(academy, "courses", school.draft.id, creator_id=school.teacher.id)

    def test_rollback_cannot_be_asked_for(self, academy: Academy, school: School) -> None:
        """Else a write could be tried, and read, without a trace."""
        path = f"/rest/v1/profiles?id=eq.{school.rival.id}"
        answer = academy.call(school.rival, "PATCH", path, {"bio": "Kept"}, prefer="tx=rollback,return=representation")
        assert "rollback" not in answer.headers.get("Preference-Applied", "")
        untouched(academy, "profiles", school.rival.id, bio="Kept")

    def test_plans_are_not_shown(self, academy: Academy, school: School) -> None:
        for kind in ("json", "text"):
            accept = f"application/vnd.pgrst.plan+{kind}"
            assert academy.call(school.stranger, "GET", "/rest/v1/courses", accept=accept).status_code in {406, 415}


# What is not the API


class TestEdgesOfTheApi:
    """Only schema public, and of it only what is granted."""

    @pytest.mark.parametrize(
        "schema", ["private", "auth", "storage", "extensions", "pg_catalog", "supabase_migrations"]
    )
    def test_no_other_schema_is_served(self, academy: Academy, school: School, schema: str) -> None:
        for person in (None, school.stranger):
            asked = academy.call(person, "GET", "/rest/v1/accounts", accept_profile=schema)
            told = academy.call(
                person, "POST", "/rest/v1/accounts", {"user_id": school.stranger.id}, content_profile=schema
            )
            called = academy.call(person, "POST", "/rest/v1/rpc/audit", {}, content_profile=schema)
            for answer in (asked, told, called):
                assert (answer.status_code, answer.json()["code"]) == (406, "PGRST106")
                assert "public" in answer.json()["message"]

    def test_private_functions_are_not_callable(self, academy: Academy, school: School) -> None:
        names = [
            name for (name,) in academy.sql("select proname from pg_proc where pronamespace = 'private'::regnamespace")
        ]
        shared = {
            name for (name,) in academy.sql("select proname from pg_proc where pronamespace = 'public'::regnamespace")
        }
        assert len(names) > 20
        for name in {*names} - shared | {"pg_sleep", "set_config", "lo_export", "crypt"}:
            for person in (None, school.moderator):
                assert academy.rpc(person, name).status_code == 404

    def test_openapi_needs_the_secret_key(self, academy: Academy, school: School) -> None:
        for person in (None, school.moderator):
            refused(academy.call(person, "GET", "/rest/v1/"), 401, "Access to schema is forbidden")
        shown = academy.http.get("/rest/v1/", headers={"apikey": academy.secret_key})
        assert shown.status_code == 200
        assert {path.split("/")[1] for path in shown.json()["paths"]} >= {"profiles"}

    def test_openapi_of_postgrest_itself_tells_no_private_name(self, academy: Academy, stack: Stack) -> None:
        port = httpx.URL(stack.api_url).port
        assert port is not None
        document = httpx.get(f"http://127.0.0.1:{port + 8}/").json()
        tables = {path.strip("/") for path in document["paths"] if not path.startswith("/rpc/")} - {""}
        readable = academy.sql(
            "select relname from pg_class where relnamespace = 'public'::regnamespace and relkind = 'r'"
            " and has_table_privilege('anon', oid, 'select')"
        )
        assert tables == {name for (name,) in readable}
        assert "private" not in json.dumps([document["paths"], document["definitions"]])

    def test_functions_are_no_columns(self, academy: Academy, school: School) -> None:
        """A function of a row would be a column that no policy narrows."""
        found = academy.sql(
            "select p.oid::regprocedure::text from pg_proc as p join pg_type as t on t.oid = p.proargtypes[0]"
            " where p.pronamespace = 'public'::regnamespace and t.typtype = 'c'"
        )
        assert found == []
        for name in ("publish_course", "email", "creator_email"):
            assert academy.call(school.stranger, "GET", f"/rest/v1/courses?select={name}").status_code == 400

    def test_secret_key_is_nobody(self, academy: Academy, school: School) -> None:
        """It reads past every policy, and is no person: what people do, it cannot."""
        for name, arguments in (
            ("enrol", {"course_id": school.free.id}),
            ("grant_role", {"user_id": school.stranger.id, "role": "admin"}),
            ("publish_course", {"course_id": school.draft.id}),
            ("submit_quiz", {"quiz_id": school.free.quiz_id, "answers": {}}),
        ):
            headers = {"apikey": academy.secret_key}
            denied(academy.http.post(f"/rest/v1/rpc/{name}", json=arguments, headers=headers))

    def test_secret_key_writes_no_conclusion(self, academy: Academy, school: School) -> None:
        for table in ("certificates", "enrolments", "quiz_attempts", "lesson_progress", "user_roles", "audit_log"):
            for method in ("POST", "PATCH", "DELETE"):
                path = f"/rest/v1/{table}" if method == "POST" else f"/rest/v1/{table}?{key_of(table)}=not.is.null"
                body = None if method == "DELETE" else {key_of(table): str(school.stranger.id)}
                denied(academy.http.request(method, path, json=body, headers={"apikey": academy.secret_key}))


def key_of(table: str) -> str:
    """A column that a table has."""
    return {"audit_log": "actor_id", "user_roles": "user_id"}.get(table, "student_id")
