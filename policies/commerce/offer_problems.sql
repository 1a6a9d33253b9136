select private.close_table('public.offer_problems');

grant select on public.offer_problems to authenticated, service_role;
-- no policy: the view runs as its caller, under those of the tables it shows
