"""The worker's task of learning."""

import asyncio
from typing import Any

from edge.learning.tasks import LearningTasks


class Database:
    """Has a regrade of two attempts."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, Any]] = []

    async def call(self, function: str, **parameters: Any) -> bool:
        self.calls.append((function, *parameters.values()))
        return len(self.calls) < 3


def test_a_regrade_goes_on_until_no_attempt_is_left() -> None:
    database = Database()
    asyncio.run(LearningTasks(database).regrade_attempts(regrade_id="one"))  # type: ignore[arg-type]
    assert database.calls == [("regrade_next_attempt", "one")] * 3
