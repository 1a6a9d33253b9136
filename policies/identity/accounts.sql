select private.close_table('private.accounts');

create policy accounts_all_nobody on private.accounts for all to anon, authenticated, service_role
using (false);

-- no grant to anybody: functions and the triggers of auth.users write it
