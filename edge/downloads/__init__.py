"""What somebody bought, to fetch: links for a while to the files of an order."""

from edge.downloads.routes import router

__all__ = ["router"]
