"""Stripe's double over real sockets: the official client, browsers, and a receiver of webhooks."""
