select private.close_table('private.course_words');

create policy course_words_all_nobody on private.course_words for all to anon, authenticated, service_role
using (false);

-- no grant to anybody: triggers write it and definer functions read it
