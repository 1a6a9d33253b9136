"""Seats: never more than there are, the waiting list moves up, and what ends gives its seat back."""

from collections import Counter
from typing import Any

import pytest

from tests.live.seats import at, crowd, done, pool, register, rush, seminar, slot, status
from tests.people import Academy, Person, concurrently, refused, rows


@pytest.fixture
def host(academy: Academy) -> Person:
    """A teacher whose time is free."""
    return academy.member("teacher", name="Ines")


def ban(academy: Academy, person: Person) -> None:
    academy.sql("update public.accounts set status = 'banned' where user_id = %s", person.id)


def registering(made: dict[str, Any]) -> str:
    """The statement that registers its caller for a seminar."""
    return f"select status from public.register_for_seminar('{made['id']}')"  # noqa: S608 - an id of ours


def hold(academy: Academy, place: dict[str, Any], who: Person, until: str) -> tuple[Any, ...]:
    """Hold a seat as a function of another domain does."""
    [row] = academy.sql(
        "select id::text, status::text from private.hold_place(%s, %s, %s)", place["pool_id"], who.id, until
    )
    return row


@pytest.mark.parametrize("has_waiting_list", [False, True])
def test_200_people_get_100_seats(academy: Academy, host: Person, has_waiting_list: bool) -> None:
    made = seminar(academy, host, capacity=100, has_waiting_list=has_waiting_list)
    people = crowd(academy, 200)
    results = Counter(rush(academy, people, registering(made)))
    assert results == {"confirmed": 100, "waiting" if has_waiting_list else "seats_taken": 100}
    assert pool(academy, made["pool_id"]) == (100, 100, 100 if has_waiting_list else 0)


def test_many_leave_while_others_wait(academy: Academy, host: Person) -> None:
    made = seminar(academy, host, capacity=20)
    people = crowd(academy, 50)
    rush(academy, people, registering(made))
    seated = [
        str(user_id)
        for (user_id,) in academy.sql(
            "select user_id from public.places where pool_id = %s and status = 'confirmed'", made["pool_id"]
        )
    ]
    late = crowd(academy, 5)
    statement = (
        f"select case when auth.uid() = any('{{{','.join(seated[:10])}}}')"
        f" then (public.unregister_from_seminar('{made['id']}')).status"
        f" else (public.register_for_seminar('{made['id']}')).status end"
    )
    results = Counter(rush(academy, seated[:10] + late, statement))
    assert results == {"cancelled": 10, "waiting": 5}
    assert pool(academy, made["pool_id"]) == (20, 20, 25)


def test_the_first_who_waits_moves_up(academy: Academy, host: Person) -> None:
    made = slot(academy, host, capacity=1)
    first, second, third = (academy.member() for _ in range(3))
    seat, wait, last = (done(academy.rpc(who, "book_slot", slot_id=made["id"])) for who in (first, second, third))
    assert [place["status"] for place in (seat, wait, last)] == ["confirmed", "waiting", "waiting"]
    assert academy.rpc(third, "queue_position", place_id=last["id"]).json() == 2
    refused(academy.rpc(second, "queue_position", place_id=last["id"]), 404, "place_not_found")
    refused(academy.rpc(second, "cancel_place", place_id=seat["id"]), 404, "place_not_found")
    assert done(academy.rpc(first, "cancel_place", place_id=seat["id"]))["status"] == "cancelled"
    assert (status(academy, wait), status(academy, last)) == ("confirmed", "waiting")
    assert academy.rpc(third, "queue_position", place_id=last["id"]).json() == 1
    mails = academy.sql("select template from private.mail_outbox where user_id = %s order by id", second.id)
    assert [template for (template,) in mails] == ["place_waiting", "place_moved_up"]
    # Cancelling again changes nothing, and a new place is at the end of the queue.
    assert done(academy.rpc(first, "cancel_place", place_id=seat["id"]))["status"] == "cancelled"
    again = done(academy.rpc(first, "book_slot", slot_id=made["id"]))
    assert again["status"] == "waiting"
    assert academy.rpc(first, "queue_position", place_id=again["id"]).json() == 2
    assert pool(academy, made["pool_id"]) == (1, 1, 2)


def test_one_person_takes_one_seat(academy: Academy, host: Person) -> None:
    made = seminar(academy, host)
    person = academy.member()
    answers = concurrently(8, lambda _: academy.rpc(person, "register_for_seminar", seminar_id=made["id"]))
    assert {done(answer)["id"] for answer in answers} == {answers[0].json()["id"]}
    assert pool(academy, made["pool_id"]) == (100, 1, 0)
    left = concurrently(4, lambda _: academy.rpc(person, "cancel_place", place_id=answers[0].json()["id"]))
    assert {done(answer)["status"] for answer in left} == {"cancelled"}
    assert pool(academy, made["pool_id"]) == (100, 0, 0)


def test_capacity_changes(academy: Academy, host: Person) -> None:
    made = seminar(academy, host, capacity=2)
    places = [register(academy, academy.member(), made["id"]) for _ in range(4)]
    path = f"/rest/v1/seminars?id=eq.{made['id']}"
    refused(academy.call(host, "PATCH", path, {"capacity": 1}), 409, "capacity_below_taken")
    assert pool(academy, made["pool_id"]) == (2, 2, 2)
    assert academy.call(host, "PATCH", path, {"capacity": 3}).status_code == 204
    assert [status(academy, place) for place in places] == ["confirmed"] * 3 + ["waiting"]
    assert pool(academy, made["pool_id"]) == (3, 3, 1)


def test_a_suspended_person_keeps_a_seat_and_does_not_move_up(academy: Academy, host: Person) -> None:
    made = seminar(academy, host, capacity=2)
    leaver, keeper, waiter, next_one = (academy.member() for _ in range(4))
    seat, kept, wait, after = (register(academy, who, made["id"]) for who in (leaver, keeper, waiter, next_one))
    for person in (keeper, waiter):
        academy.suspend(person)
    refused(academy.rpc(keeper, "cancel_place", place_id=kept["id"]), 403, "account_inactive")
    done(academy.rpc(leaver, "cancel_place", place_id=seat["id"]))
    assert [status(academy, place) for place in (kept, wait, after)] == ["confirmed", "waiting", "confirmed"]
    suspended = academy.member()
    academy.suspend(suspended)
    refused(academy.rpc(suspended, "register_for_seminar", seminar_id=made["id"]), 403, "account_inactive")
    # With a free seat, reinstatement moves the person up.
    done(academy.rpc(next_one, "cancel_place", place_id=after["id"]))
    academy.sql("update public.accounts set status = 'active' where user_id = %s", waiter.id)
    assert status(academy, wait) == "confirmed"


def test_a_banned_or_deleted_attendee_leaves_the_seat(academy: Academy, host: Person) -> None:
    made = seminar(academy, host, capacity=2)
    banned, deleted, third, fourth = (academy.member() for _ in range(4))
    places = [register(academy, who, made["id"]) for who in (banned, deleted, third, fourth)]
    ban(academy, banned)
    academy.sql("delete from auth.users where id = %s", deleted.id)
    assert [status(academy, place) for place in places] == ["cancelled", "cancelled", "confirmed", "confirmed"]
    assert pool(academy, made["pool_id"]) == (2, 2, 0)


def test_a_banned_host_cancels_all(academy: Academy, host: Person) -> None:
    published, offered = seminar(academy, host), slot(academy, host)
    person = academy.member()
    places = [
        register(academy, person, published["id"]),
        done(academy.rpc(person, "book_slot", slot_id=offered["id"])),
    ]
    ban(academy, host)
    assert [status(academy, place) for place in places] == ["cancelled", "cancelled"]
    assert academy.sql("select status::text from public.seminars where id = %s", published["id"]) == [("cancelled",)]
    assert academy.sql("select status::text from public.group_session_slots where id = %s", offered["id"]) == [
        ("cancelled",)
    ]
    assert academy.sql("select from private.commitments where host_id = %s and is_live", host.id) == []
    mails = academy.sql(
        "select count(*) from private.mail_outbox where user_id = %s and template = 'place_cancelled'", person.id
    )
    assert mails == [(2,)]


def test_a_former_teacher_hosts_no_more(academy: Academy, host: Person) -> None:
    made = seminar(academy, host)
    place = register(academy, academy.member(), made["id"])
    academy.sql("delete from public.user_roles where user_id = %s and role = 'teacher'", host.id)
    assert status(academy, place) == "cancelled"


def test_bans_and_registrations_at_once_do_not_deadlock(academy: Academy) -> None:
    hosts = [academy.member("teacher") for _ in range(3)]
    seminars = [seminar(academy, one, capacity=2) for one in hosts]
    for one in hosts:
        for made in seminars:
            if made["host_id"] != one.id:
                register(academy, one, made["id"])
    people = crowd(academy, 12)

    def work(number: int) -> Any:
        if number < len(hosts):
            return ban(academy, hosts[number])
        made = seminars[number % len(seminars)]
        return rush(academy, [people[number]], registering(made), connections=1)

    results = concurrently(9, work)
    tokens = {token for result in results if result for token in result}
    assert tokens <= {"confirmed", "waiting", "seminar_not_open", "registration_closed"}
    for made in seminars:
        assert pool(academy, made["pool_id"])[1:] == (0, 0)


def test_a_seat_is_held_while_its_person_pays(academy: Academy, host: Person) -> None:
    made = seminar(academy, host, capacity=1)
    payer, waiter = academy.member(), academy.member()
    place_id, held = hold(academy, made, payer, at(1))
    assert held == "held"
    assert hold(academy, made, payer, at(2)) == (place_id, "held")
    wait = register(academy, waiter, made["id"])
    assert wait["status"] == "waiting"
    [(confirmed,)] = academy.sql("select status::text from private.confirm_held_place(%s)", place_id)
    assert confirmed == "confirmed"
    [(again,)] = academy.sql("select status::text from private.confirm_held_place(%s)", place_id)
    assert again == "confirmed"
    [(kept,)] = academy.sql("select status::text from private.release_held_place(%s)", place_id)
    assert kept == "confirmed"
    assert pool(academy, made["pool_id"]) == (1, 1, 1)


def test_an_expired_hold_goes_to_the_next(academy: Academy, host: Person) -> None:
    made = seminar(academy, host, capacity=1)
    payer, waiter, other = (academy.member() for _ in range(3))
    place_id, _ = hold(academy, made, payer, at(0, -1))
    wait = register(academy, waiter, made["id"])
    academy.sql("select private.release_held_place(%s)", place_id)
    assert status(academy, wait) == "confirmed"
    # Paid too late: no seat is free, then one is.
    assert academy.sql("select status::text from private.confirm_held_place(%s)", place_id) == [("expired",)]
    done(academy.rpc(waiter, "cancel_place", place_id=wait["id"]))
    assert academy.sql("select status::text from private.confirm_held_place(%s)", place_id) == [("confirmed",)]
    lapsing = seminar(academy, academy.member("teacher"), capacity=1)
    second_id, _ = hold(academy, lapsing, other, at(0, -1))
    while academy.sql("select private.lapse__held_places()") != [(0,)]:
        pass
    assert status(academy, {"id": second_id}) == "expired"


def test_money_is_due_back(academy: Academy, host: Person) -> None:
    early, late = (seminar(academy, host, starts_at=at(days)) for days in (30, 0.5))
    academy.sql("update public.seat_pools set late_refund_percent = 25 where id = %s", late["pool_id"])
    people = [academy.member() for _ in range(3)]
    places = [register(academy, who, early["id"]) for who in people]
    late_place = register(academy, people[0], late["id"])
    # A function of a later domain, which exists in this transaction only.
    with academy.connection() as connection, connection.transaction(force_rollback=True):
        connection.execute("create temporary table due (place_id uuid, fraction numeric) on commit drop")
        connection.execute("grant all on due to public")
        connection.execute(
            "create function private.place_money_due__999_test(p_place public.places, p_fraction numeric)"
            " returns void language sql as $$ insert into pg_temp.due values (p_place.id, p_fraction) $$"
        )
        connection.execute("select private.give_place_back(%s)", [places[0]["id"]])
        connection.execute("select private.give_place_back(%s)", [late_place["id"]])
        connection.execute("select private.end_seminar(%s, 'cancelled')", [early["id"]])
        found = {
            str(place_id): float(fraction)
            for place_id, fraction in connection.execute("select place_id, fraction from due").fetchall()
        }
    assert found == {
        places[0]["id"]: 1.0, late_place["id"]: 0.25, places[1]["id"]: 1.0, places[2]["id"]: 1.0
    }  # fmt: skip


def test_others_read_no_places(academy: Academy, host: Person, stranger: Person) -> None:
    made, other = seminar(academy, host), seminar(academy, academy.member("teacher"))
    person, attendee_of_other = academy.member(name="Amara"), academy.member()
    place = register(academy, person, made["id"])
    register(academy, attendee_of_other, other["id"])
    path = f"/rest/v1/places?pool_id=eq.{made['pool_id']}"
    for who in (person, host, academy.member("moderator")):
        assert [row["id"] for row in rows(academy.call(who, "GET", path))] == [place["id"]]
    for who in (stranger, attendee_of_other, academy.member("teacher")):
        assert rows(academy.call(who, "GET", path)) == []
    assert academy.call(None, "GET", path).status_code == 401
    for who in (person, host):
        assert academy.call(who, "PATCH", path, {"status": "attended"}).status_code == 403
        assert academy.call(who, "DELETE", path).status_code == 403
    details = academy.rpc(attendee_of_other, "seminar_details", seminar_id=made["id"]).json()
    assert (details["attendees"], details["sessions"], details["my_place"]) == (None, None, None)


def test_attendance(academy: Academy, host: Person) -> None:
    made = slot(academy, host)
    person, absent = academy.member(), academy.member()
    place, missed = (done(academy.rpc(who, "book_slot", slot_id=made["id"])) for who in (person, absent))
    refused(academy.rpc(host, "record_attendance", place_id=place["id"]), 409, "place_not_over")
    academy.sql("update public.seat_pools set starts_at = now() - interval '1 minute' where id = %s", made["pool_id"])
    refused(academy.rpc(person, "record_attendance", place_id=place["id"]), 404, "place_not_found")
    assert done(academy.rpc(host, "record_attendance", place_id=place["id"]))["status"] == "attended"
    answer = academy.rpc(host, "record_attendance", place_id=missed["id"], was_attended=False)
    assert done(answer)["status"] == "missed"
    refused(academy.rpc(absent, "cancel_place", place_id=missed["id"]), 409, "illegal_transition")
    assert pool(academy, made["pool_id"]) == (10, 2, 0)


def test_registration_needs_a_confirmed_address_and_closes(academy: Academy, host: Person) -> None:
    made = seminar(academy, host)
    person = academy.member()
    academy.sql("update auth.users set email_confirmed_at = null where id = %s", person.id)
    refused(academy.rpc(person, "register_for_seminar", seminar_id=made["id"]), 403, "email_not_confirmed")
    refused(academy.rpc(host, "register_for_seminar", seminar_id=made["id"]), 409, "host_cannot_attend")
    path = f"/rest/v1/seminars?id=eq.{made['id']}"
    assert academy.call(host, "PATCH", path, {"closes_at": at(0, -1)}).status_code == 204
    other = academy.member()
    refused(academy.rpc(other, "register_for_seminar", seminar_id=made["id"]), 409, "registration_closed")
    granted = academy.rpc(host, "grant_seminar_place", seminar_id=made["id"], user_id=other.id)
    assert (done(granted)["status"], granted.json()["is_granted"]) == ("confirmed", True)
