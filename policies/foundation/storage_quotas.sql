select private.close_table('private.storage_quotas');

create policy storage_quotas_all_nobody on private.storage_quotas for all to anon, authenticated, service_role
using (false);

-- no grant to anybody: the operator writes it, and the triggers of storage.objects read and count in it
