"""The marker that ties a test to endpoints of the reference, and holds it to the claim.

    @pytest.mark.route("WC-099", call="POST /rest/v1/rpc/submit_quiz")

says that the test shows how to do the job of WC-099: it makes this call with success and, unless `public=True` is
added, has the same method and path refused to other credentials. A marked test that does not is failed. Several ids and
several markers may stand on one test. Ids are those of docs/endpoints.csv; another one is an error at collection.

A call is a method, a path and the parts of the query that matter, in which `{word}` stands for what varies:
`GET /rest/v1/courses?slug=eq.{slug}`. A query name without `=` must merely be there.

Success is a 2xx that is not an empty list; `answers=410` says that the job is to be told just that. Refused is 401,
403, 404, a signature that is not valid or, since RLS hides rows rather than refusing them, an empty answer to the same
read, update or delete that gave something to the one who succeeded.

Only calls to the stack's own origin count, of which the fixture `stack` tells this plugin.
"""

import json
import re
from collections import defaultdict
from collections.abc import Awaitable, Callable, Generator, Iterable
from typing import Any, NoReturn
from urllib.parse import unquote

import httpx
import msgspec
import pytest

from stack import routes

PROPERTY = "route"
CREDENTIALS = ("authorization", "apikey", "svix-signature", "stripe-signature")
"""The headers by which a caller proves who he is."""
OPTIONS: dict[str, Any] = {"call": None, "public": False, "answers": None}
"""What a marker may say beside the ids."""


class Call(msgspec.Struct, frozen=True, kw_only=True):
    """One HTTP call that a test made."""

    method: str
    path: str
    query: tuple[tuple[str, str], ...]
    caller: tuple[str | None, ...]
    """The credentials it carried."""
    status: int
    body: Any
    """The decoded JSON answer; None where there is none."""

    @property
    def is_empty(self) -> bool:
        """Whether RLS left nothing to read, update or delete."""
        return self.method in {"GET", "PATCH", "DELETE"} and (
            (self.status in {200, 206} and self.body == [])
            or (self.status == 406 and isinstance(self.body, dict) and self.body.get("code") == "PGRST116")
        )

    @property
    def is_success(self) -> bool:
        """Whether it did something."""
        return 200 <= self.status < 300 and self.body != []

    @property
    def is_refusal(self) -> bool:
        """Whether it was refused in so many words."""
        status, code = self.status, None
        if isinstance(self.body, dict):
            if self.body.get("message") == "signature_invalid":
                return True
            code = self.body.get("code")
            if status == 400 and "statusCode" in self.body:  # storage puts the real status there
                status = int(self.body["statusCode"])
        # PGRST2xx is a mistake in the call: there is no such table or function.
        return status in {401, 403, 404} and not str(code).startswith("PGRST2")


class Claim(msgspec.Struct, frozen=True, kw_only=True):
    """What one marker says."""

    ids: tuple[str, ...]
    call: str
    is_public: bool
    answers: int | None
    """The status that counts as success, where that is no 2xx."""
    method: str
    path: re.Pattern[str]
    query: tuple[tuple[str, re.Pattern[str]], ...]

    def problem(self, calls: Iterable[Call]) -> str | None:
        """Why these calls do not prove the claim; None where they do."""
        made = [call for call in calls if call.method == self.method and self.path.fullmatch(call.path)]
        done = [call for call in made if self._succeeds(call) and self._asks(call)]
        if not done:
            seen = ", ".join(f"{call.status} {dict(call.query)}" for call in made) or "none"
            return f"the test made no successful {self.call} (calls to that path: {seen})"
        if self.is_public or any(
            refused.caller != accepted.caller
            and (refused.is_refusal or (refused.is_empty and refused.query == accepted.query))
            for refused in made
            for accepted in done
        ):
            return None
        return f"the test did not show that {self.call} is refused to anybody"

    def _succeeds(self, call: Call) -> bool:
        return call.is_success if self.answers is None else call.status == self.answers

    def _asks(self, call: Call) -> bool:
        return all(
            any(name == wanted and pattern.fullmatch(value) for name, value in call.query)
            for wanted, pattern in self.query
        )


def pytest_configure(config: pytest.Config) -> None:
    """Start watching."""
    config.pluginmanager.register(RouteMarker(config), "route-marker")


class RouteMarker:
    """Watches the calls of each test and keeps what was proved."""

    def __init__(self, config: pytest.Config) -> None:
        self.origin: str | None = None
        """The stack's, without a trailing slash; no call counts before it is known."""
        self._config = config
        self._known = routes.endpoints()
        self._calls: list[Call] | None = None
        self._served: dict[str, set[routes.Proof]] = defaultdict(set)
        self._patch = pytest.MonkeyPatch()
        self._watch()

    def pytest_unconfigure(self) -> None:
        """Let httpx be as it was."""
        self._patch.undo()

    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        """Refuse a marker that cannot be kept while its file is collected."""
        self._claims(metafunc.definition)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_call(self, item: pytest.Item) -> Generator[None, object, object]:
        """Watch a marked test, and fail it where it passed without proving its claims."""
        claims = self._claims(item)
        calls: list[Call] = []
        self._calls = calls
        try:
            result = yield
        finally:
            self._calls = None
        problems = [problem for claim in claims if (problem := claim.problem(calls))]
        if problems:
            pytest.fail("; ".join(problems), pytrace=False)
        for claim in claims:
            for endpoint in claim.ids:
                item.user_properties.append((PROPERTY, [endpoint, claim.call]))
        return result

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Keep what a passed test proved. With workers, the controller gets their reports here."""
        if report.when != "call" or not report.passed:
            return
        for name, value in report.user_properties:
            if name == PROPERTY and isinstance(value, list):
                endpoint, call = value
                self._served[endpoint].add(routes.Proof(call=call, test=report.nodeid.partition("[")[0]))

    def pytest_sessionfinish(self, session: pytest.Session, exitstatus: int) -> None:
        """Write the record of a full run."""
        finished = exitstatus in {pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED}
        if finished and not session.shouldstop and not hasattr(self._config, "workerinput") and self._is_full_run():
            routes.write_record(self._served)

    def _is_full_run(self) -> bool:
        config = self._config
        narrowing = ("keyword", "markexpr", "deselect", "ignore", "ignore_glob", "lf", "maxfail", "collectonly")
        here = config.invocation_params.dir
        return {here / argument for argument in config.args} == {
            config.rootpath / folder for folder in config.getini("testpaths")
        } and not any(config.getoption(option, None) for option in narrowing)

    def _claims(self, item: Any) -> list[Claim]:
        return [self._claim(mark) for mark in item.iter_markers("route")]

    def _claim(self, mark: pytest.Mark) -> Claim:
        options = dict(mark.kwargs)
        call, is_public, answers = (options.pop(name, default) for name, default in OPTIONS.items())
        if not mark.args or not isinstance(call, str) or not isinstance(answers, int | None) or options:
            _refuse('write @pytest.mark.route("<id>", ..., call="<METHOD> <path>"), and public=True where it is')
        unknown = [endpoint for endpoint in mark.args if endpoint not in self._known]
        if unknown:
            _refuse(f"docs/endpoints.csv has no {', '.join(map(str, unknown))}")
        written = re.fullmatch(r"([A-Z]+) (/[^?]*)(?:\?(.+))?", call)
        if written is None:
            _refuse(f"{call!r} is not a method and a path")
        method, path, query = written.groups()
        return Claim(
            ids=mark.args,
            call=call,
            is_public=is_public,
            answers=answers,
            method=method,
            path=_pattern(path, "[^/]+"),
            query=tuple(
                (name, _pattern(value if separator else "{any}", ".*"))
                for name, separator, value in (part.partition("=") for part in query.split("&") if part)
            )
            if query
            else (),
        )

    def _watch(self) -> None:
        """Hook the one method through which every httpx call goes, those of the official client included."""
        send: Callable[..., httpx.Response] = httpx.Client.send
        send_async: Callable[..., Awaitable[httpx.Response]] = httpx.AsyncClient.send

        def watched(client: httpx.Client, *args: Any, **options: Any) -> httpx.Response:
            response = send(client, *args, **options)
            self._record(response)
            return response

        async def watched_async(client: httpx.AsyncClient, *args: Any, **options: Any) -> httpx.Response:
            response = await send_async(client, *args, **options)
            self._record(response)
            return response

        self._patch.setattr(httpx.Client, "send", watched)
        self._patch.setattr(httpx.AsyncClient, "send", watched_async)

    def _record(self, response: httpx.Response) -> None:
        if self._calls is None or self.origin is None:
            return
        for answer in (*response.history, response):
            url = answer.request.url
            if not str(url).startswith(f"{self.origin}/"):
                continue
            headers = answer.request.headers
            self._calls.append(
                Call(
                    method=answer.request.method,
                    path=unquote(url.path),
                    query=tuple(url.params.multi_items()),
                    caller=tuple(headers.get(name) for name in CREDENTIALS),
                    status=answer.status_code,
                    body=_json(answer),
                )
            )


def _pattern(template: str, anything: str) -> re.Pattern[str]:
    """A template with `{word}` for what varies, as a pattern."""
    parts = re.split(r"(\{\w+\})", template)
    return re.compile("".join(anything if part.startswith("{") else re.escape(part) for part in parts))


def _json(response: httpx.Response) -> Any:
    """The JSON of an answer that was read whole; None where it is something else or still streams."""
    if not response.is_closed or "json" not in response.headers.get("content-type", ""):
        return None
    try:
        return json.loads(response.content)
    except (ValueError, httpx.StreamError):
        return None


def _refuse(reason: str) -> NoReturn:
    pytest.fail(f"route marker: {reason}", pytrace=False)
