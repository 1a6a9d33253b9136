"""Reads of a large ledger by sellers and buyers, the time to acknowledge webhooks, and the cost of a checkout.

The reads are timed as in bench/learning.py: the transactions that PostgREST makes of them, with and without row level
security, and in a small marketplace. Webhooks arrive at a steady rate from another process. Checkouts are compared with
the empty route of the same edge; Stripe's double answers at once.

`python -m bench.commerce`, or with the number of ledger entries of the large marketplace; `python -m bench.commerce
webhooks` measures webhooks alone.
"""

import json
import os
import random
import statistics
import sys
import time
import uuid
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
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
from bench.learning import HEADER, ROUNDS, VARIANTS, explain_kind, plan_counts, print_kind, time_kind
from bench.load import Load, run
from bench.marketplace import BIGGEST, LARGE, SMALL, Size
from bench.stack import BenchStack, running
from bench.steady import Outcome, Steady, post
from bench.transactions import Request, Session, Transaction, recorder
from bench.user_search import SEED
from stack.state import Folder
from stack.tools.project import GUILDHALL

# Reads

Kind = Callable[[random.Random, Size], Request]


def own_rows(person: str, path: str) -> Request:
    """A request for the caller's own rows: its filter says so already."""
    return Request(caller=person, path=path.format(id=person))


def seller(dice: random.Random, size: Size) -> str:
    """A random seller other than the biggest."""
    return identity("seller", dice.randint(BIGGEST + 1, size.sellers))


def buyer(dice: random.Random, size: Size) -> str:
    """A random buyer."""
    return identity("buyer", dice.randint(1, size.buyers))


THE_BIGGEST = identity("seller", BIGGEST)
MOST_BOUGHT = identity("buyer", 1)
"""The lower a buyer's number, the more orders; few have many."""

STATEMENT = "/account_statement?user_id=eq.{id}&account_kind=eq.payable&order=id.desc&limit=50"
BALANCES = "/balances?user_id=eq.{id}"
SPLITS = "/payment_splits?user_id=eq.{id}&order=created_at.desc&limit=50"
ORDERS = "/orders?buyer_id=eq.{id}&order=created_at.desc&limit=20"
ENTITLEMENTS = "/entitlements?user_id=eq.{id}"

KINDS: dict[str, Kind] = {
    "account statement": lambda dice, size: own_rows(seller(dice, size), STATEMENT),
    "account statement of the biggest seller": lambda _, __: own_rows(THE_BIGGEST, STATEMENT),
    "balances": lambda dice, size: own_rows(seller(dice, size), BALANCES),
    "balances of the biggest seller": lambda _, __: own_rows(THE_BIGGEST, BALANCES),
    "payment splits": lambda dice, size: own_rows(seller(dice, size), SPLITS),
    "payment splits of the biggest seller": lambda _, __: own_rows(THE_BIGGEST, SPLITS),
    "orders of a buyer": lambda dice, size: own_rows(buyer(dice, size), ORDERS),
    "orders of who bought most": lambda _, __: own_rows(MOST_BOUGHT, ORDERS),
    "entitlements of a buyer": lambda dice, size: own_rows(buyer(dice, size), ENTITLEMENTS),
}


def measure_questions(stacks: list[BenchStack], sizes: list[Size]) -> None:
    """Measure the small marketplace and the large one, and print."""
    recorded = [record(stack, size) for stack, size in zip(stacks, sizes, strict=True)]
    print(HEADER)
    for kind in KINDS:
        sessions = {variant: Session(stacks[variant[0]]) for variant in VARIANTS}
        cases = [transactions[kind] for transactions in recorded]
        times = time_kind(sessions, cases)
        print_kind(kind, times, explain_kind(sessions, cases), plan_counts(sessions, cases))
        for session in sessions.values():
            session.close()


def record(stack: BenchStack, size: Size) -> dict[str, list[Transaction]]:
    """The transactions that PostgREST makes of some requests of each kind."""
    dice = random.Random(SEED)
    with recorder(stack) as log:
        return {kind: [log.record(make(dice, size)) for _ in range(ROUNDS)] for kind, make in KINDS.items()}


# Webhooks

EVENTS_PER_SECOND = 100
WEBHOOK_SECONDS = 20
WEBHOOK_ROUNDS = 3
WARMING = 200
MOST_MILLISECONDS = 50
MOST_GROWTH = 1.5
"""Of the p99, from the small ledger to the large one."""
"""The target for the 99th percentile of acknowledgements."""
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
"""Other keys of a session, so that an event is about as long as a real one."""


class SentEvent(msgspec.Struct, frozen=True, kw_only=True):
    """An event to send, and the kind of effect that it has."""

    kind: str
    body: str


class Market(msgspec.Struct, frozen=True, kw_only=True):
    """A marketplace to which webhooks are sent."""

    name: str
    connection: psycopg.Connection
    url: str
    secret: str
    processes: dict[str, Callable[[], float]]
    orders: Iterator[tuple[str, str, int, str]]

    def job(self, bodies: list[str], per_second: int) -> Steady:
        """Deliveries of these bodies at a steady rate."""
        return Steady(url=self.url, bodies=bodies, per_second=per_second, secret=self.secret)


def measure_webhooks(stacks: dict[str, BenchStack]) -> None:
    """Print how long Stripe waits for an acknowledgement, in turn from a small and a large ledger, and their ratio."""
    events = EVENTS_PER_SECOND * WEBHOOK_SECONDS
    print(
        f"webhooks: {EVENTS_PER_SECOND} signed events/s for {WEBHOOK_SECONDS} s, through the gateway to one edge;"
        f" milliseconds until acknowledged"
        f"   (targets: p99 <= {MOST_MILLISECONDS}; large to small <= {MOST_GROWTH})"
    )
    with ExitStack() as open_connections:
        markets = [_market(name, stack, open_connections) for name, stack in stacks.items()]
        acknowledged = dict.fromkeys(stacks, 0)
        slowest: dict[str, list[float]] = {name: [] for name in stacks}
        for number in range(1, WEBHOOK_ROUNDS + 1):
            for market in markets:
                sent = [_ignored(n) if n % 4 == 0 else _paid(*next(market.orders)) for n in range(events)]
                before = {name: cpu() for name, cpu in market.processes.items()}
                outcomes = post(market.job([each.body for each in sent], EVENTS_PER_SECOND))
                spent = {name: (cpu() - before[name]) / events * 1000 for name, cpu in market.processes.items()}
                acknowledged[market.name] += sum(
                    each.status == 200 and event.kind != "ignored" for each, event in zip(outcomes, sent, strict=True)
                )
                slowest[market.name].append(_print_outcomes(f"round {number}, {market.name}, all", outcomes))
                for kind in sorted({each.kind for each in sent}):
                    _print_outcomes(
                        f"  {kind}", [each for each, event in zip(outcomes, sent, strict=True) if event.kind == kind]
                    )
                print("    milliseconds of processor time an event:", _listed(spent))
        for market in markets:
            _check_webhooks(market.connection, acknowledged[market.name])
    small, large = (statistics.median(slowest[name]) for name in stacks)
    print(f"  median p99: small {small:.1f}, large {large:.1f}, ratio {large / small:.2f}")


def _market(name: str, stack: BenchStack, open_connections: ExitStack) -> Market:
    """Prepare the orders, and warm connections, plans and caches before anything counts."""
    connection = open_connections.enter_context(psycopg.connect(stack.admin_db_url, autocommit=True))
    events = EVENTS_PER_SECOND * WEBHOOK_SECONDS
    orders = _pending(connection, members(connection, events), WARMING + events * 3 // 4 * WEBHOOK_ROUNDS)
    market = Market(
        name=name,
        connection=connection,
        url=f"{stack.api_url}/functions/v1/webhooks/stripe",
        secret=Folder(stack.data).state().double_keys["stripe_webhook_secret"],
        processes=_processes(stack, connection, "gateway", "edge", "worker"),
        orders=orders,
    )
    post(market.job([_paid(*next(orders)).body for _ in range(WARMING)], EVENTS_PER_SECOND // 2))
    return market


def _print_outcomes(name: str, outcomes: list[Outcome]) -> float:
    """Print quantiles of the time until the acknowledgement; returns the 99th percentile, in milliseconds."""
    cuts = statistics.quantiles((each.milliseconds for each in outcomes), n=100)
    late = statistics.quantiles((each.late for each in outcomes), n=100)[98]
    errors = sum(each.status != 200 for each in outcomes)
    print(
        f"  {name:<26}{len(outcomes):6,} events  p50 {cuts[49]:7.1f}  p95 {cuts[94]:7.1f}  p99 {cuts[98]:7.1f}"
        f"  errors {errors}  (p99 of how late they left {late:.1f})"
    )
    return cuts[98]


def _check_webhooks(connection: psycopg.Connection, acknowledged: int) -> None:
    row = connection.execute(
        "select count(*) filter (where status in ('applied', 'ignored')), count(*) filter (where status = 'failed')"
        " from private.webhook_inbox where event_id like 'evt_bench_%'"
    ).fetchone()
    assert row is not None
    assert row[0] >= acknowledged, "an event was acknowledged and has no result"
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
        # No pair twice: ordering the same offer again returns the same order.
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


def _paid(kind: str, order: str, amount: int, currency: str) -> SentEvent:
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
    return SentEvent(kind=f"a {kind} paid", body=_event("checkout.session.completed", session))


def _ignored(number: int) -> SentEvent:
    object_ = {**dict.fromkeys(ABSENT), "id": f"pi_{uuid.uuid4().hex}", "object": "payment_intent"}
    return SentEvent(kind="ignored", body=_event(IGNORED_TYPES[number % len(IGNORED_TYPES)], object_))


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
"""The checkouts prepared for a round: more than it can make."""
BUYERS = 320
ALONE = 100
"""The number of times that each step of a checkout runs by itself."""
CHECKOUT = "/checkout"


class Costs(msgspec.Struct, frozen=True, kw_only=True):
    """The rate and the processor time of one load."""

    per_second: float
    cpu: dict[str, float]
    """Seconds of processor time a request, by process."""


def measure_checkout(stack: BenchStack) -> None:
    """Print checkouts a second against the empty route, and the processor time of each process."""
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
    """Print the time of each step without other load, which is how long a buyer waits."""
    state = Folder(stack.data).state()
    double = f"http://127.0.0.1:{GUILDHALL.port(state.port, 'stripe')}"
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
            with timed("  checkout_payload"):
                payload = system.execute("select private.checkout_payload(%s)", [order]).fetchone()
            assert payload is not None
            session = _session(payload[0])
            with timed("  the session, by Stripe's double"):
                http.post(f"{double}/v1/checkout/sessions", data=session, headers=key).raise_for_status()
            with timed("  bind_session"):
                system.execute("select private.bind_session(%s, %s, null)", [f"cs_{uuid.uuid4().hex}", order])
    print(f"one checkout at a time, milliseconds, median of {ALONE}")
    for step, times in taken.items():
        print(f"  {step:<36}{statistics.median(times):8.2f}")


def _session(payload: dict[str, Any]) -> dict[str, str]:
    """The edge's request to Stripe for an order, as a form."""
    return {
        "mode": "payment",
        "customer": payload["customer"],
        "client_reference_id": payload["order_id"],
        "metadata[order_id]": payload["order_id"],
        "line_items[0][price_data][currency]": payload["currency"],
        "line_items[0][price_data][unit_amount]": str(payload["unit_amount"]),
        "line_items[0][price_data][product]": payload["product"],
        "line_items[0][quantity]": str(payload["quantity"]),
        "success_url": "http://127.0.0.1:3000/checkout/return?session_id={CHECKOUT_SESSION_ID}",
        "cancel_url": "http://127.0.0.1:3000/checkout/cancelled",
        "expires_at": str(payload["expires_at"]),
        "payment_intent_data[metadata][order_id]": payload["order_id"],
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
    assert not load.bodies or requests < len(load.paths), "an order was placed twice: prepare more"
    return Costs(
        per_second=result.per_second, cpu={name: (cpu() - before[name]) / requests for name, cpu in processes.items()}
    )


def _processes(stack: BenchStack, connection: psycopg.Connection, *parts: str) -> dict[str, Callable[[], float]]:
    """The processor time used so far by parts of the stack and by Postgres, in seconds."""
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
    except FileNotFoundError:  # a backend that has just ended
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


# People and offers


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
    """Offers on sale, each of another seller, whose products the worker has made at Stripe."""
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
            "select count(*) from private.provider_references where object = 'price' and row_id = any(%s::uuid[])",
            [offers],
        ).fetchone()
        if row == (count,):
            return offers
        time.sleep(0.2)
    raise TimeoutError("the worker did not make the products")


def _ids(connection: psycopg.Connection, statement: str, *values: int) -> list[str]:
    return [row[0] for row in connection.execute(statement.encode(), values).fetchall()]


def measure(size: Size = LARGE, *, only_webhooks: bool = False) -> None:
    """Load two marketplaces, read from both, receive webhooks in both, and check out in the large one."""
    with running() as large:
        with running() as small:
            marketplace.load(small, SMALL)
            marketplace.load(large, size)
            if not only_webhooks:
                measure_questions([small, large], [SMALL, size])
            measure_webhooks({"small": small, "large": large})
        if not only_webhooks:
            measure_checkout(large)


def main() -> None:
    """Measure; `webhooks` measures nothing else, a number is that of ledger entries of the large marketplace."""
    arguments = [each for each in sys.argv[1:] if each != "webhooks"]
    size = marketplace.sized(int(arguments[0])) if arguments else LARGE
    measure(size, only_webhooks="webhooks" in sys.argv)


if __name__ == "__main__":
    main()
