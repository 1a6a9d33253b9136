"""`./guildhall bench`: everything that is measured, in one run."""

from bench import gateway, profile_read
from bench.stack import running


def main() -> None:
    """Start a stack, measure, print."""
    with running() as stack:
        profile_read.measure(stack)
    gateway.main()


if __name__ == "__main__":
    main()
