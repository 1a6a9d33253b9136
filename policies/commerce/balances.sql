select private.close_table('public.balances');

grant select on public.balances to authenticated, service_role;
