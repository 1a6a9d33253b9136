-- Commerce: licences on orders.
--
-- An exclusive licence is sold once. A pending order of it reserves the beat, so that nobody else can order the
-- exclusive licence; other tiers stay on sale until it is paid. The payment cancels all pending orders of the beat,
-- and money that arrives for them later is refunded. A full refund or a lost dispute puts the beat on sale again. Where
-- the refund fails after that, or an appeal wins, the order gets its licence back, unless somebody else has bought it:
-- then this order gives nothing and is refunded by itself. Stripe refuses to refund a charge that was charged back: the
-- order stays in payment_exceptions until an admin returns the money in another way.

insert into private.errors (token, status, meaning, hint, detail)
values
(
    'licence_exclusive', 409,
    'Another person has the exclusive licence of this beat, or is buying it now.',
    'Choose another beat; one that is being bought may be free again within the hour.',
    null
);

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
    new.licence := private.licence_of(v_offer);
    if new.licence is not null then
        new.licence_code := private.new_code();
    end if;
    return new;
end
$$;
comment on function private.tg_orders__snapshot() is
'Before insert: writes down the names, product and licence terms of the moment.';
create trigger _050_snapshot before insert on public.orders
for each row execute function private.tg_orders__snapshot();

create function private.tg_orders__reserve_product() returns trigger
language plpgsql
security definer -- reads and cancels the orders of others
set search_path = ''
as $$
begin
    if new.status in ('failed', 'cancelled', 'expired')
        or (new.status = 'paid' and new.paid_amount > 0 and new.refunded_amount = new.paid_amount)
        or (
            new.status = 'paid' and not private.is_order_in_force(new) and not exists (
                select from public.disputes as d where d.order_id = new.id and d.status = 'open'
            )
        )
    then
        new.reserved_product_id := null;
    elsif tg_op = 'INSERT' or old.status in ('failed', 'cancelled', 'expired') then
        new.reserved_product_id := new.product_id;
    elsif new.reserved_product_id is null and private.is_order_in_force(new) then
        -- The money came back. Who has not paid yet steps aside, unless a payment is being received right now.
        perform private.lock_product(new.product_id);
        update public.orders as o set status = 'cancelled'
        where o.id in (
            select w.id from public.orders as w
            where w.reserved_product_id = new.product_id and w.status = 'pending'
            for no key update skip locked
        );
        if not exists (select from public.orders as o where o.reserved_product_id = new.product_id) then
            new.reserved_product_id := new.product_id;
        end if;
    end if;
    return new;
end
$$;
comment on function private.tg_orders__reserve_product() is
'Before an exclusive licence is ordered: reserves the beat for the buyer. Before the order ends unpaid, or its money is
returned for good: releases it. Before the money comes back: reserves it again, unless somebody else has it. A
constraint refuses a second reservation.';
create trigger _060_reserve_product before insert on public.orders
for each row when (new.licence ->> 'tier' = 'exclusive') execute function private.tg_orders__reserve_product();
create trigger _060_reserve_product_on_change before update of status, refunded_amount, disputed_amount on public.orders
for each row when (new.licence ->> 'tier' = 'exclusive') execute function private.tg_orders__reserve_product();

create function private.tg_orders__sell_product() returns trigger
language plpgsql
security definer -- clients may not write products and the orders of others
set search_path = ''
as $$
begin
    if new.status = 'paid' and new.reserved_product_id is not null then
        update public.products as p set is_sold = true where p.id = new.product_id and not p.is_sold;
        -- A buyer who is placing an order has locked it before the product, and will find the product sold.
        update public.orders as o set status = 'cancelled'
        where o.id in (
            select w.id from public.orders as w
            where w.product_id = new.product_id and w.status = 'pending' and w.id <> new.id
            for no key update skip locked
        );
    elsif old.status = 'paid' and old.reserved_product_id is not null then
        update public.products as p set is_sold = false where p.id = new.product_id;
    end if;
    return null;
end
$$;
comment on function private.tg_orders__sell_product() is
'After an exclusive licence is paid: its beat is sold, and pending orders of the beat are cancelled. After it is
refunded: the beat is on sale again.';
create trigger _310_sell_product after update on public.orders
for each row when (
    (old.status, old.reserved_product_id) is distinct from (new.status, new.reserved_product_id)
    and new.licence ->> 'tier' = 'exclusive'
)
execute function private.tg_orders__sell_product();

create function private.tg_disputes__release_product() returns trigger
language plpgsql
security definer -- clients may not write orders
set search_path = ''
as $$
begin
    update public.orders as o set reserved_product_id = null
    where o.id = new.order_id and o.reserved_product_id is not null
        and o.refunded_amount + o.disputed_amount = o.paid_amount;
    return null;
end
$$;
comment on function private.tg_disputes__release_product() is
'After a dispute of the whole payment of an exclusive licence is lost: the beat is on sale again.';
create trigger _300_release_product after update of status on public.disputes
for each row when (new.status = 'lost' and old.status <> 'lost')
execute function private.tg_disputes__release_product();

create function private.require_licence_available(p_buyer_id uuid, p_offer public.offers) returns void
language plpgsql
set search_path = ''
as $$
declare
    v_is_exclusive boolean := exists (
        select from public.licence_terms as t where t.offer_id = p_offer.id and t.tier = 'exclusive'
    );
    v_product public.products;
begin
    -- Buyers of the exclusive licence wait for each other; buyers of other tiers wait only for its payment.
    if v_is_exclusive then
        select p.* into v_product from public.products as p where p.id = p_offer.product_id for no key update;
        perform private.expire_overdue_orders(null, p_offer.product_id);
    else
        select p.* into v_product from public.products as p where p.id = p_offer.product_id for share;
    end if;
    if v_product.is_sold or (
        v_is_exclusive and exists (
            select from public.orders as o
            where o.reserved_product_id = p_offer.product_id and not (o.buyer_id = p_buyer_id and o.status = 'pending')
        )
    ) then
        perform private.refuse('licence_exclusive');
    end if;
end
$$;
comment on function private.require_licence_available(uuid, public.offers) is
'Refuses an offer of a beat whose exclusive licence is sold, and the exclusive licence while another order reserves the
beat. place_order, which calls this, has locked the buyer''s pending order. Raises PT409 licence_exclusive.';

create function private.is_licence_unavailable(p_order public.orders) returns boolean
language plpgsql -- every payment calls this: a SQL function would be planned each time
stable
security definer -- reads the orders of others
set search_path = ''
as $$
begin
    if p_order.licence is null or p_order.status = 'paid' then
        return false;
    elsif p_order.licence ->> 'tier' = 'exclusive' then
        return exists (
            select from public.orders as o where o.reserved_product_id = p_order.product_id and o.id <> p_order.id
        );
    end if;
    -- A payment that had begun before the exclusive licence was sold still counts.
    return p_order.status <> 'processing' and exists (
        select from public.products as p where p.id = p_order.product_id and p.is_sold
    );
end
$$;
comment on function private.is_licence_unavailable(public.orders) is
'Whether an unpaid order is for a licence that was sold to, or is reserved by, another buyer of the exclusive one.';

create function private.is_licence_lost(p_order public.orders) returns boolean
language plpgsql -- every payment calls this: a SQL function would be planned each time
immutable
set search_path = ''
as $$
begin
    return p_order.status = 'paid' and p_order.licence is not null and p_order.licence ->> 'tier' = 'exclusive'
        and p_order.reserved_product_id is null;
end
$$;
comment on function private.is_licence_lost(public.orders) is
'Whether a paid order of an exclusive licence has no right to it any more: its money was returned, or had been when
somebody else bought the licence.';
