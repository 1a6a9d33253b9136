-- Commerce: what an order gives. An entitlement holds for a window of time, so a refund or a missed renewal ends it
-- without a job. A fulfilment is work that the seller still has to do.

create table public.entitlements (
    id uuid not null default gen_random_uuid() constraint entitlements_pkey primary key,
    user_id uuid not null constraint entitlements_user_id_fkey references public.profiles (id) on delete restrict,
    order_id uuid not null constraint entitlements_order_id_fkey references public.orders (id) on delete restrict,
    offer_id uuid not null constraint entitlements_offer_id_fkey references public.offers (id) on delete restrict,
    seller_id uuid constraint entitlements_seller_id_fkey references public.profiles (id) on delete restrict,
    kind text not null,
    course_id uuid constraint entitlements_course_id_fkey references public.courses (id) on delete restrict,
    starts_at timestamptz not null,
    ends_at timestamptz,
    access public.access_state not null default 'open',
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    constraint entitlements_order_id_course_id_key unique nulls not distinct (order_id, course_id),
    constraint entitlements_window_check check (ends_at >= starts_at)
);
comment on table public.entitlements is
'What a person has by an order, from starts_at until ends_at: one row for each course of the order, else one. The
person reads their own, the seller those of their offers, admins read all. Only functions write it.';
comment on column public.entitlements.kind is 'The kind of the order; a copy.';
comment on column public.entitlements.seller_id is 'The seller; null for the platform.';
comment on column public.entitlements.course_id is 'The course that it opens; null for other kinds.';
comment on column public.entitlements.starts_at is 'Start of the entitlement.';
comment on column public.entitlements.ends_at is
'End of the entitlement by a refund, a dispute or a missed renewal; null for no end.';
comment on column public.entitlements.access is
'Whether it is in force or to come, has ended or was refunded: access=eq.open. Within a minute of ends_at the worker
ends it; what it gives ends at that instant.';
comment on constraint entitlements_course_id_fkey on public.entitlements is 'A course that was bought stays on record.';
comment on constraint entitlements_offer_id_fkey on public.entitlements is
'An offer that was bought stays on record: archive it.';
alter table public.entitlements enable row level security;
revoke all on public.entitlements from anon, authenticated, service_role;
create index entitlements_user_id_idx on public.entitlements (user_id, kind, ends_at);
comment on index public.entitlements_user_id_idx is
'My entitlements: user_id=eq.&kind=eq.&or=(ends_at.is.null,ends_at.gt.now), the policies, and the foreign key';
create index entitlements_offer_id_idx on public.entitlements (offer_id, user_id);
comment on index public.entitlements_offer_id_idx is 'The owners of an offer: offer_id=eq., and the foreign key';
create index entitlements_course_id_idx on public.entitlements (course_id, user_id);
comment on index public.entitlements_course_id_idx is 'A user''s entitlements to a course, and the foreign key';
create index entitlements_seller_id_idx on public.entitlements (seller_id, created_at desc);
comment on index public.entitlements_seller_id_idx is
'A seller''s customers: seller_id=eq.&order=created_at.desc, the policies, and the foreign key';
create index entitlements_ends_at_idx on public.entitlements (ends_at) where access = 'open' and ends_at is not null;
comment on index public.entitlements_ends_at_idx is 'lapse__entitlements: access = ''open'' and ends_at <=';
create trigger _200_set_updated_at before update on public.entitlements
for each row execute function private.tg__set_updated_at();

create function private.tg_entitlements__derive_access() returns trigger
language plpgsql
set search_path = ''
as $$
begin
    new.access := case
        when new.ends_at is null or (new.ends_at > now() and new.ends_at > new.starts_at) then 'open'
        when new.access = 'refunded' then 'refunded'
        else 'ended'
    end;
    return new;
end
$$;
comment on function private.tg_entitlements__derive_access() is
'Before an insert, and before the end of an entitlement changes: derives access. A returned payment sets refunded
together with the end.';
create trigger _100_derive_access before insert or update of ends_at, access on public.entitlements
for each row execute function private.tg_entitlements__derive_access();

create function private.lapse__entitlements() returns bigint
language plpgsql
set search_path = ''
as $$
declare
    v_ended bigint;
begin
    update public.entitlements as e set access = 'ended'
    where e.id in (
        select d.id from public.entitlements as d
        where d.access = 'open' and d.ends_at <= now()
        order by d.ends_at
        limit 100
        -- A locked entitlement is changing right now.
        for no key update skip locked
    );
    get diagnostics v_ended = row_count;
    return v_ended;
end
$$;
comment on function private.lapse__entitlements() is
'Ends up to 100 entitlements whose time is up. Returns the number.';

create view private.current_entitlements with (security_invoker = true) as
select
    e.id,
    e.user_id,
    e.order_id,
    e.offer_id,
    e.kind,
    e.course_id
from public.entitlements as e
where e.starts_at <= now() and (e.ends_at is null or e.ends_at > now());
comment on view private.current_entitlements is 'The entitlements that hold now.';

create type public.fulfilment_status as enum ('open', 'delivered', 'cancelled');
comment on type public.fulfilment_status is
'open: the seller has to do the work. delivered: the seller has reported it done. cancelled: the money was returned.';

create table public.fulfilments (
    order_id uuid constraint fulfilments_pkey primary key
    constraint fulfilments_order_id_fkey references public.orders (id) on delete restrict,
    seller_id uuid not null constraint fulfilments_seller_id_fkey references public.profiles (id) on delete restrict,
    buyer_id uuid not null constraint fulfilments_buyer_id_fkey references public.profiles (id) on delete restrict,
    status public.fulfilment_status not null default 'open',
    note text constraint fulfilments_note_check check (char_length(note) <= 4000),
    created_at timestamptz not null default now(),
    delivered_at timestamptz,
    updated_at timestamptz not null default now(),
    constraint fulfilments_delivered_at_check check (
        case status when 'open' then delivered_at is null when 'delivered' then delivered_at is not null else true end
    )
);
comment on table public.fulfilments is
'Work that a seller has to do for an order, such as coaching or mixing. The seller and the buyer read it, admins read
all; deliver_order marks it delivered.';
comment on constraint fulfilments_note_check on public.fulfilments is 'A note can have at most 4,000 characters.';
comment on column public.fulfilments.delivered_at is
'When the seller reported it done; it stays while the work is cancelled.';
comment on column public.fulfilments.note is 'The seller''s message to the buyer, such as a link.';
alter table public.fulfilments enable row level security;
revoke all on public.fulfilments from anon, authenticated, service_role;
create index fulfilments_seller_id_idx on public.fulfilments (seller_id, status, created_at);
comment on index public.fulfilments_seller_id_idx is
'A seller''s queue: seller_id=eq.&status=eq.open&order=created_at, the policies, and the foreign key';
create index fulfilments_buyer_id_idx on public.fulfilments (buyer_id, created_at desc);
comment on index public.fulfilments_buyer_id_idx is 'Work for me: buyer_id=eq., the policies, and the foreign key';
create trigger _200_set_updated_at before update on public.fulfilments
for each row execute function private.tg__set_updated_at();

insert into private.status_transitions (table_name, from_status, to_status)
values
('fulfilments', 'open', 'delivered'),
('fulfilments', 'open', 'cancelled'),
('fulfilments', 'delivered', 'cancelled'),
('fulfilments', 'cancelled', 'open'),
('fulfilments', 'cancelled', 'delivered');
create trigger _100_check_transition before update of status on public.fulfilments
for each row when (old.status is distinct from new.status) execute function private.tg__check_transition();
