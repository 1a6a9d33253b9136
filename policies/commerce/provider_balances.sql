select private.close_table('private.provider_balances');

create policy provider_balances_all_nobody on private.provider_balances for all to anon, authenticated, service_role
using (false);

-- no grant to anybody: functions write and read it
