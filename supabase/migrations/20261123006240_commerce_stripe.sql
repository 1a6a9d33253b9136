-- Commerce: what Stripe tells, and what the edge needs to ask Stripe. The browser's return, the webhook and the worker
-- all end in apply_stripe_object.

create function private.order_of_stripe(p_object jsonb) returns uuid
language plpgsql
stable
security definer -- the table of Stripe's objects is closed
set search_path = ''
as $$
declare
    v_text text := p_object #>> '{metadata,order_id}';
begin
    return coalesce(
        private.of_stripe(p_object ->> 'payment_intent', 'payment'),
        private.of_stripe(p_object ->> 'charge', 'charge'),
        private.of_stripe(p_object ->> 'id', 'session'),
        case when pg_input_is_valid(v_text, 'uuid') then v_text::uuid end
    );
end
$$;
comment on function private.order_of_stripe(jsonb) is
'The order that an object of Stripe is about, by its payment or charge, else by the metadata that we gave it; null where
none.';

create function private.require_order_of_stripe(p_object jsonb) returns uuid
language plpgsql
stable
security definer -- the table of Stripe's objects is closed
set search_path = ''
as $$
declare
    v_order_id uuid := private.order_of_stripe(p_object);
begin
    if not exists (
        select from private.payments as p where p.order_id = v_order_id
    ) then
        raise sqlstate 'PT409' using
            message = 'payment_unknown',
            detail = format('No payment is known for %s.', p_object ->> 'id'),
            hint = 'Tell it again once the payment has been told.';
    end if;
    return v_order_id;
end
$$;
comment on function private.require_order_of_stripe(jsonb) is
'The paid order that a refund or dispute is about. Raises PT409 payment_unknown: the payment was not told yet.';

create function private.apply_checkout_session(p_object jsonb) returns boolean
language plpgsql
security definer -- orders are no client's to write; the payment provider told it
set search_path = ''
as $$
declare
    v_order public.orders;
    v_payment text := p_object ->> 'payment_intent';
begin
    select o.* into v_order from public.orders as o where o.id = private.order_of_stripe(p_object) for no key update;
    if not found then
        return false;
    end if;
    perform private.bind_stripe_object(p_object ->> 'id', 'session', v_order.id);
    if p_object ->> 'customer' is not null then
        perform private.bind_stripe_object(p_object ->> 'customer', 'customer', v_order.buyer_id);
    end if;
    if v_payment is not null then
        perform private.bind_stripe_object(v_payment, 'payment', v_order.id);
    end if;
    if p_object ->> 'status' = 'expired' then
        update public.orders as o set status = 'expired' where o.id = v_order.id and o.status = 'pending';
        return found;
    elsif p_object ->> 'status' <> 'complete' or p_object ->> 'mode' <> 'payment' then
        -- What recurs is paid by its invoice.
        return false;
    elsif p_object ->> 'payment_status' = 'paid' then
        perform private.settle_payment(
            v_order.id, 'stripe', v_payment, (p_object ->> 'amount_total')::bigint, upper(p_object ->> 'currency')
        );
        return true;
    elsif v_order.status in ('pending', 'cancelled', 'expired') and not private.is_taken(v_order) then
        update public.orders as o set status = 'processing' where o.id = v_order.id;
        return true;
    end if;
    return false;
end
$$;
comment on function private.apply_checkout_session(jsonb) is
'What a Checkout Session says of its order: paid, under way, or expired. Answers whether it had an effect. Raises what
settle_payment raises.';

create function private.apply_refund(p_object jsonb) returns boolean
language plpgsql
security definer -- refunds are no client's to write; the payment provider told it
set search_path = ''
as $$
declare
    v_text text := p_object #>> '{metadata,refund_id}';
    -- What an invoice paid too much is known by the invoice, of which a refund does not speak by itself.
    v_surplus text := coalesce(p_object #>> '{metadata,surplus_reference}', p_object ->> 'payment_intent');
    v_refund public.refunds;
    v_order_id uuid;
    v_amount bigint := (p_object ->> 'amount')::bigint;
    v_status public.refund_status := case p_object ->> 'status'
        when 'succeeded' then 'succeeded'
        when 'failed' then 'failed'
        when 'canceled' then 'failed'
        else 'pending'
    end;
begin
    if exists (
        select from private.payments as p where p.is_surplus and p.reference = v_surplus
    ) then
        return private.settle_surplus(v_surplus, v_status, v_amount);
    end if;
    v_order_id := private.require_order_of_stripe(p_object);
    perform from public.orders as o where o.id = v_order_id for no key update;
    select r.* into v_refund from public.refunds as r
    where r.order_id = v_order_id
        and r.id = coalesce(
            private.of_stripe(p_object ->> 'id', 'refund'),
            case when pg_input_is_valid(v_text, 'uuid') then v_text::uuid end
        );
    if not found then
        -- Given back by hand, in Stripe's dashboard.
        insert into public.refunds (order_id, buyer_id, amount, currency, reason)
        select o.id, o.buyer_id, v_amount, o.currency, p_object ->> 'reason'
        from public.orders as o
        where o.id = v_order_id
        returning * into v_refund;
    end if;
    perform private.bind_stripe_object(p_object ->> 'id', 'refund', v_refund.id);
    if v_refund.status = v_status then
        return false;
    end if;
    return (private.settle_refund(v_refund.id, v_status)).status <> v_refund.status;
end
$$;
comment on function private.apply_refund(jsonb) is
'What became of a refund, ours or one made in Stripe''s dashboard. Answers whether it had an effect. Raises PT409
payment_unknown.';

create function private.settle_surplus(p_reference text, p_status public.refund_status, p_amount bigint) returns boolean
language plpgsql
security definer -- the ledger is written by functions only
set search_path = ''
as $$
declare
    v_payment private.payments;
begin
    select p.* into v_payment from private.payments as p
    where p.reference = p_reference and p.is_surplus for no key update;
    if not found or p_status <> 'succeeded' or v_payment.returned_amount > 0 then
        return false;
    end if;
    update private.payments as p set returned_amount = p_amount where p.id = v_payment.id;
    perform private.post_journal(
        'surplus_returned', 'surplus_returned:' || p_reference, v_payment.order_id, v_payment.currency,
        jsonb_build_array(
            jsonb_build_object('kind', 'surplus', 'amount', p_amount),
            jsonb_build_object('kind', 'provider', 'amount', -p_amount)
        )
    );
    return true;
end
$$;
comment on function private.settle_surplus(text, public.refund_status, bigint) is
'Has a surplus payment given back, once. Answers whether by this.';

create function private.apply_dispute(p_object jsonb) returns boolean
language plpgsql
security definer -- disputes are no client's to write; the payment provider told it
set search_path = ''
as $$
begin
    -- An inquiry has taken nothing yet.
    if p_object ->> 'status' in ('warning_needs_response', 'warning_under_review') then
        return false;
    end if;
    return private.settle_dispute(
        p_object ->> 'id', private.require_order_of_stripe(p_object), (p_object ->> 'amount')::bigint,
        coalesce(p_object ->> 'reason', 'general'),
        case p_object ->> 'status'
            when 'won' then 'won'
            when 'warning_closed' then 'won'
            when 'lost' then 'lost'
            else 'open'
        end::public.dispute_status
    );
end
$$;
comment on function private.apply_dispute(jsonb) is
'What became of a dispute. Answers whether it had an effect. Raises PT409 payment_unknown.';

create function private.apply_charge(p_object jsonb) returns boolean
language plpgsql
security definer -- the table of Stripe's objects is closed
set search_path = ''
as $$
declare
    v_order_id uuid := private.order_of_stripe(p_object);
begin
    if v_order_id is null then
        return false;
    end if;
    perform private.bind_stripe_object(p_object ->> 'id', 'charge', v_order_id);
    if p_object ->> 'payment_intent' is not null then
        perform private.bind_stripe_object(p_object ->> 'payment_intent', 'payment', v_order_id);
    end if;
    return true;
end
$$;
comment on function private.apply_charge(jsonb) is 'Keeps of which order a charge is. Answers whether it is of one.';

create function private.apply_invoice_payment(p_object jsonb) returns boolean
language plpgsql
security definer -- the table of Stripe's objects is closed
set search_path = ''
as $$
declare
    v_payment text := p_object #>> '{payment,payment_intent}';
    v_order_id uuid;
begin
    if v_payment is null or p_object ->> 'status' <> 'paid' then
        return false;
    end if;
    select p.order_id into v_order_id from private.payments as p
    where p.provider = 'stripe' and p.reference = p_object ->> 'invoice';
    if found then
        perform private.bind_stripe_object(v_payment, 'payment', v_order_id);
    end if;
    return found;
end
$$;
comment on function private.apply_invoice_payment(jsonb) is
'Keeps of which order the payment of an invoice is: later refunds and disputes speak of the payment only. Answers
whether it is of one.';

create function private.apply_stripe_object(p_object jsonb, p_as_of timestamptz) returns boolean
language plpgsql
security definer -- whoever calls this has it from Stripe
set search_path = ''
as $$
begin
    return coalesce(
        case p_object ->> 'object'
            when 'checkout.session' then private.apply_checkout_session(p_object)
            when 'subscription' then private.apply_subscription(p_object, p_as_of)
            when 'invoice' then private.apply_invoice(p_object)
            when 'invoice_payment' then private.apply_invoice_payment(p_object)
            when 'charge' then private.apply_charge(p_object)
            when 'refund' then private.apply_refund(p_object)
            when 'dispute' then private.apply_dispute(p_object)
            when 'account' then private.apply_account(p_object, p_as_of)
            when 'transfer' then private.apply_transfer(p_object)
        end,
        false
    );
end
$$;
comment on function private.apply_stripe_object(jsonb, timestamptz) is
'Applies an object as Stripe had it at that time: a session, subscription, invoice, its payment, charge, refund,
dispute, account or transfer. For webhooks, the browser''s return and the worker, which may all tell the same. Answers
whether it had an effect. Raises what its kind''s function raises.';

create function private.apply_stripe_event(p_type text, p_payload jsonb) returns boolean
language plpgsql
security definer -- receive_webhook, which has kept it, calls this
set search_path = ''
as $$
declare
    v_object jsonb := p_payload #> '{data,object}';
begin
    if p_type = 'checkout.session.async_payment_failed' then
        update public.orders as o set status = 'failed'
        where o.id = private.order_of_stripe(v_object) and o.status in ('pending', 'processing');
        return found;
    elsif p_type not in (
        'checkout.session.completed', 'checkout.session.async_payment_succeeded', 'checkout.session.expired',
        'customer.subscription.created', 'customer.subscription.updated', 'customer.subscription.deleted',
        'customer.subscription.resumed', 'customer.subscription.paused', 'invoice.paid', 'invoice_payment.paid',
        'charge.succeeded', 'refund.created', 'refund.updated', 'refund.failed', 'charge.dispute.created', 'charge.dispute.updated',
        'charge.dispute.closed', 'charge.dispute.funds_withdrawn', 'charge.dispute.funds_reinstated',
        'account.updated', 'transfer.created', 'transfer.reversed'
    ) then
        return false;
    end if;
    return private.apply_stripe_object(v_object, to_timestamp((p_payload ->> 'created')::bigint));
end
$$;
comment on function private.apply_stripe_event(text, jsonb) is
'What an event of Stripe''s does here; types that mean nothing here are ignored. Answers whether it had an effect.
Raises what apply_stripe_object raises, which keeps the event as failed.';

create function private.checkout_brief(p_order_id uuid) returns jsonb
language sql
stable
security definer -- the edge may read no table; it asks for orders that it has just placed as their buyer
set search_path = ''
as $$
    select jsonb_build_object(
        'order_id', o.id,
        'buyer_id', o.buyer_id,
        'email', u.email,
        'name', p.display_name,
        'customer', private.stripe_id('customer', o.buyer_id),
        'session', private.stripe_id('session', o.id),
        'product', private.stripe_id('product', o.offer_id),
        'title', o.title,
        'amount', o.amount,
        -- One line: what a coupon takes off is not spread over several.
        'unit_amount', case when o.discount_amount = 0 then o.unit_amount else o.amount end,
        'quantity', case when o.discount_amount = 0 then o.quantity else 1 end,
        'currency', lower(o.currency),
        'billing_interval', o.billing_interval,
        'trial_days', o.trial_days,
        'expires_at', extract(epoch from o.expires_at)::bigint
    )
    from public.orders as o
    join public.profiles as p on p.id = o.buyer_id
    join auth.users as u on u.id = o.buyer_id
    where o.id = p_order_id and o.status = 'pending'
$$;
comment on function private.checkout_brief(uuid) is
'What Stripe must be told of a pending order: {order_id, buyer_id, email, name, customer, session, product (ids at
Stripe, null where none), title, amount, unit_amount, quantity (minor units; of a discounted order one), currency (lower
case), billing_interval, trial_days, expires_at (seconds since 1970)}; null where it is not pending.';

create function private.offer_brief(p_offer_id uuid) returns jsonb
language sql
stable
security definer -- the worker may read no table
set search_path = ''
as $$
    select jsonb_build_object(
        'offer_id', o.id,
        'title', o.title,
        'description', left(o.description, 500),
        'amount', o.price_amount,
        'currency', lower(o.price_currency),
        'billing_interval', o.billing_interval,
        'is_active', o.status = 'active',
        'product', private.stripe_id('product', o.id),
        'price', private.stripe_id('price', o.id)
    )
    from public.offers as o
    where o.id = p_offer_id
$$;
comment on function private.offer_brief(uuid) is
'What Stripe must be told of an offer, whose product and price the worker keeps like it: {offer_id, title, description,
amount, currency (lower case), billing_interval, is_active, product, price (ids at Stripe, null where none)}.';

create function private.tg_offers__sync() returns trigger
language plpgsql
security definer -- the queue is closed
set search_path = ''
as $$
begin
    perform private.defer_job('sync_offer', jsonb_build_object('offer_id', new.id), 'sync_offer:' || new.id);
    return null;
end
$$;
comment on function private.tg_offers__sync() is
'After an offer goes on sale, or changes there, or is taken off: so does its product at Stripe, by a job.';
create trigger _300_sync after insert on public.offers
for each row when (new.status = 'active' and new.price_amount > 0) execute function private.tg_offers__sync();
create trigger _300_sync_change
after update of status, title, description, price_amount, price_currency, billing_interval on public.offers
for each row when (
    (new.status = 'active' or old.status = 'active')
    and (old.status, old.title, old.description, old.price_amount, old.price_currency, old.billing_interval)
    is distinct from
    (new.status, new.title, new.description, new.price_amount, new.price_currency, new.billing_interval)
)
execute function private.tg_offers__sync();

create function private.sync_offer(p_offer_id uuid) returns void
language plpgsql
security definer -- the queue is closed
set search_path = ''
as $$
begin
    if not exists (
        select from public.offers as o
        where o.id = p_offer_id
            and (
                (o.seller_id = private.require_active() and (select private.has_role('teacher')))
                or (select private.has_role('admin'))
            )
    ) then
        raise sqlstate 'PT404' using
            message = 'offer_not_found',
            detail = 'There is no such offer, or it is not yours.',
            hint = 'Look it up among your offers.';
    end if;
    perform private.defer_job('sync_offer', jsonb_build_object('offer_id', p_offer_id), 'sync_offer:' || p_offer_id);
end
$$;
comment on function private.sync_offer(uuid) is
'Has the worker make the product at Stripe like the offer. Raises PT401 sign_in_required, PT403 account_inactive, PT404
offer_not_found.';

create function public.sync_offer(offer_id uuid) returns void
language sql
set search_path = ''
as $$
    select private.sync_offer(sync_offer.offer_id)
$$;
comment on function public.sync_offer(uuid) is
'Has the product and the price at the payment provider made like the offer again, as publishing does by itself. For its
seller, and admins. Raises offer_not_found (404).';
insert into private.rate_limited_functions (function_name, tier)
values ('sync_offer', 'strict'), ('refund_order', 'strict');

create function private.bind_course_price(p_course_id uuid, p_price_id text, p_product_id text) returns void
language plpgsql
security definer -- the provider's ids are closed to clients; the check below decides
set search_path = ''
as $$
declare
    v_offer_id uuid;
    v_before jsonb;
begin
    perform private.require_role('admin');
    select o.id into v_offer_id from public.offers as o where o.course_id = p_course_id for no key update;
    if not found then
        raise sqlstate 'PT404' using
            message = 'course_not_found',
            detail = 'There is no such course that was ever on sale.',
            hint = 'Publish it with a price first.';
    end if;
    v_before := jsonb_build_object(
        'price_id', private.stripe_id('price', v_offer_id), 'product_id', private.stripe_id('product', v_offer_id)
    );
    delete from private.stripe_objects as s where s.id = v_offer_id and s.object in ('price', 'product');
    insert into private.stripe_objects (stripe_id, object, id)
    select t.stripe_id, t.object, v_offer_id
    from (values (p_price_id, 'price'), (p_product_id, 'product')) as t (stripe_id, object)
    where t.stripe_id is not null;
    perform private.audit(
        'course.bind_price', 'courses', p_course_id::text, v_before,
        jsonb_build_object('price_id', p_price_id, 'product_id', p_product_id)
    );
end
$$;
comment on function private.bind_course_price(uuid, text, text) is
'Binds the provider''s price and product to a course''s offer, or none, and records it. Raises PT403 role_required,
PT404 course_not_found, 23505 where another has them, 23514 for what is no id.';

create function public.bind_course_price(course_id uuid, price_id text, product_id text default null) returns void
language sql
set search_path = ''
as $$
    select private.bind_course_price(
        bind_course_price.course_id, bind_course_price.price_id, bind_course_price.product_id
    )
$$;
comment on function public.bind_course_price(uuid, text, text) is
'Binds the payment provider''s price (price_id) and product to a course that is on sale; null binds none. Needed only
for those made by hand there: publishing makes them by itself. Nobody reads them here; the audit log, for admins, says
what was bound. For admins. Raises role_required (403), course_not_found (404).';
insert into private.rate_limited_functions (function_name, tier) values ('bind_course_price', 'strict');

create function private.refund_brief(p_refund_id uuid) returns jsonb
language sql
stable
security definer -- the worker may read no table
set search_path = ''
as $$
    select jsonb_build_object(
        'refund_id', r.id, 'order_id', r.order_id, 'amount', r.amount,
        -- Not whatever was bound last: an order may also have a surplus payment.
        'payment', case when p.reference not like 'in\_%' then p.reference end,
        'invoice', case when p.reference like 'in\_%' then p.reference end
    )
    from public.refunds as r
    join private.payments as p on p.order_id = r.order_id and not p.is_surplus and p.provider = 'stripe'
    where r.id = p_refund_id and r.status = 'pending'
$$;
comment on function private.refund_brief(uuid) is
'What Stripe must be told of a pending refund: {refund_id, order_id, amount, payment (the intent; null where it was paid
by an invoice), invoice (null otherwise)}; null where it is not pending.';

create function private.failed_webhooks() returns setof private.webhook_inbox
language sql
stable
security definer -- the inbox is closed; the role decides
set search_path = ''
as $$
    select i.* from private.webhook_inbox as i where i.status = 'failed' and (select private.has_role('admin'))
$$;
comment on function private.failed_webhooks() is 'Events whose effect failed, for admins; none for others.';

create function private.replay_webhook(p_provider text, p_event_id text) returns text
language plpgsql
security definer -- the inbox is closed; the check below decides
set search_path = ''
as $$
declare
    v_event private.webhook_inbox;
    v_status private.webhook_status;
begin
    perform private.require_role('admin');
    select i.* into v_event from private.webhook_inbox as i
    where i.provider = p_provider and i.event_id = p_event_id;
    if not found then
        raise sqlstate 'PT404' using
            message = 'event_not_found',
            detail = 'There is no such event.',
            hint = 'Look it up in webhook_failures.';
    end if;
    v_status := private.receive_webhook(p_provider, p_event_id, v_event.type, v_event.payload);
    perform private.audit(
        'webhook.replay', 'webhook_inbox', p_provider || ':' || p_event_id,
        jsonb_build_object('status', v_event.status), jsonb_build_object('status', v_status)
    );
    return v_status;
end
$$;
comment on function private.replay_webhook(text, text) is
'Tries the effect of an event again. Raises PT403 role_required, PT404 event_not_found.';

create function public.replay_webhook(provider text, event_id text) returns text
language sql
set search_path = ''
as $$
    select private.replay_webhook(replay_webhook.provider, replay_webhook.event_id)
$$;
comment on function public.replay_webhook(text, text) is
'Tries the effect of a failed event again, and answers what became of it: applied, ignored or failed; one that was
settled before stays so. For admins; recorded. Raises role_required (403), event_not_found (404).';
insert into private.rate_limited_functions (function_name, tier) values ('replay_webhook', 'strict');

create view public.webhook_failures with (security_invoker = true) as
select
    f.provider,
    f.event_id,
    f.type,
    f.attempts,
    f.error,
    f.received_at,
    f.settled_at
from private.failed_webhooks() as f;
comment on view public.webhook_failures is
'Events of providers whose effect failed: order=received_at. Admins read them, nobody else a row; replay_webhook tries
one again.';
comment on column public.webhook_failures.provider is 'Who told it: stripe, clerk.';
comment on column public.webhook_failures.type is 'What kind of event it is, in the provider''s words.';
comment on column public.webhook_failures.attempts is 'How often its effect was tried.';
comment on column public.webhook_failures.received_at is 'When it was told first.';
comment on column public.webhook_failures.settled_at is 'When it was tried last.';
comment on column public.webhook_failures.error is 'SQLSTATE and token of the last attempt.';
create trigger _100_refuse_write instead of insert or update or delete on public.webhook_failures
for each row execute function private.tg__refuse_write();
