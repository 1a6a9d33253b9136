select private.close_table('private.payments');

create policy payments_all_nobody on private.payments for all to anon, authenticated, service_role
using (false);

-- no grant to anybody: functions write and read it
