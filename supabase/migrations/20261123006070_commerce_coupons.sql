-- Commerce: coupons. A coupon discounts the first payment of a subscription, those of some months, or all. Placing an
-- order reserves one use, and an order that ends unpaid releases it.

create type public.coupon_duration as enum ('once', 'repeating', 'forever');
comment on type public.coupon_duration is
'Which payments of a subscription a coupon discounts. once: the first one. repeating: those of the first months.
forever: all.';

create table public.coupons (
    id uuid not null default gen_random_uuid() constraint coupons_pkey primary key,
    seller_id uuid default auth.uid()
    constraint coupons_seller_id_fkey references public.profiles (id) on delete restrict,
    code text not null constraint coupons_code_check check (code ~ '^[A-Z0-9_-]{3,40}$'),
    percent_off integer constraint coupons_percent_off_check check (percent_off between 1 and 100),
    amount_off bigint constraint coupons_amount_off_check check (amount_off between 1 and 999999999999),
    currency text constraint coupons_currency_check check (currency ~ '^[A-Z]{3}$'),
    duration public.coupon_duration not null default 'once',
    duration_months integer constraint coupons_duration_months_check check (duration_months between 1 and 36),
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
    constraint coupons_duration_check check ((duration = 'repeating') = (duration_months is not null)),
    constraint coupons_window_check check (ends_at > starts_at),
    constraint coupons_used_count_check
    check (used_count >= 0 and (maximum_uses is null or used_count <= maximum_uses))
);
comment on table public.coupons is
'Discount codes: a percentage or an amount off one offer, or off all offers of a seller (of everybody, where the
platform made it), for a time and a number of uses. The seller reads and writes it; a buyer who knows the code sends it
with an order.';
comment on column public.coupons.seller_id is
'The seller whose offers it is for; null for all sellers. By default the caller.';
comment on column public.coupons.code is 'What buyers type; upper case, unique among all sellers.';
comment on column public.coupons.percent_off is 'Percent of the price, rounded down to what can be charged.';
comment on column public.coupons.amount_off is
'Minor units off each order, at most its price. Less is taken off where the rest would be too small to be charged.';
comment on column public.coupons.currency is
'The currency of amount_off, ISO 4217; only orders in it can use the coupon.';
comment on column public.coupons.duration is
'Which payments of a subscription it discounts: once (the first), repeating (those of the first duration_months) or
forever. Other orders have one payment.';
comment on column public.coupons.duration_months is
'For how many months from its start, trial included, a subscription is discounted; null unless duration is repeating.';
comment on column public.coupons.offer_id is 'The only offer that it is for; null for all.';
comment on column public.coupons.maximum_uses is
'The most orders, pending or paid, that may use it; null for any number.';
comment on column public.coupons.maximum_uses_per_buyer is 'The most orders of one buyer that may use it.';
comment on column public.coupons.starts_at is 'Start of its validity.';
comment on column public.coupons.ends_at is 'End of its validity; null for no end.';
comment on column public.coupons.is_active is 'Whether it can be used at all.';
comment on column public.coupons.used_count is 'The orders that use it now; the database sets it.';
comment on constraint coupons_seller_id_fkey on public.coupons is
'The seller of a coupon must be a user who still has a profile.';
comment on constraint coupons_code_check on public.coupons is
'A code must have 3 to 40 characters: letters, digits, _ and -.';
comment on constraint coupons_percent_off_check on public.coupons is 'A percentage must be between 1 and 100.';
comment on constraint coupons_amount_off_check on public.coupons is
'A discount must be between 1 and 999,999,999,999 minor units.';
comment on constraint coupons_duration_months_check on public.coupons is
'A coupon can discount between 1 and 36 months.';
comment on constraint coupons_duration_check on public.coupons is
'A coupon needs duration_months where its duration is repeating, and has none otherwise.';
comment on constraint coupons_currency_check on public.coupons is
'A currency must be three capital letters, such as EUR.';
comment on constraint coupons_offer_id_fkey on public.coupons is 'The offer of a coupon must exist.';
comment on constraint coupons_maximum_uses_check on public.coupons is
'The number of uses must be between 1 and 1,000,000.';
comment on constraint coupons_maximum_uses_per_buyer_check on public.coupons is
'The number of uses of a buyer must be between 1 and 1,000.';
comment on constraint coupons_code_key on public.coupons is 'Another coupon has this code already.';
comment on constraint coupons_discount_check on public.coupons is
'A coupon needs a percentage or an amount, and not both.';
comment on constraint coupons_amount_currency_check on public.coupons is
'A coupon with an amount needs a currency, and one with a percentage has none.';
comment on constraint coupons_window_check on public.coupons is 'A coupon must end after it starts.';
comment on constraint coupons_used_count_check on public.coupons is
'A coupon cannot have fewer uses than there are orders that use it.';
alter table public.coupons enable row level security;
revoke all on public.coupons from anon, authenticated, service_role;
create index coupons_seller_id_idx on public.coupons (seller_id, created_at desc);
comment on index public.coupons_seller_id_idx is
'A seller''s coupons: seller_id=eq.&order=created_at.desc, the policies, and the foreign key';
create index coupons_offer_id_idx on public.coupons (offer_id);
comment on index public.coupons_offer_id_idx is 'The coupons of an offer: offer_id=eq., and the foreign key';
create trigger _200_set_updated_at before update on public.coupons
for each row execute function private.tg__set_updated_at();

insert into private.errors (token, status, meaning, hint, detail)
values
(
    'coupon_code_short', 422,
    'The code of a coupon is so short that others could guess it.',
    'Choose a longer code, such as one with random letters at its end.',
    'A code needs at least %s characters.'
);

insert into private.app_config (key, value, description)
values
(
    'coupon_code_length', '3',
    'The least length of a new coupon''s code, 3 to 40. Where nothing before PostgREST counts refused calls, as on '
    || 'hosted Supabase, use 10 or more.'
);

create function private.tg_coupons__check_offer() returns trigger
language plpgsql
security definer -- offers of others may be hidden from the caller
set search_path = ''
as $$
begin
    new.code := private.fold_code(new.code);
    if (tg_op = 'INSERT' or new.code <> old.code)
        and char_length(new.code) < private.setting('coupon_code_length')::integer
    then
        perform private.refuse('coupon_code_short', private.setting('coupon_code_length')::text);
    end if;
    if new.offer_id is not null and not exists (
        select from public.offers as o
        where o.id = new.offer_id and (new.seller_id is null or o.seller_id = new.seller_id)
    ) then
        perform private.refuse('offer_not_found');
    end if;
    return new;
end
$$;
comment on function private.tg_coupons__check_offer() is
'Before insert or update: folds the code (fold_code); the offer is one of the same seller. Raises PT404
offer_not_found, PT422 coupon_code_short.';
create trigger _100_check_offer before insert or update of code, offer_id, seller_id on public.coupons
for each row execute function private.tg_coupons__check_offer();
