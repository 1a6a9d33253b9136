"""Free slots against a slow and obvious computation, minute by minute, over random hours, zones and clock changes."""

import os
from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.people import Academy, Person

MINUTE = timedelta(minutes=1)
ZONES = (
    "Europe/Lisbon", "America/New_York", "Australia/Lord_Howe", "America/Santiago", "Pacific/Auckland", "Africa/Cairo",
    "Africa/Casablanca", "Asia/Kolkata", "UTC",
)  # fmt: skip
"""Zones of both hemispheres, of which one changes its clocks by half an hour, one at midnight, one for Ramadan, and two
never."""
TODAY = datetime.now(UTC).date()


def changes(zone: str) -> list[date]:
    """The days of the year ahead on which the clocks change, and another one."""
    days = [TODAY + timedelta(days=count) for count in range(10, 350)]

    def offset(day: date) -> timedelta | None:
        return datetime.combine(day, time(), ZoneInfo(zone)).utcoffset()

    return [day for day in days if offset(day) != offset(day + timedelta(days=1))] + [days[100]]


CHANGES = {zone: changes(zone) for zone in ZONES}
EXAMPLES = int(os.environ.get("GUILDHALL_SLOT_EXAMPLES", "40"))


@st.composite
def spans(draw: st.DrawFn, days: list[Any]) -> list[tuple[Any, int, int]]:
    """Hours that do not overlap: a day with the minutes of its beginning and end."""
    found = []
    for day in days:
        minutes = sorted(draw(st.sets(st.integers(0, 96), max_size=4)))
        pairs = zip(minutes[::2], minutes[1::2], strict=False)
        found += [(day, start * 15, end * 15) for start, end in pairs]
    return found


@st.composite
def situations(draw: st.DrawFn) -> dict[str, Any]:
    """A schedule with hours, commitments and a question."""
    zone = draw(st.sampled_from(sorted(CHANGES)))
    day = draw(st.sampled_from(CHANGES[zone]))
    days = [day + timedelta(days=shift) for shift in range(-2, 3)]
    midnight = datetime.combine(day, time(), UTC)
    return {
        "zone": zone,
        "rules": draw(spans(list(range(1, 8)))),
        "exceptions": draw(spans(draw(st.lists(st.sampled_from(days), unique=True, max_size=2)))),
        "days_off": draw(st.lists(st.sampled_from(days), unique=True, max_size=1)),
        "step": draw(st.sampled_from([15, 20, 30, 45, 60])),
        "minutes": draw(st.sampled_from([15, 30, 50, 60, 120])),
        "before": draw(st.sampled_from([0, 10, 30])),
        "after": draw(st.sampled_from([0, 5, 45])),
        "per_day": draw(st.sampled_from([None, None, 1, 2])),
        "busy": [
            (midnight + timedelta(minutes=start), midnight + timedelta(minutes=start + length))
            # Commitments of a host do not overlap.
            for start, length in draw(
                st.lists(
                    st.tuples(st.integers(-10, 14).map(lambda number: number * 200), st.sampled_from([20, 60, 200])),
                    max_size=3,
                    unique_by=lambda pair: pair[0],
                )
            )
        ],
        "start": midnight + timedelta(minutes=draw(st.integers(-1440, 720))),
        "length": timedelta(minutes=draw(st.integers(60, 2880))),
    }


def expected(case: dict[str, Any]) -> list[datetime]:
    """The beginnings of the free slots, by asking each minute whether it is open."""
    zone = ZoneInfo(case["zone"])
    replaced = {day for day, *_ in case["exceptions"]} | set(case["days_off"])
    off = set(case["days_off"])

    def hours(minute: datetime) -> tuple[Any, int] | None:
        """The hours in which this minute lies."""
        local = minute.astimezone(zone)
        of_day = local.hour * 60 + local.minute
        day = local.date()
        if day in replaced:
            known = [(start, end) for at, start, end in case["exceptions"] if at == day and day not in off]
        else:
            known = [(start, end) for weekday, start, end in case["rules"] if weekday == local.isoweekday()]
        return next(((day, start) for start, end in known if start <= of_day < end), None)

    first = case["start"] - timedelta(days=3)
    minutes = [first + MINUTE * count for count in range(9 * 1440)]
    opened = {minute: found for minute in minutes if (found := hours(minute))}
    starts_of_spans = [minute for minute in opened if opened.get(minute - MINUTE) != opened[minute]]
    candidates = set()
    for start in starts_of_spans:
        at = start
        while opened.get(at) == opened[start]:
            candidates.add(at)
            # A step may leave the span and enter the same hours again, after the clocks were set back.
            following = at + MINUTE * case["step"]
            if any(opened.get(at + MINUTE * count) != opened[start] for count in range(case["step"] + 1)):
                break
            at = following
    counts: dict[date, int] = {}
    for begins, _ in case["busy"]:
        day = begins.astimezone(zone).date()
        counts[day] = counts.get(day, 0) + 1
    return sorted(
        at
        for at in candidates
        if case["start"] <= at < case["start"] + case["length"]
        and all(at + MINUTE * count in opened for count in range(case["minutes"]))
        and not any(
            begins < at + MINUTE * (case["minutes"] + case["after"]) and at - MINUTE * case["before"] < ends
            for begins, ends in case["busy"]
        )
        and (case["per_day"] is None or counts.get(at.astimezone(zone).date(), 0) < case["per_day"])
    )


@pytest.fixture(scope="module")
def host(academy: Academy) -> Person:
    """A teacher."""
    return academy.member("teacher")


@pytest.fixture(scope="module")
def connection(admin_db_url: str) -> Iterator[psycopg.Connection]:
    """A superuser's connection; what it writes is rolled back."""
    with psycopg.connect(admin_db_url) as connection:
        yield connection
        connection.rollback()


def computed(connection: psycopg.Connection, host: Person, case: dict[str, Any]) -> list[datetime]:
    """What the database computes."""
    schedule_id = connection.execute(
        "insert into public.schedules (host_id, name, time_zone, step_minutes, buffer_before_minutes,"
        " buffer_after_minutes, minimum_notice_minutes, horizon_days, maximum_per_day)"
        " values (%s, 'Random', %s, %s, %s, %s, 0, 365, %s) returning id",
        [host.id, case["zone"], case["step"], case["before"], case["after"], case["per_day"]],
    ).fetchone()
    assert schedule_id is not None

    def clock(minutes: int) -> str:
        return f"{minutes // 60:02}:{minutes % 60:02}"

    for table, column, found in (
        ("schedule_rules", "weekday", case["rules"]),
        ("schedule_exceptions", "on_date", [each for each in case["exceptions"] if each[0] not in case["days_off"]]),
    ):
        for day, start, end in found:
            connection.execute(
                f"insert into public.{table} (schedule_id, {column}, start_time, end_time)"  # noqa: S608
                " values (%s, %s, %s, %s)",
                [schedule_id[0], day, clock(start), clock(end)],
            )
    for day in case["days_off"]:
        connection.execute(
            "insert into public.schedule_exceptions (schedule_id, on_date) values (%s, %s)", [schedule_id[0], day]
        )
    for begins, ends in case["busy"]:
        connection.execute(
            "insert into private.commitments (host_id, busy) values (%s, tstzrange(%s, %s))",
            [host.id, begins, ends],
        )
    return [
        row[0]
        for row in connection.execute(
            "select lower(f.slot) from public.schedules as s,"
            " private.free_slots(s, %s, %s, %s) as f (slot) where s.id = %s",
            [case["start"], case["start"] + case["length"], case["minutes"], schedule_id[0]],
        )
    ]


@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(case=situations())
def test_free_slots_are_what_the_clocks_say(connection: psycopg.Connection, host: Person, case: dict[str, Any]) -> None:
    try:
        assert computed(connection, host, case) == expected(case)
    finally:
        connection.rollback()
