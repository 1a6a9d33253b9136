select private.close_table('private.discarded_files');

create policy discarded_files_all_nobody on private.discarded_files for all to anon, authenticated, service_role
using (false);

-- no grant to anybody: discard_file and forget_removed_files write it
