select private.close_table('public.billing_events');

grant select on public.billing_events to authenticated, service_role;
