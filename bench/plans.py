"""What `random_page_cost` does to the requests of learning and commerce: 4, as Postgres ships it, or 1.1, for an SSD.

Each request runs by turns in four sessions, with and without row level security at both settings. Beside the times
stand the plan counts, generic/custom: a request that stays on custom plans is planned at each call.

`python -m bench.plans`, or with numbers of enrolments and of ledger entries.
"""

import statistics
import sys

from bench import academy, commerce, learning, marketplace
from bench.learning import WARMING, Place
from bench.stack import BenchStack, running
from bench.transactions import PlanCounts, Session, Transaction

COSTS = ("4", "1.1")
Variant = tuple[str, bool]
"""The setting, and whether under row level security."""
VARIANTS: list[Variant] = [(cost, under_rls) for cost in COSTS for under_rls in (True, False)]
HEADER = (
    f"  {'':<38}{'ms at 4':>9}{'at 1.1':>9}{'1.1 / 4':>9}{'no RLS / RLS at 4':>19}{'at 1.1':>9}"
    f"{'plans at 4':>13}{'at 1.1':>9}{'no RLS':>9}"
)


def measure(enrolments: int, entries: int) -> None:
    """Fill a stack with an academy and another with a marketplace, run the requests of both, and print."""
    print(HEADER)
    with running() as stack:
        _compare(stack, learning.record(Place(stack, academy.sized(enrolments))))
    with running() as stack:
        size = marketplace.sized(entries)
        marketplace.load(stack, size)
        _compare(stack, commerce.record(stack, size))


def _compare(stack: BenchStack, recorded: dict[str, list[Transaction]]) -> None:
    for kind, transactions in recorded.items():
        sessions = {variant: Session(stack, random_page_cost=variant[0]) for variant in VARIANTS}
        for variant, session in sessions.items():
            for transaction in transactions[:WARMING]:
                session.run(_chosen(transaction, variant))
        times: dict[Variant, list[float]] = {variant: [] for variant in VARIANTS}
        for number, transaction in enumerate(transactions):
            for variant in VARIANTS if number % 2 == 0 else VARIANTS[::-1]:
                times[variant].append(sessions[variant].run(_chosen(transaction, variant)).main)
        counts = {
            variant: session.plan_counts(_chosen(transactions[0], variant).main)
            for variant, session in sessions.items()
        }
        _print(kind, times, counts)
        for session in sessions.values():
            session.close()


def _chosen(transaction: Transaction, variant: Variant) -> Transaction:
    return transaction if variant[1] else transaction.without_rls()


def _print(kind: str, times: dict[Variant, list[float]], counts: dict[Variant, PlanCounts]) -> None:
    old, new = COSTS
    print(
        f"  {kind:<38}{statistics.median(times[old, True]):9.3f}{statistics.median(times[new, True]):9.3f}"
        f"{_ratio(times[new, True], times[old, True]):9.2f}"
        f"{_ratio(times[old, False], times[old, True]):19.2f}{_ratio(times[new, False], times[new, True]):9.2f}"
        f"{counts[old, True]!s:>13}{counts[new, True]!s:>9}{counts[new, False]!s:>9}",
        flush=True,
    )


def _ratio(some: list[float], others: list[float]) -> float:
    return statistics.median(one / other for one, other in zip(some, others, strict=True))


def main() -> None:
    """Measure; the defaults take about ten minutes."""
    enrolments, entries = (int(each) for each in sys.argv[1:3] or ("100000", "200000"))
    measure(enrolments, entries)


if __name__ == "__main__":
    main()
