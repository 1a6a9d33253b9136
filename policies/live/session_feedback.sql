select private.close_table('public.session_feedback');

create policy session_feedback_select_party on public.session_feedback for select to authenticated
using (
    author_id = (select auth.uid())
    or subject_id = (select auth.uid())
    or course_id = any((select private.my_taught_course_ids())::uuid[])
    or (select private.has_role('moderator'))
);

grant select on public.session_feedback to authenticated, service_role;
-- no insert, update or delete: give_session_feedback writes it
