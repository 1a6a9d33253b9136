grant execute on function private.check_request() to anon, authenticated, service_role;
grant execute on function private.schema_version() to edge;
-- Triggers that run as the writer call these.
grant execute on function private.slugify(text) to authenticated, service_role;
