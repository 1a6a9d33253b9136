-- Commerce: offers. Everything that can be bought is an offer of one kind, at one price.

insert into private.errors (token, status, meaning, hint, detail)
values
(
    'offer_column_missing', 422,
    'An offer of this kind needs another column.',
    'Read required_columns, billing, courses and product_kind of the kind in offer_kinds.',
    'An offer of kind %s needs: %s.'
),
(
    'offer_column_not_allowed', 422,
    'An offer of this kind cannot have one of these columns.',
    'Leave the column out.',
    'An offer of kind %s cannot have: %s.'
),
(
    'offer_kind_unknown', 422,
    'There is no such kind of offer.',
    'Choose a kind of offer_kinds.',
    'There is no kind of offer named %s.'
),
(
    'offer_not_found', 404,
    'There is no such offer on sale, or none of yours.',
    'Look it up among the offers.',
    null
),
(
    'seller_unavailable', 409,
    'The seller cannot sell now: the account is not active, or the seller is no teacher.',
    'Wait until an admin has decided about the seller, or choose another.',
    null
),
(
    'offer_seller_wrong', 422,
    'An offer of this kind has another seller.',
    'Teachers leave seller_id out, or send their own id; admins send seller_id null for an offer of the platform.',
    'An offer of kind %s is sold by %s.'
),
(
    'product_not_found', 404,
    'There is no such product, or it is not the seller''s, or of another kind than the offer sells.',
    'Look it up among your products; offer_kinds.product_kind names the kind.',
    null
);

create type public.offer_status as enum ('draft', 'active', 'paused', 'archived');
comment on type public.offer_status is
'draft: only the seller sees it. active: on sale. paused: not on sale while the seller cannot sell. archived: no longer
on sale; buyers keep what they bought.';

create type public.billing_interval as enum ('month', 'year');
comment on type public.billing_interval is 'How often a subscription is paid.';

create table public.offers (
    id uuid not null default gen_random_uuid() constraint offers_pkey primary key,
    seller_id uuid default auth.uid()
    constraint offers_seller_id_fkey references public.profiles (id) on delete restrict,
    kind text not null constraint offers_kind_fkey references public.offer_kinds (kind) on delete restrict,
    status public.offer_status not null default 'draft',
    title text not null constraint offers_title_check check (private.is_name(title, 160)),
    description text constraint offers_description_check check (char_length(description) <= 20000),
    price_amount bigint not null default 0
    constraint offers_price_amount_check check (price_amount between 0 and 999999999999),
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
    product_id uuid,
    product_kind public.product_kind,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    constraint offers_id_seller_id_key unique (id, seller_id),
    constraint offers_id_seller_id_product_id_key unique (id, seller_id, product_id),
    constraint offers_recurring_price_check check (billing_interval is null or price_amount > 0),
    constraint offers_maximum_amount_check check (maximum_amount between price_amount and 999999999999),
    constraint offers_product_id_fkey foreign key (product_id, seller_id, product_kind)
    references public.products (id, creator_id, kind) on delete restrict,
    constraint offers_product_check check ((product_kind is null) = (product_id is null))
);
comment on table public.offers is
'Everything that can be bought, at its present price. Everybody reads the offers on sale; sellers, who are teachers,
read and write their own; admins write the platform''s. The offer of a course follows the course. Orders keep their
price when an offer changes.';
comment on column public.offers.seller_id is 'The seller, who earns; null for the platform. By default the caller.';
comment on column public.offers.kind is
'A row of offer_kinds, which decides the columns that the offer may have; cannot change.';
comment on column public.offers.status is
'publish_offer and archive_offer write it; that of a course''s offer follows the course.';
comment on column public.offers.description is 'Markdown.';
comment on column public.offers.price_amount is
'The price of one, in minor units of the currency, each interval of a subscription; the least where the buyer chooses
the amount. 0 is free.';
comment on column public.offers.price_currency is 'ISO 4217, upper case.';
comment on column public.offers.maximum_amount is
'The most, in minor units, where the buyer chooses the amount, as for a tip; else null.';
comment on column public.offers.maximum_quantity is 'The most that can be bought at once.';
comment on column public.offers.billing_interval is 'How often a subscription is paid; null for one payment.';
comment on column public.offers.trial_days is 'The days that a subscription is free at first, once for each buyer.';
comment on column public.offers.credits is 'The credits of one package.';
comment on column public.offers.duration_minutes is 'The length of a coaching session or service.';
comment on column public.offers.course_id is 'The course that it sells.';
comment on column public.offers.product_id is
'The product that it sells: the seller''s own, of the kind that offer_kinds.product_kind names.';
comment on column public.offers.product_kind is
'The kind of the product, as the kind of offer requires it; the database sets it.';
comment on constraint offers_seller_id_fkey on public.offers is
'The seller of an offer must be a user who still has a profile.';
comment on constraint offers_kind_fkey on public.offers is 'The kind of an offer must be one of the offer kinds.';
comment on constraint offers_title_check on public.offers is
'A title must have 1 to 160 characters and not only spaces.';
comment on constraint offers_description_check on public.offers is 'A description can have at most 20,000 characters.';
comment on constraint offers_price_amount_check on public.offers is
'A price must be between 0 and 999,999,999,999 minor units; an offer on sale keeps to the limits of its currency.';
comment on constraint offers_price_currency_check on public.offers is
'A currency must be three capital letters, such as EUR.';
comment on constraint offers_maximum_quantity_check on public.offers is
'The largest quantity must be between 1 and 1,000.';
comment on constraint offers_trial_days_check on public.offers is 'A trial can last 0 to 90 days.';
comment on constraint offers_credits_amount_check on public.offers is 'A package must have 1 to 100,000,000 credits.';
comment on constraint offers_duration_minutes_check on public.offers is
'A duration must be between 1 minute and 7 days.';
comment on constraint offers_course_id_key on public.offers is 'A course has one offer.';
comment on constraint offers_course_id_fkey on public.offers is 'The course of an offer must exist.';
comment on constraint offers_id_seller_id_key on public.offers is 'An offer has one seller.';
comment on constraint offers_id_seller_id_product_id_key on public.offers is 'An offer has one seller and one product.';
comment on constraint offers_recurring_price_check on public.offers is 'A subscription cannot be free.';
comment on constraint offers_maximum_amount_check on public.offers is
'The largest amount must be at least the price, and at most 999,999,999,999 minor units.';
comment on constraint offers_product_id_fkey on public.offers is
'The product must be one of the seller''s, and of the kind that the offer sells.';
comment on constraint offers_product_check on public.offers is
'An offer needs a product if its kind sells one, and cannot have one otherwise.';
alter table public.offers enable row level security;
revoke all on public.offers from anon, authenticated, service_role;
create index offers_seller_id_idx on public.offers (seller_id, created_at desc);
comment on index public.offers_seller_id_idx is
'A seller''s offers: seller_id=eq.&order=created_at.desc, the policies, and the foreign key';
create index offers_status_idx on public.offers (status, kind, created_at desc);
comment on index public.offers_status_idx is
'What is on sale: status=eq.active&kind=eq.&order=created_at.desc, and the policies';
create index offers_kind_idx on public.offers (kind, created_at desc);
comment on index public.offers_kind_idx is 'Offers of a kind: kind=eq.&order=created_at.desc, and the foreign key';
create index offers_product_id_idx on public.offers (product_id, seller_id, product_kind);
comment on index public.offers_product_id_idx is 'The offers of a product: product_id=eq., and the foreign key';
create trigger _200_set_updated_at before update on public.offers
for each row execute function private.tg__set_updated_at();

insert into private.status_transitions (table_name, from_status, to_status)
values
('offers', 'draft', 'active'),
('offers', 'active', 'archived'),
('offers', 'active', 'paused'),
('offers', 'paused', 'active'),
('offers', 'paused', 'archived'),
('offers', 'archived', 'active');
create trigger _100_check_transition before update of status on public.offers
for each row when (old.status is distinct from new.status) execute function private.tg__check_transition();

create function private.tg_offers__check_kind() returns trigger
language plpgsql
set search_path = ''
as $$
declare
    v_kind public.offer_kinds;
    v_given text[] := array_remove(
        array[
            case when new.maximum_amount is not null then 'maximum_amount' end,
            case when new.maximum_quantity > 1 then 'maximum_quantity' end,
            case when new.credits is not null then 'credits' end,
            case when new.duration_minutes is not null then 'duration_minutes' end,
            case when new.billing_interval is not null then 'billing_interval' end,
            case when new.trial_days > 0 then 'trial_days' end,
            case when new.course_id is not null then 'course_id' end,
            case when new.product_id is not null then 'product_id' end
        ],
        null
    );
    v_required text[];
    v_allowed text[];
    v_wrong text[];
begin
    select k.* into v_kind from public.offer_kinds as k where k.kind = new.kind;
    if not found then
        perform private.refuse('offer_kind_unknown', coalesce(new.kind, 'null'));
    elsif v_kind.sold_by <> 'either' and (v_kind.sold_by = 'platform') <> (new.seller_id is null) then
        perform private.refuse(
            'offer_seller_wrong', new.kind, case v_kind.sold_by when 'platform' then 'the platform' else 'a teacher' end
        );
    end if;
    v_required := v_kind.required_columns
        || case when v_kind.billing = 'recurring' then '{billing_interval}'::text[] else '{}' end
        || case when v_kind.courses = 'own' then '{course_id}'::text[] else '{}' end
        || case when v_kind.product_kind is not null then '{product_id}'::text[] else '{}' end;
    v_allowed := v_required || v_kind.optional_columns
        || case when v_kind.billing = 'recurring' then '{trial_days}'::text[] else '{}' end;
    v_wrong := array(select t.name from unnest(v_required) as t (name) where t.name <> all(v_given));
    if v_wrong <> '{}' then
        perform private.refuse('offer_column_missing', new.kind, array_to_string(v_wrong, ', '));
    end if;
    v_wrong := array(select t.name from unnest(v_given) as t (name) where t.name <> all(v_allowed));
    if v_wrong <> '{}' then
        perform private.refuse('offer_column_not_allowed', new.kind, array_to_string(v_wrong, ', '));
    end if;
    new.product_kind := v_kind.product_kind;
    return new;
end
$$;
comment on function private.tg_offers__check_kind() is
'Before insert, and before update of what it reads: the offer has the seller and the columns that its kind requires, and
none that the kind does not allow; sets product_kind. Raises PT422 offer_kind_unknown, offer_seller_wrong,
offer_column_missing or offer_column_not_allowed.';
create trigger _100_check_kind before insert or update of
kind, seller_id, maximum_amount, maximum_quantity, credits, duration_minutes, billing_interval, trial_days, course_id,
product_id, product_kind
on public.offers
for each row execute function private.tg_offers__check_kind();

create function private.tg_offers__check_product() returns trigger
language plpgsql
security definer -- products of others are hidden from the caller, who gets the same answer for all
set search_path = ''
as $$
begin
    if not exists (
        select from public.products as p
        where p.id = new.product_id and p.creator_id = new.seller_id and p.kind = new.product_kind
    ) then
        perform private.refuse('product_not_found');
    end if;
    return new;
end
$$;
comment on function private.tg_offers__check_product() is
'Before insert: the product is one of the seller, and of the kind that the offer sells. Raises PT404
product_not_found.';
create trigger _110_check_product before insert on public.offers
for each row when (new.product_id is not null) execute function private.tg_offers__check_product();

create function private.may_sell(p_seller_id uuid) returns boolean
language plpgsql -- every order and payment calls this: a SQL function would be planned each time
stable
security definer -- reads the status and the roles of others
set search_path = ''
as $$
begin
    return p_seller_id is null or private.can_teach(p_seller_id);
end
$$;
comment on function private.may_sell(uuid) is
'Whether a seller may sell now: a teacher with an active account. The platform (null) always may.';

create function private.tg_offers__check_seller() returns trigger
language plpgsql
security definer -- reads the status and the roles of others
set search_path = ''
as $$
begin
    if not private.may_sell(new.seller_id) then
        perform private.refuse('seller_unavailable');
    end if;
    return new;
end
$$;
comment on function private.tg_offers__check_seller() is
'Before an offer goes on sale or, on sale, gets another seller: the seller may sell. Functions that put offers on sale
lock the seller''s account before. Raises PT409 seller_unavailable.';
create trigger _160_check_seller before insert or update of status, seller_id on public.offers
for each row when (new.status = 'active') execute function private.tg_offers__check_seller();

create function private.tg_offers__check_price() returns trigger
language plpgsql
security definer -- the currencies are closed
set search_path = ''
as $$
begin
    perform private.require_payable(new.price_amount, new.price_currency);
    return new;
end
$$;
comment on function private.tg_offers__check_price() is
'Before the price of an offer on sale changes: the new price can be charged. Raises what require_payable raises.';
create trigger _150_check_price before update of price_amount, price_currency on public.offers
for each row when (new.status = 'active' and new.price_amount > 0 and new.course_id is null)
execute function private.tg_offers__check_price();

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
'The courses of a bundle or membership, each once. Readable with the offer; its seller adds and removes published
courses of their own.';
comment on column public.offer_courses.seller_id is
'The seller of the offer and creator of the course; by default the caller.';
comment on constraint offer_courses_course_id_fkey on public.offer_courses is 'The course must exist.';
comment on constraint offer_courses_pkey on public.offer_courses is 'The offer has this course already.';
comment on constraint offer_courses_offer_id_fkey on public.offer_courses is 'The offer must exist and be yours.';
alter table public.offer_courses enable row level security;
revoke all on public.offer_courses from anon, authenticated, service_role;
create index offer_courses_course_id_idx on public.offer_courses (course_id);
comment on index public.offer_courses_course_id_idx is 'The offers of a course: course_id=eq., and the foreign key';
create index offer_courses_seller_id_idx on public.offer_courses (seller_id);
comment on index public.offer_courses_seller_id_idx is 'The policies';
create index offer_courses_offer_id_seller_id_idx on public.offer_courses (offer_id, seller_id);
comment on index public.offer_courses_offer_id_seller_id_idx is 'The foreign key';

create function private.tg_offer_courses__check_course() returns trigger
language plpgsql
security definer -- courses and offers of others are hidden from the caller, who gets the same answer for both
set search_path = ''
as $$
begin
    -- The locks keep the course's creator and status, and the offer's kind.
    perform from public.courses as c
    where c.id = new.course_id and c.creator_id = new.seller_id and c.status = 'published' for share;
    if not found then
        perform private.refuse('course_not_found');
    end if;
    perform from public.offers as o
    join public.offer_kinds as k on k.kind = o.kind
    where o.id = new.offer_id and o.seller_id = new.seller_id and k.courses in ('optional', 'required') for share of o;
    if not found then
        perform private.refuse('offer_not_found');
    end if;
    return new;
end
$$;
comment on function private.tg_offer_courses__check_course() is
'Before insert: the course is a published one of the seller, and the offer is one of the same seller whose kind has
courses. Raises PT404 course_not_found or offer_not_found.';
create trigger _100_check_course before insert on public.offer_courses
for each row execute function private.tg_offer_courses__check_course();
