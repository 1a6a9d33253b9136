select private.close_table('private.balance_transactions');

create policy balance_transactions_all_nobody on private.balance_transactions
for all to anon, authenticated, service_role
using (false);

-- no grant to anybody: functions write and read it
