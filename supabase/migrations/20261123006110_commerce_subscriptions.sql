-- Commerce: subscriptions. An order starts one; each later period that is paid is an order of its own.

create type public.subscription_status as enum ('trialing', 'active', 'past_due', 'ended');
comment on type public.subscription_status is
'trialing: free at first. active: paid. past_due: the last payment failed and is retried. ended: over.';

create table public.subscriptions (
    id uuid not null default gen_random_uuid() constraint subscriptions_pkey primary key,
    user_id uuid not null constraint subscriptions_user_id_fkey references public.profiles (id) on delete restrict,
    seller_id uuid constraint subscriptions_seller_id_fkey references public.profiles (id) on delete restrict,
    offer_id uuid not null constraint subscriptions_offer_id_fkey references public.offers (id) on delete restrict,
    order_id uuid not null constraint subscriptions_order_id_key unique
    constraint subscriptions_order_id_fkey references public.orders (id) on delete restrict,
    kind text not null,
    status public.subscription_status not null,
    period_ends_at timestamptz not null,
    is_ending boolean not null default false,
    is_paused boolean not null default false,
    trial_ends_at timestamptz,
    switched_at timestamptz,
    ended_at timestamptz,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    constraint subscriptions_ended_at_check check ((status = 'ended') = (ended_at is not null))
);
comment on table public.subscriptions is
'Subscriptions, as the payment provider reports them; entitlements say what they give. The subscriber reads their own,
the seller those of their offers, admins read all. Only functions write it.';
comment on column public.subscriptions.order_id is 'The order that started it.';
comment on column public.subscriptions.kind is 'The kind of the offer; a copy.';
comment on column public.subscriptions.trial_ends_at is 'When the trial ends or ended; null without a trial.';
comment on column public.subscriptions.switched_at is
'When the subscriber last switched to the present offer from another one; null where they never did.';
comment on column public.subscriptions.offer_id is 'The present offer; order_id has the one with which it began.';
comment on column public.subscriptions.period_ends_at is 'End of the paid period or of the trial.';
comment on column public.subscriptions.is_ending is
'Whether it ends with the period, because it was cancelled; it can be resumed until then.';
comment on column public.subscriptions.is_paused is
'Whether its renewals are paused because the seller cannot sell now: nothing is charged, and a period that is not paid
gives nothing.';
comment on column public.subscriptions.ended_at is 'When it ended.';
comment on constraint subscriptions_offer_id_fkey on public.subscriptions is
'An offer with subscriptions stays on record: archive it.';
alter table public.subscriptions enable row level security;
revoke all on public.subscriptions from anon, authenticated, service_role;
create index subscriptions_user_id_idx on public.subscriptions (user_id, created_at desc);
comment on index public.subscriptions_user_id_idx is
'My memberships: user_id=eq.&order=created_at.desc, the policies, and the foreign key';
create index subscriptions_seller_id_idx on public.subscriptions (seller_id, created_at desc);
comment on index public.subscriptions_seller_id_idx is
'A seller''s members: seller_id=eq.&order=created_at.desc, the policies, and the foreign key';
create index subscriptions_offer_id_idx on public.subscriptions (offer_id);
comment on index public.subscriptions_offer_id_idx is 'The foreign key';
create trigger _200_set_updated_at before update on public.subscriptions
for each row execute function private.tg__set_updated_at();

insert into private.status_transitions (table_name, from_status, to_status)
values
('subscriptions', 'trialing', 'active'),
('subscriptions', 'trialing', 'past_due'),
('subscriptions', 'trialing', 'ended'),
('subscriptions', 'active', 'trialing'),
('subscriptions', 'active', 'past_due'),
('subscriptions', 'active', 'ended'),
('subscriptions', 'past_due', 'active'),
('subscriptions', 'past_due', 'trialing'),
('subscriptions', 'past_due', 'ended');
create trigger _100_check_transition before update of status on public.subscriptions
for each row when (old.status is distinct from new.status) execute function private.tg__check_transition();
