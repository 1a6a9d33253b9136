-- Commerce: licences of beats, and the files that an order gives. What a licence allows is written down with the order.
--
-- An exclusive licence is sold once. While somebody's order of it waits for its payment, nobody else can order it, as a
-- seat is kept; the other tiers can be ordered until it is paid, and what was ordered before stays good. Once it is
-- paid, orders that still wait are cancelled, and money that comes for them all the same is given back. After it was
-- given back itself, the beat is free again.

create function private.licence_of(p_offer public.offers) returns jsonb
language sql
stable
set search_path = ''
as $$
    select jsonb_build_object(
        'product_title', p.title,
        'tier', p_offer.licence_tier,
        'file_types', to_jsonb(p_offer.file_types),
        'copies', p_offer.maximum_copies,
        'streams', p_offer.maximum_streams,
        'videos', p_offer.maximum_videos,
        'performances', p_offer.maximum_performances,
        'is_credit_required', p_offer.is_credit_required,
        'term_years', p_offer.term_years
    )
    from public.products as p
    where p.id = p_offer.product_id and p_offer.kind = 'beat_licence'
$$;
comment on function private.licence_of(public.offers) is
'What the offer allows now, as an order keeps it; null where it is no beat licence.';

create function private.tg_orders__snapshot() returns trigger
language plpgsql
set search_path = ''
as $$
declare
    v_offer public.offers;
begin
    select o.* into v_offer from public.offers as o where o.id = new.offer_id;
    new.buyer_name := (select p.display_name from public.profiles as p where p.id = new.buyer_id);
    new.seller_name := (select p.display_name from public.profiles as p where p.id = new.seller_id);
    new.product_id := v_offer.product_id;
    if v_offer.kind = 'beat_licence' then
        new.licence := private.licence_of(v_offer);
        new.licence_code := upper(
            regexp_replace(encode(extensions.gen_random_bytes(10), 'hex'), '(.{4})(?=.)', '\1-', 'g')
        );
    end if;
    return new;
end
$$;
comment on function private.tg_orders__snapshot() is
'Before insert: names, product and licence are written down as they are now.';
create trigger _050_snapshot before insert on public.orders
for each row execute function private.tg_orders__snapshot();

create function private.tg_orders__hold_product() returns trigger
language plpgsql
set search_path = ''
as $$
begin
    if new.status in ('failed', 'cancelled', 'expired')
        or (new.status = 'paid' and new.paid_amount > 0 and new.refunded_amount = new.paid_amount)
    then
        new.held_product_id := null;
    elsif tg_op = 'INSERT' or old.status in ('failed', 'cancelled', 'expired') then
        new.held_product_id := new.product_id;
    end if;
    return new;
end
$$;
comment on function private.tg_orders__hold_product() is
'Before an exclusive licence is ordered, ends unpaid or is given back: the beat is kept for the buyer, or free again.
That two orders keep it, a constraint refuses.';
create trigger _060_hold_product before insert on public.orders
for each row when (new.licence ->> 'tier' = 'exclusive') execute function private.tg_orders__hold_product();
create trigger _060_hold_product_on_change before update of status, refunded_amount on public.orders
for each row when (new.licence ->> 'tier' = 'exclusive') execute function private.tg_orders__hold_product();

create function private.tg_orders__sell_product() returns trigger
language plpgsql
security definer -- products and others' orders are no client's to write
set search_path = ''
as $$
begin
    if new.status = 'paid' and new.held_product_id is not null then
        update public.products as p set is_sold = true where p.id = new.product_id and not p.is_sold;
        -- Whoever is just ordering has locked his order before the product, and finds it sold.
        update public.orders as o set status = 'cancelled'
        where o.id in (
            select w.id from public.orders as w
            where w.product_id = new.product_id and w.status = 'pending' and w.id <> new.id
            for no key update skip locked
        );
    elsif old.status = 'paid' and old.held_product_id is not null then
        update public.products as p set is_sold = false where p.id = new.product_id;
    end if;
    return null;
end
$$;
comment on function private.tg_orders__sell_product() is
'After an exclusive licence is paid: its beat is sold, and orders of it that wait are cancelled. After it is given back:
the beat is for sale again.';
create trigger _310_sell_product after update on public.orders
for each row when (
    (old.status, old.held_product_id) is distinct from (new.status, new.held_product_id)
    and new.licence ->> 'tier' = 'exclusive'
)
execute function private.tg_orders__sell_product();

create function private.tg_disputes__release_product() returns trigger
language plpgsql
security definer -- orders are no client's to write
set search_path = ''
as $$
begin
    update public.orders as o set held_product_id = null
    where o.id = new.order_id and o.held_product_id is not null
        and o.refunded_amount + o.disputed_amount = o.paid_amount;
    return null;
end
$$;
comment on function private.tg_disputes__release_product() is
'After a dispute about all of an exclusive licence is lost: the beat is for sale again.';
create trigger _300_release_product after update of status on public.disputes
for each row when (new.status = 'lost' and old.status <> 'lost')
execute function private.tg_disputes__release_product();

create function private.require_licence_free(p_buyer_id uuid, p_offer public.offers) returns void
language plpgsql
set search_path = ''
as $$
declare
    v_product public.products;
begin
    -- Buyers of the exclusive licence come one after another; the others wait only for it to be paid.
    if p_offer.licence_tier = 'exclusive' then
        select p.* into v_product from public.products as p where p.id = p_offer.product_id for no key update;
        perform private.expire_overdue_orders(null, p_offer.product_id);
    else
        select p.* into v_product from public.products as p where p.id = p_offer.product_id for share;
    end if;
    if v_product.is_sold or (
        p_offer.licence_tier = 'exclusive' and exists (
            select from public.orders as o
            where o.held_product_id = p_offer.product_id and not (o.buyer_id = p_buyer_id and o.status = 'pending')
        )
    ) then
        raise sqlstate 'PT409' using
            message = 'licence_exclusive',
            detail = case when v_product.is_sold
                then 'Somebody has the exclusive licence of this beat.'
                else 'Somebody is just buying the exclusive licence of this beat.'
            end,
            hint = 'Choose another beat; one that is only being bought may be free again within the hour.';
    end if;
end
$$;
comment on function private.require_licence_free(uuid, public.offers) is
'Refuses a licence of a beat of which somebody has the exclusive one, and the exclusive one while another orders it.
Called by place_order, which has locked the buyer''s pending order. Raises PT409 licence_exclusive.';

create function private.is_taken(p_order public.orders) returns boolean
language plpgsql -- every payment asks, and most are of no licence: as SQL the queries were planned all the same
stable
security definer -- reads the orders of others, for functions of ours
set search_path = ''
as $$
begin
    if p_order.licence is null or p_order.status = 'paid' then
        return false;
    elsif p_order.licence ->> 'tier' = 'exclusive' then
        return exists (
            select from public.orders as o where o.held_product_id = p_order.product_id and o.id <> p_order.id
        );
    end if;
    -- What was under way before stays good.
    return p_order.status <> 'processing' and exists (
        select from public.products as p where p.id = p_order.product_id and p.is_sold
    );
end
$$;
comment on function private.is_taken(public.orders) is
'Whether an unpaid order is of a licence that cannot be had any more: somebody else has, or is buying, the exclusive
one.';

-- The files of an order -----------------------------------------------------------------------------------------------

create function private.my_bought_files() returns setof public.product_files
language plpgsql
stable
security definer -- the policy of the files itself asks
set search_path = ''
as $$
begin
    if not (select private.is_active()) then
        return;
    end if;
    return query
    select distinct f.* from public.entitlements as e
    join public.orders as o on o.id = e.order_id
    join public.product_files as f on f.product_id = o.product_id
    where e.user_id = (select auth.uid()) and e.kind in ('beat_licence', 'digital_product')
        and e.starts_at <= now() and coalesce(e.ends_at > now(), true)
        and (o.licence is null or o.licence -> 'file_types' ? f.file_type::text);
end
$$;
comment on function private.my_bought_files() is
'The files that the caller, who is active, may fetch now by what he bought.';

create function private.my_bought_file_ids() returns uuid[]
language plpgsql
stable
security definer -- the policy of the files itself asks
set search_path = ''
as $$
begin
    return (select coalesce(array_agg(f.id), '{}') from private.my_bought_files() as f);
end
$$;
comment on function private.my_bought_file_ids() is
'The files that the caller may fetch by what he bought. The policy calls it as any((select
private.my_bought_file_ids())::uuid[]).';

create function private.my_bought_paths() returns text[]
language plpgsql
stable
security definer -- the policy of storage asks, where the caller may not see product_files
set search_path = ''
as $$
begin
    return (select coalesce(array_agg(f.path), '{}') from private.my_bought_files() as f);
end
$$;
comment on function private.my_bought_paths() is
'Where in the bucket products the files lie that the caller may fetch by what he bought. The policy of storage calls it
as any((select private.my_bought_paths())::text[]).';

create function private.order_files(p_order_id uuid, p_file_type public.file_type)
returns setof public.product_files
language plpgsql
stable
security definer -- must tell what the order does not give from what is not there; only the buyer's own is found
set search_path = ''
as $$
declare
    v_caller uuid := private.require_active();
    v_order public.orders;
begin
    select o.* into v_order from public.orders as o where o.id = p_order_id and o.buyer_id = v_caller;
    if not found then
        raise sqlstate 'PT404' using
            message = 'order_not_found',
            detail = 'There is no such order, or it is not yours.',
            hint = 'Read orders again.';
    elsif v_order.product_id is null then
        raise sqlstate 'PT409' using
            message = 'order_without_files',
            detail = 'This order is not of files.',
            hint = 'Read its kind.';
    elsif v_order.status <> 'paid' then
        raise sqlstate 'PT409' using
            message = 'order_unpaid',
            detail = format('This order is %s, not paid.', v_order.status),
            hint = 'Pay it first.';
    elsif not exists (
        select from public.entitlements as e
        where e.order_id = p_order_id and e.starts_at <= now() and coalesce(e.ends_at > now(), true)
    ) then
        raise sqlstate 'PT403' using
            message = 'entitlement_ended',
            detail = 'What this order gave has ended: the money went back.',
            hint = 'Order again.';
    elsif p_file_type is not null and v_order.licence is not null
        and not v_order.licence -> 'file_types' ? p_file_type::text
    then
        raise sqlstate 'PT403' using
            message = 'file_type_not_included',
            detail = format('The %s licence gives no %s.', v_order.licence ->> 'tier', p_file_type),
            hint = 'Buy a licence of a higher tier.';
    end if;
    return query
    select f.* from public.product_files as f
    where f.product_id = v_order.product_id
        and (v_order.licence is null or v_order.licence -> 'file_types' ? f.file_type::text)
        and (p_file_type is null or f.file_type = p_file_type)
    order by f.file_type, f.path;
end
$$;
comment on function private.order_files(uuid, public.file_type) is
'The files that an order of the caller gives now. Raises what require_active raises, PT403 entitlement_ended or
file_type_not_included, PT404 order_not_found, PT409 order_without_files or order_unpaid.';

create function public.order_files(order_id uuid, file_type public.file_type default null)
returns setof public.product_files
language sql
stable
set search_path = ''
as $$
    select f.* from private.order_files(order_files.order_id, order_files.file_type) as f
$$;
comment on function public.order_files(uuid, public.file_type) is
'The files that one''s own order gives, all or those of a type; GET /functions/v1/orders/{order_id}/downloads answers
them with links. Raises entitlement_ended (403: the money went back), file_type_not_included (403: of another tier),
order_not_found (404), order_without_files, order_unpaid (409).';

create function private.verify_licence(p_code text) returns jsonb
language plpgsql
stable
security definer -- a stranger with the code may know this much of an order that he may not read
set search_path = ''
as $$
declare
    v_found jsonb;
begin
    v_found := (
        select jsonb_build_object(
            'code', o.licence_code,
            'is_valid', private.is_held(o) and coalesce(t.ends_at > now(), true),
            'tier', o.licence -> 'tier',
            'product_title', o.licence -> 'product_title',
            'licensor_name', o.seller_name,
            'licensee_name', o.buyer_name,
            'issued_at', o.paid_at,
            'ends_at', t.ends_at
        )
        from public.orders as o
        cross join lateral (
            select o.paid_at + (o.licence ->> 'term_years')::integer * interval '1 year' as ends_at
        ) as t
        where o.licence_code = upper(btrim(p_code)) and o.status = 'paid'
    );
    if v_found is null then
        raise sqlstate 'PT404' using
            message = 'licence_not_found',
            detail = 'No licence has this code.',
            hint = 'Check the code: five groups of four characters.';
    end if;
    return v_found;
end
$$;
comment on function private.verify_licence(text) is
'What anyone with its code may know of a licence. Raises PT404 licence_not_found.';

create function public.verify_licence(code text) returns jsonb
language sql
stable
set search_path = ''
as $$
    select private.verify_licence(verify_licence.code)
$$;
comment on function public.verify_licence(text) is
'Verifies the licence of a beat by the code on its contract: {code, is_valid, tier, product_title, licensor_name,
licensee_name, issued_at, ends_at}; not valid once it has run out or the money went back. For everybody. Raises
licence_not_found (404).';
