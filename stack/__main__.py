"""`python -m stack WORD ...`: what `./guildhall WORD ...` becomes once everything is installed."""

import os
import sys
import time

from stack.cli import STARTED_AT
from stack.commands import WORDS as STACK_WORDS
from stack.errors import StackError
from stack.tools.cli import parse
from stack.tools.commands import WORDS as OWN_WORDS
from stack.tools.project import GUILDHALL


def main() -> int:
    """Run one word; a failure is one line, and the exit status 1."""
    args = parse(sys.argv[1:])
    # Taken out of the environment, which other commands inherit.
    args.started_at = float(os.environ.pop(STARTED_AT, time.monotonic()))
    try:
        return OWN_WORDS[args.word](args) if args.word in OWN_WORDS else STACK_WORDS[args.word](GUILDHALL, args)
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
