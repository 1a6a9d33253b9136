select private.close_table('public.teacher_applications');

create policy teacher_applications_select_applicant_or_moderator on public.teacher_applications for select
to authenticated
using (user_id = (select auth.uid()) or (select private.has_role('moderator')));

grant select on public.teacher_applications to authenticated, service_role;
-- no insert, update or delete: apply_to_teach and decide_teacher_application write it

grant execute on function private.apply_to_teach(text, text[]) to authenticated;
grant execute on function public.apply_to_teach(text, text[]) to authenticated;
grant execute on function private.withdraw_teacher_application() to authenticated;
grant execute on function public.withdraw_teacher_application() to authenticated;
grant execute on function private.decide_teacher_application(uuid, boolean, text) to authenticated;
grant execute on function public.decide_teacher_application(uuid, boolean, text) to authenticated;

grant execute on function public.teaching_status() to authenticated;
