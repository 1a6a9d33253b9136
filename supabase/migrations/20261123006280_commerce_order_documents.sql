-- Commerce: the content of invoices and contracts, and a buyer's billing history.

create function private.order_document(p_order_id uuid) returns jsonb
language plpgsql
stable
security definer -- coupons and currencies are closed to buyers; the condition finds only orders of the caller
set search_path = ''
as $$
declare
    v_found jsonb;
begin
    v_found := (
        select jsonb_build_object(
            'id', o.id,
            'number', o.number,
            'kind', o.kind,
            'kind_label', k.label,
            'title', o.title,
            'status', o.status,
            'is_order_in_force', private.is_order_in_force(o) and not private.is_licence_lost(o),
            'seller_name', o.seller_name,
            'buyer_name', o.buyer_name,
            'quantity', o.quantity,
            'unit_amount', o.unit_amount,
            'discount_amount', o.discount_amount,
            'coupon', c.code,
            'amount', o.amount,
            'trial_days', o.trial_days,
            'paid_amount', o.paid_amount,
            'tax_amount', o.tax_amount,
            'currency', o.currency,
            'decimals', u.decimals,
            'created_at', o.created_at,
            'paid_at', o.paid_at,
            'period_starts_at', o.period_starts_at,
            'period_ends_at', o.period_ends_at,
            'ended_at', (
                select max(e.ends_at) from public.entitlements as e
                where e.order_id = o.id and not private.is_order_in_force(o) and e.ends_at <= now()
            ),
            'licence', o.licence,
            'licence_code', o.licence_code,
            'refunds', (
                select coalesce(
                    jsonb_agg(
                        jsonb_build_object('amount', r.amount, 'completed_at', r.completed_at)
                        order by r.completed_at, r.id
                    ),
                    '[]'
                )
                from public.refunds as r
                where r.order_id = o.id and r.status = 'succeeded'
            )
        )
        from public.orders as o
        join public.offer_kinds as k on k.kind = o.kind
        join private.currencies as u on u.code = o.currency
        -- A further period of a subscription has the discount of the coupon that was used once, for the first order.
        left join public.subscriptions as s on s.id = o.subscription_id and o.coupon_id is null
        left join public.orders as f on f.id = s.order_id and o.discount_amount > 0
        left join public.coupons as c on c.id = coalesce(o.coupon_id, f.coupon_id)
        where o.id = p_order_id
            and (
                o.buyer_id = (select auth.uid())
                or (o.seller_id = (select auth.uid()) and o.status = 'paid')
                or (select private.has_role('admin'))
            )
    );
    if v_found is null then
        perform private.refuse('order_not_found');
    end if;
    if v_found ->> 'status' <> 'paid' then
        perform private.refuse('order_unpaid', (v_found ->> 'status')::text);
    end if;
    return v_found;
end
$$;
comment on function private.order_document(uuid) is
'The content of a paid order''s documents: parties, item, amounts in minor units with the decimals of the currency,
refunds, licence. GET /functions/v1/orders/{order_id}/invoice.pdf and contract.pdf print it. For its buyer, its seller
and admins. Raises order_not_found (404), order_unpaid (409).';

create type public.billing_event as enum (
    'order_placed', 'order_paid', 'order_refunded', 'refund_failed', 'dispute_opened', 'dispute_won', 'dispute_lost',
    'subscription_started', 'period_paid', 'subscription_ended'
);
comment on type public.billing_event is
'Events in a buyer''s billing history. period_paid: a further period of a subscription. Only admins see dispute_opened,
dispute_won and dispute_lost.';

create view public.billing_events with (security_invoker = true) as
select
    'placed:' || o.id as id,
    o.buyer_id as user_id,
    'order_placed'::public.billing_event as event,
    o.created_at as occurred_at,
    o.id as order_id,
    o.title,
    o.amount,
    o.currency
from public.orders as o
where
    (o.subscription_id is null or exists (select from public.subscriptions as s where s.order_id = o.id))
    and (o.buyer_id = (select auth.uid()) or (select private.has_role('admin')))
union all
select
    'paid:' || o.id,
    o.buyer_id,
    case
        when o.subscription_id is null or exists (select from public.subscriptions as s where s.order_id = o.id)
            then 'order_paid'::public.billing_event
        else 'period_paid'::public.billing_event
    end,
    o.paid_at,
    o.id,
    o.title,
    o.paid_amount,
    o.currency
from public.orders as o
where
    o.paid_at is not null
    and (o.buyer_id = (select auth.uid()) or (select private.has_role('admin')))
union all
select
    'refund:' || r.id,
    r.buyer_id,
    case r.status
        when 'succeeded' then 'order_refunded'::public.billing_event
        else 'refund_failed'::public.billing_event
    end,
    r.completed_at,
    r.order_id,
    o.title,
    r.amount,
    r.currency
from public.refunds as r
inner join public.orders as o on r.order_id = o.id
where
    r.completed_at is not null
    and (r.buyer_id = (select auth.uid()) or (select private.has_role('admin')))
union all
select
    t.event || ':' || d.id,
    o.buyer_id,
    t.event,
    t.occurred_at,
    d.order_id,
    o.title,
    d.amount,
    d.currency
from public.disputes as d
inner join public.orders as o on d.order_id = o.id
cross join
    lateral (
        values
        ('dispute_opened'::public.billing_event, d.created_at),
        (
            case d.status
                when 'won' then 'dispute_won'::public.billing_event
                else 'dispute_lost'::public.billing_event
            end,
            d.closed_at
        )
    ) as t (event, occurred_at)
where t.occurred_at is not null
union all
select
    t.event || ':' || s.id,
    s.user_id,
    t.event,
    t.occurred_at,
    s.order_id,
    o.title,
    null,
    null
from public.subscriptions as s
inner join public.orders as o on s.order_id = o.id
cross join
    lateral (
        values
        ('subscription_started'::public.billing_event, s.created_at),
        ('subscription_ended'::public.billing_event, s.ended_at)
    ) as t (event, occurred_at)
where
    t.occurred_at is not null
    and (s.user_id = (select auth.uid()) or (select private.has_role('admin')));
comment on view public.billing_events is
'A buyer''s billing history, one row for each event: user_id=eq.&order=occurred_at.desc. Buyers read their own; admins
read all, and disputes too.';
comment on column public.billing_events.id is 'Unique among all events.';
comment on column public.billing_events.user_id is 'The buyer.';
comment on column public.billing_events.event is 'What happened.';
comment on column public.billing_events.occurred_at is 'When it happened.';
comment on column public.billing_events.order_id is 'The order; for a subscription, the one that started it.';
comment on column public.billing_events.title is 'The title of the order.';
comment on column public.billing_events.amount is 'In minor units of the currency; null where no money moved.';
comment on column public.billing_events.currency is 'ISO 4217, upper case; null where no money moved.';
create trigger _100_refuse_write instead of insert or update or delete on public.billing_events
for each row execute function private.tg__refuse_write();
