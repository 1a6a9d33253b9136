-- Commerce: receiving payments. Money that a provider has captured always lands: it pays its order, or it is recorded
-- as surplus and refunded by itself. What a paid order gives may fail and is tried again; the payment stays. Each
-- function may be called again with the same payment, which then changes nothing.

insert into private.app_config (key, value, description)
values
('payout_hold_days', '7', 'The days after a payment before its earnings can be paid out.');

create function private.record_payment(p_order public.orders, p_provider text, p_reference text) returns void
language plpgsql
set search_path = ''
as $$
declare
    v_seller bigint := (p_order.paid_amount - p_order.tax_amount) * p_order.seller_bps / 10000;
    v_teacher bigint := (p_order.paid_amount - p_order.tax_amount) * p_order.student_teacher_bps / 10000;
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
            jsonb_build_object('kind', private.provider_account(p_provider), 'amount', p_order.paid_amount),
            jsonb_build_object('kind', 'payable', 'user_id', p_order.seller_id, 'amount', -v_seller),
            jsonb_build_object('kind', 'payable', 'user_id', p_order.student_teacher_id, 'amount', -v_teacher),
            jsonb_build_object('kind', 'tax', 'amount', -p_order.tax_amount),
            -- The platform gets what rounding leaves.
            jsonb_build_object(
                'kind', 'platform', 'amount', v_seller + v_teacher + p_order.tax_amount - p_order.paid_amount
            )
        )
    );
end
$$;
comment on function private.record_payment(public.orders, text, text) is
'Writes the payment of an order that has just become paid, its splits, which are parts of the amount without tax, and
its journal. The caller has locked the order.';

insert into private.mail_templates (template, topic)
values
('order_paid', 'account'), ('order_refunded', 'account'), ('payment_returned', 'account'),
('student_teacher_unassigned', 'account');

create function private.mail_receipt(p_order_id uuid) returns void
language plpgsql -- every payment calls this: a SQL function would be planned each time
security definer -- the outbox is closed
set search_path = ''
as $$
declare
    v_order public.orders;
begin
    select o.* into v_order from public.orders as o where o.id = p_order_id;
    if v_order.paid_amount = 0 then
        return;
    end if;
    perform private.enqueue_mail(
        v_order.buyer_id,
        'order_paid',
        jsonb_build_object(
            'number', v_order.number,
            'title', v_order.title,
            'amount', private.format_amount(v_order.paid_amount, v_order.currency),
            'order_id', v_order.id
        ),
        'order_paid:' || v_order.id
    );
end
$$;
comment on function private.mail_receipt(uuid) is
'Enqueues the mail about a paid order, once; none where nothing was paid.';

create function private.try_fulfilment(p_order_id uuid) returns boolean
language plpgsql
security definer -- clients may not write what an order gives
set search_path = ''
as $$
declare
    v_order public.orders;
    v_sqlstate text;
    v_message text;
begin
    perform private.sync_fulfilment(p_order_id);
    perform private.resolve_payment_exception('unfulfilled', p_order_id, 'sync_fulfilment');
    return true;
exception when others then
    get stacked diagnostics v_sqlstate = returned_sqlstate, v_message = message_text;
    if private.is_transient_error(v_sqlstate) then
        raise;
    end if;
    perform private.report_payment_exception(
        'unfulfilled', p_order_id, 'sync_fulfilment',
        case when v_sqlstate like 'PT%' then v_message else v_sqlstate || ' ' || v_message end
    );
    select o.* into v_order from public.orders as o where o.id = p_order_id;
    if v_sqlstate not like 'PT4%' or not private.is_order_in_force(v_order) then
        return false;
    end if;
    -- A rule refuses what was bought, so that no repetition helps. A refund that failed would fail again: admins see it.
    if private.refundable_amount(v_order) > 0 and not exists (
        select from public.refunds as r where r.order_id = p_order_id and r.status = 'failed'
    ) then
        perform private.request_refund(v_order, null, v_message);
    end if;
    if v_order.subscription_id is not null then
        perform private.end_subscription(v_order.subscription_id);
    end if;
    return true;
end
$$;
comment on function private.try_fulfilment(uuid) is
'Brings what an order gives in line with the order. Where a rule refuses it, the order is refunded by itself, and its
subscription ends, unless a refund of it has failed; any other error changes nothing. Both show in payment_exceptions.
Returns false where it is to be tried again. An error that a repetition may cure is raised again. The worker calls it,
too.';

create function private.fulfil_paid_order(p_order_id uuid) returns void
language plpgsql
set search_path = ''
as $$
begin
    if not private.try_fulfilment(p_order_id) then
        perform private.defer_job(
            'fulfil_order', jsonb_build_object('order_id', p_order_id), 'fulfil_order:' || p_order_id
        );
    end if;
end
$$;
comment on function private.fulfil_paid_order(uuid) is
'Fulfils an order whose payment has landed; where that fails, a job tries again. Raises nothing but what a repetition
may cure.';

create function private.fulfil_switches(p_order public.orders, p_is_deferred boolean) returns void
language plpgsql
security definer -- payments are closed to the caller
set search_path = ''
as $$
declare
    v_order_id uuid;
begin
    for v_order_id in
        select o.id from public.orders as o
        join private.payments as p on p.order_id = o.id
        where o.subscription_id = p_order.subscription_id and o.id <> p_order.id and o.paid_amount = 0
            and p.reference like o.subscription_id || ':switch:%'
        order by o.id
    loop
        if p_is_deferred then
            perform private.defer_job(
                'fulfil_order', jsonb_build_object('order_id', v_order_id), 'fulfil_order:' || v_order_id
            );
        else
            perform private.fulfil_paid_order(v_order_id);
        end if;
    end loop;
end
$$;
comment on function private.fulfil_switches(public.orders, boolean) is
'Brings what switches of plans give in line with the payments of the subscription of an order, of which one was received
or returned. Deferred to a job where the caller has not locked the order that started the subscription.';

create function private.assign_student_teacher_of_order(p_order_id uuid) returns void
language plpgsql
security definer -- clients may not write enrolments
set search_path = ''
as $$
begin
    perform private.set_student_teacher(e.id, t.id)
    from public.orders as o
    join public.student_teachers as t on t.course_id = o.course_id and t.user_id = o.student_teacher_id
    join public.enrolments as e on e.course_id = o.course_id and e.student_id = o.buyer_id
    where o.id = p_order_id and e.student_teacher_id is null and e.status = 'active';
end
$$;
comment on function private.assign_student_teacher_of_order(uuid) is
'Assigns the student-teacher who sold a course to its buyer, who has no other. Raises what set_student_teacher raises.';

create function private.mail_unassigned_buyer(p_order_id uuid) returns void
language sql
security definer -- the outbox is closed
set search_path = ''
as $$
    select private.enqueue_mail(
        o.buyer_id,
        'student_teacher_unassigned',
        jsonb_build_object('number', o.number, 'title', o.title, 'course_slug', c.slug),
        'student_teacher_unassigned:' || o.id
    )
    from public.orders as o
    join public.courses as c on c.id = o.course_id
    where o.id = p_order_id
$$;
comment on function private.mail_unassigned_buyer(uuid) is
'Enqueues the mail that a bought course has no student-teacher yet, once.';

create function private.release_student_teacher(p_order_id uuid) returns void
language plpgsql
security definer -- clients may not write orders
set search_path = ''
as $$
declare
    v_order public.orders;
    v_student_teacher_id uuid;
    v_blocker text;
begin
    select o.* into v_order from public.orders as o where o.id = p_order_id;
    select t.id into v_student_teacher_id from public.student_teachers as t
    where t.course_id = v_order.course_id and t.user_id = v_order.student_teacher_id;
    perform private.lock_student_teacher(v_student_teacher_id, true);
    v_blocker := private.student_teacher_blocker(v_student_teacher_id, v_order.course_id, v_order.buyer_id);
    if v_blocker is null then
        return;
    end if;
    update public.orders as o
    set
        student_teacher_id = null,
        student_teacher_bps = 0,
        seller_bps = case
            when o.seller_id is null then 0 else private.split_of(o.kind, false, 'seller')
        end
    where o.id = p_order_id;
    perform private.report_payment_exception(
        'effect_failed', p_order_id, 'assign_student_teacher_of_order', v_blocker
    );
    perform private.attempt_effect('mail_unassigned_buyer', p_order_id);
end
$$;
comment on function private.release_student_teacher(uuid) is
'Before an order is paid whose student-teacher takes no student any more: sells it without a student-teacher, who then
earns nothing of it, tells the buyer by mail, and shows it to admins. The caller has locked the order.';

create function private.record_paid_order(
    p_order_id uuid, p_provider text, p_reference text, p_amount bigint, p_tax_amount bigint
)
returns public.orders
language plpgsql
set search_path = ''
as $$
declare
    v_order public.orders;
begin
    if (select o.student_teacher_id is not null from public.orders as o where o.id = p_order_id) then
        perform private.release_student_teacher(p_order_id);
    end if;
    update public.orders as o set status = 'paid', paid_at = now(), paid_amount = p_amount, tax_amount = p_tax_amount
    where o.id = p_order_id
    returning o.* into v_order;
    perform private.record_payment(v_order, p_provider, p_reference);
    return v_order;
end
$$;
comment on function private.record_paid_order(uuid, text, text, bigint, bigint) is
'Marks an unpaid order as paid by a payment of this amount, of which a part is tax, in minor units. The caller has
locked the order, has proof of the payment, and fulfils the order. A trigger raises PT409 illegal_transition.';

create function private.attempt_effects_of_payment(p_order public.orders) returns void
language plpgsql
set search_path = ''
as $$
begin
    if p_order.student_teacher_id is not null then
        perform private.attempt_effect('assign_student_teacher_of_order', p_order.id);
    end if;
    perform private.attempt_effect('mail_receipt', p_order.id);
end
$$;
comment on function private.attempt_effects_of_payment(public.orders) is
'The secondary effects of a paid order: its place with a student-teacher and its mail.';

create function private.complete_order(p_order_id uuid, p_provider text, p_reference text, p_amount bigint)
returns public.orders
language plpgsql
set search_path = ''
as $$
declare
    v_order public.orders := private.record_paid_order(p_order_id, p_provider, p_reference, p_amount, 0);
begin
    perform private.sync_fulfilment(p_order_id);
    perform private.attempt_effects_of_payment(v_order);
    return v_order;
end
$$;
comment on function private.complete_order(uuid, text, text, bigint) is
'Marks an unpaid order as paid outside the payment provider, in minor units, and fulfils it; where that is refused,
nothing has changed. The caller has locked the order. A trigger raises PT409 illegal_transition.';

create function private.order_course_ids(p_order public.orders) returns setof uuid
language sql
stable
security definer -- reads offers of others
set search_path = ''
as $$
    select p_order.course_id where p_order.course_id is not null
    union
    select i.course_id from public.offer_courses as i where i.offer_id = p_order.offer_id
$$;
comment on function private.order_course_ids(public.orders) is 'The courses that an order contains.';

create function private.is_bought_otherwise(p_order public.orders) returns text
language plpgsql
stable
security definer -- reads what the buyer has
set search_path = ''
as $$
begin
    if p_order.billing_interval is not null then
        return (
            select 'already_subscribed' from public.subscriptions as s
            join public.orders as o on o.id = s.order_id
            where s.user_id = p_order.buyer_id and s.offer_id = p_order.offer_id and s.status <> 'ended'
                and s.order_id <> p_order.id and s.id is distinct from p_order.subscription_id and o.status = 'paid'
            limit 1
        );
    end if;
    return (
        select 'already_enrolled'
        from (
            select
                count(*) as courses,
                count(*) filter (where exists (
                    select from private.current_entitlements as e
                    join public.entitlements as w on w.id = e.id
                    where e.user_id = p_order.buyer_id and e.course_id = c.course_id and e.order_id <> p_order.id
                        and w.ends_at is null
                )) as bought
            from private.order_course_ids(p_order) as c (course_id)
        ) as t
        where t.courses > 0 and t.bought = t.courses
    );
end
$$;
comment on function private.is_bought_otherwise(public.orders) is
'already_subscribed or already_enrolled where the buyer has the subscription, or all courses, of this unpaid order by
another paid one; else null. A buyer may pay two orders at once, or an ended one late.';

create function private.payment_blocker(p_order public.orders, p_currency text, p_price bigint) returns text
language plpgsql
stable
security definer -- reads accounts and the orders of others
set search_path = ''
as $$
begin
    if p_order.status = 'paid' then
        return 'order_paid';
    elsif p_currency <> p_order.currency
        or p_price < (case when p_order.trial_days > 0 then 0 else p_order.amount end)
    then
        return 'amount_mismatch';
    elsif private.is_licence_unavailable(p_order) then
        return 'licence_exclusive';
    elsif private.has_left(p_order.buyer_id) then
        return 'account_inactive';
    elsif not private.may_sell(p_order.seller_id) then
        return 'seller_unavailable';
    elsif p_order.billing_interval is null and (
        -- Its students cannot read it. One that was deleted or transferred they can.
        select bool_and(c.status = 'suspended') from public.order_courses as i
        join public.courses as c on c.id = i.course_id
        where i.order_id = p_order.id
    ) then
        return 'courses_unavailable';
    end if;
    return private.is_bought_otherwise(p_order);
end
$$;
comment on function private.payment_blocker(public.orders, text, bigint) is
'Why a payment of this price (without tax on top, before credit of the buyer''s balance; minor units) buys nothing; null
where it pays the order. A reason of payment_exceptions.';

create function private.record_surplus(
    p_order public.orders, p_provider text, p_reference text, p_amount bigint, p_currency text, p_reason text
)
returns void
language plpgsql
security definer -- only functions write the ledger
set search_path = ''
as $$
begin
    insert into private.payments (order_id, provider, reference, amount, currency, is_surplus)
    values (p_order.id, p_provider, p_reference, p_amount, p_currency, true);
    update public.orders as o set status = 'failed' where o.id = p_order.id and o.status in ('pending', 'processing');
    if p_amount = 0 then
        return;
    end if;
    perform private.post_journal(
        'surplus', 'surplus:' || p_reference, p_order.id, p_currency,
        jsonb_build_array(
            jsonb_build_object('kind', private.provider_account(p_provider), 'amount', p_amount),
            jsonb_build_object('kind', 'surplus', 'amount', -p_amount)
        )
    );
    perform private.report_payment_exception('surplus', p_order.id, p_reference, p_reason, p_amount, p_currency);
    perform private.send_to_provider(p_provider, 'refund_surplus', p_reference);
    perform private.attempt_effect('mail_returned_payments', p_order.id);
end
$$;
comment on function private.record_surplus(public.orders, text, text, bigint, text, text) is
'Records a payment, in minor units, that buys nothing for this reason: a job refunds it, a mail tells the buyer, and
admins see it in payment_exceptions. An order that was to be paid by it has failed. The caller has locked the order.';

create function private.mail_returned_payments(p_order_id uuid) returns void
language sql
security definer -- the outbox is closed
set search_path = ''
as $$
    select private.enqueue_mail(
        o.buyer_id,
        'payment_returned',
        jsonb_build_object(
            'number', o.number,
            'title', o.title,
            'amount', private.format_amount(x.amount, x.currency),
            'reason_token', x.reason
        ),
        'payment_returned:' || x.id
    )
    from public.payment_exceptions as x
    join public.orders as o on o.id = x.order_id
    where x.order_id = p_order_id and x.kind = 'surplus' and x.resolved_at is null
$$;
comment on function private.mail_returned_payments(uuid) is
'Enqueues a mail about each surplus payment of an order that is not refunded yet, once.';

create function private.receive_payment(
    p_order_id uuid, p_provider text, p_reference text, p_amount bigint, p_currency text,
    p_tax_amount bigint default 0, p_price bigint default null
)
returns public.orders
language plpgsql
security definer -- clients may not write orders, payments and the ledger; the caller has proof of the payment
set search_path = ''
as $$
declare
    v_order public.orders := private.lock_order(p_order_id);
    v_blocker text;
begin
    if exists (select from private.payments as p where p.provider = p_provider and p.reference = p_reference) then
        return v_order;
    end if;
    v_blocker := private.payment_blocker(v_order, p_currency, coalesce(p_price, p_amount - p_tax_amount));
    if v_blocker is null then
        v_order := private.record_paid_order(p_order_id, p_provider, p_reference, p_amount, p_tax_amount);
        perform private.fulfil_paid_order(p_order_id);
        perform private.attempt_effects_of_payment(v_order);
    else
        perform private.record_surplus(v_order, p_provider, p_reference, p_amount, p_currency, v_blocker);
    end if;
    perform private.release_webhooks(p_provider, p_reference);
    return v_order;
end
$$;
comment on function private.receive_payment(uuid, text, text, bigint, text, bigint, bigint) is
'Applies a payment that a provider reports for an order: the captured amount, the tax in it, and the price that was
charged, without tax on top and before credit of the buyer''s balance (null: the amount without tax); minor units. The
order becomes paid, or the payment is recorded as surplus and refunded by a job (payment_blocker says when). Never
refuses captured money. Raises PT404 order_not_found.';

create function private.record_surplus_refund(
    p_provider text, p_reference text, p_refund text, p_amount bigint, p_is_returned boolean
)
returns boolean
language plpgsql
security definer -- only functions write the ledger
set search_path = ''
as $$
declare
    v_key text := 'surplus_returned:' || p_refund;
    v_sign integer := case when p_is_returned then 1 else -1 end;
    v_payment private.payments;
    v_last text;
begin
    select p.* into v_payment from private.payments as p
    where p.provider = p_provider and p.reference = p_reference and p.is_surplus for no key update;
    select j.kind into v_last from public.ledger_journals as j
    where j.idempotency_key in (v_key || ':true', v_key || ':false')
    order by j.idempotency_key
    limit 1;
    -- The report of the end may come first: what is reported later of the same refund is outdated.
    if v_last is null and not p_is_returned and v_payment.id is not null then
        perform private.post_journal('surplus_kept', v_key || ':false', v_payment.order_id, v_payment.currency, '[]');
        return false;
    end if;
    -- A refund returns the money once, and may fail once after that.
    if (v_last is null) <> p_is_returned or v_last = 'surplus_kept'
        or v_payment.returned_amount + v_sign * p_amount not between 0 and v_payment.amount
    then
        return false;
    end if;
    perform private.post_journal(
        case when p_is_returned then 'surplus_returned' else 'surplus_kept' end, v_key || ':' || p_is_returned,
        v_payment.order_id, v_payment.currency,
        jsonb_build_array(
            jsonb_build_object('kind', 'surplus', 'amount', v_sign * p_amount),
            jsonb_build_object('kind', private.provider_account(p_provider), 'amount', -v_sign * p_amount)
        )
    );
    update private.payments as p set returned_amount = p.returned_amount + v_sign * p_amount
    where p.id = v_payment.id
    returning p.* into v_payment;
    if v_payment.returned_amount = v_payment.amount then
        perform private.resolve_payment_exception('surplus', v_payment.order_id, p_reference);
    elsif not p_is_returned then
        update public.payment_exceptions as x set resolved_at = null
        where x.order_id = v_payment.order_id and x.kind = 'surplus' and x.subject = p_reference;
    end if;
    return true;
end
$$;
comment on function private.record_surplus_refund(text, text, text, bigint, boolean) is
'Records that a refund or dispute (p_refund) returned a part of a surplus payment, in minor units, or that it failed,
after which it returns nothing more. Returns whether it changed anything.';
