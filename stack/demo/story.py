"""The story: a course from its first line to a student who teaches it on, and what nobody gets by asking."""

from uuid import uuid4

from stack.demo.stage import Actor, Stage

STRANGER = Actor(name="A stranger")


def play(stage: Stage, password: str) -> None:
    """Play it all. Each time it is another course, so that it can be played again.

    Args:
        stage: where it is played and shown.
        password: of the academy's people.

    Raises:
        StackError: a call was answered otherwise than the story needs.
    """
    _look_around(stage)
    stage.chapter("Signing in")
    ines, amara, tomas, ruth = (
        stage.sign_in(name, email, password)
        for name, email in (
            ("Ines", "teacher@example.com"),
            ("Amara", "student@example.com"),
            ("Tomás", "tomas@example.com"),
            ("Ruth", "admin@example.com"),
        )
    )
    stage.remark(f"{stage.calls} calls, and each was answered as it should be.")
