"""What identity providers tell the edge."""

from typing import Any

import msgspec

MAX_EVENT_ID = 255
"""Characters, as the inbox keeps them."""


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """What every event of Clerk has. What the rest means is known in SQL: private.apply_clerk_event."""

    type: str
    data: dict[str, Any]
