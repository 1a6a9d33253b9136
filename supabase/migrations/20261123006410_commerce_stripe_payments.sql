-- Commerce: Stripe's checkout sessions, charges, refunds and disputes.

create function private.checkout_payload(p_order_id uuid) returns jsonb
language sql
stable
security definer -- the edge may read no table; it asks for an order that it has just placed as the buyer
set search_path = ''
as $$
    select jsonb_build_object(
        'order_id', o.id,
        'buyer_id', o.buyer_id,
        'email', u.email,
        'name', p.display_name,
        'customer', private.stripe_id_of('customer', o.buyer_id),
        'session', private.stripe_id_of('session', o.id),
        'product', private.stripe_id_of('product', o.offer_id),
        'title', o.title,
        'amount', o.amount,
        -- A discounted payment is one line item: Stripe does not spread a discount over several.
        'unit_amount', case when o.discount_amount = 0 or c.id is not null then o.unit_amount else o.amount end,
        'quantity', case when o.discount_amount = 0 or c.id is not null then o.quantity else 1 end,
        -- What a subscription costs changes when its discount ends: Stripe has to know both.
        'discount', case
            when c.id is not null then jsonb_build_object(
                'code', c.code, 'amount', o.discount_amount, 'duration', o.discount_duration,
                'months', o.discount_months
            )
        end,
        'currency', lower(o.currency),
        'billing_interval', o.billing_interval,
        'trial_days', o.trial_days,
        'expires_at', extract(epoch from o.expires_at)::bigint
    )
    from public.orders as o
    join public.profiles as p on p.id = o.buyer_id
    join auth.users as u on u.id = o.buyer_id
    left join public.coupons as c on c.id = o.coupon_id and o.discount_duration is not null
    where o.id = p_order_id and o.status = 'pending'
$$;
comment on function private.checkout_payload(uuid) is
'What a Checkout Session of a pending order is made of: {order_id, buyer_id, email, name, customer, session, product
(ids at Stripe, null where there is none), title, amount, unit_amount, quantity (amounts in minor units; a discounted
order of one payment has quantity 1 and the discounted price), discount (of a subscription: {code, amount, duration,
months}; else null), currency (lower case), billing_interval, trial_days, expires_at (seconds since 1970)}; null for an
order that is not pending.';

create function private.apply_checkout_session(p_object jsonb) returns boolean
language plpgsql
security definer -- clients may not write orders; Stripe reported it
set search_path = ''
as $$
declare
    v_order public.orders;
    v_payment text := p_object ->> 'payment_intent';
begin
    select o.* into v_order from public.orders as o where o.id = private.order_of_stripe(p_object) for no key update;
    if not found then
        return null;
    end if;
    -- Of concurrent checkouts the edge keeps one page and closes the others: their end is not the order's.
    if p_object ->> 'status' = 'expired'
        and private.reference_of('stripe', 'session', v_order.id) <> p_object ->> 'id'
    then
        return false;
    end if;
    perform private.bind_reference('stripe', 'session', p_object ->> 'id', v_order.id);
    if p_object ->> 'customer' is not null then
        perform private.bind_reference('stripe', 'customer', p_object ->> 'customer', v_order.buyer_id);
    end if;
    if v_payment is not null then
        perform private.bind_reference('stripe', 'payment', v_payment, v_order.id);
    end if;
    if p_object ->> 'status' = 'expired' then
        update public.orders as o set status = 'expired' where o.id = v_order.id and o.status = 'pending';
        return found;
    elsif p_object ->> 'status' <> 'complete' then
        return false;
    elsif p_object ->> 'mode' = 'payment' and p_object ->> 'payment_status' = 'paid' then
        perform private.receive_payment(
            v_order.id, 'stripe', v_payment, (p_object ->> 'amount_total')::bigint, upper(p_object ->> 'currency'),
            coalesce((p_object #>> '{total_details,amount_tax}')::bigint, 0),
            -- A discount that was given at Stripe lowers the price.
            (p_object ->> 'amount_subtotal')::bigint
            - coalesce((p_object #>> '{total_details,amount_discount}')::bigint, 0)
        );
        return true;
    elsif p_object ->> 'payment_status' = 'unpaid' and v_order.status in ('pending', 'cancelled', 'expired')
        and not private.is_licence_unavailable(v_order)
    then
        -- A bank debit takes days. A subscription is paid by its invoice.
        update public.orders as o set status = 'processing' where o.id = v_order.id;
        return true;
    end if;
    return false;
end
$$;
comment on function private.apply_checkout_session(jsonb) is
'Applies a Checkout Session to its order: paid, processing, or expired. Returns whether it changed anything; null for a
session of another application.';

create function private.apply_charge(p_object jsonb) returns boolean
language plpgsql
security definer -- the references are closed
set search_path = ''
as $$
declare
    v_order_id uuid := private.order_of_stripe(p_object);
    v_intent text := p_object ->> 'payment_intent';
begin
    if v_order_id is null and private.row_id_of_stripe(p_object ->> 'customer', 'customer') is null then
        -- Our payments have a customer of ours.
        return null;
    elsif v_order_id is null and v_intent is null then
        return false;
    elsif v_order_id is null then
        perform private.lock_reference('stripe', v_intent);
        v_order_id := private.order_of_stripe(p_object);
        if v_order_id is null then
            perform private.await_reference(v_intent);
        end if;
    end if;
    perform private.bind_reference('stripe', 'charge', p_object ->> 'id', v_order_id);
    if v_intent is not null then
        perform private.bind_reference('stripe', 'payment', v_intent, v_order_id);
    end if;
    perform private.release_webhooks('stripe', p_object ->> 'id');
    return true;
end
$$;
comment on function private.apply_charge(jsonb) is
'Records the order of a charge, which later disputes name. Returns whether there is one; null for a charge of another
application. The charge of a subscription waits for the payment of its invoice.';

create function private.refund_payload(p_refund_id uuid) returns jsonb
language sql
stable
security definer -- the worker may read no table
set search_path = ''
as $$
    select jsonb_build_object(
        'refund_id', r.id, 'order_id', r.order_id, 'amount', r.amount,
        -- The payment of the order, and not the newest reference: an order may also have a surplus payment.
        'payment', case when p.reference not like 'in\_%' then p.reference end,
        'invoice', case when p.reference like 'in\_%' then p.reference end
    )
    from public.refunds as r
    join private.payments as p on p.order_id = r.order_id and not p.is_surplus and p.provider = 'stripe'
    where r.id = p_refund_id and r.status = 'pending'
$$;
comment on function private.refund_payload(uuid) is
'What a refund at Stripe is made of: {refund_id, order_id, amount (minor units), payment (the payment intent), invoice
(for a subscription; one of both is null)}; null for a refund that is not pending.';

create function private.apply_refund(p_object jsonb) returns boolean
language plpgsql
security definer -- clients may not write refunds; Stripe reported it
set search_path = ''
as $$
declare
    v_refund_id text := p_object #>> '{metadata,refund_id}';
    v_amount bigint := (p_object ->> 'amount')::bigint;
    v_status public.refund_status := case p_object ->> 'status'
        when 'succeeded' then 'succeeded'
        when 'failed' then 'failed'
        when 'canceled' then 'failed'
        else 'pending'
    end;
    v_payment private.payments := private.await_payment_of_stripe(p_object);
begin
    if v_payment.id is null then
        return null;
    elsif v_payment.is_surplus then
        return v_status <> 'pending' and private.record_surplus_refund(
            'stripe', v_payment.reference, p_object ->> 'id', v_amount, v_status = 'succeeded'
        );
    end if;
    return private.record_provider_refund(
        'stripe', p_object ->> 'id', v_payment.order_id,
        private.uuid_or_null(v_refund_id),
        v_amount, p_object ->> 'reason', v_status
    );
end
$$;
comment on function private.apply_refund(jsonb) is
'Applies a refund, ours or one made in Stripe''s dashboard; it waits for its payment. Returns whether it changed
anything; null for a refund of no payment.';

create function private.apply_dispute(p_object jsonb, p_observed_at timestamptz) returns boolean
language plpgsql
security definer -- clients may not write disputes; Stripe reported it
set search_path = ''
as $$
declare
    v_is_withdrawn boolean := 0 > (
        select coalesce(sum((t.movement ->> 'amount')::bigint), 0)
        from jsonb_array_elements(coalesce(nullif(p_object -> 'balance_transactions', 'null'), '[]')) as t (movement)
    );
    v_status public.dispute_status := case p_object ->> 'status'
        when 'won' then 'won'
        -- A prevented dispute was ended before it was one: by a block, which moves nothing, or by a resolution, which
        -- gives the buyer the money back for good.
        when 'prevented' then case when v_is_withdrawn then 'lost' else 'won' end::public.dispute_status
        when 'warning_closed' then 'won'
        when 'lost' then 'lost'
        else 'open'
    end;
    v_payment private.payments;
begin
    -- An inquiry has taken no money, and one that ends without a dispute never does.
    if p_object ->> 'status' in ('warning_needs_response', 'warning_under_review') or (
        p_object ->> 'status' in ('warning_closed', 'prevented')
        and not v_is_withdrawn
        and private.row_id_of_stripe(p_object ->> 'id', 'dispute') is null
    ) then
        return false;
    end if;
    v_payment := private.await_payment_of_stripe(p_object);
    if v_payment.id is null then
        return null;
    elsif v_payment.is_surplus then
        return private.record_surplus_refund(
            'stripe', v_payment.reference, p_object ->> 'id', (p_object ->> 'amount')::bigint, v_status <> 'won'
        );
    end if;
    if private.stripe_observed_at(p_object ->> 'id') = p_observed_at and v_status <> (
        select d.status from public.disputes as d
        where d.id = private.row_id_of_stripe(p_object ->> 'id', 'dispute')
    ) then
        -- Of two events of one second, only Stripe knows which came later.
        perform private.send_to_stripe('refetch_dispute', p_object ->> 'id');
    end if;
    return private.record_dispute_result(
        'stripe', p_object ->> 'id', v_payment.order_id, (p_object ->> 'amount')::bigint,
        coalesce(p_object ->> 'reason', 'general'), v_status, p_observed_at
    );
end
$$;
comment on function private.apply_dispute(jsonb, timestamptz) is
'Applies the state of a dispute at that time, of two in the same second after that the worker fetches the latest; it
waits for its payment. An appeal opens it again. Returns whether it changed anything; null for a dispute of no payment.';
