-- Commerce: paying people out. What is owed leaves their account when they ask, is approved by an admin, and is
-- transferred to their account at Stripe by the worker.

insert into private.app_config (key, value, description)
values ('payout_minimum', '{"default": 1000}', 'The least that is paid out at once, in minor units, by currency.');

create table public.payout_accounts (
    user_id uuid constraint payout_accounts_pkey primary key
    constraint payout_accounts_user_id_fkey references public.profiles (id) on delete restrict,
    is_submitted boolean not null default false,
    can_receive boolean not null default false,
    missing text[] not null default '{}',
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now()
);
comment on table public.payout_accounts is
'Whether somebody can be paid out, as the payment provider tells it. One reads the own, admins all. Written by functions
only.';
comment on column public.payout_accounts.is_submitted is 'Whether all that was asked has been given.';
comment on column public.payout_accounts.can_receive is 'Whether transfers arrive.';
comment on column public.payout_accounts.missing is 'What the provider still wants to know, in its words.';
alter table public.payout_accounts enable row level security;
revoke all on public.payout_accounts from anon, authenticated, service_role;
create trigger _200_set_updated_at before update on public.payout_accounts
for each row execute function private.tg__set_updated_at();

create function private.bind_payout_account(p_user_id uuid, p_stripe_id text) returns text
language plpgsql
security definer -- the edge, which made the account, may write no table
set search_path = ''
as $$
begin
    perform pg_catalog.pg_advisory_xact_lock(pg_catalog.hashtextextended('payout_accounts:' || p_user_id::text, 0));
    insert into public.payout_accounts (user_id) values (p_user_id) on conflict (user_id) do nothing;
    if private.stripe_id('account', p_user_id) is null then
        perform private.bind_stripe_object(p_stripe_id, 'account', p_user_id);
    end if;
    return private.stripe_id('account', p_user_id);
end
$$;
comment on function private.bind_payout_account(uuid, text) is
'Keeps which account at Stripe is somebody''s, and answers which one it is: the first stays.';

create function private.payout_account_brief(p_user_id uuid) returns jsonb
language plpgsql
stable
security definer -- the edge may read no table; it asks for whoever calls it
set search_path = ''
as $$
begin
    if not exists (
        select from public.accounts as a
        where a.user_id = p_user_id
            and (a.status = 'active' or (a.status = 'suspended' and a.suspended_until <= now()))
    ) then
        raise sqlstate 'PT403' using
            message = 'account_inactive',
            detail = 'This account is suspended, banned or deleted.',
            hint = 'Ask support for the reason.';
    end if;
    return jsonb_build_object(
        'user_id', p_user_id,
        'email', (select u.email from auth.users as u where u.id = p_user_id),
        'account', private.stripe_id('account', p_user_id)
    );
end
$$;
comment on function private.payout_account_brief(uuid) is
'What Stripe must be told of somebody who is to be paid out: {user_id, email, account (at Stripe, null where none)}.
Raises PT403 account_inactive.';

create function private.apply_account(p_object jsonb, p_as_of timestamptz) returns boolean
language plpgsql
security definer -- the payment provider told it
set search_path = ''
as $$
begin
    update private.stripe_objects as s set as_of = p_as_of
    where s.stripe_id = p_object ->> 'id' and s.object = 'account' and s.as_of <= p_as_of;
    if not found then
        return false;
    end if;
    update public.payout_accounts as a
    set
        is_submitted = coalesce((p_object ->> 'details_submitted')::boolean, false),
        can_receive = coalesce((p_object ->> 'payouts_enabled')::boolean, false),
        missing = array(
            select t.field from jsonb_array_elements_text(
                coalesce(p_object #> '{requirements,currently_due}', '[]')
            ) as t (field)
        )
    where a.user_id = private.of_stripe(p_object ->> 'id', 'account');
    return found;
end
$$;
comment on function private.apply_account(jsonb, timestamptz) is
'Has somebody''s payout account be as Stripe had it at that time; older news is passed over. Answers whether it had an
effect.';

create type public.payout_status as enum ('requested', 'approved', 'processing', 'paid', 'failed', 'cancelled');
comment on type public.payout_status is
'requested: by the person. approved: by an admin. processing: asked of the payment provider. paid: transferred. failed:
the provider refused; it can be retried. cancelled: the money is owed again.';

create table public.payouts (
    id uuid not null default gen_random_uuid() constraint payouts_pkey primary key,
    user_id uuid not null constraint payouts_user_id_fkey references public.profiles (id) on delete restrict,
    amount bigint not null constraint payouts_amount_check check (amount > 0),
    currency text not null,
    status public.payout_status not null default 'requested',
    failure text,
    attempts integer not null default 0,
    created_at timestamptz not null default now(),
    paid_at timestamptz,
    updated_at timestamptz not null default now(),
    constraint payouts_paid_at_check check ((status = 'paid') = (paid_at is not null)),
    constraint payouts_failure_check check (status <> 'failed' or failure is not null)
);
comment on table public.payouts is
'What is and was paid out to whom. A person reads the own, admins all. Written by functions only.';
comment on column public.payouts.amount is 'In minor units.';
comment on column public.payouts.currency is 'ISO 4217, upper case.';
comment on column public.payouts.paid_at is 'When it was transferred.';
comment on column public.payouts.failure is 'Why the provider refused the last time.';
comment on column public.payouts.attempts is 'How often it was asked of the provider.';
alter table public.payouts enable row level security;
revoke all on public.payouts from anon, authenticated, service_role;
create index payouts_user_id_idx on public.payouts (user_id, created_at desc);
comment on index public.payouts_user_id_idx is
'My payouts: user_id=eq.&order=created_at.desc, the policies, and the foreign key';
create index payouts_status_idx on public.payouts (status, created_at);
comment on index public.payouts_status_idx is 'The admins'' queue: status=eq.requested&order=created_at';
create trigger _200_set_updated_at before update on public.payouts
for each row execute function private.tg__set_updated_at();

insert into private.status_transitions (table_name, from_status, to_status)
values
('payouts', 'requested', 'approved'),
('payouts', 'requested', 'cancelled'),
('payouts', 'approved', 'processing'),
('payouts', 'approved', 'cancelled'),
('payouts', 'processing', 'paid'),
('payouts', 'processing', 'failed'),
('payouts', 'failed', 'processing'),
('payouts', 'failed', 'cancelled');
create trigger _100_check_transition before update of status on public.payouts
for each row when (old.status is distinct from new.status) execute function private.tg__check_transition();

create function private.payable_balance(p_user_id uuid, p_currency text) returns bigint
language sql
stable
security definer -- reads for functions of ours
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
        99999999
    )
$$;
comment on function private.payable_balance(uuid, text) is
'What can be paid out to somebody now, in minor units: what is owed without what is still held; at most what one
transfer takes. Less than nothing where more came back than was left.';

create view public.balances with (security_invoker = true) as
select
    a.user_id,
    a.currency,
    a.balance as owed_amount,
    coalesce(
        (
            select sum(s.amount - s.returned_amount) from public.payment_splits as s
            where s.user_id = a.user_id and s.currency = a.currency and s.available_at > now()
        ),
        0
    )::bigint as held_amount,
    coalesce(
        (
            select t.balance from public.ledger_accounts as t
            where t.user_id = a.user_id and t.currency = a.currency and t.kind = 'payout'
        ),
        0
    ) as leaving_amount
from public.ledger_accounts as a
where a.kind = 'payable';
comment on view public.balances is
'What is owed to whom: user_id=eq. A person reads the own, admins all (order=owed_amount.desc: pending payouts).';
comment on column public.balances.currency is 'ISO 4217, upper case.';
comment on column public.balances.owed_amount is 'What is owed, in minor units, with what is held.';
comment on column public.balances.held_amount is 'What of it cannot be paid out yet.';
comment on column public.balances.leaving_amount is 'What was asked to be paid out, and is not yet.';
create trigger _100_refuse_write instead of insert or update or delete on public.balances
for each row execute function private.tg__refuse_write();

create function private.move_payout(p_payout public.payouts, p_step text) returns void
language sql
security definer -- the ledger is written by functions only
set search_path = ''
as $$
    select private.post_journal(
        case p_step when 'requested' then 'payout' when 'paid' then 'payout_paid' else 'payout_return' end,
        'payout:' || p_payout.id || ':' || p_step, null, p_payout.currency,
        jsonb_build_array(
            jsonb_build_object(
                'kind', case p_step when 'requested' then 'payable' else 'payout' end, 'user_id', p_payout.user_id,
                'amount', p_payout.amount
            ),
            case p_step
                when 'paid' then jsonb_build_object('kind', 'provider', 'amount', -p_payout.amount)
                else jsonb_build_object(
                    'kind', case p_step when 'requested' then 'payout' else 'payable' end,
                    'user_id', p_payout.user_id, 'amount', -p_payout.amount
                )
            end
        )
    )
$$;
comment on function private.move_payout(public.payouts, text) is
'Writes a step of a payout into the ledger, once: requested (from owed to leaving), paid, or cancelled (back).';

create function private.request_payout(p_currency text, p_amount bigint) returns public.payouts
language plpgsql
security definer -- payouts are no client's to write; the checks below decide
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
        raise sqlstate 'PT409' using
            message = 'payout_account_missing',
            detail = 'There is no account yet that can be paid.',
            hint = 'Go through the onboarding first.';
    end if;
    -- The lock lets one request after another see what is left.
    perform from public.ledger_accounts as a
    where a.kind = 'payable' and a.user_id = v_caller and a.currency = p_currency for no key update;
    v_payable := private.payable_balance(v_caller, p_currency);
    if coalesce(p_amount, v_payable) > v_payable or v_payable <= 0 then
        raise sqlstate 'PT409' using
            message = 'balance_insufficient',
            detail = format('At most %s minor units of %s can be paid out now.', greatest(v_payable, 0), p_currency),
            hint = 'Ask for less, or later: earnings are held for some days.';
    elsif coalesce(p_amount, v_payable) < v_minimum then
        raise sqlstate 'PT422' using
            message = 'amount_too_small',
            detail = format('The least that is paid out is %s minor units of %s.', v_minimum, p_currency),
            hint = 'Ask for more, or later.';
    end if;
    insert into public.payouts (user_id, amount, currency)
    values (v_caller, coalesce(p_amount, v_payable), p_currency)
    returning * into v_payout;
    perform private.move_payout(v_payout, 'requested');
    return v_payout;
end
$$;
comment on function private.request_payout(text, bigint) is
'Asks for what is owed to the caller in a currency, this much or all. Raises PT409 payout_account_missing or
balance_insufficient, PT422 amount_too_small.';

create function public.request_payout(currency text, amount bigint default null) returns public.payouts
language sql
set search_path = ''
as $$
    select private.request_payout(request_payout.currency, request_payout.amount)
$$;
comment on function public.request_payout(text, bigint) is
'Asks for what is owed to one in a currency: this amount in minor units, or all that is no longer held. For whoever
earns. Raises payout_account_missing, balance_insufficient (409), amount_too_small (422).';

create function private.lock_payout(p_payout_id uuid) returns public.payouts
language plpgsql
security definer -- payouts are no client's to write; the check below decides
set search_path = ''
as $$
declare
    v_payout public.payouts;
begin
    perform private.require_role('admin');
    select p.* into v_payout from public.payouts as p where p.id = p_payout_id for no key update;
    if not found then
        raise sqlstate 'PT404' using
            message = 'payout_not_found',
            detail = 'There is no such payout.',
            hint = 'Read payouts again.';
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
comment on function private.audit_payout(public.payouts, public.payouts) is 'Records what an admin did to a payout.';

create function private.require_payouts(p_payout_ids uuid[]) returns void
language plpgsql
set search_path = ''
as $$
begin
    perform private.require_role('admin');
    if coalesce(cardinality(p_payout_ids), 0) not between 1 and 500 then
        raise sqlstate 'PT422' using
            message = 'list_invalid',
            detail = 'The list must name 1 to 500 payouts.',
            hint = 'Send payout_ids.';
    end if;
end
$$;
comment on function private.require_payouts(uuid[]) is
'Refuses whoever is no admin, and a list that is empty or too long. Raises PT403 role_required, PT422 list_invalid.';

create function private.approve_payouts(p_payout_ids uuid[]) returns setof public.payouts
language plpgsql
security definer -- payouts are no client's to write; lock_payout decides
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
            update public.payouts as p set status = 'approved' where p.id = v_id returning p.* into v_after;
            perform private.audit_payout(v_before, v_after);
        end if;
        return next v_after;
    end loop;
end
$$;
comment on function private.approve_payouts(uuid[]) is
'Approves payouts, all or none. Raises what lock_payout raises, and PT409 illegal_transition by a trigger.';

create function public.approve_payouts(payout_ids uuid[]) returns setof public.payouts
language sql
set search_path = ''
as $$
    select p.* from private.approve_payouts(approve_payouts.payout_ids) as p
$$;
comment on function public.approve_payouts(uuid[]) is
'Approves payouts that were requested, all of the list or none. For admins; recorded. Raises role_required (403),
payout_not_found (404), illegal_transition (409), list_invalid (422).';

create function private.process_payouts(p_payout_ids uuid[]) returns setof public.payouts
language plpgsql
security definer -- payouts are no client's to write; lock_payout decides
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
            update public.payouts as p set status = 'processing', failure = null, attempts = p.attempts + 1
            where p.id = v_id
            returning p.* into v_after;
            perform private.defer_job('transfer', jsonb_build_object('payout_id', v_id), 'transfer:' || v_id);
            perform private.audit_payout(v_before, v_after);
        end if;
        return next v_after;
    end loop;
end
$$;
comment on function private.process_payouts(uuid[]) is
'Has the worker transfer payouts that are approved, or have failed; all or none. Raises what lock_payout raises, and
PT409 illegal_transition by a trigger.';

create function public.process_payouts(payout_ids uuid[]) returns setof public.payouts
language sql
set search_path = ''
as $$
    select p.* from private.process_payouts(process_payouts.payout_ids) as p
$$;
comment on function public.process_payouts(uuid[]) is
'Transfers payouts that are approved, or tries those again that failed, all of the list or none: the worker does it,
once however often it is asked. For admins; recorded. Raises role_required (403), payout_not_found (404),
illegal_transition (409), list_invalid (422).';

create function private.cancel_payout(p_payout_id uuid) returns public.payouts
language plpgsql
security definer -- payouts are no client's to write; the check below decides
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
        perform private.move_payout(v_after, 'cancelled');
        perform private.audit_payout(v_before, v_after);
    end if;
    return v_after;
end
$$;
comment on function private.cancel_payout(uuid) is
'Withdraws a payout that is not under way: the money is owed again. Raises what lock_payout raises, and PT409
illegal_transition by a trigger.';

create function public.cancel_payout(payout_id uuid) returns public.payouts
language sql
set search_path = ''
as $$
    select private.cancel_payout(cancel_payout.payout_id)
$$;
comment on function public.cancel_payout(uuid) is
'Withdraws a payout that is not under way or paid; what it was of is owed again. For admins; recorded. Raises
role_required (403), payout_not_found (404), illegal_transition (409), list_invalid (422).';
insert into private.rate_limited_functions (function_name, tier)
values
('request_payout', 'strict'),
('approve_payouts', 'strict'),
('process_payouts', 'strict'),
('cancel_payout', 'strict');

create function private.payout_brief(p_payout_id uuid) returns jsonb
language sql
stable
security definer -- the worker may read no table
set search_path = ''
as $$
    select jsonb_build_object(
        'payout_id', p.id, 'amount', p.amount, 'currency', lower(p.currency), 'attempts', p.attempts,
        'account', private.stripe_id('account', p.user_id)
    )
    from public.payouts as p
    where p.id = p_payout_id and p.status = 'processing'
$$;
comment on function private.payout_brief(uuid) is
'What Stripe must be told of a payout under way: {payout_id, amount, currency (lower case), attempts, account}; null
where it is not under way.';

create function private.settle_payout(p_payout_id uuid, p_stripe_id text, p_failure text) returns boolean
language plpgsql
security definer -- payouts are no client's to write; whoever calls this knows what became of it
set search_path = ''
as $$
declare
    v_payout public.payouts;
begin
    select p.* into v_payout from public.payouts as p where p.id = p_payout_id for no key update;
    if not found or v_payout.status in ('paid', 'cancelled') then
        return false;
    elsif p_failure is not null then
        update public.payouts as p set status = 'failed', failure = left(p_failure, 500)
        where p.id = p_payout_id and p.status = 'processing';
        return found;
    end if;
    -- A refusal that was told too early is put right: the money has left.
    update public.payouts as p set status = 'processing', failure = null where p.id = p_payout_id and p.status = 'failed';
    update public.payouts as p set status = 'paid', paid_at = now(), failure = null where p.id = p_payout_id
    returning p.* into v_payout;
    perform private.bind_stripe_object(p_stripe_id, 'payout', p_payout_id);
    perform private.move_payout(v_payout, 'paid');
    return true;
end
$$;
comment on function private.settle_payout(uuid, text, text) is
'Has a payout paid by this transfer, or failed for this reason: once, whoever tells it. Answers whether by this.';

create function private.apply_transfer(p_object jsonb) returns boolean
language plpgsql
security definer -- the payment provider told it
set search_path = ''
as $$
declare
    v_text text := p_object #>> '{metadata,payout_id}';
begin
    if not pg_input_is_valid(v_text, 'uuid') then
        return false;
    end if;
    return private.settle_payout(v_text::uuid, p_object ->> 'id', null);
end
$$;
comment on function private.apply_transfer(jsonb) is
'Has the payout of a transfer paid. Answers whether by this.';
