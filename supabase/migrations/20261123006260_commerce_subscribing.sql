-- Commerce: subscriptions as a provider reports them, and the payments of their periods.

create function private.start_subscription(p_provider text, p_reference text, p_subscription public.subscriptions)
returns uuid
language plpgsql
security definer -- clients may not write subscriptions; the provider reported it
set search_path = ''
as $$
declare
    v_id uuid;
begin
    insert into public.subscriptions (
        user_id, seller_id, offer_id, order_id, kind, status, period_ends_at, ended_at
    )
    select
        o.buyer_id, o.seller_id, o.offer_id, o.id, o.kind, p_subscription.status, p_subscription.period_ends_at,
        case p_subscription.status when 'ended' then now() end
    from public.orders as o
    where o.id = p_subscription.order_id
    on conflict (order_id) do nothing
    returning id into v_id;
    if v_id is not null then
        perform private.bind_reference(p_provider, 'subscription', p_reference, v_id);
        update public.orders as o set subscription_id = v_id where o.id = p_subscription.order_id;
    end if;
    return v_id;
end
$$;
comment on function private.start_subscription(text, text, public.subscriptions) is
'Starts the subscription of an order (order_id, status and period_ends_at of the argument count) and returns its id;
null where the order has started another one. The caller has locked the order.';

create function private.switch_offer(
    p_subscription_id uuid, p_offer_id uuid, p_provider text, p_switched_at timestamptz, p_period_ends_at timestamptz
)
returns void
language plpgsql
security definer -- clients may not write subscriptions; the provider reported it
set search_path = ''
as $$
declare
    v_subscription public.subscriptions;
begin
    update public.subscriptions as s
    set offer_id = o.id, seller_id = o.seller_id, kind = o.kind, switched_at = p_switched_at
    from public.offers as o
    where s.id = p_subscription_id and o.id = p_offer_id and s.offer_id <> o.id
        and coalesce(s.switched_at < p_switched_at, true)
    returning s.* into v_subscription;
    if found then
        -- The rest of the period gives what the new offer gives. Its price comes with a later invoice.
        perform private.insert_period_order(
            v_subscription, p_offer_id, p_provider,
            v_subscription.id || ':switch:' || extract(epoch from p_switched_at)::bigint, 0, 0, 0,
            (select o.price_currency from public.offers as o where o.id = p_offer_id), p_switched_at, p_period_ends_at
        );
    end if;
end
$$;
comment on function private.switch_offer(uuid, uuid, text, timestamptz, timestamptz) is
'Follows a subscriber who switched to another offer at the provider: what the former offer gave ends, and an order of
nothing to pay gives what the new one gives, until the period ends, if the period is paid. A switch that is older than the known one is
ignored. The caller has locked the order that started the subscription.';

create function private.update_subscription(p_subscription public.subscriptions) returns void
language plpgsql
security definer -- clients may not write subscriptions; the provider reported it
set search_path = ''
as $$
declare
    v_order_id uuid;
begin
    update public.subscriptions as s
    set
        status = p_subscription.status,
        period_ends_at = p_subscription.period_ends_at,
        is_ending = p_subscription.is_ending,
        trial_ends_at = p_subscription.trial_ends_at,
        ended_at = case p_subscription.status
            when 'ended' then coalesce(p_subscription.ended_at, s.ended_at, now())
        end
    where s.id = p_subscription.id;
    -- All periods that may still give something: an upgrade begins one before the former has ended.
    for v_order_id in
        select o.id from public.orders as o
        where o.subscription_id = p_subscription.id and o.status = 'paid'
            and (
                o.period_ends_at is null
                or o.period_ends_at >= (
                    select max(l.period_ends_at) from public.orders as l
                    where l.subscription_id = p_subscription.id and l.status = 'paid'
                )
                or exists (select from public.entitlements as e where e.order_id = o.id and e.ends_at > now())
            )
        order by o.id
    loop
        perform private.fulfil_paid_order(v_order_id);
    end loop;
end
$$;
comment on function private.update_subscription(public.subscriptions) is
'Sets status, period, trial and end of the subscription with this id, and the entitlements of its present periods. The
caller has locked the order that started it.';

create function private.insert_period_order(
    p_subscription public.subscriptions, p_offer_id uuid, p_provider text, p_reference text, p_amount bigint,
    p_tax_amount bigint, p_price bigint, p_currency text, p_starts_at timestamptz, p_ends_at timestamptz
)
returns uuid
language plpgsql
security definer -- clients may not write orders; the provider reported it
set search_path = ''
as $$
declare
    v_first public.orders;
    v_offer public.offers;
    v_order public.orders;
    v_is_discounted boolean;
begin
    select o.* into v_first from public.orders as o where o.id = p_subscription.order_id;
    select o.* into v_offer from public.offers as o where o.id = p_offer_id;
    -- The coupon of the first order still discounts the period, as the price says.
    v_is_discounted := v_offer.id = v_first.offer_id and v_first.discount_amount > 0 and p_price = v_first.amount;
    insert into public.orders as o (
        buyer_id, seller_id, offer_id, kind, title, unit_amount, quantity, discount_amount, discount_duration,
        discount_months, currency, billing_interval, seller_bps,
        student_teacher_bps, status, paid_amount, tax_amount, paid_at, expires_at, subscription_id, period_starts_at,
        period_ends_at
    )
    values (
        v_first.buyer_id,
        -- A seller's parts and the title stay those of the first order until the plan is switched.
        case when v_offer.id = v_first.offer_id then v_first.seller_id else v_offer.seller_id end,
        v_offer.id, v_offer.kind,
        case when v_offer.id = v_first.offer_id then v_first.title else v_offer.title end,
        case when v_is_discounted then v_first.unit_amount else p_price end,
        case when v_is_discounted then v_first.quantity else 1 end,
        case when v_is_discounted then v_first.discount_amount else 0 end,
        case when v_is_discounted then v_first.discount_duration end,
        case when v_is_discounted then v_first.discount_months end,
        p_currency,
        case when v_offer.id = v_first.offer_id then v_first.billing_interval else v_offer.billing_interval end,
        case
            when v_offer.id = v_first.offer_id then v_first.seller_bps
            when v_offer.seller_id is null then 0
            else private.split_of(v_offer.kind, false, 'seller')
        end,
        0, 'paid', p_amount, p_tax_amount, now(), now(), p_subscription.id, p_starts_at, p_ends_at
    )
    returning o.* into v_order;
    perform private.record_payment(v_order, p_provider, p_reference);
    perform private.fulfil_paid_order(v_order.id);
    perform private.attempt_effects_of_payment(v_order);
    return v_order.id;
end
$$;
comment on function private.insert_period_order(
    public.subscriptions, uuid, text, text, bigint, bigint, bigint, text, timestamptz, timestamptz
) is
'Writes the paid order of a further period of a subscription, of this offer, and fulfils it: the captured amount, the
tax in it and the price, in minor units. Returns its id.';

create function private.receive_period_payment(
    p_subscription public.subscriptions, p_offer_id uuid, p_provider text, p_reference text, p_amount bigint,
    p_tax_amount bigint, p_price bigint, p_currency text, p_starts_at timestamptz, p_ends_at timestamptz,
    p_is_first boolean
)
returns uuid
language plpgsql
security definer -- clients may not write orders; the provider reported it
set search_path = ''
as $$
declare
    v_order public.orders := private.lock_order(p_subscription.order_id);
    v_order_id uuid := v_order.id;
begin
    if exists (select from private.payments as p where p.provider = p_provider and p.reference = p_reference) then
        return null;
    elsif p_is_first then
        update public.orders as o set period_starts_at = p_starts_at, period_ends_at = p_ends_at
        where o.id = v_order.id and o.period_ends_at is null;
        v_order := private.receive_payment(
            v_order.id, p_provider, p_reference, p_amount, p_currency, p_tax_amount, p_price
        );
        perform private.fulfil_switches(v_order, false);
    elsif private.has_left(v_order.buyer_id) then
        perform private.record_surplus(v_order, p_provider, p_reference, p_amount, p_currency, 'account_inactive');
        perform private.release_webhooks(p_provider, p_reference);
    elsif private.has_left(
        (select f.seller_id from public.offers as f where f.id = coalesce(p_offer_id, p_subscription.offer_id))
    ) then
        perform private.record_surplus(v_order, p_provider, p_reference, p_amount, p_currency, 'seller_unavailable');
        perform private.release_webhooks(p_provider, p_reference);
    elsif p_subscription.ended_at <= p_starts_at then
        perform private.record_surplus(v_order, p_provider, p_reference, p_amount, p_currency, 'subscription_ended');
        perform private.release_webhooks(p_provider, p_reference);
    else
        v_order_id := private.insert_period_order(
            p_subscription, coalesce(p_offer_id, p_subscription.offer_id), p_provider, p_reference, p_amount,
            p_tax_amount, p_price, p_currency, p_starts_at, p_ends_at
        );
        perform private.fulfil_switches(v_order, false);
        perform private.release_webhooks(p_provider, p_reference);
    end if;
    return v_order_id;
end
$$;
comment on function private.receive_period_payment(
    public.subscriptions, uuid, text, text, bigint, bigint, bigint, text, timestamptz, timestamptz, boolean
) is
'Applies the payment of a period of a subscription, of this offer (null: the present one): the captured amount, the tax
in it and the price, in minor units. The first pays the order that started the subscription, each later one makes a paid
order of its own. A later one of a buyer or to a seller who is banned or deleted, or of a subscription that had ended, is
surplus. Returns the order; null where the payment was recorded before. The caller ends the subscription at the
provider where the payment has become surplus.';
