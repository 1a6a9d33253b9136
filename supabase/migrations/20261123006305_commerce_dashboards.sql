-- Commerce: the money on the dashboards of creators and student-teachers.

create function private.next_payout(p_user_id uuid, p_currency text) returns jsonb
language plpgsql
stable
security definer -- reads accounts and splits that the caller may not read
set search_path = ''
as $$
declare
    v_payable bigint := private.payable_balance(p_user_id, p_currency);
    v_minimum bigint := greatest(
        coalesce(
            private.setting('payout_minimum') -> p_currency, private.setting('payout_minimum') -> 'default'
        )::bigint,
        1
    );
begin
    return coalesce(
        (
            select jsonb_build_object(
                'payout_id', p.id, 'status', p.status, 'amount', p.amount, 'at', p.created_at
            )
            from public.payouts as p
            where p.user_id = p_user_id and p.currency = p_currency
                and p.status in ('requested', 'approved', 'processing', 'failed')
            order by p.created_at
            limit 1
        ),
        (
            select jsonb_build_object(
                'payout_id', null, 'status', 'payable', 'amount', private.rounded_down(t.amount, p_currency), 'at', t.at
            )
            from (
                select v_payable as amount, now() as at
                union all
                select
                    (v_payable + sum(sum(s.amount - s.returned_amount)) over (order by s.available_at))::bigint,
                    s.available_at
                from public.payment_splits as s
                where s.user_id = p_user_id and s.currency = p_currency and s.available_at > now()
                group by s.available_at
            ) as t
            where private.rounded_down(t.amount, p_currency) >= v_minimum
            order by t.at
            limit 1
        )
    );
end
$$;
comment on function private.next_payout(uuid, text) is
'The next payout of a person in a currency: {payout_id, status, amount (minor units), at}. The oldest that is open, at
the time of its request; else what can be requested (status payable), at the time when the earnings suffice; null where
they never will.';

create function private.dashboard__600_money(p_user_id uuid, p_role text) returns jsonb
language sql
stable
set search_path = ''
as $$
    select coalesce(
        jsonb_agg(
            jsonb_build_object(
                'currency', a.currency,
                'month_amount', s.month_amount,
                'lifetime_amount', s.lifetime_amount,
                'pending_amount', s.pending_amount,
                'sale_count', s.sale_count,
                'balance_amount', b.balance_amount,
                'in_transit_amount', b.in_transit_amount,
                'next_payout', private.next_payout(p_user_id, a.currency)
            )
            order by a.currency
        ),
        '[]'
    )
    from public.ledger_accounts as a
    join public.balances as b on b.user_id = a.user_id and b.currency = a.currency
    cross join lateral (
        select
            coalesce(sum(t.amount - t.returned_amount) filter (where t.created_at >= m.began_at), 0) as month_amount,
            coalesce(sum(t.amount - t.returned_amount), 0) as lifetime_amount,
            coalesce(sum(t.amount - t.returned_amount) filter (where t.available_at > now()), 0) as pending_amount,
            count(*) filter (where t.returned_amount < t.amount) as sale_count
        from public.payment_splits as t
        cross join (
            select date_trunc('month', now() at time zone u.time_zone) at time zone u.time_zone as began_at
            from public.user_settings as u
            where u.user_id = p_user_id
        ) as m
        where t.user_id = p_user_id and t.currency = a.currency
            and t.role = case p_role when 'creator' then 'seller' else 'student_teacher' end::public.split_role
    ) as s
    where a.user_id = p_user_id and a.kind = 'payable'
$$;
comment on function private.dashboard__600_money(uuid, text) is
'What a person earned as a creator (of sales) or as a student_teacher, one object for each currency, without what was
returned: {currency, month_amount (since the month began in the time zone of the person), lifetime_amount,
pending_amount (cannot be paid out yet), sale_count, balance_amount, in_transit_amount, next_payout}, in minor units.
The last three are of the person, in whichever role they earned.';
