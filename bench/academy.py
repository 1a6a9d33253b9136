"""An academy of a given size: people, courses with their content, enrolments, progress, attempts and certificates.

Ids are computed from numbers (`identity`), so that a course or student can be found by its number. The rows are
consistent (lessons are counted, completed courses have a passed attempt), as if people had used the API. No trigger
runs, because loading would then take days.
"""

import hashlib
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import msgspec
import psycopg
from psycopg import sql

from bench.stack import BenchStack
from bench.user_search import FIRST, LAST

LESSONS_A_COURSE = 20
LESSONS_OF_THE_LONG_COURSE = 200
POPULAR_COURSE = 1
"""The course with most students; by creator 1."""
LONG_COURSE = 40
"""A course of 200 lessons; by creator 1 too."""
BUSY_STUDENT = 1
"""A student of 50 courses."""
BUSY_CREATOR = 2
"""A creator of hundreds of courses."""
WORDS = """
    piano guitar voice rhythm harmony counterpoint composition mixing mastering studio jazz opera choir orchestra
    violin drums watercolour drawing oil portrait landscape sculpture clay weaving pottery photography film light colour
    garden bread cheese coffee wine cooking baking fermentation astronomy geometry algebra statistics calculus physics
    chemistry biology history latin greek spanish arabic mandarin poetry novel essay grammar rhetoric logic ethics law
    economics accounting trade negotiation leadership design typography printing bookbinding carpentry masonry welding
    sailing climbing yoga running chess python databases networks security compilers robots electronics radio clocks
""".split()  # noqa: SIM905  a word a line would be pages


class Size(msgspec.Struct, frozen=True, kw_only=True):
    """The size of an academy."""

    enrolments: int
    students: int
    courses: int
    creators: int

    @property
    def name(self) -> str:
        """The number of rows of progress: ten for each enrolment."""
        return f"{self.enrolments * 10:,}"

    @property
    def popular_students(self) -> int:
        """The number of students of the popular course."""
        return self.enrolments // 100 if self.enrolments >= 100_000 else self.students // 2

    @property
    def busy_creator_courses(self) -> int:
        """The number of courses of the busiest creator."""
        return min(500, self.courses // 4)


SMALL = Size(enrolments=1_000, students=400, courses=100, creators=20)
LARGE = Size(enrolments=1_000_000, students=200_000, courses=20_000, creators=4_000)


def sized(enrolments: int) -> Size:
    """An academy with fewer enrolments than the large one, and as many fewer people and courses."""
    share = LARGE.enrolments // enrolments
    return Size(
        enrolments=enrolments,
        students=LARGE.students // share,
        courses=LARGE.courses // share,
        creators=LARGE.creators // share,
    )


INDEPENDENT = "lesson_progress"
"""The largest table; its indexes are built after it is filled."""

PEOPLE = """
    create temporary table people as
    select pg_temp.id(k.kind, n) as id, k.kind || '-' || n as handle, k.kind = 'creator' as is_creator
    from (values ('student', %(students)s), ('creator', %(creators)s)) as k (kind, count)
    cross join lateral generate_series(1, k.count) as n;

    insert into public.accounts (user_id, roles)
    select p.id, case when p.is_creator then '{teacher}' else '{}' end::public.app_role[] from people as p;

    insert into public.profiles (id, handle, display_name)
    select p.id, p.handle, (%(firsts)s::text[])[1 + floor(random() * cardinality(%(firsts)s::text[]))] || ' '
        || (%(lasts)s::text[])[1 + floor(random() * cardinality(%(lasts)s::text[]))]
    from people as p;

    insert into public.user_roles (user_id, role) select p.id, 'teacher' from people as p where p.is_creator;
"""

COURSES = """
    insert into public.categories (id, slug, name, position)
    select pg_temp.id('category', n), 'shelf-' || n, 'Shelf ' || n, 100 + n from generate_series(1, 20) as n;

    insert into public.courses (
        id, creator_id, category_id, slug, title, subtitle, description, level, language, price_amount, status,
        published_at, created_at, lesson_count, duration_seconds
    )
    select
        pg_temp.id('course', n),
        pg_temp.id('creator', case
            when n in (1, %(long)s) then 1
            when n <= 2 + %(busy_creator_courses)s then 2
            else 3 + n %% (%(creators)s - 2)
        end),
        pg_temp.id('category', 1 + n %% 20),
        'course-' || n,
        pg_temp.words(3) || ' ' || n,
        pg_temp.words(6),
        pg_temp.words(120),
        (array['beginner', 'intermediate', 'advanced', 'all'])[1 + n %% 4]::public.course_level,
        (array['en', 'en', 'en', 'de', 'fr', 'es'])[1 + n %% 6],
        (n %% 5) * 1000,
        case when n > 50 and n %% 20 = 0 then 'archived' when n > 50 and n %% 20 = 1 then 'draft' else 'published' end
            ::public.course_status,
        now() - random() * interval '3 years',
        now() - interval '3 years' - random() * interval '1 year',
        l.lessons,
        l.lessons * 300 + 10 * l.lessons * (l.lessons + 1) / 2
    from generate_series(1, %(courses)s) as n
    cross join lateral (select case n when %(long)s then 200 else 20 end as lessons) as l;

    create temporary table outline as
    select c.n as course, m.n as module, l.n as lesson, (m.n - 1) * 5 + l.n as place
    from generate_series(1, %(courses)s) as c (n)
    cross join lateral generate_series(1, case c.n when %(long)s then 40 else 4 end) as m (n)
    cross join generate_series(1, 5) as l (n);

    insert into public.modules (id, course_id, title, position)
    select
        pg_temp.id('module', o.course * 1000 + o.module),
        pg_temp.id('course', o.course),
        'Part ' || o.module,
        o.module
    from outline as o
    where o.lesson = 1;

    insert into public.lessons (id, course_id, module_id, title, summary, duration_seconds, is_intro, position)
    select
        pg_temp.id('lesson', o.course * 1000 + o.place),
        pg_temp.id('course', o.course),
        pg_temp.id('module', o.course * 1000 + o.module),
        pg_temp.words(4),
        pg_temp.words(12),
        300 + o.place * 10,
        o.place = 1,
        o.lesson
    from outline as o;

    insert into public.lesson_contents (lesson_id, course_id, body)
    select
        pg_temp.id('lesson', o.course * 1000 + o.place),
        pg_temp.id('course', o.course),
        repeat(md5(o.course::text || o.place), 20)
    from outline as o;

    insert into public.quizzes (id, course_id, title)
    select pg_temp.id('quiz', n), pg_temp.id('course', n), 'What was learned' from generate_series(1, %(courses)s) as n;

    -- A fifth of the courses opens lesson by lesson, another day by day; the last of some waits for the quiz.
    insert into public.lesson_gates (lesson_id, course_id, after_days, after_lesson_id, after_quiz_id)
    select
        pg_temp.id('lesson', o.course * 1000 + o.place),
        pg_temp.id('course', o.course),
        case o.course %% 5 when 1 then o.place end,
        case o.course %% 5 when 0 then pg_temp.id('lesson', o.course * 1000 + o.place - 1) end,
        case when o.course %% 5 = 2 then pg_temp.id('quiz', o.course) end
    from outline as o
    where o.place > 1 and (o.course %% 5 < 2 or (o.course %% 5 = 2 and o.place = 20));

    insert into public.quiz_questions (id, quiz_id, course_id, kind, prompt, position)
    select
        pg_temp.id('question', n * 100 + q), pg_temp.id('quiz', n), pg_temp.id('course', n), 'true_false', 'So?', q
    from generate_series(1, %(courses)s) as n
    cross join generate_series(1, 5) as q;

    insert into private.quiz_answer_keys (question_id, answer)
    select pg_temp.id('question', n * 100 + q), 'true'
    from generate_series(1, %(courses)s) as n
    cross join generate_series(1, 5) as q;
"""

ENROLMENTS = """
    -- Few courses have many students.
    create temporary table taken as
    select
        t.*,
        row_number() over () as n,
        floor(random() * (case t.course when %(long)s then 201 else 21 end))::integer as lessons_begun,
        random() < 0.5 as is_under_way,
        now() - random() * interval '2 years' as enrolled_at,
        random() as luck
    from (
        select distinct u.student, u.course
        from (
            select
                1 + floor(random() * %(students)s)::integer as student,
                1 + floor(power(random(), 2) * %(courses)s)::integer as course
            from generate_series(1, %(enrolments)s * 102 / 100)
            union all
            select n, 1 from generate_series(1, %(popular_students)s) as n
            union all
            select 1, n from generate_series(1, 50) as n
        ) as u
    ) as t;
    analyze taken;

    insert into public.enrolments (
        id, course_id, student_id, creator_id, student_name, source, status, completed_lesson_count, enrolled_at,
        last_activity_at, completed_at
    )
    select
        pg_temp.id('enrolment', t.n), c.id, p.id, c.creator_id, p.display_name, 'free',
        case when s.is_completed then 'completed' else 'active' end::public.enrolment_status,
        s.finished, t.enrolled_at, t.enrolled_at + t.luck * (now() - t.enrolled_at),
        case when s.is_completed then t.enrolled_at + t.luck * (now() - t.enrolled_at) end
    from taken as t
    join public.courses as c on c.id = pg_temp.id('course', t.course)
    join public.profiles as p on p.id = pg_temp.id('student', t.student)
    cross join lateral (
        select
            t.lessons_begun - (t.is_under_way and t.lessons_begun > 0)::integer as finished,
            not t.is_under_way and t.lessons_begun = case t.course when %(long)s then 200 else 20 end as is_completed
    ) as s
    order by t.luck;

    insert into public.quiz_attempts (
        quiz_id, course_id, enrolment_id, student_id, status, attempt_number, question_ids, submission_key, points,
        max_points, pass_percent, started_at, submitted_at
    )
    select
        q.id, t.course_id, t.id, t.student_id, 'submitted', 1, q.question_ids, gen_random_uuid(),
        case when t.status = 'completed' then 5 else 1 end, 5, 70, t.last_activity_at, t.last_activity_at
    from taken as k
    join public.enrolments as t on t.id = pg_temp.id('enrolment', k.n)
    join (
        select i.quiz_id as id, i.course_id, array_agg(i.id order by i.position) as question_ids
        from public.quiz_questions as i
        group by i.quiz_id, i.course_id
    ) as q on q.course_id = t.course_id
    where t.status = 'completed' or k.luck < 0.1;

    insert into public.enrolment_notes (enrolment_id, course_id, student_id, body)
    select e.id, e.course_id, e.student_id, 'Asks good questions, and is often late.'
    from public.enrolments as e
    where random() < 0.02
    on conflict do nothing; -- the seed may have a note already

    insert into public.course_stats (course_id, student_count)
    select c.id, count(e.id)
    from public.courses as c
    left join public.enrolments as e on e.course_id = c.id
    group by c.id
    on conflict (course_id) do nothing;
"""

PROGRESS = """
    -- As it comes in life: what a student does in a course is spread over the table.
    insert into public.lesson_progress (
        enrolment_id, lesson_id, course_id, student_id, position_seconds, completed_at, created_at, updated_at
    )
    select
        pg_temp.id('enrolment', p.n), pg_temp.id('lesson', p.course * 1000 + p.place), pg_temp.id('course', p.course),
        pg_temp.id('student', p.student), 100, case when p.is_finished then p.happened_at end,
        p.happened_at, p.happened_at
    from (
        select
            t.n, t.course, t.student, l.place, l.place < t.lessons_begun or not t.is_under_way as is_finished,
            t.enrolled_at + random() * (now() - t.enrolled_at) as happened_at
        from taken as t
        cross join lateral generate_series(1, t.lessons_begun) as l (place)
    ) as p
    order by p.happened_at
"""

FIGURES = """
    insert into public.user_stats (user_id, is_public) select p.id, true from people as p;

    update public.user_stats as s
    set enrolment_count = e.taken, completed_course_count = e.completed
    from (
        select student_id, count(*) as taken, count(*) filter (where status = 'completed') as completed
        from public.enrolments group by student_id
    ) as e
    where e.student_id = s.user_id;

    update public.user_stats as s
    set published_course_count = c.published, student_count = c.students
    from (
        select c.creator_id, count(distinct c.id) filter (where c.status = 'published') as published,
            count(distinct e.student_id) as students
        from public.courses as c left join public.enrolments as e on e.course_id = c.id
        group by c.creator_id
    ) as c
    where c.creator_id = s.user_id;
"""


def load(stack: BenchStack, size: Size) -> None:
    """Load an academy, and print how long it took and how large it is."""
    started = time.perf_counter()
    with loading(stack) as connection:
        _helpers(connection)
        for statements in (PEOPLE, COURSES, ENROLMENTS):
            _run(connection, statements, size)
        indexes = _without_indexes(connection)
        _run(connection, PROGRESS, size)
        for index in indexes:
            connection.execute(index.encode())
        _run(connection, FIGURES, size)
        connection.execute("select private.rebuild_course_search()")
        settle(connection)
        rows = connection.execute(
            "select (select count(*) from public.enrolments), (select count(*) from public.lesson_progress),"
            " pg_size_pretty(pg_database_size(current_database()))"
        ).fetchone()
    assert rows is not None
    print(
        f"academy: {rows[0]:,} enrolments, {rows[1]:,} rows of progress, {size.courses:,} courses, {rows[2]}, "
        f"loaded in {time.perf_counter() - started:.0f} s"
    )


def _helpers(connection: psycopg.Connection) -> None:
    # Some words are in every other text, some in a few.
    connection.execute(
        sql.SQL("""
            create function pg_temp.words(p_count integer) returns text language sql volatile
            as $$
                select string_agg(({words}::text[])[1 + floor(power(random(), 2) * {count})], ' ')
                from generate_series(1, p_count)
            $$
        """).format(words=sql.Literal(WORDS), count=sql.Literal(len(WORDS)))
    )


def _run(connection: psycopg.Connection, statements: str, size: Size) -> None:
    values = {
        "enrolments": size.enrolments,
        "students": size.students,
        "courses": size.courses,
        "creators": size.creators,
        "popular_students": size.popular_students,
        "busy_creator_courses": size.busy_creator_courses,
        "long": LONG_COURSE,
        "firsts": FIRST,
        "lasts": LAST,
    }
    run(connection, statements, values)


def _without_indexes(connection: psycopg.Connection) -> list[str]:
    """Drop the indexes of the largest table; returns the statements that rebuild them."""
    table = f"public.{INDEPENDENT}"
    constraints = connection.execute(
        "select conname, pg_get_constraintdef(oid) from pg_constraint"
        " where conrelid = %s::regclass and contype in ('p', 'u')",
        [table],
    ).fetchall()
    again = [f"alter table {table} add constraint {name} {definition}" for name, definition in constraints]
    for name, _ in constraints:
        connection.execute(f"alter table {table} drop constraint {name}".encode())
    indexes = connection.execute(
        "select indexrelid::regclass::text, pg_get_indexdef(indexrelid) from pg_index where indrelid = %s::regclass",
        [table],
    ).fetchall()
    for name, _ in indexes:
        connection.execute(f"drop index {name}".encode())
    return again + [definition for _, definition in indexes]


@contextmanager
def loading(stack: BenchStack) -> Iterator[psycopg.Connection]:
    """A connection for loading, without triggers; its `pg_temp.id` makes ids as `identity` does."""
    with psycopg.connect(stack.admin_db_url, autocommit=True) as connection:
        connection.execute("alter system set max_wal_size = '4GB'")
        connection.execute("select pg_reload_conf()")
        connection.execute("set session_replication_role = replica")
        connection.execute("set synchronous_commit = off")
        connection.execute("set work_mem = '512MB'")
        connection.execute("set maintenance_work_mem = '1GB'")
        connection.execute("""
            create function pg_temp.id(p_kind text, p_number bigint) returns uuid language sql immutable
            as $$ select md5(p_kind || p_number)::uuid $$
        """)
        yield connection


def run(connection: psycopg.Connection, statements: str, values: dict[str, Any]) -> None:
    """Run statements that each end with a semicolon and a newline, with the same named values."""
    for statement in statements.split(";\n"):
        if statement.strip():
            psycopg.ClientCursor(connection).execute(statement.encode(), values)


def settle(connection: psycopg.Connection) -> None:
    """Vacuum, analyze and checkpoint, so that no work is left for later."""
    connection.execute("vacuum analyze")
    connection.execute("checkpoint")


def identity(kind: str, number: int) -> str:
    """The id of a thing by kind and number; a lesson's number is its course's times a thousand plus its position."""
    return str(uuid.UUID(hashlib.md5(f"{kind}{number}".encode(), usedforsecurity=False).hexdigest()))
