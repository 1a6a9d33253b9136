select private.close_table('private.provider_references');

create policy provider_references_all_nobody on private.provider_references for all to anon, authenticated, service_role
using (false);

-- no grant to anybody: functions write and read it
