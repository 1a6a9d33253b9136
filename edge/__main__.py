"""`python -m edge`: serve the edge until SIGTERM or Ctrl-C."""

import os
import sys

from edge.app import create_app
from edge.logs import configure_logs
from edge.server import Server
from edge.settings import Settings, SettingsError


def main() -> None:
    """Serve until told to stop."""
    try:
        settings = Settings.from_mapping(os.environ)
        app = create_app(settings)
    except SettingsError as error:
        sys.exit(f"edge: {error}")
    configure_logs()
    Server(app, settings).run()


if __name__ == "__main__":
    main()
