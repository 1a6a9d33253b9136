-- Commerce: orders. An order keeps the price and how it is split as they were when it was placed. That it is paid is
-- told by the payment provider, or by an admin who saw the money.

create type public.order_status as enum ('pending', 'processing', 'paid', 'failed', 'cancelled', 'expired');
comment on type public.order_status is
'pending: placed, not paid. processing: the money is under way. paid: the money is there, or nothing was to pay. failed:
it did not come. cancelled: withdrawn, or replaced. expired: nobody paid in time. Money that comes late is taken:
whatever ended unpaid can become paid. What came back later, refunded_amount and disputed_amount say.';

insert into private.app_config (key, value, description)
values
(
    'splits',
    '{"default": {"seller": 8500}, "student_teacher": {"seller": 1500, "student_teacher": 7000}}',
    'How what is paid is split, in basis points; the rest is the platform''s. By kind of offer (course, tip ...), else '
    || 'default; student_teacher where one sold the course.'
),
('order_minutes', '60', 'How many minutes an order waits for its payment; 31 to 1440.');

create table public.orders (
    id uuid not null default gen_random_uuid() constraint orders_pkey primary key,
    number bigint generated always as identity constraint orders_number_key unique,
    buyer_id uuid not null constraint orders_buyer_id_fkey references public.profiles (id) on delete restrict,
    seller_id uuid constraint orders_seller_id_fkey references public.profiles (id) on delete restrict,
    student_teacher_id uuid
    constraint orders_student_teacher_id_fkey references public.profiles (id) on delete restrict,
    offer_id uuid not null constraint orders_offer_id_fkey references public.offers (id) on delete restrict,
    kind public.offer_kind not null,
    title text not null,
    buyer_name text not null,
    seller_name text,
    course_id uuid constraint orders_course_id_fkey references public.courses (id) on delete restrict,
    product_id uuid constraint orders_product_id_fkey references public.products (id) on delete restrict,
    licence jsonb constraint orders_licence_check check (jsonb_typeof(licence) = 'object'),
    licence_code text constraint orders_licence_code_key unique
    constraint orders_licence_code_check check (licence_code ~ '^([0-9A-F]{4}-){4}[0-9A-F]{4}$'),
    held_product_id uuid constraint orders_held_product_id_key unique,
    unit_amount bigint not null constraint orders_unit_amount_check check (unit_amount >= 0),
    quantity integer not null default 1 constraint orders_quantity_check check (quantity > 0),
    discount_amount bigint not null default 0,
    amount bigint not null generated always as (unit_amount * quantity - discount_amount) stored,
    currency text not null constraint orders_currency_check check (currency ~ '^[A-Z]{3}$'),
    billing_interval public.billing_interval,
    trial_days integer not null default 0 constraint orders_trial_days_check check (trial_days >= 0),
    credits bigint,
    coupon_id uuid constraint orders_coupon_id_fkey references public.coupons (id) on delete restrict,
    seller_bps integer not null,
    student_teacher_bps integer not null,
    details jsonb not null default '{}',
    status public.order_status not null default 'pending',
    paid_amount bigint not null default 0,
    refunded_amount bigint not null default 0,
    disputed_amount bigint not null default 0,
    subscription_id uuid,
    period_starts_at timestamptz,
    period_ends_at timestamptz,
    created_at timestamptz not null default now(),
    expires_at timestamptz not null,
    paid_at timestamptz,
    updated_at timestamptz not null default now(),
    constraint orders_discount_amount_check check (discount_amount between 0 and unit_amount * quantity),
    constraint orders_splits_check
    check (seller_bps >= 0 and student_teacher_bps >= 0 and seller_bps + student_teacher_bps <= 10000),
    constraint orders_seller_bps_check check (seller_id is not null or seller_bps + student_teacher_bps = 0),
    constraint orders_student_teacher_bps_check check (student_teacher_id is not null or student_teacher_bps = 0),
    constraint orders_details_check check (jsonb_typeof(details) = 'object' and length(details::text) <= 8000),
    constraint orders_licence_kind_check
    check (((kind = 'beat_licence') = (licence is not null)) and ((licence is null) = (licence_code is null))),
    constraint orders_product_id_check check ((kind in ('beat_licence', 'digital_product')) = (product_id is not null)),
    constraint orders_held_product_id_check
    check (
        held_product_id is null
        or (
            held_product_id = product_id and licence ->> 'tier' = 'exclusive'
            and status not in ('failed', 'cancelled', 'expired')
        )
    ),
    constraint orders_paid_at_check check ((status = 'paid') = (paid_at is not null)),
    constraint orders_paid_amount_check check (paid_amount >= 0 and (status = 'paid' or paid_amount = 0)),
    constraint orders_returned_amount_check
    check (refunded_amount >= 0 and disputed_amount >= 0 and refunded_amount + disputed_amount <= paid_amount)
);
comment on table public.orders is
'Who ordered what, at what price, and what became of it. Buyers read their own, sellers the paid ones of theirs, admins
all. Written by functions only.';
comment on column public.orders.number is 'What people call it, on invoices too.';
comment on column public.orders.seller_id is 'Who sold it, then; null for the platform.';
comment on column public.orders.student_teacher_id is
'The student-teacher who is to get a part of it, and gets the student.';
comment on column public.orders.kind is 'The offer''s.';
comment on column public.orders.title is 'The offer''s, then.';
comment on column public.orders.course_id is 'The course that it is for; null for other kinds.';
comment on column public.orders.buyer_name is 'The buyer''s name then, for invoices and contracts.';
comment on column public.orders.seller_name is 'The seller''s name then; null for the platform.';
comment on column public.orders.product_id is 'The product whose files it gives; null for other kinds.';
comment on column public.orders.licence is
'Of a beat licence, what it allowed then: {product_title, tier, file_types, copies, streams, videos, performances,
is_credit_required, term_years}; null stands for any number, of years for ever.';
comment on column public.orders.licence_code is
'What proves the licence: 80 random bits, as five groups of four hexadecimal digits. Anyone with it may ask
verify_licence.';
comment on column public.orders.held_product_id is
'The beat that this order keeps for its buyer alone: set while an exclusive licence is waiting, on its way or paid.';
comment on column public.orders.unit_amount is 'What one cost, in minor units of the currency.';
comment on column public.orders.quantity is 'How many.';
comment on column public.orders.discount_amount is 'What the coupon took off.';
comment on column public.orders.amount is
'What is to pay, in minor units, each interval where it recurs; nothing during a trial.';
comment on column public.orders.currency is 'ISO 4217, upper case.';
comment on column public.orders.billing_interval is 'How often it is paid; null for once.';
comment on column public.orders.trial_days is 'How many days it costs nothing first.';
comment on column public.orders.credits is 'How many credits it is for; null for other kinds.';
comment on column public.orders.seller_bps is 'The seller''s part of what is paid, in basis points.';
comment on column public.orders.student_teacher_bps is 'The student-teacher''s part.';
comment on column public.orders.details is
'What the seller must know: {"starts_at": ...} for coaching, {"track_url": ...} for a submission; as the buyer wrote
it.';
comment on column public.orders.status is 'Never written by a client.';
comment on column public.orders.paid_amount is 'What was paid, in minor units: amount, or nothing in a trial.';
comment on column public.orders.refunded_amount is 'What of it was given back.';
comment on column public.orders.disputed_amount is 'What of it the buyer''s bank has taken back, for now or for good.';
comment on column public.orders.subscription_id is
'The subscription that it begins or renews. No foreign key: subscriptions refer to orders.';
comment on column public.orders.period_starts_at is 'Of what recurs: from when it is paid.';
comment on column public.orders.period_ends_at is 'Of what recurs: until when it is paid.';
comment on column public.orders.expires_at is 'Until when it can be paid.';
comment on column public.orders.paid_at is 'When it was told that the money is there; null until then.';
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
create index orders_offer_id_idx on public.orders (offer_id, buyer_id);
comment on index public.orders_offer_id_idx is 'What somebody ordered of an offer, and the foreign key';
create index orders_product_id_idx on public.orders (product_id);
comment on index public.orders_product_id_idx is 'The orders of a product, and the foreign key';
create index orders_student_teacher_id_idx on public.orders (student_teacher_id);
comment on index public.orders_student_teacher_id_idx is 'The policies, and the foreign key';
create index orders_coupon_id_idx on public.orders (coupon_id, buyer_id);
comment on index public.orders_coupon_id_idx is 'How often a buyer used a coupon, and the foreign key';
create index orders_status_idx on public.orders (status, created_at desc);
comment on index public.orders_status_idx is 'The admins'' list: status=eq.&order=created_at.desc, and the policies';
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

create function private.tg_orders__release_coupon() returns trigger
language plpgsql
security definer -- coupons are closed to buyers
set search_path = ''
as $$
begin
    update public.coupons as c
    -- Money that comes late finds the coupon perhaps used up: the order keeps its price, the count stops at its limit.
    set used_count = case
        when new.status in ('failed', 'cancelled', 'expired') then greatest(c.used_count - 1, 0)
        else least(c.used_count + 1, coalesce(c.maximum_uses, c.used_count + 1))
    end
    where c.id = new.coupon_id;
    return null;
end
$$;
comment on function private.tg_orders__release_coupon() is
'After an order ends unpaid: its coupon can be used again; after it is paid all the same: no more.';
create trigger _300_release_coupon after update of status on public.orders
for each row when (
    new.coupon_id is not null
    and (old.status in ('failed', 'cancelled', 'expired')) <> (new.status in ('failed', 'cancelled', 'expired'))
)
execute function private.tg_orders__release_coupon();

create function private.split_of(p_kind public.offer_kind, p_is_taught boolean, p_part text) returns integer
language plpgsql
stable
set search_path = ''
as $$
declare
    v_splits jsonb := private.setting('splits');
begin
    return coalesce(
        (v_splits -> case when p_is_taught then 'student_teacher' else p_kind::text end ->> p_part)::integer,
        case when not p_is_taught and not v_splits ? p_kind::text then (v_splits -> 'default' ->> p_part)::integer end,
        0
    );
end
$$;
comment on function private.split_of(public.offer_kind, boolean, text) is
'The basis points of a part (seller, student_teacher) of what is paid for such an offer, with a student-teacher or not.
Raises PT500 setting_missing.';

create function private.place_order(
    p_offer_id uuid, p_course_id uuid, p_quantity integer, p_amount bigint, p_coupon text, p_student_teacher_id uuid,
    p_details jsonb
)
returns public.orders
language plpgsql
security definer -- orders are no client's to write; the price is taken from the offer
set search_path = ''
as $$
declare
    v_caller uuid := private.require_active();
    v_offer public.offers;
    v_order public.orders;
    v_pending public.orders;
    v_teacher_id uuid;
    v_coupon record;
begin
    -- One order at a time for each buyer: a course is not bought twice at once, nor a trial had.
    perform pg_catalog.pg_advisory_xact_lock(pg_catalog.hashtextextended('orders.place:' || v_caller::text, 0));
    if p_course_id is not null and exists (
        select from public.courses as c
        where c.id = p_course_id and c.status = 'published' and c.price_amount = 0 and c.creator_id <> v_caller
    ) then
        raise sqlstate 'PT409' using
            message = 'course_free',
            detail = 'This course costs nothing.',
            hint = 'Enrol without an order.';
    end if;
    -- The locks keep the price and the status as they are read here: the course's first, as whoever changes it takes them.
    perform from public.courses as c
    where c.id = coalesce(p_course_id, (select o.course_id from public.offers as o where o.id = p_offer_id)) for share;
    select o.* into v_offer from public.offers as o
    where (o.id = p_offer_id or (p_offer_id is null and o.course_id = p_course_id)) and o.status = 'active' for share;
    if not found and p_course_id is not null then
        raise sqlstate 'PT404' using
            message = 'course_not_found',
            detail = 'There is no such published course.',
            hint = 'Look it up in the catalogue.';
    elsif not found then
        raise sqlstate 'PT404' using
            message = 'offer_not_found',
            detail = 'There is no such offer on sale.',
            hint = 'Look it up among the offers.';
    elsif v_offer.seller_id = v_caller and v_offer.course_id is not null then
        raise sqlstate 'PT409' using
            message = 'own_course',
            detail = 'A creator is no student of the own course.',
            hint = 'Creators read their courses without enrolling.';
    elsif v_offer.seller_id = v_caller then
        raise sqlstate 'PT409' using
            message = 'own_offer',
            detail = 'Nobody buys from himself.',
            hint = 'Nothing is to do.';
    elsif p_quantity not between 1 and v_offer.maximum_quantity then
        raise sqlstate 'PT422' using
            message = 'quantity_invalid',
            detail = format('Of this, 1 to %s can be bought at once.', v_offer.maximum_quantity),
            hint = 'Send another quantity.';
    elsif p_amount is not null and v_offer.kind <> 'tip' then
        raise sqlstate 'PT422' using
            message = 'amount_fixed',
            detail = 'Only a tip has an amount that the buyer chooses.',
            hint = 'Leave the amount out.';
    elsif v_offer.kind = 'tip'
        and (p_amount is null or p_amount not between greatest(v_offer.price_amount, 1) and v_offer.maximum_amount)
    then
        raise sqlstate 'PT422' using
            message = 'amount_out_of_range',
            detail = format(
                'A tip is between %s and %s minor units of %s.',
                v_offer.price_amount, v_offer.maximum_amount, v_offer.price_currency
            ),
            hint = 'Send another amount.';
    end if;
    perform private.require_not_held(v_caller, v_offer);
    if p_student_teacher_id is not null then
        select t.user_id into v_teacher_id from public.student_teachers as t
        where t.id = p_student_teacher_id and t.course_id = v_offer.course_id and t.status = 'approved'
            and t.user_id <> v_caller
        for share;
        if not found then
            raise sqlstate 'PT404' using
                message = 'student_teacher_not_found',
                detail = 'This course has no such student-teacher.',
                hint = 'Look it up among those of the course.';
        end if;
    end if;

    v_order.unit_amount := coalesce(p_amount, v_offer.price_amount);
    v_order.trial_days := case
        when exists (
            select from public.orders as o
            where o.buyer_id = v_caller and o.offer_id = v_offer.id and o.status = 'paid'
        ) then 0
        else v_offer.trial_days
    end;
    -- The same order, asked for again, is the same order.
    select o.* into v_pending from public.orders as o
    where o.buyer_id = v_caller and o.offer_id = v_offer.id and o.status = 'pending' for no key update;
    if v_offer.product_id is not null then
        perform private.require_licence_free(v_caller, v_offer);
    end if;
    if v_pending.id is not null then
        if v_pending.expires_at > now() + interval '5 minutes'
            and (
                v_pending.unit_amount, v_pending.currency, v_pending.quantity, v_pending.details, v_pending.trial_days,
                v_pending.seller_id, v_pending.student_teacher_id, v_pending.licence,
                (select c.code from public.coupons as c where c.id = v_pending.coupon_id)
            ) is not distinct from (
                v_order.unit_amount, v_offer.price_currency, p_quantity, coalesce(p_details, '{}'), v_order.trial_days,
                v_offer.seller_id, v_teacher_id, private.licence_of(v_offer), upper(btrim(p_coupon))
            )
        then
            return v_pending;
        end if;
        update public.orders as o set status = 'cancelled' where o.id = v_pending.id;
    end if;

    select t.coupon_id, t.discount into v_coupon
    from private.take_coupon(p_coupon, v_offer, v_order.unit_amount * p_quantity, v_caller) as t
    where p_coupon is not null;
    insert into public.orders as o (
        buyer_id, seller_id, student_teacher_id, offer_id, kind, title, course_id, unit_amount, quantity,
        discount_amount, currency, billing_interval, trial_days, credits, coupon_id, seller_bps, student_teacher_bps,
        details, expires_at
    )
    values (
        v_caller, v_offer.seller_id, v_teacher_id, v_offer.id, v_offer.kind, v_offer.title, v_offer.course_id,
        v_order.unit_amount, p_quantity, coalesce(v_coupon.discount, 0), v_offer.price_currency,
        v_offer.billing_interval, v_order.trial_days, v_offer.credits * p_quantity, v_coupon.coupon_id,
        case
            when v_offer.seller_id is null then 0
            else private.split_of(v_offer.kind, v_teacher_id is not null, 'seller')
        end,
        case when v_teacher_id is null then 0 else private.split_of(v_offer.kind, true, 'student_teacher') end,
        coalesce(p_details, '{}'),
        now() + private.setting('order_minutes')::integer * interval '1 minute'
    )
    returning o.* into v_order;
    if v_order.amount > 0 then
        perform private.require_payable(v_order.amount, v_order.currency);
    elsif v_order.billing_interval is not null then
        raise sqlstate 'PT422' using
            message = 'amount_too_small',
            detail = 'What recurs cannot be made free by a coupon.',
            hint = 'Use a smaller coupon.';
    else
        v_order := private.complete_order(v_order.id, 'free', v_order.id::text, 0);
    end if;
    return v_order;
end
$$;
comment on function private.place_order(uuid, uuid, integer, bigint, text, uuid, jsonb) is
'The caller''s pending order of an offer at its present price; the same one when called again alike, a new one
otherwise. What costs nothing is paid at once. Raises PT404 offer_not_found, course_not_found,
student_teacher_not_found, PT409 own_course, own_offer, course_free, already_enrolled, already_subscribed,
licence_exclusive, coupon_used_up, PT422 quantity_invalid, amount_fixed, amount_out_of_range, coupon_invalid, currency_unsupported,
amount_too_small, amount_unpayable.';

create function public.place_order(
    offer_id uuid default null, course_id uuid default null, quantity integer default 1, amount bigint default null,
    coupon text default null, student_teacher_id uuid default null, details jsonb default null
)
returns public.orders
language sql
set search_path = ''
as $$
    select private.place_order(
        place_order.offer_id, place_order.course_id, place_order.quantity, place_order.amount, place_order.coupon,
        place_order.student_teacher_id, place_order.details
    )
$$;
comment on function public.place_order(uuid, uuid, integer, bigint, text, uuid, jsonb) is
'Orders an offer (or, by course_id, a course) at its present price, and answers the pending order: the same one when
called again alike. What costs nothing is paid at once; POST /functions/v1/checkout leads to the payment of the rest.
amount is for tips, in minor units; coupon a code; student_teacher_id whoever is to teach; details what the seller must
know. For members. Raises offer_not_found, course_not_found, student_teacher_not_found (404), own_course, own_offer,
course_free, already_enrolled, already_subscribed, licence_exclusive, coupon_used_up (409), quantity_invalid, amount_fixed,
amount_out_of_range, coupon_invalid, currency_unsupported, amount_too_small, amount_unpayable (422).';

create function private.cancel_order(p_order_id uuid) returns public.orders
language plpgsql
security definer -- orders are no client's to write; only the buyer's own is found
set search_path = ''
as $$
declare
    v_caller uuid := private.require_active();
    v_order public.orders;
begin
    update public.orders as o set status = 'cancelled'
    where o.id = p_order_id and o.buyer_id = v_caller
    returning o.* into v_order;
    if not found then
        raise sqlstate 'PT404' using
            message = 'order_not_found',
            detail = 'There is no such order, or it is not yours.',
            hint = 'Read orders again.';
    end if;
    return v_order;
end
$$;
comment on function private.cancel_order(uuid) is
'Withdraws a pending order of the caller. Raises PT404 order_not_found, and PT409 illegal_transition by a trigger.';

create function public.cancel_order(order_id uuid) returns public.orders
language sql
set search_path = ''
as $$
    select private.cancel_order(cancel_order.order_id)
$$;
comment on function public.cancel_order(uuid) is
'Withdraws one''s own pending order, and answers it. Raises order_not_found (404), illegal_transition (409: it is paid
or cancelled).';

insert into private.rate_limited_functions (function_name, tier)
values ('place_order', 'strict'), ('settle_order', 'strict');

create function private.expire_overdue_orders(p_coupon_id uuid, p_held_product_id uuid) returns bigint
language plpgsql
security definer -- orders are no client's to write; functions of ours call this
set search_path = ''
as $$
declare
    v_expired bigint;
begin
    update public.orders as o set status = 'expired'
    where o.id in (
        select e.id from public.orders as e
        -- The payment page closes at the end itself; what it took in the last moment is still being told.
        where e.status = 'pending' and e.expires_at < now() - interval '5 minutes'
            and (p_coupon_id is null or e.coupon_id = p_coupon_id)
            and (p_held_product_id is null or e.held_product_id = p_held_product_id)
        limit 1000
        -- Whoever holds the lock of one is about to say what becomes of it.
        for no key update skip locked
    );
    get diagnostics v_expired = row_count;
    return v_expired;
end
$$;
comment on function private.expire_overdue_orders(uuid, uuid) is
'Ends pending orders that nobody paid in time, at most 1,000: those that hold a coupon or an exclusive licence that
somebody else wants now, or, with nulls, all. Answers how many.';

create function private.purge_expired_orders() returns bigint
language plpgsql
security definer -- a job calls this
set search_path = ''
as $$
begin
    return private.expire_overdue_orders(null, null);
end
$$;
comment on function private.purge_expired_orders() is
'Ends orders that nobody paid in time, at most 1,000, a little after their payment page has closed. Answers how many.';
