grant execute on function private.my_student_teacher_ids() to authenticated, service_role;
grant execute on function private.my_assigned_enrolment_ids() to authenticated, service_role;
grant execute on function private.my_chosen_student_teacher_ids() to authenticated, service_role;

grant execute on function private.apply_as_student_teacher(uuid, text) to authenticated;
grant execute on function public.apply_as_student_teacher(uuid, text) to authenticated;
grant execute on function private.withdraw_as_student_teacher(uuid) to authenticated;
grant execute on function public.withdraw_as_student_teacher(uuid) to authenticated;
grant execute on function private.decide_student_teacher(uuid, boolean, text) to authenticated;
grant execute on function public.decide_student_teacher(uuid, boolean, text) to authenticated;
grant execute on function private.revoke_student_teacher(uuid, text) to authenticated;
grant execute on function public.revoke_student_teacher(uuid, text) to authenticated;

grant execute on function private.assign_student_teacher(uuid, uuid) to authenticated;
grant execute on function public.assign_student_teacher(uuid, uuid) to authenticated;
grant execute on function private.choose_student_teacher(uuid) to authenticated;
grant execute on function public.choose_student_teacher(uuid) to authenticated;
grant execute on function private.student_teacher_dashboard() to authenticated;
grant execute on function public.student_teacher_dashboard() to authenticated;
