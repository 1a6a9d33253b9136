-- the check of profiles.display_name calls it as whoever writes
grant execute on function private.is_name(text) to authenticated, service_role;

grant execute on function private.is_handle_available(text) to authenticated;
grant execute on function public.is_handle_available(text) to authenticated;
