select private.close_table('private.external_identities');

create policy external_identities_all_nobody on private.external_identities
for all to anon, authenticated, service_role
using (false);

-- no grant to anybody: functions and the triggers of auth.users write it
