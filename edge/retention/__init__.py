"""Retention: what has been kept long enough is deleted every night."""
