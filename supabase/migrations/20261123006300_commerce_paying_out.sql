-- Commerce: requesting, approving and making payouts.

insert into private.errors (token, status, meaning, hint, detail)
values
(
    'balance_insufficient', 409,
    'The balance is smaller than the amount, or part of it cannot be paid out yet.',
    'Request less, or later: earnings can be paid out after some days.',
    'At most %s minor units of %s can be paid out now.'
),
(
    'balance_negative', 409,
    'Refunds or disputes have taken more from the balance than it had since the payout was requested.',
    'Cancel the payout: its amount returns to the balance, and the person may request what is left.',
    'The balance of this person is %s minor units of %s.'
),
(
    'currency_not_paid_out', 409,
    'The platform holds no money in this currency at the payment provider, so nothing can be paid out in it.',
    'Ask the operator, who can hold the currency at the provider.',
    'Nothing can be paid out in %s.'
),
(
    'list_invalid', 422,
    'The list must name 1 to 500 payouts.',
    'Send payout_ids.',
    null
),
(
    'payout_account_missing', 409,
    'You have no payout account that can be paid yet.',
    'Complete the onboarding first.',
    null
),
(
    'payout_not_found', 404,
    'There is no such payout.',
    'Read payouts again.',
    null
);

insert into private.app_config (key, value, description)
values
('payout_minimum', '{"default": 1000}', 'The least amount of a payout, in minor units, by currency.');

create table private.provider_balances (
    provider text not null
    constraint provider_balances_provider_fkey references private.payment_providers (provider) on delete cascade,
    currency text not null,
    available_amount bigint not null,
    observed_at timestamptz not null default now(),
    constraint provider_balances_pkey primary key (provider, currency)
);
comment on table private.provider_balances is
'The currencies in which the platform holds money at each provider, as the worker read them at night and before each
payout. A provider without rows was not read yet.';
comment on column private.provider_balances.currency is 'ISO 4217, upper case.';
comment on column private.provider_balances.available_amount is 'What could be transferred then, in minor units.';
alter table private.provider_balances enable row level security;

create function private.record_provider_balances(p_provider text, p_amounts jsonb) returns void
language plpgsql
security definer -- the table is closed
set search_path = ''
as $$
begin
    delete from private.provider_balances as b where b.provider = p_provider and not p_amounts ? b.currency;
    insert into private.provider_balances as b (provider, currency, available_amount)
    select p_provider, t.key, t.value::bigint from jsonb_each_text(p_amounts) as t
    order by t.key
    on conflict (provider, currency) do update
    set available_amount = excluded.available_amount, observed_at = now();
end
$$;
comment on function private.record_provider_balances(text, jsonb) is
'Replaces what is known of the balances at a provider by {currency (upper case): available amount in minor units}.';

create function private.require_currency_paid_out(p_user_id uuid, p_currency text) returns void
language plpgsql
security definer -- the balances are closed
set search_path = ''
as $$
declare
    v_provider text := private.provider_of('account', p_user_id);
begin
    if v_provider is null then
        return;
    elsif not exists (select from private.provider_balances as b where b.provider = v_provider) then
        -- Known before an admin approves.
        perform private.send_to_provider(v_provider, 'sync_balance', v_provider);
    elsif not exists (
        select from private.provider_balances as b where b.provider = v_provider and b.currency = p_currency
    ) then
        perform private.refuse('currency_not_paid_out', p_currency::text);
    end if;
end
$$;
comment on function private.require_currency_paid_out(uuid, text) is
'Refuses a currency in which the provider of a user''s payout account holds no money of the platform. Where no balance
was read yet, has the worker read it. Raises PT409 currency_not_paid_out.';

create function private.payable_balance(p_user_id uuid, p_currency text) returns bigint
language sql
stable
security definer -- reads accounts and splits that the caller may not read
set search_path = ''
as $$
    select least(
        coalesce(
            (
                select a.balance from public.ledger_accounts as a
                where a.kind = 'payable' and a.user_id = p_user_id and a.currency = p_currency
            ),
            0
        ) - (
            select coalesce(sum(s.amount - s.returned_amount), 0) from public.payment_splits as s
            where s.user_id = p_user_id and s.currency = p_currency and s.available_at > now()
        ),
        coalesce((select c.maximum_amount from private.currencies as c where c.code = p_currency), 99999999)
    )
$$;
comment on function private.payable_balance(uuid, text) is
'What can be paid out to a user now, in minor units: the balance without the pending part, at most what one transfer
can move. Negative where refunds exceed earnings.';

create function private.post_payout_step(p_payout public.payouts, p_step text) returns void
language sql
security definer -- only functions write the ledger
set search_path = ''
as $$
    select private.post_journal(
        case p_step
            when 'requested' then 'payout'
            when 'paid' then 'payout_paid'
            when 'late' then 'payout_late'
            else 'payout_return'
        end,
        'payout:' || p_payout.id || ':' || p_step, null, p_payout.currency,
        jsonb_build_array(
            jsonb_build_object(
                'kind', case when p_step in ('requested', 'late') then 'payable' else 'payout' end,
                'user_id', p_payout.user_id, 'amount', p_payout.amount
            ),
            case
                when p_step in ('paid', 'late') then jsonb_build_object('kind', 'provider', 'amount', -p_payout.amount)
                else jsonb_build_object(
                    'kind', case p_step when 'requested' then 'payout' else 'payable' end,
                    'user_id', p_payout.user_id, 'amount', -p_payout.amount
                )
            end
        )
    )
$$;
comment on function private.post_payout_step(public.payouts, text) is
'Writes a step of a payout into the ledger, once: requested (from payable to payout), paid (to the provider), cancelled
(back to payable), or late (from payable to the provider: it was transferred although it was cancelled).';

create function private.allocate_payout(p_payout public.payouts) returns void
language plpgsql
security definer -- clients may not write payout_items
set search_path = ''
as $$
begin
    -- The lock makes concurrent payouts of a person pay different sales.
    perform from public.ledger_accounts as a
    where a.kind = 'payable' and a.user_id = p_payout.user_id and a.currency = p_payout.currency for no key update;
    insert into public.payout_items (payout_id, split_id, user_id, amount)
    select p_payout.id, r.split_id, p_payout.user_id, least(r.due, p_payout.amount - r.earlier)
    from (
        select
            d.split_id,
            d.due,
            -- First what was refunded after it was paid out, then the oldest sales.
            sum(d.due) over (order by d.due > 0, d.available_at, d.split_id) - d.due as earlier
        from (
            select
                s.id as split_id,
                s.available_at,
                s.amount - s.returned_amount - coalesce(sum(i.amount - i.returned_amount), 0) as due
            from public.payment_splits as s
            left join public.payout_items as i on i.split_id = s.id
            where s.user_id = p_payout.user_id and s.currency = p_payout.currency and s.available_at <= now()
            group by s.id
        ) as d
        where d.due <> 0
    ) as r
    where r.earlier < p_payout.amount;
end
$$;
comment on function private.allocate_payout(public.payouts) is
'Writes down which sales a payout pays.';

create function private.release_payout(p_payout public.payouts, p_amount bigint) returns void
language sql
security definer -- clients may not write payout_items
set search_path = ''
as $$
    update public.payout_items as i set returned_amount = i.returned_amount + least(r.paid, p_amount - r.earlier)
    from (
        select
            t.split_id,
            t.amount - t.returned_amount as paid,
            sum(t.amount - t.returned_amount) over (order by s.available_at desc, t.split_id desc)
            - (t.amount - t.returned_amount) as earlier
        from public.payout_items as t
        join public.payment_splits as s on s.id = t.split_id
        where t.payout_id = p_payout.id and t.amount > 0 and t.amount > t.returned_amount
    ) as r
    where i.payout_id = p_payout.id and i.split_id = r.split_id and r.earlier < p_amount
$$;
comment on function private.release_payout(public.payouts, bigint) is
'Takes this amount, which came back, from the newest sales of a payout, so that a later payout pays them.';

create function private.tg_payouts__allocate() returns trigger
language plpgsql
security definer -- clients may not write payout_items
set search_path = ''
as $$
begin
    if new.status in ('cancelled', 'returned') then
        update public.payout_items as i set returned_amount = i.amount where i.payout_id = new.id;
        delete from public.payout_items as i where i.payout_id = new.id and new.status = 'cancelled';
    elsif tg_op = 'INSERT' or old.status = 'cancelled' then
        perform private.allocate_payout(new);
    elsif new.returned_amount > old.returned_amount then
        perform private.release_payout(new, new.returned_amount - old.returned_amount);
    end if;
    return null;
end
$$;
comment on function private.tg_payouts__allocate() is
'After a payout is requested, or paid although it was cancelled: writes down the sales that it pays. After it is
cancelled, or a part came back: releases them.';
create trigger _300_allocate after insert or update of status, returned_amount on public.payouts
for each row execute function private.tg_payouts__allocate();

create function private.request_payout(p_currency text, p_amount bigint default null) returns public.payouts
language plpgsql
security definer -- clients may not write payouts
set search_path = ''
as $$
declare
    v_caller uuid := private.require_active();
    v_payable bigint;
    v_minimum bigint := coalesce(
        private.setting('payout_minimum') -> p_currency, private.setting('payout_minimum') -> 'default'
    )::bigint;
    v_payout public.payouts;
begin
    if not exists (
        select from public.payout_accounts as a where a.user_id = v_caller and a.can_receive
    ) then
        perform private.refuse('payout_account_missing');
    end if;
    -- The lock makes concurrent requests count one after another.
    perform from public.ledger_accounts as a
    where a.kind = 'payable' and a.user_id = v_caller and a.currency = p_currency for no key update;
    -- The provider moves no smaller part.
    v_payable := private.rounded_down(private.payable_balance(v_caller, p_currency), p_currency);
    perform private.require_step(p_amount, p_currency);
    if coalesce(p_amount, v_payable) > v_payable or v_payable <= 0 then
        perform private.refuse('balance_insufficient', greatest(v_payable, 0)::text, p_currency::text);
    elsif coalesce(p_amount, v_payable) < v_minimum then
        perform private.refuse('amount_too_small', v_minimum::text, p_currency::text);
    end if;
    perform private.require_currency_paid_out(v_caller, p_currency);
    insert into public.payouts (user_id, amount, currency)
    values (v_caller, coalesce(p_amount, v_payable), p_currency)
    returning * into v_payout;
    perform private.post_payout_step(v_payout, 'requested');
    return v_payout;
end
$$;
comment on function private.request_payout(text, bigint) is
'Requests a payout of the caller''s balance in a currency: amount in minor units, or all that is not pending. For
people with earnings. Raises payout_account_missing, balance_insufficient, currency_not_paid_out (409),
amount_too_small, amount_unpayable (422).';

create function private.lock_payout(p_payout_id uuid) returns public.payouts
language plpgsql
security definer -- clients may not write payouts; the role is checked first
set search_path = ''
as $$
declare
    v_payout public.payouts;
begin
    perform private.require_role('admin');
    select p.* into v_payout from public.payouts as p where p.id = p_payout_id for no key update;
    if not found then
        perform private.refuse('payout_not_found');
    end if;
    return v_payout;
end
$$;
comment on function private.lock_payout(uuid) is
'A payout, locked, for an admin. Raises PT403 role_required, PT404 payout_not_found.';

create function private.audit_payout(p_before public.payouts, p_after public.payouts) returns void
language sql
security definer -- the log is closed
set search_path = ''
as $$
    select private.audit(
        'payout.' || p_after.status, 'payouts', p_after.id::text, jsonb_build_object('status', p_before.status),
        jsonb_build_object('status', p_after.status, 'amount', p_after.amount, 'currency', p_after.currency)
    )
$$;
comment on function private.audit_payout(public.payouts, public.payouts) is
'Records an admin''s change of a payout in the audit log.';

create function private.require_payouts(p_payout_ids uuid[]) returns void
language plpgsql
set search_path = ''
as $$
begin
    perform private.require_role('admin');
    if coalesce(cardinality(p_payout_ids), 0) not between 1 and 500 then
        perform private.refuse('list_invalid');
    end if;
end
$$;
comment on function private.require_payouts(uuid[]) is
'Refuses callers who are not admins, and a list that is empty or too long. Raises PT403 role_required, PT422
list_invalid.';

create function private.require_balance(p_payout public.payouts) returns void
language plpgsql
security definer -- balances are closed to the caller
set search_path = ''
as $$
declare
    v_balance bigint;
begin
    -- The lock waits for a refund or dispute that is being recorded.
    perform from public.ledger_accounts as a
    where a.kind = 'payable' and a.user_id = p_payout.user_id and a.currency = p_payout.currency for no key update;
    v_balance := private.balance_after_refunds(p_payout.user_id, p_payout.currency);
    if v_balance < 0 then
        perform private.refuse('balance_negative', v_balance::text, p_payout.currency::text);
    end if;
end
$$;
comment on function private.require_balance(public.payouts) is
'Refuses a payout of somebody whose balance refunds and disputes have made negative since the request. Raises PT409
balance_negative.';

create function private.approve_payouts(p_payout_ids uuid[]) returns setof public.payouts
language plpgsql
security definer -- clients may not write payouts; require_payouts checks the role
set search_path = ''
as $$
declare
    v_id uuid;
    v_before public.payouts;
    v_after public.payouts;
begin
    perform private.require_payouts(p_payout_ids);
    for v_id in select distinct t.id from unnest(p_payout_ids) as t (id) order by t.id loop
        v_before := private.lock_payout(v_id);
        v_after := v_before;
        if v_before.status <> 'approved' then
            perform private.require_balance(v_before);
            perform private.require_currency_paid_out(v_before.user_id, v_before.currency);
            update public.payouts as p set status = 'approved' where p.id = v_id returning p.* into v_after;
            perform private.audit_payout(v_before, v_after);
        end if;
        return next v_after;
    end loop;
end
$$;
comment on function private.approve_payouts(uuid[]) is
'Approves requested payouts, all of the list or none, and returns them. For admins; recorded in the audit log. Raises
role_required (403), payout_not_found (404), illegal_transition, balance_negative, currency_not_paid_out (409),
list_invalid (422).';

create function private.process_payouts(p_payout_ids uuid[]) returns setof public.payouts
language plpgsql
security definer -- clients may not write payouts; require_payouts checks the role
set search_path = ''
as $$
declare
    v_id uuid;
    v_before public.payouts;
    v_after public.payouts;
begin
    perform private.require_payouts(p_payout_ids);
    for v_id in select distinct t.id from unnest(p_payout_ids) as t (id) order by t.id loop
        v_before := private.lock_payout(v_id);
        v_after := v_before;
        if v_before.status <> 'processing' then
            if private.provider_of('account', v_before.user_id) is null then
                perform private.refuse('payout_account_missing');
            end if;
            perform private.require_balance(v_before);
            update public.payouts as p set status = 'processing', failure = null, attempts = p.attempts + 1
            where p.id = v_id
            returning p.* into v_after;
            perform private.send_to_provider(private.provider_of('account', v_after.user_id), 'transfer', v_id::text);
            perform private.audit_payout(v_before, v_after);
        end if;
        return next v_after;
    end loop;
end
$$;
comment on function private.process_payouts(uuid[]) is
'Has the worker transfer payouts that are approved, or that failed before, all of the list or none, and returns them;
one in processing stays so. For admins; recorded in the audit log. Raises role_required (403), payout_not_found (404),
illegal_transition, balance_negative, payout_account_missing (409: the person has no account any more), list_invalid
(422).';

create function private.cancel_payout(p_payout_id uuid) returns public.payouts
language plpgsql
security definer -- clients may not write payouts; the role is checked first
set search_path = ''
as $$
declare
    v_before public.payouts;
    v_after public.payouts;
begin
    perform private.require_role('admin');
    v_before := private.lock_payout(p_payout_id);
    v_after := v_before;
    if v_before.status <> 'cancelled' then
        update public.payouts as p set status = 'cancelled', failure = null where p.id = p_payout_id
        returning p.* into v_after;
        perform private.post_payout_step(v_after, 'cancelled');
        perform private.audit_payout(v_before, v_after);
    end if;
    return v_after;
end
$$;
comment on function private.cancel_payout(uuid) is
'Cancels a payout that is not processing or paid; its amount returns to the balance. For admins; recorded in the audit
log. Raises role_required (403), payout_not_found (404), illegal_transition (409).';

insert into private.mail_templates (template, topic)
values ('payout_returned', 'account'), ('payout_cancelled', 'account'), ('payout_account_closed', 'account');

create function private.return_payout(p_payout public.payouts) returns void
language plpgsql
security definer -- clients may not write payouts; the caller knows that it cannot be transferred
set search_path = ''
as $$
begin
    update public.payouts as p set status = 'cancelled' where p.id = p_payout.id;
    perform private.post_payout_step(p_payout, 'cancelled');
    perform private.enqueue_mail(
        p_payout.user_id, 'payout_cancelled',
        jsonb_build_object('amount', private.format_amount(p_payout.amount, p_payout.currency)),
        'payout_cancelled:' || p_payout.id
    );
end
$$;
comment on function private.return_payout(public.payouts) is
'Cancels a payout whose account can no longer receive; its amount returns to the balance, and the person gets a mail.
The caller has locked the payout.';

create function private.record_payout_result(p_payout_id uuid, p_provider text, p_reference text, p_failure text)
returns boolean
language plpgsql
security definer -- clients may not write payouts; the caller knows the result
set search_path = ''
as $$
declare
    v_payout public.payouts;
    v_is_cancelled boolean;
begin
    select p.* into v_payout from public.payouts as p where p.id = p_payout_id for no key update;
    if not found or v_payout.status in ('paid', 'returned') then
        return false;
    elsif p_failure is not null then
        update public.payouts as p set status = 'failed', failure = left(p_failure, 500)
        where p.id = p_payout_id and p.status = 'processing'
        returning p.* into v_payout;
        if not found then
            return false;
        elsif not exists (
            select from public.payout_accounts as a where a.user_id = v_payout.user_id and a.can_receive
        ) then
            perform private.return_payout(v_payout);
        end if;
        return true;
    end if;
    v_is_cancelled := v_payout.status = 'cancelled';
    -- A failure that was reported too early is corrected: the money was transferred.
    update public.payouts as p set status = 'processing', failure = null
    where p.id = p_payout_id and p.status = 'failed';
    update public.payouts as p set status = 'paid', paid_at = now(), failure = null where p.id = p_payout_id
    returning p.* into v_payout;
    perform private.bind_reference(p_provider, 'payout', p_reference, p_payout_id);
    perform private.post_payout_step(v_payout, case when v_is_cancelled then 'late' else 'paid' end);
    return true;
end
$$;
comment on function private.record_payout_result(uuid, text, text, text) is
'Records that a provider paid a payout by this transfer (reference), or that it failed for this reason; exactly one of
both is null. A failed payout to an account that can no longer receive is cancelled. One that was cancelled before its
transfer was reported is paid, out of the balance. Returns whether it changed anything.';

create function private.record_payout_return(
    p_payout_id uuid, p_provider text, p_reference text, p_returned_amount bigint
)
returns boolean
language plpgsql
security definer -- clients may not write payouts; the provider reported it
set search_path = ''
as $$
declare
    v_payout public.payouts;
    v_returned bigint;
begin
    select p.* into v_payout from public.payouts as p where p.id = p_payout_id for no key update;
    v_returned := least(p_returned_amount, v_payout.amount) - v_payout.returned_amount;
    -- Another transfer than the one that paid the payout came back whole: neither of its ways is in the ledger.
    if v_payout.status is distinct from 'paid' or v_returned <= 0
        or private.row_of_reference(p_provider, 'payout', p_reference) is distinct from p_payout_id
    then
        return false;
    end if;
    update public.payouts as p
    set
        returned_amount = p.returned_amount + v_returned,
        status = case when p.returned_amount + v_returned = p.amount then 'returned' else p.status end
    where p.id = p_payout_id
    returning p.* into v_payout;
    perform private.post_journal(
        'payout_returned', 'payout:' || p_payout_id || ':returned:' || v_payout.returned_amount, null,
        v_payout.currency,
        jsonb_build_array(
            jsonb_build_object('kind', 'provider', 'amount', v_returned),
            jsonb_build_object('kind', 'payable', 'user_id', v_payout.user_id, 'amount', -v_returned)
        )
    );
    perform private.enqueue_mail(
        v_payout.user_id, 'payout_returned',
        jsonb_build_object('amount', private.format_amount(v_returned, v_payout.currency)),
        'payout_returned:' || p_payout_id || ':' || v_payout.returned_amount
    );
    return true;
end
$$;
comment on function private.record_payout_return(uuid, text, text, bigint) is
'Records that a provider took back so much of the transfer (reference) that paid a payout, in all, in minor units: it
returns to the balance, and the person gets a mail. A repeated or older report changes nothing. Returns whether it
changed anything.';

create function private.close_payout_account(p_user_id uuid) returns void
language plpgsql
security definer -- clients may not write payouts; the provider has closed the account
set search_path = ''
as $$
declare
    v_payout public.payouts;
begin
    for v_payout in
        select p.* from public.payouts as p
        where p.user_id = p_user_id and p.status in ('requested', 'approved', 'failed')
        order by p.id for no key update
    loop
        perform private.return_payout(v_payout);
    end loop;
    if (select a.is_submitted from public.payout_accounts as a where a.user_id = p_user_id) then
        perform private.enqueue_mail(
            p_user_id, 'payout_account_closed', '{}',
            'payout_account_closed:' || p_user_id || ':' || extract(epoch from now())::bigint
        );
    end if;
    update public.payout_accounts as a
    set
        is_submitted = false, can_receive = false, missing = '{}', bank_failure = null, bank_failed_at = null
    where a.user_id = p_user_id;
end
$$;
comment on function private.close_payout_account(uuid) is
'Records that a person''s account at the provider is closed: open payouts return to the balance, and a mail asks
somebody who had completed it to begin again. A payout that is being transferred fails and then returns too.';
