grant execute on function private.my_course_ids() to authenticated, service_role;

grant execute on function private.enrol(uuid) to authenticated;
grant execute on function public.enrol(uuid) to authenticated;
grant execute on function private.record_progress(uuid, integer, boolean) to authenticated;
grant execute on function public.record_progress(uuid, integer, boolean) to authenticated;

grant execute on function private.verify_certificate(text) to anon, authenticated, service_role;
grant execute on function public.verify_certificate(text) to anon, authenticated, service_role;
