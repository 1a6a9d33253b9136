select private.close_table('public.certificate_reissues');

create policy certificate_reissues_select_party on public.certificate_reissues for select to authenticated
using (
    student_id = (select auth.uid())
    or course_id = any((select private.my_taught_course_ids())::uuid[])
    or (select private.has_role('moderator'))
);

grant select on public.certificate_reissues to authenticated, service_role;
-- no insert, update or delete: the functions that request and decide write it
