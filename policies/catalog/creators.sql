select private.close_table('public.creators');

grant select on public.creators to anon, authenticated, service_role;
-- no policy: the view runs as its caller, under those of profiles, user_stats and creator_placements
