select private.close_table('public.workspace_members');

create policy workspace_members_select_member on public.workspace_members for select to authenticated
using (workspace_id = any((select private.my_workspace_ids())::uuid[]));

grant select on public.workspace_members to authenticated, service_role;
-- no insert, update or delete: functions write it
