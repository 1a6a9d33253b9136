select private.close_table('public.lesson_progress');

create policy lesson_progress_select_party on public.lesson_progress for select to authenticated
using (
    student_id = (select auth.uid())
    or enrolment_id = any((select private.my_assigned_enrolment_ids())::uuid[])
    or course_id = any((select private.my_taught_course_ids())::uuid[])
    or (select private.has_role('moderator'))
);

grant select on public.lesson_progress to authenticated, service_role;
-- no insert, update or delete: record_progress writes it
