"""Learning: what ends by the clock, and regrading."""
