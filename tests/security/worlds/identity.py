"""Identity: people, their roles and profiles, follows, a workspace, applications to teach, a suspension."""

from psycopg.types.json import Jsonb

from tests.security.worlds import Builder

PEOPLE = {
    "creator": ("teacher",),
    "rival": ("teacher",),
    "retired": ("teacher",),
    "student": (),
    "stranger": (),
    "suspended": ("teacher",),
    "moderator": ("moderator",),
    "admin": ("admin",),
    "superadmin": ("superadmin",),
}
"""Everybody, with their roles. An admin later takes the role from `retired`, and a moderator suspends `suspended`. The
profile of `stranger` is not public."""


def build(builder: Builder) -> None:
    """Add the people and everything that is theirs alone."""
    for name, roles in PEOPLE.items():
        _add_person(builder, name, roles)
    for name in ("creator", "student", "stranger", "suspended"):
        _describe(builder, name)
    for follower, followee in (
        ("student", "creator"), ("student", "stranger"), ("stranger", "creator"), ("suspended", "rival"),
    ):  # fmt: skip
        builder.run(
            "insert into public.follows (follower_id, followee_id) values (%s, %s)",
            builder.ids[follower],
            builder.ids[followee],
        )
    builder.run("update public.profiles set is_public = false where id = %s", builder.ids["stranger"])
    for person in ("student", "stranger"):
        builder.act(person, "insert into public.notification_preferences (topic, by_email) values ('learning', false)")
    _add_workspace(builder)
    builder.act("admin", "select public.grant_role(%s, 'teacher')", builder.ids["rival"])
    builder.act("admin", "select public.grant_role(%s, 'moderator')", builder.ids["stranger"])
    builder.act("admin", "select public.revoke_role(%s, 'moderator')", builder.ids["stranger"])
    for name in ("student", "stranger"):
        _sign_in(builder, name)
        builder.act(name, "select public.apply_to_teach('To pass it on')")


def conclude(builder: Builder) -> None:
    """Take the role from the retired teacher and suspend a student, after both have acted."""
    builder.act("admin", "select public.revoke_role(%s, 'teacher')", builder.ids["retired"])
    builder.act("moderator", "select public.set_account_status(%s, 'suspended')", builder.ids["suspended"])


def _add_person(builder: Builder, name: str, roles: tuple[str, ...]) -> None:
    user_id = builder.world.add(name)
    builder.run(
        "insert into auth.users (id, aud, role, email, email_confirmed_at, raw_user_meta_data)"
        " values (%s, 'authenticated', 'authenticated', %s, now(), %s)",
        user_id,
        f"{name}@secret.example",
        Jsonb({"display_name": f"Name of {name}"}),
    )
    builder.run(
        "insert into public.user_roles (user_id, role) select %s, unnest(%s::public.app_role[])", user_id, list(roles)
    )


def _describe(builder: Builder, name: str) -> None:
    builder.run("insert into public.user_qualifications (user_id, title) values (%s, 'Skilled')", builder.ids[name])
    builder.run("insert into public.user_expertise (user_id, topic) values (%s, 'clay')", builder.ids[name])


def _add_workspace(builder: Builder) -> None:
    """A workspace of the creator: the rival is its admin, the student and the suspended student are members."""
    workspace = builder.act("creator", "select w.id from public.create_workspace('Kiln') as w")
    for person, role in (("rival", "admin"), ("student", "member"), ("suspended", "member")):
        builder.act("creator", "select public.add_workspace_member(%s, %s, %s)", workspace, builder.ids[person], role)


def _sign_in(builder: Builder, name: str) -> None:
    """A session, and an attempt with a wrong password."""
    builder.run("insert into auth.sessions (id, user_id) values (gen_random_uuid(), %s)", builder.ids[name])
    builder.run(
        "select private.password_verification_attempt(jsonb_build_object('user_id', %s::text, 'valid', false))",
        builder.ids[name],
    )
