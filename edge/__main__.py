"""`python -m edge`: serve the edge until SIGTERM or Ctrl-C."""

import os

from common.logs import configure_logs
from common.settings import SettingsError, exit_for_settings
from edge.app import create_app
from edge.http.server import Server
from edge.settings import EdgeSettings, read_settings


def main() -> None:
    """Serve until a signal stops it."""
    try:
        settings = read_settings(os.environ)
    except SettingsError as fault:
        exit_for_settings("edge", fault)
    configure_logs()
    Server(create_app(settings), settings[EdgeSettings]).run()


if __name__ == "__main__":
    main()
