select private.close_table('public.billing_log');

grant select on public.billing_log to authenticated, service_role;
