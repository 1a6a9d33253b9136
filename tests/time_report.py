"""`./guildhall test --durations`: where the time of a run went, by folder, file and test.

Times are worker-seconds: the seconds that tests and their fixtures took, summed over all workers.
"""

from collections import defaultdict

import pytest

LONGEST_FILES = 25
LONGEST_TESTS = 40
Times = dict[str, dict[str, float]]
"""Seconds by name and phase."""
PHASES = ("setup", "call", "teardown")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option."""
    parser.addoption("--time-report", action="store_true", help="print where the time went, by folder, file and test")


def pytest_configure(config: pytest.Config) -> None:
    """Start counting where that is asked."""
    if config.getoption("time_report") and not hasattr(config, "workerinput"):
        config.pluginmanager.register(TimeReport(), "time-report")


class TimeReport:
    """Sums the times of all tests. With workers, the controller gets their reports here."""

    def __init__(self) -> None:
        self._seconds: Times = defaultdict(lambda: defaultdict(float))
        """By test and phase."""
        self._started = float("inf")
        self._ended = 0.0

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Add one phase of a test."""
        self._seconds[report.nodeid][report.when] += report.duration
        self._started = min(self._started, report.start)
        self._ended = max(self._ended, report.stop)

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Print the report."""
        for line in self.lines():
            terminalreporter.write_line(line)

    def lines(self) -> list[str]:
        """The report."""
        total = sum(sum(times.values()) for times in self._seconds.values())
        wall = max(0.0, self._ended - self._started)
        head = f"{total:.0f} worker-seconds in {wall:.0f} s, {len(self._seconds)} tests"
        files, folders = self._sums("::"), self._sums("/", depth=2)
        return [
            head,
            *_table("folder", folders, len(folders)),
            *_table("file", files, LONGEST_FILES),
            *_table("test", self._seconds, LONGEST_TESTS),
        ]

    def _sums(self, separator: str, *, depth: int = 1) -> Times:
        """The times by the first parts of the tests' names."""
        found: Times = defaultdict(lambda: defaultdict(float))
        for test, times in self._seconds.items():
            for phase, seconds in times.items():
                found[separator.join(test.split(separator)[:depth])][phase] += seconds
        return found


def _table(name: str, times: Times, most: int) -> list[str]:
    """The longest first."""
    longest = sorted(times.items(), key=lambda item: -sum(item[1].values()))[:most]
    rows = [
        _row(f"{sum(each.values()):.1f}", [f"{each[phase]:.1f}" for phase in PHASES], label) for label, each in longest
    ]
    return ["", _row("total", list(PHASES), name), *rows]


def _row(total: str, phases: list[str], label: str) -> str:
    return f"{total:>8}{''.join(f'{phase:>9}' for phase in phases)}  {label}"
