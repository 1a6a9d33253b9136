"""Documents that the edge renders: certificates, invoices and contracts as PDF."""

from edge.documents.routes import lifespan, router

__all__ = ["lifespan", "router"]
