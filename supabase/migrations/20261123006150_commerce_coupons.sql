-- Commerce: coupons. One is reserved with the order and given back when the order ends unpaid.

create table public.coupons (
    id uuid not null default gen_random_uuid() constraint coupons_pkey primary key,
    seller_id uuid default auth.uid()
    constraint coupons_seller_id_fkey references public.profiles (id) on delete restrict,
    code text not null constraint coupons_code_check check (code ~ '^[A-Z0-9_-]{3,40}$'),
    percent_off integer constraint coupons_percent_off_check check (percent_off between 1 and 100),
    amount_off bigint constraint coupons_amount_off_check check (amount_off between 1 and 99999999),
    currency text constraint coupons_currency_check check (currency ~ '^[A-Z]{3}$'),
    offer_id uuid constraint coupons_offer_id_fkey references public.offers (id) on delete cascade,
    maximum_uses integer constraint coupons_maximum_uses_check check (maximum_uses between 1 and 1000000),
    maximum_uses_per_buyer integer not null default 1
    constraint coupons_maximum_uses_per_buyer_check check (maximum_uses_per_buyer between 1 and 1000),
    starts_at timestamptz not null default now(),
    ends_at timestamptz,
    is_active boolean not null default true,
    used_count integer not null default 0,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    constraint coupons_code_key unique (code),
    constraint coupons_discount_check check ((percent_off is null) <> (amount_off is null)),
    constraint coupons_amount_currency_check check ((amount_off is null) = (currency is null)),
    constraint coupons_window_check check (ends_at > starts_at),
    constraint coupons_used_count_check
    check (used_count >= 0 and (maximum_uses is null or used_count <= maximum_uses))
);
comment on table public.coupons is
'What makes something cheaper: a code, a percentage or an amount, for one offer or all of a seller (of all, where it is
the platform''s), in a window, so many times. Its seller reads and writes it; buyers know the code and learn by
ordering.';
comment on column public.coupons.seller_id is 'Whose offers it is for; null for all. By default the caller.';
comment on column public.coupons.code is 'What buyers type; upper case, of everybody''s coupons only one.';
comment on column public.coupons.percent_off is 'Percent of the price.';
comment on column public.coupons.amount_off is 'Minor units off each order, at most its price.';
comment on column public.coupons.currency is 'Of amount_off, ISO 4217; for orders in it only.';
comment on column public.coupons.offer_id is 'The one offer that it is for; null for all.';
comment on column public.coupons.maximum_uses is 'How many orders, paid or waiting, may use it; null for any number.';
comment on column public.coupons.maximum_uses_per_buyer is 'How many of them may be one buyer''s.';
comment on column public.coupons.starts_at is 'From when on it can be used.';
comment on column public.coupons.ends_at is 'Until when; null for ever.';
comment on column public.coupons.is_active is 'Whether it can be used at all.';
comment on column public.coupons.used_count is 'How many orders hold it now; the database''s.';
alter table public.coupons enable row level security;
revoke all on public.coupons from anon, authenticated, service_role;
create index coupons_seller_id_idx on public.coupons (seller_id, created_at desc);
comment on index public.coupons_seller_id_idx is
'A seller''s coupons: seller_id=eq.&order=created_at.desc, the policies, and the foreign key';
create index coupons_offer_id_idx on public.coupons (offer_id);
comment on index public.coupons_offer_id_idx is 'The coupons of an offer: offer_id=eq., and the foreign key';
create trigger _200_set_updated_at before update on public.coupons
for each row execute function private.tg__set_updated_at();

create function private.tg_coupons__check_offer() returns trigger
language plpgsql
security definer -- must see that an offer is another's
set search_path = ''
as $$
begin
    new.code := upper(btrim(new.code));
    if new.offer_id is not null and not exists (
        select from public.offers as o
        where o.id = new.offer_id and (new.seller_id is null or o.seller_id = new.seller_id)
    ) then
        raise sqlstate 'PT404' using
            message = 'offer_not_found',
            detail = 'You have no such offer.',
            hint = 'Look it up among your offers.';
    end if;
    return new;
end
$$;
comment on function private.tg_coupons__check_offer() is
'Before insert or update: the code in upper case; the offer is the same seller''s. Raises PT404 offer_not_found.';
create trigger _100_check_offer before insert or update of code, offer_id, seller_id on public.coupons
for each row execute function private.tg_coupons__check_offer();

create function private.take_coupon(p_code text, p_offer public.offers, p_subtotal bigint, p_buyer_id uuid)
returns table (coupon_id uuid, discount bigint)
language plpgsql
set search_path = ''
as $$
declare
    v_coupon public.coupons;
    v_held bigint;
begin
    -- The lock lets one buyer after another see how many are left.
    select c.* into v_coupon from public.coupons as c where c.code = upper(btrim(p_code)) for no key update;
    if not found
        or not v_coupon.is_active
        or v_coupon.starts_at > now()
        or coalesce(v_coupon.ends_at <= now(), false)
        or coalesce(v_coupon.offer_id <> p_offer.id, false)
        or coalesce(v_coupon.seller_id <> p_offer.seller_id, v_coupon.seller_id is not null)
        or coalesce(v_coupon.currency <> p_offer.price_currency, false)
    then
        raise sqlstate 'PT422' using
            message = 'coupon_invalid',
            detail = 'There is no such coupon for this, or not now.',
            hint = 'Order without a coupon, or try another.';
    end if;
    if v_coupon.used_count >= v_coupon.maximum_uses then
        -- Orders that nobody paid in time give way.
        perform private.expire_overdue_orders(v_coupon.id, null);
        select c.* into v_coupon from public.coupons as c where c.id = v_coupon.id;
    end if;
    select count(*) into v_held from public.orders as o
    where o.coupon_id = v_coupon.id and o.buyer_id = p_buyer_id
        and (
            o.status in ('processing', 'paid')
            or (o.status = 'pending' and o.expires_at >= now() - interval '5 minutes')
        );
    if v_coupon.used_count >= v_coupon.maximum_uses or v_held >= v_coupon.maximum_uses_per_buyer then
        raise sqlstate 'PT409' using
            message = 'coupon_used_up',
            detail = 'This coupon was used as often as it can be.',
            hint = 'Order without a coupon, or try another.';
    end if;
    update public.coupons as c set used_count = c.used_count + 1 where c.id = v_coupon.id;
    coupon_id := v_coupon.id;
    discount := coalesce(
        p_subtotal * v_coupon.percent_off / 100, least(v_coupon.amount_off, p_subtotal)
    );
    return next;
end
$$;
comment on function private.take_coupon(text, public.offers, bigint, uuid) is
'Reserves one use of a coupon for an order of this offer, and answers what it takes off, in minor units, rounded down.
Raises PT422 coupon_invalid, PT409 coupon_used_up.';
