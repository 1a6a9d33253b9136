grant execute on function private.is_member() to authenticated, service_role;
