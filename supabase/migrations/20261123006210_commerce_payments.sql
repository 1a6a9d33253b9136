-- Commerce: what was paid, how it was split, and what came back. Payments, refunds and disputes are told by the payment
-- provider, each by functions that may be called again and again with the same.

create table private.stripe_objects (
    stripe_id text constraint stripe_objects_pkey primary key
    constraint stripe_objects_stripe_id_check check (stripe_id ~ '^[A-Za-z0-9_-]{3,255}$'),
    object text not null constraint stripe_objects_object_check check (object ~ '^[a-z_]{3,40}$'),
    id uuid not null,
    as_of timestamptz not null default '-infinity',
    created_at timestamptz not null default now()
);
comment on table private.stripe_objects is
'Of which row each object at Stripe is: customers and accounts of users, sessions and payments of orders, and so on.
Nobody''s to read but functions''.';
comment on column private.stripe_objects.object is
'customer, account (of a user); session, payment, charge (of an order); subscription, refund, dispute, payout; product,
price (of an offer).';
comment on column private.stripe_objects.id is 'The row of ours. No foreign key: of several tables.';
comment on column private.stripe_objects.as_of is
'When what Stripe told of it last was so: what was so before is old news.';
alter table private.stripe_objects enable row level security;
create index stripe_objects_id_idx on private.stripe_objects (id, object);
comment on index private.stripe_objects_id_idx is 'What a row of ours is at Stripe';

create function private.bind_stripe_object(p_stripe_id text, p_object text, p_id uuid) returns void
language plpgsql -- every payment asks: as SQL it was planned each time
security definer -- the table is closed; the edge and functions of ours call this
set search_path = ''
as $$
begin
    insert into private.stripe_objects (stripe_id, object, id) values (p_stripe_id, p_object, p_id)
    on conflict (stripe_id) do nothing;
end
$$;
comment on function private.bind_stripe_object(text, text, uuid) is
'Keeps of which row of ours an object at Stripe is; the first binding stays.';

create function private.bind_session(p_stripe_id text, p_order_id uuid) returns boolean
language plpgsql
security definer -- the tables are closed; the edge, which opened the session, calls this
set search_path = ''
as $$
begin
    -- The lock waits for whoever is just withdrawing the order, and has not seen this session.
    perform from public.orders as o where o.id = p_order_id for share;
    perform private.bind_stripe_object(p_stripe_id, 'session', p_order_id);
    return exists (select from public.orders as o where o.id = p_order_id and o.status = 'pending');
end
$$;
comment on function private.bind_session(text, uuid) is
'Keeps of which order a payment page is. Answers whether the order is still to be paid: whoever withdraws it from now
on has the page closed; where it was withdrawn before, whoever opened the page must.';

create function private.stripe_id(p_object text, p_id uuid) returns text
language sql
stable
security definer -- the table is closed; the edge and functions of ours call this
set search_path = ''
as $$
    select s.stripe_id from private.stripe_objects as s
    where s.object = p_object and s.id = p_id
    order by s.created_at desc
    limit 1
$$;
comment on function private.stripe_id(text, uuid) is 'What a row of ours is at Stripe; null where it is nothing.';

create function private.stripe_as_of(p_stripe_id text) returns timestamptz
language sql
stable
security definer -- the table is closed; the edge and the worker call this
set search_path = ''
as $$
    select nullif(s.as_of, '-infinity') from private.stripe_objects as s where s.stripe_id = p_stripe_id
$$;
comment on function private.stripe_as_of(text) is
'As of when an object at Stripe is known; null where it is not. Whoever asks Stripe after this is told nothing older.';

create function private.of_stripe(p_stripe_id text, p_object text) returns uuid
language plpgsql -- every payment asks: as SQL it was planned each time
stable
security definer -- the table is closed; functions of ours call this
set search_path = ''
as $$
begin
    return (select s.id from private.stripe_objects as s where s.stripe_id = p_stripe_id and s.object = p_object);
end
$$;
comment on function private.of_stripe(text, text) is 'The row of ours that an object at Stripe is of; null where none.';

create function private.expire_sessions(p_order_id uuid) returns void
language plpgsql
security definer -- the queue and the table are closed; functions of ours call this
set search_path = ''
as $$
begin
    perform private.defer_job(
        'expire_session', jsonb_build_object('stripe_id', s.stripe_id), 'expire_session:' || s.stripe_id
    )
    from private.stripe_objects as s
    where s.object = 'session' and s.id = p_order_id;
end
$$;
comment on function private.expire_sessions(uuid) is
'Has the worker close the pages on which an order could still be paid.';

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
'After a pending order is withdrawn or replaced: nobody is to pay it any more.';
create trigger _310_expire_sessions after update of status on public.orders
for each row when (old.status = 'pending' and new.status = 'cancelled')
execute function private.tg_orders__expire_sessions();

create type private.payment_provider as enum ('stripe', 'outside', 'free');
comment on type private.payment_provider is
'stripe: charged there. outside: an admin saw the money. free: nothing was to pay.';

create table private.payments (
    id uuid not null default gen_random_uuid() constraint payments_pkey primary key,
    order_id uuid not null constraint payments_order_id_fkey references public.orders (id) on delete restrict,
    provider private.payment_provider not null,
    reference text not null constraint payments_reference_check check (char_length(reference) between 1 and 255),
    amount bigint not null constraint payments_amount_check check (amount >= 0),
    currency text not null,
    is_surplus boolean not null default false,
    returned_amount bigint not null default 0,
    created_at timestamptz not null default now(),
    constraint payments_provider_key unique (provider, reference),
    constraint payments_returned_amount_check check (returned_amount between 0 and amount)
);
comment on table private.payments is
'Payments of orders, each once. An order is paid by one; a second is surplus, and given back.';
comment on column private.payments.reference is
'What the provider calls it: the payment intent, or the invoice of what recurs; or the number of a transfer.';
comment on column private.payments.returned_amount is
'What of it the ledger has as given back: refunds and disputes, in minor units.';
alter table private.payments enable row level security;
create index payments_order_id_idx on private.payments (order_id);
comment on index private.payments_order_id_idx is 'The payment of an order, and the foreign key';
create unique index payments_order_key on private.payments (order_id) where not is_surplus;
comment on index private.payments_order_key is 'An order is paid once';

create type public.split_role as enum ('seller', 'student_teacher');
comment on type public.split_role is 'As what somebody earns a part.';

create table public.payment_splits (
    id uuid not null default gen_random_uuid() constraint payment_splits_pkey primary key,
    order_id uuid not null constraint payment_splits_order_id_fkey references public.orders (id) on delete restrict,
    user_id uuid not null constraint payment_splits_user_id_fkey references public.profiles (id) on delete restrict,
    role public.split_role not null,
    amount bigint not null constraint payment_splits_amount_check check (amount >= 0),
    returned_amount bigint not null default 0,
    currency text not null,
    available_at timestamptz not null,
    created_at timestamptz not null default now(),
    constraint payment_splits_order_id_role_key unique (order_id, role),
    constraint payment_splits_returned_amount_check check (returned_amount between 0 and amount)
);
comment on table public.payment_splits is
'Who earns what of each paid order; the rest is the platform''s. A person reads the own, admins all. Written by
functions only.';
comment on column public.payment_splits.amount is 'The part, in minor units: the order''s basis points, rounded down.';
comment on column public.payment_splits.returned_amount is 'What of it went back by refunds and disputes.';
comment on column public.payment_splits.currency is 'The order''s, ISO 4217.';
comment on column public.payment_splits.available_at is 'From when on it can be paid out.';
alter table public.payment_splits enable row level security;
revoke all on public.payment_splits from anon, authenticated, service_role;
create index payment_splits_user_id_idx on public.payment_splits (user_id, created_at desc);
comment on index public.payment_splits_user_id_idx is
'My earnings: user_id=eq.&order=created_at.desc, the policies, and the foreign key';
create index payment_splits_available_at_idx on public.payment_splits (user_id, currency, available_at);
comment on index public.payment_splits_available_at_idx is 'What is still held: user_id, currency, available_at >';

insert into private.app_config (key, value, description)
values ('payout_hold_days', '7', 'For how many days after a payment nobody is paid out his part of it.');

create function private.record_payment(p_order public.orders, p_provider private.payment_provider, p_reference text)
returns void
language plpgsql
set search_path = ''
as $$
declare
    v_seller bigint := p_order.paid_amount * p_order.seller_bps / 10000;
    v_teacher bigint := p_order.paid_amount * p_order.student_teacher_bps / 10000;
    v_available_at timestamptz := now() + private.setting('payout_hold_days')::integer * interval '1 day';
begin
    insert into private.payments (order_id, provider, reference, amount, currency)
    values (p_order.id, p_provider, p_reference, p_order.paid_amount, p_order.currency);
    insert into public.payment_splits (order_id, user_id, role, amount, currency, available_at)
    select p_order.id, s.user_id, s.role, s.amount, p_order.currency, v_available_at
    from (
        values
        (p_order.seller_id, 'seller'::public.split_role, v_seller),
        (p_order.student_teacher_id, 'student_teacher', v_teacher)
    ) as s (user_id, role, amount)
    where s.amount > 0;
    perform private.post_journal(
        'payment', 'payment:' || p_order.id, p_order.id, p_order.currency,
        jsonb_build_array(
            jsonb_build_object(
                'kind', case p_provider when 'stripe' then 'provider' else 'outside' end, 'amount', p_order.paid_amount
            ),
            jsonb_build_object('kind', 'payable', 'user_id', p_order.seller_id, 'amount', -v_seller),
            jsonb_build_object('kind', 'payable', 'user_id', p_order.student_teacher_id, 'amount', -v_teacher),
            -- Whatever rounding leaves is the platform's.
            jsonb_build_object('kind', 'platform', 'amount', v_seller + v_teacher - p_order.paid_amount)
        )
    );
end
$$;
comment on function private.record_payment(public.orders, private.payment_provider, text) is
'Writes the payment of an order that has just become paid, its splits and its journal. Called by functions that have
locked the order.';

create function private.complete_order(
    p_order_id uuid, p_provider private.payment_provider, p_reference text, p_amount bigint
)
returns public.orders
language plpgsql
set search_path = ''
as $$
declare
    v_order public.orders;
begin
    update public.orders as o set status = 'paid', paid_at = now(), paid_amount = p_amount
    where o.id = p_order_id
    returning o.* into v_order;
    perform private.record_payment(v_order, p_provider, p_reference);
    perform private.settle_entitlements(p_order_id);
    perform private.mail_receipt(v_order);
    return v_order;
end
$$;
comment on function private.complete_order(uuid, private.payment_provider, text, bigint) is
'Has an order that is not paid be paid by this payment, and gives what was bought. Called by functions that have locked
the order and know of the money. Raises PT409 illegal_transition by a trigger.';

create function private.settle_payment(
    p_order_id uuid, p_provider private.payment_provider, p_reference text, p_amount bigint, p_currency text
)
returns public.orders
language plpgsql
security definer -- orders, payments and the ledger are no client's to write; whoever calls this knows of the money
set search_path = ''
as $$
declare
    v_order public.orders;
begin
    select o.* into v_order from public.orders as o where o.id = p_order_id for no key update;
    if not found then
        raise sqlstate 'PT404' using
            message = 'order_not_found',
            detail = 'There is no such order.',
            hint = 'Read orders again.';
    elsif exists (
        select from private.payments as p where p.provider = p_provider and p.reference = p_reference
    ) then
        return v_order;
    elsif (p_amount, p_currency) is distinct from (
        case when v_order.trial_days > 0 then 0 else v_order.amount end, v_order.currency
    ) then
        raise sqlstate 'PT409' using
            message = 'amount_mismatch',
            detail = format(
                'Order %s costs %s %s, and %s %s were paid.',
                v_order.number, v_order.amount, v_order.currency, p_amount, p_currency
            ),
            hint = 'Look at both, and refund what is wrong.';
    elsif v_order.status = 'paid' or private.is_taken(v_order) then
        insert into private.payments (order_id, provider, reference, amount, currency, is_surplus)
        values (p_order_id, p_provider, p_reference, p_amount, p_currency, true);
        perform private.post_journal(
            'surplus', 'surplus:' || p_reference, p_order_id, p_currency,
            jsonb_build_array(
                jsonb_build_object('kind', 'provider', 'amount', p_amount),
                jsonb_build_object('kind', 'surplus', 'amount', -p_amount)
            )
        );
        perform private.defer_job(
            'refund_surplus', jsonb_build_object('reference', p_reference), 'refund_surplus:' || p_reference
        );
        return v_order;
    end if;
    return private.complete_order(p_order_id, p_provider, p_reference, p_amount);
end
$$;
comment on function private.settle_payment(uuid, private.payment_provider, text, bigint, text) is
'Has an order paid by this payment: once, however often and by whomever it is told. A second payment of a paid order is
kept as surplus, and given back by a job; so is one for a licence that nobody can have any more. Raises PT404
order_not_found, PT409 amount_mismatch.';

create function private.format_amount(p_amount bigint, p_currency text) returns text
language plpgsql -- every payment asks: as SQL it was planned each time
stable
security definer -- currencies are closed
set search_path = ''
as $$
begin
    return (
        select trim(to_char(
            p_amount / 10 ^ c.decimals,
            'FM999999999990' || case c.decimals when 0 then '' else '.' || repeat('0', c.decimals) end
        )) || ' ' || c.code
        from private.currencies as c
        where c.code = p_currency
    );
end
$$;
comment on function private.format_amount(bigint, text) is 'An amount as people read it: 1234 EUR is 12.34 EUR.';

create function private.settle_returns(p_order_id uuid, p_kind text, p_key text) returns void
language plpgsql
security definer -- the ledger is written by functions only; whoever calls this has changed what came back
set search_path = ''
as $$
declare
    v_order public.orders;
    v_payment private.payments;
    v_back bigint;
    v_lines jsonb;
begin
    select o.* into v_order from public.orders as o where o.id = p_order_id for no key update;
    select p.* into v_payment from private.payments as p
    where p.order_id = p_order_id and not p.is_surplus for no key update;
    v_back := v_order.refunded_amount + v_order.disputed_amount;
    -- Of each part as much has gone back as of the whole, rounded down, whatever the steps were: after all of it, all.
    with moved as (
        update public.payment_splits as s set returned_amount = s.amount * v_back / v_order.paid_amount
        from public.payment_splits as b
        where s.order_id = p_order_id and b.id = s.id
        returning s.user_id, s.returned_amount - b.returned_amount as amount
    )
    select coalesce(jsonb_agg(jsonb_build_object('kind', 'payable', 'user_id', m.user_id, 'amount', m.amount)), '[]')
        || jsonb_build_array(
            jsonb_build_object(
                'kind', 'platform', 'amount', v_back - v_payment.returned_amount - coalesce(sum(m.amount), 0)
            ),
            jsonb_build_object(
                'kind', case v_payment.provider when 'stripe' then 'provider' else 'outside' end,
                'amount', v_payment.returned_amount - v_back
            )
        )
    into v_lines
    from moved as m;
    update private.payments as p set returned_amount = v_back where p.id = v_payment.id;
    perform private.post_journal(p_kind, p_key, p_order_id, v_order.currency, v_lines);
    perform private.settle_entitlements(p_order_id);
end
$$;
comment on function private.settle_returns(uuid, text, text) is
'Brings the splits and the ledger to what the order says has come back, in proportion, and the entitlements with them.
Called by functions that have locked and changed the order, once for each change (key).';

insert into private.mail_templates (template, topic) values ('order_paid', 'account'), ('order_refunded', 'account');

create function private.mail_receipt(p_order public.orders) returns void
language plpgsql -- every payment asks: as SQL it was planned each time
security definer -- the outbox is closed; functions of ours call this
set search_path = ''
as $$
begin
    if p_order.paid_amount = 0 then
        return;
    end if;
    perform private.enqueue_mail(
        p_order.buyer_id,
        'order_paid',
        jsonb_build_object(
            'number', p_order.number,
            'title', p_order.title,
            'amount', private.format_amount(p_order.paid_amount, p_order.currency),
            'order_id', p_order.id
        ),
        'order_paid:' || p_order.id
    );
end
$$;
comment on function private.mail_receipt(public.orders) is 'Enqueues the mail that says that an order is paid, once.';

create type public.refund_status as enum ('pending', 'succeeded', 'failed');
comment on type public.refund_status is
'pending: asked of the payment provider. succeeded: the money went back. failed: it did not, or came back to us.';

create table public.refunds (
    id uuid not null default gen_random_uuid() constraint refunds_pkey primary key,
    order_id uuid not null constraint refunds_order_id_fkey references public.orders (id) on delete restrict,
    buyer_id uuid not null constraint refunds_buyer_id_fkey references public.profiles (id) on delete restrict,
    amount bigint not null constraint refunds_amount_check check (amount > 0),
    currency text not null,
    reason text constraint refunds_reason_check check (char_length(reason) <= 1000),
    status public.refund_status not null default 'pending',
    created_at timestamptz not null default now(),
    settled_at timestamptz,
    constraint refunds_settled_at_check check ((status = 'pending') = (settled_at is null))
);
comment on table public.refunds is
'What of an order is or was given back. The buyer reads the own, admins all. Written by functions only.';
comment on column public.refunds.buyer_id is 'Who gets it: the order''s buyer.';
comment on column public.refunds.amount is 'In minor units.';
comment on column public.refunds.currency is 'The order''s, ISO 4217.';
comment on column public.refunds.reason is 'Why, for the admins and the buyer.';
comment on column public.refunds.settled_at is 'When it succeeded or failed.';
alter table public.refunds enable row level security;
revoke all on public.refunds from anon, authenticated, service_role;
create index refunds_order_id_idx on public.refunds (order_id);
comment on index public.refunds_order_id_idx is 'An order''s refunds: order_id=eq., and the foreign key';
create index refunds_buyer_id_idx on public.refunds (buyer_id, created_at desc);
comment on index public.refunds_buyer_id_idx is
'My refunds: buyer_id=eq.&order=created_at.desc, the policies, and the foreign key';
create index refunds_pending_idx on public.refunds (created_at) where status = 'pending';
comment on index public.refunds_pending_idx is 'The admins'' queue: status=eq.pending&order=created_at';

insert into private.status_transitions (table_name, from_status, to_status)
values
('refunds', 'pending', 'succeeded'),
('refunds', 'pending', 'failed'),
('refunds', 'succeeded', 'failed');
create trigger _100_check_transition before update of status on public.refunds
for each row when (old.status is distinct from new.status) execute function private.tg__check_transition();

create function private.begin_refund(p_order_id uuid, p_amount bigint, p_reason text) returns public.refunds
language plpgsql
security definer -- refunds are no client's to write; the check below decides
set search_path = ''
as $$
declare
    v_order public.orders;
    v_provider private.payment_provider;
    v_left bigint;
    v_refund public.refunds;
begin
    perform private.require_role('admin');
    select o.* into v_order from public.orders as o where o.id = p_order_id for no key update;
    if not found then
        raise sqlstate 'PT404' using
            message = 'order_not_found',
            detail = 'There is no such order.',
            hint = 'Read orders again.';
    end if;
    v_left := v_order.paid_amount - v_order.refunded_amount - v_order.disputed_amount - (
        select coalesce(sum(r.amount), 0) from public.refunds as r where r.order_id = p_order_id and r.status = 'pending'
    );
    if v_left <= 0 or coalesce(p_amount, v_left) not between 1 and v_left then
        raise sqlstate 'PT409' using
            message = 'refund_exceeds_payment',
            detail = format('At most %s minor units can be given back.', greatest(v_left, 0)),
            hint = 'Read the order and its refunds again.';
    end if;
    insert into public.refunds (order_id, buyer_id, amount, currency, reason)
    values (p_order_id, v_order.buyer_id, coalesce(p_amount, v_left), v_order.currency, p_reason)
    returning * into v_refund;
    perform private.audit(
        'order.refund', 'orders', p_order_id::text, jsonb_build_object('refunded_amount', v_order.refunded_amount),
        jsonb_build_object('refund_id', v_refund.id, 'amount', v_refund.amount, 'reason', p_reason)
    );
    select p.provider into v_provider from private.payments as p where p.order_id = p_order_id and not p.is_surplus;
    if v_provider = 'stripe' then
        perform private.defer_job('refund', jsonb_build_object('refund_id', v_refund.id), 'refund:' || v_refund.id);
    else
        v_refund := private.settle_refund(v_refund.id, 'succeeded');
    end if;
    return v_refund;
end
$$;
comment on function private.begin_refund(uuid, bigint, text) is
'Gives back of an order this much, or all that is left, and records it: a job asks the payment provider; what was paid
outside counts as given back at once. Raises PT403 role_required, PT404 order_not_found, PT409 refund_exceeds_payment.';

create function public.refund_order(order_id uuid, amount bigint default null, reason text default null)
returns public.refunds
language sql
set search_path = ''
as $$
    select private.begin_refund(refund_order.order_id, refund_order.amount, refund_order.reason)
$$;
comment on function public.refund_order(uuid, bigint, text) is
'Gives back what was paid for an order: this amount in minor units, or all that is left. Answers the refund, pending
until the payment provider has done it (at once where the money was paid outside). Parts go back from seller,
student-teacher and platform in proportion; once all is back, what was bought ends. For admins; recorded. Raises
role_required (403), order_not_found (404), refund_exceeds_payment (409), own_course (409: the buyer is just becoming
the course''s creator).';

create function private.settle_refund(p_refund_id uuid, p_status public.refund_status) returns public.refunds
language plpgsql
security definer -- refunds and orders are no client's to write; whoever calls this knows what became of it
set search_path = ''
as $$
declare
    v_refund public.refunds;
    v_was public.refund_status;
    v_order public.orders;
begin
    -- The order first, as everywhere.
    perform from public.orders as o
    where o.id = (select r.order_id from public.refunds as r where r.id = p_refund_id) for no key update;
    select r.* into v_refund from public.refunds as r where r.id = p_refund_id for no key update;
    v_was := v_refund.status;
    -- Old news: a refund that has succeeded was once pending.
    if p_status = v_was or p_status = 'pending' or v_was = 'failed' then
        return v_refund;
    end if;
    update public.refunds as r set status = p_status, settled_at = now() where r.id = p_refund_id
    returning r.* into v_refund;
    if 'succeeded' in (p_status, v_was) then
        update public.orders as o
        set refunded_amount = o.refunded_amount + case p_status when 'succeeded' then 1 else -1 end * v_refund.amount
        where o.id = v_refund.order_id
        returning o.* into v_order;
        perform private.settle_returns(
            v_refund.order_id, case p_status when 'succeeded' then 'refund' else 'refund_failed' end,
            'refund:' || p_refund_id || ':' || p_status
        );
    end if;
    if p_status = 'succeeded' then
        perform private.enqueue_mail(
            v_order.buyer_id,
            'order_refunded',
            jsonb_build_object(
                'number', v_order.number,
                'title', v_order.title,
                'amount', private.format_amount(v_refund.amount, v_refund.currency)
            ),
            'order_refunded:' || p_refund_id
        );
    end if;
    return v_refund;
end
$$;
comment on function private.settle_refund(uuid, public.refund_status) is
'Has a refund succeeded or failed: once, however often it is told; what is older news than what is known is passed
over.';

create type public.dispute_status as enum ('open', 'won', 'lost');
comment on type public.dispute_status is
'open: the buyer''s bank has taken the money back for now. won: it came again. lost: it is gone.';

create table public.disputes (
    id uuid not null default gen_random_uuid() constraint disputes_pkey primary key,
    order_id uuid not null constraint disputes_order_id_fkey references public.orders (id) on delete restrict,
    amount bigint not null constraint disputes_amount_check check (amount >= 0),
    currency text not null,
    reason text not null,
    status public.dispute_status not null default 'open',
    created_at timestamptz not null default now(),
    closed_at timestamptz,
    constraint disputes_closed_at_check check ((status = 'open') = (closed_at is null))
);
comment on table public.disputes is
'Payments that a buyer''s bank took back. Admins read them. Written by functions only.';
comment on column public.disputes.amount is
'What counts of it, in minor units: never more than was left of the payment.';
comment on column public.disputes.currency is 'The order''s, ISO 4217.';
comment on column public.disputes.reason is 'The payment provider''s word for it: fraudulent, product_not_received ...';
comment on column public.disputes.closed_at is 'When it was won or lost.';
alter table public.disputes enable row level security;
revoke all on public.disputes from anon, authenticated, service_role;
create index disputes_order_id_idx on public.disputes (order_id);
comment on index public.disputes_order_id_idx is 'An order''s disputes: order_id=eq., and the foreign key';
create index disputes_open_idx on public.disputes (created_at) where status = 'open';
comment on index public.disputes_open_idx is 'The admins'' queue: status=eq.open&order=created_at';

insert into private.status_transitions (table_name, from_status, to_status)
values ('disputes', 'open', 'won'), ('disputes', 'open', 'lost');
create trigger _100_check_transition before update of status on public.disputes
for each row when (old.status is distinct from new.status) execute function private.tg__check_transition();

create function private.settle_dispute(
    p_stripe_id text, p_order_id uuid, p_amount bigint, p_reason text, p_status public.dispute_status
)
returns boolean
language plpgsql
security definer -- disputes and orders are no client's to write; whoever calls this knows what became of it
set search_path = ''
as $$
declare
    v_order public.orders;
    v_dispute public.disputes;
    v_is_new boolean := false;
begin
    select o.* into v_order from public.orders as o where o.id = p_order_id for no key update;
    select d.* into v_dispute from public.disputes as d where d.id = private.of_stripe(p_stripe_id, 'dispute');
    if not found then
        insert into public.disputes (order_id, amount, currency, reason)
        values (
            p_order_id,
            least(p_amount, v_order.paid_amount - v_order.refunded_amount - v_order.disputed_amount),
            v_order.currency,
            p_reason
        )
        returning * into v_dispute;
        perform private.bind_stripe_object(p_stripe_id, 'dispute', v_dispute.id);
        update public.orders as o set disputed_amount = o.disputed_amount + v_dispute.amount where o.id = p_order_id;
        perform private.settle_returns(p_order_id, 'dispute', 'dispute:' || v_dispute.id || ':open');
        v_is_new := true;
    end if;
    if v_dispute.status <> 'open' or p_status = 'open' then
        return v_is_new;
    end if;
    update public.disputes as d set status = p_status, closed_at = now() where d.id = v_dispute.id;
    if p_status = 'won' then
        update public.orders as o set disputed_amount = o.disputed_amount - v_dispute.amount where o.id = p_order_id;
        perform private.settle_returns(p_order_id, 'dispute_won', 'dispute:' || v_dispute.id || ':won');
    end if;
    return true;
end
$$;
comment on function private.settle_dispute(text, uuid, bigint, text, public.dispute_status) is
'Has a payment disputed, and the dispute won or lost: once, however often and in whatever order it is told. Answers
whether it had an effect.';

create function private.settle_order(p_order_id uuid, p_reference text) returns public.orders
language plpgsql
security definer -- orders and enrolments are no client's to write; the check below decides
set search_path = ''
as $$
declare
    v_order public.orders;
begin
    perform private.require_role('admin');
    select o.* into v_order from public.orders as o where o.id = p_order_id for no key update;
    if not found then
        raise sqlstate 'PT404' using
            message = 'order_not_found',
            detail = 'There is no such order.',
            hint = 'Read orders again.';
    elsif v_order.status = 'paid' then
        return v_order;
    elsif coalesce(p_reference, '') !~ '\S' or char_length(p_reference) > 200 then
        raise sqlstate 'PT422' using
            message = 'reference_missing',
            detail = 'What was paid is found again by a reference of 1 to 200 letters.',
            hint = 'Send the number of the transfer or receipt.';
    elsif v_order.billing_interval is not null then
        raise sqlstate 'PT409' using
            message = 'order_recurs',
            detail = 'What recurs is paid through the payment provider only.',
            hint = 'Have the buyer check out.';
    elsif v_order.status <> 'pending' then
        raise sqlstate 'PT409' using
            message = 'illegal_transition',
            detail = format('orders: %s cannot become paid by hand.', v_order.status),
            hint = 'Have the buyer order again.';
    elsif private.is_taken(v_order) then
        raise sqlstate 'PT409' using
            message = 'licence_exclusive',
            detail = 'Somebody else has the exclusive licence of this beat.',
            hint = 'Give the money back.';
    end if;
    v_order := private.complete_order(p_order_id, 'outside', v_order.number || ' ' || p_reference, v_order.amount);
    perform private.expire_sessions(p_order_id);
    perform private.audit(
        'order.settle', 'orders', v_order.id::text, jsonb_build_object('status', 'pending'),
        jsonb_build_object('status', v_order.status, 'reference', p_reference)
    );
    return v_order;
end
$$;
comment on function private.settle_order(uuid, text) is
'Marks a pending order paid outside, once. Admins only. Raises PT403 role_required, PT404 order_not_found, PT409
order_recurs, illegal_transition or licence_exclusive, PT422 reference_missing.';

create function public.settle_order(order_id uuid, reference text) returns public.orders
language sql
set search_path = ''
as $$
    select private.settle_order(settle_order.order_id, settle_order.reference)
$$;
comment on function public.settle_order(uuid, text) is
'Says that an order was paid outside (a transfer, cash), with a reference; gives the buyer what was bought, and answers
the order; once, however often it is called. For admins; recorded. Raises role_required (403), order_not_found (404),
order_recurs, licence_exclusive (409), illegal_transition (409: it ended), own_course (409: the buyer has just become its
creator), reference_missing (422).';
