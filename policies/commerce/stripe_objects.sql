select private.close_table('private.stripe_objects');

create policy stripe_objects_all_nobody on private.stripe_objects for all to anon, authenticated, service_role
using (false);

-- no grant to anybody: functions of ours write and read it
