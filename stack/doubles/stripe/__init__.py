"""Plays Stripe over HTTP, so that payments work without an account and without a network."""
