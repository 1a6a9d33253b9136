"""A marketplace of a given size: sellers with offers, buyers with orders, and the ledger.

The rows are consistent (journals sum to zero, balances match entries, splits match refunds and holds), as if money had
come through the API. No trigger runs, because loading would then take hours. Ids are computed from numbers
(`bench.academy.identity`), so that a seller or buyer can be found by a number.
"""

import time

import msgspec

from bench.academy import loading, run, settle
from bench.stack import BenchStack

BIGGEST = 1
"""The seller of a tenth of all orders."""
LINES_AN_ORDER = 3


class Size(msgspec.Struct, frozen=True, kw_only=True):
    """The size of a marketplace."""

    lines: int
    sellers: int
    buyers: int

    @property
    def payouts(self) -> int:
        """The number of payouts, with four ledger entries each."""
        return self.lines // 100

    @property
    def refunds(self) -> int:
        """The number of refunded orders, with three more ledger entries each."""
        return self.lines // 100

    @property
    def orders(self) -> int:
        """The number of paid orders."""
        return (self.lines - 4 * self.payouts - 3 * self.refunds) // LINES_AN_ORDER


SMALL = Size(lines=10_000, sellers=20, buyers=500)
LARGE = Size(lines=1_000_000, sellers=2_000, buyers=50_000)


def sized(entries: int) -> Size:
    """A marketplace with fewer ledger entries than the large one, and as many fewer sellers and buyers."""
    share = LARGE.lines // entries
    return Size(lines=entries, sellers=LARGE.sellers // share, buyers=LARGE.buyers // share)


PEOPLE = """
    create temporary table people as
    select pg_temp.id(k.kind, n) as id, k.kind || '-' || n as handle, k.kind = 'seller' as is_seller
    from (values ('seller', %(sellers)s), ('buyer', %(buyers)s)) as k (kind, count)
    cross join lateral generate_series(1, k.count) as n;

    insert into public.accounts (user_id, roles)
    select p.id, case when p.is_seller then '{teacher}' else '{}' end::public.app_role[] from people as p;

    insert into public.profiles (id, handle, display_name) select p.id, p.handle, initcap(p.handle) from people as p;

    insert into public.user_roles (user_id, role) select p.id, 'teacher' from people as p where p.is_seller;

    insert into public.payout_accounts (user_id, is_submitted, can_receive)
    select p.id, true, true from people as p where p.is_seller;
"""

SALES = """
    -- Five offers a seller, one of them in dollars.
    insert into public.offers (id, seller_id, kind, status, title, price_amount, price_currency, created_at)
    select
        pg_temp.id('offer', s * 5 + k), pg_temp.id('seller', s), 'service', 'active', 'Service ' || k,
        2000 + 100 * k, case k when 0 then 'USD' else 'EUR' end, now() - interval '3 years'
    from generate_series(1, %(sellers)s) as s
    cross join generate_series(0, 4) as k;

    create temporary table sold as
    select t.n, t.seller, t.buyer, t.offer, t.happened_at, o.price_amount as amount, o.price_currency as currency,
        o.price_amount * 85 / 100 as part, o.title, t.n %% (%(orders)s / %(refunds)s) = 0 and t.n <= %(last_refunded)s
            as is_refunded
    from (
        select
            s.n, s.seller, s.seller * 5 + floor(random() * 5)::integer as offer,
            1 + floor(power(random(), 2) * %(buyers)s)::integer as buyer,
            now() - random() * interval '2 years' as happened_at
        from (
            select
                n, case when random() < 0.1 then 1 else 2 + floor(random() * (%(sellers)s - 1))::integer end as seller
            from generate_series(1, %(orders)s) as n
        ) as s
    ) as t
    join public.offers as o on o.id = pg_temp.id('offer', t.offer);
    analyze sold;

    insert into public.orders (
        id, buyer_id, seller_id, offer_id, kind, title, buyer_name, seller_name, unit_amount, currency, seller_bps,
        student_teacher_bps, status, paid_amount, refunded_amount, created_at, expires_at, paid_at
    )
    select
        pg_temp.id('order', s.n), pg_temp.id('buyer', s.buyer), pg_temp.id('seller', s.seller),
        pg_temp.id('offer', s.offer), 'service', s.title, 'Buyer-' || s.buyer, 'Seller-' || s.seller, s.amount,
        s.currency, 8500, 0, 'paid', s.amount, case when s.is_refunded then s.amount else 0 end,
        s.happened_at - interval '5 minutes', s.happened_at + interval '55 minutes', s.happened_at
    from sold as s
    order by s.happened_at;

    insert into private.payments (order_id, provider, reference, amount, currency, returned_amount, created_at)
    select
        pg_temp.id('order', s.n), 'stripe', 'pi_bench_' || s.n, s.amount, s.currency,
        case when s.is_refunded then s.amount else 0 end, s.happened_at
    from sold as s
    order by s.happened_at;

    insert into private.provider_references (provider, reference, object, row_id, created_at)
    select 'stripe', k.prefix || s.n, k.object, pg_temp.id('order', s.n), s.happened_at
    from sold as s
    cross join (values ('cs_bench_', 'session'), ('pi_bench_', 'payment')) as k (prefix, object)
    order by s.happened_at;

    insert into public.payment_splits (
        order_id, user_id, role, amount, returned_amount, currency, available_at, created_at
    )
    select
        pg_temp.id('order', s.n), pg_temp.id('seller', s.seller), 'seller', s.part,
        case when s.is_refunded then s.part else 0 end, s.currency, s.happened_at + interval '7 days', s.happened_at
    from sold as s
    order by s.happened_at;

    insert into public.entitlements (
        user_id, order_id, offer_id, seller_id, kind, starts_at, ends_at, created_at, updated_at
    )
    select
        pg_temp.id('buyer', s.buyer), pg_temp.id('order', s.n), pg_temp.id('offer', s.offer),
        pg_temp.id('seller', s.seller), 'service', s.happened_at,
        case when s.is_refunded then s.happened_at + (now() - s.happened_at) / 2 end, s.happened_at, s.happened_at
    from sold as s
    order by s.happened_at;

    insert into public.fulfilments (order_id, seller_id, buyer_id, status, created_at, delivered_at)
    select
        pg_temp.id('order', s.n), pg_temp.id('seller', s.seller), pg_temp.id('buyer', s.buyer),
        case when s.is_refunded then 'cancelled' else 'delivered' end::public.fulfilment_status,
        s.happened_at, case when not s.is_refunded then s.happened_at end
    from sold as s
    order by s.happened_at;

    insert into public.refunds (order_id, buyer_id, amount, currency, status, created_at, completed_at)
    select
        pg_temp.id('order', s.n), pg_temp.id('buyer', s.buyer), s.amount, s.currency, 'succeeded',
        s.happened_at + (now() - s.happened_at) / 2, s.happened_at + (now() - s.happened_at) / 2
    from sold as s
    where s.is_refunded;
"""

LEDGER = """
    -- Everybody is paid out as often, in euros.
    create temporary table paid_out as
    select
        n, 1 + n %% %(sellers)s as seller, 'EUR' as currency,
        100 + floor(random() * 900)::integer as amount, now() - random() * interval '1 year' as happened_at
    from generate_series(1, %(payouts)s) as n;

    insert into public.payouts (id, user_id, amount, currency, status, created_at, paid_at)
    select
        pg_temp.id('payout', p.n), pg_temp.id('seller', p.seller), p.amount, p.currency, 'paid', p.happened_at,
        p.happened_at
    from paid_out as p
    order by p.happened_at;

    insert into public.ledger_accounts (kind, user_id, currency, balance)
    select k.kind, pg_temp.id('seller', n), c.currency, 0
    from generate_series(1, %(sellers)s) as n
    cross join (values ('payable'::public.ledger_account_kind), ('payout')) as k (kind)
    cross join (values ('EUR'), ('USD')) as c (currency)
    union all
    select k.kind, null, c.currency, null
    from (values ('provider'::public.ledger_account_kind), ('platform')) as k (kind)
    cross join (values ('EUR'), ('USD')) as c (currency)
    on conflict do nothing;

    create temporary table posted as
    select j.*, pg_temp.id('journal' || j.kind, j.n) as id
    from (
        select
            s.n, 'payment' as kind, 'payment:' || pg_temp.id('order', s.n) as key,
            pg_temp.id('order', s.n) as order_id, s.seller, s.currency, s.amount, s.part, s.happened_at
        from sold as s
        union all
        select s.n, 'refund', 'refund:' || s.n, pg_temp.id('order', s.n), s.seller, s.currency, -s.amount, -s.part,
            s.happened_at + (now() - s.happened_at) / 2
        from sold as s
        where s.is_refunded
        union all
        select p.n, k.kind, k.kind || ':' || p.n, null, p.seller, p.currency, p.amount, null, p.happened_at
        from paid_out as p
        cross join (values ('payout'), ('payout_paid')) as k (kind)
    ) as j;
    analyze posted;

    insert into public.ledger_journals (id, kind, idempotency_key, occurred_at)
    select p.id, p.kind, p.key, p.happened_at from posted as p order by p.happened_at;
"""

LINES = """
    -- By a number, for a join on null is none that can be hashed: 0 is the platform.
    create temporary table held as
    select a.id, a.kind, a.currency, a.user_id, n as seller
    from generate_series(1, %(sellers)s) as n
    join public.ledger_accounts as a on a.user_id = pg_temp.id('seller', n)
    union all
    select a.id, a.kind, a.currency, a.user_id, 0 from public.ledger_accounts as a where a.user_id is null;
    analyze held;

    insert into public.ledger_entries (
        journal_id, account_id, user_id, kind, account_kind, order_id, amount, currency, occurred_at
    )
    select p.id, a.id, a.user_id, p.kind, a.kind, p.order_id, l.amount, a.currency, p.happened_at
    from posted as p
    cross join lateral (
        select v.kind, v.is_seller, v.amount
        from (
            values
            ('payment', 'provider'::public.ledger_account_kind, false, p.amount),
            ('payment', 'payable', true, -p.part),
            ('payment', 'platform', false, p.part - p.amount),
            ('payout', 'payable', true, p.amount),
            ('payout', 'payout', true, -p.amount),
            ('payout_paid', 'payout', true, p.amount),
            ('payout_paid', 'provider', false, -p.amount)
        ) as v (journal, kind, is_seller, amount)
        where v.journal = case p.kind when 'refund' then 'payment' else p.kind end
    ) as l
    join held as a
        on a.kind = l.kind and a.currency = p.currency and a.seller = case when l.is_seller then p.seller else 0 end
    order by p.happened_at, p.id;

    update public.ledger_accounts as a
    set balance = l.balance
    from (
        select i.account_id, -sum(i.amount) as balance
        from public.ledger_entries as i
        where i.user_id is not null
        group by i.account_id
    ) as l
    where l.account_id = a.id;
"""


def load(stack: BenchStack, size: Size) -> None:
    """Load a marketplace, check its consistency, and print how long it took and how large it is."""
    started = time.perf_counter()
    with loading(stack) as connection:
        values = {
            "sellers": size.sellers,
            "buyers": size.buyers,
            "orders": size.orders,
            "payouts": size.payouts,
            "refunds": size.refunds,
            "last_refunded": size.orders // size.refunds * size.refunds,
        }
        for statements in (PEOPLE, SALES, LEDGER, LINES):
            run(connection, statements, values)
        settle(connection)
        rows = connection.execute("""
            select
                (select count(*) from public.ledger_entries),
                (select count(*) from public.orders),
                (
                    select count(*) from (
                        select from public.ledger_entries as l
                        group by l.journal_id, l.currency having sum(l.amount) <> 0
                    ) as u
                ),
                pg_size_pretty(pg_database_size(current_database()))
        """).fetchone()
    assert rows is not None
    assert rows[2] == 0, f"{rows[2]} journals do not sum to zero"
    print(
        f"marketplace: {rows[0]:,} ledger lines, {rows[1]:,} orders, {size.sellers:,} sellers, {rows[3]}, "
        f"loaded in {time.perf_counter() - started:.0f} s"
    )
