select private.close_table('private.status_transitions');

create policy status_transitions_all_nobody on private.status_transitions for all to anon, authenticated, service_role
using (false);

-- no grant to anybody: migrations write it and definer functions read it
