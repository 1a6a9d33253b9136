grant execute on function private.reorder_modules(uuid, uuid[]) to authenticated;
grant execute on function public.reorder_modules(uuid, uuid[]) to authenticated;
grant execute on function private.reorder_lessons(uuid, uuid[]) to authenticated;
grant execute on function public.reorder_lessons(uuid, uuid[]) to authenticated;
