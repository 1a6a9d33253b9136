select private.close_table('private.reserved_handles');

create policy reserved_handles_all_nobody on private.reserved_handles for all to anon, authenticated, service_role
using (false);

-- no grant to anybody: migrations write it and definer functions read it
