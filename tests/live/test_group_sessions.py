"""Group sessions: a teacher offers them at times, members book seats, and unlisted ones are in no list."""

import pytest

from tests.live.seats import at, done, pool, slot, status
from tests.people import Academy, Person, concurrently, refused, rows

EMBED = "select=*,slots:group_session_slots(*,pool:seat_pools(capacity,taken))"


@pytest.fixture
def host(academy: Academy) -> Person:
    """A teacher whose time is free."""
    return academy.member("teacher", name="Ines")


@pytest.mark.route("WC-118", call="GET /rest/v1/group_sessions?visibility=eq.public&host_id=eq.{id}", public=True)
@pytest.mark.route("WC-119", call="GET /rest/v1/group_sessions?id=eq.{id}", public=True)
@pytest.mark.route("WC-120", call="GET /rest/v1/group_session_slots?group_session_id=eq.{id}", public=True)
def test_everybody_finds_public_ones(academy: Academy, host: Person) -> None:
    made = slot(academy, host, capacity=7)
    academy.insert(host, "group_sessions", title="Draft")
    listed = f"/rest/v1/group_sessions?visibility=eq.public&host_id=eq.{host.id}&{EMBED}"
    for who in (None, academy.member()):
        (found,) = rows(academy.call(who, "GET", listed))
        assert (found["title"], found["duration_minutes"], found["capacity"]) == ("Kilns", 60, 7)
        assert [one["id"] for one in found["slots"]] == [made["id"]]
        assert found["slots"][0]["pool"] == {"capacity": 7, "taken": 0}
        one = rows(academy.call(who, "GET", f"/rest/v1/group_sessions?id=eq.{found['id']}"))
        assert [row["id"] for row in one] == [found["id"]]
        slots = rows(academy.call(who, "GET", f"/rest/v1/group_session_slots?group_session_id=eq.{found['id']}"))
        assert [(row["id"], row["status"]) for row in slots] == [(made["id"], "scheduled")]


def test_unlisted_ones_are_found_by_their_id_only(academy: Academy, host: Person) -> None:
    made = slot(academy, host, visibility="unlisted")
    session_id = made["group_session_id"]
    person = academy.member()
    for who in (None, person):
        assert rows(academy.call(who, "GET", f"/rest/v1/group_sessions?host_id=eq.{host.id}")) == []
        assert rows(academy.call(who, "GET", f"/rest/v1/group_session_slots?host_id=eq.{host.id}")) == []
        details = done(academy.rpc(who, "group_session_details", group_session_id=session_id))
        assert (details["slots"][0]["id"], details["slots"][0]["attendees"]) == (made["id"], None)
    assert done(academy.rpc(person, "book_slot", slot_id=made["id"]))["status"] == "confirmed"
    assert len(rows(academy.call(person, "GET", f"/rest/v1/group_sessions?id=eq.{session_id}"))) == 1
    details = done(academy.rpc(host, "group_session_details", group_session_id=session_id))
    assert [one["user_id"] for one in details["slots"][0]["attendees"]] == [person.id]
    draft = academy.insert(host, "group_sessions", title="Draft")
    refused(academy.rpc(person, "group_session_details", group_session_id=draft["id"]), 404, "group_session_not_found")


@pytest.mark.route("WC-168", call="GET /rest/v1/group_sessions?host_id=eq.{id}")
@pytest.mark.route("WC-169", call="POST /rest/v1/group_sessions")
@pytest.mark.route("WC-170", call="PATCH /rest/v1/group_sessions?id=eq.{id}")
@pytest.mark.route("WC-171", call="POST /rest/v1/rpc/delete_group_session")
@pytest.mark.route("WC-172", call="GET /rest/v1/group_session_slots?host_id=eq.{id}")
def test_a_teacher_keeps_group_sessions(academy: Academy, host: Person) -> None:
    other, stranger = academy.member("teacher"), academy.member()
    body = {"title": "Raku", "description": "Fire", "duration_minutes": 90, "capacity": 4}
    refused_insert = academy.call(stranger, "POST", "/rest/v1/group_sessions", body)
    assert refused_insert.status_code == 403
    made = academy.insert(host, "group_sessions", **body)
    assert {**made, **body} == made
    assert (made["host_id"], made["visibility"]) == (host.id, "draft")
    added = done(
        academy.rpc(
            host, "add_group_session_slot", group_session_id=made["id"], starts_at=at(3), time_zone="Asia/Tokyo"
        )
    )
    person = academy.member()
    refused(academy.rpc(person, "book_slot", slot_id=added["id"]), 404, "slot_not_found")
    path = f"/rest/v1/group_sessions?id=eq.{made['id']}"
    for who in (other, stranger):
        hidden = academy.call(who, "PATCH", path, {"title": "Mine"}, prefer="return=representation")
        assert rows(hidden) == []
        refused(academy.rpc(who, "delete_group_session", group_session_id=made["id"]), 404, "group_session_not_found")
    changed = academy.call(host, "PATCH", path, {"visibility": "public"}, prefer="return=representation")
    assert rows(changed)[0]["visibility"] == "public"
    place = done(academy.rpc(person, "book_slot", slot_id=added["id"]))
    hosted = f"/rest/v1/group_sessions?host_id=eq.{host.id}"
    slots = f"/rest/v1/group_session_slots?host_id=eq.{host.id}"
    assert academy.call(host, "PATCH", path, {"visibility": "draft"}).status_code == 204
    for list_path in (hosted, slots):
        assert len(rows(academy.call(host, "GET", list_path))) == 1
        assert rows(academy.call(other, "GET", list_path)) == []
    assert academy.rpc(host, "delete_group_session", group_session_id=made["id"]).status_code == 204
    assert status(academy, place) == "cancelled"
    assert rows(academy.call(host, "GET", slots))[0]["status"] == "cancelled"
    assert rows(academy.call(person, "GET", path))[0]["status"] == "deleted"
    assert academy.sql("select from private.commitments where host_id = %s and is_live", host.id) == []


@pytest.mark.route("WC-173", call="POST /rest/v1/rpc/add_group_session_slot")
@pytest.mark.route("WC-174", call="POST /rest/v1/rpc/update_group_session_slot")
def test_slots_commit_their_host(academy: Academy, host: Person) -> None:
    other = academy.member("teacher")
    made = slot(academy, host)
    session_id = made["group_session_id"]
    add = {"group_session_id": session_id, "starts_at": made["starts_at"]}
    refused(academy.rpc(host, "add_group_session_slot", **add), 409, "host_busy")
    refused(academy.rpc(other, "add_group_session_slot", **add), 404, "group_session_not_found")
    refused(
        academy.rpc(host, "add_group_session_slot", group_session_id=session_id, starts_at=at(-1)),
        422, "session_time_invalid",
    )  # fmt: skip
    second = done(academy.rpc(host, "add_group_session_slot", group_session_id=session_id, starts_at=made["ends_at"]))
    person, waiter = academy.member(), academy.member()
    done(academy.rpc(host, "update_group_session_slot", slot_id=made["id"], capacity=1))
    place, wait = (done(academy.rpc(who, "book_slot", slot_id=made["id"])) for who in (person, waiter))
    assert (place["status"], wait["status"]) == ("confirmed", "waiting")
    refused(
        academy.rpc(host, "update_group_session_slot", slot_id=made["id"], starts_at=second["starts_at"]),
        409, "host_busy",
    )  # fmt: skip
    refused(academy.rpc(other, "update_group_session_slot", slot_id=made["id"], capacity=5), 404, "slot_not_found")
    moved = done(academy.rpc(host, "update_group_session_slot", slot_id=made["id"], starts_at=at(9), capacity=2))
    assert (moved["ics_sequence"], moved["starts_at"] > made["starts_at"]) == (1, True)
    assert status(academy, wait) == "confirmed"
    assert pool(academy, made["pool_id"]) == (2, 2, 0)
    refused(academy.rpc(host, "update_group_session_slot", slot_id=made["id"], capacity=1), 409, "capacity_below_taken")
    mailed = academy.sql(
        "select count(*) from private.mail_outbox where template = 'place_time_changed' and user_id = any(%s::uuid[])",
        [person.id, waiter.id],
    )
    assert mailed == [(2,)]
    # The former time is free again.
    done(academy.rpc(host, "add_group_session_slot", **add))
    cancelled = done(academy.rpc(host, "cancel_group_session_slot", slot_id=made["id"], reason="A cold"))
    assert (cancelled["status"], cancelled["cancellation_reason"]) == ("cancelled", "A cold")
    assert (status(academy, place), status(academy, wait)) == ("cancelled", "cancelled")
    refused(academy.rpc(academy.member(), "book_slot", slot_id=made["id"]), 409, "registration_closed")


def test_overlapping_slots_at_once(academy: Academy, host: Person) -> None:
    made = academy.insert(host, "group_sessions", title="Kilns")
    answers = concurrently(
        8,
        lambda number: academy.rpc(
            host, "add_group_session_slot", group_session_id=made["id"], starts_at=at(4, 7 * number)
        ),
    )
    assert sorted(answer.status_code for answer in answers) == [200] + [409] * 7


def test_access(academy: Academy, host: Person) -> None:
    course = academy.course(host)
    for_students = slot(academy, host, access="course", course_id=course.id)
    paid = slot(academy, host, days=6, access="paid")
    student, stranger = academy.member(), academy.member()
    academy.enrol(student, course)
    refused(academy.rpc(stranger, "book_slot", slot_id=for_students["id"]), 403, "not_enrolled")
    place = done(academy.rpc(student, "book_slot", slot_id=for_students["id"]))
    refused(academy.rpc(student, "book_slot", slot_id=paid["id"]), 402, "payment_required")
    granted = done(academy.rpc(host, "grant_slot_place", slot_id=for_students["id"], user_id=stranger.id))
    refused(academy.rpc(stranger, "grant_slot_place", slot_id=paid["id"], user_id=stranger.id), 404, "slot_not_found")
    # The seat ends with the enrolment; a granted one stays.
    academy.sql("update public.enrolments set status = 'cancelled' where student_id = %s", student.id)
    assert (status(academy, place), status(academy, granted)) == ("cancelled", "confirmed")
    foreign = academy.course(academy.member("teacher"))
    answer = academy.call(host, "POST", "/rest/v1/group_sessions", {"title": "Mine", "course_id": foreign.id})
    assert answer.status_code == 403


def test_the_host_removes_an_attendee(academy: Academy, host: Person) -> None:
    made = slot(academy, host)
    person = academy.member()
    place = done(academy.rpc(person, "book_slot", slot_id=made["id"]))
    refused(academy.rpc(person, "remove_attendee", place_id=place["id"]), 404, "place_not_found")
    removed = done(academy.rpc(host, "remove_attendee", place_id=place["id"], reason="Rude"))
    assert (removed["status"], removed["is_removed"]) == ("cancelled", True)
    refused(academy.rpc(person, "book_slot", slot_id=made["id"]), 403, "removed_by_host")
    done(academy.rpc(host, "grant_slot_place", slot_id=made["id"], user_id=person.id))
    assert pool(academy, made["pool_id"]) == (10, 1, 0)


def test_slots_that_are_over_are_completed(academy: Academy, host: Person) -> None:
    made = slot(academy, host, capacity=1)
    person, waiter = academy.member(), academy.member()
    place, wait = (done(academy.rpc(who, "book_slot", slot_id=made["id"])) for who in (person, waiter))
    academy.sql(
        "update public.group_session_slots set starts_at = now() - interval '2 hours',"
        " ends_at = now() - interval '1 hour' where id = %s",
        made["id"],
    )
    while academy.sql("select private.lapse__group_session_slots()") != [(0,)]:
        pass
    assert academy.sql("select status::text from public.group_session_slots where id = %s", made["id"]) == [
        ("completed",)
    ]
    assert (status(academy, place), status(academy, wait)) == ("confirmed", "expired")
    refused(academy.rpc(host, "cancel_group_session_slot", slot_id=made["id"]), 409, "illegal_transition")
