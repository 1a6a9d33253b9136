-- Commerce: the files that an order includes, and the licence on its contract.

insert into private.errors (token, status, meaning, hint, detail)
values
(
    'entitlement_ended', 403,
    'What this order gave has ended, because it was refunded.',
    'Order again.',
    null
),
(
    'file_type_not_included', 403,
    'The licence that was bought does not include files of this type.',
    'Buy a licence of a higher tier.',
    'The licence %s does not include %s.'
),
(
    'files_unavailable', 409,
    'The files of this order are not in storage.',
    'Ask the seller for them, or an admin for a refund.',
    null
),
(
    'licence_not_found', 404,
    'No licence has this code.',
    'Check the code: five groups of four characters.',
    null
),
(
    'order_unpaid', 409,
    'The order is not paid: it includes nothing yet and has no documents.',
    'Pay it first.',
    'This order is %s, not paid.'
),
(
    'order_without_files', 409,
    'This order does not include files.',
    'Read its kind.',
    null
);

create function private.files_of_order(p_order public.orders) returns setof public.product_files
language plpgsql
stable
security definer -- files are closed to buyers
set search_path = ''
as $$
begin
    return query
    select f.* from public.product_files as f
    where f.product_id = p_order.product_id
        and (p_order.licence is null or p_order.licence -> 'file_types' ? f.file_type::text)
        and (f.retired_at is null or private.order_includes_file(p_order, f));
end
$$;
comment on function private.files_of_order(public.orders) is
'The files that an order gives: those that were bought, and newer ones that its licence includes.';

create function private.my_bought_files() returns setof public.product_files
language plpgsql
stable
security definer -- the policy of the files themselves calls this
set search_path = ''
as $$
begin
    if not (select private.is_active()) then
        return;
    end if;
    return query
    select distinct f.* from private.current_entitlements as e
    join public.orders as o on o.id = e.order_id
    cross join lateral private.files_of_order(o) as f
    where e.user_id = (select auth.uid())
        and e.kind in (select k.kind from public.offer_kinds as k where k.product_kind is not null);
end
$$;
comment on function private.my_bought_files() is
'The files that the caller may download now by their orders; none for an inactive account.';

create function private.my_bought_file_ids() returns uuid[]
language plpgsql
stable
security definer -- the policy of the files themselves calls this
set search_path = ''
as $$
begin
    return (select coalesce(array_agg(f.id), '{}') from private.my_bought_files() as f);
end
$$;
comment on function private.my_bought_file_ids() is
'The ids of the files that the caller may download. The policy calls it as any((select
private.my_bought_file_ids())::uuid[]).';

create function private.my_bought_paths() returns text[]
language plpgsql
stable
security definer -- a policy of storage calls this, and the caller may not read product_files
set search_path = ''
as $$
begin
    return (select coalesce(array_agg(f.path), '{}') from private.my_bought_files() as f);
end
$$;
comment on function private.my_bought_paths() is
'The paths in the bucket products that the caller may download. The policy of storage calls it as any((select
private.my_bought_paths())::text[]).';

create function private.order_files(p_order_id uuid, p_file_type public.file_type default null)
returns setof public.product_files
language plpgsql
stable
security definer -- reads files that the order does not include; the condition finds only the caller's own order
set search_path = ''
as $$
declare
    v_caller uuid := private.require_active();
    v_order public.orders;
begin
    select o.* into v_order from public.orders as o where o.id = p_order_id and o.buyer_id = v_caller;
    if not found then
        perform private.refuse('order_not_found');
    elsif v_order.product_id is null then
        perform private.refuse('order_without_files');
    elsif v_order.status <> 'paid' then
        perform private.refuse('order_unpaid', v_order.status::text);
    elsif not exists (select from private.current_entitlements as e where e.order_id = p_order_id) then
        perform private.refuse('entitlement_ended');
    elsif p_file_type is not null and v_order.licence is not null
        and not v_order.licence -> 'file_types' ? p_file_type::text
    then
        perform private.refuse('file_type_not_included', (v_order.licence ->> 'tier')::text, p_file_type::text);
    end if;
    return query
    select f.* from private.files_of_order(v_order) as f
    where (p_file_type is null or f.file_type = p_file_type)
        and exists (select from storage.objects as s where s.bucket_id = 'products' and s.name = f.path)
    order by f.file_type, f.version desc, f.path;
    if not found then
        perform private.refuse('files_unavailable');
    end if;
end
$$;
comment on function private.order_files(uuid, public.file_type) is
'The files of the caller''s own order, all or those of a type; GET /functions/v1/orders/{order_id}/downloads returns
them with links: those that were bought and newer versions of them. Raises entitlement_ended (403: the order was
refunded), file_type_not_included (403: in another tier), order_not_found (404), order_without_files, order_unpaid or
files_unavailable (409).';

create function private.verify_licence(p_code text) returns jsonb
language plpgsql
stable
security definer -- anybody with the code may read this much of an order
set search_path = ''
as $$
declare
    v_found jsonb;
begin
    v_found := (
        select jsonb_build_object(
            'code', o.licence_code,
            'is_valid', private.is_order_in_force(o) and not private.is_licence_lost(o)
                and coalesce(t.ends_at > now(), true),
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
        where o.licence_code = private.fold_code(p_code) and o.status = 'paid'
    );
    if v_found is null then
        perform private.refuse('licence_not_found');
    end if;
    return v_found;
end
$$;
comment on function private.verify_licence(text) is
'Verifies the licence of a beat by the code on its contract: {code, is_valid, tier, product_title, licensor_name,
licensee_name, issued_at, ends_at}; not valid once its term is over or the order was refunded. For everybody. Raises
licence_not_found (404).';
