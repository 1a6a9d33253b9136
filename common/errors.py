"""The two ways in which work at a provider, a mail server or another part fails: for good, or for a time."""


class PermanentError(Exception):
    """It will never succeed, so nothing tries it again. The message names the cause, without personal data."""

    def __init__(self, message: str, code: str | None = None, field: str | None = None) -> None:
        super().__init__(message)
        self.code = code
        """The provider's own code of the cause."""
        self.field = field
        """The provider's name of the parameter that is the cause, where it names one."""


class TransientError(Exception):
    """It may succeed later, or may have succeeded: nobody knows. The message is as of PermanentError."""

    def __init__(self, message: str, *, is_short_lived: bool = False) -> None:
        super().__init__(message)
        self.is_short_lived = is_short_lived
        """Whether another try within seconds is worthwhile."""
