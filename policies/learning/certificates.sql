select private.close_table('public.certificates');

create policy certificates_select_anon on public.certificates for select to anon
using (is_holder_public and status = 'issued');

create policy certificates_select_authenticated on public.certificates for select to authenticated
using (
    (is_holder_public and status = 'issued')
    or student_id = (select auth.uid())
    or enrolment_id = any((select private.my_assigned_enrolment_ids())::uuid[])
    or course_id = any((select private.my_taught_course_ids())::uuid[])
    or (select private.has_role('moderator'))
);

grant select on public.certificates to anon, authenticated, service_role;
-- no insert, update or delete: grading issues it; a certificate is revoked, not edited
