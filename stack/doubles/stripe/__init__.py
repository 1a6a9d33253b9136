"""Plays Stripe over HTTP, so that payments work without an account and without a network.

Run it as `python -m stack.doubles.stripe`; `settings.py` says what it is told by DOUBLE_STRIPE_*. The official client
talks to it: `stripe.StripeClient(key, base_addresses={"api": url})`. `table.py` lists what of the API is played, in the
shapes of the API version that the stripe package pins. A parameter that is not played is refused: 400
`parameter_unknown`. State lies in one sqlite file, one transaction a request; `/health` answers 200.

Where it differs from Stripe, on purpose: all of the balance is available at once; a renewal's invoice is finalized and
tried at once, not an hour later; a test clock has advanced when the call answers; list filters match exactly; there are
no coupons, taxes, manual captures, setup mode, connected accounts' own calls (`Stripe-Account`), or search.

Pages, for browsers, without a key: `/`, `/pay/{session}`, `/portal/{id}`, `/onboarding/{id}`, `/invoices/{id}`,
`/receipts/{charge}`, `/express/{account}`.

The control, JSON under `/_double/` with the same bearer key. A body may be left out where every field has a default.

Payments:

- `POST sessions/{id}/pay {"outcome": "paid"|"declined"|"async"}`: what a person does on the page; answers the session.
- `POST sessions/{id}/settle {"outcome": "succeeded"|"failed"}`: the bank's word on an async one.
- `POST charges/{id}/dispute {"reason": "fraudulent", "amount": null}`.
- `POST disputes/{id}/close {"outcome": "won"|"lost"}`.
- `POST refunds/{id}/settle {"outcome": "succeeded"|"failed", "reason": ...}`: of a pending refund. One that has
  succeeded may still fail.
- `POST customers/{id}/card {"outcome": "paid"|"declined", "after_retries": null|"canceled"|"unpaid"|"past_due"}`: what
  the card says from now on when invoices are due, and what becomes of subscriptions after the last try.
- `POST next {"on": ..., "outcome": ..., "times": 1, "contains": "", "status": 400, "code": null, "message": ...}`: what
  comes of the next ones. On refund: succeeded, pending, failed or error. On transfer: error (`balance_insufficient`,
  unless `code` says otherwise). On payment, which is of invoices: declined. `contains` is an id or a value of metadata
  that must occur.
- `POST accounts/{id}/complete {"outcome": "completed"|"pending"|"restricted"}`: onboarding, without the page.
- `POST balance {"amount": 1000, "currency": "usd"}`: money from outside, or to there where it is below zero.
- `POST payouts {"currency": "usd", "amount": null}`: to the platform's bank.

Time:

- `GET clock`, `POST clock/advance {"seconds": 3600}` or `{"to": <seconds since 1970>}`: of all that has no test clock.
  In a double that is shared this moves everybody: prefer a test clock of your own (`v1.test_helpers.test_clocks`).

Webhooks. `contains` (a text in the event's JSON, such as an id) and `types` (with `*` at the end) say which are meant:

- `POST webhooks/hold`, `POST webhooks/drop {"types": [], "contains": "", "times": null}` and
  `POST webhooks/duplicate {"copies": 2, ...}` make a rule for events to come, and answer its number.
- `GET rules`, `DELETE rules/{number}`.
- `POST webhooks/release {"contains": "", "order": ..., "goes_on": false}`: deliver what is held, one after another, and
  answer when that is done. The order is oldest, newest, random, or a list of event ids and types; what is not in the
  list stays held. Ends the holding that names the same `contains` (all holding, without one), unless it goes on.
- `POST webhooks/redeliver {"event": id, "times": 1}`.
- `POST webhooks/retry {"contains": ""}`: what is to be tried again, has failed or was dropped, now.
- `POST webhooks/wait {"contains": "", "seconds": 5}`: until all is delivered; answers what is not.
- `GET webhooks/deliveries?event=&type=&state=pending|held|delivered|failed|dropped&contains=`: the log, with attempts.

Faults of the API:

- `POST faults {"method": "", "path": "/v1/", "contains": "", "times": 1, "when": "before"|"after", "seconds": 0,
  "status": 0, "type": "api_error", "code": null, "message": ...}`: the next calls are late by some seconds (longer than
  the caller waits: a timeout), and refused where a status is given. After: the work is done, and remembered by its
  idempotency key, but the caller does not learn it.
- `POST reset`: forget everything.
"""
