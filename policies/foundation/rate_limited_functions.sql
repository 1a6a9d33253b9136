select private.close_table('private.rate_limited_functions');

create policy rate_limited_functions_all_nobody on private.rate_limited_functions
for all to anon, authenticated, service_role
using (false);

-- no grant to anybody: migrations write it, and take_request_token reads it
