"""Documents that the edge renders: certificates as PDF."""

from edge.documents.routes import lifespan, router

__all__ = ["lifespan", "router"]
