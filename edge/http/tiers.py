"""The tiers of rate limits, as routes declare them: `opt=STRICT`, or `opt=UNLIMITED`. `edge.http.limits` counts."""

from collections.abc import Mapping
from types import MappingProxyType

TIER = "tier"
STRICT: Mapping[str, str | None] = MappingProxyType({TIER: "strict"})
"""For what only admins do, and for payments."""
STANDARD: Mapping[str, str | None] = MappingProxyType({TIER: "standard"})
"""For what changes something, or costs much."""
GENEROUS: Mapping[str, str | None] = MappingProxyType({TIER: "generous"})
"""For what reads, or tracks."""
UNLIMITED: Mapping[str, str | None] = MappingProxyType({TIER: None})
"""For what must answer however often it is called: probes, and webhooks, which their signature guards."""
