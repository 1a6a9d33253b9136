grant execute on function private.my_taught_course_ids() to authenticated, service_role;
grant execute on function private.require_course_owner(uuid) to authenticated;

grant execute on function private.publish_course(uuid) to authenticated;
grant execute on function public.publish_course(uuid) to authenticated;
grant execute on function private.unpublish_course(uuid) to authenticated;
grant execute on function public.unpublish_course(uuid) to authenticated;
