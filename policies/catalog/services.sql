select private.close_table('public.services');

create policy services_select_anon on public.services for select to anon
using (is_active and is_public);

create policy services_select_authenticated on public.services for select to authenticated
using (
    (is_active and is_public)
    or creator_id = (select auth.uid())
    or (select private.has_role('moderator'))
);

create policy services_insert_teacher on public.services for insert to authenticated
with check (creator_id = (select auth.uid()) and (select private.has_role('teacher')));

create policy services_update_creator on public.services for update to authenticated
using (creator_id = (select auth.uid()) and (select private.has_role('teacher')))
with check (creator_id = (select auth.uid()) and (select private.has_role('teacher')));

create policy services_delete_creator on public.services for delete to authenticated
using (creator_id = (select auth.uid()) and (select private.has_role('teacher')));

grant select on public.services to anon, authenticated;
-- creator_id is the caller by default, and is_public the database's
grant
insert (title, description, price_amount, price_currency, duration_minutes, is_active),
update (title, description, price_amount, price_currency, duration_minutes, is_active),
delete
on public.services to authenticated;
grant select, insert, update, delete on public.services to service_role;
