"""Distributes tests to workers: those that share costly fixtures to one worker, the longest groups first.

The tests of a file stay together, as with xdist's `--dist=loadfile`, for which this plugin makes the scheduler.
"""

from typing import Any

import pytest
from xdist.scheduler import LoadScopeScheduling  # type: ignore[import-untyped]

SHARED = {
    "tests/stack/auth/": "auth servers",
    "tests/stack/storage/": "storage server",
    "tests/stack/gateway/": "gateway",
    "tests/stack/stripe/": "Stripe's double",
    "tests/security/test_access_matrix.py": "access probe",
    "tests/security/test_export.py": "access probe",
}
"""Groups of files that share a session's fixture, by the beginning of the files' names."""
INDEPENDENT = ("tests/edge/test_worker.py",)
"""Long files whose tests share nothing, so that each may run anywhere."""
LONGEST = (
    "access probe",
    "auth servers",
    "tests/stack/test_faults.py",
    "tests/stack/test_lifecycle.py",
    "tests/security/test_rest_fuzz.py",
    "tests/edge/test_payment_faults.py",
    "tests/edge/test_worker.py",
    "tests/security/test_abuse.py",
    "storage server",
    "tests/stack/test_explain.py",
    "tests/edge/test_payment_tasks.py",
    "tests/stack/test_limits.py",
    "tests/learning/test_lock_order.py",
    "tests/edge/test_documents.py",
    "tests/edge/test_openapi_fuzz.py",
    "tests/edge/test_process.py",
    "Stripe's double",
)
"""The groups that take longest, in the order in which they start. `./guildhall test --durations` shows them."""


def group_of(nodeid: str) -> str:
    """The group that a test belongs to."""
    for beginning, group in SHARED.items():
        if nodeid.startswith(beginning):
            return group
    return nodeid if nodeid.startswith(INDEPENDENT) else nodeid.partition("::")[0]


def rank(nodeid: str) -> int:
    """The place of a test's group in the order of starting."""
    group = group_of(nodeid)
    return next((place for place, longest in enumerate(LONGEST) if group.startswith(longest)), len(LONGEST))


class Scheduler(LoadScopeScheduling):  # type: ignore[misc]
    """Sends whole groups to workers, in the order of collection."""

    def _split_scope(self, nodeid: str) -> str:
        return group_of(nodeid)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> LoadScopeScheduling | None:
    """Replace the scheduler of --dist=loadfile."""
    if config.getoption("dist") != "loadfile":
        return None
    config.option.loadscopereorder = False
    return Scheduler(config, log)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Put the longest groups first, in each worker alike."""
    if hasattr(config, "workerinput"):
        items.sort(key=lambda item: rank(item.nodeid))
