select private.close_table('private.media_links');

create policy media_links_all_nobody on private.media_links for all to anon, authenticated, service_role
using (false);

-- no grant to anybody: functions use it
