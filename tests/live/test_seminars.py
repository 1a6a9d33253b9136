"""Seminars: planned, published, attended, run and cancelled; only hosts and attendees read who comes."""

import json

import pytest

from tests.live.seats import at, done, pool, register, seminar, slot, status
from tests.people import Academy, Person, concurrently, refused, rows


@pytest.fixture
def host(academy: Academy) -> Person:
    """A teacher whose time is free."""
    return academy.member("teacher", name="Ines")


@pytest.mark.route("WC-114", call="GET /rest/v1/seminars?status=in.{statuses}&host_id=eq.{id}", public=True)
@pytest.mark.route("WC-115", call="POST /rest/v1/rpc/seminar_details", public=True)
def test_everybody_finds_published_ones(academy: Academy, host: Person) -> None:
    made = seminar(academy, host, capacity=5, description="How glazes melt")
    draft = academy.insert(host, "seminars", title="Draft")
    attendee = academy.member(name="Amara")
    register(academy, attendee, made["id"])
    embed = "select=*,pool:seat_pools(capacity,taken,waiting),host:profiles!seminars_host_id_fkey(display_name)"
    path = f"/rest/v1/seminars?status=in.(published,live)&host_id=eq.{host.id}&{embed}"
    for who in (None, academy.member()):
        (found,) = rows(academy.call(who, "GET", path))
        assert (found["id"], found["host"]) == (made["id"], {"display_name": "Ines"})
        assert found["pool"] == {"capacity": 5, "taken": 1, "waiting": 0}
        details = done(academy.rpc(who, "seminar_details", seminar_id=made["id"]))
        assert (details["title"], details["description"]) == ("Glazes", "How glazes melt")
        assert [details[key] for key in ("seats_left", "waiting", "is_open", "is_host")] == [4, 0, True, False]
        assert [one["name"] for one in details["hosts"]] == ["Ines"]
        assert (details["attendees"], details["sessions"], details["my_place"]) == (None, None, None)
        refused(academy.rpc(who, "seminar_details", seminar_id=draft["id"]), 404, "seminar_not_found")
    mine = done(academy.rpc(attendee, "seminar_details", seminar_id=made["id"]))
    assert (mine["my_place"]["status"], mine["sessions"]) == ("confirmed", [])
    assert [one["name"] for one in mine["attendees"]] == ["Amara"]


@pytest.mark.route("WC-116", call="POST /rest/v1/rpc/register_for_seminar")
@pytest.mark.route("WC-117", call="POST /rest/v1/rpc/unregister_from_seminar")
def test_members_register_and_unregister(academy: Academy, host: Person) -> None:
    made = seminar(academy, host, capacity=1)
    first, second = academy.member(), academy.member()
    place = register(academy, first, made["id"])
    assert (place["status"], place["user_id"], place["pool_id"]) == ("confirmed", first.id, made["pool_id"])
    assert register(academy, first, made["id"])["id"] == place["id"]
    wait = register(academy, second, made["id"])
    assert wait["status"] == "waiting"
    details = done(academy.rpc(second, "seminar_details", seminar_id=made["id"]))
    assert (details["my_place"]["queue_position"], details["attendees"]) == (1, None)
    assert academy.rpc(None, "register_for_seminar", seminar_id=made["id"]).status_code == 401
    refused(academy.rpc(academy.member(), "unregister_from_seminar", seminar_id=made["id"]), 404, "place_not_found")
    assert done(academy.rpc(first, "unregister_from_seminar", seminar_id=made["id"]))["status"] == "cancelled"
    assert status(academy, wait) == "confirmed"
    refused(academy.rpc(first, "unregister_from_seminar", seminar_id=made["id"]), 404, "place_not_found")
    draft = academy.insert(host, "seminars", title="Draft")
    refused(academy.rpc(first, "register_for_seminar", seminar_id=draft["id"]), 404, "seminar_not_found")


@pytest.mark.route("WC-135", call="GET /rest/v1/seminars?host_id=eq.{id}&status=eq.draft")
@pytest.mark.route("WC-136", call="POST /rest/v1/seminars")
@pytest.mark.route("WC-140", call="PATCH /rest/v1/seminars?id=eq.{id}")
@pytest.mark.route("WC-141", call="POST /rest/v1/rpc/publish_seminar")
@pytest.mark.route("WC-142", call="POST /rest/v1/rpc/cancel_seminar")
def test_a_teacher_plans_publishes_and_cancels(academy: Academy, host: Person) -> None:
    other, stranger = academy.member("teacher"), academy.member()
    assert academy.call(stranger, "POST", "/rest/v1/seminars", {"title": "No"}).status_code == 403
    made = academy.insert(host, "seminars", title="Glazes", duration_minutes=90)
    assert (made["status"], made["host_id"], made["duration_minutes"]) == ("draft", host.id, 90)
    listed = f"/rest/v1/seminars?host_id=eq.{host.id}&status=eq.draft"
    assert [row["id"] for row in rows(academy.call(host, "GET", listed))] == [made["id"]]
    assert rows(academy.call(other, "GET", listed)) == []
    refused(academy.rpc(host, "publish_seminar", seminar_id=made["id"]), 422, "seminar_time_required")
    path = f"/rest/v1/seminars?id=eq.{made['id']}"
    for who in (other, stranger):
        assert rows(academy.call(who, "PATCH", path, {"title": "Mine"}, prefer="return=representation")) == []
        for verb in ("publish_seminar", "cancel_seminar"):
            refused(academy.rpc(who, verb, seminar_id=made["id"]), 404, "seminar_not_found")
    assert academy.call(host, "PATCH", path, {"status": "published"}).status_code == 403
    change = {"title": "Glazing", "starts_at": at(8), "capacity": 3}
    (changed,) = rows(academy.call(host, "PATCH", path, change, prefer="return=representation"))
    assert (changed["title"], changed["capacity"], changed["ends_at"] > changed["starts_at"]) == ("Glazing", 3, True)
    assert pool(academy, made["pool_id"]) == (3, 0, 0)
    published = done(academy.rpc(host, "publish_seminar", seminar_id=made["id"]))
    assert (published["status"], published["published_at"] is not None) == ("published", True)
    assert done(academy.rpc(host, "publish_seminar", seminar_id=made["id"])) == published
    place = register(academy, academy.member(), made["id"])
    cancelled = done(academy.rpc(host, "cancel_seminar", seminar_id=made["id"], reason="A cold"))
    assert (cancelled["status"], cancelled["cancellation_reason"]) == ("cancelled", "A cold")
    assert status(academy, place) == "cancelled"
    refused(academy.rpc(academy.member(), "register_for_seminar", seminar_id=made["id"]), 409, "seminar_not_open")
    refused(academy.rpc(host, "publish_seminar", seminar_id=made["id"]), 409, "illegal_transition")


@pytest.mark.route("WC-137", call="POST /rest/v1/rpc/seminar_details")
@pytest.mark.route("WC-138", call="POST /rest/v1/rpc/grant_seminar_place")
@pytest.mark.route("WC-139", call="POST /rest/v1/rpc/remove_seminar_attendee")
def test_the_host_grants_and_removes(academy: Academy, host: Person, stranger: Person) -> None:
    made = seminar(academy, host, access="paid", capacity=1)
    person = academy.member(name="Amara")
    who = {"seminar_id": made["id"], "user_id": person.id}
    refused(academy.rpc(person, "register_for_seminar", seminar_id=made["id"]), 402, "payment_required")
    refused(academy.rpc(stranger, "grant_seminar_place", **who), 404, "seminar_not_found")
    granted = done(academy.rpc(host, "grant_seminar_place", **who))
    assert (granted["status"], granted["is_granted"], granted["user_id"]) == ("confirmed", True, person.id)
    assert register(academy, person, made["id"])["id"] == granted["id"]
    refused(academy.rpc(host, "grant_seminar_place", seminar_id=made["id"], user_id=stranger.id), 409, "seats_taken")
    details = done(academy.rpc(host, "seminar_details", seminar_id=made["id"]))
    assert [(one["name"], one["status"]) for one in details["attendees"]] == [("Amara", "confirmed")]
    assert (details["is_host"], details["taken"]) == (True, 1)
    for other in (academy.member("teacher"), None):
        draft = academy.insert(host, "seminars", title="Draft")
        refused(academy.rpc(other, "seminar_details", seminar_id=draft["id"]), 404, "seminar_not_found")
    refused(academy.rpc(stranger, "remove_seminar_attendee", **who), 404, "seminar_not_found")
    assert done(academy.rpc(host, "remove_seminar_attendee", **who))["status"] == "cancelled"
    refused(academy.rpc(host, "remove_seminar_attendee", **who), 404, "place_not_found")
    refused(academy.rpc(person, "unregister_from_seminar", seminar_id=made["id"]), 404, "place_not_found")
    assert pool(academy, made["pool_id"]) == (1, 0, 0)


def test_a_seminar_commits_its_hosts(academy: Academy, host: Person) -> None:
    made = seminar(academy, host)
    clash = academy.insert(host, "seminars", title="Clash", starts_at=made["starts_at"])
    refused(academy.rpc(host, "publish_seminar", seminar_id=clash["id"]), 409, "host_busy")
    helper = academy.member("teacher", name="Bo")
    invite = {"seminar_id": made["id"], "user_id": helper.id}
    refused(academy.rpc(helper, "invite_seminar_host", **invite), 404, "seminar_not_found")
    assert done(academy.rpc(host, "invite_seminar_host", **invite))["status"] == "invited"
    answer = {"seminar_id": made["id"], "is_accepted": True}
    refused(academy.rpc(academy.member(), "answer_seminar_host_invitation", **answer), 404, "seminar_host_not_found")
    busy = slot(academy, helper, days=30)
    refused(academy.rpc(helper, "answer_seminar_host_invitation", **answer), 409, "host_busy")
    done(academy.rpc(helper, "cancel_group_session_slot", slot_id=busy["id"]))
    assert done(academy.rpc(helper, "answer_seminar_host_invitation", **answer))["status"] == "accepted"
    person = academy.member()
    place = register(academy, person, made["id"])
    path = f"/rest/v1/places?pool_id=eq.{made['pool_id']}"
    assert [row["id"] for row in rows(academy.call(helper, "GET", path))] == [place["id"]]
    moved_to = at(40)
    patch = academy.call(host, "PATCH", f"/rest/v1/seminars?id=eq.{made['id']}", {"starts_at": moved_to})
    assert patch.status_code == 204, patch.text
    for one in (host, helper):
        busy_at = academy.sql(
            "select lower(busy) = %s from private.commitments where host_id = %s and is_live", moved_to, one.id
        )
        assert busy_at == [(True,)]
    mailed = "select count(*) from private.mail_outbox where template = 'place_time_changed' and user_id = %s"
    assert academy.sql(mailed, person.id) == [(1,)]
    assert done(academy.rpc(host, "remove_seminar_host", **invite))["status"] == "left"
    assert rows(academy.call(helper, "GET", path)) == []
    assert academy.sql("select from private.commitments where host_id = %s and is_live", helper.id) == []
    for bad in (at(-1), at(500), None):
        patch = academy.call(host, "PATCH", f"/rest/v1/seminars?id=eq.{made['id']}", {"starts_at": bad})
        refused(patch, 422, "seminar_time_required" if bad is None else "session_time_invalid")


def test_a_seminar_is_run(academy: Academy, host: Person) -> None:
    made = seminar(academy, host)
    person = academy.member()
    place = register(academy, person, made["id"])
    refused(academy.rpc(person, "start_seminar_session", seminar_id=made["id"]), 404, "seminar_not_found")
    answers = concurrently(4, lambda _: academy.rpc(host, "start_seminar_session", seminar_id=made["id"]))
    (started,) = [answer.json() for answer in answers if answer.status_code == 200]
    for answer in answers:
        if answer.status_code != 200:
            refused(answer, 409, "seminar_session_live")
    assert (started["status"], started["ended_at"]) == ("live", None)
    details = done(academy.rpc(person, "seminar_details", seminar_id=made["id"]))
    assert (details["status"], [one["id"] for one in details["sessions"]]) == ("live", [started["id"]])
    refused(academy.rpc(host, "cancel_seminar", seminar_id=made["id"]), 409, "illegal_transition")
    end = {"seminar_session_id": started["id"]}
    refused(academy.rpc(person, "end_seminar_session", **end), 404, "seminar_session_not_found")
    ended = done(academy.rpc(host, "end_seminar_session", **end))
    assert (ended["status"], ended["ended_at"] is not None) == ("ended", True)
    assert done(academy.rpc(host, "end_seminar_session", **end)) == ended
    allowed = "select private.can_attend_seminar(%s, %s)"
    assert academy.sql(allowed, person.id, made["id"]) == [(True,)]
    assert academy.sql(allowed, academy.member().id, made["id"]) == [(False,)]
    _lapse(academy, made["id"])
    assert academy.sql("select status::text from public.seminars where id = %s", made["id"]) == [("ended",)]
    assert status(academy, place) == "confirmed"
    academy.suspend(person)
    assert academy.sql(allowed, person.id, made["id"]) == [(False,)]


def test_a_seminar_that_never_began_is_cancelled(academy: Academy, host: Person) -> None:
    made = seminar(academy, host, capacity=1)
    place, wait = (register(academy, academy.member(), made["id"]) for _ in range(2))
    _lapse(academy, made["id"])
    assert academy.sql("select status::text from public.seminars where id = %s", made["id"]) == [("cancelled",)]
    assert (status(academy, place), status(academy, wait)) == ("cancelled", "cancelled")


def test_a_seminar_of_a_course_is_for_its_students(academy: Academy, host: Person) -> None:
    course = academy.course(host)
    made = seminar(academy, host, access="course", course_id=course.id, capacity=1)
    student, waiter, stranger = (academy.member() for _ in range(3))
    for one in (student, waiter):
        academy.enrol(one, course)
    refused(academy.rpc(stranger, "register_for_seminar", seminar_id=made["id"]), 403, "not_enrolled")
    place, wait = (register(academy, one, made["id"]) for one in (student, waiter))
    academy.sql("update public.enrolments set status = 'cancelled' where student_id = %s", student.id)
    assert (status(academy, place), status(academy, wait)) == ("cancelled", "confirmed")


def test_another_domain_says_who_has_paid(academy: Academy, host: Person) -> None:
    made = seminar(academy, host, access="paid")
    payer, other = academy.member(), academy.member()
    # A function of a later domain, which exists in this transaction only.
    with academy.connection() as connection, connection.transaction(force_rollback=True):
        connection.execute(
            "create function private.seminar_access__999_test(p_user_id uuid, p_seminar_id uuid) returns boolean"
            f" language sql as $$ select p_user_id = '{payer.id}' and p_seminar_id = '{made['id']}' $$".encode()
        )
        found = connection.execute(
            "select private.has_place_access(%(pool)s, %(payer)s), private.has_place_access(%(pool)s, %(other)s)",
            {"pool": made["pool_id"], "payer": payer.id, "other": other.id},
        ).fetchall()
        connection.execute(
            "select set_config('request.jwt.claims', %s, true)",
            [json.dumps({"sub": payer.id, "role": "authenticated"})],
        )
        [(got,)] = connection.execute(
            "select status::text from private.register_for_seminar(%s)", [made["id"]]
        ).fetchall()
    assert (found, got) == ([(True, False)], "confirmed")


def _lapse(academy: Academy, seminar_id: str) -> None:
    """Move the planned time into the past, and let the worker's function run."""
    with academy.connection() as connection, connection.transaction():
        connection.execute("set local session_replication_role = replica")
        connection.execute(
            "update public.seminars set starts_at = now() - interval '2 hours', ends_at = now() - interval '1 hour'"
            " where id = %s",
            [seminar_id],
        )
    while academy.sql("select private.lapse__seminars()") != [(0,)]:
        pass
