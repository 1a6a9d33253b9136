-- Commerce: the ledger. Each movement of money is a journal of entries that sum to zero in each currency. Entries are
-- never changed: a correction is a new journal. A positive amount debits its account, a negative one credits it.

insert into private.errors (token, status, meaning, hint, detail)
values
(
    'journal_unbalanced', 500,
    'A journal of the ledger does not sum to zero; nothing was changed.',
    'Report it: this is a fault of Guildhall.',
    'Journal %s does not sum to zero.'
);

create type public.ledger_account_kind as enum (
    'provider', 'manual', 'payable', 'payout', 'platform', 'tax', 'surplus', 'fees', 'conversion', 'credits',
    'credits_issued'
);
comment on type public.ledger_account_kind is
'provider: money at a payment provider. manual: money that an admin received elsewhere. payable: the balance of a
person. payout: money on its way to a person. platform: the platform''s earnings. tax: tax that was collected with
payments and is owed. surplus: payments that bought nothing and are refunded. fees: the providers'' fees. conversion:
money that a provider changed into another currency. credits: the credits of a person. credits_issued: the other side of
credits.';

create table public.ledger_accounts (
    id uuid not null default gen_random_uuid() constraint ledger_accounts_pkey primary key,
    kind public.ledger_account_kind not null,
    user_id uuid constraint ledger_accounts_user_id_fkey references public.profiles (id) on delete restrict,
    currency text not null
    constraint ledger_accounts_currency_check check (currency ~ '^[A-Z]{3}$' or currency = 'CREDITS'),
    balance bigint,
    created_at timestamptz not null default now(),
    constraint ledger_accounts_kind_key unique nulls not distinct (user_id, kind, currency),
    constraint ledger_accounts_user_id_check
    check ((kind in ('payable', 'payout', 'credits')) = (user_id is not null)),
    constraint ledger_accounts_balance_check check ((user_id is not null) = (balance is not null)),
    constraint ledger_accounts_credits_check check ((kind in ('credits', 'credits_issued')) = (currency = 'CREDITS')),
    -- Nobody spends credits that they do not have, and no more is transferred than was requested.
    constraint ledger_accounts_floor_check check (kind not in ('credits', 'payout') or balance >= 0)
);
comment on table public.ledger_accounts is
'Accounts of the ledger: one for each person, kind and currency, and the platform''s own. A person reads their own,
admins read all. Only functions write it.';
comment on column public.ledger_accounts.kind is 'What the account holds.';
comment on column public.ledger_accounts.user_id is 'The person; null for the platform.';
comment on column public.ledger_accounts.currency is 'ISO 4217, upper case, or CREDITS.';
comment on column public.ledger_accounts.balance is
'The balance of a person''s account, in minor units, kept by a trigger of ledger_entries. A payable balance is negative
where refunds exceed earnings. Null for the platform''s accounts, which too many transactions write at once: sum their
entries.';
alter table public.ledger_accounts enable row level security;
revoke all on public.ledger_accounts from anon, authenticated, service_role;

create table public.ledger_journals (
    id uuid not null default gen_random_uuid() constraint ledger_journals_pkey primary key,
    kind text not null constraint ledger_journals_kind_check check (kind ~ '^[a-z_]{3,40}$'),
    idempotency_key text not null constraint ledger_journals_idempotency_key_key unique,
    occurred_at timestamptz not null default now()
);
comment on table public.ledger_journals is
'Movements of money: payment, refund, fee, payout and so on. The entries of a journal sum to zero in each currency.
Never changed. Admins read it.';
comment on column public.ledger_journals.idempotency_key is 'Names the event, so that it is written once.';
comment on column public.ledger_journals.kind is
'payment, refund, refund_failed, dispute, dispute_won, surplus, fee, payout and so on.';
comment on column public.ledger_journals.occurred_at is 'The time of the transaction that wrote it.';
alter table public.ledger_journals enable row level security;
revoke all on public.ledger_journals from anon, authenticated, service_role;
create trigger _100_refuse_change before update or delete on public.ledger_journals
for each row execute function private.tg__refuse_change();
create trigger _100_refuse_truncate before truncate on public.ledger_journals
for each statement execute function private.tg__refuse_change();

create table public.ledger_entries (
    id bigint generated always as identity constraint ledger_entries_pkey primary key,
    journal_id uuid not null
    constraint ledger_entries_journal_id_fkey references public.ledger_journals (id) on delete restrict,
    account_id uuid not null
    constraint ledger_entries_account_id_fkey references public.ledger_accounts (id) on delete restrict,
    user_id uuid constraint ledger_entries_user_id_fkey references public.profiles (id) on delete restrict,
    kind text not null,
    account_kind public.ledger_account_kind not null,
    order_id uuid,
    amount bigint not null constraint ledger_entries_amount_check check (amount <> 0),
    currency text not null,
    occurred_at timestamptz not null default now()
);
comment on table public.ledger_entries is
'The entries of journals, in minor units: positive debits the account, negative credits it. Never changed. A person
reads the entries of their own accounts (account_statement shows them with the sign that people expect), admins read
all.';
comment on column public.ledger_entries.user_id is 'The user of the account; a copy, for the policy and the index.';
comment on column public.ledger_entries.kind is 'The kind of the journal; a copy.';
comment on column public.ledger_entries.account_kind is 'The kind of the account; a copy.';
comment on column public.ledger_entries.order_id is 'The order, if any. No foreign key: a later file creates orders.';
comment on column public.ledger_entries.amount is 'In minor units: positive debits the account, negative credits it.';
comment on column public.ledger_entries.occurred_at is 'The time of the journal; a copy.';
comment on column public.ledger_entries.currency is 'The currency of the account; a copy.';
alter table public.ledger_entries enable row level security;
revoke all on public.ledger_entries from anon, authenticated, service_role;
create index ledger_entries_journal_id_idx on public.ledger_entries (journal_id);
comment on index public.ledger_entries_journal_id_idx is 'tg_ledger_entries__check_balance, and the foreign key';
create index ledger_entries_account_id_idx on public.ledger_entries (account_id, id desc);
comment on index public.ledger_entries_account_id_idx is
'The entries of an account: account_id=eq.&order=id.desc, and the foreign key';
create index ledger_entries_user_id_idx on public.ledger_entries (user_id, id desc);
comment on index public.ledger_entries_user_id_idx is 'A person''s account_statement: user_id=eq.&order=id.desc';
create trigger _100_refuse_change before update or delete on public.ledger_entries
for each row execute function private.tg__refuse_change();
create trigger _100_refuse_truncate before truncate on public.ledger_entries
for each statement execute function private.tg__refuse_change();
create index ledger_entries_order_id_idx on public.ledger_entries (order_id);
comment on index public.ledger_entries_order_id_idx is 'The entries of an order';

create function private.tg_ledger_entries__check_balance() returns trigger
language plpgsql
security definer -- reads entries of accounts that the caller may not read
set search_path = ''
as $$
begin
    if exists (
        select from public.ledger_entries as l
        where l.journal_id = new.journal_id
        group by l.currency
        having sum(l.amount) <> 0
    ) then
        perform private.refuse('journal_unbalanced', new.journal_id::text);
    end if;
    return null;
end
$$;
comment on function private.tg_ledger_entries__check_balance() is
'At the end of the transaction: the entries of a journal sum to zero in each currency. Raises PT500
journal_unbalanced.';
create constraint trigger _900_check_balance after insert on public.ledger_entries
deferrable initially deferred
for each row execute function private.tg_ledger_entries__check_balance();

create function private.tg_ledger_entries__copy_account() returns trigger
language plpgsql
security definer -- accounts are closed to the caller
set search_path = ''
as $$
begin
    select a.user_id, a.kind, a.currency, j.kind, j.occurred_at
    into new.user_id, new.account_kind, new.currency, new.kind, new.occurred_at
    from public.ledger_accounts as a, public.ledger_journals as j
    where a.id = new.account_id and j.id = new.journal_id;
    update public.ledger_accounts as a set balance = a.balance - new.amount
    where a.id = new.account_id and a.user_id is not null;
    return new;
end
$$;
comment on function private.tg_ledger_entries__copy_account() is
'Before insert: copies columns of the account and the journal, and updates the balance of a person''s account.';
create trigger _200_copy_account before insert on public.ledger_entries
for each row execute function private.tg_ledger_entries__copy_account();

create function private.ledger_account(p_kind public.ledger_account_kind, p_user_id uuid, p_currency text)
returns uuid
language plpgsql
security definer -- accounts are closed to the caller
set search_path = ''
as $$
declare
    v_id uuid;
begin
    loop
        select a.id into v_id from public.ledger_accounts as a
        where a.kind = p_kind and a.user_id is not distinct from p_user_id and a.currency = p_currency;
        if found then
            return v_id;
        end if;
        insert into public.ledger_accounts (kind, user_id, currency, balance)
        values (p_kind, p_user_id, p_currency, case when p_user_id is not null then 0 end)
        on conflict do nothing;
    end loop;
end
$$;
comment on function private.ledger_account(public.ledger_account_kind, uuid, text) is
'The id of the account of this kind, person (null: the platform) and currency; creates it where it is missing.';

create function private.post_journal(p_kind text, p_key text, p_order_id uuid, p_currency text, p_entries jsonb)
returns uuid
language plpgsql
security definer -- only functions write the ledger
set search_path = ''
as $$
declare
    v_id uuid;
begin
    insert into public.ledger_journals (kind, idempotency_key) values (p_kind, p_key)
    on conflict (idempotency_key) do nothing
    returning id into v_id;
    if v_id is null then
        return null;
    end if;
    -- Ordered by account, so that two journals of the same people cannot deadlock.
    insert into public.ledger_entries (journal_id, account_id, kind, account_kind, order_id, amount, currency)
    select v_id, s.account_id, p_kind, s.kind, p_order_id, s.amount, p_currency
    from (
        select private.ledger_account(t.kind, t.user_id, p_currency) as account_id, t.kind, sum(t.amount) as amount
        from jsonb_to_recordset(p_entries) as t (kind public.ledger_account_kind, user_id uuid, amount bigint)
        group by t.kind, t.user_id
        having sum(t.amount) <> 0
    ) as s
    order by s.account_id;
    return v_id;
end
$$;
comment on function private.post_journal(text, text, uuid, text, jsonb) is
'Writes a journal of one currency, once for each key; entries are [{kind, user_id, amount}] and sum to zero. Returns
its id, or null where the key exists. Raises 23514 where credits would become negative.';

create view public.account_statement with (security_invoker = true) as
select
    l.id,
    l.user_id,
    l.occurred_at,
    l.kind,
    l.account_kind,
    l.order_id,
    l.currency,
    -l.amount as amount
from public.ledger_entries as l
where l.user_id is not null;
comment on view public.account_statement is
'Credits to and debits from a person''s accounts: user_id=eq.&order=id.desc, account_kind=eq.payable for earnings,
currency=eq. A person reads their own, admins read all. ledger_accounts has the balances.';
comment on column public.account_statement.occurred_at is 'The time of the journal.';
comment on column public.account_statement.currency is 'ISO 4217, upper case, or CREDITS.';
comment on column public.account_statement.kind is
'payment, refund, dispute, payout, payout_return, payout_returned, credits_bought, credits_spent and so on.';
comment on column public.account_statement.account_kind is
'payable: earnings. payout: on the way to the person. credits: credits.';
comment on column public.account_statement.amount is 'In minor units: positive was credited, negative was debited.';
create trigger _100_refuse_write instead of insert or update or delete on public.account_statement
for each row execute function private.tg__refuse_write();
