select private.close_table('public.workspaces');

create policy workspaces_select_member on public.workspaces for select to authenticated
using (id = any((select private.my_workspace_ids())::uuid[]));

create policy workspaces_update_admin on public.workspaces for update to authenticated
using (id = any((select private.my_workspace_ids('admin'))::uuid[]) and (select private.is_active()))
with check (id = any((select private.my_workspace_ids('admin'))::uuid[]) and (select private.is_active()));

create policy workspaces_delete_owner on public.workspaces for delete to authenticated
using (id = any((select private.my_workspace_ids('owner'))::uuid[]) and (select private.is_active()));

grant select, update (name), delete on public.workspaces to authenticated;
grant select on public.workspaces to service_role;
-- no insert: create_workspace also makes the first owner
