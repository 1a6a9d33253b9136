-- Catalog: by which price of the payment provider a course is sold. The provider's ids are nobody's to read.

create table private.course_prices (
    course_id uuid not null constraint course_prices_pkey primary key
    constraint course_prices_course_id_fkey references public.courses (id) on delete cascade,
    provider_product_id text constraint course_prices_provider_product_id_check
    check (provider_product_id ~ '^[A-Za-z0-9_-]{1,255}$'),
    provider_price_id text not null constraint course_prices_provider_price_id_key unique
    constraint course_prices_provider_price_id_check check (provider_price_id ~ '^[A-Za-z0-9_-]{1,255}$'),
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now()
);
comment on table private.course_prices is
'The payment provider''s product and price for each course that has some. Written by bind_course_price; checkout reads
it.';
comment on column private.course_prices.provider_product_id is 'What the provider calls the course.';
comment on column private.course_prices.provider_price_id is 'What the provider calls its price; one course''s.';
alter table private.course_prices enable row level security;
create trigger _200_set_updated_at before update on private.course_prices
for each row execute function private.tg__set_updated_at();

create function private.bind_course_price(p_course_id uuid, p_price_id text, p_product_id text) returns void
language plpgsql
security definer -- the provider's ids are closed to clients; the check below decides
set search_path = ''
as $$
declare
    v_before private.course_prices;
begin
    perform private.require_role('admin');
    perform private.lock_course(p_course_id);
    select p.* into v_before from private.course_prices as p where p.course_id = p_course_id;
    if p_price_id is null then
        delete from private.course_prices as p where p.course_id = p_course_id;
    else
        insert into private.course_prices (course_id, provider_product_id, provider_price_id)
        values (p_course_id, p_product_id, p_price_id)
        on conflict (course_id) do update
        set provider_product_id = excluded.provider_product_id, provider_price_id = excluded.provider_price_id;
    end if;
    perform private.audit(
        'course.bind_price', 'courses', p_course_id::text,
        jsonb_build_object('price_id', v_before.provider_price_id, 'product_id', v_before.provider_product_id),
        jsonb_build_object('price_id', p_price_id, 'product_id', p_product_id)
    );
end
$$;
comment on function private.bind_course_price(uuid, text, text) is
'Binds the provider''s price and product to a course, or none, and records it. Raises PT403 role_required, PT404
course_not_found, 23505 where another course has the price, 23514 for what is no id.';

create function public.bind_course_price(course_id uuid, price_id text, product_id text default null) returns void
language sql
set search_path = ''
as $$
    select private.bind_course_price(
        bind_course_price.course_id, bind_course_price.price_id, bind_course_price.product_id
    )
$$;
comment on function public.bind_course_price(uuid, text, text) is
'Binds the payment provider''s price (price_id) and product to a course, by which it is then sold; null binds none.
Nobody reads them here; the audit log, for admins, says what was bound. For admins. Raises role_required (403),
course_not_found (404).';

insert into private.rate_limited_functions (function_name, tier) values ('bind_course_price', 'strict');
