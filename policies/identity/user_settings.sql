select private.close_table('public.user_settings');

create policy user_settings_select_owner on public.user_settings for select to authenticated
using (user_id = (select auth.uid()));

create policy user_settings_update_owner on public.user_settings for update to authenticated
using (user_id = (select auth.uid()) and (select private.is_active()))
with check (user_id = (select auth.uid()) and (select private.is_active()));

grant select, update (locale, time_zone, theme) on public.user_settings to authenticated;
grant select, update on public.user_settings to service_role;
-- no insert or delete: settings come and go with the profile
