select private.close_table('public.products');

create policy products_select_anon on public.products for select to anon
using (status = 'published');

create policy products_select_authenticated on public.products for select to authenticated
using (status = 'published' or creator_id = (select auth.uid()) or (select private.has_role('admin')));

create policy products_insert_creator on public.products for insert to authenticated
with check (creator_id = (select auth.uid()) and (select private.has_role('teacher')));

create policy products_update_creator on public.products for update to authenticated
using (creator_id = (select auth.uid()) and (select private.has_role('teacher')))
with check (creator_id = (select auth.uid()) and (select private.has_role('teacher')));

create policy products_delete_creator on public.products for delete to authenticated
using (status = 'draft' and creator_id = (select auth.uid()) and (select private.has_role('teacher')));

grant select on public.products to anon, authenticated;
-- kind and creator cannot change; publish_product and archive_product write the status, the database is_sold
grant
insert (creator_id, kind, title, description, bpm, musical_key),
update (title, description, bpm, musical_key),
delete
on public.products to authenticated;
grant select on public.products to service_role;
