-- Commerce: Stripe's subscriptions and invoices.

create function private.offer_of_stripe_price(p_product text, p_price text) returns uuid
language sql
stable
security definer -- the references are closed
set search_path = ''
as $$
    select coalesce(private.row_id_of_stripe(p_product, 'product'), private.row_id_of_stripe(p_price, 'price'))
$$;
comment on function private.offer_of_stripe_price(text, text) is
'The offer of a price at Stripe; null where it is not one of ours.';

create function private.order_of_stripe_subscription(p_stripe_id text, p_metadata jsonb) returns public.orders
language plpgsql
security definer -- clients may not lock orders
set search_path = ''
as $$
declare
    v_text text := p_metadata ->> 'order_id';
    v_order public.orders;
begin
    select o.* into v_order from public.orders as o
    where o.id = coalesce(
        (
            select s.order_id from public.subscriptions as s
            where s.id = private.row_id_of_stripe(p_stripe_id, 'subscription')
        ),
        private.uuid_or_null(v_text)
    ) and o.billing_interval is not null
    for no key update;
    return v_order;
end
$$;
comment on function private.order_of_stripe_subscription(text, jsonb) is
'The order that started a subscription, locked: by the subscription, else by the metadata that we gave it; null for a
subscription of another application.';

create function private.apply_subscription(p_object jsonb, p_observed_at timestamptz) returns boolean
language plpgsql
security definer -- clients may not write subscriptions; Stripe reported it
set search_path = ''
as $$
declare
    v_stripe_id text := p_object ->> 'id';
    v_order public.orders := private.order_of_stripe_subscription(v_stripe_id, p_object -> 'metadata');
    v_known_at timestamptz;
    v_offer_id uuid;
    v_subscription public.subscriptions;
begin
    if v_order.id is null then
        return null;
    end if;
    v_subscription.id := private.row_id_of_stripe(v_stripe_id, 'subscription');
    v_subscription.order_id := v_order.id;
    v_subscription.status := case p_object ->> 'status'
        when 'trialing' then 'trialing'
        when 'active' then 'active'
        when 'past_due' then 'past_due'
        when 'unpaid' then 'past_due'
        when 'canceled' then 'ended'
        when 'incomplete_expired' then 'ended'
    end;
    -- One that has not begun (incomplete) or is paused gives nothing.
    if v_subscription.status is null then
        return false;
    end if;
    v_subscription.period_ends_at := to_timestamp(coalesce(
        (
            select max((i.item ->> 'current_period_end')::bigint)
            from jsonb_array_elements(p_object #> '{items,data}') as i (item)
        ),
        (p_object ->> 'current_period_end')::bigint
    ));
    -- The billing portal may set a date instead of the flag.
    v_subscription.is_ending := v_subscription.status <> 'ended' and (
        coalesce((p_object ->> 'cancel_at_period_end')::boolean, false) or p_object ->> 'cancel_at' is not null
    );
    v_subscription.trial_ends_at := to_timestamp((p_object ->> 'trial_end')::bigint);
    v_subscription.ended_at := to_timestamp((p_object ->> 'ended_at')::bigint);
    if v_subscription.id is null then
        v_subscription.id := private.start_subscription('stripe', v_stripe_id, v_subscription);
        if v_subscription.id is null then
            -- The order has started another subscription: Stripe ends this one.
            perform private.send_to_stripe('end_subscription', v_stripe_id);
            return false;
        end if;
    end if;
    v_known_at := private.observe_reference('stripe', 'subscription', v_stripe_id, p_observed_at);
    if p_observed_at < v_known_at then
        return false;
    elsif v_subscription.status <> 'ended' and exists (
        select from public.subscriptions as s where s.id = v_subscription.id and s.status = 'ended'
    ) then
        -- It has ended here: Stripe ended it in the same second, or is to end it now.
        perform private.send_to_stripe('end_subscription', v_stripe_id);
        return false;
    elsif p_observed_at = v_known_at then
        -- Of two events of one second, only Stripe knows which came later.
        perform private.send_to_stripe('refetch_subscription', v_stripe_id);
    end if;
    if v_subscription.status = 'ended' then
        -- The first payment never came.
        update public.orders as o set status = 'failed'
        where o.id = v_order.id and o.status in ('pending', 'processing');
    end if;
    v_offer_id := private.offer_of_stripe_price(
        p_object #>> '{items,data,0,price,product}', p_object #>> '{items,data,0,price,id}'
    );
    if v_offer_id is not null then
        perform private.switch_offer(
            v_subscription.id, v_offer_id, 'stripe', p_observed_at, v_subscription.period_ends_at
        );
    end if;
    perform private.update_subscription(v_subscription);
    return true;
end
$$;
comment on function private.apply_subscription(jsonb, timestamptz) is
'Applies the state of a subscription at that time. An older state than the known one is ignored; of two in the same
second the worker fetches the latest. A switch to another plan of ours is followed. Returns whether it changed anything;
null for a subscription of another application.';

create function private.apply_invoice(p_object jsonb) returns boolean
language plpgsql
security definer -- clients may not write orders; Stripe reported it
set search_path = ''
as $$
declare
    v_stripe_id text := coalesce(
        p_object #>> '{parent,subscription_details,subscription}', p_object ->> 'subscription'
    );
    v_first public.orders := private.order_of_stripe_subscription(
        v_stripe_id, p_object #> '{parent,subscription_details,metadata}'
    );
    v_line jsonb;
    v_order_id uuid;
    v_subscription public.subscriptions;
    v_ends_at timestamptz;
begin
    if v_first.id is null then
        return null;
    elsif p_object ->> 'status' <> 'paid' then
        return false;
    end if;
    -- A proration credits or charges a part of a period that has begun; the others say what the invoice is for.
    select l.line into v_line from jsonb_array_elements(p_object #> '{lines,data}') as l (line)
    order by
        coalesce(
            l.line #>> '{parent,subscription_item_details,proration}',
            l.line #>> '{parent,invoice_item_details,proration}'
        )::boolean is true,
        (l.line #>> '{period,end}')::bigint desc,
        (l.line ->> 'amount')::bigint desc
    limit 1;
    v_ends_at := to_timestamp((v_line #>> '{period,end}')::bigint);
    select s.* into v_subscription from public.subscriptions as s where s.order_id = v_first.id;
    if not found then
        -- The invoice arrived before its subscription, whose own state is newer than this one.
        perform private.apply_subscription(
            jsonb_build_object(
                'id', v_stripe_id,
                'status', case
                    when v_first.trial_days > 0 and (p_object ->> 'amount_paid')::bigint = 0 then 'trialing'
                    else 'active'
                end,
                'current_period_end', extract(epoch from v_ends_at)::bigint,
                'metadata', jsonb_build_object('order_id', v_first.id)
            ),
            '-infinity'
        );
        select s.* into v_subscription from public.subscriptions as s where s.order_id = v_first.id;
    end if;
    v_order_id := private.receive_period_payment(
        v_subscription,
        private.offer_of_stripe_price(
            v_line #>> '{pricing,price_details,product}', v_line #>> '{pricing,price_details,price}'
        ),
        'stripe', p_object ->> 'id', (p_object ->> 'amount_paid')::bigint,
        least(
            (
                select coalesce(sum((t.tax ->> 'amount')::bigint), 0)::bigint
                from jsonb_array_elements(coalesce(nullif(p_object -> 'total_taxes', 'null'), '[]')) as t (tax)
            ),
            (p_object ->> 'amount_paid')::bigint
        ),
        -- The price after the discount of a coupon, before tax on top and the customer's balance.
        greatest(
            coalesce(
                (p_object ->> 'total_excluding_tax')::bigint + (
                    select coalesce(sum((t.tax ->> 'amount')::bigint), 0)::bigint
                    from jsonb_array_elements(coalesce(nullif(p_object -> 'total_taxes', 'null'), '[]')) as t (tax)
                    where t.tax ->> 'tax_behavior' = 'inclusive'
                ),
                (p_object ->> 'subtotal')::bigint, (p_object ->> 'amount_paid')::bigint
            ),
            0
        ),
        upper(p_object ->> 'currency'), to_timestamp((v_line #>> '{period,start}')::bigint), v_ends_at,
        p_object ->> 'billing_reason' = 'subscription_create'
    );
    if v_order_id is null then
        return false;
    end if;
    if exists (
        select from private.payments as p
        where p.provider = 'stripe' and p.reference = p_object ->> 'id' and p.is_surplus
    ) then
        perform private.send_to_stripe('end_subscription', v_stripe_id);
    end if;
    perform private.bind_payment_record(t.payment ->> 'payment_intent', p)
    from (select p_object #> '{payments,data,0,payment}') as t (payment), private.payments as p
    where t.payment ->> 'payment_intent' is not null and p.provider = 'stripe' and p.reference = p_object ->> 'id';
    return true;
end
$$;
comment on function private.apply_invoice(jsonb) is
'Applies a paid invoice: the first pays the order that started the subscription, each later one makes a paid order.
Returns whether it changed anything; null for an invoice of another application.';

create function private.apply_invoice_payment(p_object jsonb) returns boolean
language plpgsql
security definer -- the references are closed
set search_path = ''
as $$
declare
    v_invoice text := p_object ->> 'invoice';
    v_intent text := p_object #>> '{payment,payment_intent}';
    v_payment private.payments;
begin
    if v_intent is null or p_object ->> 'status' <> 'paid' then
        return false;
    end if;
    select p.* into v_payment from private.payments as p where p.provider = 'stripe' and p.reference = v_invoice;
    if not found then
        -- Read again under the lock: the invoice may just be arriving.
        perform private.lock_reference('stripe', v_invoice);
        select p.* into v_payment from private.payments as p where p.provider = 'stripe' and p.reference = v_invoice;
        if not found then
            perform private.await_reference(v_invoice);
        end if;
    end if;
    perform private.bind_payment_record(v_intent, v_payment);
    return true;
end
$$;
comment on function private.apply_invoice_payment(jsonb) is
'Records by which payment intent an invoice was paid, which refunds and disputes name; it waits for its invoice. Returns
whether it changed anything.';
