grant execute on function private.bind_course_price(uuid, text, text) to authenticated;
grant execute on function public.bind_course_price(uuid, text, text) to authenticated;
