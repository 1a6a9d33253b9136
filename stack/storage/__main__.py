"""`python -m stack.storage`: settings from STORAGE_*, until SIGTERM."""

from stack.server import serve_app
from stack.storage.app import create_app
from stack.storage.settings import Settings

if __name__ == "__main__":
    serve_app("storage", Settings.from_mapping, create_app)
