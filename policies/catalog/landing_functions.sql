grant execute on function private.search_creators(text) to anon, authenticated, service_role;
grant execute on function public.search_creators(text) to anon, authenticated, service_role;
