"""Failures of the mail server and the database, and kills of the auth server."""

import os
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx

from stack.ports import free_block
from tests.stack.auth.support import (
    PASSWORD,
    AuthServer,
    Database,
    Rig,
    assert_refused,
    bearer,
    new_email,
    session,
)


def test_without_a_mail_server_nothing_is_changed(rig: Rig) -> None:
    server = rig.server(AUTH_SMTP_PORT=str(free_block().base), AUTH_MAX_FREQUENCY="60")
    email, database = new_email(), rig.database
    for _ in range(2):  # a mail that was not sent does not count towards the rate
        assert_refused(server.post("/signup", email=email, password=PASSWORD), 500, "unexpected_failure")
    assert_refused(server.post_as_admin("/invite", email=email), 500, "unexpected_failure")
    assert database.query("select count(*) from auth.users where email = %s", email) == [(0,)]
    # Otherwise the failure would show who has an account.
    user = server.create_user()
    for address in (user["email"], new_email()):
        assert server.post("/recover", email=address).status_code == 200
    headers = bearer(server.sign_in(user["email"])["access_token"])
    change = server.http.put("/user", json={"email": new_email(), "data": {"a": 1}}, headers=headers)
    assert_refused(change, 500, "unexpected_failure")
    after = server.http.get("/user", headers=headers).json()
    assert "new_email" not in after
    assert "a" not in after["user_metadata"]
    assert server.stop() == 0
    assert "mail_failed" in server.log.read_text()


def test_it_survives_a_stopped_database_and_starts_without_it(rig: Rig, database: Database) -> None:
    running, email = rig.auth, rig.auth.create_user()["email"]

    def sign_in(server: AuthServer) -> httpx.Response:
        return server.post("/token?grant_type=password", email=email, password=PASSWORD)

    database.stop()
    try:
        starting = rig.server()
        servers = (running, starting)
        began = time.monotonic()
        with ThreadPoolExecutor() as threads:
            for answer in threads.map(sign_in, servers):
                assert_refused(answer, 503, "database_unavailable")
                assert answer.headers["retry-after"] == "1"
        assert time.monotonic() - began < 10
        assert [server.http.get("/health").status_code for server in servers] == [200, 200]
        for server in servers:
            assert_refused(server.http.get("/ready"), 503, "database_unavailable")
    finally:
        database.start()
    end = time.monotonic() + 30
    while {sign_in(server).status_code for server in servers} != {200}:
        assert time.monotonic() < end
        time.sleep(0.1)
    assert [server.http.get("/ready").status_code for server in servers] == [200, 200]
    assert starting.stop() == 0


def test_a_kill_leaves_no_incomplete_rows(auto: AuthServer, database: Database) -> None:
    made: list[str] = []
    stop = threading.Event()

    def sign_up_and_refresh() -> None:
        with httpx.Client(base_url=auto.url, timeout=5) as http:
            while not stop.is_set():
                email = new_email()
                try:
                    answer = http.post("/signup", json={"email": email, "password": PASSWORD})
                    if answer.status_code == 200:
                        made.append(email)
                        token = {"refresh_token": answer.json()["refresh_token"]}
                        http.post("/token?grant_type=refresh_token", json=token)
                except httpx.TransportError:
                    time.sleep(0.05)

    workers = [threading.Thread(target=sign_up_and_refresh) for _ in range(4)]
    for worker in workers:
        worker.start()
    for enough in (6, 12):
        until = time.monotonic() + 30
        while len(made) < enough and time.monotonic() < until:
            time.sleep(0.01)
        os.kill(auto.process.pid, signal.SIGKILL)
        auto.process.wait()
        auto.start()
    stop.set()
    for worker in workers:
        worker.join()

    assert len(made) >= 12
    for email in made[-3:]:
        session(auto.post("/token?grant_type=password", email=email, password=PASSWORD))
    incomplete: dict[str, Any] = {
        "a user without an identity": """
            select count(*) from auth.users as u
            where u.email is not null and u.deleted_at is null
                and not exists (select from auth.identities as i where i.user_id = u.id)
                and not exists (select from auth.one_time_tokens as t where t.user_id = u.id)
                and u.raw_app_meta_data is not null
        """,
        "a session without an authentication method": """
            select count(*) from auth.sessions as s
            where not exists (select from auth.mfa_amr_claims as c where c.session_id = s.id)
        """,
        "a session without exactly one active token": """
            select count(*) from auth.sessions as s
            where s.not_after is null
                and 1 <> (select count(*) from auth.refresh_tokens as t where t.session_id = s.id and not t.revoked)
        """,
        "a signed-up user without a session": """
            select count(*) from auth.users as u
            where u.email = any(%s) and not exists (select from auth.sessions as s where s.user_id = u.id)
        """,
    }
    for what, query in incomplete.items():
        values = [made] if "%s" in query else []
        assert (what, database.query(query, *values)) == (what, [(0,)])
