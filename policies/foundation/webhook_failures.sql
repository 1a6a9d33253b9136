select private.close_table('public.webhook_failures');

grant select on public.webhook_failures to authenticated;
