-- Commerce: reconciliation of the ledger with the providers' own records. The worker fetches their balance transactions
-- every day; fees go into the ledger, and admins see every difference.

create table private.balance_transactions (
    provider text not null
    constraint balance_transactions_provider_fkey references private.payment_providers (provider) on delete restrict,
    reference text not null,
    type text not null,
    source text,
    order_id uuid,
    payout_id uuid,
    amount bigint not null,
    fee bigint not null,
    currency text not null,
    source_amount bigint not null,
    source_currency text not null,
    occurred_at timestamptz not null,
    created_at timestamptz not null default now(),
    constraint balance_transactions_pkey primary key (provider, reference)
);
comment on table private.balance_transactions is
'The movements of our balance at each provider, with the order or payout where it is known.';
comment on column private.balance_transactions.reference is 'The provider''s id of the transaction.';
comment on column private.balance_transactions.type is 'The provider''s word for it: charge, refund, transfer ...';
comment on column private.balance_transactions.source is
'The provider''s id of the charge, refund, dispute or transfer.';
comment on column private.balance_transactions.order_id is
'The order; null where none is known. No foreign key: the provider names it.';
comment on column private.balance_transactions.payout_id is
'The payout; null where none is known. No foreign key: the provider names it.';
comment on column private.balance_transactions.amount is 'In minor units, before the fee; positive came in.';
comment on column private.balance_transactions.currency is
'ISO 4217, upper case: the currency in which the amount was settled and the fee was taken.';
comment on column private.balance_transactions.fee is 'The provider''s fee, in minor units.';
comment on column private.balance_transactions.source_amount is
'The amount of the charge or refund itself, in minor units; it differs where the provider settles in another currency.';
comment on column private.balance_transactions.source_currency is 'ISO 4217, upper case: of source_amount.';
alter table private.balance_transactions enable row level security;
create index balance_transactions_order_id_idx on private.balance_transactions (order_id);
comment on index private.balance_transactions_order_id_idx is 'The transactions of an order';
create index balance_transactions_payout_id_idx on private.balance_transactions (payout_id);
comment on index private.balance_transactions_payout_id_idx is 'The transactions of a payout';
create index balance_transactions_occurred_at_idx on private.balance_transactions (provider, occurred_at);
comment on index private.balance_transactions_occurred_at_idx is
'The newest known transaction of a provider, from which the worker goes on';

create function private.record_balance_transaction(p_transaction private.balance_transactions) returns void
language plpgsql
security definer -- the table and the ledger are closed
set search_path = ''
as $$
begin
    insert into private.balance_transactions (
        provider, reference, type, source, order_id, payout_id, amount, fee, currency, source_amount, source_currency,
        occurred_at
    )
    values (
        p_transaction.provider, p_transaction.reference, p_transaction.type, p_transaction.source,
        p_transaction.order_id, p_transaction.payout_id, p_transaction.amount, p_transaction.fee,
        p_transaction.currency, p_transaction.source_amount, p_transaction.source_currency, p_transaction.occurred_at
    )
    on conflict (provider, reference) do update
    set
        order_id = coalesce(private.balance_transactions.order_id, excluded.order_id),
        payout_id = coalesce(private.balance_transactions.payout_id, excluded.payout_id)
    returning * into p_transaction;
    if p_transaction.source_currency <> p_transaction.currency then
        perform private.post_journal(
            'conversion', 'conversion:' || p_transaction.provider || ':' || p_transaction.reference || ':' || t.step,
            p_transaction.order_id, t.currency,
            jsonb_build_array(
                jsonb_build_object('kind', 'provider', 'amount', t.amount),
                jsonb_build_object('kind', 'conversion', 'amount', -t.amount)
            )
        )
        from (
            values
            ('from', p_transaction.source_currency, -p_transaction.source_amount),
            ('to', p_transaction.currency, p_transaction.amount)
        ) as t (step, currency, amount);
    end if;
    if p_transaction.fee <> 0 then
        perform private.post_journal(
            'fee', 'fee:' || p_transaction.provider || ':' || p_transaction.reference, p_transaction.order_id,
            p_transaction.currency,
            jsonb_build_array(
                jsonb_build_object('kind', 'fees', 'amount', p_transaction.fee),
                jsonb_build_object('kind', 'provider', 'amount', -p_transaction.fee)
            )
        );
    end if;
end
$$;
comment on function private.record_balance_transaction(private.balance_transactions) is
'Keeps a balance transaction and writes its fee into the ledger, once, and the conversion where the provider settled it
in another currency. A repeated call can only add the order or payout that was unknown before.';

create function private.reconciliation() returns table (
    currency text, order_id uuid, payout_id uuid, source text, ledger_amount bigint, provider_amount bigint, reason text
)
language sql
stable
security definer -- the ledger and the transactions are closed; the role decides
set search_path = ''
as $$
    with amounts as (
        select
            l.currency, l.order_id, null::uuid as payout_id, null::text as source, l.amount as ledger_amount,
            0::bigint as provider_amount
        from public.ledger_entries as l
        where l.account_kind = 'provider'
            and l.kind not in ('fee', 'conversion', 'payout_paid', 'payout_late', 'payout_returned')
        union all
        select p.currency, null, p.id, null, p.returned_amount - p.amount, 0 from public.payouts as p
        where p.status in ('paid', 'returned')
        union all
        select
            b.source_currency, b.order_id, b.payout_id,
            case when b.order_id is null and b.payout_id is null then b.source end, 0, b.source_amount
        from private.balance_transactions as b
    )
    select
        a.currency, a.order_id, a.payout_id, a.source, sum(a.ledger_amount)::bigint, sum(a.provider_amount)::bigint,
        case
            when a.source is not null then 'unknown_here'
            when sum(a.provider_amount) = 0 then 'unknown_to_provider'
            else 'amounts_differ'
        end
    from amounts as a
    where (select private.has_role('admin'))
    group by a.currency, a.order_id, a.payout_id, a.source
    having sum(a.ledger_amount) <> sum(a.provider_amount)
$$;
comment on function private.reconciliation() is
'The differences between the ledger and the providers'' records, by order, payout or unknown object, in minor units.
Amounts are compared in the currency of the order, whatever the provider settled in. Nothing where both agree, and
nothing for callers who are not admins.';

create view public.reconciliation with (security_invoker = true) as
select -- noqa: ST06
    coalesce(r.order_id::text, r.payout_id::text, r.source) as id,
    r.currency,
    r.order_id,
    r.payout_id,
    r.source,
    r.ledger_amount,
    r.provider_amount,
    r.reason
from private.reconciliation() as r;
comment on view public.reconciliation is
'The differences between the ledger and the payment provider''s own records; empty where both agree. Admins read it;
other users read no row.';
comment on column public.reconciliation.id is 'The order, the payout, or the source.';
comment on column public.reconciliation.currency is 'ISO 4217, upper case.';
comment on column public.reconciliation.source is 'The provider''s id of an object that is unknown here.';
comment on column public.reconciliation.ledger_amount is 'The sum in the ledger, in minor units, without fees.';
comment on column public.reconciliation.provider_amount is 'The sum at the provider, in minor units, without fees.';
comment on column public.reconciliation.reason is
'unknown_here, unknown_to_provider (perhaps not fetched yet: the worker fetches once a day), or amounts_differ.';
create trigger _100_refuse_write instead of insert or update or delete on public.reconciliation
for each row execute function private.tg__refuse_write();
