select private.close_table('private.commitments');

create policy commitments_all_nobody on private.commitments for all to anon, authenticated, service_role
using (false);

-- no grant to anybody: the functions that schedule and cancel sessions write it
