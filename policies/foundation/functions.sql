grant execute on function private.check_request() to anon, authenticated, service_role;
grant execute on function private.schema_version() to edge;
