-- Commerce: placing, cancelling and paying orders.

insert into private.errors (token, status, meaning, hint, detail)
values
(
    'already_subscribed', 409,
    'You already have this membership, or another plan of the kind.',
    'End the other one in the billing portal first.',
    null
),
(
    'amount_fixed', 422,
    'Only offers with a maximum_amount, such as tips, let the buyer choose the amount.',
    'Leave amount out.',
    null
),
(
    'amount_out_of_range', 422,
    'The amount is missing, or smaller or larger than the offer allows.',
    'Send another amount.',
    'The amount is between %s and %s minor units of %s.'
),
(
    'coupon_invalid', 422,
    'There is no such coupon for this offer and currency, or it is not valid now.',
    'Order without a coupon, or try another.',
    null
),
(
    'coupon_used_up', 409,
    'This coupon has no uses left.',
    'Order without a coupon, or try another.',
    null
),
(
    'course_free', 409,
    'This course costs nothing.',
    'Enrol without an order.',
    null
),
(
    'order_recurs', 409,
    'A recurring order is paid through the payment provider only.',
    'Ask the buyer to check out.',
    null
),
(
    'own_offer', 409,
    'Sellers cannot buy their own offers.',
    'Choose another offer.',
    null
),
(
    'payment_processing', 409,
    'An earlier payment for this is on its way, which can take days.',
    'Wait until it has arrived or failed: read the order again.',
    null
),
(
    'quantity_invalid', 422,
    'This quantity of the offer cannot be bought at once.',
    'Send another quantity.',
    'Between 1 and %s of this offer can be bought at once.'
),
(
    'reservation_lapsed', 409,
    'You reserved this, an exclusive licence or a use of a coupon, and did not pay in time.',
    'Order it later, or without the coupon.',
    'You can reserve it again after %s.'
),
(
    'reference_missing', 422,
    'A payment by hand needs a reference of 1 to 200 characters.',
    'Send the number of the transfer or receipt.',
    null
);

insert into private.app_config (key, value, description)
values
(
    'splits',
    '{"default": {"seller": 8500}, "student_teacher": {"seller": 1500, "student_teacher": 7000}}',
    'The parts of a payment that people earn, in basis points, by kind of offer, else default; student_teacher where a '
    || 'student-teacher sold the course. The platform has the rest.'
),
('order_minutes', '60', 'The minutes in which an order can be paid; 31 to 1440.'),
(
    'reservation_hours', '24',
    'The hours in which a person who did not pay for an exclusive licence, or for an order with a coupon whose uses '
    || 'are numbered, cannot reserve the same again.'
);

create function private.split_of(p_kind text, p_is_taught boolean, p_part text) returns integer
language plpgsql
stable
set search_path = ''
as $$
declare
    v_splits jsonb := private.setting('splits');
begin
    return coalesce(
        (v_splits -> case when p_is_taught then 'student_teacher' else p_kind end ->> p_part)::integer,
        case when not p_is_taught and not v_splits ? p_kind then (v_splits -> 'default' ->> p_part)::integer end,
        0
    );
end
$$;
comment on function private.split_of(text, boolean, text) is
'The part, in basis points, that a role (seller, student_teacher) earns of an offer of this kind, sold by a
student-teacher or not. Raises PT500 setting_missing.';

create function private.require_not_owned(p_user_id uuid, p_offer public.offers) returns void
language plpgsql
security definer -- reads enrolments and entitlements of the caller
set search_path = ''
as $$
begin
    if p_offer.course_id = any((select private.my_course_ids())::uuid[]) then
        perform private.refuse('already_enrolled');
    elsif (select k.courses = 'required' from public.offer_kinds as k where k.kind = p_offer.kind) and not exists (
        select from public.offer_courses as i
        where i.offer_id = p_offer.id and i.course_id <> all((select private.my_course_ids())::uuid[])
    ) then
        perform private.refuse('already_enrolled');
    elsif p_offer.billing_interval is not null and (
        exists (
            select from public.entitlements as e
            where e.offer_id = p_offer.id and e.user_id = p_user_id and e.ends_at > now()
        )
        -- What it gave may have ended, by a refund or while a payment is retried: it still renews.
        or exists (
            select from public.subscriptions as s
            join public.orders as o on o.id = s.order_id and o.status = 'paid'
            where s.user_id = p_user_id and s.offer_id = p_offer.id and s.status <> 'ended'
        )
    ) then
        perform private.refuse('already_subscribed');
    elsif exists (
        select from public.orders as o
        join public.offer_kinds as k on k.kind = o.kind
        where o.buyer_id = p_user_id and o.offer_id = p_offer.id and o.status = 'processing'
            and (o.billing_interval is not null or o.course_id is not null or k.courses = 'required')
    ) then
        perform private.refuse('payment_processing');
    end if;
    if not (select k.is_exclusive from public.offer_kinds as k where k.kind = p_offer.kind) then
        return;
    end if;
    if exists (
        select from public.entitlements as e
        where e.user_id = p_user_id and e.kind = p_offer.kind and coalesce(e.ends_at > now(), true)
    ) or exists (
        select from public.subscriptions as s
        join public.orders as o on o.id = s.order_id and o.status = 'paid'
        where s.user_id = p_user_id and s.kind = p_offer.kind and s.status <> 'ended'
    ) or exists (
        select from public.orders as o
        where o.buyer_id = p_user_id and o.kind = p_offer.kind and o.status = 'processing'
    ) then
        perform private.refuse('already_subscribed');
    end if;
    -- Two open payment pages could both be paid.
    update public.orders as o set status = 'cancelled'
    where o.buyer_id = p_user_id and o.kind = p_offer.kind and o.offer_id <> p_offer.id and o.status = 'pending';
end
$$;
comment on function private.require_not_owned(uuid, public.offers) is
'Refuses a course, a bundle or a subscription that the caller already has, or whose payment is on its way, and a second
plan of a kind of which people have one (a subscription also while it renews and gives nothing, such as after a refund); pending orders of such plans are cancelled. Raises PT409 already_enrolled,
already_subscribed or payment_processing.';

create function private.reserve_coupon(p_code text, p_offer public.offers, p_subtotal bigint, p_buyer_id uuid)
returns table (coupon_id uuid, discount bigint, duration public.coupon_duration, months integer)
language plpgsql
set search_path = ''
as $$
declare
    v_coupon public.coupons;
    v_uses bigint;
begin
    -- The lock makes concurrent buyers count one after another.
    select c.* into v_coupon from public.coupons as c where c.code = private.fold_code(p_code) for no key update;
    if not found
        or not v_coupon.is_active
        or v_coupon.starts_at > now()
        or coalesce(v_coupon.ends_at <= now(), false)
        or coalesce(v_coupon.offer_id <> p_offer.id, false)
        or coalesce(v_coupon.seller_id <> p_offer.seller_id, v_coupon.seller_id is not null)
        or coalesce(v_coupon.currency <> p_offer.price_currency, false)
    then
        perform private.refuse('coupon_invalid');
    end if;
    if v_coupon.used_count >= v_coupon.maximum_uses then
        -- Overdue orders release their uses.
        perform private.expire_overdue_orders(v_coupon.id, null);
        select c.* into v_coupon from public.coupons as c where c.id = v_coupon.id;
    end if;
    select count(*) into v_uses from public.orders as o
    where o.coupon_id = v_coupon.id and o.buyer_id = p_buyer_id
        and (
            o.status in ('processing', 'paid')
            or (o.status = 'pending' and o.expires_at >= now() - interval '5 minutes')
        );
    if v_coupon.used_count >= v_coupon.maximum_uses or v_uses >= v_coupon.maximum_uses_per_buyer then
        perform private.refuse('coupon_used_up');
    end if;
    coupon_id := v_coupon.id;
    discount := private.chargeable_discount(
        coalesce(p_subtotal * v_coupon.percent_off / 100, v_coupon.amount_off), p_subtotal, p_offer.price_currency
    );
    -- A price that cannot be lower: the coupon keeps its use.
    if discount = 0 then
        perform private.refuse('coupon_invalid');
    end if;
    update public.coupons as c set used_count = c.used_count + 1 where c.id = v_coupon.id;
    if p_offer.billing_interval is not null then
        duration := v_coupon.duration;
        months := v_coupon.duration_months;
    end if;
    return next;
end
$$;
comment on function private.reserve_coupon(text, public.offers, bigint, uuid) is
'Reserves one use of a coupon for an order of this offer, and returns the discount in minor units, so that the rest can
be charged, and for a subscription how long it holds. Raises PT422 coupon_invalid, PT409 coupon_used_up.';

create function private.reserved_until(p_buyer_id uuid, p_offer public.offers, p_coupon_id uuid) returns timestamptz
language plpgsql
stable
set search_path = ''
as $$
declare
    v_until timestamptz := now() + private.setting('order_minutes')::integer * interval '1 minute';
    v_pause interval := private.setting('reservation_hours')::integer * interval '1 hour';
    v_is_exclusive boolean := exists (
        select from public.licence_terms as t where t.offer_id = p_offer.id and t.tier = 'exclusive'
    );
    v_is_limited boolean := exists (
        select from public.coupons as c where c.id = p_coupon_id and c.maximum_uses is not null
    );
    v_first timestamptz;
begin
    if v_is_exclusive then
        perform private.require_confirmed_address();
    end if;
    select min(o.expires_at) into v_first from public.orders as o
    where o.buyer_id = p_buyer_id and o.status in ('pending', 'cancelled', 'expired', 'failed')
        and o.expires_at > now() - v_pause
        and (
            (v_is_exclusive and o.product_id = p_offer.product_id and o.licence ->> 'tier' = 'exclusive')
            or (v_is_limited and o.coupon_id = p_coupon_id)
        );
    if v_first <= now() + interval '5 minutes' then
        perform private.refuse('reservation_lapsed', date_trunc('second', v_first + v_pause)::text);
    end if;
    return least(v_until, v_first);
end
$$;
comment on function private.reserved_until(uuid, public.offers, uuid) is
'When a new order must be paid. One that reserves what others want, an exclusive licence or one of a coupon''s numbered
uses, ends when the buyer''s first unpaid order of it would have: neither cancelling it nor changing it makes the
reservation longer. Raises PT403 email_not_confirmed, PT409 reservation_lapsed.';

create function private.place_order(
    p_offer_id uuid default null, p_course_id uuid default null, p_quantity integer default 1,
    p_amount bigint default null, p_coupon text default null, p_student_teacher_id uuid default null,
    p_details jsonb default null
)
returns public.orders
language plpgsql
security definer -- clients may not write orders; the price comes from the offer
set search_path = ''
as $$
declare
    v_caller uuid := private.require_active();
    v_offer public.offers;
    v_order public.orders;
    v_pending public.orders;
    v_teacher_id uuid;
    v_coupon record;
    v_details jsonb;
begin
    -- The lock waits for a ban that is not committed yet, and keeps another waiting until it sees this order.
    perform from public.accounts as a where a.user_id = v_caller for share;
    perform private.require_active();
    -- One order of a buyer at a time: two at once could buy a course twice, or get two trials.
    perform pg_catalog.pg_advisory_xact_lock(pg_catalog.hashtextextended('orders.place:' || v_caller::text, 0));
    if p_course_id is not null and exists (
        select from public.courses as c
        where c.id = p_course_id and c.status = 'published' and c.price_amount = 0 and c.creator_id <> v_caller
    ) then
        perform private.refuse('course_free');
    end if;
    -- First the pending order: a payment, and the end of the seller's account, lock it before courses and offers.
    perform from public.orders as o
    where o.buyer_id = v_caller and o.status = 'pending'
        and o.offer_id = coalesce(p_offer_id, (select f.id from public.offers as f where f.course_id = p_course_id))
    for no key update;
    -- The locks keep price and status; first those of courses, as functions that change a course lock it first.
    perform private.lock_offer_courses(p_offer_id, p_course_id);
    select o.* into v_offer from public.offers as o
    where (o.id = p_offer_id or (p_offer_id is null and o.course_id = p_course_id)) and o.status = 'active'
        and private.may_sell(o.seller_id)
    for share;
    if not found and p_course_id is not null then
        perform private.refuse('course_not_found');
    elsif not found then
        perform private.refuse('offer_not_found');
    elsif v_offer.seller_id = v_caller and v_offer.course_id is not null then
        perform private.refuse('own_course');
    elsif v_offer.seller_id = v_caller then
        perform private.refuse('own_offer');
    elsif p_quantity is null or p_quantity not between 1 and v_offer.maximum_quantity then
        perform private.refuse('quantity_invalid', v_offer.maximum_quantity::text);
    elsif p_amount is not null and v_offer.maximum_amount is null then
        perform private.refuse('amount_fixed');
    elsif p_amount is null and v_offer.maximum_amount is not null
        or p_amount not between greatest(v_offer.price_amount, 1) and v_offer.maximum_amount
    then
        perform private.refuse(
            'amount_out_of_range',
            v_offer.price_amount::text,
            v_offer.maximum_amount::text,
            v_offer.price_currency
        );
    end if;
    v_details := private.require_details(v_offer.kind, p_details);
    perform private.require_courses(v_offer);
    perform private.require_not_owned(v_caller, v_offer);
    perform private.require_not_barred(v_caller, v_offer);
    if p_student_teacher_id is not null then
        select t.user_id into v_teacher_id from public.student_teachers as t
        where t.id = p_student_teacher_id and t.course_id = v_offer.course_id and t.status = 'approved'
            and t.user_id <> v_caller
        for share;
        if not found then
            perform private.refuse('student_teacher_not_found');
        end if;
        perform private.require_available_student_teacher(p_student_teacher_id, v_offer.course_id, v_caller);
    end if;

    if p_coupon is not null then
        -- Guests are many: they could try codes, and hold the last uses of a coupon.
        perform private.require_confirmed_address();
    end if;

    v_order.unit_amount := coalesce(p_amount, v_offer.price_amount);
    v_order.trial_days := case
        when exists (
            select from public.orders as o
            where o.buyer_id = v_caller and o.offer_id = v_offer.id and o.status = 'paid'
        ) then 0
        else v_offer.trial_days
    end;
    -- A repeated call returns the pending order, or replaces it where anything differs.
    select o.* into v_pending from public.orders as o
    where o.buyer_id = v_caller and o.offer_id = v_offer.id and o.status = 'pending' for no key update;
    if v_offer.product_id is not null then
        perform private.require_licence_available(v_caller, v_offer);
        perform private.require_files(v_offer);
    end if;
    if v_pending.id is not null then
        if v_pending.expires_at > now() + interval '5 minutes' and private.has_terms_of(v_pending.id, v_offer)
            and (
                v_pending.unit_amount, v_pending.currency, v_pending.quantity, v_pending.details, v_pending.trial_days,
                v_pending.seller_id, v_pending.student_teacher_id, v_pending.licence,
                private.order_course_ids(v_pending.id),
                (select c.code from public.coupons as c where c.id = v_pending.coupon_id)
            ) is not distinct from (
                v_order.unit_amount, v_offer.price_currency, p_quantity, v_details, v_order.trial_days,
                v_offer.seller_id, v_teacher_id, private.licence_of(v_offer),
                private.offer_course_ids(v_offer.id), private.fold_code(p_coupon)
            )
        then
            return v_pending;
        end if;
        -- An overdue one has expired meanwhile.
        update public.orders as o set status = 'cancelled' where o.id = v_pending.id and o.status = 'pending';
    end if;

    select t.coupon_id, t.discount, t.duration, t.months into v_coupon
    from private.reserve_coupon(p_coupon, v_offer, v_order.unit_amount * p_quantity, v_caller) as t
    where p_coupon is not null;
    insert into public.orders as o (
        buyer_id, seller_id, student_teacher_id, offer_id, kind, title, course_id, unit_amount, quantity,
        discount_amount, currency, billing_interval, trial_days, credits, coupon_id, discount_duration, discount_months,
        seller_bps, student_teacher_bps, details, expires_at
    )
    values (
        v_caller, v_offer.seller_id, v_teacher_id, v_offer.id, v_offer.kind, v_offer.title, v_offer.course_id,
        v_order.unit_amount, p_quantity, coalesce(v_coupon.discount, 0), v_offer.price_currency,
        v_offer.billing_interval, v_order.trial_days, v_offer.credits * p_quantity, v_coupon.coupon_id,
        v_coupon.duration, v_coupon.months,
        case
            when v_offer.seller_id is null then 0
            else private.split_of(v_offer.kind, v_teacher_id is not null, 'seller')
        end,
        case when v_teacher_id is null then 0 else private.split_of(v_offer.kind, true, 'student_teacher') end,
        v_details,
        private.reserved_until(v_caller, v_offer, v_coupon.coupon_id)
    )
    returning o.* into v_order;
    -- A coupon cannot make a subscription free: the provider would have nothing to renew.
    if v_order.amount > 0 or v_order.billing_interval is not null then
        perform private.require_payable(v_order.amount, v_order.currency);
    else
        v_order := private.complete_order(v_order.id, 'free', v_order.id::text, 0);
    end if;
    return v_order;
end
$$;
comment on function private.place_order(uuid, uuid, integer, bigint, text, uuid, jsonb) is
'Orders an offer (or, by course_id, a course) at its present price, and returns the pending order; a repeated call with
the same arguments returns the same order. An order of nothing to pay is paid at once; POST /functions/v1/checkout opens
the payment page for the others. amount, in minor units, is for offers whose buyer chooses it, such as tips; coupon is a
code; student_teacher_id names who will teach the course; details has keys of offer_kinds.detail_keys. For members; a
coupon or an exclusive licence, which others cannot have meanwhile, for those with a confirmed address. Raises
email_not_confirmed, enrolment_cancelled (403: an admin barred you from a course of the offer), offer_not_found,
course_not_found, student_teacher_not_found (404), own_course, own_offer, course_free, already_enrolled,
already_subscribed, payment_processing, licence_exclusive, bundle_empty, courses_unavailable, product_unpublished, licence_terms_missing,
files_missing, student_teacher_full, student_teacher_unavailable, coupon_used_up, reservation_lapsed (409),
quantity_invalid, amount_fixed, amount_out_of_range, detail_unknown, detail_invalid, coupon_invalid,
currency_unsupported, amount_too_small, amount_unpayable (422).';

create function private.expire_sessions(p_order_id uuid) returns void
language plpgsql
security definer -- the references are closed
set search_path = ''
as $$
begin
    perform private.send_to_provider(r.provider, 'expire_session', r.reference)
    from private.provider_references as r
    where r.row_id = p_order_id and r.object = 'session';
end
$$;
comment on function private.expire_sessions(uuid) is
'Has the worker close the payment pages of an order, so that nobody pays it there.';

create function private.tg_orders__expire_sessions() returns trigger
language plpgsql
set search_path = ''
as $$
begin
    perform private.expire_sessions(new.id);
    return null;
end
$$;
comment on function private.tg_orders__expire_sessions() is
'After a pending order is cancelled or replaced: closes its payment pages.';
create trigger _310_expire_sessions after update of status on public.orders
for each row when (old.status = 'pending' and new.status = 'cancelled')
execute function private.tg_orders__expire_sessions();

create function private.cancel_order(p_order_id uuid) returns public.orders
language plpgsql
security definer -- clients may not write orders; the condition finds only the caller's own
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
        perform private.refuse('order_not_found');
    end if;
    return v_order;
end
$$;
comment on function private.cancel_order(uuid) is
'Cancels the caller''s own pending order, and returns it. Raises order_not_found (404), illegal_transition (409: it is
paid or has ended).';

create function private.mark_order_paid(p_order_id uuid, p_reference text) returns public.orders
language plpgsql
security definer -- clients may not write orders; the role is checked first
set search_path = ''
as $$
declare
    v_order public.orders;
begin
    perform private.require_role('admin');
    v_order := private.lock_order(p_order_id);
    if v_order.status = 'paid' then
        return v_order;
    elsif not private.is_visible(coalesce(p_reference, '')) or char_length(p_reference) > 200 then
        perform private.refuse('reference_missing');
    elsif v_order.billing_interval is not null then
        perform private.refuse('order_recurs');
    elsif v_order.status <> 'pending' then
        perform private.refuse('illegal_transition', 'orders', v_order.status::text, 'paid');
    elsif private.is_licence_unavailable(v_order) then
        perform private.refuse('licence_exclusive');
    end if;
    v_order := private.complete_order(p_order_id, 'manual', v_order.number || ' ' || p_reference, v_order.amount);
    perform private.expire_sessions(p_order_id);
    perform private.audit(
        'order.mark_paid', 'orders', v_order.id::text, jsonb_build_object('status', 'pending'),
        jsonb_build_object('status', v_order.status, 'reference', p_reference)
    );
    return v_order;
end
$$;
comment on function private.mark_order_paid(uuid, text) is
'Marks a pending order as paid outside the payment provider (a transfer, cash), with a reference, and fulfils it.
Returns the order; a paid order stays as it is. For admins; recorded in the audit log. Raises role_required (403),
enrolment_cancelled (403: an admin barred the buyer from the course since), order_not_found (404), order_recurs,
licence_exclusive, illegal_transition (409: the order has ended), own_course (409: the buyer is the course''s creator by
now), reference_missing (422).';
