-- private.enrol_student is nobody's: who is to be enrolled is decided before it is called
grant execute on function private.leave_course(uuid) to authenticated;
grant execute on function public.leave_course(uuid) to authenticated;
grant execute on function private.free_courses_consumed() to authenticated;
grant execute on function public.free_courses_consumed() to authenticated;
grant execute on function private.course_access(uuid) to authenticated;
grant execute on function public.course_access(uuid) to authenticated;
