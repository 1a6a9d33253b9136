"""Measurements, as ratios of things measured in one run; never tests, for machines are noisy."""
