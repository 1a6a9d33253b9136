"""`python -m stack.auth`: the auth server, with its settings from the environment."""

from stack.auth.app import create_app
from stack.auth.settings import Settings
from stack.server import serve_app

if __name__ == "__main__":
    serve_app("auth", Settings.from_mapping, create_app)
