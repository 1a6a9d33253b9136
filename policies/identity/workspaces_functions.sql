grant execute on function private.my_workspace_ids(public.workspace_role) to authenticated;

grant execute on function private.create_workspace(text) to authenticated;
grant execute on function public.create_workspace(text) to authenticated;
grant execute on function private.add_workspace_member(uuid, uuid, public.workspace_role) to authenticated;
grant execute on function public.add_workspace_member(uuid, uuid, public.workspace_role) to authenticated;
grant execute on function private.update_workspace_member(uuid, uuid, public.workspace_role) to authenticated;
grant execute on function public.update_workspace_member(uuid, uuid, public.workspace_role) to authenticated;
grant execute on function private.remove_workspace_member(uuid, uuid) to authenticated;
grant execute on function public.remove_workspace_member(uuid, uuid) to authenticated;
