select private.close_table('public.account_statement');

grant select on public.account_statement to authenticated, service_role;
