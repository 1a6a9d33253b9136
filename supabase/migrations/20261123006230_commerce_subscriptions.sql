-- Commerce: what recurs. The first order begins a subscription; each further period that is paid is an order of its
-- own.

create type public.subscription_status as enum ('trialing', 'active', 'past_due', 'ended');
comment on type public.subscription_status is
'trialing: it costs nothing yet. active: paid. past_due: the last period could not be charged yet. ended: over.';

create table public.subscriptions (
    id uuid not null default gen_random_uuid() constraint subscriptions_pkey primary key,
    user_id uuid not null constraint subscriptions_user_id_fkey references public.profiles (id) on delete restrict,
    seller_id uuid constraint subscriptions_seller_id_fkey references public.profiles (id) on delete restrict,
    offer_id uuid not null constraint subscriptions_offer_id_fkey references public.offers (id) on delete restrict,
    order_id uuid not null constraint subscriptions_order_id_key unique
    constraint subscriptions_order_id_fkey references public.orders (id) on delete restrict,
    kind public.offer_kind not null,
    status public.subscription_status not null,
    period_ends_at timestamptz not null,
    is_ending boolean not null default false,
    trial_ends_at timestamptz,
    ended_at timestamptz,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    constraint subscriptions_ended_at_check check ((status = 'ended') = (ended_at is not null))
);
comment on table public.subscriptions is
'Memberships, plans and support that recur, as the payment provider tells it. What one has by them, entitlements say.
The subscriber reads the own, the seller those of his offers, admins all. Written by functions only.';
comment on column public.subscriptions.order_id is 'The order that began it.';
comment on column public.subscriptions.kind is 'The offer''s.';
comment on column public.subscriptions.trial_ends_at is 'When the trial ends or ended; null where there was none.';
comment on column public.subscriptions.period_ends_at is 'Until when it is paid, or the trial lasts.';
comment on column public.subscriptions.is_ending is
'Whether it ends with the period: it was cancelled, and may be resumed until then.';
comment on column public.subscriptions.ended_at is 'When it ended.';
alter table public.subscriptions enable row level security;
revoke all on public.subscriptions from anon, authenticated, service_role;
create index subscriptions_user_id_idx on public.subscriptions (user_id, created_at desc);
comment on index public.subscriptions_user_id_idx is
'My memberships: user_id=eq.&order=created_at.desc, the policies, and the foreign key';
create index subscriptions_seller_id_idx on public.subscriptions (seller_id, created_at desc);
comment on index public.subscriptions_seller_id_idx is
'A seller''s members: seller_id=eq.&order=created_at.desc, the policies, and the foreign key';
create index subscriptions_offer_id_idx on public.subscriptions (offer_id);
comment on index public.subscriptions_offer_id_idx is 'The foreign key';
create trigger _200_set_updated_at before update on public.subscriptions
for each row execute function private.tg__set_updated_at();

insert into private.status_transitions (table_name, from_status, to_status)
values
('subscriptions', 'trialing', 'active'),
('subscriptions', 'trialing', 'past_due'),
('subscriptions', 'trialing', 'ended'),
('subscriptions', 'active', 'trialing'),
('subscriptions', 'active', 'past_due'),
('subscriptions', 'active', 'ended'),
('subscriptions', 'past_due', 'active'),
('subscriptions', 'past_due', 'trialing'),
('subscriptions', 'past_due', 'ended');
create trigger _100_check_transition before update of status on public.subscriptions
for each row when (old.status is distinct from new.status) execute function private.tg__check_transition();

create function private.period_ends_at(p_order_id uuid) returns timestamptz
language plpgsql
stable
security definer -- subscriptions are closed to whoever pays
set search_path = ''
as $$
declare
    v_order public.orders;
    v_subscription public.subscriptions;
begin
    select o.* into v_order from public.orders as o where o.id = p_order_id;
    select s.* into v_subscription from public.subscriptions as s where s.id = v_order.subscription_id;
    return case
        when v_subscription.ended_at < v_order.period_ends_at then v_subscription.ended_at
        when v_subscription.is_ending or v_subscription.status = 'ended' then v_order.period_ends_at
        when v_subscription.status = 'past_due'
            then v_order.period_ends_at + private.setting('grace_days')::integer * interval '1 day'
        else v_order.period_ends_at + private.setting('renewal_hours')::integer * interval '1 hour'
    end;
end
$$;
comment on function private.period_ends_at(uuid) is
'Until when what a period''s order gives holds: its end, and a little more where it is to be renewed or could not be
charged yet.';

create function private.apply_subscription(p_object jsonb, p_as_of timestamptz) returns boolean
language plpgsql
security definer -- subscriptions are no client's to write; the payment provider told it
set search_path = ''
as $$
declare
    v_order public.orders;
    v_id uuid := private.of_stripe(p_object ->> 'id', 'subscription');
    v_known private.stripe_objects;
    v_status public.subscription_status;
    v_period_ends_at timestamptz := to_timestamp(
        coalesce(p_object #>> '{items,data,0,current_period_end}', p_object ->> 'current_period_end')::bigint
    );
    v_was public.subscriptions;
    v_latest uuid;
begin
    select o.* into v_order from public.orders as o
    where o.id = coalesce(
        (select s.order_id from public.subscriptions as s where s.id = v_id), (p_object #>> '{metadata,order_id}')::uuid
    ) for no key update;
    if not found then
        return false;
    end if;
    -- Again, now that nobody else can be about to write it: else it would seem a second subscription of the order.
    v_id := private.of_stripe(p_object ->> 'id', 'subscription');
    v_status := case p_object ->> 'status'
        when 'trialing' then 'trialing'
        when 'active' then 'active'
        when 'past_due' then 'past_due'
        when 'unpaid' then 'past_due'
        when 'canceled' then 'ended'
        when 'incomplete_expired' then 'ended'
    end;
    -- What has not begun (incomplete) or rests (paused) is none.
    if v_status is null then
        return false;
    end if;
    if v_id is null then
        insert into public.subscriptions (
            user_id, seller_id, offer_id, order_id, kind, status, period_ends_at, ended_at
        )
        values (
            v_order.buyer_id, v_order.seller_id, v_order.offer_id, v_order.id, v_order.kind, v_status, v_period_ends_at,
            case v_status when 'ended' then now() end
        )
        on conflict (order_id) do nothing
        returning id into v_id;
        -- One order begins one subscription; another one for it is to be ended at the provider's.
        if v_id is null then
            perform private.defer_job(
                'end_subscription', jsonb_build_object('stripe_id', p_object ->> 'id'),
                'end_subscription:' || (p_object ->> 'id')
            );
            return false;
        end if;
        perform private.bind_stripe_object(p_object ->> 'id', 'subscription', v_id);
        update public.orders as o set subscription_id = v_id where o.id = v_order.id;
    end if;
    select s.* into v_known from private.stripe_objects as s where s.stripe_id = p_object ->> 'id' for no key update;
    if p_as_of < v_known.as_of then
        return false;
    elsif p_as_of = v_known.as_of then
        -- Two events of one second: which was later, only the provider knows.
        perform private.defer_job(
            'refetch_subscription', jsonb_build_object('stripe_id', p_object ->> 'id'),
            'refetch_subscription:' || (p_object ->> 'id')
        );
    end if;
    update private.stripe_objects as s set as_of = p_as_of where s.stripe_id = p_object ->> 'id';
    select s.* into v_was from public.subscriptions as s where s.id = v_id;
    update public.subscriptions as s
    set
        status = v_status,
        period_ends_at = v_period_ends_at,
        -- The billing portal may write a date instead.
        is_ending = v_status <> 'ended' and (
            coalesce((p_object ->> 'cancel_at_period_end')::boolean, false) or p_object ->> 'cancel_at' is not null
        ),
        trial_ends_at = to_timestamp((p_object ->> 'trial_end')::bigint),
        ended_at = case v_status
            when 'ended' then coalesce(to_timestamp((p_object ->> 'ended_at')::bigint), s.ended_at, now())
        end
    where s.id = v_id;
    select o.id into v_latest from public.orders as o
    where o.subscription_id = v_id and o.status = 'paid'
    order by o.period_ends_at desc
    limit 1;
    if v_latest is not null then
        perform private.settle_entitlements(v_latest);
    end if;
    return true;
end
$$;
comment on function private.apply_subscription(jsonb, timestamptz) is
'Has a subscription be as the payment provider says that it was at that time: older news is passed over, and of two at
the same second the worker asks again. Answers whether it had an effect.';

create function private.apply_invoice(p_object jsonb) returns boolean
language plpgsql
security definer -- orders are no client's to write; the payment provider told it
set search_path = ''
as $$
declare
    v_stripe_id text := coalesce(
        p_object #>> '{parent,subscription_details,subscription}', p_object ->> 'subscription'
    );
    v_first public.orders;
    v_order public.orders;
    v_subscription public.subscriptions;
    v_starts_at timestamptz := to_timestamp((p_object #>> '{lines,data,0,period,start}')::bigint);
    v_ends_at timestamptz := to_timestamp((p_object #>> '{lines,data,0,period,end}')::bigint);
begin
    select o.* into v_first from public.orders as o
    where o.id = coalesce(
        (
            select s.order_id from public.subscriptions as s
            where s.id = private.of_stripe(v_stripe_id, 'subscription')
        ),
        (p_object #>> '{parent,subscription_details,metadata,order_id}')::uuid
    ) for no key update;
    if not found or p_object ->> 'status' <> 'paid' then
        return false;
    end if;
    select s.* into v_subscription from public.subscriptions as s where s.order_id = v_first.id;
    if not found then
        -- Told before the subscription itself: whatever is told of that is newer.
        perform private.apply_subscription(
            jsonb_build_object(
                'id', v_stripe_id,
                'status', case when (p_object ->> 'amount_paid')::bigint = 0 then 'trialing' else 'active' end,
                'current_period_end', extract(epoch from v_ends_at)::bigint,
                'metadata', jsonb_build_object('order_id', v_first.id)
            ),
            '-infinity'
        );
        select s.* into v_subscription from public.subscriptions as s where s.order_id = v_first.id;
    end if;
    if p_object ->> 'billing_reason' = 'subscription_create' then
        update public.orders as o set period_starts_at = v_starts_at, period_ends_at = v_ends_at
        where o.id = v_first.id and o.period_ends_at is null;
        v_order := private.settle_payment(
            v_first.id, 'stripe', p_object ->> 'id', (p_object ->> 'amount_paid')::bigint,
            upper(p_object ->> 'currency')
        );
    elsif exists (
        select from private.payments as p where p.provider = 'stripe' and p.reference = p_object ->> 'id'
    ) then
        return false;
    else
        insert into public.orders as o (
            buyer_id, seller_id, offer_id, kind, title, unit_amount, currency, billing_interval, seller_bps,
            student_teacher_bps, status, paid_amount, paid_at, expires_at, subscription_id, period_starts_at,
            period_ends_at
        )
        values (
            v_first.buyer_id, v_first.seller_id, v_first.offer_id, v_first.kind, v_first.title,
            (p_object ->> 'amount_paid')::bigint, upper(p_object ->> 'currency'), v_first.billing_interval,
            v_first.seller_bps, 0, 'paid', (p_object ->> 'amount_paid')::bigint, now(), now(), v_subscription.id,
            v_starts_at, v_ends_at
        )
        returning o.* into v_order;
        perform private.record_payment(v_order, 'stripe', p_object ->> 'id');
        perform private.settle_entitlements(v_order.id);
        perform private.mail_receipt(v_order);
    end if;
    perform private.bind_stripe_object(t.payment ->> 'payment_intent', 'payment', v_order.id)
    from (select p_object #> '{payments,data,0,payment}') as t (payment)
    where t.payment ->> 'payment_intent' is not null;
    return true;
end
$$;
comment on function private.apply_invoice(jsonb) is
'Has a period of a subscription paid: the first pays the order that began it, each further one makes an order of its
own. Once, however often it is told. Answers whether it had an effect. Raises what settle_payment raises.';
