"""Schedules of hosts: who writes them, their hours, the default one, and the free slots that follow from them."""

from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from tests.people import Academy, Course, Person, concurrently, refused, rows

ALL_WEEK = [{"weekday": day, "start_time": "09:00", "end_time": "12:00"} for day in range(1, 8)]
LISBON = ZoneInfo("Europe/Lisbon")


@pytest.fixture
def host(academy: Academy) -> Person:
    """A teacher without a schedule."""
    return academy.member("teacher")


@pytest.fixture
def schedule(academy: Academy, host: Person) -> dict[str, Any]:
    """The host's schedule: each morning in Lisbon."""
    return made(academy, host)


def made(academy: Academy, host: Person, rules: list[dict[str, Any]] = ALL_WEEK, **columns: Any) -> dict[str, Any]:
    """A schedule with hours."""
    columns = {"name": "Week", "time_zone": "Europe/Lisbon", "minimum_notice_minutes": 0, "step_minutes": 60} | columns
    row = academy.insert(host, "schedules", **columns)
    answer = academy.rpc(host, "set_schedule_hours", rules=rules, schedule_id=row["id"])
    assert answer.status_code == 200, answer.text
    return row


def tomorrow(days: int = 1) -> datetime:
    """Midnight in Lisbon in so many days."""
    return (datetime.now(LISBON) + timedelta(days=days)).replace(hour=0, minute=0, second=0, microsecond=0)


def slots(academy: Academy, who: Person, host: Person, start: datetime, days: int = 1, **more: Any) -> list[str]:
    """The local beginnings of the free slots, as HH:MM."""
    until = start + timedelta(days=days)
    answer = academy.rpc(
        who, "available_slots", host=host.id, **{"from": start.isoformat(), "to": until.isoformat()}, **more
    )
    return [each["local_starts_at"][11:16] for each in rows(answer)]


@pytest.mark.route("PL-022", call="POST /rest/v1/rpc/set_schedule_hours")
@pytest.mark.route("PL-021", call="GET /rest/v1/schedules?host_id=eq.{host_id}&select={columns}")
def test_a_host_sets_and_reads_their_hours(
    academy: Academy, host: Person, schedule: dict[str, Any], student: Person, stranger: Person
) -> None:
    exceptions = [
        {"on_date": "2030-12-24"},
        {"on_date": "2030-12-27", "start_time": "10:00", "end_time": "11:00"},
    ]
    hours = {"rules": [{"weekday": 7, "start_time": "22:00", "end_time": "24:00"}], "exceptions": exceptions}
    answer = academy.rpc(host, "set_schedule_hours", **hours).json()
    assert answer["id"] == schedule["id"]
    assert answer["rules"] == [{"weekday": 7, "start_time": "22:00:00", "end_time": "24:00:00"}]
    assert [each["on_date"] for each in answer["exceptions"]] == ["2030-12-24", "2030-12-27"]
    path = (
        f"/rest/v1/schedules?host_id=eq.{host.id}"
        "&select=name,time_zone,is_default,schedule_rules(weekday,end_time),schedule_exceptions(on_date,start_time)"
    )
    for who in (host, academy.member("moderator")):
        (read,) = rows(academy.call(who, "GET", path))
        assert read["is_default"]
        assert read["schedule_rules"] == [{"weekday": 7, "end_time": "24:00:00"}]
        assert {each["start_time"] for each in read["schedule_exceptions"]} == {None, "10:00:00"}
    for who in (student, stranger):
        assert rows(academy.call(who, "GET", path)) == []
        refused(academy.rpc(who, "set_schedule_hours", schedule_id=schedule["id"], **hours), 404, "schedule_not_found")
    assert academy.call(None, "GET", path).status_code == 401


@pytest.mark.parametrize(
    "rules",
    [
        None,
        {},
        "9 to 5",
        [1],
        [{}],
        [{"weekday": 8, "start_time": "09:00", "end_time": "10:00"}],
        [{"weekday": 1, "start_time": "9", "end_time": "10:00"}],
        [{"weekday": 1, "start_time": "10:00", "end_time": "09:00"}],
        [{"weekday": 1, "start_time": "24:30", "end_time": "25:00"}],
        [
            {"weekday": 1, "start_time": "09:00", "end_time": "11:00"},
            {"weekday": 1, "start_time": "10:00", "end_time": "12:00"},
        ],
        [{"weekday": 1, "start_time": "09:00"}],
        [{"weekday": 1, "start_time": "09:00", "end_time": "10:00"}] * 101,
    ],
)
def test_hours_that_make_no_sense_change_nothing(
    academy: Academy, host: Person, schedule: dict[str, Any], rules: Any
) -> None:
    refused(academy.rpc(host, "set_schedule_hours", rules=rules), 422, "hours_invalid")
    path = f"/rest/v1/schedule_rules?schedule_id=eq.{schedule['id']}"
    assert len(rows(academy.call(host, "GET", path))) == len(ALL_WEEK)


@pytest.mark.parametrize(
    "exceptions",
    [
        [{"on_date": "2030-02-30"}],
        [{"start_time": "09:00", "end_time": "10:00"}],
        [{"on_date": "2030-05-01", "start_time": "09:00"}],
        [{"on_date": "2030-05-01"}, {"on_date": "2030-05-01", "start_time": "09:00", "end_time": "10:00"}],
    ],
)
def test_exceptions_that_make_no_sense_are_refused(
    academy: Academy, host: Person, schedule: dict[str, Any], exceptions: Any
) -> None:
    refused(
        academy.rpc(host, "set_schedule_hours", rules=ALL_WEEK, exceptions=exceptions, schedule_id=schedule["id"]),
        422,
        "hours_invalid",
    )


def test_only_hosts_have_schedules(academy: Academy, student: Person, host: Person, stranger: Person) -> None:
    body = {"name": "Week", "time_zone": "Europe/Lisbon"}
    assert academy.call(student, "POST", "/rest/v1/schedules", body).status_code == 403
    assert academy.call(stranger, "POST", "/rest/v1/schedules", {**body, "host_id": host.id}).status_code == 403
    refused(academy.call(host, "POST", "/rest/v1/schedules", {**body, "time_zone": "CET"}), 422, "time_zone_invalid")
    assert academy.call(host, "POST", "/rest/v1/schedules", {**body, "slot_minutes": []}).status_code == 400
    row = made(academy, host)
    for who in (student, stranger):
        answer = academy.call(
            who, "PATCH", f"/rest/v1/schedules?id=eq.{row['id']}", {"name": "Mine"}, prefer="return=representation"
        )
        assert rows(answer) == []
    academy.suspend(host)
    refused(academy.rpc(host, "set_schedule_hours", rules=[]), 403, "account_inactive")


def test_an_approved_student_teacher_has_schedules(academy: Academy, course: Course) -> None:
    helper = academy.member()
    academy.sql(
        "insert into public.student_teachers (course_id, user_id, status, statement, decided_at)"
        " values (%s, %s, 'approved', 'I help.', now())",
        course.id,
        helper.id,
    )
    made(academy, helper)
    assert slots(academy, academy.member(), helper, tomorrow(2), zone="Europe/Lisbon") == ["09:00", "10:00", "11:00"]


def test_one_schedule_is_the_default(academy: Academy, host: Person, stranger: Person) -> None:
    def insert(number: int) -> dict[str, Any]:
        return academy.insert(host, "schedules", name=f"Plan {number}", time_zone="UTC")

    made_at_once = concurrently(4, insert)
    assert sum(row["is_default"] for row in made_at_once) == 1
    other = next(row for row in made_at_once if not row["is_default"])
    refused(academy.rpc(stranger, "set_default_schedule", schedule_id=other["id"]), 404, "schedule_not_found")
    assert academy.rpc(host, "set_default_schedule", schedule_id=other["id"]).json()["is_default"]
    path = f"/rest/v1/schedules?host_id=eq.{host.id}&is_default=is.true&select=id"
    assert rows(academy.call(host, "GET", path)) == [{"id": other["id"]}]
    academy.call(host, "DELETE", f"/rest/v1/schedules?id=eq.{other['id']}")
    assert len(rows(academy.call(host, "GET", path))) == 1
    patch = academy.call(host, "PATCH", f"/rest/v1/schedules?id=eq.{made_at_once[0]['id']}", {"is_default": True})
    assert patch.status_code == 403


@pytest.mark.route("PL-054", call="POST /rest/v1/rpc/available_slots")
def test_everybody_signed_in_reads_free_slots(
    academy: Academy, host: Person, schedule: dict[str, Any], student: Person
) -> None:
    day = tomorrow(2)
    between = {"from": day.isoformat(), "to": (day + timedelta(days=1)).isoformat()}
    found = rows(academy.rpc(student, "available_slots", host=host.id, zone="Asia/Kolkata", **between))
    nine = day.replace(hour=9)
    assert [datetime.fromisoformat(each["starts_at"]) for each in found] == [
        nine + timedelta(hours=hour) for hour in range(3)
    ]
    first = found[0]
    assert datetime.fromisoformat(first["ends_at"]) == nine + timedelta(hours=1)
    in_india = nine.astimezone(ZoneInfo("Asia/Kolkata")).replace(tzinfo=None)
    assert datetime.fromisoformat(first["local_starts_at"]) == in_india
    assert academy.rpc(None, "available_slots", host=host.id, **between).status_code == 401
    named = rows(academy.rpc(student, "available_slots", host=host.id, schedule=schedule["id"], **between))
    assert len(named) == 3


def test_slots_are_refused_for_what_makes_no_sense(
    academy: Academy, host: Person, schedule: dict[str, Any], student: Person
) -> None:
    day = tomorrow()

    def ask(**changes: Any) -> Any:
        asked = {"host": host.id, "from": day.isoformat(), "to": (day + timedelta(days=1)).isoformat()}
        return academy.rpc(student, "available_slots", **asked | changes)

    refused(ask(to=day.isoformat()), 422, "slot_range_invalid")
    refused(ask(to=(day + timedelta(days=63)).isoformat()), 422, "slot_range_invalid")
    refused(ask(to="infinity"), 422, "slot_range_invalid")
    refused(ask(duration=45), 422, "slot_minutes_invalid")
    for zone in ("CET", "UTC+3", "posix/Europe/Lisbon", "Foo/Bar", "", "Europe/Lisbon; select 1"):
        refused(ask(zone=zone), 422, "time_zone_invalid")
    refused(ask(host=student.id), 404, "schedule_not_found")
    other = made(academy, academy.member("teacher"))
    refused(ask(schedule=other["id"]), 404, "schedule_not_found")
    assert schedule["is_default"]


@pytest.mark.parametrize("end", ["suspended", "banned", "role lost"])
def test_a_host_who_cannot_be_booked_offers_nothing(academy: Academy, student: Person, end: str) -> None:
    host = academy.member("teacher")
    made(academy, host)
    assert slots(academy, student, host, tomorrow(2))
    if end == "role lost":
        academy.sql("delete from public.user_roles where user_id = %s", host.id)
    else:
        academy.sql("update public.accounts set status = %s::public.account_status where user_id = %s", end, host.id)
    between = {"from": tomorrow(2).isoformat(), "to": tomorrow(3).isoformat()}
    refused(academy.rpc(student, "available_slots", host=host.id, **between), 404, "schedule_not_found")
    refused(academy.rpc(student, "host_busy_times", host=host.id, **between), 404, "schedule_not_found")


@pytest.mark.route("PL-055", call="POST /rest/v1/rpc/host_busy_times")
def test_what_is_booked_is_busy_and_not_free(academy: Academy, course: Course, student: Person, enrolment: str) -> None:
    teacher = academy.member("teacher")
    made(academy, teacher, buffer_before_minutes=15, buffer_after_minutes=5)
    day = tomorrow(3)
    start = day.replace(hour=10)
    academy.sql(
        "insert into private.commitments (host_id, busy) values (%s, tstzrange(%s, %s)), (%s, tstzrange(%s, %s))",
        teacher.id, start, start + timedelta(minutes=40),
        teacher.id, start + timedelta(minutes=40), start + timedelta(minutes=56),
    )  # fmt: skip
    between = {"from": day.isoformat(), "to": (day + timedelta(days=1)).isoformat()}
    (busy,) = rows(academy.rpc(student, "host_busy_times", host=teacher.id, **between))
    assert set(busy) == {"starts_at", "ends_at"}
    assert [datetime.fromisoformat(busy[key]) for key in ("starts_at", "ends_at")] == [
        start, start + timedelta(minutes=56)
    ]  # fmt: skip
    assert academy.rpc(None, "host_busy_times", host=teacher.id, **between).status_code == 401
    # 09:00 ends at 10:00 and would keep five minutes after it; 11:00 would keep fifteen before it.
    assert slots(academy, student, teacher, day, zone="Europe/Lisbon") == []
    academy.sql("update private.commitments set is_live = false where host_id = %s", teacher.id)
    assert slots(academy, student, teacher, day, zone="Europe/Lisbon") == ["09:00", "10:00", "11:00"]
    assert rows(academy.rpc(student, "host_busy_times", host=teacher.id, **between)) == []
    assert course.id
    assert enrolment


def test_notice_horizon_and_limits(academy: Academy, student: Person) -> None:
    host = academy.member("teacher")
    row = made(academy, host, minimum_notice_minutes=3 * 1440, horizon_days=5)
    assert slots(academy, student, host, tomorrow(1)) == []
    assert slots(academy, student, host, tomorrow(4)) != []
    assert slots(academy, student, host, tomorrow(7)) == []
    academy.call(
        host, "PATCH", f"/rest/v1/schedules?id=eq.{row['id']}",
        {"minimum_notice_minutes": 0, "horizon_days": 60, "maximum_per_day": 1, "maximum_per_week": 2},
    )  # fmt: skip
    # A Monday far enough ahead, so that its whole week is.
    monday = tomorrow(14 - datetime.now(LISBON).weekday())

    def book(day: int) -> None:
        at = (monday + timedelta(days=day)).replace(hour=9).astimezone(UTC)
        academy.sql(
            "insert into private.commitments (host_id, busy) values (%s, tstzrange(%s, %s))",
            host.id, at, at + timedelta(hours=1),
        )  # fmt: skip

    assert len(slots(academy, student, host, monday, days=7)) == 21
    book(0)
    assert slots(academy, student, host, monday) == []
    assert len(slots(academy, student, host, monday, days=7)) == 18
    book(2)
    assert slots(academy, student, host, monday, days=7) == []
    assert len(slots(academy, student, host, monday + timedelta(days=7), days=7)) == 21


def test_slots_continue_over_midnight_and_adjacent_hours(academy: Academy, student: Person) -> None:
    host = academy.member("teacher")
    made(
        academy, host,
        [{"weekday": day, "start_time": "23:00", "end_time": "24:00"} for day in range(1, 8)]
        + [{"weekday": day, "start_time": "00:00", "end_time": "01:00"} for day in range(1, 8)],
        slot_minutes=[90, 60], step_minutes=30,
    )  # fmt: skip
    day = tomorrow(2)
    assert slots(academy, student, host, day, zone="Europe/Lisbon") == ["23:00", "23:30"]
    assert slots(academy, student, host, day, zone="Europe/Lisbon", duration=60) == ["00:00", "23:00", "23:30"]
