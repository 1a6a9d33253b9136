select private.close_table('private.account_deletions');

create policy account_deletions_all_nobody on private.account_deletions for all
to anon, authenticated, service_role
using (false);

-- no grant to anybody: delete_user writes it
