"""The current request in SQL: the address of the client, and its id."""

import json
import uuid
from pathlib import Path

import psycopg
import pytest
from psycopg.types.json import Jsonb

from tests.people import Academy
from tests.waiting import wait_until


def value(db: psycopg.Connection, statement: str, *parameters: object) -> object:
    row = db.execute(statement.encode(), parameters).fetchone()
    assert row is not None
    return row[0]


def came_with(db: psycopg.Connection, **headers: str) -> None:
    """Set the headers of the request of the transaction, as PostgREST does."""
    named = {name.replace("_", "-"): text for name, text in headers.items()}
    db.execute("select set_config('request.headers', %s, true)", [json.dumps(named)])


# Address


@pytest.mark.parametrize(
    ("hops", "address"),
    [
        ("198.51.100.7", "198.51.100.7"),
        ("6.6.6.6, 198.51.100.7", "198.51.100.7"),
        (" 2001:db8::7 ", "2001:db8::7"),
        ("::ffff:198.51.100.7", "198.51.100.7"),
        *((nonsense, None) for nonsense in (
            "", ",", "unknown", "198.51.100.7:80", "[2001:db8::7]", "198.51.100.0/24", "1.2.3", "256.1.1.1", "6.6.6.6,",
            "fe80::1%eth0", "'; select 1", "\u0000x"[1:], "9" * 5000,
        )),
    ],
)  # fmt: skip
def test_the_last_hop_is_the_client(db: psycopg.Connection, hops: str, address: str | None) -> None:
    came_with(db, x_forwarded_for=hops)
    assert value(db, "select host(private.client_address())") == address


def test_without_the_header_there_is_no_address(db: psycopg.Connection) -> None:
    assert value(db, "select private.client_address()") is None
    came_with(db, accept="*/*")
    assert value(db, "select private.client_address()") is None


@pytest.mark.parametrize(
    ("header", "hop", "address"),
    [
        ("cf-connecting-ip", 1, "192.0.2.1"),
        ("x-forwarded-for", 2, "198.51.100.7"),
        ("x-forwarded-for", 3, "6.6.6.6"),
        ("x-forwarded-for", 4, None),
        ("x-forwarded-for", 0, None),
        ("x-real-ip", 1, None),
    ],
)
def test_the_operator_sets_the_trusted_header_and_hop(
    db: psycopg.Connection, header: str, hop: int, address: str | None
) -> None:
    db.execute(
        "update private.app_config set value = %s where key = 'client_address'", [Jsonb({"header": header, "hop": hop})]
    )
    came_with(db, x_forwarded_for="6.6.6.6, 198.51.100.7, 10.0.0.1", cf_connecting_ip="192.0.2.1")
    assert value(db, "select host(private.client_address())") == address


def test_a_missing_setting_is_an_error(db: psycopg.Connection) -> None:
    assert value(db, "select private.setting('client_address') ->> 'header'") == "x-forwarded-for"
    for key in ("no_such", None):
        with pytest.raises(psycopg.Error) as missing, db.transaction():
            value(db, "select private.setting(%s)", key)
        assert (missing.value.sqlstate, missing.value.diag.message_primary) == ("PT500", "setting_missing")
    with pytest.raises(psycopg.errors.CheckViolation):
        db.execute("update private.app_config set value = 'null'")


def test_ipv6_callers_of_one_network_share_a_bucket(db: psycopg.Connection) -> None:
    db.execute("select set_config('request.path', '/courses', true)")
    for address in ("2001:db8:1:2::1", "2001:db8:1:2:3::4"):
        came_with(db, x_forwarded_for=address)
        assert value(db, "select private.take_request_token()") == 0
    found = "select count(*) from private.rate_buckets where key = sha256(convert_to(%s, 'UTF8'))"
    assert value(db, found, "rest address 2001:db8:1:2::/64") == 1


# Id


@pytest.mark.parametrize(
    ("offered", "known"),
    [
        ("0b4bd0c29b0e4b779a4c3a6a2b1f5a11", "0b4bd0c29b0e4b779a4c3a6a2b1f5a11"),
        ("a.B_c-1", "a.B_c-1"),
        ("x" * 128, "x" * 128),
        ("x" * 129, None),
        ("two words", None),
        ("line\nbreak", None),
        ("", None),
    ],
)
def test_a_valid_request_id_is_used(db: psycopg.Connection, offered: str, known: str | None) -> None:
    came_with(db, x_request_id=offered)
    assert value(db, "select private.request_id()") == known


def test_the_edge_sets_the_request_id(db: psycopg.Connection) -> None:
    assert value(db, "select private.request_id()") is None
    db.execute("select set_config('guildhall.request_id', 'edge.1', true)")
    assert value(db, "select private.request_id()") == "edge.1"
    came_with(db, x_request_id="rest.1")
    assert value(db, "select private.request_id()") == "rest.1"


def test_the_audit_log_and_the_log_of_postgres_name_the_request(academy: Academy, stack_data: Path) -> None:
    admin, member = academy.member("admin"), academy.member()
    done, refused = f"done.{uuid.uuid4()}", f"refused.{uuid.uuid4()}"
    path = "/rest/v1/rpc/grant_role"
    body = {"user_id": member.id, "role": "teacher"}
    assert academy.call(admin, "POST", path, body, x_request_id=done).status_code == 204
    assert academy.sql(
        "select request_id from public.audit_log where target_id = %s and actor_id = %s", member.id, admin.id
    ) == [(done,)]
    assert academy.call(member, "POST", path, body, x_request_id=refused).status_code == 403
    log = stack_data / "logs" / "postgres.log"
    wait_until(lambda: f" {refused} ERROR:  role_required" in log.read_text())
