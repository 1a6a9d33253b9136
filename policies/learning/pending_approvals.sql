select private.close_table('public.pending_approvals');

grant select on public.pending_approvals to authenticated, service_role;
-- no policy: the view runs as its caller, under those of the tables it shows
