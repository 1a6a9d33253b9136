"""An edge with three more routes, with which the others are compared.

All are for signed-in users: an empty one, the same without a limit, and one that makes a request to PostgREST as its
caller and answers nothing.

`python -m bench.edge_process`, with the settings of the edge.
"""

import os

from litestar import get
from litestar.di import NamedDependency
from postgrest import AsyncPostgrestClient

from common.logs import configure_logs
from edge.app import create_app, for_users
from edge.http.health import Health
from edge.http.server import Server
from edge.http.tiers import UNLIMITED
from edge.settings import EdgeSettings, read_settings

EMPTY = "/empty"
UNCOUNTED = "/uncounted"
ASKING = "/asking"


@get(EMPTY, include_in_schema=False, sync_to_thread=False)
def empty() -> Health:
    """Answer as /health does."""
    return Health()


@get(UNCOUNTED, include_in_schema=False, opt=UNLIMITED, sync_to_thread=False)
def uncounted() -> Health:
    """Answer the same, without a rate limit."""
    return Health()


@get(ASKING, include_in_schema=False)
async def asking(rest: NamedDependency[AsyncPostgrestClient]) -> Health:
    """Make the cheapest request to PostgREST."""
    await rest.from_("certificates").select("id").limit(0).execute()
    return Health()


def main() -> None:
    """Serve until a signal stops it."""
    settings = read_settings(os.environ)
    configure_logs()
    app = create_app(settings)
    app.register(for_users(empty, uncounted, asking))
    Server(app, settings[EdgeSettings]).run()


if __name__ == "__main__":
    main()
