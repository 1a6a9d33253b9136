-- Commerce: fulfilment. Functions named private.fulfil_<fulfilment> bring what an order gives in line with the order;
-- the kind of the offer names one of them.

insert into private.errors (token, status, meaning, hint, detail)
values
(
    'credits_insufficient', 402,
    'There are not enough credits for this.',
    'Buy credits first.',
    'This takes %s credits, and there are %s.'
);

insert into private.app_config (key, value, description)
values
(
    'renewal_hours', '24',
    'The hours after the end of a period in which its entitlements still hold, until the provider charges the next one.'
),
(
    'grace_days', '3',
    'The days after the end of a period in which its entitlements still hold while a failed payment is retried.'
),
(
    'debit_days', '14',
    'The days after the end of a period in which its entitlements still hold while the provider has begun the next '
    || 'one and its payment, such as a bank debit, is on its way.'
);

create function private.is_order_in_force(p_order public.orders) returns boolean
language plpgsql -- every payment calls this: a SQL function would be planned each time
immutable
set search_path = ''
as $$
begin
    return p_order.status = 'paid'
        and (p_order.paid_amount = 0 or p_order.refunded_amount + p_order.disputed_amount < p_order.paid_amount);
end
$$;
comment on function private.is_order_in_force(public.orders) is
'Whether an order is paid and not all of its payment was returned.';

create function private.is_unpaid_switch(p_order public.orders) returns boolean
language sql
stable
security definer -- payments are closed to the caller
set search_path = ''
as $$
    select exists (
        select from private.payments as p
        where p.order_id = p_order.id and p.reference like p_order.subscription_id || ':switch:%'
    ) and not exists (
        select from public.orders as n
        join private.payments as p on p.order_id = n.id and not p.is_surplus
        where n.subscription_id = p_order.subscription_id and p.reference not like n.subscription_id || ':switch:%'
            and private.is_order_in_force(n)
            and n.period_starts_at < p_order.period_ends_at
            and (
                n.period_ends_at > p_order.period_starts_at
                -- The payment of the present period is on its way.
                or (
                    n.period_ends_at + private.setting('debit_days')::integer * interval '1 day'
                    > p_order.period_starts_at
                    and not exists (
                        select from public.orders as l
                        where l.subscription_id = n.subscription_id and l.status = 'paid' and l.paid_amount > 0
                            and l.period_ends_at > n.period_ends_at
                    )
                )
            )
    )
$$;
comment on function private.is_unpaid_switch(public.orders) is
'Whether an order is a switch to another plan in a period for which no payment is in force: none has arrived, or it was
returned.';

create function private.period_ends_at(p_order_id uuid) returns timestamptz
language plpgsql
stable
security definer -- subscriptions are closed to the caller
set search_path = ''
as $$
declare
    v_order public.orders;
    v_subscription public.subscriptions;
    v_ends_at timestamptz;
begin
    select o.* into v_order from public.orders as o where o.id = p_order_id;
    select s.* into v_subscription from public.subscriptions as s where s.id = v_order.subscription_id;
    v_ends_at := case
        when v_order.paid_amount = 0 and private.is_unpaid_switch(v_order) then v_order.period_starts_at
        when v_subscription.ended_at < v_order.period_ends_at then v_subscription.ended_at
        when v_order.offer_id <> v_subscription.offer_id and v_order.period_starts_at <= v_subscription.switched_at
            then least(v_order.period_ends_at, v_subscription.switched_at)
        when v_subscription.is_ending or v_subscription.status = 'ended' then v_order.period_ends_at
        when v_subscription.status = 'past_due'
            then v_order.period_ends_at + private.setting('grace_days')::integer * interval '1 day'
        when v_subscription.period_ends_at > v_order.period_ends_at and not v_subscription.is_paused and not exists (
            select from public.orders as n
            where n.subscription_id = v_subscription.id and n.status = 'paid'
                and n.period_ends_at > v_order.period_ends_at
        )
            then v_order.period_ends_at + private.setting('debit_days')::integer * interval '1 day'
        else v_order.period_ends_at + private.setting('renewal_hours')::integer * interval '1 hour'
    end;
    -- A subscription that has ended, or was switched, before a late payment of an earlier period arrives.
    return greatest(v_ends_at, v_order.period_starts_at);
end
$$;
comment on function private.period_ends_at(uuid) is
'The end of what the order of a period gives: the end of the period, a little later where it is to be renewed, or where
the next payment is on its way or is retried, earlier where the subscriber has switched to another plan. A switch gives nothing
while the period in which it was made is not paid.';

create function private.fulfil_entitlement(p_order public.orders, p_is_in_force boolean) returns void
language plpgsql
security definer -- clients may not write entitlements
set search_path = ''
as $$
declare
    v_ends_at timestamptz := case
        when not p_is_in_force then now()
        when p_order.billing_interval is not null then private.period_ends_at(p_order.id)
    end;
begin
    if p_is_in_force then
        insert into public.entitlements (user_id, order_id, offer_id, seller_id, kind, course_id, starts_at, ends_at)
        select
            p_order.buyer_id, p_order.id, p_order.offer_id, p_order.seller_id, p_order.kind, t.course_id,
            coalesce(p_order.period_starts_at, p_order.paid_at), v_ends_at
        from (
            select p_order.course_id
            from public.offer_kinds as k
            where k.kind = p_order.kind and k.courses <> 'required'
            union
            select i.course_id from public.order_courses as i where i.order_id = p_order.id
        ) as t (course_id)
        on conflict (order_id, course_id) do nothing;
    end if;
    update public.entitlements as e
    set
        ends_at = case
            -- An entitlement that has ended keeps the time of its end.
            when not p_is_in_force and e.ends_at <= now() then e.ends_at
            -- greatest ignores nulls, which mean no end.
            when v_ends_at is not null then greatest(v_ends_at, e.starts_at)
        end,
        -- A trigger makes it ended where the time is up.
        access = case when p_is_in_force then 'open' else 'refunded' end::public.access_state
    where e.order_id = p_order.id;
end
$$;
comment on function private.fulfil_entitlement(public.orders, boolean) is
'Entitlements of an order: one for each of its courses, else one, from the payment or the start of the period until the
money is returned or the period ends.';

create function private.sync_course_access(p_user_id uuid, p_course_id uuid, p_is_new boolean) returns void
language plpgsql
security definer -- clients may not write enrolments
set search_path = ''
as $$
declare
    v_enrolment public.enrolments;
    v_ending public.access_state;
    v_until timestamptz := (
        select max(coalesce(e.ends_at, 'infinity')) from public.entitlements as e
        where e.user_id = p_user_id and e.course_id = p_course_id and (e.ends_at is null or e.ends_at > now())
    );
begin
    if v_until is null then
        select t.access into v_ending from public.entitlements as t
        where t.user_id = p_user_id and t.course_id = p_course_id
        order by t.ends_at desc, t.updated_at desc
        limit 1;
        update public.enrolments as e set access_until = least(e.access_until, now()), access = v_ending
        where e.student_id = p_user_id and e.course_id = p_course_id and e.source = 'purchase'
            and e.access_decided_by is null
            and (
                e.access_until is null or e.access_until > now() or (v_ending = 'refunded' and e.access <> 'refunded')
            );
    -- The creator needs no enrolment: the course may have been transferred to its buyer.
    elsif p_user_id <> (private.lock_enrolling(p_course_id, p_user_id)).creator_id then
        select e.* into v_enrolment from public.enrolments as e
        where e.student_id = p_user_id and e.course_id = p_course_id for no key update;
        -- A purchase brings back a student who left; nothing that follows from it does, or changes what an admin set.
        if not private.is_barred(v_enrolment) and (
            p_is_new or (v_enrolment.status is distinct from 'cancelled' and v_enrolment.access_decided_by is null)
        ) then
            perform private.enrol_student(p_course_id, p_user_id, 'purchase', nullif(v_until, 'infinity'));
        end if;
        update public.enrolments as e set access_until = nullif(v_until, 'infinity')
        where e.student_id = p_user_id and e.course_id = p_course_id and e.source = 'purchase'
            and e.access_decided_by is null and e.access_until is distinct from nullif(v_until, 'infinity');
    end if;
end
$$;
comment on function private.sync_course_access(uuid, uuid, boolean) is
'Enrols a user in a course until the last of their entitlements to it ends; without any, ends the access that purchases
gave, as refunded where the last of them was. What people decided stays: an enrolment that an admin cancelled or whose end an admin set, and, unless p_is_new
(they have just bought it), one that the student left. Raises PT409 own_course.';

create function private.tg_enrolments__sync_access() returns trigger
language plpgsql
security definer -- clients may not write enrolments
set search_path = ''
as $$
begin
    if exists (
        select from private.current_entitlements as e
        where e.user_id = new.student_id and e.course_id = new.course_id
    ) then
        perform private.sync_course_access(new.student_id, new.course_id, false);
    end if;
    return null;
end
$$;
comment on function private.tg_enrolments__sync_access() is
'After an admin lifts a bar: the access follows again what the student has paid.';
create trigger _400_sync_access after update of cancelled_by, access_decided_by on public.enrolments
for each row when (
    private.is_barred(old) and not private.is_barred(new) and new.access_decided_by is null
)
execute function private.tg_enrolments__sync_access();

create function private.tg_enrolments__keep_bought() returns trigger
language plpgsql
security definer -- entitlements are closed to the caller
set search_path = ''
as $$
begin
    if exists (
        select from private.current_entitlements as e
        where e.user_id = old.student_id and e.course_id = old.course_id
    ) then
        perform private.refuse('enrolment_in_use');
    end if;
    return old;
end
$$;
comment on function private.tg_enrolments__keep_bought() is
'Before an enrolment is deleted: refuses while it is paid for, or the next renewal would make it again. Raises PT409
enrolment_in_use.';
create trigger _100_keep_bought before delete on public.enrolments
for each row execute function private.tg_enrolments__keep_bought();

create function private.fulfil_courses(p_order public.orders, p_is_in_force boolean) returns void
language plpgsql
security definer -- clients may not write entitlements and enrolments
set search_path = ''
as $$
declare
    v_course_ids uuid[] := private.order_course_ids(p_order.id);
    -- Renewals give no course that was left, and repeat nothing that was decided since the purchase.
    v_is_new boolean := p_is_in_force
        and not exists (select from public.entitlements as e where e.order_id = p_order.id)
        and not exists (
            select from public.subscriptions as s where s.id = p_order.subscription_id and s.order_id <> p_order.id
        );
    v_barred integer;
    v_course_id uuid;
begin
    -- In the order of catalog_locks: all courses before the enrolments of any.
    perform from public.courses as c where c.id = any(v_course_ids) order by c.id for share;
    v_barred := cardinality(private.barred_course_ids(p_order.buyer_id, v_course_ids));
    -- A membership goes on with its other courses, now and at each renewal.
    if v_is_new and v_barred > 0 and (p_order.billing_interval is null or v_barred = cardinality(v_course_ids)) then
        perform private.refuse('enrolment_cancelled');
    end if;
    perform private.fulfil_entitlement(p_order, p_is_in_force);
    for v_course_id in
        select e.course_id from public.entitlements as e
        where e.order_id = p_order.id and e.course_id is not null
        order by e.course_id
    loop
        perform private.sync_course_access(p_order.buyer_id, v_course_id, v_is_new);
    end loop;
end
$$;
comment on function private.fulfil_courses(public.orders, boolean) is
'Entitlements to the courses of an order, and the enrolments that follow from them. Raises PT403 enrolment_cancelled
(since the order, an admin has barred the buyer from a course, or from all courses of a membership), PT409 own_course.';

create function private.fulfil_work(p_order public.orders, p_is_in_force boolean) returns void
language plpgsql
security definer -- clients may not write fulfilments
set search_path = ''
as $$
begin
    perform private.fulfil_entitlement(p_order, p_is_in_force);
    if p_is_in_force then
        insert into public.fulfilments as f (order_id, seller_id, buyer_id)
        values (p_order.id, p_order.seller_id, p_order.buyer_id)
        on conflict (order_id) do update
        set status = case when f.delivered_at is null then 'open' else 'delivered' end::public.fulfilment_status
        where f.status = 'cancelled';
    else
        update public.fulfilments as f set status = 'cancelled'
        where f.order_id = p_order.id and f.status <> 'cancelled';
    end if;
end
$$;
comment on function private.fulfil_work(public.orders, boolean) is
'An entitlement, and work for the seller: open, or cancelled once the money is returned. When a dispute is won, work
that the seller had delivered is delivered again.';

create function private.fulfil_credits(p_order public.orders, p_is_in_force boolean) returns void
language plpgsql
security definer -- only functions write the ledger
set search_path = ''
as $$
declare
    v_issued bigint;
    v_entries bigint;
    v_due bigint := p_order.credits;
    v_balance bigint;
    v_change bigint;
begin
    select coalesce(-sum(l.amount), 0), count(*) into v_issued, v_entries from public.ledger_entries as l
    where l.order_id = p_order.id and l.account_kind = 'credits';
    -- In proportion to the money that was not returned.
    v_due := case
        when not p_is_in_force then 0
        when p_order.paid_amount = 0 then v_due
        else ceil(
            v_due * (p_order.paid_amount - p_order.refunded_amount - p_order.disputed_amount)::numeric
            / p_order.paid_amount
        )
    end;
    v_change := v_due - v_issued;
    if v_change < 0 then
        select a.balance into v_balance from public.ledger_accounts as a
        where a.id = private.ledger_account('credits', p_order.buyer_id, 'CREDITS') for no key update;
        -- Credits that are spent stay spent.
        v_change := -least(-v_change, v_balance);
    end if;
    if v_change <> 0 then
        perform private.post_journal(
            case when v_change > 0 then 'credits_bought' else 'credits_returned' end,
            'credits:' || p_order.id || ':' || v_entries,
            p_order.id, 'CREDITS',
            jsonb_build_array(
                jsonb_build_object('kind', 'credits', 'user_id', p_order.buyer_id, 'amount', -v_change),
                jsonb_build_object('kind', 'credits_issued', 'amount', v_change)
            )
        );
    end if;
end
$$;
comment on function private.fulfil_credits(public.orders, boolean) is
'Issues the credits of an order, and withdraws the part that was refunded, as far as the buyer has not spent it.';

create function private.sync_fulfilment(p_order_id uuid) returns void
language plpgsql
security definer -- clients may not write what an order gives
set search_path = ''
as $$
declare
    v_order public.orders;
    v_fulfilment text;
begin
    select o.* into v_order from public.orders as o where o.id = p_order_id for no key update;
    -- It was sold again while the money of this order was returned.
    if private.is_order_in_force(v_order) and private.is_licence_lost(v_order) then
        perform private.refuse('licence_exclusive');
    end if;
    select k.fulfilment into v_fulfilment from public.offer_kinds as k where k.kind = v_order.kind;
    if v_fulfilment is not null then
        execute format('select private.%I($1, $2)', 'fulfil_' || v_fulfilment)
        using v_order, private.is_order_in_force(v_order);
    end if;
end
$$;
comment on function private.sync_fulfilment(uuid) is
'Brings what an order gives in line with the order, by private.fulfil_<fulfilment>(order, is_in_force) of its kind. May
be called again at any time. Raises what that function raises.';

create function private.spend_credits(p_user_id uuid, p_credits bigint, p_key text) returns bigint
language plpgsql
security definer -- only functions write the ledger; the caller has decided the price
set search_path = ''
as $$
declare
    v_balance bigint;
begin
    select a.balance into v_balance from public.ledger_accounts as a
    where a.id = private.ledger_account('credits', p_user_id, 'CREDITS') for no key update;
    if not exists (select from public.ledger_journals as j where j.idempotency_key = p_key) then
        if p_credits is null or p_credits <= 0 or v_balance < p_credits then
            perform private.refuse('credits_insufficient', p_credits::text, v_balance::text);
        end if;
        perform private.post_journal(
            'credits_spent', p_key, null, 'CREDITS',
            jsonb_build_array(
                jsonb_build_object('kind', 'credits', 'user_id', p_user_id, 'amount', p_credits),
                jsonb_build_object('kind', 'credits_issued', 'amount', -p_credits)
            )
        );
        v_balance := v_balance - p_credits;
    end if;
    return v_balance;
end
$$;
comment on function private.spend_credits(uuid, bigint, text) is
'Debits credits of a user, once for each key, and returns how many are left. For functions of later domains. Raises
PT402 credits_insufficient.';

create function private.deliver_order(p_order_id uuid, p_note text default null) returns public.fulfilments
language plpgsql
security definer -- clients may not write fulfilments; the condition finds only the caller's own
set search_path = ''
as $$
declare
    v_caller uuid := private.require_active();
    v_fulfilment public.fulfilments;
begin
    if exists (
        select from public.fulfilments as f
        where f.order_id = p_order_id and f.seller_id = v_caller and f.status = 'cancelled'
        for no key update
    ) then
        perform private.refuse('illegal_transition', 'fulfilments', 'cancelled', 'delivered');
    end if;
    update public.fulfilments as f set status = 'delivered', delivered_at = now(), note = p_note
    where f.order_id = p_order_id and f.seller_id = v_caller
    returning f.* into v_fulfilment;
    if not found then
        perform private.refuse('order_not_found');
    end if;
    return v_fulfilment;
end
$$;
comment on function private.deliver_order(uuid, text) is
'Reports the work of an order as done, with a note to the buyer. For its seller. Raises order_not_found (404),
illegal_transition (409: the order was refunded).';
