select private.close_table('public.certificates');

create policy certificates_select_party on public.certificates for select to authenticated
using (
    student_id = (select auth.uid())
    or course_id = any((select private.my_taught_course_ids())::uuid[])
    or (select private.has_role('moderator'))
);

grant select on public.certificates to authenticated, service_role;
-- no insert, update or delete: grading issues it; a certificate is revoked, not edited
