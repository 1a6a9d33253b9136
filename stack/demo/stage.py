"""Who plays, and how each call and its answer is shown.

Nothing here knows the story. A call that is answered otherwise than the story expects
ends it: the demo is a check, too.
"""

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
LINES = 4
"""Of an answer that are shown, where not all of it is."""
NARROWEST = 60


class Actor(msgspec.Struct, frozen=True, kw_only=True):
    """One who calls: a name for the reader, and a token for the stack."""

    name: str
    user_id: str | None = None
    """None for a stranger, who has no token either."""
    token: str | None = None


class Stage:
    """Makes calls to a stack as one actor or another, and shows them."""

    def __init__(self, http: httpx.Client, key: str, say: Callable[[str], None], *, whole: bool = False) -> None:
        """Args: a client whose base is the API, the publishable key, where lines go; whether to show answers whole."""
        self._http = http
        self._key = key
        self._say = say
        self._whole = whole
        self.calls = 0

    def chapter(self, title: str) -> None:
        """Begin another part of the story."""
        self._say(f"\n── {title} {'─' * max(3, self._width - len(title) - 4)}")

    def remark(self, text: str) -> None:
        """Say something to the reader."""
        self._say(f"\n  {text}")

    def sign_in(self, name: str, email: str, password: str) -> Actor:
        """Sign in one of the academy's people."""
        session = self.call(
            Actor(name=name),
            "POST",
            "/auth/v1/token?grant_type=password",
            {"email": email, "password": password},
            secret=("password", "access_token", "refresh_token"),
        )
        return Actor(name=name, user_id=session["user"]["id"], token=session["access_token"])

    def rpc(self, who: Actor, name: str, expect: int = 200, /, **arguments: Any) -> Any:
        """Call a function; returns its answer."""
        return self.call(who, "POST", f"/rest/v1/rpc/{name}", arguments, expect=expect)

    def insert(self, who: Actor, table: str, **columns: Any) -> dict[str, Any]:
        """Insert one row, and return it."""
        row: dict[str, Any] = self.call(who, "POST", f"/rest/v1/{table}", columns, expect=201)[0]
        return row

    def call(
        self,
        who: Actor,
        method: str,
        path: str,
        body: Any = None,
        *,
        expect: int = 200,
        accept: str = "application/json",
        secret: tuple[str, ...] = (),
    ) -> Any:
        """One call, shown with its answer.

        Args:
            who: whose token goes with it.
            method: GET, POST, ...
            path: from the origin.
            body: sent as JSON where it is not None.
            expect: the status that the story needs.
            accept: what kind of answer is asked for.
            secret: keys whose values are not shown, in the body and in the answer.

        Returns:
            The decoded JSON, or the bytes where the answer is of another kind.

        Raises:
            StackError: the status was another one.
        """
        headers = {"apikey": self._key, "Prefer": "return=representation", "Accept": accept}
        if who.token:
            headers["Authorization"] = f"Bearer {who.token}"
        self._say(f"\n  {who.name}: {method} {path}")
        if body is not None:
            self._show("", _without(body, secret))
        answer = self._http.request(method, path, json=body, headers=headers)
        if answer.status_code == 429 != expect:
            # The story was played just before, and its people have called as often as anybody may in a minute.
            seconds = int(answer.headers["retry-after"])
            self._say(f"      429 rate_limited: it is asked again in {seconds} s")
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
            raise StackError(f"the story went wrong: {method} {path} should have answered {expect}")
        return content

    def click(self, who: Actor, page: str, button: str) -> None:
        """Press a button on a page outside the API, as somebody in a browser.

        Raises:
            StackError: the page does not lead on.
        """
        self._say(f"\n  {who.name}, in the browser: {button!r} on {page}")
        answer = self._http.post(page, data={"action": button})
        self._show(f"{answer.status_code} ", f"on to {answer.headers.get('location', 'nowhere')}")
        if answer.status_code != 303:
            raise StackError(f"the story went wrong: {page} should have led on")

    @property
    def _width(self) -> int:
        return max(NARROWEST, min(110, shutil.get_terminal_size((100, 24)).columns))

    def _show(self, mark: str, value: Any) -> None:
        text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        if mark and not self._whole:
            text = UUID.sub(r"\1…", text)
        width = self._width - 6
        lines = [part for line in f"{mark}{text}".splitlines() or [mark] for part in wrap(line, width) or [""]]
        if not self._whole and len(lines) > LINES:
            lines = [*lines[: LINES - 1], f"{lines[LINES - 1][: width - 4]} ..."]
        for line in lines:
            self._say(f"      {line}")


def _without(value: Any, secret: tuple[str, ...]) -> Any:
    """A JSON value in which what stands under these keys is not to be seen."""
    if isinstance(value, dict):
        return {key: "..." if key in secret else _without(item, secret) for key, item in value.items()}
    if isinstance(value, list):
        return [_without(item, secret) for item in value]
    return value
