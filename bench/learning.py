"""The most frequent requests of teachers and students, in a small and a large academy, with and without RLS.

Each request goes to PostgREST once. The transaction that PostgREST makes of it then runs on connections of its own,
interleaved: as the caller, and as a role without row level security whose filter states the caller's right instead,
where the request does not imply it. All transactions are rolled back, so that each finds the same rows.

`python -m bench.learning`, or with the number of enrolments of the large academy.
"""

import random
import statistics
import sys
from collections.abc import Callable

import psycopg

from bench import academy
from bench.academy import (
    BUSY_CREATOR,
    BUSY_STUDENT,
    LARGE,
    LONG_COURSE,
    POPULAR_COURSE,
    SMALL,
    WORDS,
    Size,
    identity,
    sized,
)
from bench.stack import BenchStack, running
from bench.transactions import PlanCounts, Plans, Request, Session, Times, Transaction, recorder
from bench.user_search import MOST_ROWS_SCANNED, SEED, slip

ROUNDS = 120
WARMING = 12
"""Runs before any counts: Postgres decides about the generic plan after five custom ones."""
LEAST_RATIO = 0.90
MOST_GROWTH = 1.5

NEWEST = "enrolled_at.desc,enrolment_id"
LATEST = "last_activity_at.desc,enrolment_id"

Kind = Callable[[random.Random, "Place"], Request]


class Place:
    """An academy to measure: its stack, and some of its people."""

    def __init__(self, stack: BenchStack, size: Size) -> None:
        """Load the stack, and pick students and their courses."""
        self.stack, self.size = stack, size
        academy.load(stack, size)
        with psycopg.connect(stack.admin_db_url) as connection:
            rows = connection.execute(
                "select e.student_id::text, c.id::text, substr(c.slug, 8)::integer, e.completed_lesson_count"
                " from public.enrolments as e join public.courses as c on c.id = e.course_id"
                " where c.slug like 'course-%' and c.status = 'published' and e.status = 'active'"
                " and e.completed_lesson_count between 1 and 18 and e.enrolled_at < now() - interval '1 month'"
                " order by random() limit 1000"
            ).fetchall()
            self.taken = [(student, course) for student, course, _, _ in rows]
            self.done = [(student, identity("lesson", course * 1000 + done)) for student, _, course, done in rows]
            """Students and a lesson that they finished."""
            self.next = [(student, identity("lesson", course * 1000 + done + 1)) for student, _, course, done in rows]
            """Students and the lesson that they finish next."""
            self.creators = connection.execute(
                "select c.creator_id::text, c.id::text from public.courses as c where c.status = 'published'"
                " and c.slug like 'course-%' and exists (select from public.enrolments as e where e.course_id = c.id)"
                " order by random() limit 1000"
            ).fetchall()
            self.titles = [
                title
                for (title,) in connection.execute(
                    "select title from public.courses where status = 'published' order by random() limit 1000"
                ).fetchall()
            ]


def my_courses(student: str, of_course: str = "id,slug,title,thumbnail_path,lesson_count") -> Request:
    """A student's list of courses."""
    columns = f"id,status,enrolled_at,last_activity_at,completed_lesson_count,access_until,course:courses({of_course})"
    return Request(
        caller=student,
        path=f"/enrolments?student_id=eq.{student}&select={columns}&order=last_activity_at.desc&limit=20",
    )


def outline(caller: str, course: str) -> Request:
    """A course with its modules and lessons."""
    columns = "id,slug,title,modules(id,title,position,lessons(id,title,position,duration_seconds,is_intro))"
    order = "modules.order=position&modules.lessons.order=position"
    return Request(
        caller=caller,
        path=f"/courses?id=eq.{course}&select={columns}&{order}",
        right="public.courses.status = 'published' or public.courses.creator_id = auth.uid() or exists ("
        " select from public.enrolments as e where e.student_id = auth.uid() and e.course_id = public.courses.id"
        " and e.status <> 'cancelled' and (e.access_until is null or e.access_until > now()))",
    )


def content(caller: str, lesson: str) -> Request:
    """The content of a lesson."""
    return Request(
        caller=caller,
        path=f"/lesson_contents?lesson_id=eq.{lesson}",
        right="exists (select from public.enrolments as e join public.courses as c on c.id = e.course_id"
        " where e.student_id = auth.uid() and e.course_id = public.lesson_contents.course_id"
        " and e.status <> 'cancelled' and (e.access_until is null or e.access_until > now())"
        " and c.status not in ('suspended', 'deleted'))"
        " and not exists (select from public.lesson_locks as k where k.lesson_id = public.lesson_contents.lesson_id)",
    )


def progress(caller: str, lesson: str, *, is_completed: bool) -> Request:
    """A write of a student's progress in a lesson."""
    return Request(
        caller=caller,
        path="/rpc/record_progress",
        body={"lesson_id": lesson, "position_seconds": 120, "is_completed": is_completed},
    )


def students_of_course(creator: str, course: str, order: str = NEWEST) -> Request:
    """A page of a course's students."""
    return Request(
        caller=creator,
        path=f"/course_students?course_id=eq.{course}&order={order}&limit=50",
        right="exists (select from public.courses as c where c.id = public.course_students.course_id"
        " and c.creator_id = auth.uid())",
    )


def students_of_creator(creator: str, order: str) -> Request:
    """A page of the students of all courses of a creator."""
    return Request(caller=creator, path=f"/course_students?creator_id=eq.{creator}&order={order}&limit=50")


def search(caller: str, typed: str) -> Request:
    """A page of search results."""
    return Request(caller=caller, path=f"/rpc/search_courses?q={typed}&select=id,slug,title,subtitle&limit=20")


POPULAR = (identity("creator", 1), identity("course", POPULAR_COURSE))
"""The creator of the course with most students, and the course."""

KINDS: dict[str, Kind] = {
    "my courses": lambda dice, place: my_courses(dice.choice(place.taken)[0]),
    "my courses and their creators": lambda dice, place: my_courses(
        dice.choice(place.taken)[0], "id,slug,title,creator:profiles(id,handle,display_name)"
    ),
    "my courses: 50": lambda _, __: my_courses(identity("student", BUSY_STUDENT)),
    "course outline": lambda dice, place: outline(*dice.choice(place.taken)),
    "course outline: 200 lessons": lambda dice, place: outline(
        dice.choice(place.taken)[0], identity("course", LONG_COURSE)
    ),
    "lesson content": lambda dice, place: content(*dice.choice(place.done)),
    "progress write: a place": lambda dice, place: progress(*dice.choice(place.done), is_completed=False),
    "progress write: a lesson finished": lambda dice, place: progress(*dice.choice(place.next), is_completed=True),
    "students of a course": lambda dice, place: students_of_course(*dice.choice(place.creators)),
    "students of the popular course": lambda _, __: students_of_course(*POPULAR),
    "... by activity": lambda _, __: students_of_course(creator=POPULAR[0], course=POPULAR[1], order=LATEST),
    "students of a creator": lambda dice, place: students_of_creator(dice.choice(place.creators)[0], NEWEST),
    "students of the popular creator": lambda _, __: students_of_creator(POPULAR[0], NEWEST),
    "course search: a title": lambda dice, place: search(dice.choice(place.taken)[0], dice.choice(place.titles)),
    "course search: a title with slips": lambda dice, place: search(
        dice.choice(place.taken)[0], slip(dice.choice(place.titles).rpartition(" ")[0], dice)
    ),
    "course search: a common word": lambda dice, place: search(dice.choice(place.taken)[0], dice.choice(WORDS[:5])),
}

Variant = tuple[int, bool]
"""The academy (0 small, 1 large), and whether under row level security."""
VARIANTS: list[Variant] = [(0, True), (0, False), (1, True), (1, False)]


def measure(size: Size = LARGE) -> None:
    """Load two academies, measure and print."""
    with running() as small, running() as large:
        compare([Place(small, SMALL), Place(large, size)])


def compare(places: list[Place]) -> None:
    """Measure both, and print."""
    recorded = [record(place) for place in places]
    print(HEADER)
    for kind in KINDS:
        sessions = {variant: Session(places[variant[0]].stack) for variant in VARIANTS}
        cases = [transactions[kind] for transactions in recorded]
        times = time_kind(sessions, cases)
        print_kind(kind, times, explain_kind(sessions, cases), plan_counts(sessions, cases))
        for session in sessions.values():
            session.close()
    helpers(places[1])


def record(place: Place) -> dict[str, list[Transaction]]:
    """The transactions that PostgREST makes of some requests of each kind."""
    dice = random.Random(SEED)
    with recorder(place.stack) as log:
        return {kind: [log.record(make(dice, place)) for _ in range(ROUNDS)] for kind, make in KINDS.items()}


def chosen(transaction: Transaction, variant: Variant) -> Transaction:
    """The transaction with or without row level security."""
    return transaction if variant[1] else transaction.without_rls()


def time_kind(sessions: dict[Variant, Session], cases: list[list[Transaction]]) -> dict[Variant, list[Times]]:
    """Run each case in both academies, with and without RLS, after one untimed run that loads its pages."""
    for variant in VARIANTS:
        for transaction in cases[variant[0]][:WARMING]:
            sessions[variant].run(chosen(transaction, variant))
    taken: dict[Variant, list[Times]] = {variant: [] for variant in VARIANTS}
    for number in range(ROUNDS):
        for where in (0, 1):
            sessions[where, True].run(cases[where][number])
        for variant in VARIANTS if number % 2 == 0 else VARIANTS[::-1]:
            transaction = chosen(cases[variant[0]][number], variant)
            taken[variant].append(sessions[variant].run(transaction))
    return taken


def explain_kind(sessions: dict[Variant, Session], cases: list[list[Transaction]]) -> dict[Variant, Plans]:
    """What each variant reads."""
    return {
        variant: sessions[variant].explain([chosen(each, variant) for each in cases[variant[0]][:WARMING]])
        for variant in VARIANTS
    }


def plan_counts(sessions: dict[Variant, Session], cases: list[list[Transaction]]) -> dict[Variant, PlanCounts]:
    """How often Postgres planned each variant anew, and how often not. The runs of `explain_kind` are counted too."""
    return {
        variant: session.plan_counts(chosen(cases[variant[0]][0], variant).main)
        for variant, session in sessions.items()
    }


HEADER = (
    f"  {'':<36}{'ms':>8}{'without':>9}{'ratio':>8}{'whole':>8}{'small ms':>10}{'growth':>8}"
    f"{'pages':>8}{'without':>9}{'small':>8}"
    f"{'plans':>9}{'without':>9}  widest step"
)


def print_kind(
    kind: str,
    taken: dict[Variant, list[Times]],
    plans: dict[Variant, Plans],
    counts: dict[Variant, PlanCounts],
) -> None:
    """Print a line. `plans` in it are generic/custom; a remark follows where policies cost the generic plan."""
    main = {variant: statistics.median(times.main for times in some) for variant, some in taken.items()}
    pairs = list(zip(taken[1, False], taken[1, True], strict=True))
    ratio = statistics.median(bare.main / under.main for bare, under in pairs)
    whole = statistics.median(bare.whole / under.whole for bare, under in pairs)
    growth = main[1, True] / main[0, True]
    rows, step = plans[1, True].widest
    print(
        f"  {kind:<36}{main[1, True]:8.2f}{main[1, False]:9.2f}{ratio:8.2f}{whole:8.2f}"
        f"{main[0, True]:10.2f}{growth:8.2f}"
        f"{plans[1, True].buffers:8,}{plans[1, False].buffers:9,}{plans[0, True].buffers:8,}"
        f"{counts[1, True]!s:>9}{counts[1, False]!s:>9}  {step}: {rows:,}"
    )
    if counts[1, True].is_planned_anew and not counts[1, False].is_planned_anew:
        print(f"  {'':<36}under RLS it is planned at each call, without RLS it is not")
    for variant, plan in plans.items():
        wide = {table: count for table, count in plan.scanned.items() if count > MOST_ROWS_SCANNED}
        if wide:
            print(f"  {'':<36}{'under RLS' if variant[1] else 'without'}, sequential scans: {wide}")


def helpers(place: Place) -> None:
    """Print the time of single functions, at their worst sizes."""
    creator, student = identity("creator", BUSY_CREATOR), identity("student", BUSY_STUDENT)
    typical = place.taken[0][0]
    calls = {
        "my_course_ids(), typical": (typical, "select private.my_course_ids()"),
        "my_course_ids(), 50 courses": (student, "select private.my_course_ids()"),
        f"my_taught_course_ids(), {place.size.busy_creator_courses} courses": (
            creator,
            "select private.my_taught_course_ids()",
        ),
        "sync_completion, 200 lessons": (
            student,
            "select private.sync_completion(e.id) from public.enrolments as e"
            " join public.courses as c on c.id = e.course_id"
            " where e.student_id = auth.uid() and c.lesson_count = 200",
        ),
    }
    with psycopg.connect(place.stack.admin_db_url) as connection:
        for name, (caller, statement) in calls.items():
            connection.execute("select set_config('request.jwt.claims', %s, false)", [f'{{"sub": "{caller}"}}'])
            times = []
            for _ in range(60):
                with connection.transaction(force_rollback=True):
                    row = connection.execute(b"explain (analyze, format json) " + statement.encode()).fetchone()
                    assert row is not None
                    times.append(row[0][0]["Execution Time"])
            print(f"  {name:<36}{statistics.median(times):8.3f} ms")


def main() -> None:
    """Measure; an argument is the number of enrolments of the large academy."""
    measure(sized(int(sys.argv[1])) if sys.argv[1:] else LARGE)


if __name__ == "__main__":
    main()
