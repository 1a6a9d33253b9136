-- Commerce: does the ledger say what Stripe's own books say? The worker fetches Stripe's balance transactions every
-- day; their fees go into the ledger, and every difference is shown to admins.

create table private.balance_transactions (
    stripe_id text constraint balance_transactions_pkey primary key,
    type text not null,
    source text,
    order_id uuid,
    payout_id uuid,
    amount bigint not null,
    fee bigint not null,
    currency text not null,
    happened_at timestamptz not null,
    created_at timestamptz not null default now()
);
comment on table private.balance_transactions is
'What moved the balance at Stripe, as Stripe has it, of orders and payouts as far as they are known.';
comment on column private.balance_transactions.source is 'The charge, refund, dispute or transfer at Stripe.';
comment on column private.balance_transactions.order_id is
'The order that it is of; null where of none. No foreign key: it is Stripe''s word.';
comment on column private.balance_transactions.payout_id is
'The payout that it is of; null where of none. No foreign key, either.';
comment on column private.balance_transactions.amount is 'In minor units, before the fee: more than nothing came in.';
comment on column private.balance_transactions.fee is 'What Stripe kept of it.';
alter table private.balance_transactions enable row level security;
create index balance_transactions_order_id_idx on private.balance_transactions (order_id);
comment on index private.balance_transactions_order_id_idx is 'What Stripe says of an order';
create index balance_transactions_payout_id_idx on private.balance_transactions (payout_id);
comment on index private.balance_transactions_payout_id_idx is 'What Stripe says of a payout';
create index balance_transactions_happened_at_idx on private.balance_transactions (happened_at);
comment on index private.balance_transactions_happened_at_idx is
'The newest that is known: from there on the worker asks';
create index ledger_lines_order_id_idx on public.ledger_lines (order_id);
comment on index public.ledger_lines_order_id_idx is 'What the ledger says of an order';

create function private.keep_balance_transactions(p_transactions jsonb) returns bigint
language plpgsql
security definer -- the worker, which has them from Stripe, may write no table
set search_path = ''
as $$
declare
    v_one private.balance_transactions;
    v_kept bigint := 0;
begin
    for v_one in
        with told as (
            select
                t.value ->> 'id' as stripe_id,
                t.value ->> 'type' as type,
                case jsonb_typeof(t.value -> 'source')
                    when 'object' then t.value -> 'source'
                    else jsonb_build_object('id', t.value ->> 'source')
                end as source,
                t.value as whole
            from jsonb_array_elements(p_transactions) as t (value)
        )
        insert into private.balance_transactions (
            stripe_id, type, source, order_id, payout_id, amount, fee, currency, happened_at
        )
        select
            t.stripe_id, t.type, t.source ->> 'id',
            coalesce(
                private.of_stripe(t.source ->> 'id', 'charge'),
                (select r.order_id from public.refunds as r where r.id = private.of_stripe(t.source ->> 'id', 'refund')),
                (select d.order_id from public.disputes as d where d.id = private.of_stripe(t.source ->> 'id', 'dispute')),
                private.order_of_stripe(t.source)
            ),
            private.of_stripe(t.source ->> 'id', 'payout'),
            (t.whole ->> 'amount')::bigint, (t.whole ->> 'fee')::bigint, upper(t.whole ->> 'currency'),
            to_timestamp((t.whole ->> 'created')::bigint)
        from told as t
        on conflict (stripe_id) do update
        set
            order_id = coalesce(private.balance_transactions.order_id, excluded.order_id),
            payout_id = coalesce(private.balance_transactions.payout_id, excluded.payout_id)
        returning *
    loop
        v_kept := v_kept + 1;
        if v_one.fee <> 0 then
            perform private.post_journal(
                'fee', 'fee:' || v_one.stripe_id, v_one.order_id, v_one.currency,
                jsonb_build_array(
                    jsonb_build_object('kind', 'fees', 'amount', v_one.fee),
                    jsonb_build_object('kind', 'provider', 'amount', -v_one.fee)
                )
            );
        end if;
    end loop;
    return v_kept;
end
$$;
comment on function private.keep_balance_transactions(jsonb) is
'Keeps balance transactions as Stripe lists them ([{id, type, source, amount, fee, currency, created}], the source
perhaps expanded), and writes their fees into the ledger, each once. Answers how many there were.';

create function private.newest_balance_transaction() returns bigint
language sql
stable
security definer -- the worker may read no table
set search_path = ''
as $$
    -- A little earlier, for Stripe's list may lag; what is known is kept once.
    select greatest(extract(epoch from max(b.happened_at))::bigint - 86400, 0) from private.balance_transactions as b
$$;
comment on function private.newest_balance_transaction() is
'From when on the worker asks for balance transactions, in seconds since 1970; null for all.';

create function private.reconciliation() returns table (
    currency text, order_id uuid, payout_id uuid, source text, ledger_amount bigint, stripe_amount bigint, reason text
)
language sql
stable
security definer -- the ledger and Stripe's books are closed; the role decides
set search_path = ''
as $$
    with ours as (
        select l.currency, l.order_id, null::uuid as payout_id, null::text as source, l.amount as ours, 0::bigint as theirs
        from public.ledger_lines as l
        where l.account_kind = 'provider' and l.kind not in ('fee', 'payout_paid')
        union all
        select p.currency, null, p.id, null, -p.amount, 0 from public.payouts as p where p.status = 'paid'
        union all
        select
            b.currency, b.order_id, b.payout_id,
            case when b.order_id is null and b.payout_id is null then b.source end, 0, b.amount
        from private.balance_transactions as b
    )
    select
        o.currency, o.order_id, o.payout_id, o.source, sum(o.ours)::bigint, sum(o.theirs)::bigint,
        case
            when o.source is not null then 'unknown_here'
            when sum(o.theirs) = 0 then 'unknown_to_stripe'
            else 'amounts_differ'
        end
    from ours as o
    where (select private.has_role('admin'))
    group by o.currency, o.order_id, o.payout_id, o.source
    having sum(o.ours) <> sum(o.theirs)
$$;
comment on function private.reconciliation() is
'Where the ledger and Stripe''s books differ, by order, payout or unknown object; nothing where they agree, and for
whoever is no admin.';

create view public.reconciliation with (security_invoker = true) as
select -- noqa: ST06
    coalesce(r.order_id::text, r.payout_id::text, r.source) as id,
    r.currency,
    r.order_id,
    r.payout_id,
    r.source,
    r.ledger_amount,
    r.stripe_amount,
    r.reason
from private.reconciliation() as r;
comment on view public.reconciliation is
'Where the ledger and the payment provider''s own books differ; empty where all is well. Admins read it, nobody else a
row.';
comment on column public.reconciliation.id is 'The order, the payout, or the source.';
comment on column public.reconciliation.currency is 'ISO 4217, upper case.';
comment on column public.reconciliation.source is 'What the provider calls it, where nothing is known of it here.';
comment on column public.reconciliation.ledger_amount is 'What the ledger has, in minor units, without fees.';
comment on column public.reconciliation.stripe_amount is 'What the provider has, in minor units, without fees.';
comment on column public.reconciliation.reason is
'unknown_here, unknown_to_stripe (perhaps not fetched yet: it is done every day), or amounts_differ.';
create trigger _100_refuse_write instead of insert or update or delete on public.reconciliation
for each row execute function private.tg__refuse_write();
