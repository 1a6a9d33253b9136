-- Commerce: what a person owes to buyers, or is owed, when the account ends.

create function private.balance_after_refunds(p_user_id uuid, p_currency text) returns bigint
language sql
stable
security definer -- reads accounts, splits and refunds that the caller may not read
set search_path = ''
as $$
    select coalesce(
        (
            select a.balance from public.ledger_accounts as a
            where a.kind = 'payable' and a.user_id = p_user_id and a.currency = p_currency
        ),
        0
    ) - (
        select coalesce(sum(
            s.amount * least(o.refunded_amount + o.disputed_amount + r.amount, o.paid_amount) / o.paid_amount
            - s.returned_amount
        ), 0)::bigint
        from public.payment_splits as s
        join public.orders as o on o.id = s.order_id
        join lateral (
            select sum(f.amount)::bigint as amount from public.refunds as f
            where f.order_id = o.id and f.status = 'pending'
        ) as r on r.amount > 0
        where s.user_id = p_user_id and s.currency = p_currency
    )
$$;
comment on function private.balance_after_refunds(uuid, text) is
'The balance of a user in minor units as it will be once the pending refunds have been made.';

create function private.account_obligations__600_commerce(p_user_id uuid)
returns table (
    kind text, item_id uuid, title text, item_count bigint, amount bigint, currency text, is_blocking boolean
)
language plpgsql
stable
set search_path = ''
as $$
begin
    return query
    select
        case a.kind when 'payable' then 'balance' else 'credits' end, null::uuid, null::text, 1::bigint, a.balance,
        a.currency, a.kind = 'payable' and private.balance_after_refunds(p_user_id, a.currency) <> 0
    from public.ledger_accounts as a
    where a.user_id = p_user_id and a.kind in ('payable', 'credits') and a.balance <> 0
    order by a.kind, a.currency;
    return query
    select 'payout'::text, p.id, null::text, 1::bigint, p.amount, p.currency, true
    from public.payouts as p
    where p.user_id = p_user_id and p.status not in ('paid', 'cancelled')
    order by p.created_at;
    return query
    select
        'open_work'::text, o.id, o.title, 1::bigint, o.paid_amount - o.refunded_amount - o.disputed_amount, o.currency,
        o.paid_amount = 0 or private.refundable_amount(o) > 0
    from public.fulfilments as f
    join public.orders as o on o.id = f.order_id
    where f.seller_id = p_user_id and f.status = 'open'
    order by f.created_at;
    return query
    select 'subscriber'::text, o.id, o.title, count(*), null::bigint, null::text, true
    from public.subscriptions as s
    join public.offers as o on o.id = s.offer_id
    where s.seller_id = p_user_id and s.status <> 'ended' and not s.is_ending
    group by o.id;
    return query
    select 'paying_student'::text, c.id, c.title, count(*), null::bigint, null::text, false
    from public.courses as c
    join private.open_enrolments as e on e.course_id = c.id and e.source = 'purchase'
    where c.creator_id = p_user_id
    group by c.id;
end
$$;
comment on function private.account_obligations__600_commerce(uuid) is
'Balances and credits, payouts, open work, subscriptions that renew, and students who paid. Students keep their course
and credits end with the account, so neither prevents a deletion; nor does work whose refund is under way.';

create function private.close_obligations__610_open_work(p_user_id uuid, p_way text) returns boolean
language plpgsql
set search_path = ''
as $$
begin
    if p_way is distinct from 'refund' then
        perform private.refuse('obligation_way_unknown', 'open_work', p_way);
    end if;
    perform private.refund_open_work(p_user_id);
    return false;
end
$$;
comment on function private.close_obligations__610_open_work(uuid, text) is
'refund: refunds work that is not delivered. Raises PT422 obligation_way_unknown.';

create function private.close_obligations__620_payout(p_user_id uuid, p_way text) returns boolean
language plpgsql
set search_path = ''
as $$
declare
    v_before public.payouts;
    v_after public.payouts;
begin
    if p_way = 'keep' then
        return true;
    elsif p_way is distinct from 'cancel' then
        perform private.refuse('obligation_way_unknown', 'payout', p_way);
    end if;
    for v_before in
        select p.* from public.payouts as p
        where p.user_id = p_user_id and p.status in ('requested', 'approved', 'failed')
        order by p.id for no key update
    loop
        update public.payouts as p set status = 'cancelled', failure = null where p.id = v_before.id
        returning p.* into v_after;
        perform private.post_payout_step(v_after, 'cancelled');
        perform private.audit_payout(v_before, v_after);
    end loop;
    return false;
end
$$;
comment on function private.close_obligations__620_payout(uuid, text) is
'cancel: the amounts of payouts that are not under way return to the balance. keep: admins approve and process them
later. Raises PT422 obligation_way_unknown.';

create function private.close_obligations__630_balance(p_user_id uuid, p_way text) returns boolean
language plpgsql
security definer -- only functions write the ledger
set search_path = ''
as $$
declare
    v_currency text;
    v_amount bigint;
    v_payout public.payouts;
begin
    if p_way = 'keep' then
        return true;
    elsif p_way is null or p_way not in ('forfeit', 'pay_out') then
        perform private.refuse('obligation_way_unknown', 'balance', p_way);
    end if;
    for v_currency in
        select a.currency from public.ledger_accounts as a
        where a.user_id = p_user_id and a.kind = 'payable'
        order by a.id for no key update
    loop
        v_amount := private.balance_after_refunds(p_user_id, v_currency);
        if p_way = 'forfeit' and v_amount <> 0 then
            perform private.post_journal(
                'balance_forfeited', 'balance_forfeited:' || gen_random_uuid(), null, v_currency,
                jsonb_build_array(
                    jsonb_build_object('kind', 'payable', 'user_id', p_user_id, 'amount', v_amount),
                    jsonb_build_object('kind', 'platform', 'amount', -v_amount)
                )
            );
        end if;
        v_amount := private.rounded_down(
            least(v_amount, private.payable_balance(p_user_id, v_currency)), v_currency
        );
        if p_way = 'pay_out' and v_amount > 0 then
            if not exists (select from public.payout_accounts as a where a.user_id = p_user_id and a.can_receive) then
                perform private.refuse('payout_account_missing');
            end if;
            insert into public.payouts (user_id, amount, currency) values (p_user_id, v_amount, v_currency)
            returning * into v_payout;
            perform private.post_payout_step(v_payout, 'requested');
        end if;
    end loop;
    return false;
end
$$;
comment on function private.close_obligations__630_balance(uuid, text) is
'keep: it stays the user''s, and close_obligations pays it out later. pay_out: requests a payout of what can be paid out
now. forfeit: the platform takes it, or bears a negative one, by a journal balance_forfeited. Refunds under way are left
out. Raises PT409 payout_account_missing, PT422 obligation_way_unknown.';

create function private.close_obligations__640_subscriber(p_user_id uuid, p_way text) returns boolean
language plpgsql
set search_path = ''
as $$
begin
    if p_way is distinct from 'end' then
        perform private.refuse('obligation_way_unknown', 'subscriber', p_way);
    end if;
    return true;
end
$$;
comment on function private.close_obligations__640_subscriber(uuid, text) is
'end: the deletion ends the subscriptions with their paid periods. Raises PT422 obligation_way_unknown.';
