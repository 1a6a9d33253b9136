"""Webhooks that failed."""
