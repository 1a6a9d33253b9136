select private.close_table('public.student_teachers');

create policy student_teachers_select_anon on public.student_teachers for select to anon
using (is_public and status = 'approved');

create policy student_teachers_select_authenticated on public.student_teachers for select to authenticated
using (
    (is_public and status = 'approved')
    or user_id = (select auth.uid())
    or id = any((select private.my_chosen_student_teacher_ids())::uuid[])
    or course_id = any((select private.my_taught_course_ids())::uuid[])
    or (select private.has_role('moderator'))
);

create policy student_teachers_update_self on public.student_teachers for update to authenticated
using (user_id = (select auth.uid()) and (select private.is_active()))
with check (user_id = (select auth.uid()) and (select private.is_active()));

grant select on public.student_teachers to anon, authenticated, service_role;
-- no insert or delete: apply_as_student_teacher writes it, and decisions stay on record
grant update (is_available, max_students) on public.student_teachers to authenticated;
