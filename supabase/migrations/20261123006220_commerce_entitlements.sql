-- Commerce: what a payment gives. Each entitlement is derived from its order and holds for a window; what is refunded
-- ends, what was not renewed has run out, and no job is needed for either.

insert into private.app_config (key, value, description)
values
(
    'renewal_hours', '24',
    'For how many hours after its end a period that is to be renewed still holds: the provider takes a while to charge.'
),
('grace_days', '3', 'For how many days after its end a period holds whose renewal could not be charged yet.');

create table public.entitlements (
    id uuid not null default gen_random_uuid() constraint entitlements_pkey primary key,
    user_id uuid not null constraint entitlements_user_id_fkey references public.profiles (id) on delete restrict,
    order_id uuid not null constraint entitlements_order_id_fkey references public.orders (id) on delete restrict,
    offer_id uuid not null constraint entitlements_offer_id_fkey references public.offers (id) on delete restrict,
    seller_id uuid constraint entitlements_seller_id_fkey references public.profiles (id) on delete restrict,
    kind public.offer_kind not null,
    course_id uuid constraint entitlements_course_id_fkey references public.courses (id) on delete restrict,
    starts_at timestamptz not null,
    ends_at timestamptz,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    constraint entitlements_order_id_course_id_key unique nulls not distinct (order_id, course_id),
    constraint entitlements_window_check check (ends_at >= starts_at)
);
comment on table public.entitlements is
'What somebody has by an order, and from when until when: it holds where starts_at is past and ends_at is not. One row
of an order for each of its courses, else one. The person reads the own, the seller those of his offers, admins all.
Written by functions only.';
comment on column public.entitlements.kind is 'The order''s.';
comment on column public.entitlements.seller_id is 'Who sold it; null for the platform.';
comment on column public.entitlements.course_id is 'The course that is open; null where it is something else.';
comment on column public.entitlements.starts_at is 'From when on it holds.';
comment on column public.entitlements.ends_at is
'When it ends or ended: refunded, disputed, or not renewed; null for never.';
alter table public.entitlements enable row level security;
revoke all on public.entitlements from anon, authenticated, service_role;
create index entitlements_user_id_idx on public.entitlements (user_id, kind, ends_at);
comment on index public.entitlements_user_id_idx is
'What I have: user_id=eq.&kind=eq.&or=(ends_at.is.null,ends_at.gt.now), the policies, and the foreign key';
create index entitlements_offer_id_idx on public.entitlements (offer_id, user_id);
comment on index public.entitlements_offer_id_idx is 'Who has an offer, and the foreign key';
create index entitlements_course_id_idx on public.entitlements (course_id, user_id);
comment on index public.entitlements_course_id_idx is 'By what somebody has a course, and the foreign key';
create index entitlements_seller_id_idx on public.entitlements (seller_id, created_at desc);
comment on index public.entitlements_seller_id_idx is
'A seller''s customers: seller_id=eq.&order=created_at.desc, the policies, and the foreign key';
create trigger _200_set_updated_at before update on public.entitlements
for each row execute function private.tg__set_updated_at();

create type public.fulfilment_status as enum ('open', 'delivered', 'cancelled');
comment on type public.fulfilment_status is
'open: the seller has to do it. delivered: he says it is done. cancelled: the money went back.';

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
    constraint fulfilments_delivered_at_check check ((status = 'delivered') = (delivered_at is not null))
);
comment on table public.fulfilments is
'Work that a seller owes by an order: coaching, mixing, a service, listening to a submission. Seller and buyer read it,
admins all; deliver_order writes it.';
comment on column public.fulfilments.delivered_at is 'When the seller said that it is done.';
comment on column public.fulfilments.note is 'What the seller says with it: a link, a word.';
alter table public.fulfilments enable row level security;
revoke all on public.fulfilments from anon, authenticated, service_role;
create index fulfilments_seller_id_idx on public.fulfilments (seller_id, status, created_at);
comment on index public.fulfilments_seller_id_idx is
'A seller''s queue: seller_id=eq.&status=eq.open&order=created_at, the policies, and the foreign key';
create index fulfilments_buyer_id_idx on public.fulfilments (buyer_id, created_at desc);
comment on index public.fulfilments_buyer_id_idx is 'What I wait for: buyer_id=eq., the policies, and the foreign key';
create trigger _200_set_updated_at before update on public.fulfilments
for each row execute function private.tg__set_updated_at();

insert into private.status_transitions (table_name, from_status, to_status)
values
('fulfilments', 'open', 'delivered'),
('fulfilments', 'open', 'cancelled'),
('fulfilments', 'delivered', 'cancelled'),
('fulfilments', 'cancelled', 'open');
create trigger _100_check_transition before update of status on public.fulfilments
for each row when (old.status is distinct from new.status) execute function private.tg__check_transition();

create function private.is_held(p_order public.orders) returns boolean
language plpgsql -- every payment asks: as SQL it was planned each time
immutable
set search_path = ''
as $$
begin
    return p_order.status = 'paid'
        and (p_order.paid_amount = 0 or p_order.refunded_amount + p_order.disputed_amount < p_order.paid_amount);
end
$$;
comment on function private.is_held(public.orders) is 'Whether what was ordered is paid, and not all of it given back.';

create function private.require_not_held(p_user_id uuid, p_offer public.offers) returns void
language plpgsql
stable
security definer -- reads what the caller has, for functions of ours
set search_path = ''
as $$
begin
    if p_offer.course_id = any((select private.my_course_ids())::uuid[]) then
        raise sqlstate 'PT409' using
            message = 'already_enrolled',
            detail = 'You have this course.',
            hint = 'Go on learning.';
    elsif p_offer.kind = 'bundle' and not exists (
        select from public.offer_courses as i
        where i.offer_id = p_offer.id and i.course_id <> all((select private.my_course_ids())::uuid[])
    ) then
        raise sqlstate 'PT409' using
            message = 'already_enrolled',
            detail = 'You have every course of this bundle.',
            hint = 'Go on learning.';
    elsif p_offer.billing_interval is not null and exists (
        select from public.entitlements as e
        where e.offer_id = p_offer.id and e.user_id = p_user_id and e.ends_at > now()
    ) then
        raise sqlstate 'PT409' using
            message = 'already_subscribed',
            detail = 'You have this already.',
            hint = 'Change it in the billing portal.';
    end if;
end
$$;
comment on function private.require_not_held(uuid, public.offers) is
'Refuses what the caller has already. Raises PT409 already_enrolled or already_subscribed.';

create function private.settle_course_access(p_user_id uuid, p_course_id uuid) returns void
language plpgsql
security definer -- enrolments are no client's to write; they follow from entitlements
set search_path = ''
as $$
declare
    v_until timestamptz;
begin
    select nullif(max(coalesce(e.ends_at, 'infinity')), 'infinity') into v_until
    from public.entitlements as e
    where e.user_id = p_user_id and e.course_id = p_course_id and coalesce(e.ends_at > now(), true);
    if exists (
        select from public.entitlements as e
        where e.user_id = p_user_id and e.course_id = p_course_id and coalesce(e.ends_at > now(), true)
    ) then
        -- Whoever was handed the course since he bought it needs no enrolment.
        if p_user_id <> (select c.creator_id from public.courses as c where c.id = p_course_id) then
            perform private.enrol_student(p_course_id, p_user_id, 'purchase', v_until);
            update public.enrolments as e set access_until = v_until
            where e.student_id = p_user_id and e.course_id = p_course_id and e.source = 'purchase'
                and e.access_until is distinct from v_until;
        end if;
    else
        update public.enrolments as e set access_until = now()
        where e.student_id = p_user_id and e.course_id = p_course_id and e.source = 'purchase'
            and (e.access_until is null or e.access_until > now());
    end if;
end
$$;
comment on function private.settle_course_access(uuid, uuid) is
'Opens a course to somebody for as long as any of his entitlements to it holds, or closes what purchases opened.';

create function private.settle_entitlements(p_order_id uuid) returns void
language plpgsql
security definer -- entitlements are no client's to write; they follow from the order
set search_path = ''
as $$
declare
    v_order public.orders;
    v_is_held boolean;
    v_ends_at timestamptz;
    v_course_id uuid;
begin
    select o.* into v_order from public.orders as o where o.id = p_order_id for no key update;
    v_is_held := private.is_held(v_order);
    v_ends_at := case
        when not v_is_held then now()
        when v_order.billing_interval is not null then private.period_ends_at(p_order_id)
    end;
    if v_order.kind = 'credit_package' then
        perform private.settle_credits(v_order, v_is_held);
    elsif v_order.kind <> 'tip' then
        insert into public.entitlements (
            user_id, order_id, offer_id, seller_id, kind, course_id, starts_at, ends_at
        )
        select
            v_order.buyer_id, v_order.id, v_order.offer_id, v_order.seller_id, v_order.kind, t.course_id,
            coalesce(v_order.period_starts_at, v_order.paid_at), v_ends_at
        from (
            select v_order.course_id where v_order.kind <> 'bundle'
            union
            select i.course_id from public.offer_courses as i
            -- What is in a bundle is settled when it is bought.
            where i.offer_id = v_order.offer_id
                and not exists (select from public.entitlements as e where e.order_id = v_order.id)
        ) as t (course_id)
        where v_is_held
        on conflict (order_id, course_id) do nothing;
        update public.entitlements as e
        -- greatest passes over nulls, which never end.
        set ends_at = case when v_ends_at is not null then greatest(v_ends_at, e.starts_at) end
        where e.order_id = v_order.id
            -- What has ended for good did so then, and not now again.
            and (v_is_held or e.ends_at is null or e.ends_at > now());
        for v_course_id in
            select e.course_id from public.entitlements as e
            where e.order_id = v_order.id and e.course_id is not null
            order by e.course_id
        loop
            perform private.settle_course_access(v_order.buyer_id, v_course_id);
        end loop;
    end if;
    if v_order.student_teacher_id is not null and v_is_held then
        update public.enrolments as e set student_teacher_id = t.id
        from public.student_teachers as t
        where e.student_id = v_order.buyer_id and e.course_id = v_order.course_id and e.student_teacher_id is null
            and t.course_id = v_order.course_id and t.user_id = v_order.student_teacher_id and t.status = 'approved';
    end if;
    if v_order.kind in ('coaching', 'mixing_service', 'service', 'playlist_submission') then
        if v_is_held then
            insert into public.fulfilments as f (order_id, seller_id, buyer_id)
            values (v_order.id, v_order.seller_id, v_order.buyer_id)
            on conflict (order_id) do update set status = 'open' where f.status = 'cancelled';
        else
            update public.fulfilments as f set status = 'cancelled', delivered_at = null
            where f.order_id = v_order.id and f.status <> 'cancelled';
        end if;
    end if;
end
$$;
comment on function private.settle_entitlements(uuid) is
'Brings what an order gives to what the order says: entitlements and their windows, courses, credits, work to be done.
May be called again and again.';

create function private.settle_credits(p_order public.orders, p_is_held boolean) returns void
language plpgsql
security definer -- the ledger is written by functions only
set search_path = ''
as $$
declare
    v_given bigint;
    v_due bigint := p_order.credits;
    v_left bigint;
    v_change bigint;
begin
    select coalesce(-sum(l.amount), 0) into v_given from public.ledger_lines as l
    where l.order_id = p_order.id and l.account_kind = 'credits';
    -- In proportion to what is left of the payment.
    v_due := case
        when not p_is_held then 0
        when p_order.paid_amount = 0 then v_due
        else ceil(
            v_due * (p_order.paid_amount - p_order.refunded_amount - p_order.disputed_amount)::numeric
            / p_order.paid_amount
        )
    end;
    v_change := v_due - v_given;
    if v_change < 0 then
        select a.balance into v_left from public.ledger_accounts as a
        where a.id = private.ledger_account('credits', p_order.buyer_id, 'CREDITS') for no key update;
        -- What was spent cannot be taken back.
        v_change := -least(-v_change, v_left);
    end if;
    if v_change <> 0 then
        perform private.post_journal(
            case when v_change > 0 then 'credits_bought' else 'credits_returned' end,
            'credits:' || p_order.id || ':' || (
                select count(*) from public.ledger_lines as l
                where l.order_id = p_order.id and l.account_kind = 'credits'
            ),
            p_order.id, 'CREDITS',
            jsonb_build_array(
                jsonb_build_object('kind', 'credits', 'user_id', p_order.buyer_id, 'amount', -v_change),
                jsonb_build_object('kind', 'credits_issued', 'amount', v_change)
            )
        );
    end if;
end
$$;
comment on function private.settle_credits(public.orders, boolean) is
'Gives the credits of a package, and takes back what went back of it, as far as it is not spent.';

create function private.spend_credits(p_user_id uuid, p_credits bigint, p_key text) returns bigint
language plpgsql
security definer -- the ledger is written by functions only; whoever calls this has decided what it costs
set search_path = ''
as $$
declare
    v_balance bigint;
begin
    select a.balance into v_balance from public.ledger_accounts as a
    where a.id = private.ledger_account('credits', p_user_id, 'CREDITS') for no key update;
    if not exists (select from public.ledger_journals as j where j.idempotency_key = p_key) then
        if p_credits is null or p_credits <= 0 or v_balance < p_credits then
            raise sqlstate 'PT402' using
                message = 'credits_insufficient',
                detail = format('This takes %s credits, and there are %s.', p_credits, v_balance),
                hint = 'Buy credits first.';
        end if;
        perform private.post_journal(
            'credits_spent', p_key, null, 'CREDITS',
            jsonb_build_array(
                jsonb_build_object('kind', 'credits', 'user_id', p_user_id, 'amount', p_credits),
                jsonb_build_object('kind', 'credits_issued', 'amount', -p_credits)
            )
        );
        v_balance := v_balance - p_credits;
    end if;
    return v_balance;
end
$$;
comment on function private.spend_credits(uuid, bigint, text) is
'Takes credits of a person, once for each key, and answers how many are left. For functions of later domains. Raises
PT402 credits_insufficient.';

create function private.deliver_order(p_order_id uuid, p_note text) returns public.fulfilments
language plpgsql
security definer -- fulfilments are no client's to write; only the seller's own is found
set search_path = ''
as $$
declare
    v_caller uuid := private.require_active();
    v_fulfilment public.fulfilments;
begin
    update public.fulfilments as f set status = 'delivered', delivered_at = now(), note = p_note
    where f.order_id = p_order_id and f.seller_id = v_caller
    returning f.* into v_fulfilment;
    if not found then
        raise sqlstate 'PT404' using
            message = 'order_not_found',
            detail = 'There is no such order for you to fulfil.',
            hint = 'Read fulfilments again.';
    end if;
    return v_fulfilment;
end
$$;
comment on function private.deliver_order(uuid, text) is
'Says that the work of an order is done. Raises PT404 order_not_found, and PT409 illegal_transition by a trigger.';

create function public.deliver_order(order_id uuid, note text default null) returns public.fulfilments
language sql
set search_path = ''
as $$
    select private.deliver_order(deliver_order.order_id, deliver_order.note)
$$;
comment on function public.deliver_order(uuid, text) is
'Says that the work that somebody ordered is done, with a note to the buyer. For its seller. Raises order_not_found
(404), illegal_transition (409: it was cancelled).';
