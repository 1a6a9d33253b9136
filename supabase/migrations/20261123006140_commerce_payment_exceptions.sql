-- Commerce: payments that need an admin's eye: money that bought nothing and is refunded by itself, and effects of a
-- paid order that failed. Neither undoes a payment.

create type public.payment_exception_kind as enum ('surplus', 'unfulfilled', 'effect_failed');
comment on type public.payment_exception_kind is
'surplus: a payment that bought nothing, and is refunded by itself. unfulfilled: an order is paid, and what it gives
could not be given; a job tries again, and an order that never can be fulfilled is refunded by itself. effect_failed: a
secondary effect of a paid order failed, such as its mail or its place with a student-teacher.';

create table public.payment_exceptions (
    id uuid not null default gen_random_uuid() constraint payment_exceptions_pkey primary key,
    kind public.payment_exception_kind not null,
    order_id uuid not null
    constraint payment_exceptions_order_id_fkey references public.orders (id) on delete restrict,
    subject text not null constraint payment_exceptions_subject_check check (char_length(subject) between 1 and 300),
    reason text not null constraint payment_exceptions_reason_check check (char_length(reason) between 1 and 1000),
    amount bigint,
    currency text,
    created_at timestamptz not null default now(),
    resolved_at timestamptz,
    constraint payment_exceptions_subject_key unique (order_id, kind, subject),
    constraint payment_exceptions_amount_check check ((kind = 'surplus') = (amount is not null)),
    constraint payment_exceptions_currency_check check ((amount is null) = (currency is null))
);
comment on table public.payment_exceptions is
'Payments that need an admin''s eye: resolved_at=is.null&order=created_at. Admins read it. Only functions write it.';
comment on column public.payment_exceptions.kind is 'What is unusual about the payment.';
comment on column public.payment_exceptions.subject is
'What it is about: the provider''s id of a surplus payment, or the name of the effect.';
comment on column public.payment_exceptions.reason is
'The token, or the SQLSTATE and message, of the error. Of a surplus payment: order_paid, already_enrolled,
already_subscribed, subscription_ended, licence_exclusive, amount_mismatch, offer_not_found, seller_unavailable,
courses_unavailable or account_inactive.';
comment on column public.payment_exceptions.amount is 'The surplus payment, in minor units; null for other kinds.';
comment on column public.payment_exceptions.currency is 'ISO 4217, upper case; null without an amount.';
comment on column public.payment_exceptions.resolved_at is
'When the surplus was refunded, or the effect succeeded or was replaced by a refund; null while it is open.';
alter table public.payment_exceptions enable row level security;
revoke all on public.payment_exceptions from anon, authenticated, service_role;
create index payment_exceptions_open_idx on public.payment_exceptions (created_at) where resolved_at is null;
comment on index public.payment_exceptions_open_idx is 'The admins'' queue: resolved_at=is.null&order=created_at';

create function private.report_payment_exception(
    p_kind public.payment_exception_kind, p_order_id uuid, p_subject text, p_reason text, p_amount bigint default null,
    p_currency text default null
)
returns void
language sql
security definer -- the table is closed
set search_path = ''
as $$
    insert into public.payment_exceptions (kind, order_id, subject, reason, amount, currency)
    values (p_kind, p_order_id, p_subject, left(p_reason, 1000), p_amount, p_currency)
    on conflict (order_id, kind, subject) do update set reason = excluded.reason, resolved_at = null
$$;
comment on function private.report_payment_exception(
    public.payment_exception_kind, uuid, text, text, bigint, text
) is
'Shows an exception to admins; the same one again opens it again.';

create function private.resolve_payment_exception(
    p_kind public.payment_exception_kind, p_order_id uuid, p_subject text
)
returns void
language sql
security definer -- the table is closed
set search_path = ''
as $$
    update public.payment_exceptions as x set resolved_at = now()
    where x.order_id = p_order_id and x.kind = p_kind and x.subject = p_subject and x.resolved_at is null
$$;
comment on function private.resolve_payment_exception(public.payment_exception_kind, uuid, text) is
'Closes an exception, if there is one.';

create function private.is_transient_error(p_sqlstate text) returns boolean
language sql
immutable
set search_path = ''
as $$
    -- Connections, transactions that another one ended, resources, locks, operators, and faults of the system.
    select p_sqlstate ~ '^(08|40|53|57|58|XX)' or p_sqlstate = '55P03'
$$;
comment on function private.is_transient_error(text) is
'Whether the same statement may succeed when it is repeated: classes of appendix A of the Postgres manual.';

create function private.attempt_effect(p_effect text, p_order_id uuid) returns boolean
language plpgsql
security definer -- the effects write tables that are closed to clients
set search_path = ''
as $$
declare
    v_sqlstate text;
    v_message text;
begin
    execute format('select private.%I($1)', p_effect) using p_order_id;
    perform private.resolve_payment_exception('effect_failed', p_order_id, p_effect);
    return true;
exception when others then
    get stacked diagnostics v_sqlstate = returned_sqlstate, v_message = message_text;
    if private.is_transient_error(v_sqlstate) then
        raise;
    end if;
    perform private.report_payment_exception(
        'effect_failed', p_order_id, p_effect,
        case when v_sqlstate like 'PT%' then v_message else v_sqlstate || ' ' || v_message end
    );
    return false;
end
$$;
comment on function private.attempt_effect(text, uuid) is
'Calls private.<effect>(order_id), a secondary effect of a paid order; an error changes nothing but a row of
payment_exceptions. Returns whether it succeeded. An error that a repetition may cure is raised again.';
