-- Commerce: Stripe's events and objects. Webhooks, the browser's return and the worker all end in
-- apply_stripe_object_or_wait.

create function private.apply_stripe_object_or_wait(p_object jsonb, p_observed_at timestamptz) returns boolean
language plpgsql
security definer -- the caller has the object from Stripe
set search_path = ''
as $$
begin
    return case p_object ->> 'object'
        when 'checkout.session' then private.apply_checkout_session(p_object)
        when 'subscription' then private.apply_subscription(p_object, p_observed_at)
        when 'invoice' then private.apply_invoice(p_object)
        when 'invoice_payment' then private.apply_invoice_payment(p_object)
        when 'charge' then private.apply_charge(p_object)
        when 'refund' then private.apply_refund(p_object)
        when 'dispute' then private.apply_dispute(p_object, p_observed_at)
        when 'account' then private.apply_account(p_object, p_observed_at)
        when 'transfer' then private.apply_transfer(p_object)
        else false
    end;
end
$$;
comment on function private.apply_stripe_object_or_wait(jsonb, timestamptz) is
'Applies an object as Stripe had it at that time: a session, subscription, invoice, invoice payment, charge, refund,
dispute, account or transfer. Returns whether it changed anything; null for an object of another application. Raises
what the function of its type raises, await_reference among them.';

create function private.apply_stripe_object(p_object jsonb, p_observed_at timestamptz) returns boolean
language plpgsql
security definer -- the caller has the object from Stripe
set search_path = ''
as $$
begin
    return private.apply_stripe_object_or_wait(p_object, p_observed_at);
exception when sqlstate 'WH001' then
    return false;
end
$$;
comment on function private.apply_stripe_object(jsonb, timestamptz) is
'Applies an object that the browser''s return or the worker read from Stripe, as of that time; webhooks may apply the
same object. One whose partner is unknown so far has no effect: its webhook waits. Returns whether it changed anything;
null for an object of another application. Raises what the function of its type raises. For the edge and the worker.';

create function private.apply_stripe_event(p_type text, p_payload jsonb) returns boolean
language plpgsql
security definer -- receive_webhook, which has stored the event, calls this
set search_path = ''
as $$
declare
    v_object jsonb := p_payload #> '{data,object}';
    v_order_id uuid;
begin
    if p_type = 'checkout.session.async_payment_failed' then
        v_order_id := private.order_of_stripe(v_object);
        update public.orders as o set status = 'failed'
        where o.id = v_order_id and o.status in ('pending', 'processing');
        return case when v_order_id is not null then found end;
    elsif p_type in (
        'account.application.deauthorized', 'customer.deleted', 'payout.failed', 'price.deleted', 'price.updated',
        'product.deleted', 'product.updated'
    ) then
        return private.apply_stripe_notice(p_type, p_payload);
    elsif p_type not in (
        'checkout.session.completed', 'checkout.session.async_payment_succeeded', 'checkout.session.expired',
        'customer.subscription.created', 'customer.subscription.updated', 'customer.subscription.deleted',
        'customer.subscription.resumed', 'customer.subscription.paused', 'invoice.paid', 'invoice_payment.paid',
        'charge.succeeded', 'refund.created', 'refund.updated', 'refund.failed', 'charge.dispute.created',
        'charge.dispute.updated', 'charge.dispute.closed', 'charge.dispute.funds_withdrawn',
        'charge.dispute.funds_reinstated', 'account.updated', 'transfer.created', 'transfer.reversed'
    ) then
        return false;
    end if;
    return private.apply_stripe_object_or_wait(v_object, to_timestamp((p_payload ->> 'created')::bigint));
end
$$;
comment on function private.apply_stripe_event(text, jsonb) is
'Applies an event of Stripe; other types than these are ignored. Returns whether it changed anything; null for an event
about an object of another application. Raises what apply_stripe_object_or_wait raises.';
