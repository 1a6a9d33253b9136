-- Commerce: payments, and the parts of them that sellers and student-teachers earn.

create table private.payments (
    id uuid not null default gen_random_uuid() constraint payments_pkey primary key,
    order_id uuid not null constraint payments_order_id_fkey references public.orders (id) on delete restrict,
    provider text not null
    constraint payments_provider_fkey references private.payment_providers (provider) on delete restrict,
    reference text not null constraint payments_reference_check check (char_length(reference) between 1 and 255),
    amount bigint not null constraint payments_amount_check check (amount >= 0),
    currency text not null,
    is_surplus boolean not null default false,
    returned_amount bigint not null default 0,
    created_at timestamptz not null default now(),
    constraint payments_provider_key unique (provider, reference),
    constraint payments_returned_amount_check check (returned_amount between 0 and amount)
);
comment on table private.payments is
'Payments of orders. An order is paid by one; a payment that buys nothing is surplus, and refunded.';
comment on column private.payments.reference is
'The provider''s id: Stripe''s payment intent, or the invoice of a subscription; for a manual payment, the order''s
number and what the admin entered.';
comment on column private.payments.returned_amount is
'The part that the ledger has as returned by refunds and disputes, in minor units.';
alter table private.payments enable row level security;
create index payments_order_id_idx on private.payments (order_id);
comment on index private.payments_order_id_idx is 'The payments of an order, and the foreign key';
create unique index payments_order_key on private.payments (order_id) where not is_surplus;
comment on index private.payments_order_key is 'An order is paid once';

create type public.split_role as enum ('seller', 'student_teacher');
comment on type public.split_role is 'The role in which a person earns a part of a payment.';

create table public.payment_splits (
    id uuid not null default gen_random_uuid() constraint payment_splits_pkey primary key,
    order_id uuid not null constraint payment_splits_order_id_fkey references public.orders (id) on delete restrict,
    user_id uuid not null constraint payment_splits_user_id_fkey references public.profiles (id) on delete restrict,
    role public.split_role not null,
    amount bigint not null constraint payment_splits_amount_check check (amount >= 0),
    returned_amount bigint not null default 0,
    currency text not null,
    available_at timestamptz not null,
    created_at timestamptz not null default now(),
    constraint payment_splits_order_id_role_key unique (order_id, role),
    constraint payment_splits_returned_amount_check check (returned_amount between 0 and amount)
);
comment on table public.payment_splits is
'The earnings of each person from a paid order; the platform has the rest. A person reads their own, admins read all.
Only functions write it.';
comment on column public.payment_splits.amount is 'In minor units: the basis points of the order, rounded down.';
comment on column public.payment_splits.returned_amount is
'The part that was returned by refunds and disputes, in minor units.';
comment on column public.payment_splits.currency is 'The currency of the order, ISO 4217.';
comment on column public.payment_splits.available_at is 'When it can be paid out.';
alter table public.payment_splits enable row level security;
revoke all on public.payment_splits from anon, authenticated, service_role;
create index payment_splits_user_id_idx on public.payment_splits (user_id, created_at desc);
comment on index public.payment_splits_user_id_idx is
'My earnings: user_id=eq.&order=created_at.desc, the policies, and the foreign key';
create index payment_splits_available_at_idx on public.payment_splits (user_id, currency, available_at);
comment on index public.payment_splits_available_at_idx is
'Earnings that cannot be paid out yet: user_id, currency, available_at >';
