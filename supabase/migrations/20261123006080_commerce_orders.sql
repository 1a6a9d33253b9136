-- Commerce: orders. An order keeps its price, its splits and its licence as they were when it was placed. A payment
-- provider, or an admin who received the money, reports it paid.

insert into private.errors (token, status, meaning, hint, detail)
values
(
    'order_not_found', 404,
    'There is no such order, or it is not yours.',
    'Read orders again.',
    null
);

create type public.order_status as enum ('pending', 'processing', 'paid', 'failed', 'cancelled', 'expired');
comment on type public.order_status is
'pending: not paid yet. processing: the payment takes days and has begun. paid: paid, or nothing was to pay. failed:
the payment failed. cancelled: withdrawn by the buyer, or replaced. expired: not paid in time. A late payment still
turns a failed, cancelled or expired order into a paid one. refunded_amount and disputed_amount say what was returned
later.';

create type public.payment_status as enum ('unpaid', 'paid', 'partially_refunded', 'refunded', 'disputed');
comment on type public.payment_status is
'unpaid: nothing was captured. paid: paid, or nothing was to pay. partially_refunded: a part was returned. refunded: all
was returned, by a refund. disputed: the buyer''s bank has taken a part or all back, for now or for good.';

create table public.orders (
    id uuid not null default gen_random_uuid() constraint orders_pkey primary key,
    number bigint generated always as identity constraint orders_number_key unique,
    buyer_id uuid not null constraint orders_buyer_id_fkey references public.profiles (id) on delete restrict,
    seller_id uuid constraint orders_seller_id_fkey references public.profiles (id) on delete restrict,
    student_teacher_id uuid
    constraint orders_student_teacher_id_fkey references public.profiles (id) on delete restrict,
    offer_id uuid not null constraint orders_offer_id_fkey references public.offers (id) on delete restrict,
    kind text not null constraint orders_kind_fkey references public.offer_kinds (kind) on delete restrict,
    title text not null,
    buyer_name text not null,
    seller_name text,
    course_id uuid constraint orders_course_id_fkey references public.courses (id) on delete restrict,
    product_id uuid constraint orders_product_id_fkey references public.products (id) on delete restrict,
    licence jsonb constraint orders_licence_check check (jsonb_typeof(licence) = 'object'),
    licence_code text constraint orders_licence_code_key unique
    constraint orders_licence_code_check check (licence_code ~ '^([0-9A-F]{4}-){4}[0-9A-F]{4}$'),
    reserved_product_id uuid constraint orders_reserved_product_id_key unique,
    unit_amount bigint not null constraint orders_unit_amount_check check (unit_amount >= 0),
    quantity integer not null default 1 constraint orders_quantity_check check (quantity > 0),
    discount_amount bigint not null default 0,
    amount bigint not null generated always as (unit_amount * quantity - discount_amount) stored,
    currency text not null constraint orders_currency_check check (currency ~ '^[A-Z]{3}$'),
    billing_interval public.billing_interval,
    trial_days integer not null default 0 constraint orders_trial_days_check check (trial_days >= 0),
    credits bigint,
    discount_duration public.coupon_duration,
    discount_months integer,
    coupon_id uuid constraint orders_coupon_id_fkey references public.coupons (id) on delete restrict,
    seller_bps integer not null,
    student_teacher_bps integer not null,
    details jsonb not null default '{}',
    status public.order_status not null default 'pending',
    paid_amount bigint not null default 0,
    tax_amount bigint not null default 0,
    refunded_amount bigint not null default 0,
    disputed_amount bigint not null default 0,
    payment_status public.payment_status not null generated always as (
        case
            when status <> 'paid' then 'unpaid'::public.payment_status
            when disputed_amount > 0 then 'disputed'::public.payment_status
            when refunded_amount = 0 then 'paid'::public.payment_status
            when refunded_amount < paid_amount then 'partially_refunded'::public.payment_status
            else 'refunded'::public.payment_status
        end
    ) stored,
    subscription_id uuid,
    period_starts_at timestamptz,
    period_ends_at timestamptz,
    created_at timestamptz not null default now(),
    expires_at timestamptz not null,
    paid_at timestamptz,
    updated_at timestamptz not null default now(),
    constraint orders_discount_amount_check check (discount_amount between 0 and unit_amount * quantity),
    constraint orders_discount_duration_check
    check (
        (discount_duration is null or billing_interval is not null)
        and (discount_duration is not distinct from 'repeating') = (discount_months is not null)
    ),
    constraint orders_splits_check
    check (seller_bps >= 0 and student_teacher_bps >= 0 and seller_bps + student_teacher_bps <= 10000),
    constraint orders_seller_bps_check check (seller_id is not null or seller_bps + student_teacher_bps = 0),
    constraint orders_student_teacher_bps_check check (student_teacher_id is not null or student_teacher_bps = 0),
    constraint orders_details_check check (jsonb_typeof(details) = 'object' and length(details::text) <= 20000),
    constraint orders_licence_issued_check
    check ((licence is null) = (licence_code is null) and (licence is null or product_id is not null)),
    constraint orders_reserved_product_id_check
    check (
        reserved_product_id is null
        or (
            reserved_product_id = product_id and licence ->> 'tier' = 'exclusive'
            and status not in ('failed', 'cancelled', 'expired')
        )
    ),
    constraint orders_paid_at_check check ((status = 'paid') = (paid_at is not null)),
    constraint orders_paid_amount_check check (paid_amount >= 0 and (status = 'paid' or paid_amount = 0)),
    constraint orders_tax_amount_check check (tax_amount between 0 and paid_amount),
    constraint orders_returned_amount_check
    check (refunded_amount >= 0 and disputed_amount >= 0 and refunded_amount + disputed_amount <= paid_amount)
);
comment on table public.orders is
'Orders: who bought what at which price, and its state. Buyers read their own, sellers and student-teachers the paid
ones of their offers, admins read all. Only functions write it.';
comment on column public.orders.number is 'The number for people, also on invoices.';
comment on column public.orders.seller_id is 'The seller at that time; null for the platform.';
comment on column public.orders.student_teacher_id is
'The student-teacher who sold the course: earns a part and teaches the buyer.';
comment on column public.orders.kind is 'The kind of the offer: a row of offer_kinds.';
comment on column public.orders.title is 'The title of the offer at that time.';
comment on column public.orders.course_id is 'The course of the offer; null for other kinds.';
comment on column public.orders.buyer_name is 'The buyer''s name at that time, for invoices and contracts.';
comment on column public.orders.seller_name is 'The seller''s name at that time; null for the platform.';
comment on column public.orders.product_id is 'The product of the offer; null for other kinds.';
comment on column public.orders.licence is
'The licence terms at that time: {product_title, tier, file_types, copies, streams, videos, performances,
is_credit_required, term_years}; null stands for any number, of term_years for ever. Null for offers without licence
terms.';
comment on column public.orders.licence_code is
'The code on the contract, by which anybody verifies the licence: 80 random bits as five groups of four hexadecimal
digits.';
comment on column public.orders.reserved_product_id is 'The beat whose exclusive licence this order has or reserves.';
comment on column public.orders.unit_amount is 'The price of one, in minor units of the currency.';
comment on column public.orders.quantity is 'How many were ordered.';
comment on column public.orders.discount_amount is
'The discount of the coupon, in minor units; of a subscription for the payments that discount_duration names.';
comment on column public.orders.amount is
'The amount to pay, in minor units; of a subscription at first: later unit_amount times quantity, without the discount
where that has ended. A trial costs nothing.';
comment on column public.orders.discount_duration is
'Which payments of the subscription the coupon discounts, as the coupon said: once (the first), repeating (those of the
first discount_months) or forever; null without a coupon, and for one payment.';
comment on column public.orders.discount_months is
'For how many months from the start of the subscription the discount holds; null unless it is repeating.';
comment on column public.orders.currency is 'ISO 4217, upper case.';
comment on column public.orders.billing_interval is 'How often a subscription is paid; null for one payment.';
comment on column public.orders.trial_days is 'The free days at the start of a subscription.';
comment on column public.orders.credits is 'The credits of all packages; null for other kinds.';
comment on column public.orders.seller_bps is 'The seller''s part of the payment, in basis points.';
comment on column public.orders.student_teacher_bps is 'The student-teacher''s part of the payment, in basis points.';
comment on column public.orders.details is
'What the buyer tells the seller, with keys of offer_kinds.detail_keys: {"starts_at": ...}, {"track_url": ...}. The
comment of offer_kinds.detail_keys says what each takes.';
comment on column public.orders.status is 'Clients cannot write it.';
comment on column public.orders.paid_amount is
'The captured amount, in minor units: usually amount, 0 in a trial, more with tax on top, less where the provider used
credit of the buyer''s balance there.';
comment on column public.orders.tax_amount is
'The tax in paid_amount, in minor units, as the payment provider computed it. Nobody earns a part of it.';
comment on column public.orders.refunded_amount is 'The refunded part of paid_amount, in minor units.';
comment on column public.orders.disputed_amount is
'The part of paid_amount that the buyer''s bank has taken back, for now or for good, in minor units.';
comment on column public.orders.payment_status is
'What has become of the payment: payment_status=eq.refunded lists refunded orders, payment_status=eq.paid sales that
were not returned.';
comment on column public.orders.subscription_id is
'The subscription that it starts or renews. No foreign key: subscriptions refer to orders.';
comment on column public.orders.period_starts_at is 'Start of the period that it pays for; null for one payment.';
comment on column public.orders.period_ends_at is 'End of the period that it pays for; null for one payment.';
comment on column public.orders.expires_at is 'The end of the time to pay.';
comment on column public.orders.paid_at is 'When the payment was reported; null before.';
comment on constraint orders_course_id_fkey on public.orders is 'A course that was ordered stays on record.';
comment on constraint orders_offer_id_fkey on public.orders is 'An offer that was ordered stays on record: archive it.';
comment on constraint orders_product_id_fkey on public.orders is
'A product that was ordered stays on record: archive it.';
alter table public.orders enable row level security;
revoke all on public.orders from anon, authenticated, service_role;
create index orders_buyer_id_idx on public.orders (buyer_id, created_at desc);
comment on index public.orders_buyer_id_idx is
'My orders: buyer_id=eq.&order=created_at.desc, the policies, and the foreign key';
create index orders_seller_id_idx on public.orders (seller_id, paid_at desc);
comment on index public.orders_seller_id_idx is
'A seller''s transactions: seller_id=eq.&order=paid_at.desc, the policies, and the foreign key';
create index orders_course_id_idx on public.orders (course_id, created_at desc);
comment on index public.orders_course_id_idx is
'The latest order of a course: course_id=eq.&order=created_at.desc&limit=1, and the foreign key';
create index orders_kind_idx on public.orders (kind, created_at desc);
comment on index public.orders_kind_idx is 'Orders of a kind: kind=eq.&order=created_at.desc, and the foreign key';
create index orders_offer_id_idx on public.orders (offer_id, buyer_id);
comment on index public.orders_offer_id_idx is 'A buyer''s orders of an offer, and the foreign key';
create index orders_product_id_idx on public.orders (product_id);
comment on index public.orders_product_id_idx is 'The orders of a product, and the foreign key';
create index orders_student_teacher_id_idx on public.orders (student_teacher_id);
comment on index public.orders_student_teacher_id_idx is 'The policies, and the foreign key';
create index orders_coupon_id_idx on public.orders (coupon_id, buyer_id);
comment on index public.orders_coupon_id_idx is 'How often a buyer used a coupon, and the foreign key';
create index orders_status_idx on public.orders (status, created_at desc);
comment on index public.orders_status_idx is 'The admins'' list: status=eq.&order=created_at.desc, and the policies';
create index orders_payment_status_idx on public.orders (payment_status, paid_at desc)
where payment_status in ('partially_refunded', 'refunded', 'disputed');
comment on index public.orders_payment_status_idx is
'Returned payments, which are few: payment_status=eq.refunded&order=paid_at.desc';
create index orders_expires_at_idx on public.orders (expires_at) where status = 'pending';
comment on index public.orders_expires_at_idx is 'expire_overdue_orders: status = ''pending'' and expires_at <';
create index orders_subscription_id_idx on public.orders (subscription_id, period_ends_at desc);
comment on index public.orders_subscription_id_idx is
'The periods of a subscription: subscription_id=eq.&order=period_ends_at.desc';
create unique index orders_pending_key on public.orders (buyer_id, offer_id) where status = 'pending';
comment on index public.orders_pending_key is 'One pending order a buyer and offer';
create trigger _200_set_updated_at before update on public.orders
for each row execute function private.tg__set_updated_at();

insert into private.status_transitions (table_name, from_status, to_status)
values
('orders', 'pending', 'processing'),
('orders', 'pending', 'paid'),
('orders', 'pending', 'failed'),
('orders', 'pending', 'cancelled'),
('orders', 'pending', 'expired'),
('orders', 'processing', 'paid'),
('orders', 'processing', 'failed'),
('orders', 'cancelled', 'processing'),
('orders', 'cancelled', 'paid'),
('orders', 'expired', 'processing'),
('orders', 'expired', 'paid'),
('orders', 'failed', 'processing'),
('orders', 'failed', 'paid');
create trigger _100_check_transition before update of status on public.orders
for each row when (old.status is distinct from new.status) execute function private.tg__check_transition();

create function private.lock_order(p_order_id uuid) returns public.orders
language plpgsql
security definer -- the caller of a function that changes an order need not be able to read it
set search_path = ''
as $$
declare
    v_order public.orders;
begin
    select o.* into v_order from public.orders as o where o.id = p_order_id for no key update;
    if not found then
        perform private.refuse('order_not_found');
    end if;
    return v_order;
end
$$;
comment on function private.lock_order(uuid) is
'The order, locked. Functions lock an order before its payment, refunds, subscription and entitlements. Raises PT404
order_not_found.';

create function private.tg_orders__release_coupon() returns trigger
language plpgsql
security definer -- coupons are closed to buyers
set search_path = ''
as $$
begin
    update public.coupons as c
    -- A late payment keeps its discount although the coupon may be used up by now; the count then stays at its limit.
    set used_count = case
        when new.status in ('failed', 'cancelled', 'expired') then greatest(c.used_count - 1, 0)
        else least(c.used_count + 1, coalesce(c.maximum_uses, c.used_count + 1))
    end
    where c.id = new.coupon_id;
    return null;
end
$$;
comment on function private.tg_orders__release_coupon() is
'After an order ends unpaid: releases its use of a coupon. After such an order is paid late: counts the use again.';
create trigger _300_release_coupon after update of status on public.orders
for each row when (
    new.coupon_id is not null
    and (old.status in ('failed', 'cancelled', 'expired')) <> (new.status in ('failed', 'cancelled', 'expired'))
)
execute function private.tg_orders__release_coupon();

create function private.expire_overdue_orders(p_coupon_id uuid, p_reserved_product_id uuid) returns bigint
language plpgsql
security definer -- clients may not write orders
set search_path = ''
as $$
declare
    v_expired bigint;
begin
    update public.orders as o set status = 'expired'
    where o.id in (
        select e.id from public.orders as e
        -- The payment page closes at expires_at; the report of a payment in its last moment may take a while.
        where e.status = 'pending' and e.expires_at < now() - interval '5 minutes'
            and (p_coupon_id is null or e.coupon_id = p_coupon_id)
            and (p_reserved_product_id is null or e.reserved_product_id = p_reserved_product_id)
        limit 1000
        -- A locked order is changing its status right now.
        for no key update skip locked
    );
    get diagnostics v_expired = row_count;
    return v_expired;
end
$$;
comment on function private.expire_overdue_orders(uuid, uuid) is
'Expires up to 1,000 pending orders that were not paid in time: those that reserve a given coupon or exclusive licence,
or, with nulls, all. Returns the number.';

create function private.purge__expired_orders() returns bigint
language plpgsql
set search_path = ''
as $$
begin
    return private.expire_overdue_orders(null, null);
end
$$;
comment on function private.purge__expired_orders() is
'Expires up to 1,000 pending orders that were not paid in time, five minutes after their payment page has closed.
Returns the number.';
