-- Commerce: money that is returned: refunds by admins, refunds made at the provider, disputes. Each function may be
-- called again with the same news, which then changes nothing.

insert into private.errors (token, status, meaning, hint, detail)
values
(
    'refund_exceeds_payment', 409,
    'The refund is larger than what is left of the payment.',
    'Read the order and its refunds again.',
    'At most %s minor units can be refunded.'
);

create function private.reverse_splits(p_order public.orders, p_kind text, p_key text) returns void
language plpgsql
security definer -- only functions write the ledger
set search_path = ''
as $$
declare
    v_payment private.payments;
    v_returned bigint := p_order.refunded_amount + p_order.disputed_amount;
    v_tax bigint;
    v_entries jsonb;
begin
    select p.* into v_payment from private.payments as p
    where p.order_id = p_order.id and not p.is_surplus for no key update;
    v_tax := p_order.tax_amount * v_returned / p_order.paid_amount
        - p_order.tax_amount * v_payment.returned_amount / p_order.paid_amount;
    -- Each split returns the same fraction as the whole, rounded down, whatever the steps were.
    with changed_rows as (
        update public.payment_splits as s set returned_amount = s.amount * v_returned / p_order.paid_amount
        from public.payment_splits as b
        where s.order_id = p_order.id and b.id = s.id
        returning s.user_id, s.returned_amount - b.returned_amount as amount
    )
    select coalesce(jsonb_agg(jsonb_build_object('kind', 'payable', 'user_id', m.user_id, 'amount', m.amount)), '[]')
        || jsonb_build_array(
            jsonb_build_object('kind', 'tax', 'amount', v_tax),
            jsonb_build_object(
                'kind', 'platform',
                'amount', v_returned - v_payment.returned_amount - v_tax - coalesce(sum(m.amount), 0)
            ),
            jsonb_build_object(
                'kind', private.provider_account(v_payment.provider), 'amount', v_payment.returned_amount - v_returned
            )
        )
    into v_entries
    from changed_rows as m;
    update private.payments as p set returned_amount = v_returned where p.id = v_payment.id;
    perform private.post_journal(p_kind, p_key, p_order.id, p_order.currency, v_entries);
    perform private.fulfil_paid_order(p_order.id);
    perform private.fulfil_switches(p_order, true);
end
$$;
comment on function private.reverse_splits(public.orders, text, text) is
'Brings splits, tax, ledger and fulfilment in line with the refunded and disputed amounts of an order, which the caller
has locked and changed; once for each change (key).';

create function private.mail_refunds(p_order_id uuid) returns void
language sql
security definer -- the outbox is closed
set search_path = ''
as $$
    select private.enqueue_mail(
        o.buyer_id,
        'order_refunded',
        jsonb_build_object(
            'number', o.number, 'title', o.title, 'amount', private.format_amount(r.amount, r.currency)
        ),
        'order_refunded:' || r.id
    )
    from public.refunds as r
    join public.orders as o on o.id = r.order_id
    where r.order_id = p_order_id and r.status = 'succeeded'
$$;
comment on function private.mail_refunds(uuid) is 'Enqueues a mail about each refund of an order that succeeded, once.';

create function private.recount_returns(p_order_id uuid) returns public.orders
language plpgsql
security definer -- clients may not write orders
set search_path = ''
as $$
declare
    v_order public.orders;
begin
    update public.orders as o
    set
        refunded_amount = least(t.refunded, o.paid_amount),
        disputed_amount = least(t.disputed, o.paid_amount - least(t.refunded, o.paid_amount))
    from (
        select
            (
                select coalesce(sum(r.amount), 0) from public.refunds as r
                where r.order_id = p_order_id and r.status = 'succeeded'
            ) as refunded,
            (
                select coalesce(sum(d.amount), 0) from public.disputes as d
                where d.order_id = p_order_id and d.status <> 'won'
            ) as disputed
    ) as t
    where o.id = p_order_id
    returning o.* into v_order;
    return v_order;
end
$$;
comment on function private.recount_returns(uuid) is
'Sets what was returned of the payment of an order, which the caller has locked, from its refunds and disputes. A bank
may take back what a refund returns, too: the dispute then counts for what the refunds leave, and for more once a refund
fails.';

create function private.record_refund_result(p_refund_id uuid, p_status public.refund_status) returns public.refunds
language plpgsql
security definer -- clients may not write refunds and orders; the caller knows the result
set search_path = ''
as $$
declare
    v_refund public.refunds;
    v_was public.refund_status;
    v_order public.orders;
begin
    v_order := private.lock_order((select r.order_id from public.refunds as r where r.id = p_refund_id));
    select r.* into v_refund from public.refunds as r where r.id = p_refund_id for no key update;
    v_was := v_refund.status;
    -- A late report: a refund that succeeded was pending before, and one that failed stays failed.
    if p_status in (v_was, 'pending') or v_was = 'failed' then
        return v_refund;
    end if;
    update public.refunds as r set status = p_status, completed_at = now() where r.id = p_refund_id
    returning r.* into v_refund;
    if 'succeeded' in (p_status, v_was) then
        v_order := private.recount_returns(v_refund.order_id);
        perform private.reverse_splits(
            v_order, case p_status when 'succeeded' then 'refund' else 'refund_failed' end,
            'refund:' || p_refund_id || ':' || p_status
        );
    end if;
    if p_status = 'succeeded' then
        perform private.attempt_effect('mail_refunds', v_order.id);
        if not private.is_order_in_force(v_order) then
            perform private.resolve_payment_exception('unfulfilled', v_order.id, 'sync_fulfilment');
        end if;
    end if;
    return v_refund;
end
$$;
comment on function private.record_refund_result(uuid, public.refund_status) is
'Records that a refund succeeded or failed, and returns the refund. A repeated or outdated report changes nothing.
Raises PT404 order_not_found.';

create function private.refundable_amount(p_order public.orders) returns bigint
language sql
stable
security definer -- refunds are closed to sellers
set search_path = ''
as $$
    select p_order.paid_amount - p_order.refunded_amount - p_order.disputed_amount
        - (
            select coalesce(sum(r.amount), 0)::bigint from public.refunds as r
            where r.order_id = p_order.id and r.status = 'pending'
        )
$$;
comment on function private.refundable_amount(public.orders) is
'What is left of the payment of an order, without refunds that are under way, in minor units.';

create function private.request_refund(p_order public.orders, p_amount bigint, p_reason text) returns public.refunds
language plpgsql
security definer -- clients may not write refunds; the callers decide who may
set search_path = ''
as $$
declare
    v_provider text;
    v_left bigint := private.refundable_amount(p_order);
    v_refund public.refunds;
begin
    if v_left <= 0 or coalesce(p_amount, v_left) not between 1 and v_left then
        perform private.refuse('refund_exceeds_payment', greatest(v_left, 0)::text);
    end if;
    insert into public.refunds (order_id, buyer_id, amount, currency, reason)
    values (p_order.id, p_order.buyer_id, coalesce(p_amount, v_left), p_order.currency, p_reason)
    returning * into v_refund;
    perform private.audit(
        'order.refund', 'orders', p_order.id::text, jsonb_build_object('refunded_amount', p_order.refunded_amount),
        jsonb_build_object('refund_id', v_refund.id, 'amount', v_refund.amount, 'reason', p_reason)
    );
    select p.provider into v_provider from private.payments as p where p.order_id = p_order.id and not p.is_surplus;
    if private.provider_account(v_provider) = 'provider' then
        perform private.send_to_provider(v_provider, 'refund', v_refund.id::text);
    else
        v_refund := private.record_refund_result(v_refund.id, 'succeeded');
    end if;
    return v_refund;
end
$$;
comment on function private.request_refund(public.orders, bigint, text) is
'Refunds an order, which the caller has locked: amount in minor units, or all that is left. Returns the refund, pending
until the provider has made it. Raises PT409 refund_exceeds_payment.';

create function private.refund_order(
    p_order_id uuid, p_amount bigint default null, p_reason text default null
)
returns public.refunds
language plpgsql
security definer -- clients may not write refunds; the role is checked first
set search_path = ''
as $$
declare
    v_order public.orders;
begin
    perform private.require_role('admin');
    v_order := private.lock_order(p_order_id);
    perform private.require_step(p_amount, v_order.currency);
    return private.request_refund(v_order, p_amount, p_reason);
end
$$;
comment on function private.refund_order(uuid, bigint, text) is
'Refunds an order: amount in minor units, or all that is left of the payment. Returns the refund, pending until the
payment provider has made it; a payment outside the provider is refunded at once. Seller, student-teacher and platform
return their parts in proportion; a full refund ends what was bought. For admins; recorded in the audit log. Raises
role_required (403), order_not_found (404), refund_exceeds_payment (409), amount_unpayable (422).';

create function private.record_provider_refund(
    p_provider text, p_reference text, p_order_id uuid, p_refund_id uuid, p_amount bigint, p_reason text,
    p_status public.refund_status
)
returns boolean
language plpgsql
security definer -- clients may not write refunds; the provider reported it
set search_path = ''
as $$
declare
    v_order public.orders := private.lock_order(p_order_id);
    v_refund public.refunds;
begin
    select r.* into v_refund from public.refunds as r
    where r.order_id = p_order_id
        and r.id = coalesce(private.row_of_reference(p_provider, 'refund', p_reference), p_refund_id);
    if not found then
        -- Made by hand, at the provider.
        insert into public.refunds (order_id, buyer_id, amount, currency, reason)
        values (p_order_id, v_order.buyer_id, p_amount, v_order.currency, p_reason)
        returning * into v_refund;
    end if;
    perform private.bind_reference(p_provider, 'refund', p_reference, v_refund.id);
    return v_refund.status <> p_status
        and (private.record_refund_result(v_refund.id, p_status)).status <> v_refund.status;
end
$$;
comment on function private.record_provider_refund(text, text, uuid, uuid, bigint, text, public.refund_status) is
'Records a refund of an order, in minor units, as a provider reports it: one of ours (refund_id), or one made at the
provider. Returns whether it changed anything. Raises PT404 order_not_found.';

create function private.refund_abandoned_work(p_order public.orders) returns void
language plpgsql
security definer -- fulfilments and refunds are closed to the caller
set search_path = ''
as $$
begin
    if private.has_left(p_order.seller_id) and private.refundable_amount(p_order) > 0 and exists (
        select from public.fulfilments as f where f.order_id = p_order.id and f.status = 'open'
    ) and not exists (
        select from public.refunds as r where r.order_id = p_order.id and r.status = 'failed'
    ) then
        perform private.request_refund(p_order, null, 'The seller cannot deliver this any more.');
    end if;
end
$$;
comment on function private.refund_abandoned_work(public.orders) is
'Refunds an order whose dispute was won after its seller had left with the work open, unless a refund of it has failed;
the end of the account refunded what was open then.';

create function private.refund_second_purchase(p_order public.orders) returns void
language plpgsql
security definer -- refunds are closed to the caller
set search_path = ''
as $$
declare
    v_reason text := private.is_bought_otherwise(p_order);
begin
    -- A period of a subscription was given before the dispute.
    if v_reason is not null and p_order.billing_interval is null and private.refundable_amount(p_order) > 0
        and not exists (select from public.refunds as r where r.order_id = p_order.id and r.status = 'failed')
    then
        perform private.report_payment_exception('unfulfilled', p_order.id, 'sync_fulfilment', v_reason);
        perform private.request_refund(p_order, null, 'You have bought this again.');
    end if;
end
$$;
comment on function private.refund_second_purchase(public.orders) is
'Refunds an order whose dispute was won after its buyer had bought all its courses again, unless a refund of it has
failed; it shows in payment_exceptions until it is refunded.';

create function private.record_dispute_result(
    p_provider text, p_reference text, p_order_id uuid, p_amount bigint, p_reason text, p_status public.dispute_status,
    p_observed_at timestamptz
)
returns boolean
language plpgsql
security definer -- clients may not write disputes and orders; the provider reported it
set search_path = ''
as $$
declare
    v_order public.orders := private.lock_order(p_order_id);
    v_dispute public.disputes;
    v_known_at timestamptz;
    v_is_new boolean := false;
begin
    select d.* into v_dispute from public.disputes as d
    where d.id = private.row_of_reference(p_provider, 'dispute', p_reference);
    if not found then
        insert into public.disputes (order_id, amount, currency, reason)
        values (p_order_id, least(p_amount, v_order.paid_amount), v_order.currency, p_reason)
        returning * into v_dispute;
        perform private.bind_reference(p_provider, 'dispute', p_reference, v_dispute.id);
        v_order := private.recount_returns(p_order_id);
        perform private.reverse_splits(v_order, 'dispute', 'dispute:' || v_dispute.id || ':open');
        v_is_new := true;
    end if;
    v_known_at := private.observe_reference(p_provider, 'dispute', p_reference, p_observed_at);
    -- Of two states of one second the one that ends the dispute is the later; after an end only a later second counts.
    if p_observed_at < v_known_at
        or p_status = v_dispute.status
        or (p_observed_at = v_known_at and v_dispute.status <> 'open')
    then
        return v_is_new;
    end if;
    update public.disputes as d set status = p_status, closed_at = case when p_status <> 'open' then now() end
    where d.id = v_dispute.id;
    if (p_status = 'won') <> (v_dispute.status = 'won') then
        v_order := private.recount_returns(p_order_id);
        perform private.reverse_splits(
            v_order, case p_status when 'won' then 'dispute_won' else 'dispute' end,
            'dispute:' || v_dispute.id || ':' || p_status || ':' || extract(epoch from p_observed_at)
        );
        if p_status = 'won' then
            perform private.refund_abandoned_work(v_order);
            perform private.refund_second_purchase(v_order);
        end if;
    end if;
    return true;
end
$$;
comment on function private.record_dispute_result(
    text, text, uuid, bigint, text, public.dispute_status, timestamptz
) is
'Records a dispute of an order, in minor units, and its state at that time, in whatever order the provider reports them:
an appeal opens a lost or won one again. Returns whether it changed anything. Raises PT404 order_not_found.';
