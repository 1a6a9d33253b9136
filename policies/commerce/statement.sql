select private.close_table('public.statement');

grant select on public.statement to authenticated, service_role;
