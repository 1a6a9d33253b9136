"""Workspaces: members see each other, strangers see nothing, and there is always an owner."""

import uuid
from typing import Any

import httpx
import psycopg
import pytest
from psycopg.types.json import Jsonb

from tests.people import Academy, Person, concurrently, refused, rows

SHOWN = {"prefer": "return=representation"}
EMBED = "select=*,workspace_members!inner(user_id,role)"


def create(academy: Academy, creator: Person, /, **members: Person) -> str:
    """A workspace of its creator, with members by role (`admin`, `member`, `member2`); its id."""
    made = academy.rpc(creator, "create_workspace", name="Kiln & Co.")
    assert made.status_code == 200, made.text
    workspace: str = made.json()["id"]
    for role, person in members.items():
        assert add(academy, creator, workspace, person, role.rstrip("2")).status_code == 200
    return workspace


def add(academy: Academy, who: Person | None, workspace: str, person: Person, role: str = "member") -> httpx.Response:
    """Call add_workspace_member."""
    return academy.rpc(who, "add_workspace_member", workspace_id=workspace, user_id=person.id, role=role)


def update(academy: Academy, who: Person | None, workspace: str, person: Person, role: str) -> httpx.Response:
    """Call update_workspace_member."""
    return academy.rpc(who, "update_workspace_member", workspace_id=workspace, user_id=person.id, role=role)


def remove(academy: Academy, who: Person | None, workspace: str, person: Person) -> httpx.Response:
    """Call remove_workspace_member."""
    return academy.rpc(who, "remove_workspace_member", workspace_id=workspace, user_id=person.id)


def roles(academy: Academy, workspace: str) -> dict[str, str]:
    """The members and their roles."""
    return dict(
        academy.sql("select user_id::text, role::text from public.workspace_members where workspace_id = %s", workspace)
    )


@pytest.fixture
def owner(academy: Academy) -> Person:
    """A user who creates workspaces."""
    return academy.member()


@pytest.mark.route("GS-038", call="POST /rest/v1/rpc/create_workspace")
def test_the_creator_of_a_workspace_owns_it(academy: Academy, owner: Person) -> None:
    assert academy.rpc(None, "create_workspace", name="Kiln").status_code == 401
    made = academy.rpc(owner, "create_workspace", name="Kilnhaus Übersee").json()
    assert (made["name"], made["created_by"]) == ("Kilnhaus Übersee", owner.id)
    assert made["slug"].startswith("kilnhaus-ubersee-")
    assert roles(academy, made["id"]) == {owner.id: "owner"}
    again = academy.rpc(owner, "create_workspace", name="Kilnhaus Übersee").json()
    assert again["slug"] != made["slug"]


@pytest.mark.parametrize("name", ["", "  ", "x" * 121, None])
def test_a_workspace_needs_a_name(academy: Academy, owner: Person, name: str | None) -> None:
    assert academy.rpc(owner, "create_workspace", name=name).status_code == 400


@pytest.mark.route("GS-037", call="GET /rest/v1/workspaces")
@pytest.mark.route("GS-039", call="GET /rest/v1/workspaces?id=eq.{id}")
@pytest.mark.route("GS-045", call="GET /rest/v1/workspace_members?workspace_id=eq.{id}&select")
def test_members_see_the_workspace_and_each_other(
    academy: Academy, owner: Person, stranger: Person, moderator: Person
) -> None:
    member = academy.member(name="Mina")
    workspace = create(academy, owner, member=member)
    everything = "/rest/v1/workspaces"
    one = f"/rest/v1/workspaces?id=eq.{workspace}"
    users = f"/rest/v1/workspace_members?workspace_id=eq.{workspace}&select=role,profiles(id,display_name)&order=role"
    for person in (owner, member):
        assert [row["id"] for row in rows(academy.call(person, "GET", everything))] == [workspace]
        assert [row["id"] for row in rows(academy.call(person, "GET", one))] == [workspace]
        shown = rows(academy.call(person, "GET", users))
        assert [(row["role"], row["profiles"]["id"]) for row in shown] == [("member", member.id), ("owner", owner.id)]
        assert shown[0]["profiles"]["display_name"] == "Mina"
    for other in (stranger, moderator):
        assert rows(academy.call(other, "GET", everything)) == []
        assert rows(academy.call(other, "GET", one)) == []
        assert rows(academy.call(other, "GET", users)) == []
    for path in (everything, one, users):
        assert academy.call(None, "GET", path).status_code == 401


@pytest.mark.route("GS-083", call="GET /rest/v1/workspaces?select={embed}&workspace_members.user_id=eq.{id}")
def test_a_users_workspaces(academy: Academy, owner: Person, stranger: Person) -> None:
    """Users see all of their own workspaces, and those of another that they share."""
    member = academy.member()
    shared, own = create(academy, owner, member=member), create(academy, owner)

    def of(person: Person, asked_by: Person) -> set[str]:
        path = f"/rest/v1/workspaces?{EMBED}&workspace_members.user_id=eq.{person.id}"
        found = rows(academy.call(asked_by, "GET", path))
        assert all([member["user_id"] for member in row["workspace_members"]] == [person.id] for row in found)
        return {row["id"] for row in found}

    assert of(owner, owner) == {shared, own}
    assert of(member, member) == {shared}
    assert of(owner, member) == {shared}
    assert of(owner, stranger) == set()
    assert academy.call(None, "GET", f"/rest/v1/workspaces?{EMBED}").status_code == 401


@pytest.mark.route("GS-040", call="PATCH /rest/v1/workspaces?id=eq.{id}")
def test_admins_rename_a_workspace(academy: Academy, owner: Person, stranger: Person) -> None:
    admin, member = academy.member(), academy.member()
    workspace = create(academy, owner, admin=admin, member=member)
    path = f"/rest/v1/workspaces?id=eq.{workspace}"
    for person in (member, stranger):
        assert rows(academy.call(person, "PATCH", path, {"name": "Mine"}, **SHOWN)) == []
    for person in (admin, owner):
        name = uuid.uuid4().hex
        assert rows(academy.call(person, "PATCH", path, {"name": name}, **SHOWN))[0]["name"] == name
    for column, value in {"slug": "kiln", "created_by": admin.id, "id": str(uuid.uuid4())}.items():
        assert academy.call(owner, "PATCH", path, {column: value}).status_code == 403
    academy.suspend(admin)
    assert rows(academy.call(admin, "PATCH", path, {"name": "Mine"}, **SHOWN)) == []
    assert [row["name"] for row in rows(academy.call(admin, "GET", path))] == [name]


@pytest.mark.route("GS-041", call="DELETE /rest/v1/workspaces?id=eq.{id}")
def test_owners_delete_a_workspace(academy: Academy, owner: Person, stranger: Person) -> None:
    admin = academy.member()
    workspace = create(academy, owner, admin=admin)
    path = f"/rest/v1/workspaces?id=eq.{workspace}"
    for person in (admin, stranger):
        assert rows(academy.call(person, "DELETE", path, **SHOWN)) == []
    assert len(rows(academy.call(owner, "DELETE", path, **SHOWN))) == 1
    assert roles(academy, workspace) == {}


@pytest.mark.route("GS-042", call="POST /rest/v1/rpc/add_workspace_member")
def test_admins_add_members_and_owners_add_anybody(academy: Academy, owner: Person, stranger: Person) -> None:
    admin, member = academy.member(), academy.member()
    workspace = create(academy, owner, admin=admin)
    new = [academy.member() for _ in range(3)]
    assert add(academy, None, workspace, new[0]).status_code == 401
    refused(add(academy, stranger, workspace, stranger, "owner"), 404, "workspace_not_found")
    refused(add(academy, stranger, str(uuid.uuid4()), stranger), 404, "workspace_not_found")
    refused(add(academy, admin, workspace, new[0], "admin"), 403, "workspace_role_required")
    assert add(academy, admin, workspace, member).json()["role"] == "member"
    refused(add(academy, member, workspace, new[0]), 403, "workspace_role_required")
    refused(add(academy, admin, workspace, member), 409, "already_member")
    for person, role in zip(new, ("owner", "admin", "member"), strict=True):
        assert add(academy, owner, workspace, person, role).json()["role"] == role


def test_a_hidden_user_cannot_be_added(academy: Academy, owner: Person) -> None:
    workspace = create(academy, owner)
    hidden, gone = academy.member(), academy.member()
    academy.sql("update public.profiles set is_public = false where id = %s", hidden.id)
    academy.sql("delete from auth.users where id = %s", gone.id)
    nobody = Person(id=str(uuid.uuid4()), email="", token="")
    answers = {add(academy, owner, workspace, person).text for person in (hidden, gone, nobody)}
    assert len(answers) == 1
    refused(add(academy, owner, workspace, hidden), 404, "user_not_found")


@pytest.mark.route("GS-043", call="POST /rest/v1/rpc/update_workspace_member")
def test_only_owners_appoint_admins_and_owners(academy: Academy, owner: Person, stranger: Person) -> None:
    admin, member = academy.member(), academy.member()
    workspace = create(academy, owner, admin=admin, member=member)
    for person, role in ((member, "admin"), (member, "owner"), (admin, "owner"), (admin, "member"), (owner, "member")):
        refused(update(academy, admin, workspace, person, role), 403, "workspace_role_required")
    refused(update(academy, member, workspace, member, "owner"), 403, "workspace_role_required")
    refused(update(academy, stranger, workspace, member, "admin"), 404, "workspace_not_found")
    refused(update(academy, owner, workspace, stranger, "admin"), 404, "member_not_found")
    assert update(academy, admin, workspace, member, "member").status_code == 200
    assert (
        academy.rpc(owner, "update_workspace_member", workspace_id=workspace, user_id=member.id, role=None).status_code
        == 400
    )
    assert update(academy, owner, workspace, member, "owner").json()["role"] == "owner"
    assert update(academy, member, workspace, owner, "admin").json()["role"] == "admin"
    assert roles(academy, workspace) == {owner.id: "admin", admin.id: "admin", member.id: "owner"}


@pytest.mark.route("GS-044", call="POST /rest/v1/rpc/remove_workspace_member")
def test_admins_remove_members_and_owners_anybody(academy: Academy, owner: Person, stranger: Person) -> None:
    admin, other, member = academy.member(), academy.member(), academy.member()
    workspace = create(academy, owner, admin=admin, admin2=other, member=member)
    refused(remove(academy, member, workspace, admin), 403, "workspace_role_required")
    refused(remove(academy, admin, workspace, other), 403, "workspace_role_required")
    refused(remove(academy, admin, workspace, owner), 403, "workspace_role_required")
    refused(remove(academy, stranger, workspace, member), 404, "workspace_not_found")
    assert remove(academy, None, workspace, member).status_code == 401
    assert remove(academy, admin, workspace, member).status_code == 204
    refused(remove(academy, owner, workspace, member), 404, "member_not_found")
    assert remove(academy, owner, workspace, other).status_code == 204
    assert remove(academy, admin, workspace, admin).status_code == 204
    assert roles(academy, workspace) == {owner.id: "owner"}
    assert rows(academy.call(admin, "GET", f"/rest/v1/workspaces?id=eq.{workspace}")) == []


def test_the_last_owner_stays(academy: Academy, owner: Person) -> None:
    workspace = create(academy, owner, admin=academy.member())
    refused(remove(academy, owner, workspace, owner), 409, "last_owner")
    refused(update(academy, owner, workspace, owner, "admin"), 409, "last_owner")
    assert update(academy, owner, workspace, owner, "owner").status_code == 200


def test_clients_do_not_write_members(academy: Academy, owner: Person) -> None:
    member = academy.member()
    workspace = create(academy, owner, member=member)
    table = "/rest/v1/workspace_members"
    row = {"workspace_id": workspace, "user_id": academy.member().id, "role": "owner"}
    for person in (owner, member):
        assert academy.call(person, "POST", table, row).status_code == 403
        assert academy.call(person, "PATCH", f"{table}?user_id=eq.{member.id}", {"role": "owner"}).status_code == 403
        assert academy.call(person, "DELETE", f"{table}?user_id=eq.{owner.id}").status_code == 403
        assert academy.call(person, "POST", "/rest/v1/workspaces", {"name": "X", "slug": "x"}).status_code == 403


@pytest.mark.parametrize("way", ["demote", "remove", "leave", "demote and leave"])
def test_of_two_owners_who_leave_at_once_one_stays(academy: Academy, way: str) -> None:
    for _ in range(8):
        owners = [academy.member(), academy.member()]
        workspace = create(academy, owners[0], owner=owners[1])

        def go(number: int, owners: list[Person] = owners, workspace: str = workspace) -> httpx.Response:
            me, other = owners[number], owners[1 - number]
            if way == "demote" or (way == "demote and leave" and number == 0):
                return update(academy, me, workspace, other if way == "demote" else me, "member")
            return remove(academy, me, workspace, other if way == "remove" else me)

        answers = concurrently(2, go)
        assert sum(answer.is_success for answer in answers) == 1, [answer.text for answer in answers]
        (error,) = (answer.json()["message"] for answer in answers if answer.is_error)
        assert error in {"last_owner", "workspace_role_required", "workspace_not_found"}
        assert list(roles(academy, workspace).values()).count("owner") == 1


@pytest.mark.parametrize("soft", [False, True], ids=["hard", "soft"])
def test_a_deleted_account_leaves_an_owner_behind(academy: Academy, soft: bool) -> None:
    owner, admin, late, member = (academy.member() for _ in range(4))
    alone, old, shared = create(academy, owner), create(academy, owner, member=member), create(academy, owner)
    for person, role in ((member, "member"), (admin, "admin"), (late, "admin")):
        add(academy, owner, shared, person, role)
    both = create(academy, owner, owner=late)
    statement = (
        "update auth.users set deleted_at = now() where id = %s" if soft else "delete from auth.users where id = %s"
    )
    academy.sql(statement, owner.id)
    assert roles(academy, alone) == {}
    assert academy.sql("select from public.workspaces where id = %s", alone) == []
    assert roles(academy, old) == {member.id: "owner"}
    assert roles(academy, shared) == {member.id: "member", admin.id: "owner", late.id: "admin"}
    assert roles(academy, both) == {late.id: "owner"}


def test_owners_who_delete_their_accounts_at_once_leave_an_owner_or_nothing(academy: Academy) -> None:
    for _ in range(5):
        owner, heir, member = (academy.member() for _ in range(3))
        both = [create(academy, owner, owner=heir, member=member), create(academy, heir, owner=owner)]
        people = [owner, heir]

        def go(number: int, people: list[Person] = people) -> Any:
            return academy.sql("delete from auth.users where id = %s", people[number].id)

        concurrently(2, go)
        assert roles(academy, both[0]) == {member.id: "owner"}
        assert academy.sql("select from public.workspaces where id = %s", both[1]) == []


def test_reads_use_indexes(db: psycopg.Connection) -> None:
    """Of 20,000 workspaces with 60,000 members, the caller's few are found without looking at the others."""
    db.execute(
        "insert into auth.users (id, aud, role, email) select gen_random_uuid(), 'authenticated', 'authenticated',"
        " 'w' || n || '@example.com' from generate_series(1, 300) as n;"
        " insert into public.workspaces (name, slug) select 'W', 'w-' || n from generate_series(1, 20000) as n;"
        " insert into public.workspace_members (workspace_id, user_id)"
        " select w.id, u.id from (select id, row_number() over () as n from public.workspaces where slug ~ '^w-') as w"
        " join (select id, row_number() over () as n from auth.users where email ~ '^w[0-9]+@') as u"
        " on (w.n + u.n) % 100 = 0;"
        " analyze public.workspaces, public.workspace_members"
    )
    row = db.execute("select user_id::text from public.workspace_members limit 1").fetchone()
    assert row is not None
    claims = Jsonb({"sub": row[0], "role": "authenticated"})
    db.execute("select set_config('request.jwt.claims', %s::jsonb::text, true)", [claims])
    db.execute("set local role authenticated")
    for query in (
        "select * from public.workspaces",
        "select * from public.workspace_members",
        "select w.* from public.workspaces as w where exists (select from public.workspace_members as m"
        " where m.workspace_id = w.id and m.user_id = (select auth.uid()))",
        "update public.workspaces set name = 'X'",
    ):
        plan = "\n".join(line for (line,) in db.execute(f"explain (analyze) {query}".encode()))
        assert "Seq Scan" not in plan, plan


def test_a_banned_owner_is_no_owner_to_rely_on(academy: Academy, owner: Person) -> None:
    admin, heir, member = academy.member("admin"), academy.member(), academy.member()
    workspace = create(academy, owner, admin=heir, member=member)
    assert academy.rpc(admin, "set_account_status", user_id=owner.id, status="banned").status_code == 204
    assert roles(academy, workspace) == {owner.id: "owner", heir.id: "owner", member.id: "member"}
    # The heir is the only owner who can act.
    refused(remove(academy, heir, workspace, heir), 409, "last_owner")
    refused(update(academy, heir, workspace, heir, "admin"), 409, "last_owner")
    assert academy.rpc(admin, "set_account_status", user_id=owner.id, status="active").status_code == 204
    assert remove(academy, heir, workspace, heir).status_code == 204
    assert roles(academy, workspace) == {owner.id: "owner", member.id: "member"}


def test_a_workspace_passes_to_somebody_with_an_active_account(academy: Academy, owner: Person) -> None:
    admin, banned, member = academy.member("admin"), academy.member(), academy.member()
    workspace = create(academy, owner, admin=banned, member=member)
    assert academy.rpc(admin, "set_account_status", user_id=banned.id, status="banned").status_code == 204
    assert academy.rpc(owner, "delete_account").status_code == 204
    assert roles(academy, workspace) == {banned.id: "admin", member.id: "owner"}
