"""What the auth server offers, as OpenAPI: made from its routes and from the Structs that read their bodies.

Supabase Auth serves no such document; a developer who calls this server by hand, and a fuzzer, want one.
"""

from collections.abc import Iterable
from typing import Any, Literal

import msgspec
from litestar import get
from litestar.handlers import HTTPRouteHandler

from stack.auth import requests
from stack.auth.routes import about, admin, invitations, links, sign_in, sign_up, user, verify
from stack.auth.users import Identity, User

PATH = "/openapi.json"
JSON = "application/json"
SCHEMAS = "#/components/schemas/{name}"
UNSEEN = {"encrypted_password", "email_change_confirm_status", "is_sso_user"}
"""What the view of a user leaves out."""
ALWAYS = {
    "id", "aud", "role", "email", "phone", "app_metadata", "user_metadata", "identities", "created_at", "updated_at",
    "is_anonymous",
}  # fmt: skip
"""What every view of a user has; the rest is absent where it would be null."""
MEANINGS = {
    303: "On to where the link leads, with a session or an error in the address",
    400: "The request is wrong",
    401: "No access token",
    403: "The token, or what it stands for, does not allow this",
    404: "There is no such thing, or this server does not have it",
    409: "Somebody else was faster, or other rows refer to it",
    413: "The body is too large",
    422: "The request is well formed, and refused",
    429: "Too many: `Retry-After` says when to come again",
    503: "The database does not answer",
    504: "The database does not answer in time",
}

Schema = dict[str, Any]


class Described(msgspec.Struct, frozen=True, kw_only=True):
    """What the code of a route does not say of itself."""

    answer: Schema | None = None
    """The schema of a success; None where there is no body, or never a success."""
    body: tuple[type[requests.Fields], ...] = ()
    """What the body may be."""
    may_lack_body: bool = False
    query: dict[str, Schema] = {}
    caller: Literal["anyone", "user", "service"] = "anyone"
    succeeds: bool = True
    refusals: tuple[int, ...] = ()
    """Beside those that follow from the caller and the body."""

    @property
    def statuses(self) -> list[int]:
        """Every status of a refusal."""
        found = {*self.refusals}
        if self.caller != "anyone":
            found |= {401, 403, 503}
        if self.body:
            found |= {400, 413}
        return sorted(found)


def _refer(name: str) -> Schema:
    return {"$ref": SCHEMAS.format(name=name)}


OBJECT: Schema = {"type": "object"}
EMPTY: Schema = {"type": "object", "maxProperties": 0}
TEXT: Schema = {"type": "string"}
NUMBER: Schema = {"type": "integer", "minimum": 1}
PAGES = {"page": NUMBER, "per_page": NUMBER}
PLACE = {"redirect_to": TEXT}
SESSION = _refer("Session")
USER = _refer("User")
MAILED = (429, 503)
"""Refusals of what sends a mail and looks into the database."""
STORED = (503, 504)
"""Refusals of what looks into the database."""

DESCRIBED: dict[HTTPRouteHandler, Described] = {
    about.health: Described(answer=OBJECT),
    about.ready: Described(answer=OBJECT, refusals=(503,)),
    about.settings: Described(answer=OBJECT),
    about.jwks: Described(answer=OBJECT),
    about.authorize: Described(succeeds=False, refusals=(400,)),
    about.callback: Described(succeeds=False, refusals=(400,)),
    about.single_sign_on: Described(succeeds=False, refusals=(404,)),
    about.link_identity: Described(succeeds=False, caller="user", refusals=(404,)),
    about.unlink_identity: Described(succeeds=False, caller="user", refusals=(404,)),
    about.enrol_factor: Described(succeeds=False, caller="user", body=(requests.Enrolment,), refusals=(422,)),
    about.use_factor: Described(succeeds=False, caller="user", refusals=(422,)),
    about.remove_factor: Described(succeeds=False, caller="user", refusals=(404,)),
    about.list_factors: Described(answer={"type": "array"}, caller="service"),
    about.remove_users_factor: Described(succeeds=False, caller="service", refusals=(404,)),
    admin.list_users: Described(
        answer={
            "type": "object",
            "properties": {"users": {"type": "array", "items": USER}, "aud": TEXT},
            "required": ["users", "aud"],
        },
        query={**PAGES, "filter": TEXT},
        caller="service",
        refusals=(400, *STORED),
    ),
    admin.create_user: Described(
        answer=USER, body=(requests.AdminUser,), caller="service", refusals=(409, 422, *STORED)
    ),
    admin.get_user: Described(answer=USER, caller="service", refusals=(404, *STORED)),
    admin.update_user: Described(
        answer=USER, body=(requests.AdminUser,), caller="service", refusals=(404, 409, 422, *STORED)
    ),
    admin.delete_user: Described(
        answer=EMPTY,
        body=(requests.AdminDelete,),
        may_lack_body=True,
        caller="service",
        refusals=(404, 409, *STORED),
    ),
    admin.list_audit: Described(
        answer={"type": "array", "items": OBJECT}, query=PAGES, caller="service", refusals=(400, *STORED)
    ),
    invitations.invite: Described(
        answer=USER, body=(requests.Invite,), query=PLACE, caller="service", refusals=(422, *STORED)
    ),
    invitations.generate_link: Described(
        answer=USER, body=(requests.GenerateLink,), query=PLACE, caller="service", refusals=(404, 422, *STORED)
    ),
    links.recover: Described(answer=EMPTY, body=(requests.Contact,), query=PLACE, refusals=MAILED),
    links.otp: Described(answer=EMPTY, body=(requests.Otp,), query=PLACE, refusals=MAILED),
    links.resend: Described(answer=EMPTY, body=(requests.Resend,), query=PLACE, refusals=MAILED),
    links.reauthenticate: Described(answer=EMPTY, caller="user", refusals=(400, 422, *MAILED)),
    sign_in.token: Described(
        answer=SESSION,
        body=(requests.PasswordGrant, requests.RefreshGrant, requests.PkceGrant),
        query={"grant_type": {"type": "string", "enum": ["password", "refresh_token", "pkce", "id_token", "web3"]}},
        refusals=(403, 404, 422, 429, *STORED),
    ),
    sign_in.logout: Described(
        caller="user",
        query={"scope": {"type": "string", "enum": list(sign_in.SCOPES)}},
        refusals=(400, *STORED),
    ),
    sign_up.sign_up: Described(
        answer={"anyOf": [SESSION, USER]}, body=(requests.SignUp,), query=PLACE, refusals=(409, 422, *MAILED, 504)
    ),
    user.get_user: Described(answer=USER, caller="user", refusals=STORED),
    user.update_user: Described(
        answer=USER, body=(requests.UserUpdate,), query=PLACE, caller="user", refusals=(409, 422, *MAILED, 504)
    ),
    verify.verify: Described(
        answer={"anyOf": [SESSION, OBJECT]}, body=(requests.Verify,), query=PLACE, refusals=(403, 422, 429, *STORED)
    ),
    verify.follow_link: Described(
        query={"token": TEXT, "type": {"type": "string", "enum": list(verify.KINDS)}, **PLACE},
        succeeds=False,
        refusals=(303, 400),
    ),
}


def document(routes: Iterable[HTTPRouteHandler], url: str) -> Schema:
    """The description of some routes, which are served at an address."""
    paths: dict[str, Schema] = {}
    for handler in routes:
        for path in sorted(handler.paths):
            named = path.replace(":str}", "}")
            for method in sorted(handler.http_methods):
                paths.setdefault(named, {})[method.lower()] = _operation(handler, named, DESCRIBED[handler])
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


def describing(routes: Iterable[HTTPRouteHandler], url: str) -> HTTPRouteHandler:
    """The route that serves the description of some routes."""
    content = document(routes, url)

    @get(PATH, sync_to_thread=False)
    def openapi() -> Schema:
        """This description."""
        return content

    return openapi


def _operation(handler: HTTPRouteHandler, path: str, described: Described) -> Schema:
    responses: dict[str, Schema] = {}
    if described.succeeds:
        content = {"content": {JSON: {"schema": described.answer}}} if described.answer is not None else {}
        responses[str(handler.status_code)] = {"description": "Done", **content}
    refusal = {"content": {JSON: {"schema": _refer("Refusal")}}}
    for status in described.statuses:
        responses[str(status)] = {"description": MEANINGS[status], **(refusal if status >= 400 else {})}
    found: Schema = {
        "summary": (handler.fn.__doc__ or "").splitlines()[0],
        "parameters": [
            *(_parameter(part[1:-1], "path", TEXT) for part in path.split("/") if part.startswith("{")),
            *(_parameter(name, "query", schema) for name, schema in described.query.items()),
        ],
        "responses": responses,
    }
    if described.body:
        kinds = [_refer(kind.__name__) for kind in described.body]
        schema = kinds[0] if len(kinds) == 1 else {"anyOf": kinds}
        found["requestBody"] = {"required": not described.may_lack_body, "content": {JSON: {"schema": schema}}}
    if described.caller != "anyone":
        found["security"] = [{described.caller: []}]
    return found


def _parameter(name: str, where: str, schema: Schema) -> Schema:
    return {"name": name, "in": where, "required": where == "path", "schema": schema}


def _schemas() -> dict[str, Schema]:
    bodies = {kind for described in DESCRIBED.values() for kind in described.body}
    ordered = sorted(bodies, key=lambda kind: kind.__name__)
    _, found = msgspec.json.schema_components([*ordered, User, Identity], ref_template=SCHEMAS)
    seen = {name: _present(kind) for name, kind in found["User"]["properties"].items() if name not in UNSEEN}
    found["User"] |= {"properties": seen, "required": sorted(ALWAYS)}
    identity = {name: _present(kind) for name, kind in found["Identity"]["properties"].items()}
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


def _present(kind: Schema) -> Schema:
    """The schema of a field that is absent rather than null."""
    others = [each for each in kind.get("anyOf", ()) if each != {"type": "null"}]
    return others[0] if others else {name: value for name, value in kind.items() if name != "default"}
