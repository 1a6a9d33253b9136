select private.close_table('private.payment_providers');

create policy payment_providers_all_nobody on private.payment_providers for all to anon, authenticated, service_role
using (false);

-- no grant to anybody: functions read it, and migrations add rows
