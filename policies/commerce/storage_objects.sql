-- Files of products are in the folder with the product's id, in a private bucket. Buyers read the files of their
-- orders.
drop policy if exists objects_select_seller_or_buyer on storage.objects;
drop policy if exists objects_insert_seller on storage.objects;
drop policy if exists objects_update_seller on storage.objects;
drop policy if exists objects_delete_seller on storage.objects;

create policy objects_select_seller_or_buyer on storage.objects for select to authenticated
using (
    bucket_id in ('products')
    and (
        split_part(name, '/', 1) = any((select private.my_product_ids())::text[])
        or name = any((select private.my_bought_paths())::text[])
    )
);

create policy objects_insert_seller on storage.objects for insert to authenticated
with check (
    bucket_id in ('products')
    and split_part(name, '/', 1) = any((select private.my_product_ids())::text[])
    and (select private.has_role('teacher'))
);

create policy objects_update_seller on storage.objects for update to authenticated
using (
    bucket_id in ('products')
    and split_part(name, '/', 1) = any((select private.my_product_ids())::text[])
    and (select private.has_role('teacher'))
)
with check (
    bucket_id in ('products')
    and split_part(name, '/', 1) = any((select private.my_product_ids())::text[])
    and (select private.has_role('teacher'))
);

create policy objects_delete_seller on storage.objects for delete to authenticated
using (
    bucket_id in ('products')
    and split_part(name, '/', 1) = any((select private.my_product_ids())::text[])
    and (select private.has_role('teacher'))
);
