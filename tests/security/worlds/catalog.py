"""Catalog: categories, courses of three teachers with lessons and a quiz, placements and views."""

from tests.security.worlds import Builder

COURSES = {
    "draft": ("creator", 0, "draft"),
    "free": ("creator", 0, "published"),
    "paid": ("creator", 4900, "published"),
    "other": ("rival", 0, "draft"),
    "old": ("retired", 0, "draft"),
}
"""Every course, with its creator, price in cents and status."""


def build(builder: Builder) -> None:
    """Add the courses, with a lesson that everybody may read and one that needs an enrolment."""
    builder.run("insert into public.categories (slug, name) values ('one', 'One'), ('two', 'Two')")
    for name in COURSES:
        _add_course(builder, name)
    for name in ("creator", "stranger"):
        builder.run(
            "insert into public.creator_placements (creator_id, is_featured) values (%s, true)", builder.ids[name]
        )
    for name in ("free", "paid", "other"):
        builder.run(
            "insert into public.course_views (course_id, day, view_count) values (%s, '2026-11-01', 7)",
            builder.ids[name],
        )


def _add_course(builder: Builder, name: str) -> None:
    owner, price, status = COURSES[name]
    course = builder.world.add(name)
    builder.run(
        "insert into public.courses (id, creator_id, slug, title, description, price_amount, category_id)"
        " select %s, %s, %s, %s, 'About it', %s, c.id from public.categories as c where c.slug = 'one'",
        course,
        builder.ids[owner],
        name,
        f"Title of {name}",
        price,
    )
    module = builder.run("insert into public.modules (course_id, title) values (%s, 'Module') returning id", course)
    for is_intro in (True, False):
        lesson = builder.run(
            "insert into public.lessons (module_id, title, is_intro) values (%s, 'Lesson', %s) returning id",
            module,
            is_intro,
        )
        builder.run("insert into public.lesson_contents (lesson_id, body) values (%s, %s)", lesson, f"Body of {name}")
    if status == "published":
        builder.act(owner, "select public.publish_course(%s)", course)
    # A lesson without content, so that content can be moved to it.
    builder.run("insert into public.lessons (module_id, title) values (%s, 'Bare')", module)
