select private.close_table('private.course_search');

create policy course_search_all_nobody on private.course_search for all to anon, authenticated, service_role
using (false);

-- no grant to anybody: triggers write it and definer functions read it
