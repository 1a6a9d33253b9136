"""Accounts that end: their files, which no SQL can remove, and then what the database keeps of them."""

from edge.accounts.routes import lifespan, router

__all__ = ["lifespan", "router"]
