"""`python -m stack.doubles.stripe`: settings from DOUBLE_STRIPE_*, until SIGTERM."""

from stack.doubles.stripe.app import create_app
from stack.doubles.stripe.settings import Settings
from stack.server import serve_app

if __name__ == "__main__":
    serve_app("stripe", Settings.from_mapping, create_app)
