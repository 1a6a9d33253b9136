-- Commerce: orders of courses. An order keeps the price as it was when it was placed; that it is paid is told by an
-- admin who saw the money, and enrols.

create type public.order_status as enum ('pending', 'paid', 'cancelled');
comment on type public.order_status is
'pending: placed, not paid. paid: the money is there. cancelled: withdrawn, or replaced at another price.';

create table public.orders (
    id uuid not null default gen_random_uuid() constraint orders_pkey primary key,
    buyer_id uuid not null constraint orders_buyer_id_fkey references public.profiles (id) on delete restrict,
    course_id uuid not null constraint orders_course_id_fkey references public.courses (id) on delete restrict,
    amount bigint not null constraint orders_amount_check check (amount > 0),
    currency text not null constraint orders_currency_check check (currency ~ '^[A-Z]{3}$'),
    status public.order_status not null default 'pending',
    created_at timestamptz not null default now(),
    paid_at timestamptz,
    updated_at timestamptz not null default now(),
    constraint orders_paid_at_check check ((status = 'paid') = (paid_at is not null))
);
comment on table public.orders is
'Who ordered which course, at what price. The buyer reads his own, admins all. Written by place_order, cancel_order and
settle_order only.';
comment on column public.orders.amount is
'What it costs, in minor units of the currency, as it was when it was placed.';
comment on column public.orders.currency is 'ISO 4217, upper case.';
comment on column public.orders.status is 'Never written by a client.';
comment on column public.orders.paid_at is 'When it was told that the money is there; null until then.';
alter table public.orders enable row level security;
revoke all on public.orders from anon, authenticated, service_role;
create index orders_buyer_id_idx on public.orders (buyer_id, course_id, created_at desc);
comment on index public.orders_buyer_id_idx is
'The latest order of a course: course_id=eq.&order=created_at.desc&limit=1, and the policies';
create index orders_course_id_idx on public.orders (course_id, created_at desc);
comment on index public.orders_course_id_idx is
'A course''s orders: course_id=eq.&order=created_at.desc, and the foreign key';
create unique index orders_pending_key on public.orders (buyer_id, course_id) where status = 'pending';
comment on index public.orders_pending_key is 'One pending order a buyer and course';
create trigger _200_set_updated_at before update on public.orders
for each row execute function private.tg__set_updated_at();

insert into private.status_transitions (table_name, from_status, to_status)
values
('orders', 'pending', 'paid'),
('orders', 'pending', 'cancelled');
create trigger _100_check_transition before update of status on public.orders
for each row when (old.status is distinct from new.status) execute function private.tg__check_transition();

create function private.place_order(p_course_id uuid) returns public.orders
language plpgsql
security definer -- orders are no client's to write; the price is taken from the course
set search_path = ''
as $$
declare
    v_caller uuid := private.require_active();
    v_course public.courses;
    v_order public.orders;
begin
    -- The lock keeps the price and the status as they are read here.
    select c.* into v_course from public.courses as c
    where c.id = p_course_id and c.status = 'published' for share;
    if not found then
        raise sqlstate 'PT404' using
            message = 'course_not_found',
            detail = 'There is no such published course.',
            hint = 'Look it up in the catalogue.';
    elsif v_course.creator_id = v_caller then
        raise sqlstate 'PT409' using
            message = 'own_course',
            detail = 'A creator is no student of the own course.',
            hint = 'Creators read their courses without enrolling.';
    elsif v_course.price_amount = 0 then
        raise sqlstate 'PT409' using
            message = 'course_free',
            detail = 'This course costs nothing.',
            hint = 'Enrol without an order.';
    elsif p_course_id = any((select private.my_course_ids())::uuid[]) then
        raise sqlstate 'PT409' using
            message = 'already_enrolled',
            detail = 'You have this course.',
            hint = 'Go on learning.';
    end if;
    update public.orders as o set status = 'cancelled'
    where o.buyer_id = v_caller and o.course_id = p_course_id and o.status = 'pending'
        and (o.amount, o.currency) <> (v_course.price_amount, v_course.price_currency);
    insert into public.orders (buyer_id, course_id, amount, currency)
    values (v_caller, p_course_id, v_course.price_amount, v_course.price_currency)
    on conflict (buyer_id, course_id) where status = 'pending' do nothing;
    -- The newest, rather than the pending one: an admin may have settled it since.
    select o.* into v_order from public.orders as o
    where o.buyer_id = v_caller and o.course_id = p_course_id
    order by o.created_at desc
    limit 1;
    return v_order;
end
$$;
comment on function private.place_order(uuid) is
'The caller''s pending order of a course at its present price; the same one when called again, a new one where the price
has changed. Raises PT404 course_not_found, PT409 own_course, course_free or already_enrolled.';

create function public.place_order(course_id uuid) returns public.orders
language sql
set search_path = ''
as $$
    select private.place_order(place_order.course_id)
$$;
comment on function public.place_order(uuid) is
'Orders a course at its present price, and answers the pending order; the same one when called again. For members.
Raises course_not_found (404), own_course, course_free or already_enrolled (409).';

create function private.cancel_order(p_order_id uuid) returns public.orders
language plpgsql
security definer -- orders are no client's to write; only the buyer's own is found
set search_path = ''
as $$
declare
    v_caller uuid := private.require_active();
    v_order public.orders;
begin
    update public.orders as o set status = 'cancelled'
    where o.id = p_order_id and o.buyer_id = v_caller
    returning o.* into v_order;
    if not found then
        raise sqlstate 'PT404' using
            message = 'order_not_found',
            detail = 'There is no such order, or it is not yours.',
            hint = 'Read orders again.';
    end if;
    return v_order;
end
$$;
comment on function private.cancel_order(uuid) is
'Withdraws a pending order of the caller. Raises PT404 order_not_found, and PT409 illegal_transition by a trigger.';

create function public.cancel_order(order_id uuid) returns public.orders
language sql
set search_path = ''
as $$
    select private.cancel_order(cancel_order.order_id)
$$;
comment on function public.cancel_order(uuid) is
'Withdraws one''s own pending order, and answers it. Raises order_not_found (404), illegal_transition (409: it is paid
or cancelled).';

insert into private.rate_limited_functions (function_name, tier)
values ('place_order', 'strict'), ('settle_order', 'strict');

create function private.settle_order(p_order_id uuid, p_reference text) returns public.orders
language plpgsql
security definer -- orders and enrolments are no client's to write; the check below decides
set search_path = ''
as $$
declare
    v_order public.orders;
begin
    perform private.require_role('admin');
    select o.* into v_order from public.orders as o where o.id = p_order_id for no key update;
    if not found then
        raise sqlstate 'PT404' using
            message = 'order_not_found',
            detail = 'There is no such order.',
            hint = 'Read orders again.';
    elsif v_order.status = 'paid' then
        return v_order;
    elsif coalesce(p_reference, '') !~ '\S' or char_length(p_reference) > 200 then
        raise sqlstate 'PT422' using
            message = 'reference_missing',
            detail = 'What was paid is found again by a reference of 1 to 200 letters.',
            hint = 'Send the number of the transfer or receipt.';
    end if;
    update public.orders as o set status = 'paid', paid_at = now()
    where o.id = v_order.id
    returning o.* into v_order;
    perform private.enrol_student(v_order.course_id, v_order.buyer_id, 'purchase', null);
    perform private.audit(
        'order.settle', 'orders', v_order.id::text, jsonb_build_object('status', 'pending'),
        jsonb_build_object('status', v_order.status, 'reference', p_reference)
    );
    return v_order;
end
$$;
comment on function private.settle_order(uuid, text) is
'Marks a pending order paid and enrols the buyer, once. Admins only. Raises PT403 role_required, PT404 order_not_found,
PT422 reference_missing, and PT409 illegal_transition by a trigger.';

create function public.settle_order(order_id uuid, reference text) returns public.orders
language sql
set search_path = ''
as $$
    select private.settle_order(settle_order.order_id, settle_order.reference)
$$;
comment on function public.settle_order(uuid, text) is
'Says that an order was paid outside (a transfer, cash), with a reference; enrols the buyer and answers the order; once,
however often it is called. For admins; recorded. Raises role_required (403), order_not_found (404), illegal_transition
(409: it was cancelled), own_course (409: the buyer has become its creator), reference_missing (422).';
