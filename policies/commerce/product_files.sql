select private.close_table('public.product_files');

create policy product_files_select_creator_or_buyer on public.product_files for select to authenticated
using (
    product_id = any((select private.my_product_ids())::uuid[])
    or id = any((select private.my_bought_file_ids())::uuid[])
);

create policy product_files_insert_creator on public.product_files for insert to authenticated
with check (product_id = any((select private.my_product_ids())::uuid[]) and (select private.has_role('teacher')));

create policy product_files_delete_creator on public.product_files for delete to authenticated
using (product_id = any((select private.my_product_ids())::uuid[]) and (select private.has_role('teacher')));

grant select on public.product_files to authenticated;
grant insert (product_id, file_type, path, size_bytes, mime_type), delete on public.product_files to authenticated;
grant select on public.product_files to service_role;
-- no update: another file is another row
