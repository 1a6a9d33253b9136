select private.close_table('public.reconciliation');

grant select on public.reconciliation to authenticated;
