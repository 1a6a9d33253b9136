"""Search for users by name and handle, tolerant of accents and typos, without hidden users."""

import secrets
from collections.abc import Callable

import pytest

from tests.people import Academy, Person, concurrently, rows

SEARCH = "/rest/v1/rpc/search_users"


def word() -> str:
    """A word that is in no other name, and near none."""
    return "".join(secrets.choice("bcdfghklmnprstvz") for _ in range(14))


def named(academy: Academy, name: str, handle: str | None = None) -> Person:
    """A user with a name and an optional handle."""
    person = academy.member(name=name)
    if handle:
        academy.sql("update public.profiles set handle = %s where id = %s", handle, person.id)
    return person


def found(academy: Academy, who: Person, q: str, **query: str) -> list[str]:
    """The ids of the found users, best first."""
    answer = academy.http.get(
        SEARCH,
        params={"q": q, "select": "id", **query},
        headers={"apikey": academy.publishable_key, "authorization": f"Bearer {who.token}"},
    )
    return [row["id"] for row in rows(answer)]


@pytest.mark.route("PL-018", call="GET /rest/v1/rpc/search_users?q={words}")
@pytest.mark.route("PL-018", call="POST /rest/v1/rpc/search_users")
def test_users_search_users(academy: Academy, stranger: Person) -> None:
    rare = word()
    person = named(academy, f"Ada {rare}")
    shown = rows(academy.call(stranger, "GET", f"{SEARCH}?q={rare}&select=id,display_name,user_stats(follower_count)"))
    assert shown == [{"id": person.id, "display_name": f"Ada {rare}", "user_stats": {"follower_count": 0}}]
    assert [row["id"] for row in rows(academy.rpc(stranger, "search_users", q=rare))] == [person.id]
    assert academy.call(None, "GET", f"{SEARCH}?q={rare}").status_code == 401
    assert academy.rpc(None, "search_users", q=rare).status_code == 401
    nobody = academy.http.post(SEARCH, json={"q": rare}, headers={"apikey": academy.secret_key})
    assert nobody.status_code == 403


@pytest.fixture(scope="module")
def many(academy: Academy) -> dict[str, tuple[str, Person]]:
    """Users by what is unusual about their names, each with a rare word."""
    made = {}
    for about, name, handle in (
        ("plain", "Jonathan {}", None),
        ("accents", "José Ñúñez Łukasz {}", None),
        ("sharp s", "Weiß {}", None),
        ("composed", "Zoe\u0308 {}", None),
        ("apostrophe", "Siobhán O'{}", None),
        ("hyphen", "Jean-Luc {}", None),
        ("three", "Maria {} Lopez", None),
        ("five", "Ana Bela {} Costa Dias", None),
        ("handled", "Somebody Else", "{}_82"),
        ("cyrillic", "Анна {}", None),
        ("arabic", "أحمد الخطيب {}", None),
        ("elision", "Jeanne d'Arc {}", None),
        ("dotted", "İbrahim {}", None),
    ):
        rare = word()
        made[about] = rare, named(academy, name.format(rare), handle and handle.format(rare))
    return made


@pytest.mark.parametrize(
    ("about", "query"),
    [
        ("plain", "{}"),
        ("plain", "JONATHAN {}"),
        ("plain", "{} jona"),
        ("plain", "  {},   jonathan!"),
        ("accents", "jose nunez {}"),
        ("accents", "{} Łuk"),
        ("accents", "lukasz {}"),
        ("sharp s", "weiss {}"),
        ("sharp s", "{} Weiß"),
        ("composed", "zo\u00eb {}"),
        ("composed", "zoe {}"),
        ("apostrophe", "siobhan o{}"),
        ("apostrophe", "o\u2019{}"),
        ("hyphen", "jean luc {}"),
        ("hyphen", "{} jean-l"),
        ("three", "maria {} lop"),
        ("three", "lopez {}"),
        ("three", "{} lopez maria"),
        ("five", "dias {}"),
        ("five", "costa {} ana dias"),
        ("handled", "{}"),
        ("handled", "@{}"),
        ("handled", "{}-8"),
        ("handled", "@{}_82"),
        ("handled", "{}82"),
        ("cyrillic", "анна {}"),
        ("hyphen", "jean-luc {}"),
        ("hyphen", "jean\u2011luc {}"),
        ("hyphen", "jeanluc {}"),
        ("arabic", "خطيب {}"),
        ("arabic", "احمد {}"),
        ("arabic", "{} الخطيب"),
        ("arabic", "{} الخ"),
        ("elision", "arc {}"),
        ("elision", "{} d\u2019arc"),
        ("elision", "darc {}"),
        ("dotted", "ibrahim {}"),
        ("dotted", "İBRAHİM {}"),
        ("plain", "jona\u00adthan {}"),
        ("plain", "ｊｏｎａｔｈａｎ {}"),  # noqa: RUF001
    ],
)
def test_a_user_is_found(
    academy: Academy, stranger: Person, many: dict[str, tuple[str, Person]], about: str, query: str
) -> None:
    rare, person = many[about]
    assert found(academy, stranger, query.format(rare)) == [person.id]


def missing(text: str) -> str:
    """The word without a letter."""
    return text[:5] + text[6:]


def doubled(text: str) -> str:
    """The word with a letter twice."""
    return text[:5] + text[4:]


def wrong(text: str) -> str:
    """The word with a wrong letter."""
    return f"{text[:5]}q{text[6:]}"


def turned(text: str) -> str:
    """The word with two letters swapped."""
    return text[:5] + text[6] + text[5] + text[7:]


@pytest.mark.parametrize("slip", [missing, doubled, wrong, turned])
@pytest.mark.parametrize(
    "query", ["plain: {}", "plain: jonatan {}", "three: lopze {}", "three: maria {} lopse", "handled: @{}82"]
)
def test_a_typo_is_corrected(
    academy: Academy, stranger: Person, many: dict[str, tuple[str, Person]], query: str, slip: Callable[[str], str]
) -> None:
    about, _, words = query.partition(": ")
    rare, person = many[about]
    assert found(academy, stranger, words.format(slip(rare))) == [person.id]


def test_every_prefix_finds_the_user(academy: Academy, stranger: Person) -> None:
    rare = word()
    person = named(academy, f"Grace {rare}")
    for length in range(3, len(rare) + 1):
        assert person.id in found(academy, stranger, f"{rare[:length]}")
        assert person.id in found(academy, stranger, f"grace {rare[:length]}")
    assert found(academy, stranger, f"@{rare}") == []


def test_results_rank_handles_before_names_before_similar_spellings(academy: Academy, stranger: Person) -> None:
    rare = word()
    near = named(academy, f"Near {turned(rare)}")
    name = named(academy, f"Named {rare}")
    longer = named(academy, "Longer", f"{rare}_longer")
    same_but_marked = named(academy, "Marked", f"{rare[:3]}_{rare[3:]}")
    very = named(academy, "Very", rare)
    assert found(academy, stranger, rare)[0] == very.id
    assert set(found(academy, stranger, rare)[:2]) == {very.id, same_but_marked.id}
    assert found(academy, stranger, rare)[2:] == [longer.id, name.id, near.id]
    assert found(academy, stranger, f"@{rare[:3]}_{rare[3:]}")[0] == same_but_marked.id


@pytest.mark.parametrize("q", ["", " ", "@", "%", "_%", "\\", "'", "!!!", "\U0001f600", "a" * 10_000, "(" * 300, None])
def test_an_empty_query_finds_nobody(academy: Academy, stranger: Person, q: str | None) -> None:
    assert rows(academy.rpc(stranger, "search_users", q=q)) == []


def test_at_most_fifty_users_are_found(academy: Academy, stranger: Person) -> None:
    rare = word()
    academy.sql(
        "insert into auth.users (id, aud, role, email, email_confirmed_at, raw_user_meta_data)"
        " select gen_random_uuid(), 'authenticated', 'authenticated', n || %s, now(),"
        " jsonb_build_object('name', 'Twin of ' || %s) from generate_series(1, 60) as n",
        f"@{rare}.example",
        rare,
    )
    assert len(found(academy, stranger, rare)) == 50
    assert len(found(academy, stranger, f"twin {rare}")) == 50
    assert len(found(academy, stranger, rare, limit="7")) == 7


def hidden(academy: Academy, person: Person, how: str) -> None:
    """Hide a user from everybody."""
    academy.sql(
        {
            "private": "update public.profiles set is_public = false where id = %s",
            "banned": "update public.accounts set status = 'banned' where user_id = %s",
        }[how],
        person.id,
    )


@pytest.mark.parametrize("how", ["private", "banned"])
def test_only_moderators_find_a_hidden_user(academy: Academy, stranger: Person, moderator: Person, how: str) -> None:
    rare = word()
    person = named(academy, f"Hidden {rare}", f"{rare}_h")
    queries = (rare, f"@{rare}", f"@{rare}_h", f"hidden {rare}", turned(rare), f"{rare} hid")
    for query in queries:
        assert found(academy, stranger, query) == [person.id]
    hidden(academy, person, how)
    for query in queries:
        assert found(academy, stranger, query) == []
        assert found(academy, moderator, query) == [person.id]
    if how == "private":
        assert found(academy, person, rare) == [person.id]
    academy.suspend(moderator_no_more := academy.member("moderator"))
    assert found(academy, moderator_no_more, rare) == []
    academy.sql("update public.accounts set status = 'active' where user_id = %s", person.id)
    academy.sql("update public.profiles set is_public = true where id = %s", person.id)
    assert found(academy, stranger, rare) == [person.id]


@pytest.mark.parametrize("soft", [False, True])
def test_a_deleted_user_is_not_found_and_leaves_no_word(
    academy: Academy, stranger: Person, moderator: Person, soft: bool
) -> None:
    rare = word()
    person = named(academy, f"Gone {rare}", f"{rare}_gone")
    deleted = academy.http.request(
        "DELETE",
        f"/auth/v1/admin/users/{person.id}",
        json={"should_soft_delete": soft},
        headers={"apikey": academy.secret_key},
    )
    assert deleted.status_code == 200, deleted.text
    for who in (stranger, moderator):
        assert found(academy, who, rare) == []
    assert academy.sql("select 1 from private.search_terms where user_id = %s", person.id) == []
    assert academy.sql("select 1 from private.search_words where starts_with(word, %s)", rare) == []


def test_a_new_name_replaces_the_old_one(academy: Academy, stranger: Person) -> None:
    old, new = word(), word()
    person, namesake = named(academy, f"Ada {old}"), named(academy, f"Ida {old}")
    answer = academy.call(
        person, "PATCH", f"/rest/v1/profiles?id=eq.{person.id}", {"display_name": new, "handle": f"h_{new}"}
    )
    assert answer.status_code == 204, answer.text
    assert found(academy, stranger, new) == found(academy, stranger, f"@h-{new}") == [person.id]
    assert found(academy, stranger, old) == [namesake.id]
    assert academy.sql("select word from private.search_words where word = %s", old) == [(old,)]
    academy.sql("update public.profiles set display_name = 'Ida' where id = %s", namesake.id)
    assert academy.sql("select 1 from private.search_words where word = %s", old) == []


def test_a_word_that_is_concurrently_added_and_removed_is_kept(academy: Academy, stranger: Person) -> None:
    rare = word()
    people = [named(academy, f"First {rare}") for _ in range(3)] + [named(academy, "First Other") for _ in range(3)]

    def rename(number: int) -> list[int]:
        person = people[number]
        names = [f"First {rare}", "First Other"] if number < 3 else ["First Other", f"First {rare}"]
        return [
            academy.call(
                person, "PATCH", f"/rest/v1/profiles?id=eq.{person.id}", {"display_name": names[turn % 2]}
            ).status_code
            for turn in range(1, 7 + number % 2)
        ]

    answers = concurrently(len(people), rename)
    assert {status for some in answers for status in some} == {204}
    bearers = {
        str(row[0]) for row in academy.sql("select id from public.profiles where display_name = %s", f"First {rare}")
    }
    assert set(found(academy, stranger, rare)) == bearers
    assert set(found(academy, stranger, turned(rare))) == bearers
    wrong_words = academy.sql(
        "select w.word from private.search_terms as t cross join string_to_table(rtrim(t.term), ' ') as w (word)"
        " where not exists (select from private.search_words as s where s.word = w.word)"
    )
    assert wrong_words == []


def test_the_search_tables_equal_the_profiles(academy: Academy) -> None:
    """For all users of all tests: equal to a rebuild."""
    [(wrong_terms,)] = academy.sql(
        "with made as (select p.id, p.is_public and a.status <> 'banned', t.is_handle, t.term"
        " from public.profiles as p join public.accounts as a on a.user_id = p.id and a.status <> 'deleted'"
        " cross join private.terms_of(p.handle, p.display_name) as t),"
        " kept as (select user_id, is_listed, is_handle, term from private.search_terms)"
        " select count(*) from ((table made except table kept) union all (table kept except table made)) as d"
    )
    assert wrong_terms == 0
