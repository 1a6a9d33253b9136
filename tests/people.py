"""Makes people and courses for tests, and calls the API as them."""

import json
import select
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, Self, TypeVar

import httpx
import msgspec
import psycopg
from psycopg.pq import ExecStatus
from psycopg.types.json import Jsonb

from stack.keys import Keys

PASSWORD = "correct horse battery"
OPTIONS = [{"id": "a", "text": "First"}, {"id": "b", "text": "Second"}, {"id": "c", "text": "Third"}]
QUESTIONS: tuple[dict[str, Any], ...] = (
    {"kind": "single", "prompt": "single?", "answer": "b", "points": 1},
    {"kind": "multiple", "prompt": "multiple?", "answer": ["a", "c"], "points": 2},
)
"""The questions of every course's quiz."""

Result = TypeVar("Result")


class Person(msgspec.Struct, frozen=True, kw_only=True):
    """A user with a valid access token."""

    id: str
    email: str
    token: str


class Course(msgspec.Struct, frozen=True, kw_only=True):
    """A course with one module, two lessons of which the first is an intro, and a certifying quiz of two questions."""

    id: str
    slug: str
    teacher: Person
    module_id: str
    lesson_ids: tuple[str, ...]
    quiz_id: str
    correct_answers: dict[str, Any]
    """The answers with which submit_quiz passes, by question; every other value is wrong."""


class Academy:
    """Makes users and courses, and calls the API as anybody."""

    def __init__(self, keys: Keys, admin_db_url: str, http: httpx.Client) -> None:
        """Args: the stack's keys, the superuser's database address, and a client whose base is the API."""
        self.keys = keys
        self.publishable_key = keys.publishable
        self.secret_key = keys.secret
        self.admin_db_url = admin_db_url
        self.http = http
        self._lock = threading.Lock()
        self._shared: psycopg.Connection | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._shared is not None:
            self._shared.close()

    @contextmanager
    def connection(self) -> Iterator[psycopg.Connection]:
        """A superuser's connection in autocommit, kept open between uses. Nothing may be set for its session."""
        if not self._lock.acquire(blocking=False):  # another thread uses the shared one, and may wait for a lock
            with psycopg.connect(self.admin_db_url, autocommit=True) as connection:
                yield connection
            return
        try:
            if self._shared is not None and not _is_alive(self._shared):
                self._shared.close()
                self._shared = None
            if self._shared is None:
                self._shared = psycopg.connect(self.admin_db_url, autocommit=True)
            yield self._shared
        finally:
            self._lock.release()

    def call(self, who: Person | None, method: str, path: str, body: Any = None, **headers: str) -> httpx.Response:
        """One HTTP call as a person, or as nobody. Header names are written with _ for -.

        Args:
            who: whose token to send; None for a stranger with the publishable key.
            method: GET, POST, ...
            path: from the origin, such as `/rest/v1/courses?select=id`.
            body: sent as JSON where it is not None.
            headers: more headers, such as `prefer="return=representation"`.
        """
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        sent["apikey"] = self.publishable_key
        if who is not None:
            sent["Authorization"] = f"Bearer {who.token}"
        return self.http.request(method, path, json=body, headers=sent)

    def rpc(self, who: Person | None, name: str, /, **arguments: Any) -> httpx.Response:
        """POST /rest/v1/rpc/<name> with these arguments."""
        return self.call(who, "POST", f"/rest/v1/rpc/{name}", arguments)

    def insert(self, who: Person, table: str, **columns: Any) -> dict[str, Any]:
        """Insert one row as a person, and return it. Fails where it is refused."""
        answer = self.call(
            who,
            "POST",
            f"/rest/v1/{table}",
            columns,
            prefer="return=representation",
            accept="application/vnd.pgrst.object+json",
        )
        assert answer.status_code == 201, answer.text
        row: dict[str, Any] = answer.json()
        return row

    def member(self, *roles: str, name: str = "Test Person") -> Person:
        """A new user with these roles and a token, made in SQL: auth knows no password and no session of them."""
        user_id = str(uuid.uuid4())
        email = f"{user_id}@example.com"
        with self.connection() as connection, connection.pipeline(), connection.transaction():
            connection.execute(
                "insert into auth.users (id, aud, role, email, email_confirmed_at, raw_user_meta_data)"
                " values (%s, 'authenticated', 'authenticated', %s, now(), jsonb_build_object('name', %s::text))",
                [user_id, email, name],
            )
            if roles:
                connection.execute(
                    "insert into public.user_roles (user_id, role) select %s, unnest(%s::public.app_role[])",
                    [user_id, list(roles)],
                )
        return Person(id=user_id, email=email, token=self.token(user_id, email))

    def token(self, user_id: str, email: str) -> str:
        """An access token as auth would sign it, for a session that auth does not know."""
        now = int(time.time())
        return self.keys.sign(
            {
                "iss": f"{str(self.http.base_url).rstrip('/')}/auth/v1",
                "sub": user_id,
                "aud": "authenticated",
                "role": "authenticated",
                "iat": now,
                "exp": now + 3600,
                "email": email,
                "phone": "",
                "aal": "aal1",
                "amr": [{"method": "password", "timestamp": now}],
                "session_id": str(uuid.uuid4()),
                "app_metadata": {"provider": "email", "providers": ["email"]},
                "user_metadata": {},
                "is_anonymous": False,
            }
        )

    def person(self, *roles: str, name: str = "Test Person") -> Person:
        """A new confirmed user with these roles, signed in through auth."""
        email = f"{uuid.uuid4().hex}@example.com"
        made = self.http.post(
            "/auth/v1/admin/users",
            json={
                "email": email,
                "password": PASSWORD,
                "email_confirm": True,
                "user_metadata": {"display_name": name},
            },
            headers={"apikey": self.secret_key},
        )
        assert made.status_code == 200, made.text
        user_id: str = made.json()["id"]
        if roles:
            self.sql(
                "insert into public.user_roles (user_id, role) select %s, unnest(%s::public.app_role[])",
                user_id,
                list(roles),
            )
        return Person(id=user_id, email=email, token=self.sign_in(email))

    def sign_in(self, email: str) -> str:
        """A new access token for a user made here."""
        session = self.http.post(
            "/auth/v1/token?grant_type=password",
            json={"email": email, "password": PASSWORD},
            headers={"apikey": self.publishable_key},
        )
        assert session.status_code == 200, session.text
        token: str = session.json()["access_token"]
        return token

    def suspend(self, person: Person) -> None:
        """Suspend an account, as an operator would in SQL."""
        self.sql("update public.accounts set status = 'suspended' where user_id = %s", person.id)

    def course(self, teacher: Person, *, published: bool = True, price_amount: int = 0) -> Course:
        """A complete course, made in SQL in one round trip; its rows are those that `course_by_api` leaves."""
        course_id, module_id, quiz_id, *lesson_ids = (str(uuid.uuid4()) for _ in range(5))
        claims = json.dumps({"sub": teacher.id, "role": "authenticated"})
        with self.connection() as connection:
            with connection.pipeline(), connection.transaction():
                run = connection.execute
                # As the teacher, for triggers, defaults and functions; as the superuser, who may choose ids.
                run("select set_config('request.jwt.claims', %s, true)", [claims])
                inserted = run(
                    "insert into public.courses (id, title, description, price_amount) values (%s, %s, %s, %s)"
                    " returning slug",
                    [course_id, f"Course {uuid.uuid4().hex[:8]}", "What it is about.", price_amount],
                )
                run(
                    "insert into public.modules (id, course_id, title) values (%s, %s, 'First module')",
                    [module_id, course_id],
                )
                for number, lesson_id in enumerate(lesson_ids, 1):
                    run(
                        "insert into public.lessons (id, module_id, title, is_intro) values (%s, %s, %s, %s)",
                        [lesson_id, module_id, f"Lesson {number}", number == 1],
                    )
                    run(
                        "insert into public.lesson_contents (lesson_id, body) values (%s, %s)",
                        [lesson_id, f"The secret of {lesson_id}"],
                    )
                run(
                    "insert into public.quizzes (id, course_id, title, pass_percent) values (%s, %s, 'Quiz', 60)",
                    [quiz_id, course_id],
                )
                saved = [
                    run(
                        "select (public.save_quiz_question(quiz_id => %s, kind => %s, prompt => %s, options => %s,"
                        " answer => %s, points => %s)).id::text",
                        [
                            quiz_id,
                            question["kind"],
                            question["prompt"],
                            Jsonb(OPTIONS),
                            Jsonb(question["answer"]),
                            question["points"],
                        ],
                    )
                    for question in QUESTIONS
                ]
                if published:
                    run("select public.publish_course(%s)", [course_id])
            [(slug,)] = inserted.fetchall()
            question_ids = [cursor.fetchall()[0][0] for cursor in saved]
        return Course(
            id=course_id,
            slug=slug,
            teacher=teacher,
            module_id=module_id,
            lesson_ids=tuple(lesson_ids),
            quiz_id=quiz_id,
            correct_answers=dict(zip(question_ids, (question["answer"] for question in QUESTIONS), strict=True)),
        )

    def course_by_api(self, teacher: Person, *, published: bool = True, price_amount: int = 0) -> Course:
        """A complete course, made through the API as its teacher makes it."""
        course = self.insert(
            teacher,
            "courses",
            title=f"Course {uuid.uuid4().hex[:8]}",
            description="What it is about.",
            price_amount=price_amount,
        )
        module = self.insert(teacher, "modules", course_id=course["id"], title="First module")
        lessons = [
            self.insert(teacher, "lessons", module_id=module["id"], title=f"Lesson {number}", is_intro=number == 1)[
                "id"
            ]
            for number in (1, 2)
        ]
        for lesson in lessons:
            self.insert(teacher, "lesson_contents", lesson_id=lesson, body=f"The secret of {lesson}")
        quiz = self.insert(teacher, "quizzes", course_id=course["id"], title="Quiz", pass_percent=60)
        right: dict[str, Any] = {}
        for question in QUESTIONS:
            saved = self.rpc(teacher, "save_quiz_question", quiz_id=quiz["id"], options=OPTIONS, **question)
            assert saved.status_code == 200, saved.text
            right[saved.json()["id"]] = question["answer"]
        if published:
            done = self.rpc(teacher, "publish_course", course_id=course["id"])
            assert done.status_code == 200, done.text
        return Course(
            id=course["id"],
            slug=course["slug"],
            teacher=teacher,
            module_id=module["id"],
            lesson_ids=tuple(lessons),
            quiz_id=quiz["id"],
            correct_answers=right,
        )

    def enrol(self, student: Person, course: Course) -> str:
        """Enrol a student in a free course; returns the enrolment's id."""
        answer = self.rpc(student, "enrol", course_id=course.id)
        assert answer.status_code == 200, answer.text
        enrolment_id: str = answer.json()["id"]
        return enrolment_id

    def sql(self, statement: str, *parameters: Any) -> list[tuple[Any, ...]]:
        """Run one statement as the superuser and commit it; returns its rows."""
        with self.connection() as connection:
            cursor = connection.execute(statement.encode(), parameters)
            # Not by the description, which `select from ...` lacks, whatever it finds.
            has_rows = cursor.pgresult is not None and cursor.pgresult.status == ExecStatus.TUPLES_OK
            return cursor.fetchall() if has_rows else []


def _is_alive(connection: psycopg.Connection) -> bool:
    """Whether the server has not ended the session: it would have sent a message, and closed the socket."""
    if connection.closed:
        return False
    readable, _, _ = select.select([connection.fileno()], [], [], 0)
    return not readable


def refused(answer: httpx.Response, status: int, token: str) -> None:
    """Assert that an answer is this error."""
    assert (answer.status_code, answer.json().get("message")) == (status, token), answer.text


def rows(answer: httpx.Response) -> list[dict[str, Any]]:
    """The rows in an answer."""
    assert answer.status_code in {200, 201}, answer.text
    found: list[dict[str, Any]] = answer.json()
    return found


def concurrently(times: int, work: Callable[[int], Result]) -> list[Result]:
    """Run `work(0)`, `work(1)`, ... at the same moment, each in a thread of its own, and return their results."""
    barrier = threading.Barrier(times)

    def start(number: int) -> Result:
        barrier.wait()
        return work(number)

    with ThreadPoolExecutor(times) as pool:
        return list(pool.map(start, range(times)))
