select private.close_table('public.creator_placements');

create policy creator_placements_select_anon on public.creator_placements for select to anon
using (is_public);

create policy creator_placements_select_authenticated on public.creator_placements for select to authenticated
using (is_public or (select private.has_role('admin')));

create policy creator_placements_insert_admin on public.creator_placements for insert to authenticated
with check ((select private.has_role('admin')));

create policy creator_placements_update_admin on public.creator_placements for update to authenticated
using ((select private.has_role('admin')))
with check ((select private.has_role('admin')));

create policy creator_placements_delete_admin on public.creator_placements for delete to authenticated
using ((select private.has_role('admin')));

grant select on public.creator_placements to anon, authenticated;
-- the database sets is_public; creator_id is updatable because an upsert sets it
grant
insert (creator_id, is_featured, display_priority),
update (creator_id, is_featured, display_priority),
delete
on public.creator_placements to authenticated;
grant select, insert, update, delete on public.creator_placements to service_role;
