"""Live: sessions of the creator with those who take the course `free`."""

from tests.security.worlds import Builder
from tests.security.worlds.learning import STUDENTS


def build(builder: Builder) -> None:
    """Add one session for each student."""
    for day, student in enumerate(STUDENTS, 1):
        builder.act(
            "creator",
            "select public.schedule_session(e.id, now() + %s * interval '1 day') from public.enrolments as e"
            " where e.student_id = %s and e.course_id = %s",
            day,
            builder.ids[student],
            builder.ids["free"],
        )
