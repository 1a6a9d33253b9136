-- Commerce: licence terms, one row for each offer of a licence.

create table public.licence_terms (
    offer_id uuid constraint licence_terms_pkey primary key,
    seller_id uuid not null default auth.uid(),
    product_id uuid not null,
    tier public.licence_tier not null,
    file_types public.file_type[] not null
    constraint licence_terms_file_types_check
    check (coalesce(cardinality(file_types), 0) between 1 and 5 and array_position(file_types, null) is null),
    maximum_copies integer constraint licence_terms_maximum_copies_check check (maximum_copies >= 0),
    maximum_streams integer constraint licence_terms_maximum_streams_check check (maximum_streams >= 0),
    maximum_videos integer constraint licence_terms_maximum_videos_check check (maximum_videos >= 0),
    maximum_performances integer
    constraint licence_terms_maximum_performances_check check (maximum_performances >= 0),
    is_credit_required boolean not null,
    term_years integer constraint licence_terms_term_years_check check (term_years between 1 and 100),
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    -- PostgREST embeds one row, and not a list, where the columns of the foreign key are unique.
    constraint licence_terms_offer_id_seller_id_product_id_key unique (offer_id, seller_id, product_id),
    constraint licence_terms_product_id_tier_key unique (product_id, tier),
    constraint licence_terms_offer_id_fkey foreign key (offer_id, seller_id, product_id)
    references public.offers (id, seller_id, product_id) on delete cascade
);
comment on table public.licence_terms is
'What the licence of an offer allows: offers?select=*,licence_terms(*). Everybody who reads the offer reads its terms;
its seller, a teacher, adds them before the offer goes on sale and changes them for later orders, and so do admins. An
order keeps its own copy, orders.licence.';
comment on column public.licence_terms.seller_id is 'The seller of the offer; by default the caller.';
comment on column public.licence_terms.product_id is 'The product of the offer; the database sets it.';
comment on column public.licence_terms.tier is 'A product has one offer for each tier; the tier cannot change.';
comment on column public.licence_terms.file_types is 'The types of files that the buyer gets.';
comment on column public.licence_terms.maximum_copies is 'Copies that may be distributed; null for any number.';
comment on column public.licence_terms.maximum_streams is 'Streams; null for any number.';
comment on column public.licence_terms.maximum_videos is 'Music videos; null for any number.';
comment on column public.licence_terms.maximum_performances is 'Paid performances; null for any number.';
comment on column public.licence_terms.is_credit_required is 'Whether the buyer must credit the producer.';
comment on column public.licence_terms.term_years is 'Years that the licence lasts; null for ever.';
comment on constraint licence_terms_pkey on public.licence_terms is 'The offer has licence terms already.';
comment on constraint licence_terms_file_types_check on public.licence_terms is
'A licence must include 1 to 5 types of files.';
comment on constraint licence_terms_maximum_copies_check on public.licence_terms is
'The number of copies cannot be negative.';
comment on constraint licence_terms_maximum_streams_check on public.licence_terms is
'The number of streams cannot be negative.';
comment on constraint licence_terms_maximum_videos_check on public.licence_terms is
'The number of videos cannot be negative.';
comment on constraint licence_terms_maximum_performances_check on public.licence_terms is
'The number of performances cannot be negative.';
comment on constraint licence_terms_term_years_check on public.licence_terms is
'A licence must last 1 to 100 years, or for ever.';
comment on constraint licence_terms_offer_id_seller_id_product_id_key on public.licence_terms is
'The offer has licence terms already.';
comment on constraint licence_terms_product_id_tier_key on public.licence_terms is
'The product has an offer of this tier already.';
comment on constraint licence_terms_offer_id_fkey on public.licence_terms is 'The offer must exist and be yours.';
alter table public.licence_terms enable row level security;
revoke all on public.licence_terms from anon, authenticated, service_role;
create index licence_terms_seller_id_idx on public.licence_terms (seller_id);
comment on index public.licence_terms_seller_id_idx is 'The policies';
create trigger _200_set_updated_at before update on public.licence_terms
for each row execute function private.tg__set_updated_at();

create function private.tg_licence_terms__copy_offer() returns trigger
language plpgsql
security definer -- offers of others are hidden from the caller, who gets the same answer for both
set search_path = ''
as $$
begin
    -- The lock keeps the offer as it is.
    select o.product_id into new.product_id from public.offers as o
    join public.offer_kinds as k on k.kind = o.kind
    where o.id = new.offer_id and o.seller_id = new.seller_id and k.has_licence_terms for share of o;
    if not found then
        perform private.refuse('offer_not_found');
    end if;
    return new;
end
$$;
comment on function private.tg_licence_terms__copy_offer() is
'Before insert: the offer is a licence of the same seller; copies its product. Raises PT404 offer_not_found.';
create trigger _100_copy_offer before insert on public.licence_terms
for each row execute function private.tg_licence_terms__copy_offer();

create function private.licence_of(p_offer public.offers) returns jsonb
language sql
stable
set search_path = ''
as $$
    select jsonb_build_object(
        'product_title', p.title,
        'tier', t.tier,
        'file_types', to_jsonb(t.file_types),
        'copies', t.maximum_copies,
        'streams', t.maximum_streams,
        'videos', t.maximum_videos,
        'performances', t.maximum_performances,
        'is_credit_required', t.is_credit_required,
        'term_years', t.term_years
    )
    from public.licence_terms as t
    join public.products as p on p.id = t.product_id
    where t.offer_id = p_offer.id
$$;
comment on function private.licence_of(public.offers) is
'The present terms of an offer in the form that an order keeps; null for an offer without licence terms.';
