select private.close_table('private.rate_buckets');

create policy rate_buckets_all_nobody on private.rate_buckets for all to anon, authenticated, service_role
using (false);

-- no grant to anybody: take_token writes it
