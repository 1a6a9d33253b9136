"""Rooms: who enters, when and with which role; who reads attendances and recordings."""

from typing import Any

import pytest

from tests.live.seats import at, done, register, seminar, slot
from tests.people import Academy, Course, Person, refused, rows


@pytest.fixture
def host(academy: Academy) -> Person:
    """A teacher whose time is free."""
    return academy.member("teacher", name="Ines")


def _live(academy: Academy, host: Person) -> tuple[dict[str, Any], dict[str, Any]]:
    """A seminar and its live session."""
    made = seminar(academy, host)
    return made, done(academy.rpc(host, "start_seminar_session", seminar_id=made["id"]))


def _recording(academy: Academy, room_id: str, *, is_published: bool) -> str:
    [(recording_id,)] = academy.sql(
        "insert into public.recordings (room_id, host_id, is_published, status, path)"
        " select r.id, r.host_id, %s, 'ready', r.id || '/' || gen_random_uuid() || '.mp4'"
        " from public.rooms as r where r.id = %s returning id",
        is_published,
        room_id,
    )
    return str(recording_id)


def test_the_two_people_of_a_session_enter_its_room(academy: Academy) -> None:
    teacher, student = academy.member("teacher"), academy.member()
    enrolment = academy.enrol(student, academy.course(teacher))
    session = done(academy.rpc(teacher, "schedule_session", enrolment_id=enrolment, starts_at=at(0, 10)))
    entry = done(academy.rpc(student, "join_room", session_id=session["id"]))
    assert entry["role"] == "speaker"
    assert done(academy.rpc(teacher, "join_room", session_id=session["id"])) == {**entry, "role": "host"}
    stranger = academy.member()
    refused(academy.rpc(stranger, "join_room", session_id=session["id"]), 404, "room_not_found")
    assert academy.rpc(None, "join_room", session_id=session["id"]).status_code == 401
    path = f"/rest/v1/rooms?id=eq.{entry['room_id']}"
    assert [one["host_id"] for one in rows(academy.call(student, "GET", path))] == [teacher.id]
    assert rows(academy.call(stranger, "GET", path)) == []
    done(academy.rpc(student, "cancel_session", session_id=session["id"]))
    refused(academy.rpc(student, "join_room", session_id=session["id"]), 409, "room_not_open")


def test_a_room_opens_shortly_before_its_session(academy: Academy, student: Person, course: Course) -> None:
    enrolment = academy.enrol(student, course)
    teacher = course.teacher
    session = done(academy.rpc(teacher, "schedule_session", enrolment_id=enrolment, starts_at=at(9)))
    refused(academy.rpc(student, "join_room", session_id=session["id"]), 409, "room_not_open")
    refused(academy.rpc(student, "join_room"), 422, "room_subject_invalid")
    both = {"session_id": session["id"], "slot_id": session["id"]}
    refused(academy.rpc(student, "join_room", **both), 422, "room_subject_invalid")


def test_people_with_a_seat_enter_the_room_of_a_slot(academy: Academy, host: Person) -> None:
    made = slot(academy, host, days=1 / 144, capacity=1)
    seated, waiting = academy.member(), academy.member()
    done(academy.rpc(seated, "book_slot", slot_id=made["id"]))
    done(academy.rpc(waiting, "book_slot", slot_id=made["id"]))
    assert done(academy.rpc(seated, "join_room", slot_id=made["id"]))["role"] == "speaker"
    assert done(academy.rpc(host, "join_room", slot_id=made["id"]))["role"] == "host"
    refused(academy.rpc(waiting, "join_room", slot_id=made["id"]), 404, "room_not_found")


def test_attendees_enter_a_seminar_while_it_is_live_and_they_have_a_seat(academy: Academy, host: Person) -> None:
    attendee = academy.member()
    made = seminar(academy, host)
    register(academy, attendee, made["id"])
    live = done(academy.rpc(host, "start_seminar_session", seminar_id=made["id"]))
    entry = done(academy.rpc(attendee, "join_room", seminar_session_id=live["id"]))
    assert entry["role"] == "attendee"
    assert done(academy.rpc(host, "join_room", seminar_session_id=live["id"])) == {**entry, "role": "host"}
    refused(academy.rpc(academy.member(), "join_room", seminar_session_id=live["id"]), 404, "room_not_found")
    done(academy.rpc(host, "remove_seminar_attendee", seminar_id=made["id"], user_id=attendee.id))
    refused(academy.rpc(attendee, "join_room", seminar_session_id=live["id"]), 404, "room_not_found")
    done(academy.rpc(host, "end_seminar_session", seminar_session_id=live["id"]))
    refused(academy.rpc(host, "join_room", seminar_session_id=live["id"]), 409, "room_not_open")
    academy.sql("select private.lapse__rooms()")
    [(status,)] = academy.sql("select status::text from public.rooms where id = %s", entry["room_id"])
    assert status == "ended"


@pytest.mark.route("WC-145", call="POST /rest/v1/rpc/reserve_recording")
def test_a_host_reserves_a_recording(academy: Academy, host: Person) -> None:
    planned = seminar(academy, host)
    refused(academy.rpc(host, "reserve_recording", seminar_id=planned["id"]), 404, "seminar_session_not_found")
    made, live = _live(academy, academy.member("teacher"))
    other = academy.member("teacher")
    refused(academy.rpc(other, "reserve_recording", seminar_id=made["id"]), 404, "seminar_not_found")
    done(academy.rpc(host, "start_seminar_session", seminar_id=planned["id"]))
    recording = done(academy.rpc(host, "reserve_recording", seminar_id=planned["id"]))
    assert (recording["status"], recording["host_id"], recording["path"]) == ("reserved", host.id, None)
    assert done(academy.rpc(host, "reserve_recording", seminar_id=planned["id"])) == recording
    assert live["status"] == "live"


def test_who_reads_attendances_and_recordings_of_a_seminar(academy: Academy, host: Person) -> None:
    attendee, stranger, moderator = academy.member(), academy.member(), academy.member("moderator")
    made = seminar(academy, host)
    register(academy, attendee, made["id"])
    live = done(academy.rpc(host, "start_seminar_session", seminar_id=made["id"]))
    room_id = done(academy.rpc(attendee, "join_room", seminar_session_id=live["id"]))["room_id"]
    hidden = _recording(academy, room_id, is_published=False)
    shown = _recording(academy, room_id, is_published=True)
    academy.sql(
        "insert into public.room_attendances (room_id, user_id, role, joined_at) values (%s, %s, 'host', now())",
        room_id,
        host.id,
    )

    def read(who: Person) -> tuple[set[str], int]:
        recordings = rows(academy.call(who, "GET", f"/rest/v1/recordings?room_id=eq.{room_id}"))
        attendances = rows(academy.call(who, "GET", f"/rest/v1/room_attendances?room_id=eq.{room_id}"))
        return {one["id"] for one in recordings}, len(attendances)

    assert read(host) == read(moderator) == ({hidden, shown}, 1)
    assert read(attendee) == ({shown}, 0)
    assert read(stranger) == (set(), 0)
    done(academy.rpc(host, "remove_seminar_attendee", seminar_id=made["id"], user_id=attendee.id))
    assert read(attendee) == (set(), 0)
