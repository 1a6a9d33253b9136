select private.close_table('public.enrolments');

create policy enrolments_select_party on public.enrolments for select to authenticated
using (
    student_id = (select auth.uid())
    or (creator_id = (select auth.uid()) and (select private.is_teacher()))
    or student_teacher_id = any((select private.my_student_teacher_ids())::uuid[])
    or (select private.has_role('moderator'))
);

grant select on public.enrolments to authenticated, service_role;
-- no insert, update or delete: functions write it
