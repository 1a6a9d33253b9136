"""Foundation: its tables are filled by migrations and by what the other domains do."""

from tests.security.worlds import Builder


def build(builder: Builder) -> None:
    """Add nothing."""
