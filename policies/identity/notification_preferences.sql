select private.close_table('public.notification_preferences');

create policy notification_preferences_select_owner on public.notification_preferences for select to authenticated
using (user_id = (select auth.uid()));

create policy notification_preferences_insert_owner on public.notification_preferences for insert to authenticated
with check (user_id = (select auth.uid()) and (select private.is_active()));

create policy notification_preferences_update_owner on public.notification_preferences for update to authenticated
using (user_id = (select auth.uid()) and (select private.is_active()))
with check (user_id = (select auth.uid()) and (select private.is_active()));

create policy notification_preferences_delete_owner on public.notification_preferences for delete to authenticated
using (user_id = (select auth.uid()) and (select private.is_active()));

grant select, delete on public.notification_preferences to authenticated;
-- no user_id: it is the caller's by default. The topic is updated because an upsert writes every column that it names.
grant insert (topic, by_email, in_app), update (topic, by_email, in_app)
on public.notification_preferences to authenticated;
