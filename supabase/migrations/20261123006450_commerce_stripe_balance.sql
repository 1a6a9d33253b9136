-- Commerce: Stripe's balance transactions, for reconciliation.

create function private.upsert_balance_transactions(p_transactions jsonb) returns bigint
language plpgsql
security definer -- the worker, which fetched them from Stripe, may write no table
set search_path = ''
as $$
declare
    v_transaction private.balance_transactions;
    v_count bigint := 0;
begin
    for v_transaction in
        with new_rows as (
            select
                t.value as whole,
                case jsonb_typeof(t.value -> 'source')
                    when 'object' then t.value -> 'source'
                    else jsonb_build_object('id', t.value ->> 'source')
                end as source
            from jsonb_array_elements(p_transactions) as t (value)
        )
        select
            'stripe' as provider,
            t.whole ->> 'id' as reference,
            t.whole ->> 'type' as type,
            t.source ->> 'id' as source,
            coalesce(
                private.row_id_of_stripe(t.source ->> 'id', 'charge'),
                (
                    select r.order_id from public.refunds as r
                    where r.id = private.row_id_of_stripe(t.source ->> 'id', 'refund')
                ),
                (
                    select d.order_id from public.disputes as d
                    where d.id = private.row_id_of_stripe(t.source ->> 'id', 'dispute')
                ),
                private.order_of_stripe(t.source)
            ) as order_id,
            -- The reversal of a transfer names the transfer.
            private.row_id_of_stripe(coalesce(t.source ->> 'transfer', t.source ->> 'id'), 'payout') as payout_id,
            (t.whole ->> 'amount')::bigint as amount,
            (t.whole ->> 'fee')::bigint as fee,
            upper(t.whole ->> 'currency') as currency,
            case
                when t.source ->> 'currency' <> t.whole ->> 'currency'
                    then sign((t.whole ->> 'amount')::bigint)::bigint * (t.source ->> 'amount')::bigint
                else (t.whole ->> 'amount')::bigint
            end as source_amount,
            upper(coalesce(t.source ->> 'currency', t.whole ->> 'currency')) as source_currency,
            to_timestamp((t.whole ->> 'created')::bigint) as occurred_at,
            null::timestamptz as created_at
        from new_rows as t
    loop
        perform private.record_balance_transaction(v_transaction);
        v_count := v_count + 1;
    end loop;
    return v_count;
end
$$;
comment on function private.upsert_balance_transactions(jsonb) is
'Keeps balance transactions as Stripe lists them ([{id, type, source (an id, or the object), amount, fee (minor units),
currency, created}]) and writes their fees and conversions into the ledger, each once: the amount of a charge is in the
currency that the buyer paid, that of its transaction and the fee in the one that Stripe settles in. Returns the number.
For the worker.';

create function private.newest_balance_transaction() returns bigint
language sql
stable
security definer -- the worker may read no table
set search_path = ''
as $$
    -- A day earlier, because Stripe's list may lag; a known transaction is kept once.
    select greatest(extract(epoch from max(b.occurred_at))::bigint - 86400, 0)
    from private.balance_transactions as b
    -- Those of a test clock may lie in the future.
    where b.provider = 'stripe' and b.occurred_at <= now()
$$;
comment on function private.newest_balance_transaction() is
'The time from which the worker fetches balance transactions, in seconds since 1970; null for all of them.';

create function private.record_stripe_balance(p_object jsonb) returns void
language sql
security definer -- the worker, which read it from Stripe, may write no table
set search_path = ''
as $$
    select private.record_provider_balances(
        'stripe',
        (
            select coalesce(jsonb_object_agg(upper(t.currency), t.amount), '{}')
            from jsonb_to_recordset(p_object -> 'available') as t (currency text, amount bigint)
        )
    )
$$;
comment on function private.record_stripe_balance(jsonb) is
'Keeps the balance as Stripe answers it ({available: [{currency, amount (minor units)}]}). For the worker.';
