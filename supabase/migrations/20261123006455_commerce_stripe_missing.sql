-- Commerce: what Stripe no longer has: deleted customers, products and prices, closed accounts, and every id of another
-- account or mode after the key was changed. A stored id never blocks: its reference ends, and the object is made anew.

create function private.end_lost_subscription(p_subscription_id uuid) returns void
language plpgsql
security definer -- clients may not write subscriptions; Stripe does not have it
set search_path = ''
as $$
declare
    v_subscription public.subscriptions;
begin
    select s.* into v_subscription from public.subscriptions as s
    where s.id = p_subscription_id and s.status <> 'ended';
    if found then
        v_subscription.status := 'ended';
        v_subscription.is_ending := false;
        -- What was paid stays.
        v_subscription.ended_at := greatest(v_subscription.period_ends_at, now());
        perform private.update_subscription(v_subscription);
    end if;
end
$$;
comment on function private.end_lost_subscription(uuid) is
'Ends a subscription that Stripe does not have, with the period that is paid. The caller has locked the order that
started it.';

create function private.drop_stripe_id(p_object text, p_stripe_id text) returns boolean
language plpgsql
security definer -- the references are closed; the edge and the worker learned from Stripe that the id is unknown
set search_path = ''
as $$
declare
    v_row_id uuid := private.row_id_of_stripe(p_stripe_id, p_object);
begin
    if v_row_id is null then
        return null;
    end if;
    -- The locks that apply_subscription and record_payout_result take, in the same order.
    perform from public.orders as o
    where o.id = (select s.order_id from public.subscriptions as s where s.id = v_row_id) for no key update;
    perform from public.payouts as p
    where p.user_id = v_row_id and p.status in ('requested', 'approved', 'failed') order by p.id for no key update;
    v_row_id := private.end_reference('stripe', p_object, p_stripe_id);
    if v_row_id is null then
        return false;
    elsif p_object = 'account' then
        perform private.close_payout_account(v_row_id);
    elsif p_object = 'subscription' then
        perform private.end_lost_subscription(v_row_id);
    elsif p_object in ('product', 'price') then
        perform private.defer_job(
            'sync_offer', jsonb_build_object('offer_id', v_row_id), 'sync_offer:' || v_row_id
        );
    end if;
    return true;
end
$$;
comment on function private.drop_stripe_id(text, text) is
'Records that Stripe does not have an object any more. A customer, a session and a product are made anew when they are
needed, an account by its owner, whose open payouts return to the balance; a subscription ends. Returns whether the id
was in use; null for an id of another application. For the edge and the worker.';

create function private.resync_archived(p_object jsonb) returns boolean
language plpgsql
security definer -- the references and the queue are closed
set search_path = ''
as $$
declare
    v_offer_id uuid := private.row_id_of_stripe(p_object ->> 'id', p_object ->> 'object');
begin
    if v_offer_id is null then
        return null;
    end if;
    -- Only what differs from the offer: our own changes are reported too.
    if p_object ->> 'active' <> 'false'
        or private.stripe_id_of(p_object ->> 'object', v_offer_id) is distinct from p_object ->> 'id'
        or not exists (select from public.offers as o where o.id = v_offer_id and o.status = 'active')
    then
        return false;
    end if;
    perform private.defer_job('sync_offer', jsonb_build_object('offer_id', v_offer_id), 'sync_offer:' || v_offer_id);
    return true;
end
$$;
comment on function private.resync_archived(jsonb) is
'Has the worker reactivate a product, or make a price anew, that somebody archived at Stripe while its offer is on sale.
Returns whether it does; null for what belongs to another application.';

create function private.apply_stripe_notice(p_type text, p_payload jsonb) returns boolean
language plpgsql
security definer -- apply_stripe_event calls this
set search_path = ''
as $$
declare
    v_object jsonb := p_payload #> '{data,object}';
begin
    return case p_type
        when 'payout.failed' then private.apply_bank_failure(
            p_payload ->> 'account', v_object, to_timestamp((p_payload ->> 'created')::bigint)
        )
        when 'account.application.deauthorized' then private.drop_stripe_id('account', p_payload ->> 'account')
        when 'product.updated' then private.resync_archived(v_object)
        when 'price.updated' then private.resync_archived(v_object)
        else private.drop_stripe_id(v_object ->> 'object', v_object ->> 'id')
    end;
end
$$;
comment on function private.apply_stripe_notice(text, jsonb) is
'Applies an event about an object that Stripe changed or lost by itself or by hand: customer.deleted, product.deleted,
price.deleted, product.updated, price.updated, account.application.deauthorized, or payout.failed of a connected
account. Returns whether it changed anything; null where it belongs to another application.';
