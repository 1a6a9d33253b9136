-- Commerce: the ledger. What happened to money is a journal of lines that sum to zero in each currency; nothing is ever
-- changed, only written against. A positive amount debits, a negative one credits its account.

create type public.ledger_account_kind as enum (
    'provider', 'outside', 'payable', 'payout', 'platform', 'surplus', 'fees', 'credits', 'credits_issued'
);
comment on type public.ledger_account_kind is
'provider: money at the payment provider. outside: money that an admin saw elsewhere. payable: owed to a person. payout:
on its way to a person. platform: what the platform earned. surplus: paid twice, to be given back. fees: what the
provider took. credits: a person''s credits. credits_issued: their other side.';

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
    -- Whoever has no credits spends none; what is on its way cannot be less than nothing.
    constraint ledger_accounts_floor_check check (kind not in ('credits', 'payout') or balance >= 0)
);
comment on table public.ledger_accounts is
'Accounts of the ledger: of each person and currency, and the platform''s own. A person reads the own balances, admins
all. Written by functions only.';
comment on column public.ledger_accounts.kind is 'What the account counts.';
comment on column public.ledger_accounts.user_id is 'Whose it is; null for the platform''s.';
comment on column public.ledger_accounts.currency is 'ISO 4217, upper case, or CREDITS.';
comment on column public.ledger_accounts.balance is
'Of a person''s account: what is owed to the person, in minor units; kept by a trigger of ledger_lines. Less than
nothing where more came back than was left. Null for the platform''s, of which too much is written at once: sum its
lines.';
alter table public.ledger_accounts enable row level security;
revoke all on public.ledger_accounts from anon, authenticated, service_role;

create table public.ledger_journals (
    id uuid not null default gen_random_uuid() constraint ledger_journals_pkey primary key,
    kind text not null constraint ledger_journals_kind_check check (kind ~ '^[a-z_]{3,40}$'),
    idempotency_key text not null constraint ledger_journals_idempotency_key_key unique,
    occurred_at timestamptz not null default now()
);
comment on table public.ledger_journals is
'What happened to money: payment, reversal, fee, payout and the like. Its lines sum to zero in each currency. Never
changed. For admins.';
comment on column public.ledger_journals.idempotency_key is 'What it is about: the same thing is written once.';
comment on column public.ledger_journals.kind is 'payment, refund, dispute, dispute_won, payout, fee and the like.';
comment on column public.ledger_journals.occurred_at is 'When it was written, by the transaction that did it.';
alter table public.ledger_journals enable row level security;
revoke all on public.ledger_journals from anon, authenticated, service_role;

create table public.ledger_lines (
    id bigint generated always as identity constraint ledger_lines_pkey primary key,
    journal_id uuid not null constraint ledger_lines_journal_id_fkey references public.ledger_journals (id) on delete restrict,
    account_id uuid not null constraint ledger_lines_account_id_fkey references public.ledger_accounts (id) on delete restrict,
    user_id uuid constraint ledger_lines_user_id_fkey references public.profiles (id) on delete restrict,
    kind text not null,
    account_kind public.ledger_account_kind not null,
    order_id uuid,
    amount bigint not null constraint ledger_lines_amount_check check (amount <> 0),
    currency text not null,
    occurred_at timestamptz not null default now()
);
comment on table public.ledger_lines is
'The lines of journals, in minor units: positive debits, negative credits. Never changed. A person reads those of the
own accounts (statement shows them with the sign that people expect), admins all.';
comment on column public.ledger_lines.user_id is 'Whose account it is; a copy, for the policy and the index.';
comment on column public.ledger_lines.kind is 'The journal''s; a copy.';
comment on column public.ledger_lines.account_kind is 'The account''s; a copy.';
comment on column public.ledger_lines.order_id is 'The order that it is about. No foreign key: orders come later.';
comment on column public.ledger_lines.amount is 'In minor units: positive debits, negative credits.';
comment on column public.ledger_lines.occurred_at is 'The journal''s; a copy.';
comment on column public.ledger_lines.currency is 'The account''s; a copy.';
alter table public.ledger_lines enable row level security;
revoke all on public.ledger_lines from anon, authenticated, service_role;
create index ledger_lines_journal_id_idx on public.ledger_lines (journal_id);
comment on index public.ledger_lines_journal_id_idx is 'That a journal sums to zero, and the foreign key';
create index ledger_lines_account_id_idx on public.ledger_lines (account_id, id desc);
comment on index public.ledger_lines_account_id_idx is 'What is in an account, and the foreign key';
create index ledger_lines_user_id_idx on public.ledger_lines (user_id, id desc);
comment on index public.ledger_lines_user_id_idx is 'A person''s statement: user_id=eq.&order=id.desc';

create trigger _100_refuse_change before update or delete on public.ledger_lines
for each row execute function private.tg__refuse_change();
create trigger _100_refuse_truncate before truncate on public.ledger_lines
for each statement execute function private.tg__refuse_change();
create trigger _100_refuse_change before update or delete on public.ledger_journals
for each row execute function private.tg__refuse_change();
create trigger _100_refuse_truncate before truncate on public.ledger_journals
for each statement execute function private.tg__refuse_change();

create function private.tg_ledger_lines__check_balance() returns trigger
language plpgsql
security definer -- reads lines of accounts that the writer may not see
set search_path = ''
as $$
begin
    if exists (
        select from public.ledger_lines as l
        where l.journal_id = new.journal_id
        group by l.currency
        having sum(l.amount) <> 0
    ) then
        raise sqlstate 'PT500' using
            message = 'journal_unbalanced',
            detail = format('Journal %s does not sum to zero.', new.journal_id),
            hint = 'This is a mistake in Guildhall; nothing was changed.';
    end if;
    return null;
end
$$;
comment on function private.tg_ledger_lines__check_balance() is
'At the end of the transaction: the lines of a journal sum to zero in each currency. Raises PT500 journal_unbalanced.';
create constraint trigger _900_check_balance after insert on public.ledger_lines
deferrable initially deferred
for each row execute function private.tg_ledger_lines__check_balance();

create function private.tg_ledger_lines__copy_account() returns trigger
language plpgsql
security definer -- accounts are closed to whoever has something written
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
comment on function private.tg_ledger_lines__copy_account() is
'Before insert: what the line has from its account and its journal, and the balance of a person''s account.';
create trigger _200_copy_account before insert on public.ledger_lines
for each row execute function private.tg_ledger_lines__copy_account();

create function private.ledger_account(p_kind public.ledger_account_kind, p_user_id uuid, p_currency text)
returns uuid
language plpgsql
security definer -- accounts are closed to whoever has something written
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
'The account of this kind, person (null: the platform) and currency; made where there is none yet.';

create function private.post_journal(p_kind text, p_key text, p_order_id uuid, p_currency text, p_lines jsonb)
returns uuid
language plpgsql
security definer -- the ledger is written by functions only; whoever calls this has decided what happened
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
    -- In one order of accounts, so that two journals of the same people do not wait for each other in a circle.
    insert into public.ledger_lines (journal_id, account_id, kind, account_kind, order_id, amount, currency)
    select v_id, s.account_id, p_kind, s.kind, p_order_id, s.amount, p_currency
    from (
        select private.ledger_account(t.kind, t.user_id, p_currency) as account_id, t.kind, sum(t.amount) as amount
        from jsonb_to_recordset(p_lines) as t (kind public.ledger_account_kind, user_id uuid, amount bigint)
        group by t.kind, t.user_id
        having sum(t.amount) <> 0
    ) as s
    order by s.account_id;
    return v_id;
end
$$;
comment on function private.post_journal(text, text, uuid, text, jsonb) is
'Writes a journal of one currency, once for each key: lines are [{kind, user_id, amount}], which sum to zero. Answers
its id, null where the key was there. Raises 23514 where credits would fall below zero.';

create view public.statement with (security_invoker = true) as
select
    l.id,
    l.user_id,
    l.occurred_at,
    l.kind,
    l.account_kind,
    l.order_id,
    l.currency,
    -l.amount as amount
from public.ledger_lines as l
where l.user_id is not null;
comment on view public.statement is
'What was credited to a person and what was taken: user_id=eq.&order=id.desc, account_kind=eq.payable for earnings,
currency=eq. A person reads the own, admins all. Where it leads, ledger_accounts says.';
comment on column public.statement.occurred_at is 'When it was written.';
comment on column public.statement.currency is 'ISO 4217, upper case, or CREDITS.';
comment on column public.statement.kind is
'payment, reversal (refund or dispute), payout, payout_return, credits_bought, credits_spent and the like.';
comment on column public.statement.account_kind is
'payable: what is owed. payout: what is on its way. credits: credits.';
comment on column public.statement.amount is 'In minor units: more than nothing was credited, less was taken.';
create trigger _100_refuse_write instead of insert or update or delete on public.statement
for each row execute function private.tg__refuse_write();
