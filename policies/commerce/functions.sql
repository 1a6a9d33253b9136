grant execute on function private.place_order(uuid) to authenticated;
grant execute on function public.place_order(uuid) to authenticated;
grant execute on function private.cancel_order(uuid) to authenticated;
grant execute on function public.cancel_order(uuid) to authenticated;
grant execute on function private.settle_order(uuid, text) to authenticated;
grant execute on function public.settle_order(uuid, text) to authenticated;
