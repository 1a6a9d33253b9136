"""The marker that claims endpoints of the reference for a test, and checks the claim.

    @pytest.mark.route("WC-099", call="POST /rest/v1/rpc/submit_quiz")

claims that the test does the job of WC-099: it makes this call successfully, and the same method and path are refused
to other credentials, unless the marker has `public=True`. A marked test that does not fails. A test may have several
ids and several markers. An id that docs/endpoints.csv lacks is an error at collection.

A call is a method, a path and the parts of the query that matter, in which `{word}` matches any value:
`GET /rest/v1/courses?slug=eq.{slug}`. A query name without `=` may have any value.

Success is a 2xx that is not an empty list, or the status of `answers=410`. Refused is 401, 403, 404, an invalid
signature or, since RLS hides rows rather than refusing, an empty answer to the same read, update or delete that
succeeded for another caller.

Only calls to the stack's origin count, which the fixture `stack` gives to this plugin.
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

from stack.tools import routes

PROPERTY = "route"
CREDENTIALS = ("authorization", "apikey", "svix-signature", "stripe-signature")
"""The headers that identify a caller."""
OPTIONS: dict[str, Any] = {"call": None, "public": False, "answers": None}
"""The options of a marker, with their defaults."""


class Call(msgspec.Struct, frozen=True, kw_only=True):
    """One HTTP call that a test made."""

    method: str
    path: str
    query: tuple[tuple[str, str], ...]
    caller: tuple[str | None, ...]
    """The values of the credential headers."""
    status: int
    body: Any
    """The decoded JSON answer; None where there is none."""

    @property
    def is_empty(self) -> bool:
        """Whether RLS hid every row from a read, update or delete."""
        return self.method in {"GET", "PATCH", "DELETE"} and (
            (self.status in {200, 206} and self.body == [])
            or (self.status == 406 and isinstance(self.body, dict) and self.body.get("code") == "PGRST116")
        )

    @property
    def is_success(self) -> bool:
        """Whether it succeeded and returned or changed rows."""
        return 200 <= self.status < 300 and self.body != []

    @property
    def is_refusal(self) -> bool:
        """Whether it was refused explicitly."""
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
    """The claim of one marker."""

    ids: tuple[str, ...]
    call: str
    is_public: bool
    answers: int | None
    """The status that counts as success, where it is not a 2xx."""
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
        return f"the test did not show that {self.call} is refused to another caller"

    def _succeeds(self, call: Call) -> bool:
        return call.is_success if self.answers is None else call.status == self.answers

    def _asks(self, call: Call) -> bool:
        return all(
            any(name == wanted and pattern.fullmatch(value) for name, value in call.query)
            for wanted, pattern in self.query
        )


def pytest_configure(config: pytest.Config) -> None:
    """Register the plugin."""
    config.pluginmanager.register(RouteMarker(config), "route-marker")


class RouteMarker:
    """Records the calls of each marked test and the claims that passed tests proved."""

    def __init__(self, config: pytest.Config) -> None:
        self.origin: str | None = None
        """The stack's origin without a trailing slash; no call counts while it is None."""
        self._config = config
        self._known = routes.endpoints()
        self._calls: list[Call] | None = None
        self._served: dict[str, set[routes.Proof]] = defaultdict(set)
        self._patch = pytest.MonkeyPatch()
        self._hook_httpx()

    def pytest_unconfigure(self) -> None:
        """Remove the hook from httpx."""
        self._patch.undo()

    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        """Check the markers at collection."""
        self._claims(metafunc.definition)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_call(self, item: pytest.Item) -> Generator[None, object, object]:
        """Record the calls of a marked test, and fail it where it passed without proving its claims."""
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
        """Keep the claims of a passed test. With workers, the controller gets their reports here."""
        if report.when != "call" or not report.passed:
            return
        for name, value in report.user_properties:
            if name == PROPERTY and isinstance(value, list):
                endpoint, call = value
                self._served[endpoint].add(routes.Proof(call=call, test=report.nodeid.partition("[")[0]))

    def pytest_sessionfinish(self, session: pytest.Session, exitstatus: int) -> None:
        """Write the record of a full run, or add to it what repeated tests proved."""
        finished = exitstatus in {pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED}
        if finished and not session.shouldstop and not hasattr(self._config, "workerinput") and self._is_full_run():
            if self._config.getoption("lf", None):
                routes.add_to_record(self._served)
            else:
                routes.write_record(self._served)

    def _is_full_run(self) -> bool:
        config = self._config
        narrowing = ("keyword", "markexpr", "deselect", "ignore", "ignore_glob", "maxfail", "collectonly")
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

    def _hook_httpx(self) -> None:
        """Hook the method that every httpx call goes through, including those of supabase-py."""
        send: Callable[..., httpx.Response] = httpx.Client.send
        send_async: Callable[..., Awaitable[httpx.Response]] = httpx.AsyncClient.send

        def recorded(client: httpx.Client, *args: Any, **options: Any) -> httpx.Response:
            response = send(client, *args, **options)
            self._record(response)
            return response

        async def recorded_async(client: httpx.AsyncClient, *args: Any, **options: Any) -> httpx.Response:
            response = await send_async(client, *args, **options)
            self._record(response)
            return response

        self._patch.setattr(httpx.Client, "send", recorded)
        self._patch.setattr(httpx.AsyncClient, "send", recorded_async)

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
    """The pattern of a template, in which `{word}` matches `anything`."""
    parts = re.split(r"(\{\w+\})", template)
    return re.compile("".join(anything if part.startswith("{") else re.escape(part) for part in parts))


def _json(response: httpx.Response) -> Any:
    """The JSON of an answer; None where it is not JSON, or is still streamed."""
    if not response.is_closed or "json" not in response.headers.get("content-type", ""):
        return None
    try:
        return json.loads(response.content)
    except (ValueError, httpx.StreamError):
        return None


def _refuse(reason: str) -> NoReturn:
    pytest.fail(f"route marker: {reason}", pytrace=False)
