"""One call of the API: authentication, faults on demand, idempotency, and the answer."""

import asyncio
import base64
import binascii
import hashlib
import hmac
import time
from urllib.parse import parse_qsl

import msgspec
from litestar import Request, Response
from litestar.datastructures import State

from stack.doubles.stripe import rules
from stack.doubles.stripe.book import API_VERSION, Book, new_id, visible
from stack.doubles.stripe.double import Double
from stack.doubles.stripe.errors import Object, StripeError
from stack.doubles.stripe.expand import expand
from stack.doubles.stripe.params import Params, decode, refuse_unread
from stack.doubles.stripe.store import REMEMBERED
from stack.doubles.stripe.table import ROUTES

LONGEST_KEY = 255


class Call(msgspec.Struct, frozen=True, kw_only=True):
    """A request as it came."""

    id: str
    method: str
    path: str
    form: str
    """The parameters, as they were encoded in the body or the query."""
    key: str | None
    """The idempotency key; only POST has one."""

    @property
    def fingerprint(self) -> str:
        """What must be the same when the key is used again."""
        pairs = sorted(parse_qsl(self.form, keep_blank_values=True))
        return hashlib.sha256(msgspec.json.encode([self.path, pairs])).hexdigest()


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What the caller gets."""

    body: bytes
    status: int = 200
    original: str | None = None
    """The request whose answer this is again, if it is that."""


async def answer(double: Double, request: Request[None, None, State]) -> Response[bytes]:
    """One call of the API, whatever comes of it."""
    key = request.headers.get("idempotency-key") if request.method == "POST" else None
    form = (await request.body()).decode(errors="replace") if request.method == "POST" else request.url.query
    call = Call(id=new_id("req_", 14), method=request.method, path=request.url.path, form=form, key=key)
    try:
        authenticate(double.settings.api_key, request.headers.get("authorization", ""))
        if request.headers.get("stripe-account"):
            raise _not_for_others()
        answered = await _play(double, call)
    except StripeError as refused:
        answered = Answer(status=refused.status, body=msgspec.json.encode(refused.body()))
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
    """See that the caller has shown the key, as a bearer or as the user of Basic.

    Raises:
        StripeError: 401.
    """
    scheme, _, shown = authorization.partition(" ")
    if scheme.lower() == "basic":
        try:
            shown = base64.b64decode(shown).decode().partition(":")[0]
        except (binascii.Error, UnicodeDecodeError):
            shown = ""
    if not shown or scheme.lower() not in {"basic", "bearer"}:
        message = "You did not provide an API key. You need to provide your API key in the Authorization header."
        raise StripeError(message, status=401)
    if not hmac.compare_digest(shown.encode(), expected.encode()):
        raise StripeError(f"Invalid API Key provided: {shown[:8]}{'*' * 12}{shown[-4:]}", status=401)


async def _play(double: Double, call: Call) -> Answer:
    fault = _fault(double, call)
    await asyncio.sleep(double.settings.latency)
    if fault is None:
        return _once(double, call)
    if fault["when"] == "after":
        answered = _once(double, call)
    await asyncio.sleep(fault["seconds"])
    if fault["status"]:
        raise StripeError(fault["message"], status=fault["status"], kind=fault["type"], code=fault["code"])
    return answered if fault["when"] == "after" else _once(double, call)


def _once(double: Double, call: Call) -> Answer:
    """Do what is asked, in a transaction of its own; what a key was used for before is answered as it was then."""
    if call.key is None:
        with double.book(request_id=call.id) as book:
            return _work(book, call)
    if not 0 < len(call.key) <= LONGEST_KEY:
        message = f"The idempotency key must have from 1 to {LONGEST_KEY} characters."
        raise StripeError(message, kind="idempotency_error")
    known = double.store.connection.execute(
        "select * from answers where key = ? and at > ?", (call.key, time.time() - REMEMBERED)
    ).fetchone()
    if known is None:
        with double.book(request_id=call.id, idempotency_key=call.key) as book:
            answered = _work(book, call)
            _keep(book, call, answered)
            return answered
    if known["fingerprint"] != call.fingerprint:
        message = (
            "Keys for idempotent requests can only be used with the same parameters they were first used with. "
            f"Try using a key other than '{call.key}' if you meant to execute a different request."
        )
        raise StripeError(message, kind="idempotency_error")
    return Answer(status=known["status"], body=known["body"].encode(), original=known["request"])


def _keep(book: Book, call: Call, answered: Answer) -> None:
    book.connection.execute(
        "insert or replace into answers (key, fingerprint, status, body, request, at) values (?, ?, ?, ?, ?, ?)",
        (call.key, call.fingerprint, answered.status, answered.body.decode(), call.id, time.time()),
    )


def _work(book: Book, call: Call) -> Answer:
    found = ROUTES.find(call.method, call.path)
    if found is None:
        message = f"Unrecognized request URL ({call.method}: {call.path}). This double does not play it."
        raise StripeError(message, status=404)
    handler, ids = found
    params = Params(decode(call.form))
    params.ignore("expand")
    try:
        made = handler(book, params, *ids)
    except StripeError as refused:
        if not refused.is_done:
            raise
        return Answer(status=refused.status, body=msgspec.json.encode(refused.body()))
    made = expand(book, params, made)
    refuse_unread(params)
    return Answer(body=msgspec.json.format(msgspec.json.encode(visible(made))))


def _fault(double: Double, call: Call) -> Object | None:
    """What the control wants to go wrong with this call, if anything; it counts as used."""
    with double.store.transaction() as connection:
        for number, _, body, _ in rules.listed(connection, rules.FAULT):
            is_meant = body["method"] in ("", call.method) and call.path.startswith(body["path"])
            if is_meant and body["contains"] in f"{call.path} {call.form}":
                rules.use(connection, number)
                return body
    return None


def _not_for_others() -> StripeError:
    return StripeError("This double plays the platform's own account only, not calls for connected accounts.")
