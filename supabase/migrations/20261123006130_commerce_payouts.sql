-- Commerce: payouts. A person requests the balance, an admin approves it, and the payment provider transfers it to the
-- person's payout account.

create table public.payout_accounts (
    user_id uuid constraint payout_accounts_pkey primary key
    constraint payout_accounts_user_id_fkey references public.profiles (id) on delete restrict,
    is_submitted boolean not null default false,
    can_receive boolean not null default false,
    missing text[] not null default '{}',
    country text constraint payout_accounts_country_check check (country ~ '^[A-Z]{2}$'),
    bank_failure text,
    bank_failed_at timestamptz,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now()
);
comment on table public.payout_accounts is
'Whether a person can be paid out, as the payment provider reports it. A person reads their own, admins read all. Only
functions write it.';
comment on column public.payout_accounts.is_submitted is
'Whether the person has sent everything that the provider asked for.';
comment on column public.payout_accounts.can_receive is 'Whether the account can receive transfers.';
comment on column public.payout_accounts.missing is 'What the provider still needs, in its words.';
comment on column public.payout_accounts.country is 'ISO 3166-1; null until the provider reports it.';
comment on column public.payout_accounts.bank_failure is
'Why the bank refused the last payment of the provider to the person, in the provider''s words; null where none is open.
The money waits in the account at the provider.';
comment on column public.payout_accounts.bank_failed_at is 'When the bank refused it.';
alter table public.payout_accounts enable row level security;
revoke all on public.payout_accounts from anon, authenticated, service_role;
create trigger _200_set_updated_at before update on public.payout_accounts
for each row execute function private.tg__set_updated_at();

create type public.payout_status as enum (
    'requested', 'approved', 'processing', 'paid', 'returned', 'failed', 'cancelled'
);
comment on type public.payout_status is
'requested: by the person. approved: by an admin. processing: requested from the payment provider. paid: transferred.
returned: transferred, and all of it came back into the balance. failed: refused by the provider; an admin can retry it.
cancelled: the money is back in the balance.';

create table public.payouts (
    id uuid not null default gen_random_uuid() constraint payouts_pkey primary key,
    user_id uuid not null constraint payouts_user_id_fkey references public.profiles (id) on delete restrict,
    amount bigint not null constraint payouts_amount_check check (amount > 0),
    currency text not null,
    returned_amount bigint not null default 0,
    status public.payout_status not null default 'requested',
    failure text,
    attempts integer not null default 0,
    created_at timestamptz not null default now(),
    paid_at timestamptz,
    updated_at timestamptz not null default now(),
    constraint payouts_paid_at_check check ((status in ('paid', 'returned')) = (paid_at is not null)),
    constraint payouts_returned_amount_check check (returned_amount between 0 and amount),
    constraint payouts_returned_check check ((status = 'returned') = (returned_amount = amount)),
    constraint payouts_failure_check check (status <> 'failed' or failure is not null)
);
comment on table public.payouts is 'Payouts. A person reads their own, admins read all. Only functions write it.';
comment on column public.payouts.amount is 'In minor units.';
comment on column public.payouts.currency is 'ISO 4217, upper case.';
comment on column public.payouts.returned_amount is
'The part that came back into the balance after it was transferred, in minor units.';
comment on column public.payouts.paid_at is 'When it was transferred.';
comment on column public.payouts.failure is 'The reason of the last failure, or of the cancellation by the provider.';
comment on column public.payouts.attempts is 'How many times the provider was asked.';
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
('payouts', 'paid', 'returned'),
-- A transfer that was reported only after the payout was cancelled.
('payouts', 'cancelled', 'paid'),
('payouts', 'failed', 'processing'),
('payouts', 'failed', 'cancelled');
create trigger _100_check_transition before update of status on public.payouts
for each row when (old.status is distinct from new.status) execute function private.tg__check_transition();

create table public.payout_items (
    payout_id uuid not null constraint payout_items_payout_id_fkey references public.payouts (id) on delete restrict,
    split_id uuid not null
    constraint payout_items_split_id_fkey references public.payment_splits (id) on delete restrict,
    user_id uuid not null constraint payout_items_user_id_fkey references public.profiles (id) on delete restrict,
    amount bigint not null constraint payout_items_amount_check check (amount <> 0),
    returned_amount bigint not null default 0,
    created_at timestamptz not null default now(),
    constraint payout_items_pkey primary key (payout_id, split_id),
    constraint payout_items_returned_amount_check
    check (returned_amount between least(amount, 0) and greatest(amount, 0))
);
comment on table public.payout_items is
'The sales that a payout pays, the oldest first: payouts?select=*,payout_items(amount,payment_splits(*,orders(*))). The
amounts sum to that of the payout. Sales that were refunded after an earlier payout paid them are deducted. A payout
that was cancelled has none. A person reads their own, admins read all. Only functions write it.';
comment on column public.payout_items.split_id is 'The earnings of the person from an order.';
comment on column public.payout_items.user_id is 'The person of the payout; a copy, for the policy.';
comment on column public.payout_items.amount is
'What the payout pays of these earnings, in minor units; negative where it takes back what was refunded since.';
comment on column public.payout_items.returned_amount is
'The part that came back into the balance with a returned transfer, in minor units; a later payout pays it.';
alter table public.payout_items enable row level security;
revoke all on public.payout_items from anon, authenticated, service_role;
create index payout_items_split_id_idx on public.payout_items (split_id);
comment on index public.payout_items_split_id_idx is 'The payouts of a sale: split_id=eq., and the foreign key';
create index payout_items_user_id_idx on public.payout_items (user_id);
comment on index public.payout_items_user_id_idx is 'The policies, and the foreign key';

create view public.balances with (security_invoker = true) as
select
    a.user_id,
    a.currency,
    a.balance as balance_amount,
    coalesce(
        (
            select sum(s.amount - s.returned_amount) from public.payment_splits as s
            where s.user_id = a.user_id and s.currency = a.currency and s.available_at > now()
        ),
        0
    )::bigint as pending_amount,
    coalesce(
        (
            select t.balance from public.ledger_accounts as t
            where t.user_id = a.user_id and t.currency = a.currency and t.kind = 'payout'
        ),
        0
    ) as in_transit_amount
from public.ledger_accounts as a
where a.kind = 'payable';
comment on view public.balances is
'Earnings that are not paid out: user_id=eq. A person reads their own, admins read all (order=balance_amount.desc:
balances to pay out).';
comment on column public.balances.currency is 'ISO 4217, upper case.';
comment on column public.balances.balance_amount is
'All earnings that are not paid out, in minor units, with the pending part.';
comment on column public.balances.pending_amount is 'The part that cannot be paid out yet, in minor units.';
comment on column public.balances.in_transit_amount is
'Requested payouts that were not transferred yet, in minor units; not in balance_amount.';
create trigger _100_refuse_write instead of insert or update or delete on public.balances
for each row execute function private.tg__refuse_write();
