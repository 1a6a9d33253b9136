"""Accounts: erasing one with all its files, which SQL cannot remove, and links for a new password."""
