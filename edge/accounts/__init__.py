"""Accounts that end: their files, which no SQL can remove, and then what the database keeps of them."""

from edge.accounts.routes import router

__all__ = ["router"]
