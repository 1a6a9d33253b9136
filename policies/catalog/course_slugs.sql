select private.close_table('private.course_slugs');

create policy course_slugs_all_nobody on private.course_slugs for all to anon, authenticated, service_role
using (false);

-- no grant to anybody: triggers write it and course_by_slug reads it
