-- Commerce: products and prices at Stripe, which the worker keeps like our offers.

insert into private.errors (token, status, meaning, hint, detail)
values
(
    'price_taken', 409,
    'The price, or its product, belongs to another offer.',
    'Make another product with a price at the payment provider.',
    null
),
(
    'price_unfit', 409,
    'The course cannot be sold at this price of the payment provider.',
    'Make another price at the payment provider, or change the price of the course.',
    'The price does not fit: %s.'
),
(
    'price_unverified', 409,
    'The price was not read at the payment provider.',
    'Call POST /functions/v1/courses/{course_id}/price, which reads it.',
    null
);

create function private.offer_payload(p_offer_id uuid) returns jsonb
language sql
stable
security definer -- the worker may read no table
set search_path = ''
as $$
    select jsonb_build_object(
        'offer_id', o.id,
        'title', o.title,
        'description', left(o.description, 500),
        'amount', o.price_amount,
        'currency', lower(o.price_currency),
        'billing_interval', o.billing_interval,
        'is_active', o.status = 'active',
        'product', private.stripe_id_of('product', o.id),
        'price', private.stripe_id_of('price', o.id)
    )
    from public.offers as o
    where o.id = p_offer_id
$$;
comment on function private.offer_payload(uuid) is
'What a product and a price at Stripe are made of: {offer_id, title, description, amount (minor units), currency (lower
case), billing_interval, is_active, product, price (ids at Stripe, null where there is none)}.';

create function private.tg_offers__sync() returns trigger
language plpgsql
security definer -- the queue is closed
set search_path = ''
as $$
begin
    perform private.defer_job('sync_offer', jsonb_build_object('offer_id', new.id), 'sync_offer:' || new.id);
    return null;
end
$$;
comment on function private.tg_offers__sync() is
'After an offer goes on sale, changes while on sale, or is taken off: a job updates its product and price at Stripe.';
create trigger _300_sync after insert on public.offers
for each row when (new.status = 'active' and new.price_amount > 0) execute function private.tg_offers__sync();
create trigger _300_sync_change
after update of status, title, description, price_amount, price_currency, billing_interval on public.offers
for each row when (
    (new.status = 'active' or old.status = 'active')
    and (old.status, old.title, old.description, old.price_amount, old.price_currency, old.billing_interval)
    is distinct from
    (new.status, new.title, new.description, new.price_amount, new.price_currency, new.billing_interval)
)
execute function private.tg_offers__sync();

create function private.sync_offer(p_offer_id uuid) returns void
language plpgsql
security definer -- the queue is closed
set search_path = ''
as $$
begin
    if not exists (
        select from public.offers as o
        where o.id = p_offer_id
            and (
                (o.seller_id = private.require_active() and (select private.has_role('teacher')))
                or (select private.has_role('admin'))
            )
    ) then
        perform private.refuse('offer_not_found');
    end if;
    perform private.defer_job('sync_offer', jsonb_build_object('offer_id', p_offer_id), 'sync_offer:' || p_offer_id);
end
$$;
comment on function private.sync_offer(uuid) is
'Has a job make the product and price at the payment provider like the offer again, as publishing does by itself. For
its seller and admins. Raises offer_not_found (404).';

create table private.stripe_prices (
    price_id text constraint stripe_prices_pkey primary key
    constraint stripe_prices_price_id_check check (char_length(price_id) <= 255),
    product_id text not null,
    is_active boolean not null,
    is_recurring boolean not null,
    unit_amount bigint,
    currency text not null,
    observed_at timestamptz not null default now()
);
comment on table private.stripe_prices is
'Prices as the edge has just read them at Stripe, for bind_course_price.';
comment on column private.stripe_prices.is_active is 'Whether the price and its product are active.';
comment on column private.stripe_prices.unit_amount is 'In minor units; null where the price has tiers or is chosen.';
comment on column private.stripe_prices.currency is 'ISO 4217, upper case.';
alter table private.stripe_prices enable row level security;

create function private.require_price_binder(p_user_id uuid) returns void
language plpgsql
stable
security definer -- the edge may read no table; it asks for its own caller
set search_path = ''
as $$
begin
    perform private.require_active_account(p_user_id);
    if not exists (select from public.user_roles as r where r.user_id = p_user_id and r.role >= 'admin') then
        perform private.refuse('role_required', 'admin');
    end if;
end
$$;
comment on function private.require_price_binder(uuid) is
'Refuses users who may not bind prices, before the edge reads one for them; bind_course_price asks again. Raises PT403
account_inactive, role_required. For the edge.';

create function private.record_stripe_price(p_price jsonb) returns void
language plpgsql
security definer -- the table is closed; the edge calls this with what Stripe has answered
set search_path = ''
as $$
begin
    insert into private.stripe_prices as s (price_id, product_id, is_active, is_recurring, unit_amount, currency)
    values (
        p_price ->> 'id', p_price -> 'product' ->> 'id',
        (p_price -> 'active')::boolean and coalesce((p_price -> 'product' -> 'active')::boolean, false),
        p_price ->> 'type' = 'recurring',
        case when p_price ->> 'billing_scheme' = 'per_unit' then (p_price ->> 'unit_amount')::bigint end,
        upper(p_price ->> 'currency')
    )
    on conflict (price_id) do update
    set
        product_id = excluded.product_id, is_active = excluded.is_active, is_recurring = excluded.is_recurring,
        unit_amount = excluded.unit_amount, currency = excluded.currency, observed_at = excluded.observed_at;
end
$$;
comment on function private.record_stripe_price(jsonb) is
'Records a price with its product in it, as Stripe has just answered. For the edge.';

create function private.purge__stripe_prices() returns bigint
language plpgsql
set search_path = ''
as $$
declare
    v_deleted bigint;
begin
    delete from private.stripe_prices as s where s.observed_at < now() - interval '1 day';
    get diagnostics v_deleted = row_count;
    return v_deleted;
end
$$;
comment on function private.purge__stripe_prices() is 'Deletes prices that were read a day ago. Returns the number.';

create function private.require_price(p_offer public.offers, p_price_id text, p_product_id text) returns text
language plpgsql
stable
security definer -- prices and references are closed to the caller
set search_path = ''
as $$
declare
    v_price private.stripe_prices;
    v_problem text;
begin
    select s.* into v_price from private.stripe_prices as s
    where s.price_id = p_price_id and s.observed_at > now() - interval '1 minute';
    if not found then
        perform private.refuse('price_unverified');
    end if;
    v_problem := case
        when not v_price.is_active then 'it, or its product, is archived'
        when v_price.product_id <> p_product_id then 'it is of another product'
        when v_price.is_recurring <> (p_offer.billing_interval is not null) then 'it recurs, and a course is paid once'
        when v_price.currency <> p_offer.price_currency
            then format('it is in %s, and the course in %s', v_price.currency, p_offer.price_currency)
        when v_price.unit_amount is distinct from p_offer.price_amount
            then format(
                'it is %s minor units, and the course costs %s',
                coalesce(v_price.unit_amount::text, 'no fixed number of'), p_offer.price_amount
            )
    end;
    if v_problem is not null then
        perform private.refuse('price_unfit', v_problem);
    elsif exists (
        select from private.provider_references as r
        where r.provider = 'stripe' and r.object in ('price', 'product')
            and r.reference in (v_price.price_id, v_price.product_id) and r.row_id <> p_offer.id
    ) then
        perform private.refuse('price_taken');
    end if;
    return v_price.product_id;
end
$$;
comment on function private.require_price(public.offers, text, text) is
'The product of a price at Stripe that an offer can be sold at. Raises PT409 price_taken, price_unfit or
price_unverified.';

create function private.bind_course_price(
    p_course_id uuid, p_price_id text, p_product_id text default null
)
returns void
language plpgsql
security definer -- the references are closed; the role is checked first
set search_path = ''
as $$
declare
    v_offer public.offers;
    v_product_id text;
    v_before jsonb;
begin
    perform private.require_role('admin');
    select o.* into v_offer from public.offers as o where o.course_id = p_course_id for no key update;
    if not found then
        perform private.refuse('course_not_found');
    end if;
    if p_price_id is not null then
        v_product_id := private.require_price(v_offer, p_price_id, p_product_id);
    end if;
    v_before := jsonb_build_object(
        'price_id', private.stripe_id_of('price', v_offer.id), 'product_id', private.stripe_id_of('product', v_offer.id)
    );
    delete from private.provider_references as r
    where r.provider = 'stripe' and r.row_id = v_offer.id and r.object in ('price', 'product');
    insert into private.provider_references (provider, object, reference, row_id)
    select 'stripe', t.object, t.reference, v_offer.id
    from (values ('price', p_price_id), ('product', v_product_id)) as t (object, reference)
    where t.reference is not null;
    perform private.audit(
        'course.bind_price', 'courses', p_course_id::text, v_before,
        jsonb_build_object('price_id', p_price_id, 'product_id', v_product_id)
    );
end
$$;
comment on function private.bind_course_price(uuid, text, text) is
'Binds a price (price_id) that was made by hand at the payment provider, and its product, to a course on sale; null
binds none. POST /functions/v1/courses/{course_id}/price reads the price at the provider and calls this: an active price,
paid once, of the amount and currency of the course, and of the product product_id where that is sent. Publishing makes
both by itself. Nobody reads them here; the audit log, for admins, has what was bound. For admins. Raises role_required
(403), course_not_found (404), price_taken, price_unfit, price_unverified (409).';
