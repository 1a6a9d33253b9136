"""Paying and being paid, by Stripe: checkout, subscriptions, accounts for payouts, and webhooks."""

from edge.payments.routes import lifespan, router, webhooks

__all__ = ["lifespan", "router", "webhooks"]
