select private.close_table('private.api_functions');

create policy api_functions_all_nobody on private.api_functions for all to anon, authenticated, service_role
using (false);

-- no grant to anybody: private.expose writes it, and take_request_token reads it
