select private.close_table('private.currencies');

create policy currencies_all_nobody on private.currencies for all to anon, authenticated, service_role
using (false);

-- no grant to anybody: functions write and read it
