"""What sellers and buyers ask of a large ledger, what a webhook takes to be acknowledged, and what a checkout costs.

The questions are timed as those of bench/learning.py are: the transactions that PostgREST makes of them, with and
without row level security, against those of a small marketplace. Webhooks come at a steady rate from another process;
checkouts run against the empty route of the same edge, with Stripe's double answering at once.

`python -m bench.commerce`, or with a number of ledger lines that is the large marketplace's.
"""

import json
import os
import random
import statistics
import sys
import time
import uuid
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import httpx
import msgspec
import psycopg

from bench import marketplace
from bench.academy import identity
from bench.edge_process import ASKING, EMPTY
from bench.edge_routes import Edge, edge
from bench.learning import HEADER, ROUNDS, VARIANTS, explain_kind, print_kind, time_kind
from bench.load import Load, run
from bench.marketplace import BIGGEST, LARGE, SMALL, Size
from bench.stack import BenchStack, running
from bench.steady import Outcome, Steady, post
from bench.transactions import Request, Session, Transaction, recorder
from bench.user_search import SEED
from stack.state import Folder

# The questions

Kind = Callable[[random.Random, Size], Request]


def asked_by(person: str, path: str) -> Request:
    """A question that one asks of oneself: the filter says already whose rows they are."""
    return Request(caller=person, path=path.format(id=person))


def seller(dice: random.Random, size: Size) -> str:
    """Any but the biggest."""
    return identity("seller", dice.randint(BIGGEST + 1, size.sellers))


def buyer(dice: random.Random, size: Size) -> str:
    """Whoever it is."""
    return identity("buyer", dice.randint(1, size.buyers))


THE_BIGGEST = identity("seller", BIGGEST)
MOST_BOUGHT = identity("buyer", 1)
"""Few buy much, and the lower the number the more."""

STATEMENT = "/statement?user_id=eq.{id}&account_kind=eq.payable&order=id.desc&limit=50"
BALANCES = "/balances?user_id=eq.{id}"
SPLITS = "/payment_splits?user_id=eq.{id}&order=created_at.desc&limit=50"
ORDERS = "/orders?buyer_id=eq.{id}&order=created_at.desc&limit=20"
ENTITLEMENTS = "/entitlements?user_id=eq.{id}"

KINDS: dict[str, Kind] = {
    "statement": lambda dice, size: asked_by(seller(dice, size), STATEMENT),
    "statement of the biggest seller": lambda _, __: asked_by(THE_BIGGEST, STATEMENT),
    "balances": lambda dice, size: asked_by(seller(dice, size), BALANCES),
    "balances of the biggest seller": lambda _, __: asked_by(THE_BIGGEST, BALANCES),
    "payment splits": lambda dice, size: asked_by(seller(dice, size), SPLITS),
    "payment splits of the biggest seller": lambda _, __: asked_by(THE_BIGGEST, SPLITS),
    "orders of a buyer": lambda dice, size: asked_by(buyer(dice, size), ORDERS),
    "orders of who bought most": lambda _, __: asked_by(MOST_BOUGHT, ORDERS),
    "entitlements of a buyer": lambda dice, size: asked_by(buyer(dice, size), ENTITLEMENTS),
}


def measure_questions(stacks: list[BenchStack], sizes: list[Size]) -> None:
    """Ask the small marketplace and the large one, and print."""
    recorded = [_record(stack, size) for stack, size in zip(stacks, sizes, strict=True)]
    print(HEADER)
    for kind in KINDS:
        sessions = {variant: Session(stacks[variant[0]]) for variant in VARIANTS}
        cases = [transactions[kind] for transactions in recorded]
        print_kind(kind, time_kind(sessions, cases), explain_kind(sessions, cases))
        for session in sessions.values():
            session.close()


def _record(stack: BenchStack, size: Size) -> dict[str, list[Transaction]]:
    dice = random.Random(SEED)
    with recorder(stack) as log:
        return {kind: [log.record(make(dice, size)) for _ in range(ROUNDS)] for kind, make in KINDS.items()}


# Webhooks

EVENTS_PER_SECOND = 100
WEBHOOK_SECONDS = 20
WEBHOOK_ROUNDS = 3
WARMING = 200
MOST_MILLISECONDS = 50
"""What the 99th of a hundred acknowledgements is to take at most."""
IGNORED_TYPES = ("payment_intent.created", "charge.updated", "payment_method.attached")
ABSENT = (
    "adaptive_pricing", "after_expiration", "allow_promotion_codes", "automatic_tax", "billing_address_collection",
    "cancel_url", "client_reference_id", "consent", "consent_collection", "currency_conversion", "custom_fields",
    "custom_text", "customer_creation", "customer_details", "customer_email", "discounts", "expires_at", "invoice",
    "invoice_creation", "livemode", "locale", "origin_context", "payment_link", "payment_method_collection",
    "payment_method_configuration_details", "payment_method_options", "payment_method_types", "permissions",
    "phone_number_collection", "recovered_from", "saved_payment_method_options", "setup_intent", "shipping_address",
    "shipping_cost", "shipping_options", "submit_type", "subscription", "success_url", "tax_id_collection",
    "total_details", "ui_mode", "url", "wallet_options",
)  # fmt: skip
"""What else a session has: an event is about as long as a real one."""


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """An event, and what is to come of it."""

    kind: str
    body: str


def measure_webhooks(stack: BenchStack) -> None:
    """Print how long Stripe waits for an acknowledgement, round by round."""
    secret = Folder(stack.data).state().double_keys["stripe_webhook_secret"]
    url = f"{stack.api_url}/functions/v1/webhooks/stripe"
    events = EVENTS_PER_SECOND * WEBHOOK_SECONDS
    print(
        f"webhooks: {EVENTS_PER_SECOND} signed events/s for {WEBHOOK_SECONDS} s, through the gateway to one edge;"
        f" milliseconds until acknowledged   (target: p99 <= {MOST_MILLISECONDS})"
    )
    with psycopg.connect(stack.admin_db_url, autocommit=True) as connection:
        people = members(connection, events)
        orders = _pending(connection, people, WARMING + events * 3 // 4 * WEBHOOK_ROUNDS)
        # Connections are made, plans and caches filled, before anything counts.
        warming = [_paid(*next(orders)).body for _ in range(WARMING)]
        post(Steady(url=url, bodies=warming, per_second=EVENTS_PER_SECOND // 2, secret=secret))
        processes = _processes(stack, connection, "gateway", "edge", "worker")
        acknowledged = 0
        for number in range(1, WEBHOOK_ROUNDS + 1):
            told = [_ignored(n) if n % 4 == 0 else _paid(*next(orders)) for n in range(events)]
            job = Steady(url=url, bodies=[each.body for each in told], per_second=EVENTS_PER_SECOND, secret=secret)
            before = {name: cpu() for name, cpu in processes.items()}
            outcomes = post(job)
            spent = {name: (cpu() - before[name]) / events * 1000 for name, cpu in processes.items()}
            acknowledged += sum(each.status == 200 for each in outcomes)
            _print_outcomes(f"round {number}, all", outcomes)
            for kind in sorted({each.kind for each in told}):
                _print_outcomes(
                    f"  {kind}", [each for each, event in zip(outcomes, told, strict=True) if event.kind == kind]
                )
            print("    milliseconds of processor time an event:", _listed(spent))
        _check_webhooks(connection, acknowledged)


def _print_outcomes(name: str, outcomes: list[Outcome]) -> None:
    cuts = statistics.quantiles((each.milliseconds for each in outcomes), n=100)
    late = statistics.quantiles((each.late for each in outcomes), n=100)[98]
    errors = sum(each.status != 200 for each in outcomes)
    print(
        f"  {name:<26}{len(outcomes):6,} events  p50 {cuts[49]:7.1f}  p95 {cuts[94]:7.1f}  p99 {cuts[98]:7.1f}"
        f"  errors {errors}  (p99 of how late they left {late:.1f})"
    )


def _check_webhooks(connection: psycopg.Connection, acknowledged: int) -> None:
    row = connection.execute(
        "select count(*) filter (where status in ('applied', 'ignored')), count(*) filter (where status = 'failed')"
        " from private.webhook_inbox where event_id like 'evt_bench_%'"
    ).fetchone()
    assert row is not None
    assert row[0] >= acknowledged, "an event was acknowledged and is not settled"
    assert row[1] == 0, f"the effects of {row[1]} events failed"


def _pending(connection: psycopg.Connection, people: list[str], count: int) -> Iterator[tuple[str, str, int, str]]:
    """Pending orders, a third of them of courses: kind, order, amount and currency of each."""
    courses = _ids(
        connection,
        "select o.id::text from public.offers as o"
        " where o.course_id is not null and o.status = 'active' and o.price_amount > 0 order by o.id",
    )
    services = _ids(
        connection, "select id::text from public.offers where starts_with(title, 'Service ') order by random()"
    )
    placed = []
    for number in range(count):
        # No pair twice: the same order asked for again is the same order.
        turn, place = divmod(number, len(people))
        person = people[place]
        offer = (
            courses[(place // 3 + turn) % len(courses)]
            if number % 3 == 0
            else services[(number + turn) % len(services)]
        )
        connection.execute("select set_config('request.jwt.claims', %s, false)", [json.dumps({"sub": person})])
        row = connection.execute(
            "select o.kind::text, o.id::text, o.amount, o.currency from public.place_order(offer_id => %s) as o",
            [offer],
        ).fetchone()
        assert row is not None
        placed.append(row)
    random.Random(SEED).shuffle(placed)
    return iter(placed)


def _paid(kind: str, order: str, amount: int, currency: str) -> Told:
    session = {
        **dict.fromkeys(ABSENT),
        "id": f"cs_test_{uuid.uuid4().hex}{uuid.uuid4().hex}",
        "object": "checkout.session",
        "mode": "payment",
        "status": "complete",
        "payment_status": "paid",
        "payment_intent": f"pi_{uuid.uuid4().hex}",
        "customer": f"cus_{uuid.uuid4().hex}",
        "amount_subtotal": amount,
        "amount_total": amount,
        "currency": currency.lower(),
        "metadata": {"order_id": order},
    }
    return Told(kind=f"a {kind} paid", body=_event("checkout.session.completed", session))


def _ignored(number: int) -> Told:
    object_ = {**dict.fromkeys(ABSENT), "id": f"pi_{uuid.uuid4().hex}", "object": "payment_intent"}
    return Told(kind="ignored", body=_event(IGNORED_TYPES[number % len(IGNORED_TYPES)], object_))


def _event(type_: str, object_: dict[str, Any]) -> str:
    return json.dumps(
        {
            "id": f"evt_bench_{uuid.uuid4().hex}",
            "object": "event",
            "api_version": "2026-01-28",
            "created": int(time.time()),
            "data": {"object": object_},
            "livemode": False,
            "pending_webhooks": 1,
            "request": {"id": None, "idempotency_key": None},
            "type": type_,
        }
    )


# Checkout

CHECKOUT_ROUNDS = 5
CHECKOUT_SECONDS = 2
CONNECTIONS = 16
PAIRS = 640
"""How many checkouts are prepared for a round: more than it can make."""
BUYERS = 320
ALONE = 100
"""How often each step of a checkout is taken by itself."""
CHECKOUT = "/checkout"


class Costs(msgspec.Struct, frozen=True, kw_only=True):
    """One load."""

    per_second: float
    cpu: dict[str, float]
    """Seconds of processor time a request, by process."""


def measure_checkout(stack: BenchStack) -> None:
    """Print what checkouts do against the empty route, and where the time goes."""
    needed = 1 + (CHECKOUT_ROUNDS * PAIRS + 4 * ALONE) // BUYERS + 1
    with psycopg.connect(stack.admin_db_url, autocommit=True) as connection, edge(stack) as running_edge:
        returning, new = members(connection, BUYERS), members(connection, CHECKOUT_ROUNDS * PAIRS)
        offers = _synced(connection, needed)
        pairs = ((person, offer) for offer in offers for person in returning)
        firsts = ((person, offers[0]) for person in new)
        processes = {"edge": running_edge.cpu, **_processes(stack, connection, "postgrest", "stripe")}
        tokens = {person: stack.user_token(person) for person in (*returning, *new)}

        def checkouts(some: Iterable[tuple[str, str]], count: int) -> Load:
            taken = list(islice(some, count))
            assert len(taken) == count
            return _load(running_edge, CHECKOUT, [tokens[person] for person, _ in taken], [o for _, o in taken])

        for person, offer in [next(pairs) for _ in range(BUYERS)]:  # each becomes a customer at Stripe
            _check_out(running_edge, tokens[person], offer)
        reads = {path: _load(running_edge, path, list(tokens.values())[:BUYERS], []) for path in (EMPTY, ASKING)}
        results: dict[str, list[Costs]] = {name: [] for name in (EMPTY, ASKING, "again", "first")}
        for load in reads.values():
            run(load)
        for number in range(CHECKOUT_ROUNDS):
            loads = [
                *reads.items(),
                ("again", checkouts(pairs, PAIRS)),
                ("first", checkouts(firsts, PAIRS)),
            ]
            for name, load in loads if number % 2 == 0 else reversed(loads):
                results[name].append(_run(load, processes))
        _print_checkouts(results)
        _alone(stack, running_edge, pairs, tokens)


def _print_checkouts(results: dict[str, list[Costs]]) -> None:
    titles = {
        EMPTY: "empty, signed in",
        ASKING: "asking PostgREST, signed in",
        "again": "POST /checkout",
        "first": "  the same, the buyer's first",
    }
    print(
        f"checkout, one process of the edge, {CONNECTIONS} connections, {CHECKOUT_ROUNDS} rounds in turn: requests/s,"
        " ratio to the empty route   (aim 0.5), and milliseconds of processor time a request, by process"
    )
    for name, costs in results.items():
        rate = statistics.median(each.per_second for each in costs)
        ratio = statistics.median(
            each.per_second / empty.per_second for each, empty in zip(costs, results[EMPTY], strict=True)
        )
        spent = {process: statistics.median(each.cpu[process] for each in costs) * 1000 for process in costs[0].cpu}
        print(f"  {titles[name]:<32}{rate:8.0f}/s{ratio:8.2f}   {_listed(spent)}")


def _alone(
    stack: BenchStack,
    running_edge: Edge,
    pairs: Iterator[tuple[str, str]],
    tokens: dict[str, str],
) -> None:
    """Print what each step takes when nothing else is asked, which is how long a buyer waits."""
    state = Folder(stack.data).state()
    double = f"http://127.0.0.1:{state.ports.stripe}"
    key = {"authorization": f"Bearer {state.double_keys['stripe_api_key']}"}
    taken: dict[str, list[float]] = {}

    @contextmanager
    def timed(step: str) -> Iterator[None]:
        began = time.perf_counter()
        yield
        taken.setdefault(step, []).append((time.perf_counter() - began) * 1000)

    with (
        httpx.Client(trust_env=False, timeout=30) as http,
        psycopg.connect(state.database_url("edge"), autocommit=True) as system,
    ):
        for _ in range(ALONE):
            (first, offer), (second, other) = next(pairs), next(pairs)
            with timed("the empty route"):
                http.get(running_edge.url + EMPTY, headers=_as(tokens[first])).raise_for_status()
            with timed("all of it"):
                http.post(
                    running_edge.url + CHECKOUT, json={"offer_id": offer}, headers=_as(tokens[first])
                ).raise_for_status()
            with timed("  place_order by PostgREST"):
                answer = http.post(
                    f"{stack.rest_url}/rpc/place_order", json={"offer_id": other}, headers=_as(tokens[second])
                ).raise_for_status()
            order = answer.json()["id"]
            with timed("  checkout_brief"):
                brief = system.execute("select private.checkout_brief(%s)", [order]).fetchone()
            assert brief is not None
            session = _session(brief[0])
            with timed("  the session, by Stripe's double"):
                http.post(f"{double}/v1/checkout/sessions", data=session, headers=key).raise_for_status()
            with timed("  bind_session"):
                system.execute("select private.bind_session(%s, %s)", [f"cs_{uuid.uuid4().hex}", order])
    print(f"one checkout at a time, milliseconds, median of {ALONE}")
    for step, times in taken.items():
        print(f"  {step:<36}{statistics.median(times):8.2f}")


def _session(brief: dict[str, Any]) -> dict[str, str]:
    """What the edge asks of Stripe for an order, as a form."""
    return {
        "mode": "payment",
        "customer": brief["customer"],
        "client_reference_id": brief["order_id"],
        "metadata[order_id]": brief["order_id"],
        "line_items[0][price_data][currency]": brief["currency"],
        "line_items[0][price_data][unit_amount]": str(brief["unit_amount"]),
        "line_items[0][price_data][product]": brief["product"],
        "line_items[0][quantity]": str(brief["quantity"]),
        "success_url": "http://127.0.0.1:3000/checkout/return?session_id={CHECKOUT_SESSION_ID}",
        "cancel_url": "http://127.0.0.1:3000/checkout/cancelled",
        "expires_at": str(brief["expires_at"]),
        "payment_intent_data[metadata][order_id]": brief["order_id"],
    }


def _as(token: str) -> dict[str, str]:
    return {"authorization": f"Bearer {token}"}


def _check_out(running_edge: Edge, token: str, offer: str) -> None:
    httpx.post(
        running_edge.url + CHECKOUT, json={"offer_id": offer}, headers=_as(token), trust_env=False, timeout=30
    ).raise_for_status()


def _load(running_edge: Edge, path: str, tokens: list[str], offers: list[str]) -> Load:
    return Load(
        url=running_edge.url,
        method="POST" if offers else "GET",
        paths=(path,) * len(tokens),
        bodies=tuple(json.dumps({"offer_id": offer}) for offer in offers),
        tokens=tuple(tokens),
        headers={"content-type": "application/json"},
        connections=CONNECTIONS,
        seconds=CHECKOUT_SECONDS,
    )


def _run(load: Load, processes: dict[str, Callable[[], float]]) -> Costs:
    before = {name: cpu() for name, cpu in processes.items()}
    result = run(load)
    requests = result.per_second * CHECKOUT_SECONDS
    assert not load.bodies or requests < len(load.paths), "an order was asked for twice: prepare more"
    return Costs(
        per_second=result.per_second, cpu={name: (cpu() - before[name]) / requests for name, cpu in processes.items()}
    )


def _processes(stack: BenchStack, connection: psycopg.Connection, *parts: str) -> dict[str, Callable[[], float]]:
    """How much processor time parts of the stack have used so far, and Postgres."""
    run_ = Folder(stack.data).run()
    row = connection.execute("select pg_read_file('postmaster.pid')").fetchone()
    assert run_ is not None
    assert row is not None
    postmaster = int(row[0].split()[0])
    return {
        **{part: partial(_cpu, run_.parts[part].pid) for part in parts},
        "postgres": lambda: sum(_cpu(pid) for pid in _children(postmaster)),
    }


def _listed(seconds: dict[str, float]) -> str:
    return "  ".join(f"{process} {value:.2f}" for process, value in seconds.items())


def _stat(pid: int) -> list[str]:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()


def _cpu(pid: int) -> float:
    try:
        fields = _stat(pid)
    except FileNotFoundError:  # a backend that ended just now
        return 0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _children(pid: int) -> list[int]:
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                parent = int(_stat(int(folder.name))[1])
            except (FileNotFoundError, ProcessLookupError):
                continue
            if parent == pid:
                found.append(int(folder.name))
    return found


# Who and what there is


def members(connection: psycopg.Connection, count: int) -> list[str]:
    """New people, as if they had signed up."""
    return _ids(
        connection,
        "insert into auth.users (id, aud, role, email)"
        " select u.id, 'authenticated', 'authenticated', u.id || '@example.com'"
        " from (select gen_random_uuid() as id from generate_series(1, %s)) as u returning id::text",
        count,
    )


def _synced(connection: psycopg.Connection, count: int) -> list[str]:
    """Offers on sale, of as many sellers, that have their product at Stripe, which the worker makes."""
    offers = _ids(
        connection,
        "select id::text from public.offers where title = 'Service 1' order by random() limit %s",
        count,
    )
    assert len(offers) == count, "the marketplace has too few sellers"
    connection.execute(
        "select private.defer_job('sync_offer', jsonb_build_object('offer_id', t.id), 'sync_offer:' || t.id)"
        " from unnest(%s::uuid[]) as t (id)",
        [offers],
    )
    until = time.monotonic() + 60
    while time.monotonic() < until:
        row = connection.execute(
            "select count(*) from private.stripe_objects where object = 'price' and id = any(%s::uuid[])", [offers]
        ).fetchone()
        if row == (count,):
            return offers
        time.sleep(0.2)
    raise TimeoutError("the worker did not make the products")


def _ids(connection: psycopg.Connection, statement: str, *values: int) -> list[str]:
    return [row[0] for row in connection.execute(statement.encode(), values).fetchall()]


def measure(size: Size = LARGE) -> None:
    """Fill two marketplaces, ask both, and pay in the large one."""
    with running() as large:
        with running() as small:
            marketplace.load(small, SMALL)
            marketplace.load(large, size)
            measure_questions([small, large], [SMALL, size])
        measure_webhooks(large)
        measure_checkout(large)


def main() -> None:
    """Measure; with a smaller large marketplace where a number says so."""
    size = LARGE
    if sys.argv[1:]:
        lines = int(sys.argv[1])
        share = max(LARGE.lines // lines, 1)
        size = Size(lines=lines, sellers=LARGE.sellers // share, buyers=LARGE.buyers // share)
    measure(size)


if __name__ == "__main__":
    main()
