"""`./guildhall bench`: all measurements that take minutes, in one run."""

from bench import admin_users, booking, edge_routes, gateway, limits, mail, profile_read, user_search
from bench.stack import running


def main() -> None:
    """Start a stack, measure, print."""
    with running() as stack:
        profile_read.measure(stack)
        mail.measure(stack)
        user_search.measure(stack)
        admin_users.measure(stack)
        limits.measure(stack)
        booking.measure(stack)
        edge_routes.measure(stack)
    gateway.main()


if __name__ == "__main__":
    main()
