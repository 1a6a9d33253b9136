select private.close_table('private.storage_usage');

create policy storage_usage_all_nobody on private.storage_usage for all to anon, authenticated, service_role
using (false);

-- no grant to anybody: the triggers of storage.objects write it
