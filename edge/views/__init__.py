"""How often courses are looked at: counted here, and written to the database in sums."""

from edge.views.routes import lifespan, router

__all__ = ["lifespan", "router"]
