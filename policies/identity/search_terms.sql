select private.close_table('private.search_terms');

create policy search_terms_all_nobody on private.search_terms for all to anon, authenticated, service_role
using (false);

-- no grant to anybody: triggers write it and definer functions read it
