-- Commerce: what invoices and contracts say, and what happened to what somebody bought.

create function private.order_document(p_order_id uuid) returns jsonb
language plpgsql
stable
security definer -- coupons and currencies are closed to buyers; who may ask is checked below
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
            'title', o.title,
            'status', o.status,
            'is_held', private.is_held(o),
            'seller_name', o.seller_name,
            'buyer_name', o.buyer_name,
            'quantity', o.quantity,
            'unit_amount', o.unit_amount,
            'discount_amount', o.discount_amount,
            'coupon', c.code,
            'amount', o.amount,
            'paid_amount', o.paid_amount,
            'currency', o.currency,
            'decimals', u.decimals,
            'created_at', o.created_at,
            'paid_at', o.paid_at,
            'period_starts_at', o.period_starts_at,
            'period_ends_at', o.period_ends_at,
            'ended_at', (
                select max(e.ends_at) from public.entitlements as e
                where e.order_id = o.id and not private.is_held(o) and e.ends_at <= now()
            ),
            'licence', o.licence,
            'licence_code', o.licence_code,
            'refunds', (
                select coalesce(
                    jsonb_agg(
                        jsonb_build_object('amount', r.amount, 'settled_at', r.settled_at) order by r.settled_at, r.id
                    ),
                    '[]'
                )
                from public.refunds as r
                where r.order_id = o.id and r.status = 'succeeded'
            )
        )
        from public.orders as o
        join private.currencies as u on u.code = o.currency
        left join public.coupons as c on c.id = o.coupon_id
        where o.id = p_order_id
            and (
                o.buyer_id = (select auth.uid())
                or (o.seller_id = (select auth.uid()) and o.status = 'paid')
                or (select private.has_role('admin'))
            )
    );
    if v_found is null then
        raise sqlstate 'PT404' using
            message = 'order_not_found',
            detail = 'There is no such order, or it is not yours.',
            hint = 'Read orders again.';
    end if;
    if v_found ->> 'status' <> 'paid' then
        raise sqlstate 'PT409' using
            message = 'order_unpaid',
            detail = format('This order is %s, not paid.', v_found ->> 'status'),
            hint = 'Pay it first.';
    end if;
    return v_found;
end
$$;
comment on function private.order_document(uuid) is
'What a paid order''s papers say, for its buyer, its seller and admins. Raises PT404 order_not_found, PT409
order_unpaid.';

create function public.order_document(order_id uuid) returns jsonb
language sql
stable
set search_path = ''
as $$
    select private.order_document(order_document.order_id)
$$;
comment on function public.order_document(uuid) is
'What a paid order''s papers say: parties, line, amounts in minor units with the currency''s decimals, refunds, licence.
GET /functions/v1/orders/{order_id}/invoice.pdf and contract.pdf print it. For its buyer, its seller and
admins. Raises order_not_found (404), order_unpaid (409).';

create type public.billing_event as enum (
    'order_placed', 'order_paid', 'order_refunded', 'refund_failed', 'dispute_opened', 'dispute_won', 'dispute_lost',
    'subscription_started', 'period_paid', 'subscription_ended'
);
comment on type public.billing_event is
'What happens to what somebody buys. period_paid: a further period of what recurs. dispute_...: only admins see it.';

create view public.billing_log with (security_invoker = true) as
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
    r.settled_at,
    r.order_id,
    o.title,
    r.amount,
    r.currency
from public.refunds as r
inner join public.orders as o on r.order_id = o.id
where
    r.settled_at is not null
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
comment on view public.billing_log is
'What happened to what somebody bought, one row an event: user_id=eq.&order=occurred_at.desc. A buyer reads the own;
admins read everybody''s, and disputes too.';
comment on column public.billing_log.id is 'What tells an event from all others.';
comment on column public.billing_log.user_id is 'The buyer.';
comment on column public.billing_log.event is 'What happened.';
comment on column public.billing_log.occurred_at is 'When.';
comment on column public.billing_log.order_id is 'The order; of a subscription, the one that began it.';
comment on column public.billing_log.title is 'What was ordered.';
comment on column public.billing_log.amount is 'In minor units of the currency; null where no money moved.';
comment on column public.billing_log.currency is 'ISO 4217, upper case; null where no money moved.';
create trigger _100_refuse_write instead of insert or update or delete on public.billing_log
for each row execute function private.tg__refuse_write();
