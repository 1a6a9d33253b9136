select private.close_table('private.provider_attempts');

create policy provider_attempts_all_nobody on private.provider_attempts for all to anon, authenticated, service_role
using (false);

-- no grant to anybody: functions write and read it
