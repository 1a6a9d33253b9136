select private.close_table('public.categories');

create policy categories_select_all on public.categories for select to anon, authenticated
using (true);

create policy categories_insert_admin on public.categories for insert to authenticated
with check ((select private.has_role('admin')));

create policy categories_update_admin on public.categories for update to authenticated
using ((select private.has_role('admin')))
with check ((select private.has_role('admin')));

create policy categories_delete_admin on public.categories for delete to authenticated
using ((select private.has_role('admin')));

grant select on public.categories to anon, authenticated;
-- the database sets position
grant insert (slug, name, description), update (slug, name, description), delete
on public.categories to authenticated;
grant select, insert, update, delete on public.categories to service_role;
