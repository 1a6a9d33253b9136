-- private.courses_worded and private.words_near are nobody's: private.search_courses asks them
grant execute on function private.search_courses(
    text, public.course_level, text, text, uuid, bigint, text
) to anon, authenticated, service_role;
grant execute on function public.search_courses(
    text, public.course_level, text, text, uuid, bigint, text
) to anon, authenticated, service_role;
