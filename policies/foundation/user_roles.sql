select private.close_table('public.user_roles');

create policy user_roles_select_owner_or_admin on public.user_roles for select to authenticated
using (user_id = (select auth.uid()) or (select private.has_role('admin')));

grant select on public.user_roles to authenticated, service_role;
-- no insert, update or delete: grant_role and revoke_role write it
