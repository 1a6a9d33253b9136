"""Follows: members follow public profiles, everybody sees it, and either user ends it."""

import uuid

import psycopg
import pytest

from tests.people import Academy, Person, concurrently, rows

SHOWN = {"prefer": "return=representation"}
FOLLOWS = "/rest/v1/follows"


def hide(academy: Academy, person: Person) -> None:
    """Make a profile private, as its owner."""
    answer = academy.call(person, "PATCH", f"/rest/v1/profiles?id=eq.{person.id}", {"is_public": False})
    assert answer.status_code == 204, answer.text


def follow(academy: Academy, follower: Person, followee: Person) -> None:
    """Follow a user."""
    answer = academy.call(follower, "POST", FOLLOWS, {"followee_id": followee.id})
    assert answer.status_code == 201, answer.text


def counts(academy: Academy, person: Person) -> tuple[int, int]:
    """The counts of followers and followees of a user, which must equal counting anew."""
    [figures] = academy.sql(
        "select s.follower_count, s.following_count,"
        " (select count(*) from public.follows where followee_id = s.user_id),"
        " (select count(*) from public.follows where follower_id = s.user_id)"
        " from public.user_stats as s where s.user_id = %s",
        person.id,
    )
    assert figures[:2] == figures[2:]
    followers, following, *_ = figures
    return followers, following


@pytest.mark.route("PL-016", call="POST /rest/v1/follows")
@pytest.mark.route("PL-017", call="DELETE /rest/v1/follows?follower_id=eq.{user_id}&followee_id=eq.{user_id}")
def test_a_user_follows_and_unfollows(academy: Academy, stranger: Person) -> None:
    fan, star = academy.member(), academy.member()
    assert academy.call(None, "POST", FOLLOWS, {"followee_id": star.id}).status_code == 401
    (made,) = rows(academy.call(fan, "POST", FOLLOWS, {"followee_id": star.id}, **SHOWN))
    assert (made["follower_id"], made["followee_id"]) == (fan.id, star.id)
    assert (counts(academy, star), counts(academy, fan)) == ((1, 0), (0, 1))

    again = academy.call(fan, "POST", FOLLOWS, {"followee_id": star.id})
    assert (again.status_code, again.json()["code"]) == (409, "23505"), again.text
    once = academy.call(fan, "POST", FOLLOWS, {"followee_id": star.id}, prefer="resolution=ignore-duplicates")
    assert once.status_code == 201, once.text
    assert counts(academy, star) == (1, 0)

    one = f"{FOLLOWS}?follower_id=eq.{fan.id}&followee_id=eq.{star.id}"
    assert rows(academy.call(stranger, "DELETE", one, **SHOWN)) == []
    assert academy.call(None, "DELETE", one).status_code == 401
    assert len(rows(academy.call(fan, "DELETE", one, **SHOWN))) == 1
    assert (counts(academy, star), counts(academy, fan)) == ((0, 0), (0, 0))


def test_a_user_removes_a_follower(academy: Academy) -> None:
    fan, star = academy.member(), academy.member()
    follow(academy, fan, star)
    one = f"{FOLLOWS}?follower_id=eq.{fan.id}&followee_id=eq.{star.id}"
    assert len(rows(academy.call(star, "DELETE", one, **SHOWN))) == 1
    assert counts(academy, fan) == (0, 0)


def test_users_follow_only_as_themselves_and_not_themselves(academy: Academy, stranger: Person) -> None:
    star = academy.member()
    forged = academy.call(stranger, "POST", FOLLOWS, {"follower_id": star.id, "followee_id": academy.member().id})
    assert (forged.status_code, forged.json()["code"]) == (403, "42501"), forged.text
    own = academy.call(stranger, "POST", FOLLOWS, {"followee_id": stranger.id})
    assert (own.status_code, own.json()["code"]) == (400, "23514"), own.text
    assert "follows_self_check" in own.json()["message"]
    for column in ("follower_is_public", "followee_is_public", "created_at"):
        answer = academy.call(stranger, "POST", FOLLOWS, {"followee_id": star.id, column: None})
        assert (answer.status_code, answer.json()["code"]) == (403, "42501"), answer.text


def test_hidden_and_missing_users_cannot_be_followed(academy: Academy, stranger: Person) -> None:
    hermit = academy.member()
    hide(academy, hermit)
    answers = [
        academy.call(stranger, "POST", FOLLOWS, {"followee_id": followee})
        for followee in (hermit.id, str(uuid.uuid4()))
    ]
    assert answers[0].text == answers[1].text
    assert (answers[0].status_code, answers[0].json()["code"]) == (403, "42501")


def test_suspended_and_anonymous_users_do_not_follow(academy: Academy) -> None:
    star, suspended = academy.member(), academy.member()
    follow(academy, suspended, star)
    academy.suspend(suspended)
    guest = academy.member()
    academy.sql("update auth.users set is_anonymous = true where id = %s", guest.id)
    for who in (suspended, guest):
        answer = academy.call(who, "POST", FOLLOWS, {"followee_id": academy.member().id})
        assert (answer.status_code, answer.json()["code"]) == (403, "42501"), answer.text
    assert rows(academy.call(suspended, "DELETE", f"{FOLLOWS}?follower_id=eq.{suspended.id}", **SHOWN)) == []


PERSON = "handle,display_name,avatar_path"


@pytest.mark.route(
    "PL-013",
    call="GET /rest/v1/follows?followee_id=eq.{user_id}&select={columns}&order=created_at.desc",
    public=True,
)
@pytest.mark.route(
    "PL-014",
    call="GET /rest/v1/follows?follower_id=eq.{user_id}&select={columns}&order=created_at.desc",
    public=True,
)
def test_everybody_reads_follows_newest_first(academy: Academy, stranger: Person) -> None:
    star, *fans = (academy.member(name=name) for name in ("Star", "First", "Second"))
    for fan in fans:
        follow(academy, fan, star)
    followers = (
        f"{FOLLOWS}?followee_id=eq.{star.id}&select=created_at,follower:profiles!follows_follower_id_fkey({PERSON})"
    )
    for who in (None, stranger, star):
        shown = rows(academy.call(who, "GET", f"{followers}&order=created_at.desc"))
        assert [row["follower"]["display_name"] for row in shown] == ["Second", "First"]
    following = (
        f"{FOLLOWS}?follower_id=eq.{fans[0].id}"
        f"&select=created_at,followee:profiles!follows_followee_id_fkey({PERSON})&order=created_at.desc"
    )
    (shown_one,) = rows(academy.call(None, "GET", following))
    assert shown_one["followee"]["display_name"] == "Star"
    [(handle,)] = academy.sql("select handle from public.profiles where id = %s", star.id)
    by_handle = (
        f"{FOLLOWS}?select=follower:profiles!follows_follower_id_fkey(display_name),"
        f"followee:profiles!follows_followee_id_fkey!inner(handle)&followee.handle=eq.{handle}"
    )
    assert len(rows(academy.call(None, "GET", by_handle))) == 2


@pytest.mark.route("PL-015", call="GET /rest/v1/follows?follower_id=eq.{user_id}&followee_id=eq.{user_id}")
def test_a_user_asks_whether_they_follow_another(academy: Academy, stranger: Person) -> None:
    fan, star, other = academy.member(), academy.member(), academy.member()
    follow(academy, fan, star)
    hide(academy, fan)  # so that it is the fan's to know, and the star's
    one = f"{FOLLOWS}?follower_id=eq.{fan.id}&followee_id=eq.{star.id}"
    assert len(rows(academy.call(fan, "GET", one))) == 1
    assert len(rows(academy.call(star, "GET", one))) == 1
    assert rows(academy.call(fan, "GET", f"{FOLLOWS}?follower_id=eq.{fan.id}&followee_id=eq.{other.id}")) == []
    assert rows(academy.call(stranger, "GET", one)) == []


@pytest.mark.parametrize("hidden", ["follower", "followee"])
def test_going_private_hides_at_once(academy: Academy, stranger: Person, moderator: Person, hidden: str) -> None:
    people = {"follower": academy.member(), "followee": academy.member()}
    follow(academy, people["follower"], people["followee"])
    paths = [
        f"{FOLLOWS}?{side}_id=eq.{person.id}&select=*,met:profiles!follows_{other}_id_fkey(*)"
        for side, other, person in (
            ("follower", "followee", people["follower"]), ("followee", "follower", people["followee"]),
        )
    ]  # fmt: skip
    for path in paths:
        assert len(rows(academy.call(None, "GET", path))) == 1
    hide(academy, people[hidden])
    for path in paths:
        for who in (None, stranger):
            answer = academy.call(who, "GET", path, prefer="count=exact")
            assert (rows(answer), answer.headers["content-range"]) == ([], "*/0")
        assert len(rows(academy.call(moderator, "GET", path))) == 1
    # The other user sees the row, and nothing of the profile.
    other = "follower" if hidden == "followee" else "followee"
    (row,) = rows(
        academy.call(
            people[other],
            "GET",
            f"{FOLLOWS}?{other}_id=eq.{people[other].id}&select=*,met:profiles!follows_{hidden}_id_fkey(*)",
        )
    )
    assert row["met"] is None
    academy.sql("update public.profiles set is_public = true where id = %s", people[hidden].id)
    for path in paths:
        assert len(rows(academy.call(stranger, "GET", path))) == 1


@pytest.mark.parametrize("soft", [False, True])
def test_a_deleted_account_has_no_follows(academy: Academy, soft: bool) -> None:
    gone, fan, star = academy.member(), academy.member(), academy.member()
    follow(academy, fan, gone)
    follow(academy, gone, star)
    deleted = academy.http.request(
        "DELETE",
        f"/auth/v1/admin/users/{gone.id}",
        json={"should_soft_delete": soft},
        headers={"apikey": academy.secret_key},
    )
    assert deleted.status_code == 200, deleted.text
    assert [counts(academy, person) for person in (gone, fan, star)] == [(0, 0)] * 3


def test_people_who_follow_each_other_at_once_are_counted(academy: Academy) -> None:
    """All users follow each other concurrently, and then half of them unfollow."""
    people = [academy.member() for _ in range(6)]
    pairs = [(one, other) for one in people for other in people if one is not other]

    def change(number: int) -> list[int]:
        follower, followee = pairs[number]
        made = academy.call(follower, "POST", FOLLOWS, {"followee_id": followee.id}).status_code
        if number % 2:
            return [made]
        one = f"{FOLLOWS}?follower_id=eq.{follower.id}&followee_id=eq.{followee.id}"
        return [made, academy.call(follower, "DELETE", one).status_code]

    answers = concurrently(len(pairs), change)
    assert answers == [[201] if number % 2 else [201, 204] for number in range(len(pairs))]
    left = [pair for number, pair in enumerate(pairs) if number % 2]
    for person in people:
        expected = (sum(other is person for _, other in left), sum(one is person for one, _ in left))
        assert counts(academy, person) == expected


def test_people_who_follow_each_other_hide_and_leave_at_once(academy: Academy, admin_db_url: str) -> None:
    """Rows are locked in one order: no deadlock occurs, and the counts are right."""
    people = [academy.member() for _ in range(6)]
    for one in people:
        for other in people:
            if one is not other:
                follow(academy, one, other)

    def change(number: int) -> str | None:
        person = people[number % len(people)]
        with psycopg.connect(admin_db_url, autocommit=True) as connection:
            try:
                for turn in range(8):
                    if number < len(people):
                        connection.execute(
                            "update public.profiles set is_public = %s where id = %s", [turn % 2 == 1, person.id]
                        )
                    else:
                        other = people[(number + 1 + turn % 5) % len(people)]
                        connection.execute(
                            "delete from public.follows where follower_id = %s and followee_id = %s",
                            [person.id, other.id],
                        )
                        connection.execute(
                            "insert into public.follows (follower_id, followee_id)"
                            " values (%s, %s) on conflict do nothing",
                            [person.id, other.id],
                        )
                if number == 0:
                    connection.execute("delete from auth.users where id = %s", [person.id])
            except psycopg.Error as error:
                return f"{error.sqlstate}: {error}"
        return None

    assert [problem for problem in concurrently(2 * len(people), change) if problem] == []
    for person in people:
        counts(academy, person)
    wrong = academy.sql(
        "select f.follower_id from public.follows as f"
        " join public.profiles as a on a.id = f.follower_id join public.profiles as b on b.id = f.followee_id"
        " where (f.follower_is_public, f.followee_is_public) is distinct from (a.is_public, b.is_public)"
    )
    assert wrong == []
