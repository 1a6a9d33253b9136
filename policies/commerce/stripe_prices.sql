select private.close_table('private.stripe_prices');

create policy stripe_prices_all_nobody on private.stripe_prices for all to anon, authenticated, service_role
using (false);

-- no grant to anybody: functions write and read it
