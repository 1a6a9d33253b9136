"""Live: sessions of the creator with those who take the course `free`; a group session and seminars with places."""

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
    # The first has taken place, and both people have rated each other.
    session = builder.run(
        "update public.sessions set status = 'completed', starts_at = now() - interval '1 hour',"
        " ends_at = now() where student_id = %s and course_id = %s returning id",
        builder.ids["student"],
        builder.ids["free"],
    )
    for author, rating in (("student", 2), ("creator", 5)):
        builder.act(author, "select public.give_session_feedback(%s, %s::smallint, 'So it was')", session, rating)
    _add_schedules(builder)
    _add_history(builder)
    _add_group_sessions(builder)
    _add_seminars(builder)


def _add_schedules(builder: Builder) -> None:
    """A schedule with hours of each of two hosts."""
    for host in ("creator", "rival"):
        builder.act(host, "insert into public.schedules (name, time_zone) values ('Week', 'Europe/Lisbon')")
        builder.act(
            host,
            'select public.set_schedule_hours(\'[{"weekday": 1, "start_time": "09:00", "end_time": "17:00"}]\','
            ' \'[{"on_date": "2030-05-01"}]\')',
        )


def _add_history(builder: Builder) -> None:
    """A former time of each session, and a credit for it."""
    builder.run(
        "insert into public.session_reschedules (session_id, moved_by, former_starts_at, former_ends_at)"
        " select s.id, s.host_id, s.starts_at - interval '1 hour', s.ends_at - interval '1 hour'"
        " from public.sessions as s where s.course_id = %s",
        builder.ids["free"],
    )
    builder.run(
        "insert into public.session_credits (session_id, student_id, host_id, minutes, granted_by)"
        " select s.id, s.student_id, s.host_id, 60, s.host_id from public.sessions as s where s.course_id = %s",
        builder.ids["free"],
    )


def _add_group_sessions(builder: Builder) -> None:
    """A draft, an unlisted and a public one, the newest, which is probed; a student in a slot of the offered ones."""
    for day, visibility in enumerate(("draft", "unlisted", "public"), 10):
        group_session = builder.act(
            "creator",
            "insert into public.group_sessions (title, visibility, capacity, course_id) values ('Glazes', %s, 1, %s)"
            " returning id",
            visibility,
            builder.ids["free"],
        )
        slot = builder.act(
            "creator",
            "select (public.add_group_session_slot(%s, now() + %s * interval '1 day')).id",
            group_session,
            day,
        )
        if visibility != "draft":
            builder.act("student", "select public.book_slot(%s)", slot)
    builder.act("rival", "insert into public.group_sessions (title) values ('Kilns')")


def _add_seminars(builder: Builder) -> None:
    """A draft and a published one, with a place and a co-host, of the creator; a draft of a rival."""
    seminars = [
        builder.act(
            person,
            "insert into public.seminars (title, starts_at, course_id) values ('Clay', now() + interval '20 days', %s)"
            " returning id",
            builder.ids["free"] if person == "creator" else None,
        )
        for person in ("creator", "creator", "rival")
    ]
    builder.act("creator", "select public.publish_seminar(%s)", seminars[1])
    builder.act("student", "select public.register_for_seminar(%s)", seminars[1])
    builder.act("creator", "select public.invite_seminar_host(%s, %s)", seminars[1], builder.ids["rival"])
    builder.run(
        "insert into public.seminar_sessions (seminar_id, host_id, status, ended_at) values (%s, %s, 'ended', now())",
        seminars[1],
        builder.ids["creator"],
    )
    _add_rooms(builder, seminars[1])


def _add_rooms(builder: Builder, seminar: object) -> None:
    """A room of the seminar, with attendances and a published recording; one of a session, with a recording."""
    for subject in (
        "insert into public.rooms (seminar_session_id, host_id)"
        " select s.id, s.host_id from public.seminar_sessions as s where s.seminar_id = %s returning id",
        "insert into public.rooms (session_id, host_id) select s.id, s.host_id from public.sessions as s"
        " where %s::uuid is not null order by s.starts_at limit 1 returning id",
    ):
        room = builder.run(subject, seminar)
        for person in ("creator", "student"):
            builder.run(
                "insert into public.room_attendances (room_id, user_id, role, joined_at)"
                " values (%s, %s, 'speaker', now())",
                room,
                builder.ids[person],
            )
        builder.run(
            "insert into public.recordings (room_id, host_id, is_published) values (%s, %s, %s)",
            room,
            builder.ids["creator"],
            "seminar" in subject,
        )
