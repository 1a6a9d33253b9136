"""The pages as HTML: no script, and nothing that is not escaped."""

from datetime import UTC, datetime
from html import escape

from stack.doubles.stripe.errors import Object
from stack.doubles.stripe.money import written

STYLE = """
:root {
  color-scheme: light dark;
  --ink: light-dark(#1d1b18, #ece8e1); --faint: light-dark(#756f66, #9b948a);
  --paper: light-dark(#faf8f4, #191816); --card: light-dark(#fff, #22201d);
  --line: light-dark(#e6e1d8, #37332e); --accent: light-dark(#7a4a12, #e0a35c); --on-accent: light-dark(#fff, #191816);
}
* { box-sizing: border-box }
body { margin: 0 auto; max-width: 34rem; padding: 2rem 1.25rem 4rem; background: var(--paper); color: var(--ink);
  font: 16px/1.5 system-ui, sans-serif }
a { color: var(--accent) }
header { color: var(--faint); margin-bottom: 1.25rem }
header b { display: block; color: var(--ink); font-size: 1.1rem }
h2 { font-size: 1rem; margin: 1.75rem 0 0 }
h1 { font-size: 1.6rem; line-height: 1.25; margin: 0 0 1rem; overflow-wrap: anywhere }
.card { background: var(--card); border: 1px solid var(--line); border-radius: .75rem; padding: .25rem 1rem;
  margin: 0 0 1.25rem }
table { width: 100%; border-collapse: collapse }
td { padding: .6rem 0; border-top: 1px solid var(--line); overflow-wrap: anywhere; vertical-align: top }
tr:first-child td { border-top: 0 }
td:last-child { text-align: right; white-space: nowrap; padding-left: 1rem }
.total td { font-weight: 650 }
.faint { color: var(--faint) }
.notice { padding: .75rem 1rem; border: 1px solid var(--accent); border-radius: .75rem }
button { display: block; width: 100%; margin: .6rem 0 0; padding: .75rem; border: 1px solid var(--line);
  border-radius: .6rem; background: var(--card); color: var(--ink); font: inherit; cursor: pointer }
button.first { border-color: var(--accent); background: var(--accent); color: var(--on-accent); font-weight: 650 }
button:hover, button:focus-visible { outline: 2px solid var(--accent); outline-offset: 2px }
footer { margin-top: 2rem; color: var(--faint); font-size: .85rem }
"""
ABOUT = "This page plays Stripe on your own machine. No money moves, and no card is asked for."


def page(title: str, body: str) -> str:
    """A whole page; the body is HTML, the title is text."""
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<title>{escape(title)}</title><link rel="stylesheet" href="/style.css"></head>'
        f"<body><header><b>Guildhall</b>Test payments</header><main><h1>{escape(title)}</h1>{body}</main>"
        f"<footer>{ABOUT}</footer></body></html>"
    )


def notice(text: str) -> str:
    """A sentence in a frame."""
    return f'<p class="notice">{escape(text)}</p>'


def buttons(action: str, *choices: tuple[str, str]) -> str:
    """A form that sends one of some actions; the first choice is the one most likely meant."""
    made = "".join(
        f'<button name="action" value="{escape(value)}"{" class=first" if index == 0 else ""}>{escape(label)}</button>'
        for index, (value, label) in enumerate(choices)
    )
    return f'<form method="post" action="{escape(action)}">{made}</form>'


def table(rows: list[tuple[str, str]], *, total: tuple[str, str] | None = None) -> str:
    """Names and values as a card; names may hold a second line after a line feed."""
    cells = "".join(f"<tr><td>{_lines(name)}</td><td>{escape(value)}</td></tr>" for name, value in rows)
    if total is not None:
        cells += f'<tr class="total"><td>{escape(total[0])}</td><td>{escape(total[1])}</td></tr>'
    return f'<div class="card"><table>{cells}</table></div>'


def every(recurring: Object | None) -> str:
    """How often a price is due: ` every 3 months`, or nothing."""
    if not recurring:
        return ""
    count, interval = recurring["interval_count"], recurring["interval"]
    return f" every {interval}" if count == 1 else f" every {count} {interval}s"


def index_page(sessions: list[Object]) -> str:
    """GET /: the newest checkout sessions, with links to those that can be paid."""
    rows = "".join(
        f"<tr><td>{_link(each)}</td><td>{escape(written(each['amount_total'], each['currency']))}</td></tr>"
        for each in sessions
    )
    shown = f'<div class="card"><table>{rows}</table></div>' if rows else notice("Nobody has gone to pay yet.")
    return page("Stripe's double", "<p>It answers the API at this address, and these have gone to pay:</p>" + shown)


def pay_page(session: Object, error: str | None) -> str:
    """GET /pay/{id}."""
    title = {"open": "Pay", "complete": "Already paid", "expired": "Expired"}[session["status"]]
    if session["mode"] == "subscription" and session["status"] == "open":
        title = "Subscribe"
    rows = [
        (
            (item["description"] or "") + (f"\n{item['quantity']} of them" if item["quantity"] > 1 else ""),
            written(item["amount_total"], item["currency"]) + every(item["price"]["recurring"]),
        )
        for item in session["_items"]
    ]
    total = written(session["amount_total"], session["currency"])
    body = table(rows, total=("Due now", total))
    if session["status"] == "complete":
        return page(title, body + notice("This has been paid for. Nothing more is due here."))
    if session["status"] == "expired":
        return page(title, body + notice("This offer to pay has expired. Begin again at the shop."))
    choices = [("pay", f"Pay {total}" if session["amount_total"] else "Confirm")]
    if session["amount_total"]:
        choices += [("decline", "Decline card"), ("async", "Pay later (asynchronous)")]
    if session["cancel_url"]:
        choices.append(("cancel", "Cancel"))
    return page(title, body + (notice(error) if error else "") + buttons(f"/pay/{session['id']}", *choices))


def portal_page(customer: Object, subscriptions: list[Object], invoices: list[Object], card: str, action: str) -> str:
    """GET /portal/{id}."""
    body = f"<p>{escape(customer.get('email') or customer['id'])}</p>"
    for each in subscriptions:
        items = each["items"]["data"]
        rows = [
            (
                f"{item['_product']}\n{item['quantity']} of them" if item["quantity"] > 1 else item["_product"],
                written(item["price"]["unit_amount"] * item["quantity"], each["currency"])
                + every(item["price"]["recurring"]),
            )
            for item in items
        ]
        body += table([*rows, ("Status", _standing(each))])
        if each["status"] not in {"canceled", "incomplete_expired"}:
            choice = ("keep", "Keep it") if each["cancel_at_period_end"] else ("cancel", "Cancel at the period's end")
            body += buttons(action, (f"{choice[0]}:{each['id']}", choice[1]))
    for invoice in invoices:
        due = written(invoice["amount_remaining"], invoice["currency"])
        body += notice(f"Invoice {invoice['number']} is open.")
        body += buttons(action, (f"pay:{invoice['id']}", f"Pay {due}"))
    if not subscriptions:
        body += notice("There is nothing here that renews.")
    other = ("card:paid", "Use a card that works") if card == "declined" else ("card:declined", "Use a card that fails")
    return page("Your subscriptions", body + "<h2>Card and way back</h2>" + buttons(action, ("back", "Back"), other))


def onboarding_page(account: Object, action: str) -> str:
    """GET /onboarding/{id}."""
    rows = [
        ("Account", account["id"]),
        ("Country", account["country"]),
        ("Pays out", account["default_currency"].upper()),
    ]
    choices = [("complete", "Complete"), ("pending", "Submit, and let it be checked"), ("later", "Leave for later")]
    return page("Get paid", table(rows) + buttons(action, *choices))


def express_page(account: Object, transfers: list[Object]) -> str:
    """GET /express/{id}."""
    rows = [
        (each["description"] or each["id"], written(each["amount"] - each["amount_reversed"], each["currency"]))
        for each in transfers
    ]
    return page("What you were paid", table(rows) if rows else notice(f"Nothing yet for {account['id']}."))


def invoice_page(invoice: Object, error: str | None, action: str) -> str:
    """GET /invoices/{id}."""
    rows = [(line["description"], written(line["amount"], line["currency"])) for line in invoice["lines"]["data"]]
    body = table(rows, total=("Due", written(invoice["amount_remaining"], invoice["currency"])))
    if invoice["status"] == "open":
        body += (notice(error) if error else "") + buttons(action, ("pay", "Pay"))
    return page(f"Invoice {invoice['number']}", body)


def receipt_page(charge: Object) -> str:
    """GET /receipts/{id}."""
    rows = [
        (charge["description"] or "Payment", written(charge["amount"], charge["currency"])),
        ("Refunded", written(charge["amount_refunded"], charge["currency"])),
    ]
    return page("Receipt", table(rows if charge["amount_refunded"] else rows[:1]))


def message_page(title: str, text: str) -> str:
    """A page that only says something."""
    return page(title, notice(text))


def _standing(subscription: Object) -> str:
    end = subscription["items"]["data"][0]["current_period_end"]
    day = datetime.fromtimestamp(end, UTC).strftime("%-d %B %Y")
    if subscription["status"] == "canceled":
        return "ended"
    verb = "ends" if subscription["cancel_at_period_end"] else "renews"
    return f"{subscription['status'].replace('_', ' ')}, {verb} on {day}"


def _link(session: Object) -> str:
    what = escape(", ".join(item["description"] or "" for item in session["_items"]))
    if session["status"] == "open":
        return f'<a href="/pay/{session["id"]}">{what}</a>'
    return f'{what} <span class="faint">{session["status"]}</span>'


def _lines(text: str) -> str:
    first, _, second = text.partition("\n")
    return escape(first) + (f'<br><span class="faint">{escape(second)}</span>' if second else "")
