"""Which endpoints of the reference are served: by which call, and by which test.

docs/endpoints.csv lists all endpoints. A full run of the tests records in .guildhall/routes.json what its tests proved
(tests/route_marker.py), and docs/routes.md is made from both.
"""

import csv
import sys
from collections.abc import Iterable, Mapping

import msgspec

from stack.cli import DEFAULT_DATA
from stack.errors import StackError
from stack.paths import ROOT
from stack.tools.policies import DOMAINS

ENDPOINTS = ROOT / "docs" / "endpoints.csv"
PAGE = ROOT / "docs" / "routes.md"
RECORD = DEFAULT_DATA / "routes.json"


class Endpoint(msgspec.Struct, frozen=True, kw_only=True):
    """One endpoint of the reference."""

    id: str
    domain: str
    system: str
    method: str
    path: str
    auth: str


class Proof(msgspec.Struct, frozen=True, kw_only=True, order=True):
    """A call that serves an endpoint, and the test that made it."""

    call: str
    test: str


class Route(msgspec.Struct, frozen=True, kw_only=True):
    """An endpoint and what serves it."""

    endpoint: Endpoint
    proofs: tuple[Proof, ...]

    @property
    def calls(self) -> list[str]:
        """The calls that serve it."""
        return sorted({proof.call for proof in self.proofs})

    @property
    def tests(self) -> list[str]:
        """The tests that made them."""
        return sorted({proof.test for proof in self.proofs})


def endpoints() -> dict[str, Endpoint]:
    """Every endpoint of the reference by its id, in the order of the ids."""
    with ENDPOINTS.open(newline="", encoding="utf-8") as file:
        rows = [msgspec.convert(row, Endpoint) for row in csv.DictReader(file)]
    return {row.id: row for row in sorted(rows, key=lambda row: row.id)}


def write_record(served: Mapping[str, Iterable[Proof]]) -> None:
    """Record what a full run of the tests proved, by endpoint."""
    RECORD.parent.mkdir(mode=0o711, exist_ok=True)
    sorted_record = {endpoint: sorted(set(served[endpoint])) for endpoint in sorted(served)}
    RECORD.write_bytes(msgspec.json.format(msgspec.json.encode(sorted_record)) + b"\n")


def add_to_record(served: Mapping[str, Iterable[Proof]]) -> None:
    """Add what repeated tests proved to the record of the last full run.

    Raises:
        StackError: there was no such run, or its record is damaged.
    """
    record = _read_record()
    write_record({endpoint: {*record.get(endpoint, ()), *served.get(endpoint, ())} for endpoint in {*record, *served}})


def routes() -> list[Route]:
    """Every endpoint with what serves it, as the last full run of the tests proved.

    Raises:
        StackError: there was no such run, or its record is damaged.
    """
    record = _read_record()
    return [Route(endpoint=row, proofs=record.get(row.id, ())) for row in endpoints().values()]


def _read_record() -> dict[str, tuple[Proof, ...]]:
    try:
        return msgspec.json.decode(RECORD.read_bytes(), type=dict[str, tuple[Proof, ...]])
    except FileNotFoundError as error:
        raise StackError(
            "no full run of the tests is on record here: read docs/routes.md, which shows the last one that was "
            "committed, or record one with ./guildhall test"
        ) from error
    except msgspec.DecodeError as error:
        raise StackError(f"{RECORD} is damaged: run ./guildhall test again") from error


def is_current() -> bool:
    """Whether docs/routes.md agrees with the last full run of the tests.

    Raises:
        StackError: there was no such run, or its record is damaged.
    """
    expected = page(routes())
    return PAGE.exists() and PAGE.read_text(encoding="utf-8") == expected


def page(found: list[Route]) -> str:
    """The text of docs/routes.md."""
    served = sum(bool(route.proofs) for route in found)
    lines = [
        "# Routes",
        "",
        "<!-- Written by ./guildhall routes from the last full ./guildhall test. Do not edit. -->",
        "",
        "What serves each endpoint of the reference (`docs/endpoints.csv`): the call, and the test that was seen to",
        "make it with success and, unless it is public, to have it refused to another user.",
        "",
        f"Served: {served} of {len(found)}.",
        "",
        "| domain | served | of |",
        "| --- | ---: | ---: |",
        *(f"| {domain} | {done} | {total} |" for domain, done, total in summary(found)),
    ]
    for domain, done, total in summary(found):
        lines += [
            "",
            f"## {domain}: {done} of {total}",
            "",
            "| id | endpoint | served by | test |",
            "| --- | --- | --- | --- |",
            *(_row(route) for route in found if route.endpoint.domain == domain),
        ]
    return "\n".join(lines) + "\n"


def summary(found: list[Route]) -> list[tuple[str, int, int]]:
    """For each domain its name, the number of its served endpoints, and the number of all."""
    return [
        (domain, sum(bool(route.proofs) for route in own), len(own))
        for domain in DOMAINS
        if (own := [route for route in found if route.endpoint.domain == domain])
    ]


def main(json: bool = False) -> int:
    """Print what is served and what is missing, and bring docs/routes.md up to date.

    Args:
        json: print one JSON array of all endpoints instead of text.

    Returns:
        The exit code, 0.

    Raises:
        StackError: there was no full run of the tests yet, or its record is damaged.
    """
    found = routes()
    PAGE.write_text(page(found), encoding="utf-8")
    sys.stdout.write(_as_json(found) if json else _as_text(found))
    return 0


def _row(route: Route) -> str:
    endpoint = route.endpoint
    served = "<br>".join(f"`{call}`" for call in route.calls) or "missing"
    cells = (
        endpoint.id,
        f"`{endpoint.method} {endpoint.path}`",
        served,
        "<br>".join(f"`{test}`" for test in route.tests),
    )
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _as_text(found: list[Route]) -> str:
    lines = []
    for route in found:
        endpoint = route.endpoint
        state = "served " if route.proofs else "missing"
        lines.append(f"{endpoint.id}  {state}  {endpoint.method} {endpoint.path}")
        lines += [f"                 {proof.call}  ({proof.test})" for proof in route.proofs]
    lines += ["", *(f"{domain:<12} {done:>4} of {total}" for domain, done, total in summary(found))]
    lines.append(f"{'all':<12} {sum(bool(route.proofs) for route in found):>4} of {len(found)}")
    return "\n".join(lines) + "\n"


def _as_json(found: list[Route]) -> str:
    rows = [
        {
            **msgspec.structs.asdict(route.endpoint),
            "is_served": bool(route.proofs),
            "proofs": route.proofs,
        }
        for route in found
    ]
    return msgspec.json.format(msgspec.json.encode(rows)).decode() + "\n"
