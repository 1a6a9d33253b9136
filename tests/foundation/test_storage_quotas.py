"""How much a person may store, and all people of a role together."""

import uuid
from collections import Counter
from collections.abc import Iterator

import httpx
import pytest

from tests.identity.test_verified_documents import put_link, upload_link
from tests.people import Academy, Person, concurrently

PNG = b"\x89PNG\r\n\x1a\n"
KIB = 1024


def upload(academy: Academy, who: Person, size: int, path: str | None = None, **headers: str) -> httpx.Response:
    """Upload a picture of so many bytes to the person's own folder."""
    path = path or f"{who.id}/{uuid.uuid4()}.png"
    content = PNG + bytes(size - len(PNG))
    sent = {
        "apikey": academy.publishable_key,
        "Authorization": f"Bearer {who.token}",
        "Content-Type": "image/png",
        **headers,
    }
    return academy.http.post(f"/storage/v1/object/avatars/{path}", headers=sent, content=content)


def assert_full(answer: httpx.Response) -> None:
    assert (answer.json()["statusCode"], answer.json()["code"]) == ("413", "storage_quota_exceeded"), answer.text


def stored(academy: Academy, who: Person) -> tuple[int, int]:
    """The bytes and files that count for a person."""
    rows = academy.sql("select bytes, files from private.storage_usage where user_id = %s", who.id)
    return rows[0] if rows else (0, 0)


def guest(academy: Academy) -> Person:
    """An anonymous user."""
    person = academy.member()
    academy.sql("update public.accounts set is_anonymous = true where user_id = %s", person.id)
    return person


@pytest.fixture(autouse=True)
def _small_quotas(academy: Academy) -> Iterator[None]:
    """Quotas that a test can exceed."""
    rows = academy.sql("select role, bytes, files, total_bytes from private.storage_quotas")
    academy.sql("update private.storage_quotas set bytes = 100 * 1024, files = 5")
    academy.sql("update private.storage_quotas set bytes = 20 * 1024, files = 2 where role = 'guest'")
    yield
    for role, size, files, total in rows:
        academy.sql(
            "update private.storage_quotas set bytes = %s, files = %s, total_bytes = %s where role = %s",
            size, files, total, role,
        )  # fmt: skip


def test_the_quotas_of_a_new_installation(academy: Academy) -> None:
    """Those of guests are a hundredth of a student's: anybody makes guests by the dozen."""
    defaults = dict(academy.sql("select role, total_bytes from private.storage_quotas"))
    assert set(defaults) == {"guest", "student", "teacher", "moderator", "admin", "superadmin"}
    assert defaults["guest"] <= defaults["student"] / 100


def test_a_person_stores_as_much_as_the_quota_says(academy: Academy) -> None:
    person = academy.member()
    assert upload(academy, person, 60 * KIB).status_code == 200
    assert_full(upload(academy, person, 60 * KIB))
    assert upload(academy, person, 40 * KIB).status_code == 200
    assert stored(academy, person) == (100 * KIB, 2)
    assert upload(academy, academy.member(), 60 * KIB).status_code == 200


def test_a_guest_stores_less(academy: Academy) -> None:
    person = guest(academy)
    assert_full(upload(academy, person, 30 * KIB))
    assert upload(academy, person, 1 * KIB).status_code == 200
    assert upload(academy, person, 1 * KIB).status_code == 200
    assert_full(upload(academy, person, 1 * KIB))
    # With an address the guest becomes a student, and the bytes count as a student's.
    academy.sql("update public.accounts set is_anonymous = false where user_id = %s", person.id)
    totals = "select role, used_bytes from private.storage_quotas"
    before = dict(academy.sql(totals))
    assert upload(academy, person, 30 * KIB).status_code == 200
    after = dict(academy.sql(totals))
    assert (after["guest"] - before["guest"], after["student"] - before["student"]) == (-2 * KIB, 32 * KIB)


def test_uploads_at_once_count_one_after_another(academy: Academy) -> None:
    person = academy.member()
    answers = concurrently(6, lambda _: upload(academy, person, 30 * KIB))
    assert Counter(answer.status_code for answer in answers) == {200: 3, 400: 3}
    assert stored(academy, person) == (90 * KIB, 3)


def test_deleted_and_replaced_files_give_space_back(academy: Academy) -> None:
    person = academy.member()
    path = f"{person.id}/{uuid.uuid4()}.png"
    assert upload(academy, person, 80 * KIB, path).status_code == 200
    assert upload(academy, person, 90 * KIB, path, **{"x-upsert": "true"}).status_code == 200
    assert stored(academy, person) == (90 * KIB, 1)
    assert_full(upload(academy, person, 101 * KIB, path, **{"x-upsert": "true"}))
    answer = academy.call(person, "DELETE", f"/storage/v1/object/avatars/{path}")
    assert answer.status_code == 200
    assert stored(academy, person) == (0, 0)
    assert academy.sql("select from private.storage_usage where user_id = %s", person.id) == []
    assert upload(academy, person, 100 * KIB).status_code == 200


def test_all_people_of_a_role_store_as_much_as_the_quota_says(academy: Academy) -> None:
    first, second = guest(academy), guest(academy)
    [(used,)] = academy.sql("select used_bytes from private.storage_quotas where role = 'guest'")
    academy.sql("update private.storage_quotas set total_bytes = %s where role = 'guest'", used + 25 * KIB)
    assert upload(academy, first, 15 * KIB).status_code == 200
    assert_full(upload(academy, second, 15 * KIB))
    assert upload(academy, second, 10 * KIB).status_code == 200
    assert upload(academy, academy.member(), 15 * KIB).status_code == 200


def test_an_upload_by_a_link_counts_for_its_maker(academy: Academy) -> None:
    person = academy.member()
    urls = [upload_link(academy, person, f"avatars/{person.id}/{uuid.uuid4()}.png") for _ in range(3)]
    content = PNG + bytes(45 * KIB)
    assert [put_link(academy, url, content, "image/png").status_code for url in urls] == [200, 200, 400]
    assert stored(academy, person) == (2 * len(content), 2)


def test_unfinished_uploads_in_parts_count(academy: Academy) -> None:
    """As hosted Supabase records them."""
    person = academy.member()
    assert upload(academy, person, 60 * KIB).status_code == 200
    academy.sql("create table storage.s3_multipart_uploads (id text, in_progress_size bigint, owner_id text)")
    try:
        academy.sql(
            "create trigger guildhall_ask_quota after insert or update on storage.s3_multipart_uploads "
            "for each row execute function private.tg_multipart_uploads__ask_quota()"
        )
        insert = "insert into storage.s3_multipart_uploads values (%s, %s, %s)"
        academy.sql(insert, "1", 30 * KIB, person.id)
        academy.sql(insert, "of the server", 500 * KIB, None)
        with pytest.raises(Exception, match="storage_quota_exceeded"):
            academy.sql(insert, "2", 30 * KIB, person.id)
        with pytest.raises(Exception, match="storage_quota_exceeded"):
            academy.sql("update storage.s3_multipart_uploads set in_progress_size = %s where id = '1'", 50 * KIB)
    finally:
        academy.sql("drop table storage.s3_multipart_uploads")


def test_a_recount_changes_nothing(academy: Academy) -> None:
    people = [academy.member(), academy.member("teacher"), guest(academy)]
    for person in people:
        assert upload(academy, person, 2 * KIB).status_code == 200
    ids = [person.id for person in people]
    counts = "select * from private.storage_usage where user_id = any(%s::uuid[]) order by user_id"
    before = academy.sql(counts, ids)
    academy.sql("update private.storage_usage set bytes = 1 where user_id = any(%s::uuid[])", ids)
    academy.sql("select private.recount_stored()")
    assert academy.sql(counts, ids) == before
