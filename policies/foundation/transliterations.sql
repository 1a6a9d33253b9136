select private.close_table('private.transliterations');

create policy transliterations_all_nobody on private.transliterations for all to anon, authenticated, service_role
using (false);

-- no grant to anybody: definer functions read it
