select private.close_table('private.search_words');

create policy search_words_all_nobody on private.search_words for all to anon, authenticated, service_role
using (false);

-- no grant to anybody: triggers write it and definer functions read it
