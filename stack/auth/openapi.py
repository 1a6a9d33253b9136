"""The OpenAPI document of the auth server, made from its routes and the Structs of their bodies.

Supabase Auth serves none. This one is for developers, and for a fuzzer.
"""

from collections.abc import Iterable
from typing import Any, Literal

import msgspec
from litestar import get
from litestar.handlers import HTTPRouteHandler

from stack.auth import requests
from stack.auth.routes import about, admin, invitations, links, mfa, sign_in, sign_up, user, verify
from stack.auth.users import Factor, Identity, User

PATH = "/openapi.json"
JSON = "application/json"
SCHEMAS = "#/components/schemas/{name}"
HIDDEN = {"encrypted_password", "email_change_confirm_status", "is_sso_user"}
"""Fields of a user that clients do not see."""
REQUIRED = {
    "id", "aud", "role", "email", "phone", "app_metadata", "user_metadata", "identities", "created_at", "updated_at",
    "is_anonymous",
}  # fmt: skip
"""Fields that every user has. The others are absent where they would be null."""
STATUS_TEXTS = {
    303: "To the target of the link, with a session or an error in the URL",
    400: "The request is wrong",
    401: "No access token",
    403: "The token does not permit this",
    404: "Not found, or not supported by this server",
    409: "A concurrent request was first, or rows refer to the user",
    413: "The body is too large",
    422: "The request is well formed, and refused",
    429: "Too many requests: `Retry-After` is the time to wait",
    503: "The database does not answer",
    504: "The database does not answer in time",
}

Schema = dict[str, Any]


class RouteDescription(msgspec.Struct, frozen=True, kw_only=True):
    """The parts of a route's description that its code does not have."""

    answer: Schema | None = None
    """The schema of a success; None where there is no body, or never a success."""
    body: tuple[type[requests.Fields], ...] = ()
    """The possible bodies."""
    is_body_optional: bool = False
    query: dict[str, Schema] = {}
    caller: Literal["anyone", "user", "service"] = "anyone"
    succeeds: bool = True
    refusals: tuple[int, ...] = ()
    """In addition to those that follow from the caller and the body."""

    @property
    def statuses(self) -> list[int]:
        """Every status of a refusal."""
        found = {*self.refusals}
        if self.caller != "anyone":
            found |= {401, 403, 503}
        if self.body:
            found |= {400, 413}
        return sorted(found)


def _reference(name: str) -> Schema:
    return {"$ref": SCHEMAS.format(name=name)}


OBJECT: Schema = {"type": "object"}
EMPTY: Schema = {"type": "object", "maxProperties": 0}
TEXT: Schema = {"type": "string"}
NUMBER: Schema = {"type": "integer", "minimum": 1}
PAGES = {"page": NUMBER, "per_page": NUMBER}
REDIRECT = {"redirect_to": TEXT}
SESSION = _reference("Session")
USER = _reference("User")
FACTOR = _reference("Factor")
MAIL_REFUSALS = (429, 503)
"""Refusals of a route that sends a mail and uses the database."""
DATABASE_REFUSALS = (503, 504)
"""Refusals of a route that uses the database."""

DESCRIPTIONS: dict[HTTPRouteHandler, RouteDescription] = {
    about.health: RouteDescription(answer=OBJECT),
    about.ready: RouteDescription(answer=OBJECT, refusals=(503,)),
    about.settings: RouteDescription(answer=OBJECT),
    about.jwks: RouteDescription(answer=OBJECT),
    about.authorize: RouteDescription(succeeds=False, refusals=(400,)),
    about.callback: RouteDescription(succeeds=False, refusals=(400,)),
    about.single_sign_on: RouteDescription(succeeds=False, refusals=(404,)),
    about.link_identity: RouteDescription(succeeds=False, caller="user", refusals=(404,)),
    about.unlink_identity: RouteDescription(succeeds=False, caller="user", refusals=(404,)),
    mfa.enrol_factor: RouteDescription(
        answer=OBJECT, caller="user", body=(requests.Enrolment,), refusals=(422, 429, *DATABASE_REFUSALS)
    ),
    mfa.challenge_factor: RouteDescription(answer=OBJECT, caller="user", refusals=(404, 422, 429, *DATABASE_REFUSALS)),
    mfa.verify_factor: RouteDescription(
        answer=SESSION, caller="user", body=(requests.FactorCode,), refusals=(404, 422, 429, *DATABASE_REFUSALS)
    ),
    mfa.remove_factor: RouteDescription(answer=OBJECT, caller="user", refusals=(404, 422, *DATABASE_REFUSALS)),
    mfa.list_users_factors: RouteDescription(
        answer={"type": "array", "items": FACTOR}, caller="service", refusals=(404, *DATABASE_REFUSALS)
    ),
    mfa.update_users_factor: RouteDescription(
        answer=FACTOR, caller="service", body=(requests.FactorUpdate,), refusals=(404, 422, *DATABASE_REFUSALS)
    ),
    mfa.remove_users_factor: RouteDescription(answer=FACTOR, caller="service", refusals=(404, *DATABASE_REFUSALS)),
    admin.list_users: RouteDescription(
        answer={
            "type": "object",
            "properties": {"users": {"type": "array", "items": USER}, "aud": TEXT},
            "required": ["users", "aud"],
        },
        query={**PAGES, "filter": TEXT},
        caller="service",
        refusals=(400, *DATABASE_REFUSALS),
    ),
    admin.create_user: RouteDescription(
        answer=USER, body=(requests.AdminUser,), caller="service", refusals=(409, 422, *DATABASE_REFUSALS)
    ),
    admin.get_user: RouteDescription(answer=USER, caller="service", refusals=(404, *DATABASE_REFUSALS)),
    admin.update_user: RouteDescription(
        answer=USER, body=(requests.AdminUser,), caller="service", refusals=(404, 409, 422, *DATABASE_REFUSALS)
    ),
    admin.delete_user: RouteDescription(
        answer=EMPTY,
        body=(requests.AdminDelete,),
        is_body_optional=True,
        caller="service",
        refusals=(404, 409, *DATABASE_REFUSALS),
    ),
    admin.list_audit: RouteDescription(
        answer={"type": "array", "items": OBJECT}, query=PAGES, caller="service", refusals=(400, *DATABASE_REFUSALS)
    ),
    invitations.invite: RouteDescription(
        answer=USER, body=(requests.Invite,), query=REDIRECT, caller="service", refusals=(422, *DATABASE_REFUSALS)
    ),
    invitations.generate_link: RouteDescription(
        answer=USER,
        body=(requests.GenerateLink,),
        query=REDIRECT,
        caller="service",
        refusals=(404, 422, *DATABASE_REFUSALS),
    ),
    links.recover: RouteDescription(answer=EMPTY, body=(requests.Contact,), query=REDIRECT, refusals=MAIL_REFUSALS),
    links.otp: RouteDescription(answer=EMPTY, body=(requests.Otp,), query=REDIRECT, refusals=MAIL_REFUSALS),
    links.resend: RouteDescription(answer=EMPTY, body=(requests.Resend,), query=REDIRECT, refusals=MAIL_REFUSALS),
    links.reauthenticate: RouteDescription(answer=EMPTY, caller="user", refusals=(400, 422, *MAIL_REFUSALS)),
    sign_in.token: RouteDescription(
        answer=SESSION,
        body=(requests.PasswordGrant, requests.RefreshGrant, requests.PkceGrant),
        query={"grant_type": {"type": "string", "enum": ["password", "refresh_token", "pkce", "id_token", "web3"]}},
        refusals=(403, 404, 422, 429, *DATABASE_REFUSALS),
    ),
    sign_in.logout: RouteDescription(
        caller="user",
        query={"scope": {"type": "string", "enum": list(sign_in.SCOPES)}},
        refusals=(400, *DATABASE_REFUSALS),
    ),
    sign_up.sign_up: RouteDescription(
        answer={"anyOf": [SESSION, USER]},
        body=(requests.SignUp,),
        query=REDIRECT,
        refusals=(409, 422, *MAIL_REFUSALS, 504),
    ),
    user.get_user: RouteDescription(answer=USER, caller="user", refusals=DATABASE_REFUSALS),
    user.update_user: RouteDescription(
        answer=USER,
        body=(requests.UserUpdate,),
        query=REDIRECT,
        caller="user",
        refusals=(409, 422, *MAIL_REFUSALS, 504),
    ),
    verify.verify: RouteDescription(
        answer={"anyOf": [SESSION, OBJECT]},
        body=(requests.Verify,),
        query=REDIRECT,
        refusals=(403, 422, 429, *DATABASE_REFUSALS),
    ),
    verify.follow_link: RouteDescription(
        query={"token": TEXT, "type": {"type": "string", "enum": list(verify.KINDS)}, **REDIRECT},
        succeeds=False,
        refusals=(303, 400),
    ),
}


def document(routes: Iterable[HTTPRouteHandler], url: str) -> Schema:
    """The document for some routes, which are served at an address."""
    paths: dict[str, Schema] = {}
    for handler in routes:
        for path in sorted(handler.paths):
            named = path.replace(":str}", "}")
            for method in sorted(handler.http_methods):
                paths.setdefault(named, {})[method.lower()] = _operation(handler, named, DESCRIPTIONS[handler])
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Guildhall auth",
            "version": "1",
            "description": "The embedded stack's auth server, which speaks as Supabase Auth does. Clients that send no"
            " `X-Supabase-Api-Version` get the older form of an error.",
        },
        "servers": [{"url": url}],
        "paths": dict(sorted(paths.items())),
        "components": {
            "schemas": _schemas(),
            "securitySchemes": {
                "user": {"type": "http", "scheme": "bearer", "description": "The access token of a user"},
                "service": {"type": "http", "scheme": "bearer", "description": "The service key"},
            },
        },
    }


def document_route(routes: Iterable[HTTPRouteHandler], url: str) -> HTTPRouteHandler:
    """The route that serves the document for some routes."""
    content = document(routes, url)

    @get(PATH, sync_to_thread=False)
    def openapi() -> Schema:
        """This document."""
        return content

    return openapi


def _operation(handler: HTTPRouteHandler, path: str, described: RouteDescription) -> Schema:
    responses: dict[str, Schema] = {}
    if described.succeeds:
        content = {"content": {JSON: {"schema": described.answer}}} if described.answer is not None else {}
        responses[str(handler.status_code)] = {"description": "Done", **content}
    refusal = {"content": {JSON: {"schema": _reference("Refusal")}}}
    for status in described.statuses:
        responses[str(status)] = {"description": STATUS_TEXTS[status], **(refusal if status >= 400 else {})}
    found: Schema = {
        "summary": (handler.fn.__doc__ or "").splitlines()[0],
        "parameters": [
            *(_parameter(part[1:-1], "path", TEXT) for part in path.split("/") if part.startswith("{")),
            *(_parameter(name, "query", schema) for name, schema in described.query.items()),
        ],
        "responses": responses,
    }
    if described.body:
        kinds = [_reference(kind.__name__) for kind in described.body]
        schema = kinds[0] if len(kinds) == 1 else {"anyOf": kinds}
        found["requestBody"] = {"required": not described.is_body_optional, "content": {JSON: {"schema": schema}}}
    if described.caller != "anyone":
        found["security"] = [{described.caller: []}]
    return found


def _parameter(name: str, where: str, schema: Schema) -> Schema:
    return {"name": name, "in": where, "required": where == "path", "schema": schema}


def _schemas() -> dict[str, Schema]:
    bodies = {kind for described in DESCRIPTIONS.values() for kind in described.body}
    ordered = sorted(bodies, key=lambda kind: kind.__name__)
    _, found = msgspec.json.schema_components([*ordered, User, Identity, Factor], ref_template=SCHEMAS)
    visible = {name: _without_null(kind) for name, kind in found["User"]["properties"].items() if name not in HIDDEN}
    found["User"] |= {"properties": visible, "required": sorted(REQUIRED)}
    identity = {name: _without_null(kind) for name, kind in found["Identity"]["properties"].items()}
    found["Identity"] |= {"properties": identity}
    session = {
        "access_token": TEXT,
        "token_type": {"const": "bearer"},
        "expires_in": NUMBER,
        "expires_at": NUMBER,
        "refresh_token": TEXT,
        "user": USER,
    }
    found["Session"] = {"title": "Session", "type": "object", "properties": session, "required": list(session)}
    found["Refusal"] = {
        "title": "Refusal",
        "type": "object",
        "properties": {"code": {"type": ["string", "integer"]}, "message": TEXT, "error_code": TEXT, "msg": TEXT},
        "required": ["code"],
        "anyOf": [{"required": ["message"]}, {"required": ["error_code", "msg"]}],
    }
    return dict(sorted(found.items()))


def _without_null(kind: Schema) -> Schema:
    """The schema of a field that is absent rather than null."""
    others = [each for each in kind.get("anyOf", ()) if each != {"type": "null"}]
    return others[0] if others else {name: value for name, value in kind.items() if name != "default"}
