select private.close_table('public.profiles');

create policy profiles_select_anon on public.profiles for select to anon
using (is_public);

create policy profiles_select_authenticated on public.profiles for select to authenticated
using (is_public or id = (select auth.uid()) or (select private.has_role('moderator')));

create policy profiles_update_owner_or_admin on public.profiles for update to authenticated
using ((id = (select auth.uid()) and (select private.is_active())) or (select private.has_role('admin')))
with check ((id = (select auth.uid()) and (select private.is_active())) or (select private.has_role('admin')));

grant select on public.profiles to anon, authenticated;
grant update (handle, display_name, headline, bio, location, website_url, avatar_path, is_public)
on public.profiles to authenticated;
grant select, update on public.profiles to service_role;
-- no insert or delete: a profile comes and goes with its account
