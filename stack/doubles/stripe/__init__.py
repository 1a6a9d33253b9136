"""Plays Stripe over HTTP, so that payments work without an account and without a network.

The official client talks to it: `stripe.StripeClient(key, base_addresses={"api": url})`. `routes.py` lists the calls of
the API that it answers, which are those that this project makes, in the shapes of the API version that the stripe
package pins. It refuses every other parameter: 400 `parameter_unknown`. Its state is one sqlite file, one transaction a
request; `/health` answers 200. `settings.py` lists the variables DOUBLE_STRIPE_*.

It differs from Stripe on purpose: the whole balance is available at once; a renewal's invoice is finalized and paid at
once, not an hour later; a test clock has advanced when the call answers.

Pages for browsers, without a key: `/`, `/pay/{session}`, `/portal/{session}`, `/onboarding/{link}`.

The control makes happen what no caller of Stripe can. It takes and answers JSON under `/_double/`, with the same bearer
key. A body may be left out where every field has a default.

Payments. An outcome is `paid`, `declined`, `async` (a bank decides later) or `requires_action` (3-D Secure, unpaid).

- `POST sessions/{id}/pay {"outcome": "paid"}`: act as the buyer on the page; answers the session. One that is declined
  or requires action stays open.
- `POST sessions/{id}/settle {"outcome": "succeeded"|"failed"}`: let the bank decide an async payment.
- `POST sessions/{id}/tax {"percent": 25}`: put tax on top of an open session and of its subscription's invoices.
- `POST customers/{id}/card {"outcome": "paid"}`: the outcome of invoices that the customer's card pays from now on.
- `POST customers/{id}/balance {"amount": -500}`: give a credit, or a debt, which the next invoices apply.
- `POST customers/{id}/delete`: delete a customer; the subscriptions end at once.
- `POST invoices/{id}/pay {"outcome": "paid"}`: act as the customer on an open invoice's page, such as after 3-D Secure.
- `POST invoices/{id}/settle {"outcome": "succeeded"|"failed"}`: let the bank decide the async payment of an invoice.
- `POST subscriptions/{id}/switch {"price": null, "amount": 2000, "interval": null, "product": null, "quantity": null,
  "proration": "always_invoice"|"create_prorations"|"none"}`: switch to a price, or to a new one of this amount, as
  customers do on the portal. Prorations are the first lines of an invoice at once, or of the next one.
- `POST charges/{id}/dispute {"reason": "fraudulent", "beginning": "dispute"|"inquiry"|"resolution"|"block",
  "amount": null}`: let the buyer's bank take a charge back, ask about it, or have a dispute prevented.
- `POST disputes/{id}/escalate`: make a chargeback of an inquiry.
- `POST disputes/{id}/respond`: submit evidence: the dispute is under review.
- `POST disputes/{id}/appeal`: open a decided dispute again; of one that was won, the money is withdrawn again.
- `POST disputes/{id}/close {"outcome": "won"|"lost"|"warning_closed"}`: let the bank decide.
- `POST refunds/{id}/settle {"outcome": "succeeded"|"failed"}`: decide a pending refund. A succeeded one may still fail.
- `POST next {"on": "refund"|"transfer", "outcome": ..., "contains": "", "code": null}`: decide the next refund (pending
  or error) or transfer (error) in whose ids or metadata the text occurs.
- `POST settlement {"charged": "eur", "currency": "usd", "exchange_rate": 1.1, "contains": ""}`: charges of a currency
  settle in another from now on.
- `POST balance {"amount": 1000, "currency": "usd"}`: add money to the platform's balance.
- `POST products/{id}/archive`, `POST products/{id}/remove`, and the same of `prices`: as on the dashboard.
- `POST foreign {"kind": "session", "metadata": {}}`: make an object of another shop on the same account, with its
  events: customer, session, subscription, invoice, charge, refund, dispute, transfer, account or product.

Connected accounts:

- `POST accounts/{id}/complete {"outcome": "completed"|"pending"|"restricted"}`: finish onboarding without the page.
- `POST accounts/{id}/capability {"capability": "transfers", "status": "inactive"}`: let Stripe change a capability.
- `POST accounts/{id}/payout {"amount": 1000, "currency": "usd", "outcome": "paid"|"failed"}`: pay out to the bank.
- `POST accounts/{id}/deauthorize`: let the holder disconnect the account.
- `POST transfers/{id}/reverse {"amount": null}`: take a transfer back, or a part of it.

Webhooks. A rule for events to come names them by `types` (with `*` at the end of a prefix) and by `contains`, a text in
the event's JSON, such as an id. Tests that share a double name what is theirs.

- `POST webhooks/hold {"contains": ""}`: keep deliveries back.
- `POST webhooks/drop {"types": [], "contains": ""}`: never deliver.
- `POST webhooks/duplicate {"contains": "", "copies": 2}`: deliver several times.
- `POST webhooks/held {"types": [], "contains": ""}`: list what is held, oldest first: event, type.
- `POST webhooks/release {"contains": "", "order": "oldest"|"newest"|"random", "types": [], "events": []}`: deliver what
  is held, one after another, answer when that is done, and hold no more. Events of `types` come first, in that order.
  With `events` only those are delivered, in that order, one that is named twice twice, and the others stay held.
- `POST webhooks/wait {"contains": "", "seconds": 5}`: wait until all is delivered; answers what is not.

Faults of the API:

- `POST faults {"method": "", "path": "/v1/", "contains": "", "times": 1, "when": "before"|"after", "seconds": 0,
  "status": 0, "type": "api_error", "code": null, "is_saved": false}`: delay the answers of the next calls by some
  seconds (longer than the caller waits: a timeout), and refuse them where there is a status. With `after` the work is
  done, and its idempotency key remembers it, but the caller does not learn it. With `is_saved` nothing is done, and the
  key repeats the error for a day, as Stripe's does with a 500.
- `POST reset`: forget everything.
"""
