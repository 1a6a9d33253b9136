grant execute on function private.schedule_session(uuid, timestamptz, integer, text, text) to authenticated;
grant execute on function public.schedule_session(uuid, timestamptz, integer, text, text) to authenticated;
grant execute on function private.cancel_session(uuid, text) to authenticated;
grant execute on function public.cancel_session(uuid, text) to authenticated;
grant execute on function private.complete_session(uuid, boolean) to authenticated;
grant execute on function public.complete_session(uuid, boolean) to authenticated;
