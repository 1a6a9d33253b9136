"""External identities: effects of a provider's events in any order, repeated and concurrent."""

import itertools
import uuid
from typing import Any

import msgspec
import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.people import Academy, Person, concurrently, refused

MADE_UP_NAME = "New member"
JANUARY = 1_767_225_600_000
"""The first instant of 2026, as Clerk writes it."""


class Clerk:
    """A provider that sends events about one user."""

    def __init__(self, academy: Academy, email: str | None = None) -> None:
        self.academy = academy
        self.id = f"user_{uuid.uuid4().hex}"
        self.email = f"{uuid.uuid4().hex}@example.com" if email is None else email
        self.events = itertools.count()

    def user(
        self, kind: str, at: int, *, name: str = "Jane Doe", email: str | None = None, verified: bool = True
    ) -> dict[str, Any]:
        """A user.created or user.updated event at an instant (seconds since January)."""
        first, _, last = name.partition(" ")
        return {
            "object": "event",
            "type": f"user.{kind}",
            "timestamp": JANUARY + at * 1000 + 40,
            "instance_id": "ins_test",
            "event_attributes": {"http_request": {"client_ip": "192.0.2.1", "user_agent": "test"}},
            "data": {
                "id": self.id,
                "object": "user",
                "first_name": first or None,
                "last_name": last or None,
                "primary_email_address_id": "idn_primary",
                "email_addresses": [
                    {
                        "id": "idn_other",
                        "email_address": "other@example.com",
                        "verification": {"status": "verified", "strategy": "email_code"},
                    },
                    {
                        "id": "idn_primary",
                        "email_address": self.email if email is None else email,
                        "verification": {"status": "verified" if verified else "unverified", "strategy": "email_code"},
                        "linked_to": [],
                    },
                ],
                "phone_numbers": [],
                "public_metadata": {"role": "superadmin"},
                "unsafe_metadata": {"role": "superadmin"},
                "created_at": JANUARY,
                "updated_at": JANUARY + at * 1000,
            },
        }

    def deleted(self, at: int) -> dict[str, Any]:
        """A user.deleted event."""
        data = {"id": self.id, "object": "user", "deleted": True}
        return {"object": "event", "type": "user.deleted", "timestamp": JANUARY + at * 1000, "data": data}

    def tell(self, event: dict[str, Any], event_id: str | None = None) -> str:
        """Deliver an event as the edge does; returns its status."""
        event_id = event_id or f"msg_{self.id}_{next(self.events)}"
        with psycopg.connect(self.academy.admin_db_url, autocommit=True) as connection:
            return receive(connection, event_id, event)

    def identity(self) -> dict[str, Any]:
        """The row of the identity."""
        found = self.academy.sql(
            "select to_jsonb(e) from private.external_identities as e where external_id = %s", self.id
        )
        assert len(found) == 1
        row: dict[str, Any] = found[0][0]
        return row

    def account(self) -> dict[str, Any] | None:
        """The linked account: user and profile."""
        found = self.academy.sql(
            "select jsonb_build_object('id', u.id, 'email', u.email, 'confirmed', u.email_confirmed_at is not null,"
            " 'password', u.encrypted_password, 'name', p.display_name, 'profile', to_jsonb(p))"
            " from private.external_identities as e join auth.users as u on u.id = e.user_id"
            " join public.profiles as p on p.id = u.id where e.external_id = %s",
            self.id,
        )
        return found[0][0] if found else None

    def linked(self) -> dict[str, Any]:
        """The linked account, which must exist."""
        account = self.account()
        assert account is not None
        return account

    def audited(self) -> list[str]:
        """The entries of the audit log about the user, oldest first."""
        return [
            action
            for (action,) in self.academy.sql(
                "select action from public.audit_log where after ->> 'external_id' = %s order by id", self.id
            )
        ]


def receive(connection: psycopg.Connection, event_id: str, event: dict[str, Any]) -> str:
    """Call receive_webhook as the role of the edge."""
    connection.execute("set role edge")
    row = connection.execute(
        "select private.receive_webhook('clerk', %s, %s, %s)",
        [event_id, event["type"], msgspec.json.encode(event).decode()],
    ).fetchone()
    connection.execute("reset role")
    assert row is not None
    return str(row[0])


def inbox(academy: Academy, event_id: str) -> dict[str, Any]:
    """The row of an event in the inbox."""
    row: dict[str, Any] = academy.sql(
        "select to_jsonb(i) from private.webhook_inbox as i where event_id = %s", event_id
    )[0][0]
    return row


def users_of(academy: Academy, email: str) -> list[str]:
    """The accounts of an address."""
    return [user for (user,) in academy.sql("select id::text from auth.users where lower(email) = lower(%s)", email)]


@pytest.fixture
def clerk(academy: Academy) -> Clerk:
    """The provider, with a new user."""
    return Clerk(academy)


# Creation, change and deletion


def test_a_verified_user_gets_an_account(clerk: Clerk) -> None:
    assert clerk.tell(clerk.user("created", 1)) == "applied"
    account = clerk.linked()
    assert (account["email"], account["confirmed"], account["name"]) == (clerk.email, True, "Jane Doe")
    assert account["profile"]["is_public"] is True
    assert clerk.audited() == ["account.create"]


def test_auth_can_use_the_created_account(academy: Academy, clerk: Clerk) -> None:
    """It has no password until its owner sets one by mail, and then it is like any other."""
    clerk.tell(clerk.user("created", 1))
    user = clerk.linked()["id"]
    shown = academy.http.get(f"/auth/v1/admin/users/{user}", headers={"apikey": academy.secret_key}).json()
    assert shown["email"] == clerk.email
    assert [identity["provider"] for identity in shown["identities"]] == ["email"]
    credentials = {"email": clerk.email, "password": ""}
    path = "/auth/v1/token?grant_type=password"
    assert academy.http.post(path, json=credentials, headers={"apikey": academy.publishable_key}).status_code == 400
    link = academy.http.post(
        "/auth/v1/admin/generate_link",
        json={"type": "recovery", "email": clerk.email},
        headers={"apikey": academy.secret_key},
    )
    assert link.status_code == 200, link.text


def test_name_and_address_follow_the_provider(clerk: Clerk) -> None:
    clerk.tell(clerk.user("created", 1))
    before = clerk.linked()
    new = f"{uuid.uuid4().hex}@example.com"
    assert clerk.tell(clerk.user("updated", 2, name="Jane Roe", email=new.upper())) == "applied"
    after = clerk.linked()
    assert (after["id"], after["email"], after["name"]) == (before["id"], new, "Jane Roe")
    clerk.tell(clerk.user("updated", 3, name="", email=new))
    assert clerk.linked()["name"] == "Jane Roe"


def test_a_deleted_user_leaves_an_empty_profile(academy: Academy, clerk: Clerk) -> None:
    clerk.tell(clerk.user("created", 1))
    user = clerk.linked()["id"]
    assert clerk.tell(clerk.deleted(2)) == "applied"
    assert users_of(academy, clerk.email) == []
    tombstone = academy.sql("select display_name from public.profiles where id = %s", user)
    assert tombstone == [("Deleted member",)]
    identity = clerk.identity()
    assert identity["deleted_at"] is not None
    assert (identity["user_id"], identity["email"], identity["display_name"]) == (None, None, None)
    assert clerk.audited() == ["account.create", "account.delete"]


def test_events_of_other_types_are_ignored(academy: Academy, clerk: Clerk) -> None:
    event_id = f"msg_{uuid.uuid4().hex}"
    event = {"type": "session.created", "data": {"id": "sess_1", "user_id": clerk.id}}
    assert clerk.tell(event, event_id) == "ignored"
    kept = inbox(academy, event_id)
    assert (kept["status"], kept["type"], kept["payload"], kept["attempts"]) == ("ignored", event["type"], event, 1)


def test_a_name_that_the_user_changed_stays(academy: Academy, clerk: Clerk) -> None:
    clerk.tell(clerk.user("created", 1))
    user = clerk.linked()["id"]
    own = f"{uuid.uuid4().hex}@example.com"
    academy.sql("update public.profiles set display_name = 'J.' where id = %s", user)
    academy.sql("update auth.users set email = %s where id = %s", own, user)
    assert clerk.tell(clerk.user("updated", 2, name="Jane Roe", email=f"{uuid.uuid4().hex}@example.com")) == "applied"
    account = clerk.linked()
    assert (account["id"], account["name"], account["email"]) == (user, "J.", own)


@pytest.mark.parametrize("change", ["no addresses", "null addresses", "other primary", "no verification"])
def test_an_identity_without_a_verified_address_gets_no_account(academy: Academy, clerk: Clerk, change: str) -> None:
    event = clerk.user("created", 1)
    data = event["data"]
    match change:
        case "no addresses":
            data |= {"email_addresses": [], "primary_email_address_id": None, "phone_numbers": [{"id": "idn_phone"}]}
        case "null addresses":
            data["email_addresses"] = None
        case "other primary":
            data["primary_email_address_id"] = "idn_phone"
        case _:
            data["email_addresses"][1]["verification"] = None
    assert clerk.tell(event) == "applied"
    assert clerk.account() is None
    assert users_of(academy, clerk.email) == []
    assert clerk.identity()["last_event_at"].startswith("2026-01-01T00:00:01")


# Accounts that existed before


def test_a_confirmed_account_is_linked_and_stays_its_own(academy: Academy) -> None:
    person = academy.person(name="Known Here")
    clerk = Clerk(academy, person.email.upper())
    clerk.tell(clerk.user("created", 1))
    clerk.tell(clerk.user("updated", 2, name="Someone Else", email=f"{uuid.uuid4().hex}@example.com"))
    account = clerk.linked()
    assert (account["id"], account["name"], account["email"]) == (person.id, "Known Here", person.email)
    clerk.tell(clerk.deleted(3))
    assert clerk.account() is None
    assert users_of(academy, person.email) == [person.id]
    assert academy.sign_in(person.email)
    assert clerk.audited() == ["identity.link", "identity.unlink"]


def test_an_account_outlives_one_of_two_identities(academy: Academy) -> None:
    first = Clerk(academy)
    first.tell(first.user("created", 1))
    second = Clerk(academy, first.email)
    second.tell(second.user("created", 2))
    assert second.linked()["id"] == first.linked()["id"]
    first.tell(first.deleted(3))
    assert second.linked()["email"] == first.email


@pytest.mark.parametrize("role", ["moderator", "admin", "superadmin"])
def test_staff_is_neither_changed_nor_deleted(academy: Academy, clerk: Clerk, role: str) -> None:
    clerk.tell(clerk.user("created", 1))
    user = clerk.linked()["id"]
    academy.sql("insert into public.user_roles (user_id, role) values (%s, %s)", user, role)
    clerk.tell(clerk.user("updated", 2, name="Mallory", email=f"{uuid.uuid4().hex}@example.com"))
    assert (clerk.linked()["email"], clerk.linked()["name"]) == (clerk.email, "Jane Doe")
    assert clerk.tell(clerk.deleted(3)) == "applied"
    assert clerk.account() is None
    assert users_of(academy, clerk.email) == [user]
    assert academy.sql("select role::text from public.user_roles where user_id = %s", user) == [(role,)]
    assert clerk.audited() == ["account.create", "identity.unlink"]


# Takeovers


def test_an_unverified_address_is_not_linked(academy: Academy) -> None:
    victim = academy.person(name="Victim")
    clerk = Clerk(academy, victim.email)
    clerk.tell(clerk.user("created", 1, verified=False))
    assert clerk.account() is None
    clerk.tell(clerk.deleted(2))
    assert users_of(academy, victim.email) == [victim.id]


def test_an_address_typed_before_its_owner_came_gives_no_access(academy: Academy, clerk: Clerk) -> None:
    """An account created now would be confirmed by its owner later, and both would have access."""
    clerk.tell(clerk.user("created", 1, verified=False))
    assert users_of(academy, clerk.email) == []
    academy.sql(
        "insert into auth.users (id, aud, role, email, email_confirmed_at)"
        " values (gen_random_uuid(), 'authenticated', 'authenticated', %s, now())",
        clerk.email,
    )
    owner = users_of(academy, clerk.email)
    clerk.tell(clerk.user("updated", 2, verified=False))
    clerk.tell(clerk.user("updated", 3, email=f"{uuid.uuid4().hex}@example.com"))
    assert users_of(academy, clerk.email) == owner
    assert clerk.linked()["id"] not in owner


def test_a_signup_with_the_address_of_another_person_keeps_no_access(academy: Academy, clerk: Clerk) -> None:
    """Another person signed up with a password and never confirmed; then the owner of the address arrives."""
    password = "squatters password"
    body = {"email": clerk.email, "password": password, "data": {"display_name": "Squatter"}}
    headers = {"apikey": academy.publishable_key}
    assert academy.http.post("/auth/v1/signup", json=body, headers=headers).status_code == 200
    (squatted,) = users_of(academy, clerk.email)
    assert clerk.tell(clerk.user("created", 1)) == "applied"
    account = clerk.linked()
    assert (account["id"], account["confirmed"], account["name"]) == (squatted, True, "Jane Doe")
    credentials = {"email": clerk.email, "password": password}
    assert academy.http.post("/auth/v1/token?grant_type=password", json=credentials, headers=headers).status_code == 400
    left = academy.sql(
        "select u.raw_user_meta_data ->> 'display_name', u.confirmation_token,"
        " (select count(*) from auth.one_time_tokens as t where t.user_id = u.id)"
        " from auth.users as u where u.id = %s",
        squatted,
    )
    assert left == [("Jane Doe", "", 0)]
    clerk.tell(clerk.deleted(2))
    assert users_of(academy, clerk.email) == [squatted]


def test_an_account_in_use_with_an_unconfirmed_address_is_not_linked(academy: Academy, clerk: Clerk) -> None:
    academy.sql(
        "insert into auth.users (id, aud, role, email, phone, phone_confirmed_at)"
        " values (gen_random_uuid(), 'authenticated', 'authenticated', %s, %s, now())",
        clerk.email,
        uuid.uuid4().hex[:15],
    )
    assert clerk.tell(clerk.user("created", 1)) == "applied"
    assert clerk.account() is None


def test_anothers_address_is_not_given_to_an_account(academy: Academy, clerk: Clerk) -> None:
    clerk.tell(clerk.user("created", 1))
    victim = academy.member()
    assert clerk.tell(clerk.user("updated", 2, email=victim.email)) == "applied"
    assert clerk.linked()["email"] == clerk.email
    assert users_of(academy, victim.email) == [victim.id]


def test_metadata_grants_no_role(academy: Academy, clerk: Clerk) -> None:
    clerk.tell(clerk.user("created", 1))
    assert academy.sql("select from public.user_roles where user_id = %s", clerk.linked()["id"]) == []


def test_a_deleted_account_is_not_created_again(academy: Academy, clerk: Clerk) -> None:
    clerk.tell(clerk.user("created", 1))
    academy.sql("delete from auth.users where id = %s", clerk.linked()["id"])
    assert clerk.identity()["deleted_at"] is not None
    assert clerk.tell(clerk.user("updated", 2)) == "ignored"
    assert users_of(academy, clerk.email) == []


# Order, repetition, concurrency


@pytest.mark.parametrize("was_there", [False, True], ids=["new", "was-there"])
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_every_order_with_replays_has_the_same_result(academy: Academy, was_there: bool, data: st.DataObject) -> None:
    email = f"{uuid.uuid4().hex}@example.com"
    person = None
    with psycopg.connect(academy.admin_db_url) as connection:
        if was_there:
            person = str(uuid.uuid4())
            connection.execute(
                "insert into auth.users (id, aud, role, email, email_confirmed_at, raw_user_meta_data)"
                """ values (%s, 'authenticated', 'authenticated', %s, now(), '{"name": "Known Here"}')""",
                [person, email],
            )
        clerk = Clerk(academy, email)
        is_deleted = data.draw(st.booleans(), label="deleted")
        is_verified_first = data.draw(st.booleans(), label="verified at first")
        events = {
            "1": clerk.user("created", 1, name="First Name", verified=is_verified_first),
            "2": clerk.user("updated", 2, name="Second Name"),
            "3": clerk.user("updated", 3, name="Third Name"),
        }
        if is_deleted:
            events["4"] = clerk.deleted(4)
        order = data.draw(st.permutations(sorted(events)), label="order")
        replays = data.draw(st.lists(st.sampled_from(order), max_size=5), label="replays")
        told = order[: data.draw(st.integers(0, len(order)), label="replays after")]
        sequence = [*told, *(replay for replay in replays if replay in told), *order[len(told) :], *replays]
        seen: dict[str, str] = {}
        for number in sequence:
            became = receive(connection, f"msg_{clerk.id}_{number}", events[number])
            assert seen.setdefault(number, became) == became
            assert became in {"applied", "ignored"}
        state = connection.execute(
            "select e.deleted_at is not null, e.has_made_account and e.deleted_at is null, u.email, p.display_name,"
            " (select count(*)::int from auth.users as o where o.email = %(email)s)"
            " from private.external_identities as e left join auth.users as u on u.id = e.user_id"
            " left join public.profiles as p on p.id = u.id where e.external_id = %(id)s",
            {"id": clerk.id, "email": email},
        ).fetchone()
        connection.rollback()
    name = "Known Here" if was_there else "Third Name"
    living = (False, not was_there, email, name, 1)
    assert state == ((True, False, None, None, 1 if person else 0) if is_deleted else living)


def test_fifty_deliveries_at_once_have_one_effect(academy: Academy, clerk: Clerk) -> None:
    event, event_id = clerk.user("created", 1), f"msg_{uuid.uuid4().hex}"
    assert set(concurrently(50, lambda _: clerk.tell(event, event_id))) == {"applied"}
    assert len(users_of(academy, clerk.email)) == 1
    assert inbox(academy, event_id)["attempts"] == 1
    assert clerk.audited() == ["account.create"]


def test_concurrent_events_have_the_same_result(academy: Academy) -> None:
    for _ in range(5):
        clerk = Clerk(academy)
        events = [clerk.user("created", 1, name="One"), *(clerk.user("updated", n, name=f"N {n}") for n in range(2, 9))]

        def tell(number: int, clerk: Clerk = clerk, events: list[dict[str, Any]] = events) -> str:
            return clerk.tell(events[number], f"msg_{clerk.id}_{number}")

        concurrently(8, tell)
        assert clerk.linked()["name"] == "N 8"
        assert len(users_of(academy, clerk.email)) == 1


# Failures


def test_a_failed_event_is_kept_and_tried_again(academy: Academy, clerk: Clerk) -> None:
    event, event_id = clerk.user("created", 1, name="Jane Doe"), f"msg_{uuid.uuid4().hex}"
    event["data"]["updated_at"] = "yesterday"
    assert clerk.tell(event, event_id) == "failed"
    kept = inbox(academy, event_id)
    assert (kept["status"], kept["attempts"]) == ("failed", 1)
    assert kept["error"].startswith("22P02 ")
    assert academy.sql("select from private.external_identities where external_id = %s", clerk.id) == []
    assert clerk.tell(event, event_id) == "failed"
    assert inbox(academy, event_id)["attempts"] == 2

    academy.sql(
        "update private.webhook_inbox set payload = jsonb_set(payload, '{data,updated_at}', '1767225601000')"
        " where event_id = %s",
        event_id,
    )
    assert clerk.tell(event, event_id) == "applied"
    kept = inbox(academy, event_id)
    assert (kept["status"], kept["error"], kept["attempts"]) == ("applied", None, 3)
    assert clerk.linked()["name"] == "Jane Doe"


@pytest.mark.parametrize(
    "data",
    [
        {},
        {"id": None},
        {"id": ""},
        {"id": "x" * 256},
        {"id": {}, "email_addresses": {}},
        {"id": "user_x", "updated_at": "NaN"},
        {"id": "user_x", "updated_at": 10**30},
        {"id": "user_x", "email_addresses": [None, 1, "x", []]},
    ],
)
@pytest.mark.parametrize("kind", ["created", "deleted"])
def test_a_malformed_event_has_no_effect(academy: Academy, data: dict[str, Any], kind: str) -> None:
    with psycopg.connect(academy.admin_db_url) as connection:
        event = {"type": f"user.{kind}", "data": data}
        assert receive(connection, f"msg_{uuid.uuid4().hex}", event) in {"applied", "ignored", "failed"}
        connection.rollback()


def test_a_provider_without_a_function_fails_openly(db: psycopg.Connection) -> None:
    row = db.execute("select private.receive_webhook('nobody', 'evt_1', 'x', '{}')").fetchone()
    assert row == ("failed",)
    error = db.execute("select error from private.webhook_inbox where event_id = 'evt_1'").fetchone()
    assert error is not None
    assert error[0].startswith("42883 ")


def test_old_events_are_emptied_and_their_keys_stay(db: psycopg.Connection) -> None:
    db.execute(
        "insert into private.webhook_inbox (provider, event_id, type, payload, status, error, received_at) values"
        " ('clerk', 'purge_old', 'x', '{}', 'applied', null, now() - interval '91 days'),"
        " ('clerk', 'purge_new', 'x', '{}', 'ignored', null, now() - interval '89 days'),"
        " ('clerk', 'purge_failed', 'x', '{}', 'failed', 'why', now() - interval '91 days')"
    )
    assert db.execute("select private.purge__webhook_inbox()").fetchone() == (1,)
    left = db.execute(
        "select event_id from private.webhook_inbox where event_id like 'purge_%' and payload is not null order by 1"
    ).fetchall()
    assert left == [("purge_failed",), ("purge_new",)]
    assert receive(db, "purge_old", {"type": "user.created", "data": {}}) == "applied"


# After signing in


def add_identity(academy: Academy, person: Person, **data: str) -> None:
    """What auth stores about a user of another provider."""
    academy.sql(
        "insert into auth.identities (provider_id, user_id, identity_data, provider, last_sign_in_at)"
        " values (%s, %s, %s::jsonb, 'github', now())",
        uuid.uuid4().hex,
        person.id,
        msgspec.json.encode(data).decode(),
    )


@pytest.mark.route("CM-070", call="POST /rest/v1/rpc/sync_user")
def test_sync_user_names_a_profile_without_a_name(academy: Academy) -> None:
    person = academy.member(name="")
    add_identity(academy, person, full_name="  Ada Lovelace ", user_name="ada", role="superadmin")
    assert academy.rpc(None, "sync_user").status_code == 401
    first = academy.rpc(person, "sync_user")
    assert first.status_code == 200, first.text
    profile = first.json()
    assert (profile["id"], profile["display_name"]) == (person.id, "Ada Lovelace")
    assert profile["handle"].startswith("member-")
    assert academy.rpc(person, "sync_user").json() == profile
    assert academy.sql("select from public.user_roles where user_id = %s", person.id) == []


def test_sync_user_keeps_a_chosen_name(academy: Academy) -> None:
    person = academy.member(name="Chosen")
    add_identity(academy, person, name="Other")
    assert academy.rpc(person, "sync_user").json()["display_name"] == "Chosen"


def test_sync_user_creates_missing_account_and_profile(academy: Academy) -> None:
    """A project may have users before it applies these migrations."""
    person = academy.member()
    academy.sql("delete from public.accounts where user_id = %s", person.id)
    refused(academy.rpc(person, "create_workspace", name="Too early"), 403, "account_inactive")
    assert academy.rpc(person, "sync_user").json()["display_name"] == MADE_UP_NAME
    assert academy.rpc(person, "create_workspace", name="Now").status_code == 200


def test_sync_user_does_not_restore_a_deleted_account(academy: Academy) -> None:
    suspended, deleted = academy.member(), academy.member()
    academy.suspend(suspended)
    academy.sql("delete from auth.users where id = %s", deleted.id)
    for person in (suspended, deleted):
        refused(academy.rpc(person, "sync_user"), 403, "account_inactive")
    never = Person(id=str(uuid.uuid4()), email="never@example.com", token=academy.token(str(uuid.uuid4()), "x@y.z"))
    refused(academy.rpc(never, "sync_user"), 403, "account_inactive")
