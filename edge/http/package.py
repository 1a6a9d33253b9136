"""What a package adds to the edge."""

from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager

import msgspec
from litestar import Litestar
from litestar.openapi.spec import Tag
from litestar.types import ControllerRouterHandler

from common.settings import BaseSettings


class HttpPackage(msgspec.Struct, frozen=True, kw_only=True):
    """The routes of a package, and what they need."""

    public: Sequence[ControllerRouterHandler] = ()
    """Routes that serve every caller."""
    for_users: Sequence[ControllerRouterHandler] = ()
    """Routes that serve signed-in users only. Their handlers may ask for `caller` and for `rest`, the caller's own."""
    settings: type[BaseSettings] | None = None
    """The package's part of the settings, EDGE_*; handlers and `lifespan` find it in `state.settings`."""
    lifespan: Callable[[Litestar], AbstractAsyncContextManager[None]] | None = None
    """Opens the package's clients, keeps them in the state of the application, and closes them at the end. It may add
    checks to `state.readiness`. `state.database`, `state.rest` and `state.fetcher` are there before."""
    tag: Tag | None = None
    """The heading of its routes in the OpenAPI document; several packages may share one."""
