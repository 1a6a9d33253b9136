"""The HTTP machinery that all packages share."""
