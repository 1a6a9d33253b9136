-- Commerce: putting products and offers on sale, and taking them off. What cannot be delivered is not sold: both
-- publishing an offer and each order of it ask.

insert into private.errors (token, status, meaning, hint, detail)
values
(
    'bundle_empty', 409,
    'A bundle without courses cannot be sold.',
    'Add courses first.',
    null
),
(
    'courses_unavailable', 409,
    'The offer has courses that its seller cannot sell: not published, without lessons, or of another creator.',
    'Sellers read offer_problems, and publish the courses or take them out; buyers choose another offer.',
    null
),
(
    'files_missing', 409,
    'The product lacks files that the offer includes.',
    'Sellers upload them and add them to product_files; buyers choose another offer.',
    'The product lacks these files that the offer includes: %s.'
),
(
    'licence_terms_missing', 409,
    'An offer of a licence has no terms yet.',
    'Add its row of licence_terms first.',
    null
),
(
    'product_unpublished', 409,
    'The product is not published, so its offers cannot be either.',
    'Publish the product first.',
    null
);

create function private.lock_seller(p_seller_id uuid) returns void
language sql
security definer -- locks a row that only functions may write
set search_path = ''
as $$
    select from public.accounts as a where a.user_id = p_seller_id for share
$$;
comment on function private.lock_seller(uuid) is
'Keeps the status and the roles of a seller until the transaction ends; called before the offer or product is locked, by
functions that put it on sale.';

create function private.require_product(p_product_id uuid) returns public.products
language plpgsql
security definer -- products of others may be hidden from the caller, who gets the same answer for both
set search_path = ''
as $$
declare
    v_caller uuid := private.require_active();
    v_product public.products;
begin
    select p.* into v_product from public.products as p
    where p.id = p_product_id
        and (
            (p.creator_id = v_caller and (select private.has_role('teacher'))) or (select private.has_role('admin'))
        )
    for no key update;
    if not found then
        perform private.refuse('product_not_found');
    end if;
    return v_product;
end
$$;
comment on function private.require_product(uuid) is
'The product, locked, if the caller may change it. Raises PT401 sign_in_required, PT403 account_inactive, PT404
product_not_found.';

create function private.publish_product(p_product_id uuid) returns public.products
language plpgsql
security definer -- clients may not write the status; require_product checks the caller
set search_path = ''
as $$
declare
    v_product public.products;
begin
    perform private.lock_seller((select p.creator_id from public.products as p where p.id = p_product_id));
    v_product := private.require_product(p_product_id);
    if not private.may_sell(v_product.creator_id) then
        perform private.refuse('seller_unavailable');
    elsif v_product.status <> 'published' then
        update public.products as p set status = 'published' where p.id = p_product_id returning p.* into v_product;
    end if;
    return v_product;
end
$$;
comment on function private.publish_product(uuid) is
'Shows a product to everybody, also one that was archived; a published product stays so. It is on sale once an offer of
it is. For its creator and admins. Raises product_not_found (404), seller_unavailable (409: an admin publishes the
product of a creator who cannot sell now).';

create function private.archive_product(p_product_id uuid) returns public.products
language plpgsql
security definer -- clients may not write the status; require_product checks the caller
set search_path = ''
as $$
declare
    v_product public.products := private.require_product(p_product_id);
begin
    if v_product.status <> 'archived' then
        update public.products as p set status = 'archived' where p.id = p_product_id returning p.* into v_product;
    end if;
    update public.offers as o set status = 'archived'
    where o.product_id = p_product_id and o.status in ('active', 'paused');
    return v_product;
end
$$;
comment on function private.archive_product(uuid) is
'Takes a product down, and its offers off sale; buyers keep it. For its creator and admins. Raises product_not_found
(404), illegal_transition (409: a draft was never published; delete it).';

create function private.require_offer(p_offer_id uuid) returns public.offers
language plpgsql
security definer -- offers of others may be hidden from the caller, who gets the same answer for both
set search_path = ''
as $$
declare
    v_caller uuid := private.require_active();
    v_offer public.offers;
begin
    select o.* into v_offer from public.offers as o
    where o.id = p_offer_id and o.course_id is null
        and (
            (o.seller_id = v_caller and (select private.has_role('teacher'))) or (select private.has_role('admin'))
        )
    for no key update;
    if not found then
        perform private.refuse('offer_not_found');
    end if;
    return v_offer;
end
$$;
comment on function private.require_offer(uuid) is
'The offer, locked, if the caller may change it. Raises PT401 sign_in_required, PT403 account_inactive, PT404
offer_not_found.';

create function private.offer_course_ids(p_offer_id uuid) returns uuid[]
language plpgsql
stable
security definer -- courses that are not published are hidden from the caller
set search_path = ''
as $$
begin
    return array(
        select c.id
        from (
            select o.course_id, o.seller_id from public.offers as o where o.id = p_offer_id
            union all
            select i.course_id, i.seller_id from public.offer_courses as i where i.offer_id = p_offer_id
        ) as t
        join public.courses as c
            on c.id = t.course_id and c.creator_id = t.seller_id and c.status = 'published' and c.lesson_count > 0
        order by c.id
    );
end
$$;
comment on function private.offer_course_ids(uuid) is
'The courses that an offer contains and its seller may sell now: published ones with lessons that still belong to the
seller.';

create function private.lock_offer_courses(p_offer_id uuid, p_course_id uuid) returns void
language plpgsql
security definer -- courses that are not published are hidden from the caller
set search_path = ''
as $$
begin
    perform from public.courses as c
    where c.id in (
        select p_course_id
        union all
        select o.course_id from public.offers as o where o.id = p_offer_id
        union all
        select i.course_id from public.offer_courses as i where i.offer_id = p_offer_id
    )
    order by c.id for share;
end
$$;
comment on function private.lock_offer_courses(uuid, uuid) is
'Keeps a course, or the courses of an offer, as they are until the transaction ends. Called before the offer is
locked.';

create function private.require_courses(p_offer public.offers) returns void
language plpgsql
set search_path = ''
as $$
declare
    v_rule public.offer_course_rule := (select k.courses from public.offer_kinds as k where k.kind = p_offer.kind);
    v_listed bigint;
    v_available integer;
begin
    -- The locks keep the courses in the offer until they are written to the order.
    perform from public.offer_courses as i where i.offer_id = p_offer.id order by i.course_id for key share;
    get diagnostics v_listed = row_count;
    v_available := cardinality(private.offer_course_ids(p_offer.id));
    if v_rule = 'required' and v_listed = 0 then
        perform private.refuse('bundle_empty');
    -- A membership is sold while one of its courses is; a bundle has one price for all of them.
    elsif (v_rule = 'required' and v_available < v_listed)
        or ((v_rule = 'own' or v_listed > 0) and v_available = 0)
    then
        perform private.refuse('courses_unavailable');
    end if;
end
$$;
comment on function private.require_courses(public.offers) is
'Refuses an offer whose seller cannot sell its course, all courses of a bundle, or any course of a membership. Raises
PT409 bundle_empty or courses_unavailable.';

create function private.available_files(p_product_id uuid) returns setof public.product_files
language plpgsql
stable
security definer -- files are closed to buyers
set search_path = ''
as $$
begin
    return query
    select f.* from public.product_files as f
    where f.product_id = p_product_id and f.retired_at is null
        and exists (select from storage.objects as o where o.bucket_id = 'products' and o.name = f.path);
end
$$;
comment on function private.available_files(uuid) is
'The files of a product that can be delivered to who buys it now: uploaded, and not retired.';

create function private.require_files(p_offer public.offers) returns void
language plpgsql
set search_path = ''
as $$
declare
    v_file_types public.file_type[];
    v_missing text;
begin
    -- The locks keep the terms as they are, and the product published.
    select t.file_types into v_file_types from public.licence_terms as t where t.offer_id = p_offer.id for share;
    perform from public.products as p where p.id = p_offer.product_id and p.status = 'published' for share;
    if not found then
        perform private.refuse('product_unpublished');
    elsif v_file_types is null and (
        select k.has_licence_terms from public.offer_kinds as k where k.kind = p_offer.kind
    ) then
        perform private.refuse('licence_terms_missing');
    end if;
    select string_agg(coalesce(t.file_type::text, 'any'), ', ') into v_missing
    from unnest(coalesce(v_file_types, array[null::public.file_type])) as t (file_type)
    where not exists (
        select from private.available_files(p_offer.product_id) as f
        where t.file_type is null or f.file_type = t.file_type
    );
    if v_missing is not null then
        perform private.refuse('files_missing', v_missing);
    end if;
end
$$;
comment on function private.require_files(public.offers) is
'Refuses an offer of a product that is not published, has no licence terms where its kind needs them, or lacks files
that the offer includes, of which each must be uploaded. Raises PT409 product_unpublished, licence_terms_missing or
files_missing.';

create function private.publish_offer(p_offer_id uuid) returns public.offers
language plpgsql
security definer -- clients may not write the status; require_offer checks the caller
set search_path = ''
as $$
declare
    v_offer public.offers;
begin
    perform private.lock_seller((select o.seller_id from public.offers as o where o.id = p_offer_id));
    v_offer := private.require_offer(p_offer_id);
    if not private.may_sell(v_offer.seller_id) then
        perform private.refuse('seller_unavailable');
    elsif v_offer.price_amount > 0 then
        perform private.require_payable(v_offer.price_amount, v_offer.price_currency);
    end if;
    perform private.require_courses(v_offer);
    if v_offer.product_id is not null then
        perform private.require_files(v_offer);
    end if;
    if v_offer.status <> 'active' then
        update public.offers as o set status = 'active' where o.id = p_offer_id returning o.* into v_offer;
    end if;
    return v_offer;
end
$$;
comment on function private.publish_offer(uuid) is
'Puts an offer on sale, also one that was archived; an offer on sale stays so. For its seller and admins. Raises
offer_not_found (404), seller_unavailable (an admin publishes the offer of a seller who cannot sell now), bundle_empty,
courses_unavailable, product_unpublished, licence_terms_missing or files_missing (409), currency_unsupported,
amount_too_small or amount_unpayable (422).';

create function private.archive_offer(p_offer_id uuid) returns public.offers
language plpgsql
security definer -- clients may not write the status; require_offer checks the caller
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
'Takes an offer off sale; buyers keep it, and subscriptions go on. For its seller and admins. Raises offer_not_found
(404), illegal_transition (409: a draft was never on sale; delete it).';

create function private.tg_courses__keep_offer() returns trigger
language plpgsql
security definer -- clients may not write the offer of a course
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
'After a course is published, unpublished, renamed, priced or transferred: its offer follows. A free course has none on
sale.';
create trigger _320_keep_offer after insert on public.courses
for each row when (new.status = 'published') execute function private.tg_courses__keep_offer();
create trigger _320_keep_offer_on_change
after update of status, title, price_amount, price_currency, creator_id on public.courses
for each row when (
    (old.status, old.title, old.price_amount, old.price_currency, old.creator_id)
    is distinct from (new.status, new.title, new.price_amount, new.price_currency, new.creator_id)
)
execute function private.tg_courses__keep_offer();

create view public.offer_problems with (security_invoker = true) as
select
    o.id as offer_id,
    o.seller_id,
    'bundle_empty' as problem,
    null::uuid as course_id,
    null::public.file_type as file_type
from public.offers as o
where
    o.seller_id = (select auth.uid())
    and o.kind in (select k.kind from public.offer_kinds as k where k.courses = 'required')
    and o.id not in (select i.offer_id from public.offer_courses as i where i.seller_id = (select auth.uid()))
union all
select
    i.offer_id,
    i.seller_id,
    'course_unavailable' as problem,
    i.course_id,
    null::public.file_type as file_type
from (
    select
        b.offer_id,
        b.seller_id,
        b.course_id
    from public.offer_courses as b
    union all
    select
        o.id as offer_id,
        o.seller_id,
        o.course_id
    from public.offers as o
    where o.course_id is not null and o.status = 'active'
) as i
where
    i.seller_id = (select auth.uid())
    and i.course_id not in (
        select c.id from public.courses as c
        where c.creator_id = (select auth.uid()) and c.status = 'published' and c.lesson_count > 0
    )
union all
select
    o.id as offer_id,
    o.seller_id,
    'product_unpublished' as problem,
    null::uuid as course_id,
    null::public.file_type as file_type
from public.offers as o
where
    o.seller_id = (select auth.uid())
    and o.product_id in (
        select p.id from public.products as p
        where p.creator_id = (select auth.uid()) and p.status <> 'published'
    )
union all
select
    o.id as offer_id,
    o.seller_id,
    'file_missing' as problem,
    null::uuid as course_id,
    t.file_type
from public.offers as o
left join public.licence_terms as l on o.id = l.offer_id
cross join unnest(coalesce(l.file_types, array[null::public.file_type])) as t (file_type)
where
    o.seller_id = (select auth.uid())
    and o.product_id is not null
    and not exists (
        select from public.product_files as f
        inner join storage.objects as s on f.path = s.name and s.bucket_id = 'products'
        where
            f.product_id = o.product_id
            and f.retired_at is null
            and (t.file_type is null or f.file_type = t.file_type)
    );
comment on view public.offer_problems is
'Why offers of the caller are not sold as they are: one row a problem. A bundle with a problem is not sold; a membership
is sold without the courses that are named here.';
comment on column public.offer_problems.problem is
'bundle_empty: it has no courses. course_unavailable: course_id is not published, has no lessons, or belongs to another
creator. product_unpublished: the product is not published. file_missing: no file of file_type (null for any) is
uploaded.';
comment on column public.offer_problems.course_id is 'The course that cannot be sold.';
comment on column public.offer_problems.file_type is 'The type of the missing file.';
create trigger _100_refuse_write instead of insert or update or delete on public.offer_problems
for each row execute function private.tg__refuse_write();
