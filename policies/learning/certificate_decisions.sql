select private.close_table('public.certificate_decisions');

create policy certificate_decisions_select_party on public.certificate_decisions for select to authenticated
using (
    (student_id = (select auth.uid()) and outcome <> 'pending')
    or decided_by = (select auth.uid())
    or course_id = any((select private.my_taught_course_ids())::uuid[])
    or (select private.has_role('moderator'))
);

grant select on public.certificate_decisions to authenticated, service_role;
-- no insert, update or delete: the functions that decide write it
