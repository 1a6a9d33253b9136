select private.close_table('private.media_types');

create policy media_types_all_nobody on private.media_types for all to anon, authenticated, service_role
using (false);

-- no grant to anybody: functions use it
