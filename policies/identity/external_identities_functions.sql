grant execute on function private.sync_user() to authenticated;
grant execute on function public.sync_user() to authenticated;
