"""An explanation as text."""

import string
from collections.abc import Iterator

from stack.explain.report import Check, Function, Person, Policy, Relation, Report, Result, Row

MAX_LISTED = 20
"""Rows that are listed one by one."""
RESULTS: dict[Result, str] = {True: "yes", False: "no", None: "null"}


def as_text(report: Report) -> str:
    """The explanation as text."""
    return "\n".join(_lines(report))


def _lines(report: Report) -> Iterator[str]:
    yield f"{report.method} {report.path}"
    yield f"as {_person(report.person)}"
    yield ""
    yield from _answer(report)
    for function in report.functions:
        yield ""
        yield from _function(function, report.person)
    for relation in report.relations:
        yield ""
        yield from _relation(relation, report.person)
    yield ""
    yield from report.notes


def _person(person: Person) -> str:
    if person.user_id is None:
        bypass = ", to which no policy applies: only privileges count" if person.bypasses_policies else ""
        return f"{person.name}: role {person.role}{bypass}"
    granted = ", ".join(person.roles) or "none"
    account = f", account {person.status}, roles granted: {granted}" if person.status is not None else ""
    return f"{person.name}: {person.user_id}, role {person.role}{account}"


def _answer(report: Report) -> Iterator[str]:
    answer = report.answer
    if answer.error is not None:
        yield f"PostgREST refuses with {answer.status}, {answer.error.get('code')}: {answer.error.get('message')}"
        for name in ("details", "hint"):
            if answer.error.get(name):
                yield f"  {name}: {answer.error[name]}"
        return
    rows = "" if answer.rows is None else f", {answer.rows} {_plural(answer.rows, 'row')}"
    yield f"PostgREST answers {answer.status}{rows}."


def _function(function: Function, person: Person) -> Iterator[str]:
    yield f"function {function.signature}"
    may = "may" if function.may_execute else "may not"
    yield f"  {person.role} {may} execute it; it runs as its {function.runs_as}"
    for line in (function.about or "").splitlines():
        yield f"  | {line}"


def _relation(relation: Relation, person: Person) -> Iterator[str]:
    yield f"{relation.schema}.{relation.name}, {relation.role}"
    for grant in relation.grants:
        yield f"  privilege  {grant}"
    for privilege in relation.lacking:
        yield f"  LACKING    {privilege}"
    if relation.is_open:
        yield "  row level security is off: the privilege alone gives access to every row"
    if relation.matching is not None:
        yield f"  {relation.matching} {_plural(relation.matching, 'row')} {_match(relation.matching)} the filters"
    for check in relation.checks:
        if not relation.is_open:
            yield from _check(check, person)
    for note in relation.notes:
        yield f"  {note}"


def _check(check: Check, person: Person) -> Iterator[str]:
    about = "rows as they would be written" if check.kind == "with check" else "rows as they are"
    yield f"  policies for {check.verb}, about {about}"
    if person.bypasses_policies:
        yield f"    none applies to {person.role}"
        return
    if not any(policy.is_permissive for policy in check.policies):
        yield f"    none for {person.role}: no row passes"
    letters = iter(_letters())
    named: dict[str, list[str]] = {}
    for policy in check.policies:
        named[policy.name] = [next(letters) for _ in policy.terms]
        yield from _policy(policy, named[policy.name])
    yield from _rows(check, named)


def _policy(policy: Policy, letters: list[str]) -> Iterator[str]:
    restrictive = "" if policy.is_permissive else ", restrictive: must hold too"
    combination = f" ({'any' if policy.joined_by == 'any' else 'all'} of)" if len(policy.terms) > 1 else ""
    yield f"    {policy.name}{combination}{restrictive}"
    for letter, term in zip(letters, policy.terms, strict=True):
        yield f"      {letter:<2} {term}"


def _rows(check: Check, named: dict[str, list[str]]) -> Iterator[str]:
    if not check.rows:
        return
    passes = sum(row.passes for row in check.rows)
    passing, failing = ("shown", "hidden") if check.verb == "select" else ("allowed", "not allowed")
    total = len(check.rows)
    yield f"    {total} {_plural(total, 'row')}: {passes} {passing}, {total - passes} {failing}"
    letters = [letter for policy in check.policies for letter in named[policy.name]]
    errors: dict[str, str] = {}
    table = [["", *letters, ""]]
    for row in sorted(check.rows, key=lambda row: row.passes)[:MAX_LISTED]:
        results = []
        for policy in check.policies:
            for letter, result in zip(named[policy.name], row.terms[policy.name], strict=True):
                if isinstance(result, str):
                    errors[letter] = result
                results.append("error" if isinstance(result, str) else RESULTS[result])
        policies = ", ".join(_decisive(check, row))
        outcome = f"{passing if row.passes else failing}{f' by {policies}' if policies else ''}"
        if row.passes and row.is_answered is False:
            outcome += ", but missing from the answer: an embedded row that it needs is hidden"
        table.append([" ".join(str(value) for value in row.key.values()) or "(new)", *results, outcome])
    widths = [max(len(line[column]) for line in table) for column in range(len(table[0]))]
    for line in table:
        yield ("      " + "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True))).rstrip()
    if len(check.rows) > MAX_LISTED:
        yield f"      and {len(check.rows) - MAX_LISTED} more"
    for letter, error in errors.items():
        yield f"      {letter} ends in an error: {error}"


def _decisive(check: Check, row: Row) -> list[str]:
    """The policies that show a row, or hide it."""
    holds = {policy.name: row.policies[policy.name] is True for policy in check.policies}
    restrictive = [policy.name for policy in check.policies if not policy.is_permissive and not holds[policy.name]]
    if restrictive and not row.passes:
        return restrictive
    return [policy.name for policy in check.policies if policy.is_permissive and holds[policy.name] is row.passes]


def _letters() -> Iterator[str]:
    yield from string.ascii_lowercase
    for first in string.ascii_lowercase:
        yield from (first + second for second in string.ascii_lowercase)


def _plural(count: int, word: str) -> str:
    return word if count == 1 else f"{word}s"


def _match(count: int) -> str:
    return "matches" if count == 1 else "match"
