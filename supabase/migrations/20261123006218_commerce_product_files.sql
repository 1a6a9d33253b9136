-- Commerce: files that were sold. An order includes the files that its product had at any moment from the order to the
-- payment, and those that it has now. What an order includes is kept: its row is not deleted, and the object in storage
-- is neither deleted, moved nor overwritten, by anybody. A new version is another file.

insert into private.errors (token, status, meaning, hint, detail)
values
(
    'file_sold', 409,
    'Somebody has bought or ordered this file, so it stays as it is.',
    'Add a new version by replace_product_file, or take it from later orders by retire_product_file.',
    null
),
(
    'product_file_not_found', 404,
    'There is no such file of a product, or it is not yours.',
    'Look it up among product_files.',
    null
);

create function private.order_includes_file(p_order public.orders, p_file public.product_files) returns boolean
language plpgsql
immutable
set search_path = ''
as $$
begin
    return p_order.product_id = p_file.product_id
        and (p_order.licence is null or p_order.licence -> 'file_types' ? p_file.file_type::text)
        and p_file.created_at <= coalesce(p_order.paid_at, 'infinity')
        and coalesce(p_file.retired_at > p_order.created_at, true);
end
$$;
comment on function private.order_includes_file(public.orders, public.product_files) is
'Whether the product had this file while it was ordered or paid, and the licence of the order includes its type.';

create function private.is_file_sold(p_file public.product_files) returns boolean
language plpgsql
stable
security definer -- reads the orders of others
set search_path = ''
as $$
begin
    return exists (
        select from public.orders as o
        where o.product_id = p_file.product_id
            -- A payment can still arrive for an order that has ended unpaid.
            and (o.status in ('pending', 'processing', 'paid') or o.created_at > now() - interval '30 days')
            and private.order_includes_file(o, p_file)
    );
end
$$;
comment on function private.is_file_sold(public.product_files) is
'Whether an order includes a file that is paid, or can still be.';

create function private.lock_product(p_product_id uuid) returns void
language sql
security definer -- locks a row that only its creator may write
set search_path = ''
as $$
    select from public.products as p where p.id = p_product_id for no key update
$$;
comment on function private.lock_product(uuid) is
'Waits for orders of a product that are being placed, and keeps others waiting until the transaction ends.';

create function private.tg_product_files__keep_sold() returns trigger
language plpgsql
security definer -- clients may neither lock products nor read the orders of others
set search_path = ''
as $$
begin
    perform private.lock_product(old.product_id);
    if private.is_file_sold(old) then
        perform private.refuse('file_sold');
    end if;
    return old;
end
$$;
comment on function private.tg_product_files__keep_sold() is
'Before the row of a file is deleted: refuses where an order includes it. Raises PT409 file_sold.';
create trigger _100_keep_sold before delete on public.product_files
for each row execute function private.tg_product_files__keep_sold();

create function private.tg_objects__keep_sold_files() returns trigger
language plpgsql
security definer -- storage writes the object as its own role, which may not read ours
set search_path = ''
as $$
declare
    v_file public.product_files;
begin
    if tg_op = 'UPDATE' and (old.bucket_id, old.name, old.version, old.metadata)
        is not distinct from (new.bucket_id, new.name, new.version, new.metadata)
    then
        return new;
    end if;
    select f.* into v_file from public.product_files as f where f.path = old.name;
    if found then
        perform private.lock_product(v_file.product_id);
        if private.is_file_sold(v_file) then
            perform private.refuse('file_sold');
        end if;
    end if;
    return case tg_op when 'DELETE' then old else new end;
end
$$;
comment on function private.tg_objects__keep_sold_files() is
'Before an object of the bucket products is deleted, moved or overwritten, also with a server key or a signed link:
refuses where an order includes it. Raises PT409 file_sold.';
create trigger guildhall_keep_sold_files before update or delete on storage.objects
for each row when (old.bucket_id = 'products') execute function private.tg_objects__keep_sold_files();

create function private.require_product_file(p_product_file_id uuid) returns public.product_files
language plpgsql
security definer -- clients may not change files
set search_path = ''
as $$
declare
    v_caller uuid := private.require_active();
    v_file public.product_files;
begin
    select f.* into v_file from public.product_files as f
    join public.products as p on p.id = f.product_id
    where f.id = p_product_file_id and p.creator_id = v_caller and (select private.has_role('teacher'))
    for no key update of f;
    if not found then
        perform private.refuse('product_file_not_found');
    end if;
    return v_file;
end
$$;
comment on function private.require_product_file(uuid) is
'The file of a product of the caller, locked. Raises PT401 sign_in_required, PT403 account_inactive, PT404
product_file_not_found.';

create function private.retire_product_file(p_product_file_id uuid) returns public.product_files
language plpgsql
security definer -- clients may not change files; require_product_file checks the caller
set search_path = ''
as $$
declare
    v_file public.product_files := private.require_product_file(p_product_file_id);
begin
    perform private.lock_product(v_file.product_id);
    update public.product_files as f set retired_at = coalesce(f.retired_at, now())
    where f.id = p_product_file_id
    returning f.* into v_file;
    return v_file;
end
$$;
comment on function private.retire_product_file(uuid) is
'Takes a file from later orders, and returns it; orders that include it keep it. An offer that then lacks a file of its
licence is not sold (offer_problems). For the creator of the product. Raises product_file_not_found (404).';

create function private.replace_product_file(
    p_product_file_id uuid, p_path text, p_size_bytes bigint default null, p_mime_type text default null
)
returns public.product_files
language plpgsql
security definer -- clients may not change files; require_product_file checks the caller
set search_path = ''
as $$
declare
    v_file public.product_files := private.require_product_file(p_product_file_id);
    v_new public.product_files;
begin
    perform private.retire_product_file(p_product_file_id);
    insert into public.product_files as f (product_id, file_type, path, size_bytes, mime_type, version)
    values (
        v_file.product_id, v_file.file_type, p_path, p_size_bytes, coalesce(p_mime_type, v_file.mime_type),
        v_file.version + 1
    )
    returning f.* into v_new;
    return v_new;
end
$$;
comment on function private.replace_product_file(uuid, text, bigint, text) is
'Adds a new version of a file, uploaded to another path of the product''s folder, retires the present one, and returns
the new one. Orders from before include both. For the creator of the product. Raises product_file_not_found (404).';
