"""The results of `doctor`."""

import msgspec


class Finding(msgspec.Struct, frozen=True):
    """One thing that was checked."""

    is_ok: bool
    text: str

    def line(self) -> str:
        """The finding as `doctor` prints it."""
        return f"{'ok     ' if self.is_ok else 'problem'}  {self.text}"


def ok(text: str) -> Finding:
    """What is as it should be."""
    return Finding(True, text)


def problem(text: str) -> Finding:
    """What is wrong, and how to mend it."""
    return Finding(False, text)
