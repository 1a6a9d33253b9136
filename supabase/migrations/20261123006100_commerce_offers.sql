-- Commerce: whatever can be bought is an offer, of one of a few kinds, at one price.

create type public.offer_kind as enum (
    'course', 'bundle', 'coaching', 'beat_licence', 'mixing_service', 'digital_product', 'service', 'credit_package',
    'membership', 'creator_plan', 'pro_plan', 'creator_subscription', 'playlist_submission', 'tip'
);
comment on type public.offer_kind is
'course: made from a course with a price. bundle: several courses. coaching: an hour or more with the seller.
beat_licence: a tier of rights in a beat. mixing_service, service: work to be done. digital_product: files.
credit_package: credits. membership: a tier of the academy or of a seller, with its courses. creator_plan, pro_plan:
plans of the platform. creator_subscription: support by the month. playlist_submission: to be heard. tip: as much as one
likes.';

create type public.offer_status as enum ('draft', 'active', 'archived');
comment on type public.offer_status is
'draft: only the seller sees it. active: on sale. archived: no longer on sale; what was bought stays.';

create type public.billing_interval as enum ('month', 'year');
comment on type public.billing_interval is 'How often what recurs is paid.';

create table public.offers (
    id uuid not null default gen_random_uuid() constraint offers_pkey primary key,
    seller_id uuid default auth.uid()
    constraint offers_seller_id_fkey references public.profiles (id) on delete restrict,
    kind public.offer_kind not null,
    status public.offer_status not null default 'draft',
    title text not null constraint offers_title_check check (title ~ '\S' and char_length(title) <= 160),
    description text constraint offers_description_check check (char_length(description) <= 20000),
    price_amount bigint not null default 0
    constraint offers_price_amount_check check (price_amount between 0 and 99999999),
    price_currency text not null default 'EUR'
    constraint offers_price_currency_check check (price_currency ~ '^[A-Z]{3}$'),
    maximum_amount bigint,
    maximum_quantity integer not null default 1
    constraint offers_maximum_quantity_check check (maximum_quantity between 1 and 1000),
    billing_interval public.billing_interval,
    trial_days integer not null default 0 constraint offers_trial_days_check check (trial_days between 0 and 90),
    credits bigint constraint offers_credits_amount_check check (credits between 1 and 100000000),
    duration_minutes integer constraint offers_duration_minutes_check check (duration_minutes between 1 and 10080),
    course_id uuid constraint offers_course_id_key unique
    constraint offers_course_id_fkey references public.courses (id) on delete cascade,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    constraint offers_id_seller_id_key unique (id, seller_id),
    -- What the platform sells has no seller; memberships may have one or none.
    constraint offers_seller_check
    check (kind = 'membership' or (kind in ('credit_package', 'creator_plan', 'pro_plan')) = (seller_id is null)),
    constraint offers_course_check check ((kind = 'course') = (course_id is not null)),
    constraint offers_credits_check check ((kind = 'credit_package') = (credits is not null)),
    constraint offers_billing_interval_check
    check (
        (kind in ('membership', 'creator_plan', 'pro_plan', 'creator_subscription')) = (billing_interval is not null)
    ),
    constraint offers_trial_check check (trial_days = 0 or billing_interval is not null),
    constraint offers_recurring_price_check check (billing_interval is null or price_amount > 0),
    constraint offers_maximum_amount_check
    check ((kind = 'tip') = (maximum_amount is not null) and maximum_amount between price_amount and 99999999),
    constraint offers_quantity_check
    check (maximum_quantity = 1 or kind in ('credit_package', 'coaching', 'service', 'mixing_service'))
);
comment on table public.offers is
'All that can be bought, at its present price. Everybody reads what is on sale; sellers, who are teachers, read and
write their own; admins write those of the platform. A course''s offer follows the course. What was bought keeps its
price on the order.';
comment on column public.offers.seller_id is 'Who sells it and earns; null for the platform. By default the caller.';
comment on column public.offers.kind is 'What it is; stays.';
comment on column public.offers.status is 'Written by publish_offer and archive_offer; a course''s by its course.';
comment on column public.offers.description is 'What one gets, Markdown.';
comment on column public.offers.price_amount is
'What one costs, in minor units of the currency, each interval where it recurs; of a tip, the least. 0 is free.';
comment on column public.offers.price_currency is 'ISO 4217, upper case.';
comment on column public.offers.maximum_amount is 'Of a tip, the most, in minor units.';
comment on column public.offers.maximum_quantity is 'How many one may buy at once.';
comment on column public.offers.billing_interval is 'How often it is paid; null for once.';
comment on column public.offers.trial_days is 'How long it costs nothing at first; once for each buyer.';
comment on column public.offers.credits is 'How many credits one package has.';
comment on column public.offers.duration_minutes is 'How long coaching takes.';
comment on column public.offers.course_id is 'The course that it sells.';
alter table public.offers enable row level security;
revoke all on public.offers from anon, authenticated, service_role;
create index offers_seller_id_idx on public.offers (seller_id, created_at desc);
comment on index public.offers_seller_id_idx is
'A seller''s offers: seller_id=eq.&order=created_at.desc, the policies, and the foreign key';
create index offers_status_idx on public.offers (status, kind, created_at desc);
comment on index public.offers_status_idx is
'What is on sale: status=eq.active&kind=eq.&order=created_at.desc, and the policies';
create trigger _200_set_updated_at before update on public.offers
for each row execute function private.tg__set_updated_at();

insert into private.status_transitions (table_name, from_status, to_status)
values
('offers', 'draft', 'active'),
('offers', 'active', 'archived'),
('offers', 'archived', 'active');
create trigger _100_check_transition before update of status on public.offers
for each row when (old.status is distinct from new.status) execute function private.tg__check_transition();

create table public.offer_courses (
    offer_id uuid not null,
    seller_id uuid not null default auth.uid(),
    course_id uuid not null constraint offer_courses_course_id_fkey references public.courses (id) on delete cascade,
    created_at timestamptz not null default now(),
    constraint offer_courses_pkey primary key (offer_id, course_id),
    constraint offer_courses_offer_id_fkey foreign key (offer_id, seller_id)
    references public.offers (id, seller_id) on delete cascade
);
comment on table public.offer_courses is
'The courses that a bundle or a membership gives, each once. Read as their offer; written by its seller, of own courses
that are published.';
comment on column public.offer_courses.seller_id is 'Whose the offer is, and the course; by default the caller.';
alter table public.offer_courses enable row level security;
revoke all on public.offer_courses from anon, authenticated, service_role;
create index offer_courses_course_id_idx on public.offer_courses (course_id);
comment on index public.offer_courses_course_id_idx is 'The offers that a course is in, and the foreign key';
create index offer_courses_seller_id_idx on public.offer_courses (seller_id);
comment on index public.offer_courses_seller_id_idx is 'The policies';
create index offer_courses_offer_id_seller_id_idx on public.offer_courses (offer_id, seller_id);
comment on index public.offer_courses_offer_id_seller_id_idx is 'The foreign key';

create function private.tg_offer_courses__check_course() returns trigger
language plpgsql
security definer -- courses of others are hidden from the seller, and offers from whoever reads this
set search_path = ''
as $$
begin
    -- The locks keep the course whose it is, and the offer what it is.
    perform from public.courses as c
    where c.id = new.course_id and c.creator_id = new.seller_id and c.status = 'published' for share;
    if not found then
        raise sqlstate 'PT404' using
            message = 'course_not_found',
            detail = 'You have no such published course.',
            hint = 'Add published courses of your own.';
    end if;
    perform from public.offers as o
    where o.id = new.offer_id and o.seller_id = new.seller_id and o.kind in ('bundle', 'membership') for share;
    if not found then
        raise sqlstate 'PT404' using
            message = 'offer_not_found',
            detail = 'You have no such bundle or membership.',
            hint = 'Look it up among your offers.';
    end if;
    return new;
end
$$;
comment on function private.tg_offer_courses__check_course() is
'Before insert: the course is the seller''s and published, the offer a bundle or a membership of the same seller. Raises
PT404 course_not_found or offer_not_found.';
create trigger _100_check_course before insert on public.offer_courses
for each row execute function private.tg_offer_courses__check_course();

create function private.tg_courses__keep_offer() returns trigger
language plpgsql
security definer -- a course's offer is no client's to write
set search_path = ''
as $$
begin
    if new.status = 'published' and new.price_amount > 0 then
        insert into public.offers as o (seller_id, kind, status, title, price_amount, price_currency, course_id)
        values (new.creator_id, 'course', 'active', new.title, new.price_amount, new.price_currency, new.id)
        on conflict (course_id) do update
        set
            seller_id = excluded.seller_id, status = 'active', title = excluded.title,
            price_amount = excluded.price_amount, price_currency = excluded.price_currency;
    else
        update public.offers as o set status = 'archived', seller_id = new.creator_id
        where o.course_id = new.id and (o.status = 'active' or o.seller_id <> new.creator_id);
    end if;
    return null;
end
$$;
comment on function private.tg_courses__keep_offer() is
'After a course is published, taken back, renamed, priced or transferred: so is its offer. Of a free course there is
none on sale.';
create trigger _320_keep_offer after insert on public.courses
for each row when (new.status = 'published') execute function private.tg_courses__keep_offer();
create trigger _320_keep_offer_on_change
after update of status, title, price_amount, price_currency, creator_id on public.courses
for each row when (
    (old.status, old.title, old.price_amount, old.price_currency, old.creator_id)
    is distinct from (new.status, new.title, new.price_amount, new.price_currency, new.creator_id)
)
execute function private.tg_courses__keep_offer();

create function private.require_offer(p_offer_id uuid) returns public.offers
language plpgsql
security definer -- must tell an offer that is missing from one that is another's, and says the same of both
set search_path = ''
as $$
declare
    v_caller uuid := private.require_active();
    v_offer public.offers;
begin
    select o.* into v_offer from public.offers as o
    where o.id = p_offer_id and o.kind <> 'course'
        and (
            (o.seller_id = v_caller and (select private.has_role('teacher'))) or (select private.has_role('admin'))
        )
    for no key update;
    if not found then
        raise sqlstate 'PT404' using
            message = 'offer_not_found',
            detail = 'There is no such offer, or it is not yours, or it follows a course.',
            hint = 'Look it up among your offers.';
    end if;
    return v_offer;
end
$$;
comment on function private.require_offer(uuid) is
'The offer, locked, where the caller may change it. Raises PT401 sign_in_required, PT403 account_inactive, PT404
offer_not_found.';

create function private.publish_offer(p_offer_id uuid) returns public.offers
language plpgsql
security definer -- the status is no client's to write; the check below decides
set search_path = ''
as $$
declare
    v_offer public.offers := private.require_offer(p_offer_id);
begin
    if v_offer.price_amount > 0 then
        perform private.require_payable(v_offer.price_amount, v_offer.price_currency);
    end if;
    if v_offer.kind = 'bundle' and not exists (
        select from public.offer_courses as i where i.offer_id = p_offer_id
    ) then
        raise sqlstate 'PT409' using
            message = 'bundle_empty',
            detail = 'A bundle without courses cannot be sold.',
            hint = 'Add courses first.';
    end if;
    if v_offer.status <> 'active' then
        update public.offers as o set status = 'active' where o.id = p_offer_id returning o.* into v_offer;
    end if;
    return v_offer;
end
$$;
comment on function private.publish_offer(uuid) is
'Puts an offer on sale. Raises what require_offer and require_payable raise, and PT409 bundle_empty.';

create function public.publish_offer(offer_id uuid) returns public.offers
language sql
set search_path = ''
as $$
    select private.publish_offer(publish_offer.offer_id)
$$;
comment on function public.publish_offer(uuid) is
'Puts an offer on sale, again where it was archived; once is enough. For its seller, and admins. Raises offer_not_found
(404), bundle_empty (409), currency_unsupported, amount_too_small or amount_unpayable (422).';

create function private.archive_offer(p_offer_id uuid) returns public.offers
language plpgsql
security definer -- the status is no client's to write; the check below decides
set search_path = ''
as $$
declare
    v_offer public.offers := private.require_offer(p_offer_id);
begin
    if v_offer.status <> 'archived' then
        update public.offers as o set status = 'archived' where o.id = p_offer_id returning o.* into v_offer;
    end if;
    return v_offer;
end
$$;
comment on function private.archive_offer(uuid) is
'Takes an offer off sale. Raises what require_offer raises, and PT409 illegal_transition by a trigger.';

create function public.archive_offer(offer_id uuid) returns public.offers
language sql
set search_path = ''
as $$
    select private.archive_offer(archive_offer.offer_id)
$$;
comment on function public.archive_offer(uuid) is
'Takes an offer off sale; who bought it keeps it, and subscriptions go on. For its seller, and admins. Raises
offer_not_found (404), illegal_transition (409: a draft was never on sale; delete it).';

create function private.tg_offers__check_price() returns trigger
language plpgsql
security definer -- currencies are closed
set search_path = ''
as $$
begin
    perform private.require_payable(new.price_amount, new.price_currency);
    return new;
end
$$;
comment on function private.tg_offers__check_price() is
'Before the price of an offer on sale changes: the new one can be charged. Raises what require_payable raises.';
create trigger _150_check_price before update of price_amount, price_currency on public.offers
for each row when (new.status = 'active' and new.price_amount > 0 and new.kind <> 'course')
execute function private.tg_offers__check_price();
