grant execute on function private.reorder_categories(uuid[]) to authenticated;
grant execute on function public.reorder_categories(uuid[]) to authenticated;
grant execute on function private.merge_categories(uuid, uuid) to authenticated;
grant execute on function public.merge_categories(uuid, uuid) to authenticated;
