-- Commerce: refunds, which admins or the payment provider make, and disputes, which buyers' banks open.

create type public.refund_status as enum ('pending', 'succeeded', 'failed');
comment on type public.refund_status is
'pending: requested from the payment provider. succeeded: the money was returned. failed: it was not, or came back.';

create table public.refunds (
    id uuid not null default gen_random_uuid() constraint refunds_pkey primary key,
    order_id uuid not null constraint refunds_order_id_fkey references public.orders (id) on delete restrict,
    buyer_id uuid not null constraint refunds_buyer_id_fkey references public.profiles (id) on delete restrict,
    amount bigint not null constraint refunds_amount_check check (amount > 0),
    currency text not null,
    reason text constraint refunds_reason_check check (char_length(reason) <= 1000),
    status public.refund_status not null default 'pending',
    created_at timestamptz not null default now(),
    completed_at timestamptz,
    constraint refunds_completed_at_check check ((status = 'pending') = (completed_at is null))
);
comment on table public.refunds is
'Refunds of orders. The buyer reads their own, admins read all. Only functions write it.';
comment on column public.refunds.buyer_id is 'The buyer of the order, who gets the money.';
comment on column public.refunds.amount is 'In minor units.';
comment on column public.refunds.currency is 'The currency of the order, ISO 4217.';
comment on column public.refunds.reason is 'The reason, for admins and the buyer.';
comment on column public.refunds.completed_at is 'When it succeeded or failed.';
comment on constraint refunds_reason_check on public.refunds is 'A reason can have at most 1,000 characters.';
alter table public.refunds enable row level security;
revoke all on public.refunds from anon, authenticated, service_role;
create index refunds_order_id_idx on public.refunds (order_id);
comment on index public.refunds_order_id_idx is 'An order''s refunds: order_id=eq., and the foreign key';
create index refunds_buyer_id_idx on public.refunds (buyer_id, created_at desc);
comment on index public.refunds_buyer_id_idx is
'My refunds: buyer_id=eq.&order=created_at.desc, the policies, and the foreign key';
create index refunds_pending_idx on public.refunds (created_at) where status = 'pending';
comment on index public.refunds_pending_idx is 'The admins'' queue: status=eq.pending&order=created_at';

insert into private.status_transitions (table_name, from_status, to_status)
values
('refunds', 'pending', 'succeeded'),
('refunds', 'pending', 'failed'),
('refunds', 'succeeded', 'failed');
create trigger _100_check_transition before update of status on public.refunds
for each row when (old.status is distinct from new.status) execute function private.tg__check_transition();

create type public.dispute_status as enum ('open', 'won', 'lost');
comment on type public.dispute_status is
'open: the buyer''s bank has taken the money back for now. won: the money returned. lost: the money is lost. An appeal
opens a lost dispute again, and one of the bank a won one, whose money it takes back again.';

create table public.disputes (
    id uuid not null default gen_random_uuid() constraint disputes_pkey primary key,
    order_id uuid not null constraint disputes_order_id_fkey references public.orders (id) on delete restrict,
    amount bigint not null constraint disputes_amount_check check (amount >= 0),
    currency text not null,
    reason text not null,
    status public.dispute_status not null default 'open',
    created_at timestamptz not null default now(),
    closed_at timestamptz,
    constraint disputes_closed_at_check check ((status = 'open') = (closed_at is null))
);
comment on table public.disputes is 'Payments that a buyer''s bank took back. Admins read it. Only functions write it.';
comment on column public.disputes.amount is
'The disputed amount, in minor units, at most the payment. Of the order it counts for what refunds have left.';
comment on column public.disputes.currency is 'The currency of the order, ISO 4217.';
comment on column public.disputes.reason is 'The payment provider''s word: fraudulent, product_not_received and so on.';
comment on column public.disputes.closed_at is 'When it was won or lost.';
alter table public.disputes enable row level security;
revoke all on public.disputes from anon, authenticated, service_role;
create index disputes_order_id_idx on public.disputes (order_id);
comment on index public.disputes_order_id_idx is 'An order''s disputes: order_id=eq., and the foreign key';
create index disputes_open_idx on public.disputes (created_at) where status = 'open';
comment on index public.disputes_open_idx is 'The admins'' queue: status=eq.open&order=created_at';

insert into private.status_transitions (table_name, from_status, to_status)
values
('disputes', 'open', 'won'),
('disputes', 'open', 'lost'),
('disputes', 'lost', 'open'),
('disputes', 'lost', 'won'),
('disputes', 'won', 'open'),
('disputes', 'won', 'lost');
create trigger _100_check_transition before update of status on public.disputes
for each row when (old.status is distinct from new.status) execute function private.tg__check_transition();
