"""What a person is told when the stack cannot do as asked."""


class StackError(Exception):
    """A failure whose message is one line that says what to do; the CLI prints it and exits 1."""
