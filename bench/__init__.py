"""Measurements, as ratios within one run. They are not tests, because machines are noisy."""
