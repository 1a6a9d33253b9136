"""One call of the API: authentication, injected faults, idempotency, and the answer."""

import asyncio
import base64
import binascii
import hashlib
import hmac
import time
from sqlite3 import Row
from urllib.parse import parse_qsl

import msgspec
from litestar import Request, Response
from litestar.datastructures import State

from stack.doubles.stripe import rules
from stack.doubles.stripe.errors import Object, StripeError
from stack.doubles.stripe.expand import expand
from stack.doubles.stripe.params import Params, decode, refuse_unread
from stack.doubles.stripe.routes import ROUTES
from stack.doubles.stripe.simulator import Simulator
from stack.doubles.stripe.store import REMEMBERED_SECONDS
from stack.doubles.stripe.unit_of_work import API_VERSION, UnitOfWork, new_id, visible

MAX_KEY_LENGTH = 255
SERVER_ERROR = 500
"""The first status that is a fault of Stripe's own."""


class Call(msgspec.Struct, frozen=True, kw_only=True):
    """A request."""

    id: str
    method: str
    path: str
    form: str
    """The parameters, as the body or the query encodes them."""
    key: str | None
    """The idempotency key. Only a POST has one."""

    @property
    def fingerprint(self) -> str:
        """Identifies path and parameters, which must not differ when the key is used again."""
        pairs = sorted(parse_qsl(self.form, keep_blank_values=True))
        return hashlib.sha256(msgspec.json.encode([self.path, pairs])).hexdigest()


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """The answer to a call."""

    body: bytes
    status: int = 200
    original: str | None = None
    """The request whose answer this repeats, if it does."""


async def answer(simulator: Simulator, request: Request[None, None, State]) -> Response[bytes]:
    """Answer one call of the API."""
    key = request.headers.get("idempotency-key") if request.method == "POST" else None
    form = (await request.body()).decode(errors="replace") if request.method == "POST" else request.url.query
    call = Call(id=new_id("req_", 14), method=request.method, path=request.url.path, form=form, key=key)
    try:
        authenticate(simulator.settings.api_key, request.headers.get("authorization", ""))
        answered = await _answer_with_faults(simulator, call)
    except StripeError as error:
        answered = Answer(status=error.status, body=msgspec.json.encode(error.body()))
    headers = {
        "request-id": call.id,
        "stripe-version": request.headers.get("stripe-version", API_VERSION),
        "cache-control": "no-cache, no-store",
    }
    if key is not None:
        headers["idempotency-key"] = key
    if answered.original is not None:
        headers |= {"idempotent-replayed": "true", "original-request": answered.original}
    return Response(answered.body, status_code=answered.status, media_type="application/json", headers=headers)


def authenticate(expected: str, authorization: str) -> None:
    """Check the caller's key, sent as a bearer or as the user of Basic.

    Raises:
        StripeError: 401.
    """
    scheme, _, sent = authorization.partition(" ")
    if scheme.lower() == "basic":
        try:
            sent = base64.b64decode(sent).decode().partition(":")[0]
        except (binascii.Error, UnicodeDecodeError):
            sent = ""
    if not sent or scheme.lower() not in {"basic", "bearer"}:
        message = "You did not provide an API key. You need to provide your API key in the Authorization header."
        raise StripeError(message, status=401)
    if not hmac.compare_digest(sent.encode(), expected.encode()):
        raise StripeError(f"Invalid API Key provided: {sent[:8]}{'*' * 12}{sent[-4:]}", status=401)


async def _answer_with_faults(simulator: Simulator, call: Call) -> Answer:
    known = _known(simulator, call)
    is_replayed = known is not None and known["status"] >= SERVER_ERROR
    fault = None if is_replayed else _find_fault(simulator, call)
    await asyncio.sleep(simulator.settings.latency)
    if fault is None:
        return _answer_once(simulator, call)
    if fault["when"] == "after":
        answered = _answer_once(simulator, call)
    await asyncio.sleep(fault["seconds"])
    if fault["status"]:
        message = "A rule of the double makes this fail."
        if fault["is_saved"] and call.key is not None:
            error = StripeError(message, status=fault["status"], kind=fault["type"], code=fault["code"])
            return _save_error(simulator, call, error)
        raise StripeError(message, status=fault["status"], kind=fault["type"], code=fault["code"])
    return answered if fault["when"] == "after" else _answer_once(simulator, call)


def _answer_once(simulator: Simulator, call: Call) -> Answer:
    """Do the work in a transaction of its own. A key that was used before gets its first answer again."""
    if call.key is None:
        with simulator.work(request_id=call.id) as work:
            return _handle(work, call)
    if not 0 < len(call.key) <= MAX_KEY_LENGTH:
        message = f"The idempotency key must have from 1 to {MAX_KEY_LENGTH} characters."
        raise StripeError(message, kind="idempotency_error")
    known = _known(simulator, call)
    if known is None:
        with simulator.work(request_id=call.id, idempotency_key=call.key) as work:
            answered = _handle(work, call)
            _remember(work, call, answered)
            return answered
    if known["fingerprint"] != call.fingerprint:
        message = (
            "Keys for idempotent requests can only be used with the same parameters they were first used with. "
            f"Try using a key other than '{call.key}' if you meant to execute a different request."
        )
        raise StripeError(message, kind="idempotency_error")
    return Answer(status=known["status"], body=known["body"].encode(), original=known["request"])


def _known(simulator: Simulator, call: Call) -> Row | None:
    """The remembered answer to a call's key."""
    found: Row | None = simulator.store.connection.execute(
        "select * from remembered_answers where key = ? and at > ?", (call.key, time.time() - REMEMBERED_SECONDS)
    ).fetchone()
    return found


def _save_error(simulator: Simulator, call: Call, error: StripeError) -> Answer:
    """Answer an error that the key remembers."""
    answered = Answer(status=error.status, body=msgspec.json.encode(error.body()))
    with simulator.work(request_id=call.id, idempotency_key=call.key) as work:
        _remember(work, call, answered)
    return answered


def _remember(work: UnitOfWork, call: Call, answered: Answer) -> None:
    work.connection.execute(
        "insert or replace into remembered_answers (key, fingerprint, status, body, request, at)"
        " values (?, ?, ?, ?, ?, ?)",
        (call.key, call.fingerprint, answered.status, answered.body.decode(), call.id, time.time()),
    )


def _handle(work: UnitOfWork, call: Call) -> Answer:
    found = ROUTES.find(call.method, call.path)
    if found is None:
        message = f"Unrecognized request URL ({call.method}: {call.path}). This double does not answer it."
        raise StripeError(message, status=404)
    handler, ids = found
    params = Params(decode(call.form))
    params.ignore("expand")
    try:
        result = handler(work, params, *ids)
    except StripeError as error:
        if not error.is_remembered:
            raise
        return Answer(status=error.status, body=msgspec.json.encode(error.body()))
    result = expand(work, params, result)
    refuse_unread(params)
    return Answer(body=msgspec.json.format(msgspec.json.encode(visible(result))))


def _find_fault(simulator: Simulator, call: Call) -> Object | None:
    """The fault that the control wants for this call, or None; it counts as used."""
    with simulator.store.transaction() as connection:
        for number, _, body in rules.find(connection, rules.FAULT):
            matches = body["method"] in ("", call.method) and call.path.startswith(body["path"])
            if matches and body["contains"] in f"{call.path} {call.form}":
                rules.use(connection, number)
                return body
    return None
