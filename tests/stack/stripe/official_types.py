"""Checks JSON of the double against the types of Stripe's own npm package, with TypeScript.

The package declares the objects of the API version that the double plays. Two of its types are made strict for this:
words outside an enumeration are no strings of it, and decimals are the strings that JSON has.
"""

import contextlib
import json
import re
import sqlite3
import subprocess
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from stack.doubles.stripe.store import FILE
from stack.doubles.stripe.unit_of_work import visible
from stack.paths import ROOT

Object = dict[str, Any]

PACKAGE = ROOT / "node_modules" / "stripe"
COMPILER = ROOT / "node_modules" / ".bin" / "tsc"
NAMES = {
    "account": "Account",
    "account_link": "AccountLink",
    "application": "Application",
    "balance": "Balance",
    "balance_transaction": "BalanceTransaction",
    "billing_portal.configuration": "BillingPortal.Configuration",
    "billing_portal.session": "BillingPortal.Session",
    "capability": "Capability",
    "charge": "Charge",
    "checkout.session": "Checkout.Session",
    "coupon": "Coupon",
    "customer": "Customer",
    "discount": "Discount",
    "dispute": "Dispute",
    "event": "Event",
    "invoice": "Invoice",
    "invoice_payment": "InvoicePayment",
    "item": "LineItem",
    "line_item": "InvoiceLineItem",
    "payment_intent": "PaymentIntent",
    "payout": "Payout",
    "price": "Price",
    "product": "Product",
    "refund": "Refund",
    "subscription": "Subscription",
    "subscription_item": "SubscriptionItem",
    "test_helpers.test_clock": "TestHelpers.TestClock",
    "transfer": "Transfer",
    "transfer_reversal": "TransferReversal",
}
"""The type of each kind of object."""
STRICT = {
    "export type OtherString = string & Record<never, never>;": "export type OtherString = never;",
    "export { Decimal } from './Decimal.js';": "export type Decimal = string;",
}
OPTIONS = {
    "strict": True,
    "exactOptionalPropertyTypes": True,
    "noEmit": True,
    "skipLibCheck": True,
    "module": "nodenext",
    "target": "es2022",
    "types": [],
}


def type_of(found: Object) -> str:
    """The type of an object of the API, as TypeScript names it."""
    kind = found["object"]
    if kind == "list":
        inner = {type_of(each) for each in found["data"]}
        return f"Stripe.ApiList<{' | '.join(sorted(inner)) or 'never'}>"
    if found.get("deleted"):
        return f"Stripe.Deleted{NAMES[kind]}"
    return f"Stripe.{NAMES[kind]}"


def mismatches(objects: Iterable[Object]) -> list[str]:
    """What the types refuse: a missing or an unknown field, a value of another type, a word outside an enumeration.

    Args:
        objects: as the API answers them. Equal ones are checked once.
    """
    with tempfile.TemporaryDirectory(prefix="stripe-types-") as folder:
        _copy_declarations(Path(folder))
        sources: dict[str, Object] = {json.dumps(each, sort_keys=True): each for each in objects}
        lines = ['import Stripe from "./stripe/stripe.esm.node.js";']
        for number, each in enumerate(sources.values()):
            lines.append(f"export const o{number}: {type_of(each)} = {json.dumps(_without_absent(each))};")
        (Path(folder) / "objects.ts").write_text("\n".join(lines))
        (Path(folder) / "package.json").write_text('{"type": "module"}')
        config = {"compilerOptions": OPTIONS, "files": ["objects.ts"]}
        (Path(folder) / "tsconfig.json").write_text(json.dumps(config))
        command = [str(COMPILER), "--project", folder, "--pretty", "false"]
        run = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120, check=False)
        return _readable(run.stdout + run.stderr, list(sources.values()))


def _without_absent(found: Object) -> Object:
    """An event without the nulls by which `previous_attributes` says that a field was absent, whatever its type."""
    previous = found.get("data", {}).get("previous_attributes") if found["object"] == "event" else None
    if not previous:
        return found
    known = {name: value for name, value in previous.items() if value is not None}
    return found | {"data": found["data"] | {"previous_attributes": known}}


def stored_objects(folder: Path) -> list[Object]:
    """Every object that a stopped double has stored, and every event, as it would show them."""
    with contextlib.closing(sqlite3.connect(folder / FILE)) as connection:
        rows = connection.execute("select body from objects where kind <> 'account_link'").fetchall()
    return [visible(json.loads(body)) for (body,) in rows]


def _copy_declarations(folder: Path) -> None:
    for file in (PACKAGE / "esm").rglob("*.d.ts"):
        copy = folder / "stripe" / file.relative_to(PACKAGE / "esm")
        copy.parent.mkdir(parents=True, exist_ok=True)
        text = file.read_text()
        if file.name == "shared.d.ts":
            for known, strict in STRICT.items():
                assert known in text, f"the package has other words now for {known}"
                text = text.replace(known, strict)
        copy.write_text(text)


def _readable(output: str, objects: list[Object]) -> list[str]:
    """The compiler's messages, each beginning with the kind and the id of the object that it is about."""
    found = []
    for line in output.splitlines():
        place = re.match(r"objects\.ts\((\d+),\d+\): (.*)", line)
        if place is None:
            found.append(line)
            continue
        subject = objects[int(place[1]) - 2]
        name = subject.get("type") if subject["object"] == "event" else subject["object"]
        found.append(f"{name} {subject.get('id', '')}: {place[2]}")
    return found
