"""The tiers of limits, as routes declare them: `opt=STRICT`, or `opt=UNLIMITED`. `edge/limits.py` counts."""

from collections.abc import Mapping
from types import MappingProxyType

TIER = "tier"
STRICT: Mapping[str, str | None] = MappingProxyType({TIER: "strict"})
"""What only admins do, and payments."""
STANDARD: Mapping[str, str | None] = MappingProxyType({TIER: "standard"})
"""What changes something, or costs much."""
GENEROUS: Mapping[str, str | None] = MappingProxyType({TIER: "generous"})
"""What reads, or tracks."""
UNLIMITED: Mapping[str, str | None] = MappingProxyType({TIER: None})
"""What must answer whoever asks however often: probes, and webhooks, which their signature guards."""
