"""`python -m stack WORD ...`: what `./guildhall WORD ...` becomes once everything is installed."""

import sys

from stack import cli
from stack.commands import run
from stack.errors import StackError


def main() -> int:
    """Run one word; a failure is one line, and the exit status 1."""
    args = cli.parse(sys.argv[1:])
    try:
        return run(args)
    except StackError as error:
        sys.stderr.write(f"guildhall: {error}\n")
        return 1
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:  # `guildhall status | head -1`
        sys.stderr.close()
        return 0


if __name__ == "__main__":
    sys.exit(main())
