"""The error of the stack and its commands."""


class StackError(Exception):
    """A failure whose message is one line with what to do. The command line prints it and exits with 1."""
