select private.close_table('private.media_checks');

create policy media_checks_all_nobody on private.media_checks for all to anon, authenticated, service_role
using (false);

-- no grant to anybody: functions use it
