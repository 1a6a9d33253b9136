select private.close_table('public.student_teacher_decisions');

create policy student_teacher_decisions_select_party on public.student_teacher_decisions for select to authenticated
using (
    user_id = (select auth.uid())
    or course_id = any((select private.my_taught_course_ids())::uuid[])
    or (select private.has_role('moderator'))
);

grant select on public.student_teacher_decisions to authenticated, service_role;
-- no insert, update or delete: the functions that decide write it
