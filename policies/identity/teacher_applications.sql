select private.close_table('public.teacher_applications');

create policy teacher_applications_select_applicant_or_moderator on public.teacher_applications for select
to authenticated
using (user_id = (select auth.uid()) or (select private.has_role('moderator')));

grant select on public.teacher_applications to authenticated, service_role;
-- no insert, update or delete: apply_to_teach and decide_teacher_application write it
