-- Commerce: Stripe's ids of our rows, and what Stripe's worker does. The files commerce_stripe_* are all that knows
-- Stripe.

insert into private.payment_providers (provider, is_remote) values ('stripe', true);

create function private.bind_stripe_object(p_stripe_id text, p_object text, p_id uuid) returns void
language plpgsql
security definer -- the references are closed; the edge and the worker call this
set search_path = ''
as $$
begin
    perform private.bind_reference('stripe', p_object, p_stripe_id, p_id);
end
$$;
comment on function private.bind_stripe_object(text, text, uuid) is
'Records that an object at Stripe belongs to a row; the first binding stays. Objects as in provider_references.object.
For the edge and the worker.';

create function private.row_id_of_stripe(p_stripe_id text, p_object text) returns uuid
language plpgsql -- every payment calls this: a SQL function would be planned each time
stable
security definer -- the references are closed
set search_path = ''
as $$
begin
    return private.row_of_reference('stripe', p_object, p_stripe_id);
end
$$;
comment on function private.row_id_of_stripe(text, text) is
'The row that an object at Stripe belongs to; null where none is known.';

create function private.stripe_id_of(p_object text, p_id uuid) returns text
language sql
stable
security definer -- the references are closed; the edge calls this
set search_path = ''
as $$
    select private.reference_of('stripe', p_object, p_id)
$$;
comment on function private.stripe_id_of(text, uuid) is
'The newest id of a row at Stripe that Stripe still has; null where there is none. For the edge.';

create function private.stripe_observed_at(p_stripe_id text) returns timestamptz
language sql
stable
security definer -- the references are closed; the edge and the worker call this
set search_path = ''
as $$
    select nullif(max(r.observed_at), '-infinity') from private.provider_references as r
    where r.provider = 'stripe' and r.reference = p_stripe_id
$$;
comment on function private.stripe_observed_at(text) is
'The time of the newest state of an object at Stripe that was applied; null where none was. A caller that asks Stripe
afterwards gets a state that is at least as new. For the edge and the worker.';

create function private.stripe_attempt(p_object text, p_subject text) returns integer
language sql
stable
security definer -- the attempts are closed; the edge and the worker call this
set search_path = ''
as $$
    select private.provider_attempt('stripe', p_object, p_subject)
$$;
comment on function private.stripe_attempt(text, text) is
'The number in the idempotency key by which an object of a row (its id), or the refund of a surplus
payment (its reference), is made at Stripe. For the edge and the worker.';

create function private.renew_stripe_attempt(p_object text, p_subject text, p_attempt integer) returns void
language sql
security definer -- the attempts are closed; the edge and the worker call this
set search_path = ''
as $$
    select private.renew_provider_attempt('stripe', p_object, p_subject, p_attempt)
$$;
comment on function private.renew_stripe_attempt(text, text, integer) is
'Has the next making of an object use another idempotency key, because Stripe keeps the failure of this attempt for a
day. For the edge and the worker.';

create function private.bind_session(p_stripe_id text, p_order_id uuid, p_former_session text) returns text
language plpgsql
security definer -- the tables are closed; the edge, which opened the session, calls this
set search_path = ''
as $$
declare
    v_session text;
begin
    -- The lock waits for a transaction that is cancelling the order and cannot see this session, and for another checkout
    -- of the same order.
    perform from public.orders as o where o.id = p_order_id for no key update;
    v_session := private.reference_of('stripe', 'session', p_order_id);
    if v_session is not distinct from p_former_session then
        perform private.bind_reference('stripe', 'session', p_stripe_id, p_order_id);
        v_session := p_stripe_id;
    end if;
    return (select v_session from public.orders as o where o.id = p_order_id and o.status = 'pending');
end
$$;
comment on function private.bind_session(text, uuid, text) is
'Records the payment page of an order, unless another call recorded one since the edge read p_former_session (null where
there was none). Returns the id of the page on which the order is to be paid, null where the order is no longer pending:
the edge closes the page that it opened unless this is it. For the edge.';

create function private.send_to_stripe(p_task text, p_subject text) returns void
language plpgsql
security definer -- the queue is closed
set search_path = ''
as $$
declare
    v_argument text := case p_task
        when 'refund' then 'refund_id'
        when 'refund_surplus' then 'reference'
        when 'transfer' then 'payout_id'
        when 'sync_renewals' then 'subscription_id'
        when 'sync_balance' then 'provider'
        else 'stripe_id'
    end;
begin
    perform private.defer_job(p_task, jsonb_build_object(v_argument, p_subject), p_task || ':' || p_subject);
end
$$;
comment on function private.send_to_stripe(text, text) is
'Defers a job of the worker that asks Stripe: refund, refund_surplus, transfer, sync_balance, expire_session,
end_subscription, sync_renewals, end_customer, refetch_subscription or refetch_dispute, each with one argument.
send_to_provider calls this.';

create function private.order_of_stripe(p_object jsonb) returns uuid
language plpgsql
stable
security definer -- the references are closed
set search_path = ''
as $$
declare
    v_text text := p_object #>> '{metadata,order_id}';
begin
    return coalesce(
        private.row_id_of_stripe(p_object ->> 'payment_intent', 'payment'),
        private.row_id_of_stripe(p_object ->> 'charge', 'charge'),
        private.row_id_of_stripe(p_object ->> 'id', 'session'),
        -- Another application on the same account may use the same name for ids of its own.
        (
            select o.id from public.orders as o
            where o.id = private.uuid_or_null(v_text)
        )
    );
end
$$;
comment on function private.order_of_stripe(jsonb) is
'The order of a Stripe object: by its payment or charge, else by the metadata that we gave it; null where none is
known.';

create function private.payment_of_stripe(p_object jsonb) returns private.payments
language plpgsql
security definer -- payments and references are closed
set search_path = ''
as $$
declare
    v_intent text := p_object ->> 'payment_intent';
    v_payment private.payments;
begin
    select p.* into v_payment from private.payments as p
    where p.id = private.row_id_of_stripe(v_intent, 'payment_record')
        or (
            p.provider = 'stripe'
            -- A refund names no invoice, by which a surplus payment of a subscription is known; our metadata does.
            and p.reference in (v_intent, p_object #>> '{metadata,surplus_reference}')
        );
    if not found then
        select p.* into v_payment from private.payments as p
        where p.order_id = private.order_of_stripe(p_object) and not p.is_surplus;
    end if;
    return v_payment;
end
$$;
comment on function private.payment_of_stripe(jsonb) is
'The payment that a refund or dispute is of; null where it was not reported yet.';

create function private.await_payment_of_stripe(p_object jsonb) returns private.payments
language plpgsql
security definer -- payments and references are closed
set search_path = ''
as $$
declare
    v_reference text := coalesce(p_object ->> 'payment_intent', p_object ->> 'charge');
    v_payment private.payments := private.payment_of_stripe(p_object);
begin
    if v_payment.id is null and v_reference is not null then
        -- Read again under the lock: the payment may just be arriving.
        perform private.lock_reference('stripe', v_reference);
        v_payment := private.payment_of_stripe(p_object);
        if v_payment.id is null then
            perform private.await_reference(v_reference);
        end if;
    end if;
    return v_payment;
end
$$;
comment on function private.await_payment_of_stripe(jsonb) is
'The payment that a refund or dispute is of. Until it is known, the event waits for it; null where the object names
none.';

create function private.bind_payment_record(p_payment_intent text, p_payment private.payments) returns void
language plpgsql
security definer -- the references are closed
set search_path = ''
as $$
begin
    perform private.bind_reference('stripe', 'payment', p_payment_intent, p_payment.order_id);
    perform private.bind_reference('stripe', 'payment_record', p_payment_intent, p_payment.id);
    perform private.release_webhooks('stripe', p_payment_intent);
end
$$;
comment on function private.bind_payment_record(text, private.payments) is
'Records by which payment intent an invoice was paid, and applies what waited for it.';
