-- Commerce: what the end of an account or of the role teacher does to sales and purchases, and what undoes it.
-- docs/architecture.md has the rule as a table.
--
-- Locks: the account, then orders, then courses (catalog pauses them in between), then offers. A payment locks its
-- order and then the courses, so that orders must come first: account_stopped__050 runs before catalog's function.

insert into private.mail_templates (template, topic)
values ('renewals_paused', 'account'), ('renewals_resumed', 'account'), ('membership_ending', 'account');

create function private.lock_open_orders(p_user_id uuid) returns void
language plpgsql
security definer -- locks rows that only functions may write
set search_path = ''
as $$
begin
    perform from public.orders as o
    where o.id in (
        select s.id from public.orders as s
        where (s.seller_id = p_user_id or s.student_teacher_id = p_user_id or s.buyer_id = p_user_id)
            -- Of those that have ended, money may still come that was sent before.
            and (
                s.status in ('pending', 'processing')
                or (s.status <> 'paid' and s.expires_at > now() - interval '2 days')
            )
        union all
        select m.order_id from public.subscriptions as m
        where (m.seller_id = p_user_id or m.user_id = p_user_id) and m.status <> 'ended'
        union all
        select f.order_id from public.fulfilments as f where f.seller_id = p_user_id and f.status = 'open'
    )
    order by o.id for no key update;
end
$$;
comment on function private.lock_open_orders(uuid) is
'Locks the orders of a buyer, seller or student-teacher that may still change, in one order. A payment that is being
received has committed afterwards, or finds the account as the caller of this function leaves it.';

create function private.cancel_pending_orders(p_user_id uuid, p_is_buyer boolean) returns void
language plpgsql
security definer -- clients may not write orders
set search_path = ''
as $$
begin
    update public.orders as o set status = 'cancelled'
    where o.status = 'pending'
        and (
            o.seller_id = p_user_id or o.student_teacher_id = p_user_id or (p_is_buyer and o.buyer_id = p_user_id)
        );
end
$$;
comment on function private.cancel_pending_orders(uuid, boolean) is
'Cancels the pending orders of which a user is seller or student-teacher, and with p_is_buyer buyer; their payment pages
close. The caller has locked them, but for those that were placed meanwhile.';

create function private.sync_renewals(p_subscription_id uuid) returns void
language plpgsql
security definer -- the references are closed
set search_path = ''
as $$
declare
    v_provider text := private.provider_of('subscription', p_subscription_id);
begin
    if v_provider is not null then
        perform private.send_to_provider(v_provider, 'sync_renewals', p_subscription_id::text);
    end if;
end
$$;
comment on function private.sync_renewals(uuid) is
'Has the provider of a subscription do what renewals_of says.';

create function private.end_subscription(p_subscription_id uuid) returns void
language sql
security definer -- the references are closed
set search_path = ''
as $$
    select private.send_to_provider(r.provider, 'end_subscription', r.reference)
    from private.provider_references as r
    where r.row_id = p_subscription_id and r.object = 'subscription'
$$;
comment on function private.end_subscription(uuid) is
'Has its provider end a subscription at once.';

create function private.has_left(p_user_id uuid) returns boolean
language sql
stable
security definer -- reads the status of others
set search_path = ''
as $$
    select exists (
        select from public.accounts as a where a.user_id = p_user_id and a.status in ('banned', 'deleted')
    )
$$;
comment on function private.has_left(uuid) is 'Whether a user is banned or deleted; false for null, the platform.';

create function private.renewals_of(p_subscription_id uuid, out is_paused boolean, out must_end boolean)
language sql
stable
security definer -- reads subscriptions and the status of their sellers
set search_path = ''
as $$
    select s.is_paused, private.has_left(s.seller_id) from public.subscriptions as s
    where s.id = p_subscription_id and s.status <> 'ended'
$$;
comment on function private.renewals_of(uuid) is
'What the provider is to do with a subscription: collect nothing while is_paused, and with must_end renew no more. Nulls
for one that has ended.';

create function private.mail_subscriber(p_subscription public.subscriptions, p_template text) returns void
language sql
security definer -- the outbox is closed
set search_path = ''
as $$
    select private.enqueue_mail(
        o.buyer_id, p_template,
        jsonb_build_object(
            'title', o.title, 'seller_name', o.seller_name, 'ends_at', p_subscription.period_ends_at
        ),
        format('%s:%s:%s', p_template, p_subscription.id, extract(epoch from clock_timestamp()))
    )
    from public.orders as o
    where o.id = p_subscription.order_id
$$;
comment on function private.mail_subscriber(public.subscriptions, text) is
'Mails a subscriber about a subscription, under the name that the seller had when it began.';

create function private.refund_open_work(p_seller_id uuid) returns void
language plpgsql
security definer -- clients may not write refunds and fulfilments
set search_path = ''
as $$
declare
    v_order public.orders;
begin
    for v_order in
        select o.* from public.orders as o
        where o.id in (
            select f.order_id from public.fulfilments as f where f.seller_id = p_seller_id and f.status = 'open'
        )
        order by o.id for no key update
    loop
        if private.refundable_amount(v_order) > 0 then
            perform private.request_refund(v_order, null, 'The seller cannot deliver this any more.');
        elsif v_order.paid_amount = 0 then
            update public.fulfilments as f set status = 'cancelled' where f.order_id = v_order.id;
            update public.entitlements as e set ends_at = greatest(now(), e.starts_at) where e.order_id = v_order.id;
        end if;
    end loop;
end
$$;
comment on function private.refund_open_work(uuid) is
'Refunds all that is left of the payments for work that a seller has not delivered; the refunds cancel the work. Work
that cost nothing is cancelled at once.';

create function private.stop_sales(p_user_id uuid, p_has_left boolean) returns void
language plpgsql
security definer -- clients may not write subscriptions
set search_path = ''
as $$
declare
    v_subscription public.subscriptions;
begin
    for v_subscription in
        select s.* from public.subscriptions as s
        where s.seller_id = p_user_id and s.status <> 'ended' and not s.is_ending and (p_has_left or not s.is_paused)
        order by s.id for no key update
    loop
        if not p_has_left then
            update public.subscriptions as s set is_paused = true where s.id = v_subscription.id;
        end if;
        perform private.sync_renewals(v_subscription.id);
        perform private.mail_subscriber(
            v_subscription, case when p_has_left then 'membership_ending' else 'renewals_paused' end
        );
    end loop;
end
$$;
comment on function private.stop_sales(uuid, boolean) is
'Stops the renewals of subscriptions to a seller and mails the subscribers: until resume_sales, or with p_has_left for
good, so that they end with the paid period. Those that their subscribers have cancelled end anyway.';

create function private.resume_sales(p_user_id uuid) returns void
language plpgsql
security definer -- clients may not write subscriptions
set search_path = ''
as $$
declare
    v_subscription public.subscriptions;
begin
    if not private.can_teach(p_user_id) then
        return;
    end if;
    perform private.lock_open_orders(p_user_id);
    for v_subscription in
        update public.subscriptions as s set is_paused = false where s.seller_id = p_user_id and s.is_paused
        returning s.*
    loop
        if v_subscription.status <> 'ended' then
            perform private.sync_renewals(v_subscription.id);
        end if;
        if v_subscription.status <> 'ended' and not v_subscription.is_ending then
            perform private.mail_subscriber(v_subscription, 'renewals_resumed');
        end if;
    end loop;
end
$$;
comment on function private.resume_sales(uuid) is
'Lets the paused subscriptions to a seller renew again, unless the seller still cannot sell, and mails their
subscribers.';

create function private.stop_purchases(p_user_id uuid) returns void
language plpgsql
security definer -- the references are closed
set search_path = ''
as $$
declare
    v_customer private.provider_references;
begin
    perform private.end_subscription(s.id) from public.subscriptions as s
    where s.user_id = p_user_id and s.status <> 'ended'
    order by s.id;
    for v_customer in
        select r.* from private.provider_references as r
        where r.row_id = p_user_id and r.object = 'customer' and r.ended_at is null
    loop
        perform private.send_to_provider(v_customer.provider, 'end_customer', v_customer.reference);
        perform private.end_reference(v_customer.provider, 'customer', v_customer.reference);
    end loop;
end
$$;
comment on function private.stop_purchases(uuid) is
'Has the providers end the subscriptions of a buyer at once, and delete the customer with the cards. A buyer who is
reinstated becomes a new customer.';

create function private.tg_provider_references__end_customer() returns trigger
language plpgsql
security definer -- reads the status of others
set search_path = ''
as $$
begin
    if private.has_left(new.row_id) then
        perform private.send_to_provider(new.provider, 'end_customer', new.reference);
        perform private.end_reference(new.provider, 'customer', new.reference);
    end if;
    return null;
end
$$;
comment on function private.tg_provider_references__end_customer() is
'After a customer was recorded that a checkout made while its buyer was banned or deleted: it is deleted.';
create trigger _300_end_customer after insert on private.provider_references
for each row when (new.object = 'customer') execute function private.tg_provider_references__end_customer();

create function private.tg_subscriptions__keep_stopped() returns trigger
language plpgsql
security definer -- clients may not write subscriptions
set search_path = ''
as $$
declare
    v_subscription public.subscriptions;
begin
    -- As it is at the end of the transaction, when its reference is recorded, too.
    select s.* into v_subscription from public.subscriptions as s where s.id = new.id and s.status <> 'ended';
    if not found or (private.may_sell(v_subscription.seller_id) and not private.has_left(v_subscription.user_id)) then
        return null;
    elsif private.has_left(v_subscription.user_id) or not exists (
        select from public.orders as o where o.subscription_id = v_subscription.id and o.status = 'paid'
    ) then
        perform private.end_subscription(v_subscription.id);
    elsif private.has_left(v_subscription.seller_id) and not v_subscription.is_ending then
        perform private.sync_renewals(v_subscription.id);
    elsif not v_subscription.is_paused and not v_subscription.is_ending then
        update public.subscriptions as s set is_paused = true where s.id = v_subscription.id;
        perform private.sync_renewals(v_subscription.id);
    end if;
    return null;
end
$$;
comment on function private.tg_subscriptions__keep_stopped() is
'At the end of a transaction in which a provider reported a subscription: one that began, or that its subscriber
continued at the provider, although buyer or seller was stopped, is stopped again. One that is not paid yet ends at
once.';
create constraint trigger _400_keep_stopped after insert or update of status, is_ending on public.subscriptions
deferrable initially deferred
for each row execute function private.tg_subscriptions__keep_stopped();

create function private.pause_offers(p_user_id uuid) returns void
language plpgsql
security definer -- clients may not write the status of offers and products
set search_path = ''
as $$
begin
    perform from public.offers as o where o.seller_id = p_user_id and o.status = 'active'
    order by o.id for no key update;
    -- The offer of a course follows the course.
    update public.offers as o set status = 'paused'
    where o.seller_id = p_user_id and o.status = 'active' and o.course_id is null;
    update public.products as p set status = 'paused' where p.creator_id = p_user_id and p.status = 'published';
end
$$;
comment on function private.pause_offers(uuid) is
'Takes the offers and products of a seller off the market, until resume_offers.';

create function private.resume_offers(p_user_id uuid) returns void
language plpgsql
security definer -- clients may not write the status of offers and products
set search_path = ''
as $$
begin
    if private.can_teach(p_user_id) then
        update public.products as p set status = 'published' where p.creator_id = p_user_id and p.status = 'paused';
        update public.offers as o set status = 'active' where o.seller_id = p_user_id and o.status = 'paused';
    end if;
end
$$;
comment on function private.resume_offers(uuid) is
'Puts the paused offers and products of a seller on the market again, unless the seller still cannot sell. What was
archived meanwhile stays archived.';

create function private.account_stopped__050_orders(p_user_id uuid, p_status public.account_status) returns void
language plpgsql
set search_path = ''
as $$
begin
    perform private.lock_open_orders(p_user_id);
    perform private.cancel_pending_orders(p_user_id, true);
    perform private.stop_sales(p_user_id, p_status <> 'suspended');
    if p_status <> 'suspended' then
        perform private.stop_purchases(p_user_id);
    end if;
    if p_status = 'banned' then
        perform private.refund_open_work(p_user_id);
    end if;
end
$$;
comment on function private.account_stopped__050_orders(uuid, public.account_status) is
'Cancels the pending orders of the user as buyer, seller and student-teacher, and stops renewals of subscriptions to the
user. For a banned or deleted one, own subscriptions end and the customer at the provider is deleted; open work of a
banned one is refunded (a deletion with open work is refused, unless an admin has it refunded).';

create function private.account_stopped__600_offers(p_user_id uuid, p_status public.account_status) returns void
language plpgsql
set search_path = ''
as $$
begin
    perform private.pause_offers(p_user_id);
    -- Those that were placed before the offers were locked.
    perform private.cancel_pending_orders(p_user_id, true);
end
$$;
comment on function private.account_stopped__600_offers(uuid, public.account_status) is
'Takes what the user sells off the market.';

create function private.account_resumed__050_orders(p_user_id uuid) returns void
language sql
set search_path = ''
as $$
    select private.resume_sales(p_user_id)
$$;
comment on function private.account_resumed__050_orders(uuid) is 'Subscriptions to the user renew again.';

create function private.account_resumed__600_offers(p_user_id uuid) returns void
language sql
set search_path = ''
as $$
    select private.resume_offers(p_user_id)
$$;
comment on function private.account_resumed__600_offers(uuid) is 'What the user sells is on the market again.';

create function private.role_lost__050_orders(p_user_id uuid, p_role public.app_role) returns void
language plpgsql
set search_path = ''
as $$
begin
    -- account_stopped has done more for somebody who left.
    if p_role = 'teacher' and not private.has_left(p_user_id) then
        perform private.lock_open_orders(p_user_id);
        perform private.cancel_pending_orders(p_user_id, false);
        perform private.stop_sales(p_user_id, false);
    end if;
end
$$;
comment on function private.role_lost__050_orders(uuid, public.app_role) is
'Cancels the pending orders of a former teacher as seller, and pauses renewals of subscriptions to them.';

create function private.role_lost__600_offers(p_user_id uuid, p_role public.app_role) returns void
language plpgsql
set search_path = ''
as $$
begin
    if p_role = 'teacher' then
        perform private.pause_offers(p_user_id);
        perform private.cancel_pending_orders(p_user_id, false);
    end if;
end
$$;
comment on function private.role_lost__600_offers(uuid, public.app_role) is
'Takes what a former teacher sells off the market.';

create function private.role_gained__050_orders(p_user_id uuid, p_role public.app_role) returns void
language plpgsql
set search_path = ''
as $$
begin
    if p_role = 'teacher' then
        perform private.resume_sales(p_user_id);
    end if;
end
$$;
comment on function private.role_gained__050_orders(uuid, public.app_role) is
'Subscriptions to somebody who is a teacher again renew again.';

create function private.role_gained__600_offers(p_user_id uuid, p_role public.app_role) returns void
language plpgsql
set search_path = ''
as $$
begin
    if p_role = 'teacher' then
        perform private.resume_offers(p_user_id);
    end if;
end
$$;
comment on function private.role_gained__600_offers(uuid, public.app_role) is
'What somebody sells who is a teacher again is on the market again.';

create function private.course_transfer_begun__600_orders(p_course_id uuid) returns void
language plpgsql
security definer -- clients may not write orders
set search_path = ''
as $$
begin
    update public.orders as o set status = 'cancelled'
    where o.id in (
        select w.id from public.orders as w
        join public.order_courses as i on i.order_id = w.id and i.course_id = p_course_id
        where w.status = 'pending'
        order by w.id for no key update of w
    );
end
$$;
comment on function private.course_transfer_begun__600_orders(uuid) is
'Cancels the pending orders that contain a course and name its former creator as seller. It waits for those that are
locked; tg_courses__cancel_orders does the same to orders that are placed until the course is locked.';

create function private.tg_student_teachers__cancel_orders() returns trigger
language plpgsql
security definer -- clients may not write orders
set search_path = ''
as $$
begin
    update public.orders as o set status = 'cancelled'
    where o.id in (
        select p.id from public.orders as p
        where p.student_teacher_id = new.user_id and p.course_id = new.course_id and p.status = 'pending'
        -- place_order locks its order before the student-teacher.
        for no key update skip locked
    );
    return null;
end
$$;
comment on function private.tg_student_teachers__cancel_orders() is
'After a student-teacher withdrew or was revoked: cancels pending orders that name them.';
create trigger _410_cancel_orders after update of status on public.student_teachers
for each row when (old.status = 'approved' and new.status <> 'approved')
execute function private.tg_student_teachers__cancel_orders();

create function private.require_resumable(p_subscription_id uuid, p_user_id uuid) returns void
language plpgsql
stable
security definer -- the edge may read no table; it asks for its own caller
set search_path = ''
as $$
begin
    perform private.require_active_account(p_user_id);
    if exists (
        select from public.subscriptions as s where s.id = p_subscription_id and not private.may_sell(s.seller_id)
    ) then
        perform private.refuse('seller_unavailable');
    end if;
end
$$;
comment on function private.require_resumable(uuid, uuid) is
'Refuses to continue a subscription of a user who is not active, or to a seller who cannot sell. Raises PT403
account_inactive, PT409 seller_unavailable. For the edge.';
