-- Commerce: Stripe's connected accounts and transfers.

create function private.bind_payout_account(p_user_id uuid, p_stripe_id text) returns text
language plpgsql
security definer -- the edge, which created the account, may write no table
set search_path = ''
as $$
begin
    perform pg_catalog.pg_advisory_xact_lock(pg_catalog.hashtextextended('payout_accounts:' || p_user_id::text, 0));
    insert into public.payout_accounts (user_id) values (p_user_id) on conflict (user_id) do nothing;
    if private.stripe_id_of('account', p_user_id) is null then
        perform private.bind_reference('stripe', 'account', p_stripe_id, p_user_id);
    end if;
    return private.stripe_id_of('account', p_user_id);
end
$$;
comment on function private.bind_payout_account(uuid, text) is
'Records a user''s account at Stripe, and returns the one that counts: the first stays. For the edge.';

create function private.payout_account_payload(p_user_id uuid) returns jsonb
language plpgsql
stable
security definer -- the edge may read no table; it asks for its own caller
set search_path = ''
as $$
begin
    perform private.require_active_account(p_user_id);
    return jsonb_build_object(
        'user_id', p_user_id,
        'email', (select u.email from auth.users as u where u.id = p_user_id),
        'country', (select a.country from public.payout_accounts as a where a.user_id = p_user_id),
        'is_submitted', coalesce(
            (select a.is_submitted from public.payout_accounts as a where a.user_id = p_user_id), false
        ),
        'account', private.stripe_id_of('account', p_user_id)
    );
end
$$;
comment on function private.payout_account_payload(uuid) is
'What an account at Stripe is made of: {user_id, email, country (of this or an earlier account, null where there was
none), is_submitted (whether the person has completed it), account (id at Stripe, null where there is none)}. Raises PT403 account_inactive.';

create function private.apply_account(p_object jsonb, p_observed_at timestamptz) returns boolean
language plpgsql
security definer -- clients may not write payout accounts; Stripe reported it
set search_path = ''
as $$
declare
    v_is_bank_working boolean := (p_object ->> 'payouts_enabled')::boolean and p_observed_at > (
        select a.bank_failed_at from public.payout_accounts as a
        where a.user_id = private.row_id_of_stripe(p_object ->> 'id', 'account')
    );
begin
    if private.row_id_of_stripe(p_object ->> 'id', 'account') is null then
        return null;
    elsif private.stripe_id_of('account', private.row_id_of_stripe(p_object ->> 'id', 'account')) is distinct from
        p_object ->> 'id'
        or private.observe_reference('stripe', 'account', p_object ->> 'id', p_observed_at) > p_observed_at
    then
        return false;
    end if;
    update public.payout_accounts as a
    set
        is_submitted = coalesce((p_object ->> 'details_submitted')::boolean, false),
        -- A transfer requires the capability; payouts_enabled is about the way from Stripe to the bank.
        can_receive = coalesce(p_object #>> '{capabilities,transfers}' = 'active', false),
        country = coalesce(p_object ->> 'country', a.country),
        bank_failure = case when v_is_bank_working then null else a.bank_failure end,
        bank_failed_at = case when v_is_bank_working then null else a.bank_failed_at end,
        missing = array(
            select t.field from jsonb_array_elements_text(
                coalesce(p_object #> '{requirements,currently_due}', '[]')
            ) as t (field)
        )
    where a.user_id = private.row_id_of_stripe(p_object ->> 'id', 'account');
    return found;
end
$$;
comment on function private.apply_account(jsonb, timestamptz) is
'Applies the state of a payout account at that time; an older state than the known one is ignored, and so is an account
that was closed. Returns whether it changed anything; null for an account of another application.';

create function private.payout_payload(p_payout_id uuid) returns jsonb
language sql
stable
security definer -- the worker may read no table
set search_path = ''
as $$
    select jsonb_build_object(
        'payout_id', p.id, 'amount', p.amount, 'currency', lower(p.currency), 'attempts', p.attempts,
        'account', private.stripe_id_of('account', p.user_id)
    )
    from public.payouts as p
    where p.id = p_payout_id and p.status = 'processing'
$$;
comment on function private.payout_payload(uuid) is
'What a transfer at Stripe is made of: {payout_id, amount (minor units), currency (lower case), attempts, account};
null for a payout that is not processing.';

create function private.record_stripe_transfer(p_payout_id uuid, p_object jsonb) returns boolean
language plpgsql
security definer -- clients may not write payouts; Stripe reported it
set search_path = ''
as $$
declare
    v_is_new boolean := private.record_payout_result(p_payout_id, 'stripe', p_object ->> 'id', null);
begin
    return private.record_payout_return(
        p_payout_id, 'stripe', p_object ->> 'id', coalesce((p_object ->> 'amount_reversed')::bigint, 0)
    ) or v_is_new;
end
$$;
comment on function private.record_stripe_transfer(uuid, jsonb) is
'Applies a transfer to its payout: it is paid, and what Stripe has reversed of it is returned. Returns whether it
changed anything. For the worker.';

create function private.apply_transfer(p_object jsonb) returns boolean
language plpgsql
security definer -- clients may not write payouts; Stripe reported it
set search_path = ''
as $$
declare
    v_payout_id text := p_object #>> '{metadata,payout_id}';
begin
    if not exists (
        select from public.payouts as p
        where p.id = private.uuid_or_null(v_payout_id)
    ) then
        return null;
    end if;
    return private.record_stripe_transfer(v_payout_id::uuid, p_object);
end
$$;
comment on function private.apply_transfer(jsonb) is
'Applies a transfer, or its reversal, to the payout that its metadata names. Returns whether it changed anything; null
for a transfer of another application.';

insert into private.mail_templates (template, topic) values ('bank_payout_failed', 'account');

create function private.apply_bank_failure(p_account text, p_object jsonb, p_occurred_at timestamptz) returns boolean
language plpgsql
security definer -- clients may not write payout accounts; Stripe reported it
set search_path = ''
as $$
declare
    v_user_id uuid := private.row_id_of_stripe(p_account, 'account');
    v_failure text := left(
        coalesce(p_object ->> 'failure_message', p_object ->> 'failure_code', 'The bank refused the payment.'), 500
    );
begin
    if v_user_id is null then
        return null;
    elsif private.stripe_id_of('account', v_user_id) is distinct from p_account then
        return false;
    end if;
    update public.payout_accounts as a set bank_failure = v_failure, bank_failed_at = p_occurred_at
    where a.user_id = v_user_id and coalesce(a.bank_failed_at <= p_occurred_at, true);
    perform private.enqueue_mail(
        v_user_id, 'bank_payout_failed',
        jsonb_build_object(
            'amount', private.format_amount((p_object ->> 'amount')::bigint, upper(p_object ->> 'currency')),
            'reason', v_failure
        ),
        'bank_payout_failed:' || (p_object ->> 'id')
    );
    return true;
end
$$;
comment on function private.apply_bank_failure(text, jsonb, timestamptz) is
'Applies a payment from a connected account to its bank that failed: the person reads why, and gets a mail once. The
money waits in the account at Stripe. Returns whether the account is in use here; null for an
account of another application.';
