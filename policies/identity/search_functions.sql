-- private.matching_user_ids is nobody's: who sees everybody is decided before it is called
grant execute on function private.search_users(text) to authenticated;
grant execute on function public.search_users(text) to authenticated;
