"""The pages as HTML, without scripts and with all text escaped."""

from datetime import UTC, datetime
from html import escape

from stack.doubles.stripe.errors import Object
from stack.doubles.stripe.money import as_text

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
ABOUT = "This page plays Stripe on your own machine. No money moves, and no card is needed."


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
    """A form with a button for each action; the first one is emphasized."""
    choices_html = "".join(
        f'<button name="action" value="{escape(value)}"{" class=first" if index == 0 else ""}>{escape(label)}</button>'
        for index, (value, label) in enumerate(choices)
    )
    return f'<form method="post" action="{escape(action)}">{choices_html}</form>'


def table(rows: list[tuple[str, str]], *, total: tuple[str, str] | None = None) -> str:
    """Names and values as a card. A name may have a second line after a line feed."""
    cells = "".join(f"<tr><td>{_lines(name)}</td><td>{escape(value)}</td></tr>" for name, value in rows)
    if total is not None:
        cells += f'<tr class="total"><td>{escape(total[0])}</td><td>{escape(total[1])}</td></tr>'
    return f'<div class="card"><table>{cells}</table></div>'


def every(recurring: Object | None) -> str:
    """How often a price is due, such as ` every month`; empty for a one-time price."""
    return f" every {recurring['interval']}" if recurring else ""


def index_page(sessions: list[Object]) -> str:
    """GET /: the newest checkout sessions, with links to the open ones."""
    rows = "".join(
        f"<tr><td>{_link(each)}</td><td>{escape(as_text(each['amount_total'], each['currency']))}</td></tr>"
        for each in sessions
    )
    shown = f'<div class="card"><table>{rows}</table></div>' if rows else notice("There is no checkout session yet.")
    return page("Stripe's double", "<p>This address answers the API. The newest checkout sessions:</p>" + shown)


def pay_page(session: Object, error: str | None) -> str:
    """GET /pay/{id}."""
    title = {"open": "Pay", "complete": "Already paid", "expired": "Expired"}[session["status"]]
    if session["mode"] == "subscription" and session["status"] == "open":
        title = "Subscribe"
    item = session["_item"]
    name = item["description"] + (f"\n{item['quantity']} of them" if item["quantity"] > 1 else "")
    whole = item["price"]["unit_amount"] * item["quantity"]
    price = as_text(whole, item["currency"]) + every(item["price"]["recurring"])
    total = as_text(session["amount_total"], session["currency"])
    rows = [(name, price)]
    for words, amount in (
        ("Discount", -session["total_details"]["amount_discount"]),
        ("Tax", session["total_details"]["amount_tax"]),
    ):
        if amount:
            rows.append((words, as_text(amount, session["currency"])))
    body = table(rows, total=("Due now", total))
    if session["status"] == "complete":
        return page(title, body + notice("This has been paid for. Nothing more is due here."))
    if session["status"] == "expired":
        return page(title, body + notice("This page has expired. Begin again at the shop."))
    choices = [("pay", f"Pay {total}" if session["amount_total"] else "Confirm")]
    if session["amount_total"]:
        choices += [("decline", "Decline card"), ("async", "Pay later (asynchronous)")]
        choices.append(("authenticate", "Ask for 3-D Secure"))
    if session["cancel_url"]:
        choices.append(("cancel", "Cancel"))
    return page(title, body + (notice(error) if error else "") + buttons(f"/pay/{session['id']}", *choices))


def portal_page(
    customer: Object, subscriptions: list[tuple[Object, list[Object]]], invoices: list[Object], card: str, action: str
) -> str:
    """GET /portal/{id}: the subscriptions come with the prices that are offered for each."""
    body = f"<p>{escape(customer.get('email') or customer['id'])}</p>"
    for each, prices in subscriptions:
        [item] = each["items"]["data"]
        price = as_text(item["price"]["unit_amount"] * item["quantity"], each["currency"])
        row = (item["_product"], price + every(item["price"]["recurring"]))
        body += table([row, ("Status", _status(each))])
        if each["status"] != "canceled":
            choice = ("keep", "Keep it") if each["cancel_at_period_end"] else ("cancel", "Cancel at the period's end")
            body += buttons(action, (f"{choice[0]}:{each['id']}", choice[1]))
            for other in prices:
                text = as_text(other["unit_amount"], other["currency"]) + every(other["recurring"])
                body += buttons(action, (f"switch:{each['id']}:{other['id']}", f"Switch to {text}"))
    for invoice in invoices:
        due = as_text(invoice["amount_remaining"], invoice["currency"])
        body += notice(f"Invoice {invoice['number']} is open.")
        body += buttons(action, (f"pay:{invoice['id']}", f"Pay {due}"))
    if not subscriptions:
        body += notice("You have no subscription.")
    change = ("card:declined", "Use a card that fails") if card == "paid" else ("card:paid", "Use a card that works")
    return page("Your subscriptions", body + "<h2>Card</h2>" + buttons(action, ("back", "Back"), change))


def onboarding_page(account: Object, action: str) -> str:
    """GET /onboarding/{id}."""
    rows = [
        ("Account", account["id"]),
        ("Country", account["country"]),
        ("Pays out", account["default_currency"].upper()),
    ]
    choices = [("complete", "Complete"), ("pending", "Submit, and wait for review"), ("later", "Leave for later")]
    return page("Get paid", table(rows) + buttons(action, *choices))


def message_page(title: str, text: str) -> str:
    """A page with one sentence."""
    return page(title, notice(text))


def _status(subscription: Object) -> str:
    end = subscription["items"]["data"][0]["current_period_end"]
    day = datetime.fromtimestamp(end, UTC).strftime("%-d %B %Y")
    if subscription["status"] == "canceled":
        return "ended"
    verb = "ends" if subscription["cancel_at_period_end"] else "renews"
    return f"{subscription['status'].replace('_', ' ')}, {verb} on {day}"


def _link(session: Object) -> str:
    product = escape(session["_item"]["description"])
    if session["status"] == "open":
        return f'<a href="/pay/{session["id"]}">{product}</a>'
    return f'{product} <span class="faint">{session["status"]}</span>'


def _lines(text: str) -> str:
    first, _, second = text.partition("\n")
    return escape(first) + (f'<br><span class="faint">{escape(second)}</span>' if second else "")
