"""The application: its routes, its lifespan, and its translation of exceptions."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from litestar import Litestar
from litestar.di import Provide

from stack.auth import openapi
from stack.auth.errors import HEADERS, translate
from stack.auth.requests import MAX_BODY
from stack.auth.routes import about, admin, invitations, links, mfa, sign_in, sign_up, user, verify
from stack.auth.server import Auth
from stack.auth.settings import Settings

ROUTES = [
    about.health,
    about.ready,
    about.settings,
    about.jwks,
    about.authorize,
    about.callback,
    about.single_sign_on,
    about.link_identity,
    about.unlink_identity,
    admin.list_users,
    admin.create_user,
    admin.get_user,
    admin.update_user,
    admin.delete_user,
    admin.list_audit,
    invitations.invite,
    invitations.generate_link,
    mfa.enrol_factor,
    mfa.challenge_factor,
    mfa.verify_factor,
    mfa.remove_factor,
    mfa.list_users_factors,
    mfa.update_users_factor,
    mfa.remove_users_factor,
    links.recover,
    links.otp,
    links.resend,
    links.reauthenticate,
    sign_in.token,
    sign_in.logout,
    sign_up.sign_up,
    user.get_user,
    user.update_user,
    verify.verify,
    verify.follow_link,
]


def create_app(settings: Settings) -> Litestar:
    """An auth server with these settings. It connects to its database in the background once it runs."""
    auth = Auth(settings)

    @asynccontextmanager
    async def lifespan(_: Litestar) -> AsyncIterator[None]:
        async with auth.running():
            yield

    return Litestar(
        route_handlers=[*ROUTES, openapi.document_route(ROUTES, settings.external_url)],
        lifespan=[lifespan],
        dependencies={"auth": Provide(lambda: auth, sync_to_thread=False, use_cache=True)},
        exception_handlers={Exception: translate},
        request_max_body_size=MAX_BODY,
        response_headers=HEADERS,
        openapi_config=None,
        logging_config=None,
    )
