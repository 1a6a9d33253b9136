select private.close_table('private.rate_limits');

create policy rate_limits_all_nobody on private.rate_limits for all to anon, authenticated, service_role
using (false);

-- no grant to anybody: the operator writes it, and take_token reads it
