"""Makes the calls of the demo, and prints each with its answer. An unexpected answer ends the demo with an error."""

import json
import re
import shutil
import time
from collections.abc import Callable
from textwrap import wrap
from typing import Any

import httpx
import msgspec

from stack.errors import StackError

UUID = re.compile(r"([0-9a-f]{8})-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
MAX_LINES = 4
"""Lines of an answer that are printed."""
MIN_WIDTH, MAX_WIDTH = 60, 110


class Caller(msgspec.Struct, frozen=True, kw_only=True):
    """A person in the demo."""

    name: str
    user_id: str | None = None
    """None for a visitor."""
    token: str | None = None


class DemoClient:
    """Calls the API as one person or another."""

    def __init__(self, http: httpx.Client, key: str, say: Callable[[str], None], *, whole: bool = False) -> None:
        """Prepare.

        Args:
            http: a client whose base URL is the API.
            key: the publishable key.
            say: prints a line.
            whole: whether to print answers whole.
        """
        self._http = http
        self._key = key
        self._say = say
        self._whole = whole
        self.calls = 0
        """How many calls were made."""

    def heading(self, title: str) -> None:
        """Print a heading."""
        self._say(f"\n── {title} {'─' * max(3, self._width - len(title) - 4)}")

    def note(self, text: str) -> None:
        """Print an explanation."""
        self._say(f"\n  {text}")

    def sign_in(self, name: str, email: str, password: str) -> Caller:
        """Sign in a user of the seed."""
        session = self.call(
            Caller(name=name),
            "POST",
            "/auth/v1/token?grant_type=password",
            {"email": email, "password": password},
            secret=("password", "access_token", "refresh_token"),
        )
        return Caller(name=name, user_id=session["user"]["id"], token=session["access_token"])

    def rpc(self, caller: Caller, name: str, expect: int = 200, /, **arguments: Any) -> Any:
        """Call a function; returns its result."""
        return self.call(caller, "POST", f"/rest/v1/rpc/{name}", arguments, expect=expect)

    def insert(self, caller: Caller, table: str, **columns: Any) -> dict[str, Any]:
        """Insert one row, and return it."""
        row: dict[str, Any] = self.call(caller, "POST", f"/rest/v1/{table}", columns, expect=201)[0]
        return row

    def call(
        self,
        caller: Caller,
        method: str,
        path: str,
        body: Any = None,
        *,
        expect: int = 200,
        accept: str = "application/json",
        secret: tuple[str, ...] = (),
    ) -> Any:
        """Make one call, and print it with its answer.

        Args:
            caller: the caller.
            method: GET, POST, ...
            path: from the origin.
            body: sent as JSON, unless it is None.
            expect: the expected status.
            accept: the media type to ask for.
            secret: keys whose values are not printed.

        Returns:
            The decoded JSON, or the bytes of another media type.

        Raises:
            StackError: the status is another one.
        """
        headers = {"apikey": self._key, "Prefer": "return=representation", "Accept": accept}
        if caller.token:
            headers["Authorization"] = f"Bearer {caller.token}"
        self._say(f"\n  {caller.name}: {method} {path}")
        if body is not None:
            self._show("", _without(body, secret))
        answer = self._http.request(method, path, json=body, headers=headers)
        if answer.status_code == 429 != expect:
            # The demo ran just before, and its people have used up their calls of this minute.
            seconds = int(answer.headers["retry-after"])
            self._say(f"      429 rate_limited: trying again in {seconds} s")
            time.sleep(seconds)
            answer = self._http.request(method, path, json=body, headers=headers)
        self.calls += 1
        content: Any = answer.content
        if not answer.content:
            shown: Any = ""
        elif "json" in answer.headers.get("content-type", ""):
            content = answer.json()
            shown = _without(content, secret)
        elif answer.headers.get("content-type", "").startswith("text/"):
            shown = answer.text.rstrip()
        else:
            shown = f"{answer.headers.get('content-type')}, {len(answer.content):,} bytes"
        self._show(f"{answer.status_code} ", shown)
        if answer.status_code != expect:
            raise StackError(f"the demo failed: {method} {path} should have answered {expect}")
        return content

    def click(self, caller: Caller, page: str, button: str) -> None:
        """Press a button on a page outside of the API, as a browser does.

        Raises:
            StackError: the page does not redirect.
        """
        self._say(f"\n  {caller.name}, in the browser: {button!r} on {page}")
        answer = self._http.post(page, data={"action": button})
        self._show(f"{answer.status_code} ", f"redirects to {answer.headers.get('location', 'no page')}")
        if answer.status_code != 303:
            raise StackError(f"the demo failed: {page} should have redirected")

    @property
    def _width(self) -> int:
        return max(MIN_WIDTH, min(MAX_WIDTH, shutil.get_terminal_size((100, 24)).columns))

    def _show(self, mark: str, value: Any) -> None:
        text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        if mark and not self._whole:
            text = UUID.sub(r"\1…", text)
        width = self._width - 6
        lines = [part for line in f"{mark}{text}".splitlines() or [mark] for part in wrap(line, width) or [""]]
        if not self._whole and len(lines) > MAX_LINES:
            lines = [*lines[: MAX_LINES - 1], f"{lines[MAX_LINES - 1][: width - 4]} ..."]
        for line in lines:
            self._say(f"      {line}")


def _without(value: Any, secret: tuple[str, ...]) -> Any:
    """A JSON value with dots for the values of these keys."""
    if isinstance(value, dict):
        return {key: "..." if key in secret else _without(item, secret) for key, item in value.items()}
    if isinstance(value, list):
        return [_without(item, secret) for item in value]
    return value
