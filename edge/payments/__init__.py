"""Payments by Stripe: checkout, subscriptions, accounts for payouts, webhooks, and the jobs behind them."""
