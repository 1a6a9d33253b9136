"""An edge with three routes more, against which the others are measured.

All are for signed-in users: an empty one, the same without a limit, and one that asks PostgREST something as its caller
and answers nothing.

`python -m bench.edge_process`, with the settings of the edge.
"""

import os

from litestar import get
from litestar.di import NamedDependency
from postgrest import AsyncPostgrestClient

from edge.app import create_app, for_users
from edge.health import Health
from edge.logs import configure_logs
from edge.server import Server
from edge.settings import Settings
from edge.tiers import UNLIMITED

EMPTY = "/empty"
UNCOUNTED = "/uncounted"
ASKING = "/asking"


@get(EMPTY, include_in_schema=False, sync_to_thread=False)
def empty() -> Health:
    """Answer what /health answers."""
    return Health()


@get(UNCOUNTED, include_in_schema=False, opt=UNLIMITED, sync_to_thread=False)
def uncounted() -> Health:
    """Answer the same, and take no token for it."""
    return Health()


@get(ASKING, include_in_schema=False)
async def asking(rest: NamedDependency[AsyncPostgrestClient]) -> Health:
    """Ask the cheapest question."""
    await rest.from_("certificates").select("id").limit(0).execute()
    return Health()


def main() -> None:
    """Serve until told to stop."""
    settings = Settings.from_mapping(os.environ)
    configure_logs()
    app = create_app(settings)
    app.register(for_users(empty, uncounted, asking))
    Server(app, settings).run()


if __name__ == "__main__":
    main()
