select private.close_table('public.user_accounts');

grant select on public.user_accounts to authenticated, service_role;
-- no policy: the view runs as its caller, under those of accounts and profiles
