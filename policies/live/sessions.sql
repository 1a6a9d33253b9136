select private.close_table('public.sessions');

create policy sessions_select_party on public.sessions for select to authenticated
using (
    student_id = (select auth.uid())
    or host_id = (select auth.uid())
    or course_id = any((select private.my_taught_course_ids())::uuid[])
    or (select private.has_role('moderator'))
);

grant select on public.sessions to authenticated, service_role;
-- no insert, update or delete: schedule_session, cancel_session and complete_session write it
