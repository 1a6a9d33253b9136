select private.close_table('private.errors');

create policy errors_all_nobody on private.errors for all to anon, authenticated, service_role
using (false);

-- no grant to anybody: migrations write it, private.refuse and error_catalogue read it
