select private.close_table('public.notification_topics');

create policy notification_topics_select_member on public.notification_topics for select to authenticated
using (true);

grant select on public.notification_topics to authenticated, service_role;
-- no insert, update or delete: migrations write it
