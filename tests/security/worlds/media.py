"""Media: a preview and another file in the creator's course `free`, captions, a file of a profile, and open uploads."""

from tests.security.worlds import Builder


def build(builder: Builder) -> None:
    """Add files of several people."""
    lessons = "(select l.id from public.lessons as l where l.course_id = %s order by l.position desc limit 1)"
    for name, is_preview in (("preview.mp3", True), ("song.mp3", False)):
        media_id = _ready(builder, "creator", name, "audio/mpeg", "lesson")
        builder.act(
            "creator",
            f"select public.add_lesson_media({lessons}, %s, null, %s)",
            builder.ids["free"],
            media_id,
            is_preview,
        )
    captions = _ready(builder, "creator", "song.vtt", "text/vtt", "lesson")
    builder.act(
        "creator",
        "select public.add_media_captions(m.id, %s, 'en') from public.lesson_media as m"
        " where m.course_id = %s and m.position = 2",
        captions,
        builder.ids["free"],
    )
    for teacher in ("creator", "rival"):
        media_id = _ready(builder, teacher, "me.mp3", "audio/mpeg", "profile")
        builder.act(teacher, "insert into public.profile_media (media_id) values (%s)", media_id)
    for person in ("student", "stranger"):
        media_id = _reserve(builder, person, "mine.png", "image/png", "upload")
        builder.run("insert into private.media_checks (media_id, clean_path) values (%s, %s)", media_id, f"{person}/x")
        builder.run(
            "insert into private.media_links (token_hash, media_id, user_id, purpose, storage_url, expires_at)"
            " values (sha256(%s::text::bytea), %s, %s, 'play', '/x', now() + interval '1 hour')",
            person, media_id, builder.ids[person],
        )  # fmt: skip


def _reserve(builder: Builder, who: str, name: str, mime_type: str, purpose: str) -> str:
    made: str = builder.act(
        who,
        "select (public.reserve_media(%s, %s, 100, %s::public.media_purpose)).id::text",
        name,
        mime_type,
        purpose,
    )
    return made


def _ready(builder: Builder, who: str, name: str, mime_type: str, purpose: str) -> str:
    media_id = _reserve(builder, who, name, mime_type, purpose)
    builder.run("update public.media_objects set status = 'uploaded' where id = %s", media_id)
    builder.run(
        "update public.media_objects set status = 'ready', sha256 = repeat('0', 64), ready_at = now() where id = %s",
        media_id,
    )
    return media_id
