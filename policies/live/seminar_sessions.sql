select private.close_table('public.seminar_sessions');

create policy seminar_sessions_select_party on public.seminar_sessions for select to authenticated
using (
    host_id = (select auth.uid())
    or seminar_id = any((select private.visible_seminar_ids())::uuid[])
    or (select private.has_role('moderator'))
);

grant select on public.seminar_sessions to authenticated, service_role;
-- no insert, update or delete: functions start and end them
