select private.close_table('public.session_reschedules');

create policy session_reschedules_select_party on public.session_reschedules for select to authenticated
using (
    session_id = any((select private.my_session_ids())::uuid[])
    or (select private.has_role('moderator'))
);

grant select on public.session_reschedules to authenticated, service_role;
-- no insert, update or delete: reschedule_session writes it
