grant execute on function private.free_course_limit() to anon, authenticated, service_role;
grant execute on function public.free_course_limit() to anon, authenticated, service_role;
