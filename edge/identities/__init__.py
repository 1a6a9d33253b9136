"""Who somebody is elsewhere: the webhooks of identity providers, and a way of signing in that is no more."""

from edge.identities.routes import router

__all__ = ["router"]
