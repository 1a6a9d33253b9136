select private.close_table('private.app_config');

create policy app_config_all_nobody on private.app_config for all to anon, authenticated, service_role
using (false);

-- no grant to anybody: the operator writes it, and functions of ours read it
